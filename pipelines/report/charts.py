"""Charts from the numbers of a measure: the data that the page draws, and the table beside it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pipelines.report.formats import number

SOURCES_NAMED = 4


def measured(row: dict[str, Any]) -> dict[str, Any]:
    """A histogram with its bounds; of a measure that was taken of any document."""
    bounds = _bounds(row)
    low, high = row["edges"][0], row["edges"][-1]
    return {
        "name": row["measure"],
        "unit": row.get("unit"),
        "meaning": row.get("meaning"),
        "defined_by": row.get("defined_by"),
        "decides": bool(bounds),
        "says": "; ".join(bound_words(bound) for bound in _alike(bounds)),
        "beyond": list(dict.fromkeys(number(one["value"], 4) for one in bounds if not low <= one["value"] <= high)),
        "below": row["below"],
        "above": row["above"],
        "quantiles": row["quantiles"],
        "bins": [
            {"from": row["edges"][i], "to": row["edges"][i + 1], "kept": kept, "failed": failed, "other": other}
            for i, (kept, failed, other) in enumerate(zip(row["kept"], row["failed"], row["other"], strict=True))
            if kept or failed or other
        ],
        "data": {
            "kind": "histogram",
            "log": row["scale"] == "log",
            "whole": row["scale"] == "counts",
            "edges": [float(f"{edge:.6g}") for edge in row["edges"]],
            "bounds": _drawn(bounds, row["scale"]),
            "series": [
                {"label": "kept", "colour": "kept", "values": row["kept"]},
                {"label": "for this", "colour": "left", "values": row["failed"]},
                {"label": "for something else", "colour": "other", "values": row["other"]},
            ],
        },
    }


def bound_words(bound: dict[str, Any]) -> str:
    """
    >>> bound_words({"bound": "at_least", "value": 50, "sources": ["notes"], "only_languages": ["de"]})
    'at least 50 in de, of notes'
    """
    said = f"{bound['bound'].replace('_', ' ')} {number(bound['value'], 4)}"
    return ", of ".join([said + language_words(bound), *([named(bound["sources"])] if bound.get("sources") else [])])


def language_words(bound: dict[str, Any]) -> str:
    only, but = bound.get("only_languages"), bound.get("except_languages")
    return (f" in {', '.join(only)}" if only else "") + (f" except in {', '.join(but)}" if but else "")


def named(sources: Sequence[str]) -> str:
    """Sources by name, or nearly so where they are many."""
    shown = ", ".join(sources[:SOURCES_NAMED])
    return f"{shown} and {len(sources) - SOURCES_NAMED} more" if len(sources) > SOURCES_NAMED else shown


def _alike(bounds: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Each bound once: where two rules of different sources have the same, with the sources of both."""
    found: dict[tuple[str, float, str], dict[str, Any]] = {}
    for bound in bounds:
        key = (bound["bound"], bound["value"], language_words(bound))
        sources = bound.get("sources") or []
        if key in found and sources and found[key].get("sources"):
            sources = sorted({*found[key]["sources"], *sources})
        elif key in found:
            sources = []  # one of them is for every source
        found[key] = bound | {"sources": sources}
    return list(found.values())


def _bounds(row: dict[str, Any]) -> list[dict[str, Any]]:
    """Reports of before rules could differ by source have one bound on each side."""
    if "bounds" in row:
        found: list[dict[str, Any]] = row["bounds"]
        return found
    sides = ("at_least", "at_most")
    return [{"bound": side, "value": row[side]} for side in sides if row.get(side) is not None]


def _drawn(bounds: Sequence[dict[str, Any]], scale: str) -> list[list[Any]]:
    """Where the lines stand: a bound itself passes, so among counts its line stands beside its bar."""
    beside = {"at_least": -0.5, "at_most": 0.5} if scale == "counts" else {}
    lines = [(one["bound"], one["value"] + beside.get(one["bound"], 0.0)) for one in bounds]
    return [list(line) for line in dict.fromkeys(lines)]
