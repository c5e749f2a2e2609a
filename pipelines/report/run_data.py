"""What a run folder holds for the page, read once; whatever is absent is None, and the panels say so."""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
from dataclasses import dataclass
from pathlib import Path
from typing import Any

LIBRARIES = ("postgrad", "torch", "transformers", "tokenizers", "datasets", "datatrove", "pyarrow", "numpy", "numba")


@dataclass(frozen=True, slots=True)
class RunData:
    run: Path
    name: str
    curation: dict[str, Any] | None
    """curated/report.json: what `curation_numbers` gave."""
    evaluation: dict[str, Any] | None
    metrics: list[dict[str, Any]]
    """Lines of training/metrics.jsonl, in order."""
    manifests: dict[str, dict[str, Any]]
    """shards/<corpus>/manifest.json by corpus."""
    token_ledger: dict[str, Any] | None
    stages: list[dict[str, Any]]
    """Lines of stages.jsonl: what took how long. A stage that was done again stands with its last line."""
    recipe: str | None
    environment: dict[str, Any]


def read_run(run: Path) -> RunData:
    return RunData(
        run=run,
        name=run.resolve().name,
        curation=_json(run / "curated" / "report.json"),
        evaluation=_json(run / "evaluation.json"),
        metrics=_lines(run / "training" / "metrics.jsonl"),
        manifests={path.parent.name: _json(path) or {} for path in sorted(run.glob("shards/*/manifest.json"))},
        token_ledger=_json(run / "training" / "token_ledger.json"),
        stages=list({line.get("stage"): line for line in _lines(run / "stages.jsonl")}.values()),
        recipe=(run / "recipe.yaml").read_text(encoding="utf-8") if (run / "recipe.yaml").exists() else None,
        environment=_json(run / "training" / "environment.json") or _environment(),
    )


def _json(path: Path) -> dict[str, Any] | None:
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None


def _lines(path: Path) -> list[dict[str, Any]]:
    """The whole lines: a run that was killed may have left half of the last one."""
    found = []
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else []:
        try:
            found.append(json.loads(line))
        except json.JSONDecodeError:
            continue
    return found


def _environment() -> dict[str, Any]:
    """Of the machine that writes the page; versions come from metadata, nothing is imported."""
    found: dict[str, Any] = {"python": platform.python_version(), "system": platform.system()}
    found |= {"machine": platform.machine(), "cores": os.cpu_count()}
    for library in LIBRARIES:
        try:
            found[library] = importlib.metadata.version(library)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found
