"""Which bound holds for which source: the rules as the page lists them, one line for each end of each rule.

rules of notes    words 30 to 100,000   ─┐   words at least 30        notes
rules of papers   words 50 to 100,000   ─┴▶  words at least 50        papers
                                             words at most 100,000    every source
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from pipelines.report.ledger import Bools, Chunk, Floats

Rule = Mapping[str, Any]
"""What `curate.rules.as_dicts` gives: measure, at_least, at_most, too_low, too_high, source (who set the bounds),
only_languages and except_languages (these two may be missing)."""
Rules = Sequence[Rule] | Mapping[str, Mapping[str, Any]]
"""Those of every source alike, or what `curate.rulebook.as_json` gives: {source: {"rules": [...], …}}."""
ENDS = (("at_least", "too_low"), ("at_most", "too_high"))


@dataclass(frozen=True, slots=True)
class Limit:
    """One end of a rule."""

    measure: str
    bound: str  # at_least or at_most
    value: float
    reason: str | None
    by: str | None  # who set it
    only_languages: tuple[str, ...] = ()
    except_languages: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()  # judged by it; empty: all

    def fails(self, values: Floats) -> Bools:
        """Which values it refuses; it allows itself, and what was not measured."""
        return values < self.value if self.bound == "at_least" else values > self.value

    def concerns(self, chunk: Chunk) -> Bools:
        """The documents it is for: of its sources and languages, readable."""
        where = ~chunk.has("fate", "quarantined")
        if self.sources:
            where &= chunk.has("source", *self.sources)
        if self.only_languages:
            where &= chunk.has("language", *self.only_languages)
        return where & ~chunk.has("language", *self.except_languages) if self.except_languages else where

    def numbers(self) -> dict[str, Any]:
        return {
            "measure": self.measure,
            "bound": self.bound,
            "value": self.value,
            "reason": self.reason,
            "source": self.by,
            "only_languages": list(self.only_languages),
            "except_languages": list(self.except_languages),
            "sources": list(self.sources),
        }


def limits_of(rules: Rules) -> list[Limit]:
    """Every end of every rule once, with the sources it is for, in the order of the rules."""
    if not isinstance(rules, Mapping):
        return list(dict.fromkeys(limit for rule in rules for limit in _ends(rule)))
    return _with_sources(
        {source: [limit for rule in one["rules"] for limit in _ends(rule)] for source, one in rules.items()}
    )


def language_limits(rules: Rules) -> list[Limit]:
    """The least score of its language that a document needs, where that decides."""
    if not isinstance(rules, Mapping):
        return []
    told = {source: one.get("language") or {} for source, one in rules.items()}
    return _with_sources(
        {
            source: [Limit("language_score", "at_least", one["at_least"], "language_uncertain", "recipe")]
            if one.get("decide")
            else []
            for source, one in told.items()
        }
    )


def _with_sources(by_source: Mapping[str, Sequence[Limit]]) -> list[Limit]:
    sources: dict[Limit, list[str]] = {}
    for source, limits in sorted(by_source.items()):
        for limit in dict.fromkeys(limits):
            sources.setdefault(limit, []).append(source)
    return [replace(limit, sources=() if len(its) == len(by_source) else tuple(its)) for limit, its in sources.items()]


def _ends(rule: Rule) -> list[Limit]:
    only, but = (tuple(rule.get(name) or ()) for name in ("only_languages", "except_languages"))
    return [
        Limit(rule["measure"], bound, rule[bound], rule.get(reason), rule.get("source"), only, but)
        for bound, reason in ENDS
        if rule.get(bound) is not None
    ]


def bounds_on(limits: Sequence[Limit], measure: str) -> list[float]:
    return np.unique([limit.value for limit in limits if limit.measure == measure]).tolist()
