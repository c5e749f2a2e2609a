"""One document's story in plain text: where it came from, what was measured, who decided, where it stands.

Everything comes from the ledger and the stored texts, so the story is the same one that the report counts. Control
characters of a document are shown as a replacement mark: a text must not move the cursor of the terminal it is read on.
"""

from __future__ import annotations

import difflib
import heapq
import json
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.dataset as ds

from curate.shards.fault import Fault
from pipelines.explain_training import trained_in
from pipelines.folder import RunFolder
from pipelines.report.charts import language_words
from pipelines.report.facts import MIXED, PERSONAL
from pipelines.report.formats import NO_BREAK, count, fixed, number, plural, share
from pipelines.report.ledger import read_rows, texts

EXCERPT_CHARS = 1200
MEMBERS_SHOWN = 20
LABEL_WIDTH = 12

Row = dict[str, Any]


def explain(run: Path, id: str) -> str:
    """The story of the record `id`. Raises Fault, with the nearest ids, where the ledger has none of that name."""
    ledger = read_rows(run)
    rows = ledger.to_table(filter=ds.field("id") == id).to_pylist()
    if not rows:
        raise Fault(f"no record is called {id!r}", where=str(run / "curated" / "ledger"), hint=_nearest(ledger, id))
    row, report = rows[0], _report(run)
    lines = [_headline(row)]
    if row["evidence"]:
        lines.append(f"  {row['evidence']}")
    lines.append("")
    lines += _section("from", [_origin(row)])
    lines += _section("text", [_text_line(row)])
    lines += _section("licence", _licence(row))
    lines += _section("language", _language(row))
    lines += _section("domain", _domain(row, report))
    lines += _section("personal", _personal(row, report))
    lines += _section("measures", _measures(row, report.get("rules", []), ledger.schema))
    lines += _section("filters", _filters(row, report))
    lines += _section("failed", [", ".join(row["reasons"])] if row["reasons"] and row["fate"] == "removed" else [])
    lines += _section("duplicates", _duplicates(row, ledger))
    lines += _section("split", [row["split"]] if row["split"] else [])
    lines += _section("shard", [_shard(row)] if row["shard"] else [])
    lines += _section("trained", trained_in(RunFolder(run), row["shard"], row["row"], id) if row["shard"] else [])
    return _printable("\n".join(lines + _excerpt(run, row)))


def _headline(row: Row) -> str:
    if row["fate"] == "kept":
        return f"{row['id']}: kept"
    return f"{row['id']}: {row['fate']} at {row['stage']}, {row['reason']}"


def _section(label: str, lines: list[str]) -> list[str]:
    """Lines under a label that stands before the first of them; nothing where there are none."""
    return [f"{label if place == 0 else '':<{LABEL_WIDTH}}{line}" for place, line in enumerate(lines)]


def _origin(row: Row) -> str:
    role = f" ({row['role']})" if row.get("role") else ""
    return f"{row['source']}{role}, {row['path']}, position {count(row['position'])}"


def _text_line(row: Row) -> str:
    if row["fate"] == "quarantined":
        return f"not readable; the raw record has {plural(row['n_bytes'], 'byte')}"
    cleaned, trimmed = row.get("bytes_cleaned"), row.get("bytes_trimmed")
    took = f"; the cleaners took {plural(cleaned, 'byte')}" if cleaned else ""
    took += f"; {plural(trimmed, 'byte')} of repeated text were cut" if trimmed else ""
    return f"{plural(row['n_bytes'], 'byte')}, {plural(row['n_chars'], 'character')}{took}"


def _licence(row: Row) -> list[str]:
    consent = f"consent: {row['consent']}" if row.get("consent") else ""
    told = ", ".join(part for part in (row.get("licence"), consent) if part)
    return [told] if told else []


def _language(row: Row) -> list[str]:
    if not row["language"]:
        return [] if row["fate"] == "quarantined" else ["none told"]
    other = row.get(MIXED)
    mixed = f"; another language in {share(other).replace(NO_BREAK, ' ')} of the sampled text" if other else ""
    return [f"{row['language']}, score {fixed(row['language_score'], 2)}{mixed}"]


def _domain(row: Row, report: Row) -> list[str]:
    """The score, and the threshold where it decides; else the one on the classifier's card."""
    score = row.get("domain_score")
    if score is None:
        return []
    judged = [rule for rule in report.get("rules", []) if rule["measure"] == "domain_score" and _is_for(rule, row)]
    card = (report.get("domain") or {}).get("card")
    if judged:
        verdicts = [f"{_bound(rule)}{' FAILS' if _fails(score, rule) else ''}" for rule in judged]
    else:
        verdicts = [f"threshold {number(card['threshold'], 4)}, not judged by it"] if card else []
    return [", ".join([number(score, 4), *verdicts])]


def _personal(row: Row, report: Row) -> list[str]:
    """How much of which kind; what was masked no longer stands in the text."""
    treatments = {one["kind"]: one["treatment"] for one in (report.get("personal") or {}).get("by_kind", [])}
    kinds = {name.removeprefix(PERSONAL): found for name, found in row.items() if name.startswith(PERSONAL) and found}
    told = [
        f"{kind.replace('_', ' ')} {count(found)}" + (f" ({treatments[kind]})" if kind in treatments else "")
        for kind, found in kinds.items()
    ]
    return [", ".join(told)] if told else []


def _filters(row: Row, report: Row) -> list[str]:
    """Reasons that a filter of datatrove's gave."""
    theirs = {one["reason"] for one in report.get("reasons", []) if one["given_by"] == "filter"}
    given = [reason for reason in row["reasons"] or [] if reason in theirs]
    return [f"{', '.join(given)}, of {', '.join(report.get('filters') or ['datatrove'])}"] if given else []


def _report(run: Path) -> Row:
    """The numbers of this run, with the bounds that judged it."""
    path = run / "curated" / "report.json"
    found: Row = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    return found


def _measures(row: Row, rules: list[Row], schema: pa.Schema) -> list[str]:
    names = [
        field.name
        for field in schema
        if field.type == pa.float64() and row[field.name] is not None and not field.name.startswith(PERSONAL)
    ]
    names += [name for name in row if name.startswith(PERSONAL) and any(_judges(rule, name, row) for rule in rules)]
    width = max(map(len, names), default=0)
    lines = []
    for name in names:
        own = [rule for rule in rules if _judges(rule, name, row)]
        bounds = ", ".join(_bound(rule) for rule in own)
        failed = [rule["reason"] for rule in own if _fails(row[name], rule)]
        verdict = "FAILS" if failed else "ok" if own else ""
        reason = f": {failed[0]}" if failed else ""
        lines.append(f"{verdict:<6}{name:<{width}}  {number(row[name], 4):>9}  {bounds}{reason}".rstrip())
    return lines


def _judges(rule: Row, measure: str, row: Row) -> bool:
    return rule["measure"] == measure and row[measure] is not None and _is_for(rule, row)


def _is_for(rule: Row, row: Row) -> bool:
    """A rule may be for some sources and some languages; reports of before that have neither."""
    source, language = row["source"], row["language"]
    only, but = rule.get("only_languages") or [language], rule.get("except_languages") or []
    return source in (rule.get("sources") or [source]) and language in only and language not in but


def _bound(rule: Row) -> str:
    return f"{rule['bound'].replace('_', ' ')} {number(rule['value'], 6)}{language_words(rule)}"


def _fails(value: float, rule: Row) -> bool:
    return value < rule["value"] if rule["bound"] == "at_least" else value > rule["value"]


def _duplicates(row: Row, ledger: ds.Dataset) -> list[str]:
    if row["reason"] == "published_duplicate":
        return [f"matched {row['duplicate_of']}, which is published, similarity {fixed(row['similarity'], 3)}"]
    if not row["cluster"]:
        left_before = row["stage"] in ("read", "clean", "judge", "boilerplate")
        return [] if left_before else ["none"]
    columns = ["id", "fate", "reason", "split", "similarity"]
    members = ledger.to_table(columns=columns, filter=ds.field("cluster") == row["cluster"]).to_pylist()
    others = sorted((member for member in members if member["id"] != row["id"]), key=lambda member: member["id"])
    lines = [f"cluster {row['cluster']}, {plural(len(members), 'document')}"]
    if row["duplicate_of"]:
        lines.append(f"matched {row['duplicate_of']}, similarity {fixed(row['similarity'], 3)}")
    for member in others[:MEMBERS_SHOWN]:
        alike = "" if member["similarity"] is None else f", similarity {fixed(member['similarity'], 3)}"
        became = f"{member['fate']} ({member['split'] or member['reason']})"
        lines.append(f"  {member['id']}: {became}{alike}")
    rest = len(others) - MEMBERS_SHOWN
    return [*lines, f"  and {count(rest)} more"] if rest > 0 else lines


def _shard(row: Row) -> str:
    often = f", trained on {row['weight']} times an epoch" if (row.get("weight") or 1) > 1 else ""
    return f"shards/{row['shard']}, row {count(row['row'])}, {plural(row['tokens'], 'token')}{often}"


def _excerpt(run: Path, row: Row) -> list[str]:
    text = texts(run, {row["id"]: EXCERPT_CHARS}).get(row["id"])
    if text is None:
        return [] if row["fate"] == "quarantined" else ["", "its text was not stored (curate.removed in the recipe)"]
    lines = [part for line in text.splitlines() for part in textwrap.wrap(line, 110) or [""]]
    more = row["n_chars"] - len(text) if row["n_chars"] else 0
    return ["", *(f"  | {line}" for line in lines), *([f"  … {count(more)} more characters"] if more > 0 else [])]


def _printable(text: str) -> str:
    return "".join(char if char.isprintable() or char == "\n" else "�" for char in text)


def _nearest(ledger: ds.Dataset, id: str) -> str:
    """Ids that hold what was given, else those that begin alike and look most like it."""
    holding = [known for known, _ in zip((known for known in _ids(ledger) if id in known), range(3), strict=False)]
    alike = heapq.nlargest(300, _ids(ledger), key=lambda known: (_alike(known, id), known))
    near = holding or difflib.get_close_matches(id, alike, n=3, cutoff=0.3)
    return f"did you mean {', '.join(near)}?" if near else "ids look like <source>/<own id>; the ledger lists them"


def _alike(one: str, other: str) -> int:
    """Characters that both begin with."""
    return next(
        (place for place, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other))
    )


def _ids(ledger: ds.Dataset) -> Iterator[str]:
    for batch in ledger.to_batches(columns=["id"]):
        yield from batch.column(0).to_pylist()
