"""The order in which the copies of a cluster may stay: a recipe's policies, the first telling, ties on the id.

    keep: [{sources: [papers, web]}, {earliest: date}, longest]

    id        source   date         length           order
    web/b     web      2019-03      900              papers/c   papers first
    web/a     web      2019-03      900              web/a      as old and as long as web/b: the lower id
    papers/c  papers   -            400              web/b
    web/d     web      -            2,000            web/d      without a date: after those that have one

Each policy is a number per document of which the lower stays. Where a policy has nothing to go by (no date, a measure
that was not taken, a source that is not named) the number is NaN, and the document comes after all that have one.
Length and id are always known; what else a policy asks for comes through `Merits`, of whole clusters alone.

Legend: n documents.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np

from curate.dedup.verify import Float64s
from curate.settings import BestOf, Earliest, Keep, SourcesFirst
from curate.text import Int64s

Asking: TypeAlias = BestOf | Earliest | SourcesFirst
Merits: TypeAlias = Callable[[Asking, Int64s], Float64s]
"""(policy, records ascending) -> a number of each record: the lower stays, NaN comes last."""


def policies(keep: Keep) -> list[str | Asking]:
    """In the order in which they tell."""
    return list(keep) if isinstance(keep, list) else [keep]


def preference(keep: Keep, rank: Int64s, n_chars: Int64s, told: Callable[[Asking], Float64s]) -> Int64s:
    """The place (n,) of each document in the order of the policies: the lower stays. `rank`: of its id."""
    keys = [_key(policy, rank, n_chars, told) for policy in policies(keep)]
    place = np.empty(len(rank), np.int64)
    place[np.lexsort((rank, *reversed(keys)))] = np.arange(len(rank))  # NaN sorts last
    return place


def _key(policy: str | Asking, rank: Int64s, n_chars: Int64s, told: Callable[[Asking], Float64s]) -> Int64s | Float64s:
    if isinstance(policy, str):
        return rank if policy == "lowest_id" else -n_chars
    return told(policy)


def of_length_and_id_alone(policy: Asking, records: Int64s) -> Float64s:
    """Merits where nothing else is known of the documents."""
    raise ValueError(f"nothing is known of documents that {policy!r} could go by")
