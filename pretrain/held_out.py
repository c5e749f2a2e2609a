"""A set of held-out documents, and what it must have to carry a result."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from curate.shards.fault import Fault
from pretrain.statistics import LEAST_UNITS

if TYPE_CHECKING:
    from pretrain.scoring import ReadsTokens

Role = Literal["domain", "general", "control"]


@dataclass(frozen=True, slots=True)
class HeldOut:
    """Held-out documents that form one line of the result. All sequences have one entry per chosen document."""

    name: str
    role: Role
    split: str
    shard: Path
    """Folder of the shard split, such as shards/domain/test."""
    documents: np.ndarray  # (n,) int64, row numbers in the split
    clusters: Sequence[str]
    """Duplicate cluster of each document: the unit of the statistics."""
    words: np.ndarray  # (n,) int64
    touched: np.ndarray | None = None  # (n,) bool: shares a long run of words with training text; None: nobody looked
    base_tokens: ReadsTokens | None = None
    """These documents, in this order, as the base's tokenizer gives them, where the shards' is another."""


def check_sets(sets: Sequence[HeldOut]) -> None:
    """The headline needs domain text of at least LEAST_UNITS clusters; other sets do without an interval below that."""
    if not any(held_out.role == "domain" for held_out in sets):
        raise Fault("there is no held-out domain set to evaluate on", hint="give curate.split.test a size above 0")
    for held_out in sets:
        n = len(set(held_out.clusters))
        if n == 0 or (held_out.role == "domain" and n < LEAST_UNITS):
            raise Fault(
                f"held-out set {held_out.name!r} has {len(held_out.documents)} documents in {n} duplicate clusters: "
                f"{LEAST_UNITS} clusters are the least that a result with an interval can rest on",
                where=f"{held_out.role} {held_out.split}",
                hint=f"widen curate.split.{held_out.split}, raise evaluate.bytes_at_most, or add documents",
            )
        columns = {len(held_out.documents), len(held_out.clusters), len(held_out.words)}
        columns |= set() if held_out.touched is None else {len(held_out.touched)}
        assert len(columns) == 1, f"{held_out.name}: columns of {columns} entries"
