"""Cleaning a batch: every cleaner in order, and what each took.

A cleaner sees only the texts that its `suspect` expression finds; the others pass without a Python object being made.
Few texts are even searched: curate.screening looks over the whole batch once, for all cleaners, and knows which texts
could hold a match. A text that one cleaner changed is shown to all that come after it.

The bytes a cleaner takes are its bytes before less its bytes after, per document (negative where a repair needs more),
so that the sum over cleaners is the difference between raw and stored text.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from curate.plugins import plugin
from curate.screening import screen_of
from curate.text import TextBatch

Bools = npt.NDArray[np.bool_]


class Cleaner(Protocol):
    """May also have `suspect: str`, an RE2 expression that every text it would change matches."""

    def __call__(self, text: str) -> str: ...


def load(names: Iterable[str]) -> dict[str, Cleaner]:
    """Cleaners by name, in order: built-ins by short name, a user's own as package.module:Name."""
    return {name: plugin("curate.cleaners", name)() for name in names}


def clean(
    texts: pa.LargeStringArray, cleaners: Mapping[str, Cleaner]
) -> tuple[pa.LargeStringArray, dict[str, np.ndarray]]:
    """The cleaned texts (nulls stay null), and the bytes each cleaner took of each: int64[len(texts)]."""
    expressions = tuple(getattr(cleaner, "suspect", None) for cleaner in cleaners.values())
    screen = screen_of(expressions)
    suspects = screen.suspects(TextBatch(pc.fill_null(texts, "")))
    is_text = texts.is_valid().to_numpy(zero_copy_only=False)
    was_changed = np.zeros(len(texts), np.bool_)
    taken = {}
    for bit, (name, cleaner) in enumerate(cleaners.items()):
        found = (suspects >> np.uint32(bit) & np.uint32(1)).astype(np.bool_) & is_text
        if not screen.exact >> bit & 1:
            found = _searched(texts, found, expressions[bit])
        before = texts
        texts, changed = _cleaned(texts, found | was_changed, cleaner)
        was_changed |= changed
        taken[name] = _bytes(before) - _bytes(texts) if changed.any() else np.zeros(len(texts), np.int64)
    return texts, taken


def _searched(texts: pa.LargeStringArray, candidates: Bools, expression: str | None) -> Bools:
    """Those of the candidates that the expression does find."""
    rows = np.flatnonzero(candidates)
    if expression is None or not len(rows):
        return candidates
    matched = pc.match_substring_regex(texts.take(pa.array(rows)), expression)
    found = np.zeros(len(texts), np.bool_)
    found[rows[matched.to_numpy(zero_copy_only=False)]] = True
    return found


def _cleaned(texts: pa.LargeStringArray, found: Bools, cleaner: Cleaner) -> tuple[pa.LargeStringArray, Bools]:
    """The texts, those that were found cleaned, and which of them changed."""
    changed = np.zeros(len(texts), np.bool_)
    rows = np.flatnonzero(found)
    old = texts.take(pa.array(rows)).to_pylist()
    new = [cleaner(text) for text in old]
    if new == old:
        return texts, changed
    changed[rows] = [one != other for one, other in zip(old, new, strict=True)]
    return pc.replace_with_mask(texts, pa.array(found), pa.array(new, pa.large_string())), changed


def _bytes(texts: pa.LargeStringArray) -> np.ndarray:
    return pc.fill_null(pc.binary_length(texts), 0).to_numpy(zero_copy_only=False).astype(np.int64)
