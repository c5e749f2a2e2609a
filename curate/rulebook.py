"""What every source is judged by: the preset with the recipe's bounds, and what classifiers and personal data add.

curate.quality ── preset, bounds, languages ──┐
sources[].quality, sources[].language ────────┤
curate.language.mixed_at_most ────────────────┼─▶ one SourceRules per source
curate.classifiers, curate.domain ────────────┤
curate.pii.drop ──────────────────────────────┘
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from curate.rules import Rule, as_dicts, rules_for
from curate.settings import Curate, Language, Source
from curate.taken import taken


@dataclass(frozen=True, slots=True)
class SourceRules:
    rules: tuple[Rule, ...]
    language: Language


Rulebook = dict[str, SourceRules]
"""By the name of the source."""


def rulebook(curate: Curate, sources: Sequence[Source], domain_at_least: float | None = None) -> Rulebook:
    """The rules of every source that has ledger rows. `domain_at_least`: the threshold of the domain classifier.

    Raises Fault for presets, measures and bounds that do not fit together.
    """
    known = list(taken(curate))
    return {
        source.name: SourceRules(
            (
                *rules_for(curate.quality, known, source.quality, source.name),
                *_added(curate, source, domain_at_least),
            ),
            source.language or curate.language,
        )
        for source in sources
        if source.role != "benchmark"
    }


def as_json(book: Rulebook) -> dict[str, Any]:
    """For fingerprints."""
    return {
        name: {"rules": as_dicts(one.rules), "language": one.language.model_dump(mode="json")}
        for name, one in sorted(book.items())
    }


def _added(curate: Curate, source: Source, domain_at_least: float | None) -> Iterator[Rule]:
    mixed = (source.language or curate.language).mixed_at_most
    if mixed is not None:
        yield Rule("other_language_share", None, mixed, None, "mixed_languages", "recipe")
    for name, one in curate.classifiers.items():
        if one.at_least is not None or one.at_most is not None:
            yield Rule(name, one.at_least, one.at_most, f"low_{name}", f"high_{name}", "recipe")
    if _is_judged_by_domain(curate, source) and domain_at_least is not None:
        yield Rule("domain_score", domain_at_least, None, "off_domain", None, "curate.domain")
    for kind in curate.pii.drop:
        yield Rule(f"pii_{kind}", None, 0, None, f"holds_{kind}", "recipe")


def _is_judged_by_domain(curate: Curate, source: Source) -> bool:
    """Seeds are the domain by definition, and general text is not meant to be it."""
    domain = curate.domain
    return domain is not None and domain.decide and source.role == "domain" and source.name not in domain.seeds
