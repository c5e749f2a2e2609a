"""What each rule costs each source: the figures that a preset for a new kind of text should rest on.

    ledger (all measures, all reasons) ─▶ per source and rule: judged, failed, failed by it alone, shared, quantiles
                                       ─▶ documents nearest to the bound, and where in them the rule looks
                                       ─▶ a table on stdout, RUN/audit.json, RUN/audit.md

A rule that many documents fail and no other rule does is where heuristics made for the web meet a text they were not
made for: statutes, citations, tables of doses. `--preset` audits rules that the run was not judged by, from the
recorded measures. Texts are read for the samples only; personal data in them is masked, for an audit travels farther
than a corpus.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from curate.plugins import nearest_hint
from curate.rules import as_dicts, preset
from curate.shards.fault import Fault
from curate.shards.seal import write_json
from pipelines.audit_pages import markdown, table
from pipelines.folder import RunFolder
from pipelines.report.ledger import Bools, Chunk, Names, chunks, columns_of, rows, texts
from pipelines.report.limits import Limit, limits_of
from pipelines.report.shown import LONGEST_SPAN, without_personal_data
from pipelines.rule_excerpts import LOOKED_AT, Excerpts
from pipelines.rule_tallies import Tally

Found = dict[str, Any]
COLUMNS = ("id", "source", "fate", "stage", "language", "n_bytes", "reasons")
SHARED_SHOWN = 5
TEXTS_AT_ONCE = 400


@dataclass(frozen=True, slots=True)
class Asked:
    """What of a run is audited. Empty: all of it, by the rules that judged it."""

    sources: tuple[str, ...] = ()
    rules: tuple[str, ...] = ()  # reasons or measures
    presets: tuple[str, ...] = ()
    samples: int = 3


def audit(run: RunFolder, asked: Asked) -> str:
    """Writes audit.json and audit.md into the run folder; the table for the terminal is returned.

    Raises Fault for sources and rules that the run has not, and for presets whose measures it did not take.
    """
    limits = _limits(run.path, asked.presets)
    tallies = _tallies(run.path, limits, asked)
    _require(asked.sources, tallies, "source")
    every = {name for tally in tallies.values() for limit in tally.limits for name in (limit.reason, limit.measure)}
    _require(asked.rules, every, "rule")
    found = {
        "judged_by": list(asked.presets) or ["the rules of the run"],
        "sources": [_source(name, tally, asked) for name, tally in sorted(tallies.items()) if _is_asked(name, asked)],
    }
    _tell_samples(run, found)
    write_json(run.path / "audit.json", found)
    (run.path / "audit.md").write_text(markdown(found), encoding="utf-8")
    return table(found)


# -- which limits, and what they meet


def _limits(run: Path, presets: Sequence[str]) -> list[Limit]:
    if presets:
        limits = limits_of(as_dicts(preset(presets)))
        if missing := sorted({limit.measure for limit in limits} - set(columns_of(run))):
            raise Fault(
                f"this run did not measure {', '.join(missing)}",
                where=str(run / "curated" / "ledger"),
                hint="curate with the families that do: curate.measures, and --fresh",
            )
        return limits
    judged = json.loads((run / "curated" / "report.json").read_text(encoding="utf-8"))["rules"]
    return [
        Limit(
            *(one[name] for name in ("measure", "bound", "value", "reason", "source")),
            *(tuple(one.get(name) or ()) for name in ("only_languages", "except_languages", "sources")),
        )
        for one in judged
    ]


def _tallies(run: Path, limits: Sequence[Limit], asked: Asked) -> dict[str, Tally]:
    tallies: dict[str, Tally] = {}
    names = Names()
    given = {limit.reason for limit in limits}
    columns = [*COLUMNS, *dict.fromkeys(limit.measure for limit in limits)]
    for chunk in chunks(run, columns, names):
        readable = ~chunk.has("fate", "quarantined")
        recorded = {} if asked.presets else _recorded(chunk, given)
        for source in np.unique(chunk.codes("source")).tolist():
            where = readable & (chunk.codes("source") == source)
            name = names.name("source", source)
            if name not in tallies:
                its = [limit for limit in limits if not limit.sources or name in limit.sources]
                tallies[name] = Tally(its, asked.samples)
            part = Chunk(0, chunk.table.filter(where), names)
            its_own = {reason: failed[where] for reason, failed in recorded.items() if failed[where].any()}
            tallies[name].add(part, chunk.first + np.flatnonzero(where), its_own)
    return tallies


def _recorded(chunk: Chunk, given: set[str | None]) -> dict[str, Bools]:
    """Which documents the ledger refuses for a reason that no limit gives: their language, a datatrove filter."""
    places, codes, _ = chunk.reasons()
    judged = chunk.has("stage", "judge")[places]
    known = chunk.names.of("reasons")
    found = {}
    for code in np.unique(codes[judged]).tolist():
        if known[code] not in given:
            found[known[code]] = failed = np.zeros(len(chunk), np.bool_)
            failed[places[judged & (codes == code)]] = True
    return found


def _require(asked: Sequence[str], known: Mapping[str, Any] | set[Any], what: str) -> None:
    for name in asked:
        if name not in known:
            have = sorted(one for one in known if one)
            hint = nearest_hint(name, have) or f"known: {', '.join(have)}"
            raise Fault(f"this run has no {what} called {name!r}", where=f"--{what}", hint=hint)


def _is_asked(source: str, asked: Asked) -> bool:
    return not asked.sources or source in asked.sources


# -- what is said of them


def _source(name: str, tally: Tally, asked: Asked) -> Found:
    rules = [
        _rule(tally, place)
        for place, limit in enumerate(tally.limits)
        if not asked.rules or {limit.reason, limit.measure} & set(asked.rules)
    ]
    return {
        "source": name,
        "documents": tally.documents,
        "bytes": tally.n_bytes,
        "removed": tally.removed,
        "removed_bytes": tally.removed_bytes,
        "rules": sorted(rules, key=lambda rule: (-rule["alone"], -rule["failed"])),
    }


def _rule(tally: Tally, place: int) -> Found:
    limit = tally.limits[place]
    told = limit.numbers() if limit.measure else {"reason": limit.reason, "measure": "", "bound": "", "value": None}
    return {
        **told,
        **tally.counts(place),
        "shared": [{"reason": reason, "documents": n} for reason, n in tally.shared(place)[:SHARED_SHOWN]],
        "quantiles": tally.quantiles(place),
        "one_percent": tally.one_percent(place),
        "samples": {
            side: [{"row": row, "also_others": others} for row, others in tally.nearest(place, failed=failed)]
            for side, failed in (("failed", True), ("passed", False))
        },
    }


def _tell_samples(run: RunFolder, found: Found) -> None:
    """Puts id, value and excerpt in place of row numbers."""
    samples = [
        (rule, sample)
        for source in found["sources"]
        for rule in source["rules"]
        for side in rule["samples"].values()
        for sample in side
    ]
    columns = ["id", "fate", *dict.fromkeys(rule["measure"] for rule, _ in samples if rule["measure"])]
    told = rows(run.path, {sample["row"] for _, sample in samples}, columns)
    for rule, sample in samples:
        row = told[sample.pop("row")]
        value = row[rule["measure"]] if rule["measure"] else None
        sample |= {"id": row["id"], "fate": row["fate"], "value": value, "excerpt": None}
    _tell_excerpts(run, samples)


def _tell_excerpts(run: RunFolder, samples: Sequence[tuple[Found, Found]]) -> None:
    settings = run.recipe().curate
    excerpts = Excerpts(settings.measures)
    of_text: dict[str, list[tuple[Found, Found]]] = {}
    for rule, sample in samples:
        of_text.setdefault(sample["id"], []).append((rule, sample))
    names = sorted(of_text)
    for first in range(0, len(names), TEXTS_AT_ONCE):
        stored = texts(run.path, dict.fromkeys(names[first : first + TEXTS_AT_ONCE], LOOKED_AT + LONGEST_SPAN))
        for id, text in zip(stored, without_personal_data(stored.values(), settings.pii.presidio), strict=True):
            for rule, sample in of_text[id]:
                sample["excerpt"] = excerpts.of(text[:LOOKED_AT], rule["measure"], rule["bound"] == "at_least")
