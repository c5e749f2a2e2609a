"""What two runs are compared by, and the command that makes one in a process of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

from curate.shards.seal import checksums
from pipelines import recipe as recipes
from pipelines.folder import RunFolder
from pipelines.recipe import Recipe
from pretrain.metrics import read_metrics

TESTS = Path(__file__).parent
ROOT = TESTS.parent.parent
TIMES = ("seconds", "tokens_per_second")


def weights(run: RunFolder) -> dict[str, str]:
    """sha256 of every file of the model, by name."""
    return checksums(run.model)


def metrics(run: RunFolder) -> list[dict[str, Any]]:
    """Lines of metrics.jsonl without what a clock says."""
    lines = read_metrics(run.training / "metrics.jsonl")
    return [{name: value for name, value in line.items() if name not in TIMES} for line in lines]


def only_curated(run: RunFolder, runs: Path) -> RunFolder:
    """A copy below `runs` in which nothing was trained yet."""
    copy = RunFolder(runs / run.path.name)
    for part in ("curated", "shards", "tokenizer"):
        shutil.copytree(run.path / part, copy.path / part)
    return copy


def write_recipe(recipe: Recipe, folder: Path) -> Path:
    path = folder / f"{recipe.name}.yaml"
    path.write_text(recipes.dump(recipe), encoding="utf-8")
    return path


def postgrad(*arguments: str, at: Path, before: str = "") -> subprocess.CompletedProcess[str]:
    """`postgrad ...` in the folder `at`, in a process of its own, after the lines of Python in `before`."""
    return python(f"{textwrap.dedent(before)}\nfrom pipelines.cli import main\nmain()", *arguments, at=at)


def python(script: str, *arguments: str, at: Path) -> subprocess.CompletedProcess[str]:
    """A script in a process of its own, with one thread, as `one_thread` has it here."""
    paths = os.pathsep.join(map(str, (ROOT, TESTS)))
    environment = {**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", textwrap.dedent(script), *arguments]
    return subprocess.run(command, cwd=at, env=environment, capture_output=True, text=True, check=False)
