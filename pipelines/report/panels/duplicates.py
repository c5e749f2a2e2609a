"""Duplicate clusters: how many, how large, how alike, the matched texts, and what of planted copies was found."""

from __future__ import annotations

from typing import Any

from curate.dedup.bands import candidate_probability
from pipelines.report.differences import side_by_side
from pipelines.report.drawings import Axis
from pipelines.report.run_data import RunData

CURVE = 50  # steps of the drawn curve
FEWEST_PAIRS = 20  # of a bin that is drawn: the interval of fewer is most of the chart


class Duplicates:
    title = "Duplicates"
    anchor = "duplicates"
    absent = "curated/report.json is missing: curate first"

    def context(self, run: RunData) -> dict[str, Any] | None:
        if run.curation is None:
            return None
        found = run.curation["duplicates"]
        axis = Axis(0, max([row["clusters"] for row in found["sizes"]], default=1))
        matches = [_match(row) for row in found["shown"]]
        planted = run.curation.get("planted")
        return {
            "found": found,
            "sizes": [row | {"width": axis.at(row["clusters"])} for row in found["sizes"]],
            "similarity": _similarity(found["similarity"]),
            "matches": {
                "The largest clusters": [match for match in matches if match.get("largest", True)],
                "The least similar pairs of the others": [match for match in matches if not match.get("largest", True)],
            },
            "planted": planted,
            "curve": _curve(planted) if planted and planted["pairs"] else None,
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


def _curve(planted: dict[str, Any]) -> dict[str, Any]:
    """The curve of the setting, and at the mean Jaccard of each bin what was measured."""
    bins = {one["jaccard"]: one for one in planted["bins"] if one["pairs"] >= FEWEST_PAIRS}
    near = {s for s, one in bins.items() if one["from"] >= planted["verify_at_least"] - 1e-9}
    x = sorted({step / CURVE for step in range(CURVE + 1)} | bins.keys())
    return {
        "kind": "lines",
        "fraction": True,
        "xLabel": "Jaccard",
        "x": x,
        "mark": planted["verify_at_least"],
        "series": [
            {
                "label": "share a band, predicted",
                "colour": "other",
                "values": [candidate_probability(s, planted["bands"], planted["rows"]) for s in x],
            },
            {
                "label": "share a band, measured",
                "colour": "kept",
                "points": True,
                **{
                    name: [bins[s]["share_a_band"][share] if s in bins else None for s in x]
                    for name, share in (("values", "share"), ("low", "low"), ("high", "high"))
                },
            },
            {
                "label": "found",
                "colour": "left",
                "values": [bins[s]["found"]["share"] if s in near else None for s in x],
            },
        ],
    }
