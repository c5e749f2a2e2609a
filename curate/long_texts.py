"""A very long text, tokenised by pieces: the same ids as in one go, without its tokens' bookkeeping in memory.

    ...........................|........ a text of 50 MB
    piece ─────────────[ left  |right ]  a place where no token can reach across, near the end of a piece
                       [ left  ─────────── next piece     its ids begin with those of `left`, which are dropped

Encoders hold much per token while they work: 50 MB of web text take fastokens 325 MB (byte-level BPE) or 613 MB
(SentencePiece-style, which has the whole text for one word), by pieces 82 and 86 MB, ids included; `tokenizers` takes
540 bytes per token of what it gets at once. A text may be cut between two characters where

- the pre-tokenizer cuts there whatever follows, or no entry of the vocabulary holds the two side by side, so that no
  merge and no path of pieces crosses; nor does an added token hold them;
- the ids of `left` are the same without and with `right` behind it: nothing before the seam waits for what follows;
- the piece before the seam ends with the same run of ids as `left` alone does: text far away has no say there.

Where no place like that is found (ten megabytes of one letter) the piece grows, to the whole text at worst; fastokens
then holds some 45 bytes per character. `left` also stands in for the beginning of a text, before which many tokenizers
put a blank.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import tokenizers

LONG_BYTES = 2 << 20  # texts beyond are encoded by pieces
PIECE_BYTES = 1 << 20
SIDE = 400  # characters looked at on either side of a seam: about a hundred tokens
LEAST_RUN = 8  # ids that `left` and the piece before the seam must both end with
SEARCHED = 1 << 16  # characters before the end of a piece
TRIED = 12  # places, spread over them
END_OF_WORD = re.compile(r"(?<=\w)[\s!-/:-@\[-`{-~。、，；：！？]")

Ids = npt.NDArray[np.unsignedinteger[Any]]
Encode = Callable[[list[str]], list[Ids]]  # each text alone, nothing put around it


@dataclass(frozen=True)
class Seams:
    """Where texts may be cut that this tokenizer reads."""

    backend: tokenizers.Tokenizer
    encode: Encode

    def pieces(self, raw: memoryview) -> list[Ids]:
        """The ids of a text, given as UTF-8, one array behind the other."""
        found: list[Ids] = []
        at, size, left = 0, PIECE_BYTES, ""
        while at < len(raw):
            stop = _whole_characters(raw, at + size)
            text = str(raw[at:stop], "utf-8")
            seam = len(text) if stop == len(raw) else self._seam(text)
            ids = self._behind(left, text[:seam]) if seam else None
            if ids is None or (seam < len(text) and not self._ends_alike(ids, text[:seam])):
                if stop == len(raw):  # what stood behind `left` changed its ids: no seam after all
                    return self.encode([str(raw, "utf-8")])
                size *= 2
                continue
            found.append(ids)
            at, size, left = at + len(text[:seam].encode()), PIECE_BYTES, text[seam - SIDE : seam]
        return found

    def _seam(self, text: str) -> int:
        """The last place of those tried where a text may be cut; 0 where there is none."""
        for seam in _places(text):
            before, behind = text[seam - SIDE : seam], text[seam : seam + SIDE]
            if self._never_crossed(before, behind):
                alone, both = self.encode([before, before + behind])
                if np.array_equal(both[: len(alone)], alone):
                    return seam
        return 0

    def _behind(self, left: str, text: str) -> Ids | None:
        """The ids of a text that stands behind `left`; None where it changes those of `left`."""
        alone, both = self.encode([left, left + text]) if left else (np.zeros(0, np.uint32), self.encode([text])[0])
        return both[len(alone) :] if np.array_equal(both[: len(alone)], alone) else None

    def _ends_alike(self, ids: Ids, text: str) -> bool:
        """Whether the ids of a whole piece end as those of its end alone do."""
        alone = self.encode([text[-SIDE:]])[0]
        run = alone[len(alone) // 2 :]
        return len(run) >= LEAST_RUN and np.array_equal(ids[-len(run) :], run)

    def _never_crossed(self, before: str, behind: str) -> bool:
        pair = before[-1] + behind[0]
        if any(pair in added for added in self._added):
            return False
        words, more = self._words(before), self._words(before + behind)
        if more[: len(words)] == words:
            return True
        left, whole = "".join(words), "".join(more)
        if not self._joins_neighbours_only or not whole.startswith(left) or len(left) in (0, len(whole)):
            return False
        one, other = whole[len(left) - 1], whole[len(left)]
        # characters without an entry could become one unknown token together
        return {one, other} <= self._entries and one + other not in self._neighbours

    def _words(self, text: str) -> list[str]:
        """What the model gets to see: the text normalised and cut by the pre-tokenizer."""
        normalizer, cutter = self.backend.normalizer, self.backend.pre_tokenizer
        text = normalizer.normalize_str(text) if normalizer is not None else text
        return [word for word, _ in cutter.pre_tokenize_str(text)] if cutter is not None else [text]

    @cached_property
    def _added(self) -> list[str]:
        return [token.content for token in self.backend.get_added_tokens_decoder().values()]

    @cached_property
    def _joins_neighbours_only(self) -> bool:
        """Whether a token of the model is always an entry of the vocabulary, wherever it stands in a word."""
        model: Any = self.backend.model
        if type(model).__name__ == "BPE":
            return not (model.continuing_subword_prefix or model.end_of_word_suffix)
        return type(model).__name__ == "Unigram"

    @cached_property
    def _entries(self) -> set[str]:
        return set(self.backend.get_vocab(with_added_tokens=False))

    @cached_property
    def _neighbours(self) -> set[str]:
        """Every two characters that stand side by side in an entry of the vocabulary."""
        return {entry[at : at + 2] for entry in self._entries for at in range(len(entry) - 1)}


def _places(text: str) -> list[int]:
    """Ends of words near the end of a text, the last first, with room on both sides."""
    first, last = max(SIDE, len(text) - SEARCHED), len(text) - SIDE
    found = [one.start() for one in END_OF_WORD.finditer(text, first, last)] if first < last else []
    return found[:: -max(1, len(found) // TRIED)][:TRIED]


def _whole_characters(raw: memoryview, stop: int) -> int:
    """The place at or before `stop` where a character begins."""
    if stop >= len(raw):
        return len(raw)
    while raw[stop] & 0xC0 == 0x80:
        stop -= 1
    return stop
