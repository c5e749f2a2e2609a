"""Before and after on held-out text: every set with its interval, and what was forgotten."""

from __future__ import annotations

from typing import Any

from pipelines.report.drawings import axis_around_zero
from pipelines.report.formats import number
from pipelines.report.run_data import RunData

ROLE_ORDER = {"domain": 0, "general": 1, "control": 2}


class Result:
    title = "Before and after"
    anchor = "result"
    absent = "evaluation.json is missing: the run has not been evaluated"

    def context(self, run: RunData) -> dict[str, Any] | None:
        if run.evaluation is None:
            return None
        sets = [one | {"name": name} for name, one in run.evaluation["sets"].items()]
        sets.sort(key=lambda one: (ROLE_ORDER.get(one["role"], 9), one["name"]))
        return {
            "sets": sets,
            "lines": [line for one in sets for line in _lines(one)],
            "forest": _forest(sets),
            "verdict": run.evaluation.get("verdict", {}),
            "forgetting": [one | {"relative": _relative(one)} for one in sets if one["role"] == "general"],
            "protocol": _flat(run.evaluation.get("protocol", {})),
        }


def _lines(one: dict[str, Any]) -> list[dict[str, Any]]:
    """A set, and the parts of it that do and don't share long runs of words with training text, if any do."""
    parts = [name for name in ("clean", "touched") if one.get(name)] if one.get("touched") else []
    return [
        one | {"part": ""},
        *(
            one[name] | {"name": one["name"], "role": one["role"], "split": one["split"], "part": name}
            for name in parts
        ),
    ]


def _relative(one: dict[str, Any]) -> float:
    return one["change"]["bits_per_byte"] / one["before"]["bits_per_byte"]


def _forest(sets: list[dict[str, Any]]) -> dict[str, Any]:
    """The changes with their intervals on one axis; a set too small for an interval is a point alone."""
    values = [one["change"]["bits_per_byte"] for one in sets]
    values += [end for one in sets for end in one["change"].get("ci95") or []]
    axis = axis_around_zero(values)
    rows = []
    for one in sets:
        low, high = one["change"].get("ci95") or (None, None)
        rows.append(
            {
                "name": one["name"],
                "role": one["role"],
                "change": one["change"],
                "at": axis.at(one["change"]["bits_per_byte"]),
            }
            | {"low": None if low is None else axis.at(low), "high": None if high is None else axis.at(high)}
        )
    return {"rows": rows, "zero": axis.at(0.0), "ticks": [(axis.at(tick), number(tick)) for tick in axis.ticks()]}


def _flat(protocol: Any, above: str = "") -> list[tuple[str, str]]:
    if not isinstance(protocol, dict):
        return [(above, str(protocol))]
    return [
        line for key, value in protocol.items() for line in _flat(value, f"{above} {key}".strip().replace("_", " "))
    ]
