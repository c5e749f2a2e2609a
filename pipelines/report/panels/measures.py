"""Every measure as a histogram with the bounds that decide, and what each bound refused."""

from __future__ import annotations

from typing import Any

from pipelines.report.formats import number
from pipelines.report.run_data import RunData


class Measures:
    title = "Measures and their bounds"
    anchor = "measures"
    absent = "curated/report.json is missing: curate first"

    def context(self, run: RunData) -> dict[str, Any] | None:
        if run.curation is None or not run.curation["measures"]:
            return None
        charts = [_chart(row) for row in run.curation["measures"] if row["measured"]]
        return {
            "rules": run.curation["rules"],
            "deciding": [chart for chart in charts if chart["decides"]],
            "silent": [chart for chart in charts if not chart["decides"]],
            "never_taken": [row["measure"] for row in run.curation["measures"] if not row["measured"]],
        }


def _chart(row: dict[str, Any]) -> dict[str, Any]:
    bounds = {side: row[side] for side in ("at_least", "at_most") if row[side] is not None}
    outside = {"at_least": lambda bound: bound < row["edges"][0], "at_most": lambda bound: bound > row["edges"][-1]}
    return {
        "name": row["measure"],
        "decides": bool(bounds),
        "says": " and ".join(f"{side.replace('_', ' ')} {number(bound, 4)}" for side, bound in bounds.items()),
        "beyond": [number(bound, 4) for side, bound in bounds.items() if outside[side](bound)],
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
            "edges": [float(f"{edge:.6g}") for edge in row["edges"]],
            "bounds": _drawn(bounds, row["scale"]),
            "series": [
                {"label": "kept", "colour": "kept", "values": row["kept"]},
                {"label": "for this", "colour": "left", "values": row["failed"]},
                {"label": "for something else", "colour": "other", "values": row["other"]},
            ],
        },
    }


def _drawn(bounds: dict[str, float], scale: str) -> dict[str, float]:
    """Where the lines stand: a bound itself passes, so among counts its line stands beside its bar."""
    beside = {"at_least": -0.5, "at_most": 0.5} if scale == "counts" else {}
    return {side: bound + beside.get(side, 0.0) for side, bound in bounds.items()}
