"""Train, validation and test: what stands where, and the certificate: what held-out text shares with training text."""

from __future__ import annotations

from typing import Any

from pipelines.report.drawings import Axis
from pipelines.report.formats import number
from pipelines.report.run_data import RunData

ROLE_ORDER = {"domain": 0, "general": 1, "control": 2}
SPLIT_ORDER = {"train": 0, "validation": 1, "test": 2}


class Splits:
    title = "Splits and certificate"
    anchor = "splits"
    absent = "curated/report.json is missing: curate first"

    def context(self, run: RunData) -> dict[str, Any] | None:
        if run.curation is None:
            return None
        certificate = run.curation.get("certificate")
        return {
            "rows": sorted(run.curation["splits"]["rows"], key=_order),
            "crossing": run.curation["splits"]["crossing_clusters"],
            "how": _how(run.curation["split"]) if run.curation.get("split") else None,
            "certificate": certificate,
            "bars": _bars(certificate["distribution"]) if certificate else [],
            "sets": sorted(certificate["sets"], key=_order) if certificate else [],
        }


def _order(row: dict[str, Any]) -> tuple[int, str, int]:
    return ROLE_ORDER.get(row["role"], 9), row.get("source", ""), SPLIT_ORDER.get(row["split"], 9)


def _bars(distribution: list[dict[str, Any]]) -> list[dict[str, Any]]:
    axis = Axis(0, max([row["documents"] for row in distribution], default=1))
    return [row | {"width": axis.at(row["documents"]), "label": _range(row["from"], row["to"])} for row in distribution]


def _range(low: float, high: float) -> str:
    """
    >>> _range(0, 0), _range(0, 0.01), _range(0.1, 0.2)
    ('none of it', 'up to 1 %', '10 % to 20 %')
    """
    if high == 0:
        return "none of it"
    return f"up to {number(100 * high)} %" if low == 0 else f"{number(100 * low)} % to {number(100 * high)} %"


def _how(split: dict[str, Any]) -> list[str]:
    """What is held out, in sentences, from the recipe's `curate.split` and what the split told."""
    by, told = split["settings"]["by"], split["told"]
    if by == "cluster":
        first = "Whole duplicate clusters are held out."
    elif "group" in by:
        first = (
            f"Whole groups by {by['group']} are held out, duplicate clusters with them. "
            f"{told['without_field']:,} documents have no such field and stand alone; the largest group, with the "
            f"clusters that tie it to others, has {told['largest_tie']:,} documents."
        )
    elif "time" in by:
        first = (
            f"The latest text by {by['time']} is held out; a cluster is as old as its earliest copy. "
            f"{told['without_field']:,} documents have no date: those are trained on"
        )
        general = told["dealt_by_cluster"]
        first += f", but for {' and '.join(general)}, without any date, dealt by cluster." if general else "."
    else:
        first = f"Whole sources are held out: {', '.join([*by['validation_sources'], *by['test_sources']])}."
    return [first, *_sizes(split["settings"], by)]


def _sizes(settings: dict[str, Any], by: Any) -> list[str]:
    of = "tokens, reckoned from bytes" if settings["sizes"] == "tokens" else "documents"
    sizes = [
        f"{side} {number(100 * settings[side])} %" if settings[side] < 1 else f"{side} {settings[side]:,.0f}"
        for side in ("validation", "test")
    ]
    each = ", each source its part" if settings["stratified"] else ""
    return [f"Asked for: {' and '.join(sizes)} of the {of}, of the domain and of each general source{each}."]
