"""The run folder: where everything a run makes has its place."""

from __future__ import annotations

import fcntl
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from curate.shards.fault import Fault
from pipelines import recipe as recipes
from pipelines.recipe import Recipe


@dataclass(frozen=True, slots=True)
class RunFolder:
    """`runs/<name>`. `work/` holds the passes' own files: deleting it costs time, nothing else."""

    path: Path

    @classmethod
    def of(cls, recipe: Recipe, runs: Path) -> RunFolder:
        return cls(runs / recipe.name)

    @classmethod
    def existing(cls, path: Path) -> RunFolder:
        """A run that somebody names on the command line."""
        if not (path / "recipe.yaml").is_file():
            raise Fault(f"{path} is not a run folder: it has no recipe.yaml", hint="name a folder such as runs/<name>")
        return cls(path)

    @property
    def work(self) -> Path:
        return self.path / "work"

    @property
    def curated(self) -> Path:
        return self.path / "curated"

    @property
    def shards(self) -> Path:
        return self.path / "shards"

    @property
    def tokenizer(self) -> Path:
        return self.path / "tokenizer"

    @property
    def training(self) -> Path:
        return self.path / "training"

    @property
    def model(self) -> Path:
        return self.training / "model"

    @property
    def evaluation(self) -> Path:
        return self.path / "evaluation.json"

    @property
    def report(self) -> Path:
        return self.path / "report.html"

    @property
    def recipe_file(self) -> Path:
        return self.path / "recipe.yaml"

    def write_recipe(self, recipe: Recipe) -> None:
        self.path.mkdir(parents=True, exist_ok=True)
        self.recipe_file.write_text(recipes.dump(recipe), encoding="utf-8")

    def recipe(self) -> Recipe:
        return recipes.load(str(self.recipe_file))

    @contextmanager
    def in_use(self) -> Iterator[None]:
        """Keep other processes from working in this folder at the same time. Raises Fault where one does."""
        self.path.mkdir(parents=True, exist_ok=True)
        with (self.path / ".lock").open("w") as lock:
            try:
                fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # not flock: children would inherit it and outlive us
            except (BlockingIOError, PermissionError):
                raise Fault(
                    f"another process is at work in {self.path}", hint="wait for it, or give the recipe another name"
                ) from None
            yield

    def log(self, **event: Any) -> None:
        """One line in stages.jsonl: what took how long, and how much memory. The only file that holds times."""
        self.path.mkdir(parents=True, exist_ok=True)
        with (self.path / "stages.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(event) + "\n")
