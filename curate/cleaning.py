"""Cleaning a batch: every cleaner in order, and what each took.

A cleaner sees only the texts that its `suspect` expression finds, searched by Arrow over the whole batch; the
others pass without a Python object being made. The bytes a cleaner takes are its bytes before less its bytes after,
per document (negative where a repair needs more), so that the sum over cleaners is the difference between raw and
stored text.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curate.plugins import plugin


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
    taken = {}
    before = _bytes(texts)
    for name, cleaner in cleaners.items():
        texts = _cleaned(texts, cleaner)
        after = _bytes(texts)
        taken[name] = before - after
        before = after
    return texts, taken


def _cleaned(texts: pa.LargeStringArray, cleaner: Cleaner) -> pa.LargeStringArray:
    suspect = getattr(cleaner, "suspect", None)
    found = pc.match_substring_regex(texts, suspect) if suspect else pc.is_valid(texts)
    found = pc.fill_null(found, False)
    if not pc.any(found).as_py():
        return texts
    old = texts.filter(found).to_pylist()
    new = [cleaner(text) for text in old]
    if new == old:
        return texts
    return pc.replace_with_mask(texts, found, pa.array(new, pa.large_string()))


def _bytes(texts: pa.LargeStringArray) -> np.ndarray:
    return pc.fill_null(pc.binary_length(texts), 0).to_numpy(zero_copy_only=False).astype(np.int64)
