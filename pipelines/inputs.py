"""What a recipe's sources point at: files, units of work, and a digest of every file's content."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fsspec
import xxhash

from curate.inputs import InputFile, list_files
from curate.settings import Source
from curate.shards.seal import digest
from curate.streams import open_file
from curate.units import Unit, plan_units
from pipelines.recipe import Recipe


@dataclass(frozen=True, slots=True)
class Inputs:
    """What the recipe's sources point at."""

    files: tuple[tuple[Source, list[InputFile]], ...]

    @classmethod
    def find(cls, recipe: Recipe) -> Inputs:
        return cls(tuple((source, list_files(source, Path.cwd())) for source in recipe.sources))

    def units(self, *, benchmark: bool = False) -> list[Unit]:
        return plan_units((s, files) for s, files in self.files if (s.role == "benchmark") == benchmark)

    def contents(self) -> dict[str, str]:
        """A digest of every file, by source: a renamed, added or edited file is another input."""
        return {source.name: digest(_contents(files)) for source, files in self.files}


def _contents(files: Sequence[InputFile]) -> list[list[Any]]:
    """[path, bytes, content hash] of each file; of objects in a store, what the store says of them."""
    return [[file.path, file.n_bytes, content_hash(file)] for file in files]


def content_hash(file: InputFile) -> str:
    if "://" in file.url:
        store, path = fsspec.core.url_to_fs(file.url)
        return str(store.ukey(path))
    running = xxhash.xxh3_128()
    with open_file(file.url) as stream:
        while block := stream.read(1 << 22):
            running.update(block)
    return running.hexdigest()
