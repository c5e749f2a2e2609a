"""Duplicate clusters: how many, how large, how alike, and the matched texts themselves."""

from __future__ import annotations

from typing import Any

from pipelines.report.differences import side_by_side
from pipelines.report.drawings import Axis
from pipelines.report.run_data import RunData


class Duplicates:
    title = "Duplicates"
    anchor = "duplicates"
    absent = "curated/report.json is missing: curate first"

    def context(self, run: RunData) -> dict[str, Any] | None:
        if run.curation is None:
            return None
        found = run.curation["duplicates"]
        axis = Axis(0, max([row["clusters"] for row in found["sizes"]], default=1))
        return {
            "found": found,
            "sizes": [row | {"width": axis.at(row["clusters"])} for row in found["sizes"]],
            "similarity": _similarity(found["similarity"]),
            "matches": [_match(row) for row in found["shown"]],
        }


def _similarity(histogram: dict[str, Any]) -> dict[str, Any] | None:
    """The part of the histogram that holds anything; None where no pair was near."""
    filled = [index for index, documents in enumerate(histogram["documents"]) if documents]
    if not filled:
        return None
    first = max(0, filled[0] - 2)
    return {
        "data": {
            "kind": "histogram",
            "log": False,
            "edges": histogram["edges"][first:],
            "bounds": [],
            "series": [{"label": "near duplicates", "colour": "left", "values": histogram["documents"][first:]}],
        },
        "bins": [
            {"from": histogram["edges"][index], "to": histogram["edges"][index + 1], "n": histogram["documents"][index]}
            for index in filled
        ],
    }


def _match(row: dict[str, Any]) -> dict[str, Any]:
    sides = None
    if row["left"] is not None and row["right"] is not None:
        sides = side_by_side(row["left"], row["right"])
    return row | {"sides": sides, "same": sides is not None and row["left"] == row["right"]}
