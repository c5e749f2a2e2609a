"""The model card: what the model is made of, from the recipe and the run, for people and for the hub."""

from __future__ import annotations

import yaml

from curate.shards.corpus import read_manifest
from pipelines.corpora import replay_folders
from pipelines.folder import RunFolder
from pipelines.recipe import Recipe
from pretrain.settings import Base


def model_card(recipe: Recipe, run: RunFolder) -> str:
    """README.md of the model folder."""
    assert recipe.train is not None
    scratch = isinstance(recipe.train.base, Base)
    replay = recipe.train.replay if replay_folders(recipe, run) else 0.0
    begun = "Trained from random weights" if scratch else f"Continued from {recipe.train.base}"
    front = {"library_name": "transformers", "pipeline_tag": "text-generation", "tags": ["postgrad"]}
    manifest = read_manifest(run.shards / "domain")["splits"]["train"]
    lines = [
        f"# {recipe.name}",
        "",
        f"{begun} on {manifest['documents']:,} documents ({manifest['tokens']:,} tokens) of curated",
        f"domain text, with {100 * replay:g}% of the tokens replayed from general text." if replay else "domain text.",
        "",
        "| source | documents | tokens |",
        "|---|---|---|",
        *[f"| {name} | {one['documents']:,} | {one['tokens']:,} |" for name, one in manifest["sources"].items()],
        "",
        "What the training changed on held-out text stands in the run's `evaluation.json` and `report.html`.",
    ]
    return "---\n" + yaml.safe_dump(front, sort_keys=False) + "---\n\n" + "\n".join(lines) + "\n"
