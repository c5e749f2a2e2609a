"""The same writing in other code points, made the same before words are compared: composed letters, no ligatures.

    e + combining acute (macOS file names, some PDFs)  ─▶  é
    the single character ﬁ (typeset PDFs)              ─▶  f + i

What one character can say folds with the word (curate/characters.py: case, widths, µ). These two change the number of
characters, so they are undone in the text: in the documents that may hold them, which an expression finds at 800 MB/s;
the others are passed on as they are. Only matching uses this; stored text is never changed.
"""

from __future__ import annotations

import unicodedata

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curate.text import TextBatch

# Marks that compose with a letter before them (Latin, Greek, Cyrillic, Arabic, Indic, Hangul, kana), and ligatures
_TELLTALE = (
    r"[\x{300}-\x{36f}\x{653}-\x{655}\x{93c}\x{9bc}-\x{9d7}\x{a3c}\x{b3c}-\x{b57}\x{bbe}-\x{bd7}\x{c56}\x{cc2}-\x{cd6}"
    r"\x{d3e}-\x{d57}\x{dca}-\x{ddf}\x{102e}\x{1161}-\x{11c2}\x{3099}\x{309a}\x{fb00}-\x{fb06}]"
)
_LIGATURES = {code: unicodedata.normalize("NFKC", chr(code)) for code in range(0xFB00, 0xFB07)}


def as_one_form(texts: pa.Array | pa.ChunkedArray) -> TextBatch:
    """The texts as a batch in which letters are composed and ligatures taken apart."""
    batch = TextBatch(texts)
    places = np.flatnonzero(pc.match_substring_regex(batch.array, _TELLTALE).to_numpy(zero_copy_only=False))
    if not len(places):
        return batch
    written = batch.array.to_pylist()
    for place in places.tolist():
        written[place] = unicodedata.normalize("NFC", written[place]).translate(_LIGATURES)
    return TextBatch(pa.array(written, pa.large_string()))
