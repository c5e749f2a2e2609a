"""An audit in words: the table that the terminal shows, and a Markdown page with the samples."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from pipelines.report.formats import count, number, share, size

Found = dict[str, Any]

HEAD = (
    "rule",
    "bound",
    "judged",
    "fails",
    "alone",
    "bytes alone",
    "p1",
    "p50",
    "p99",
    "1 % beyond",
    "shared most with",
)
NARROW = (0, 1, 3, 4, 5, 9, 10)
"""Columns that a terminal shows."""
NOTE = (
    "alone: documents that fail this rule and no other. 1 % beyond: the bound at which this rule would remove at most "
    "one in a hundred documents of the source. It says what is usual there, not what is right: read the samples."
)
NOT_STORED = "(its text was not stored: curate.removed in the recipe)"


def table(found: Found) -> str:
    """One table per source: the rules that refuse anything, those first that refuse most alone."""
    lines = [f"judged by {', '.join(found['judged_by'])}", ""]
    for source in found["sources"]:
        busy = [rule for rule in source["rules"] if rule["failed"]]
        shown = [[row[at] for at in NARROW] for row in (HEAD, *map(_cells, busy))]
        lines += [headline(source), *(_aligned(shown) if busy else ())]
        idle = dict.fromkeys(rule["reason"] for rule in source["rules"] if not rule["failed"])
        lines += [f"  refuse nothing: {', '.join(idle)}"] if idle else []
        lines.append("")
    return _printable("\n".join([*lines, NOTE]))


def headline(source: Found) -> str:
    gone = f"{count(source['removed'])} removed ({share(source['removed'], source['documents'])})"
    by_size = f"{share(source['removed_bytes'], source['bytes'])} of {size(source['bytes'])}"
    return f"{source['source']}: {count(source['documents'])} documents, {gone}, {by_size}"


def markdown(found: Found) -> str:
    lines = ["# Audit of rules", "", f"Judged by {', '.join(found['judged_by'])}. {NOTE}", ""]
    for source in found["sources"]:
        lines += [f"## {source['source']}", "", headline(source).partition(": ")[2] + ".", ""]
        lines += _rows([HEAD, *map(_cells, source["rules"])])
        for rule in source["rules"]:
            lines += _samples(rule)
    return _printable("\n".join(lines)) + "\n"


def _cells(rule: Found) -> tuple[str, ...]:
    quantiles = rule["quantiles"]
    return (
        rule["reason"],
        bound(rule),
        count(rule["judged"]),
        count(rule["failed"]),
        count(rule["alone"]),
        size(rule["bytes_alone"]),
        *(number(quantiles.get(name)) for name in ("p1", "p50", "p99")),
        number(rule["one_percent"]),
        ", ".join(f"{one['reason']} {count(one['documents'])}" for one in rule["shared"][:1]),
    )


def bound(rule: Found) -> str:
    if not rule["measure"]:
        return "–"
    sign = "≥" if rule["bound"] == "at_least" else "≤"
    only = f" in {', '.join(rule['only_languages'])}" if rule.get("only_languages") else ""
    return f"{rule['measure']} {sign} {number(rule['value'], 6)}{only}"


def _samples(rule: Found) -> Iterator[str]:
    if not rule["failed"]:
        return
    for side, does in (("failed", "fails"), ("passed", "passes")):
        for sample in rule["samples"][side]:
            id = " ".join(sample["id"].replace("`", "'").split())
            value = "" if sample["value"] is None else f", {rule['measure']} = {number(sample['value'], 6)}"
            others = ", and is removed by other rules" if sample["also_others"] else ""
            yield f"`{id}` **{does} {rule['reason']}**{value}{others}"
            yield ""
            yield from (f"    {line}" for line in (sample["excerpt"] or NOT_STORED).splitlines())
            yield ""


def _aligned(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Text to the left, numbers to the right, two spaces between."""
    widths = [max(len(row[at]) for row in rows) for at in range(len(rows[0]))]
    left = {0, 1, len(widths) - 1}
    for row in rows:
        cells = (
            cell.ljust(width) if at in left else cell.rjust(width)
            for at, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        yield ("  " + "  ".join(cells)).rstrip()


def _rows(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """A table in Markdown."""
    head, *body = rows
    yield f"| {' | '.join(head)} |"
    yield "|" + "---|" * len(head)
    yield from (f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |" for row in body)
    yield ""


def _printable(text: str) -> str:
    return "".join(char if char.isprintable() or char in "\n\u00a0" else "�" for char in text)
