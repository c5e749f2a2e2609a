"""A whole run, and its headline.

The Python door: `run(load("recipe.yaml"))` does what `postgrad run recipe.yaml` does.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from curate.ledger import FATES
from curate.shards.seal import sealed_with
from pipelines.corpora import require_same_curation
from pipelines.curation import curate
from pipelines.evaluation import check_held_out, evaluate
from pipelines.folder import RunFolder
from pipelines.recipe import Recipe
from pipelines.report.page import write_page
from pipelines.training import refuse_changed, train

RUNS = Path("runs")


def run(recipe: Recipe, *, runs: Path = RUNS, fresh: bool = False) -> RunFolder:
    """Everything the recipe asks for; what is fresh is used again, what was interrupted goes on."""
    folder = begin(recipe, runs, fresh=fresh)
    curate(recipe, folder, fresh=fresh)
    if recipe.train is not None:
        check_held_out(recipe, folder)
        train(recipe, folder, fresh=fresh, resume=not fresh)
        evaluate(recipe, folder, fresh=fresh)
    write_page(folder.path)
    return folder


def begin(recipe: Recipe, runs: Path = RUNS, *, fresh: bool = False) -> RunFolder:
    """The run folder with the resolved recipe in it.

    Raises Fault, and leaves the recipe there as it is, where the folder holds what another recipe made (unless
    `fresh`), or where the base model is not there.
    """
    folder = RunFolder.of(recipe, runs)
    if recipe.train is not None and isinstance(recipe.train.base, str):
        from pretrain.models import check_folder

        check_folder(recipe.train.base)
    if not fresh and sealed_with(folder.curated) is not None:
        require_same_curation(recipe, folder)
        refuse_changed(recipe, folder)
    folder.write_recipe(recipe)
    return folder


def headline(folder: RunFolder) -> str:
    """What the run came to, in a few lines: documents in -> kept, and bits per byte before -> after."""
    return "\n".join(_headline(folder))


def _headline(folder: RunFolder) -> Iterator[str]:
    numbers = json.loads((folder.curated / "report.json").read_text(encoding="utf-8"))
    kept, removed, quarantined = (numbers["fates"].get(fate, 0) for fate in FATES)
    yield (f"documents    {numbers['records']:,} in -> {kept:,} kept, {removed:,} removed, {quarantined:,} quarantined")
    if not folder.evaluation.exists():
        return
    found = json.loads(folder.evaluation.read_text(encoding="utf-8"))
    for name, one in found["sets"].items():
        yield f"{name:<12} {_change(one)}"
    yield found["verdict"]["text"]


def _change(one: dict[str, Any]) -> str:
    before, after, change = one["before"]["bits_per_byte"], one["after"]["bits_per_byte"], one["change"]
    interval = change["ci95"]
    shown = f", 95 % [{interval[0]:+.4f}, {interval[1]:+.4f}]" if interval else ""
    moved = f"{change['bits_per_byte']:+.4f}{shown}"
    return f"{before:.4f} -> {after:.4f} bits per byte ({moved}) on held-out {one['role']} text"
