"""Stretches of words cut from a text so that what is left reads on: the marks that belong to them go along.

    text    We disagree. (See the Notice: free to copy.)  The court
    cut                  ~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~             words See … copy
    left    We disagree. The court

What goes along reaches from one white space to another: an opening bracket, a full stop. Where no white space parts the
stretch from the word before, nothing before it goes along; from the word behind, all between. What is left of the two
sides is joined by a line break, if white space that went along held one, else by a blank: no word is made.

Legend: n documents, s stretches.
"""

from __future__ import annotations

from collections.abc import Sequence

from curate.text import TextBatch

Stretch = tuple[int, int]  # first word, counted from the document's own; how many


def without(batch: TextBatch, document: int, stretches: Sequence[Stretch]) -> str:
    """The text of a document without stretches, which ascend and do not touch."""
    first, stop = int(batch.words.first[document]), int(batch.words.first[document + 1])
    begin, end = int(batch.offsets[document]), int(batch.offsets[document + 1])
    left, at, joint = "", begin, ""
    for word, n_words in stretches:
        one, last = first + word, first + word + n_words - 1
        before = int(batch.words.end[one - 1]) if one > first else begin
        behind = int(batch.words.start[last + 1]) if last + 1 < stop else end
        kept, opening = _parted_before(_text(batch, before, int(batch.words.start[one])), one == first)
        closing, rest = _parted_behind(_text(batch, int(batch.words.end[last]), behind))
        left += (joint if left else "") + _text(batch, at, before) + kept
        joint = "\n" if "\n" in opening + closing else " "
        at = behind - len(rest.encode())
    tail = _text(batch, at, end)
    return left + (joint if left and tail else "") + tail


def _text(batch: TextBatch, begin: int, end: int) -> str:
    return batch.data[begin:end].tobytes().decode()


def _parted_before(gap: str, opens: bool) -> tuple[str, str]:
    """(what stays, white space and marks that go along) of what stands before a stretch."""
    at = len(gap)
    while at and not gap[at - 1].isspace():
        at -= 1
    if at == 0:
        return ("", gap) if opens else (gap, "")
    kept = gap[:at].rstrip()
    return kept, gap[len(kept) :]


def _parted_behind(gap: str) -> tuple[str, str]:
    """(marks and white space that go along, what stays) of what stands behind a stretch."""
    at = 0
    while at < len(gap) and not gap[at].isspace():
        at += 1
    rest = gap[at:].lstrip()
    return gap[: len(gap) - len(rest)], rest
