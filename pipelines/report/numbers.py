"""Every number and sample that the page shows about curation, from the ledger: written once as `curated/report.json`.

    ledger ─facts▶ counts by name, a sample ─judged▶ histograms, what each bound refuses ─show▶ rows and texts

Two passes by column and a third for the rows that are shown, in memory that does not follow the number of records.
Samples are chosen by the hash of the id, so that the same corpus shows the same ones, and their texts are the only ones
read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from curate.filters import named
from curate.settings import Curate
from pipelines.report.account import (
    domain_scores,
    languages,
    languages_by_source,
    licences,
    personal,
    sources,
    splits,
)
from pipelines.report.clusters import Found, Match
from pipelines.report.contamination import contamination_numbers
from pipelines.report.facts import EVIDENCE_SHOWN, QUARANTINED_SHOWN, SCORES, Facts
from pipelines.report.gates import funnel
from pipelines.report.judged import Judged
from pipelines.report.limits import Limit, Rules, language_limits, limits_of
from pipelines.report.shown import COLUMNS, MATCHED, Shown, show
from pipelines.report.tallies import Row, rolled

EXCERPT_CHARS = 320
MATCH_CHARS = 6000
NEAR_SHOWN = 240
"""Pairs of bound and source with the documents nearest to it: those that refuse most."""
NEAR_TEXTS = 40
"""Of these, pairs whose texts are shown, too: each costs reading a piece of the corpus for every document."""

Picked = dict[tuple[str, ...], list[int]]  # row numbers by the names of their group


def curation_numbers(
    run: Path,
    rules: Rules,
    contamination: Mapping[str, Any] | None = None,
    *,
    domain: Mapping[str, Any] | None = None,
    settings: Curate | None = None,
) -> dict[str, Any]:
    """What `curated/report.json` holds. JSON-ready, and the same for the same ledger.

    rules: by source, or those of all. contamination: what the pass said of its indexes and common phrases. domain: the
    card of the domain's classifier. settings: of the recipe, for what measures mean and what becomes of personal data.
    """
    limits = limits_of(rules)
    facts = Facts.of(run, _threshold(domain, limits))
    told = [limit for limit in (*limits, *language_limits(rules)) if limit.measure in facts.drawn]
    judged = Judged.of(run, facts, told)
    presidio = settings is not None and settings.pii.presidio
    drawn = _Drawn.of(run, facts, judged, presidio)
    fates = facts.fates.rows(facts.names)
    return {
        "records": facts.records,
        "fates": {row["fate"]: row["documents"] for row in rolled(fates, "fate")},
        "sources": sources(fates),
        "funnel": funnel(fates),
        "removals": drawn.removals(fates),
        "quarantined": drawn.quarantined(fates),
        "rules": drawn.rules(limits),
        "reasons": _reasons(facts, limits),
        "overlaps": facts.overlaps.matrix(facts.names),
        "filters": [name for name, _ in named(settings.filters)] if settings else [],
        "measures": _measures(judged, settings),
        "duplicates": drawn.duplicates(),
        "languages": languages(facts),
        "language": drawn.language(),
        "personal": personal(facts, settings),
        "licences": licences(facts),
        "domain": {"card": dict(domain) if domain else None, "by_source": domain_scores(facts)},
        "splits": splits(fates, drawn.clusters),
        "contamination": drawn.contamination(fates) | contamination_numbers(contamination, presidio),
    }


def _threshold(domain: Mapping[str, Any] | None, limits: Sequence[Limit]) -> float | None:
    if domain:
        return float(domain["threshold"])
    return max((limit.value for limit in limits if limit.measure == "domain_score"), default=None)


def _reasons(facts: Facts, limits: Sequence[Limit]) -> list[Row]:
    """What failed each reason, and who gave it: a rule, the language, or a filter of datatrove's."""
    of_rules = {limit.reason for limit in limits}
    return [
        row
        | {
            "given_by": "rule"
            if row["reason"] in of_rules
            else "language"
            if row["reason"].startswith("language_")
            else "filter"
        }
        for row in facts.overlaps.reasons(facts.names)
    ]


def _measures(judged: Judged, settings: Curate | None) -> list[Row]:
    """Those that decide first, in the order of the rules."""
    numbers = {name: bars.numbers() for name, bars in judged.bars.items()}
    names = [name for name, one in numbers.items() if one["measured"] or name not in SCORES]
    names = [name for name in names if name != "language_score"]
    decide = [limit.measure for limit in judged.limits if limit.measure in names]
    about = _about(settings)
    return [
        {"measure": name, "bounds": [one.numbers() for one in judged.limits if one.measure == name]}
        | about.get(name, {})
        | numbers[name]
        for name in dict.fromkeys([*decide, *names])
    ]


def _about(settings: Curate | None) -> dict[str, Row]:
    """Unit, meaning and origin of every measure."""
    if settings is None:
        return {}
    from curate.taken import taken

    return {
        name: {"unit": one.unit, "meaning": one.meaning, "defined_by": one.source}
        for name, one in taken(settings).items()
    }


@dataclass(frozen=True, slots=True)
class _Drawn:
    """The sections that show documents."""

    facts: Facts
    judged: Judged
    clusters: Found
    removed: Picked
    quarantine: Picked
    leaked: Picked
    matches: list[Match]
    near: dict[tuple[int, str], list[Row]]
    shown: Shown

    @classmethod
    def of(cls, run: Path, facts: Facts, judged: Judged, presidio: bool) -> _Drawn:
        """Chooses the rows, and fetches them together."""
        names = facts.names
        removed = facts.removed.by_name(names, ("stage", "reason", "source"))
        quarantine = facts.quarantined.by_name(names, ("source", "stage", "reason"))
        quarantine = _spread(quarantine, QUARANTINED_SHOWN)
        leaked = _spread(facts.leaked.by_name(names, ("reason", "source")), EVIDENCE_SHOWN)
        clusters = facts.clusters.found(names)
        matches = clusters.matches()
        busiest = judged.busiest(NEAR_SHOWN)
        wanted = {row: 0 for part in (*quarantine.values(), *leaked.values()) for row in part}
        for place, (_, _, documents) in enumerate(busiest):
            wanted |= {one.row: EXCERPT_CHARS if place < NEAR_TEXTS else wanted.get(one.row, 0) for one in documents}
        wanted |= {row: EXCERPT_CHARS for part in removed.values() for row in part}
        shown = show(run, wanted, {match.row: MATCH_CHARS for match in matches}, presidio)
        near = {
            (limit, source): [
                {"value": one.value, "passes": not one.fails}
                | shown.row(one.row, "id", "fate", "reason")
                | {"excerpt": _excerpt(shown, one.row)}
                for one in documents
            ]
            for limit, source, documents in busiest
        }
        return cls(facts, judged, clusters, removed, quarantine, leaked, matches, near, shown)

    def removals(self, fates: list[Row]) -> list[Row]:
        return [
            {key: row[key] for key in ("stage", "reason", "source", "documents", "bytes")}
            | {
                "examples": [
                    self.shown.row(one, "id", "path", "position", "evidence") | {"excerpt": _excerpt(self.shown, one)}
                    for one in self.removed[row["stage"], row["reason"], row["source"]]
                ]
            }
            for row in rolled((row for row in fates if row["fate"] == "removed"), "stage", "reason", "source")
        ]

    def quarantined(self, fates: list[Row]) -> dict[str, Any]:
        rows = rolled((row for row in fates if row["fate"] == "quarantined"), "source", "stage", "reason")
        shown = [self.shown.row(one, *COLUMNS) for part in self.quarantine.values() for one in part]
        return {
            "documents": sum(row["documents"] for row in rows),
            "by_reason": [
                {key: row[key] for key in ("source", "stage", "reason", "documents", "bytes")} for row in rows
            ],
            "shown": sorted(shown, key=lambda row: (row["source"], row["path"] or "", row["position"] or 0, row["id"])),
        }

    def contamination(self, fates: list[Row]) -> dict[str, Any]:
        rows = rolled((row for row in fates if row["stage"] == "contamination"), "reason", "source")
        return {
            "by_reason": [{key: row[key] for key in ("reason", "source", "documents")} for row in rows],
            "shown": [
                self.shown.row(one, "id", "reason", "evidence")
                for one in sorted(chain.from_iterable(self.leaked.values()))
            ],
        }

    def duplicates(self) -> dict[str, Any]:
        shown = []
        for match in self.matches:
            row = self.shown.row(match.row, "id", "source", "reason", *MATCHED)
            left, right = (self.shown.texts.get(row[name] or "") for name in ("duplicate_of", "id"))
            about = {name: value for name, value in asdict(match).items() if name != "row"}
            shown.append(row | about | {"left": left, "right": right})
        return self.clusters.numbers() | {"shown": shown}

    def rules(self, limits: Sequence[Limit]) -> list[Row]:
        return [limit.numbers() | self._refused(limit) for limit in limits]

    def language(self) -> dict[str, Any]:
        score = self.judged.bars.get("language_score")
        bounds = [limit for limit in self.judged.limits if limit.measure == "language_score"]
        return {
            "by_source": languages_by_source(self.facts),
            "scores": {"bounds": [one.numbers() for one in bounds], **(score.numbers() if score else {"measured": 0})},
            "rules": [limit.numbers() | self._refused(limit) for limit in bounds],
        }

    def _refused(self, limit: Limit) -> dict[str, Any]:
        """What a bound refuses, and by source the documents nearest to it."""
        if limit not in self.judged.limits:  # on a measure that this ledger lacks
            return {"failed": 0, "alone": 0, "by_source": {}}
        place = list(self.judged.limits).index(limit)
        found = self.judged.failing(place)
        for source, one in found["by_source"].items():
            one["near"] = self.near.get((place, source), [])
        return found


def _spread(picked: Picked, at_most: int) -> Picked:
    """As many of each group as leave room for all of them."""
    each = max(1, at_most // max(1, len(picked)))
    return {names: rows[:each] for names, rows in list(picked.items())[:at_most]}


def _excerpt(shown: Shown, number: int) -> str | None:
    text = shown.texts.get(shown.rows[number]["id"])
    return None if text is None else text[:EXCERPT_CHARS]
