"""The training curves: loss with validation points, learning rate, speed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import fmean
from typing import Any

from pipelines.report.formats import ABSENT, count, fixed, number
from pipelines.report.run_data import RunData

POINTS = 1500
"""More steps than this are averaged in runs of equal length: a screen has no more columns."""
SPEED = ("tokens_per_second", "tokens_per_s")


class Training:
    title = "Training"
    anchor = "training"
    absent = "training/metrics.jsonl is missing or empty: nothing was trained"

    def context(self, run: RunData) -> dict[str, Any] | None:
        steps = {line["step"]: line for line in run.metrics if _value(line, "loss") is not None}
        if not steps:
            return None
        lines = [steps[step] for step in sorted(steps)]  # a resumed run writes a step again: the later line holds
        looks = {line["step"]: _validation(line) for line in run.metrics if _validation(line) is not None}
        width = -(-len(lines) // POINTS)
        speed = next((name for name in SPEED if _value(lines[-1], name) is not None), SPEED[0])
        return {
            "loss": _loss_chart(lines, looks, width),
            "lr": _chart(lines, "lr", "learning rate", width, "lr"),
            "speed": _chart(lines, speed, "tokens per second", width, "other"),
            "averaged": width,
            "facts": _facts(lines, looks, speed),
            "looks": [{"step": step, "loss": loss} for step, loss in sorted(looks.items())],
        }


def _value(line: dict[str, Any], name: str) -> float | None:
    value = line.get(name)
    if not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value):
        return None
    return float(value)


def _validation(line: dict[str, Any]) -> float | None:
    """Under whichever name the line has it: validation_loss, or {"validation": {"loss": …}}."""
    inner = line.get("validation")
    return (
        _value(inner, "loss")
        if isinstance(inner, dict)
        else _value(line, "validation_loss") or _value(line, "validation")
    )


def _loss_chart(lines: list[dict[str, Any]], looks: dict[int, float | None], width: int) -> dict[str, Any]:
    chart = _chart(lines, "loss", "training loss", width, "kept")
    assert chart is not None  # every line that came here has a loss
    at = dict(zip(chart["x"], chart["series"][0]["values"], strict=True))
    x = sorted(set(at) | set(looks))
    chart["x"] = x
    chart["series"][0]["values"] = [at.get(step) for step in x]
    if looks:
        chart["series"].append(
            {"label": "validation loss", "colour": "left", "points": True, "values": [looks.get(step) for step in x]}
        )
    return chart


def _chart(lines: list[dict[str, Any]], name: str, label: str, width: int, colour: str) -> dict[str, Any] | None:
    pairs = [(line["step"], value) for line in lines if (value := _value(line, name)) is not None]
    if not pairs:
        return None
    runs = [pairs[start : start + width] for start in range(0, len(pairs), width)]
    return {
        "kind": "lines",
        "xLabel": "step",
        "x": [run[-1][0] for run in runs],
        "series": [{"label": label, "colour": colour, "values": [_short(fmean(v for _, v in run)) for run in runs]}],
    }


def _short(value: float) -> float:
    return float(f"{value:.6g}")


def _facts(lines: list[dict[str, Any]], looks: dict[int, float | None], speed: str) -> list[tuple[str, str]]:
    speeds = [value for line in lines if (value := _value(line, speed)) is not None]
    tokens = sum(_value(line, "tokens") or 0.0 for line in lines)  # a line counts those of its own step
    return [
        ("optimizer steps", count(lines[-1]["step"])),
        ("tokens seen", count(tokens) if tokens else ABSENT),
        ("training loss, first → last", f"{fixed(lines[0]['loss'], 3)} → {fixed(_mean_of_last(lines), 3)}"),
        ("validation loss, first → last", _ends(looks)),
        ("peak learning rate", number(max((_value(line, "lr") or 0.0) for line in lines))),
        ("median tokens per second", count(sorted(speeds)[len(speeds) // 2]) if speeds else ABSENT),
    ]


def _mean_of_last(lines: Sequence[dict[str, Any]]) -> float:
    """Of the last twentieth, at most 50 steps: one step's loss is mostly noise."""
    return fmean(line["loss"] for line in lines[-max(1, min(50, len(lines) // 20)) :])


def _ends(looks: dict[int, float | None]) -> str:
    return f"{fixed(looks[min(looks)], 3)} → {fixed(looks[max(looks)], 3)}" if looks else ABSENT
