"""An index folder: it appears whole or not at all, and grows by segments that never change.

    published/
      manifest.json        what sketches are made by, every segment with what it holds and the sha256 of its files
      segment-00000/       the corpus it was built from (curate/index/segment.py)
      segment-00001/       last month's

A segment is written beside its place and renamed, then the manifest is replaced in one rename: whoever reads meanwhile
sees the index before or after, and what a crash leaves is no part of it. A document whose id stands in the index with
the same text is not entered again; an id that comes with another text is, under the same name.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from curate.index.names import Seen, names
from curate.index.segment import Segment, SegmentWriter, damaged
from curate.index.sketches import Sketches, SketchRecipe, require_same
from curate.shards.fault import Fault
from curate.shards.seal import MANIFEST, begin, digest, end, put_in_place, sha256, write_json
from curate.text import Int64s, TextBatch

KIND = "postgrad index"
FORMAT = 1
Texts = Iterable[tuple[pa.LargeStringArray, TextBatch]]


@dataclass(frozen=True, slots=True)
class Origin:
    """Documents to enter together, and where they come from."""

    told: dict[str, Any]
    texts: Texts


@dataclass(frozen=True, slots=True)
class Grown:
    manifest: dict[str, Any]
    entered: int
    already_there: int


@dataclass(frozen=True, slots=True)
class Index:
    path: Path
    recipe: SketchRecipe
    carries_sets: bool
    segments: tuple[Segment, ...]
    first: Int64s  # (segments + 1,) number of each one's first document

    @classmethod
    def open(cls, path: Path, *, verify: bool = False) -> Index:
        """Fault where there is none, or it is damaged. Sizes of files are compared always, contents with `verify`."""
        manifest = read_manifest(path)
        for one in manifest["segments"]:
            _require_whole(path / one["name"], one["files"], verify)
        recipe = SketchRecipe.from_json(manifest["sketches"])
        require_same(manifest["sketches"], recipe.as_json(), str(path), "this version")
        return _over(path, recipe, manifest["shingle_sets"], [one["name"] for one in manifest["segments"]])

    def __len__(self) -> int:
        return int(self.first[-1])

    def ids(self, documents: Int64s) -> pa.LargeStringArray:
        """The ids of documents, by their numbers in the index."""
        parts, places = [pa.array([], pa.large_string())], [np.zeros(0, np.int64)]
        for segment, rows, here in self.parted(documents):
            parts.append(segment.ids.take(rows))
            places.append(here)
        back = np.argsort(np.concatenate(places), kind="stable")
        return pa.concat_arrays(parts).take(pa.array(back))

    def values(self, name: str, documents: Int64s) -> np.ndarray:
        """Rows of an array of the segments: keys, signatures or sizes."""
        array = getattr(self.segments[0], name)
        rows = np.empty((len(documents), *array.shape[1:]), array.dtype)
        for segment, there, here in self.parted(documents):
            rows[here] = getattr(segment, name)[there]
        return rows

    def parted(self, documents: Int64s) -> Iterator[tuple[Segment, Int64s, Int64s]]:
        """(segment, the documents' rows in it, their places among `documents`)."""
        number = np.searchsorted(self.first, documents, side="right") - 1
        for at, segment in enumerate(self.segments):
            here = np.flatnonzero(number == at)
            if len(here):
                yield segment, documents[here] - self.first[at], here


def read_manifest(path: Path) -> dict[str, Any]:
    """Fault where `path` is no index."""
    hint = "`postgrad index build` makes one from a finished run or from files of documents"
    if not path.exists():
        raise Fault(f"there is no index {path}", hint=hint)
    try:
        manifest: dict[str, Any] = json.loads((path / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        manifest = {}
    if manifest.get("kind") != KIND:
        raise Fault(f"{path} is not an index", hint=hint)
    if manifest["format"] != FORMAT:
        raise Fault(f"{path} is an index of format {manifest['format']}, this version reads {FORMAT}", hint=hint)
    return manifest


def index_digest(path: Path) -> str:
    """A short name for all that an index holds: one that has grown has another."""
    return digest(read_manifest(path))


def build(path: Path, recipe: SketchRecipe, carries_sets: bool, origins: Sequence[Origin]) -> Grown:
    """Make an index of documents, a segment for each origin."""
    if path.exists():
        raise Fault(f"{path} is there already", hint=f"`postgrad index add {path} ...`, or remove it first")
    partial = begin(path, {"index": recipe.as_json()})
    manifest = {"kind": KIND, "format": FORMAT, "sketches": recipe.as_json(), "shingle_sets": carries_sets}
    grown = _grown(partial, manifest | {"documents": 0, "segments": []}, origins)
    if not grown.entered:
        shutil.rmtree(partial)
        raise Fault("there is no document to index", hint="check the paths, and the field that --text names")
    write_json(partial / MANIFEST, grown.manifest)
    end(partial)
    put_in_place(partial, path)
    return grown


def add(path: Path, origins: Sequence[Origin]) -> Grown:
    """Enter more documents."""
    with _alone(path):
        manifest = read_manifest(path)
        for left in [at for at in path.glob("*segment-*") if at.name not in {s["name"] for s in manifest["segments"]}]:
            shutil.rmtree(left)  # of a command that was killed
        grown = _grown(path, manifest, origins)
        if grown.entered:
            write_json(path / MANIFEST, grown.manifest)
        return grown


def _grown(path: Path, manifest: dict[str, Any], origins: Sequence[Origin]) -> Grown:
    """With a segment more for each origin that has something to enter; the manifest is not written."""
    recipe, segments = SketchRecipe.from_json(manifest["sketches"]), list(manifest["segments"])
    entered = already_there = 0
    for origin in origins:
        name = f"segment-{len(segments):05d}"
        known = _over(path, recipe, manifest["shingle_sets"], [one["name"] for one in segments])
        new, old = _write(path, name, known, origin.texts)
        entered, already_there = entered + new, already_there + old
        if new:
            files = sorted((path / name).iterdir())
            about = {file.name: {"bytes": file.stat().st_size, "sha256": sha256(file)} for file in files}
            segments.append({"name": name, "documents": new, "from": origin.told, "files": about})
    documents = sum(one["documents"] for one in segments)
    return Grown(manifest | {"documents": documents, "segments": segments}, entered, already_there)


def _write(path: Path, name: str, known: Index, texts: Texts) -> tuple[int, int]:
    """(documents entered, documents that were there already) of a segment; none is left where nothing was entered."""
    partial, already_there, seen = path / f".{name}.partial", 0, Seen()
    partial.mkdir()
    with SegmentWriter(partial, known.recipe, known.carries_sets) as writer:
        for ids, batch in texts:
            some = Sketches.of(ids, batch, known.recipe)
            new = seen.new(names(some.ids, some.keys))
            for segment in known.segments:
                new[list(segment.holds(some))] = False
            already_there += int((~new).sum())
            writer.add(some if new.all() else some.of_rows(np.flatnonzero(new)))
    if writer.documents:
        os.replace(partial, path / name)
    else:
        shutil.rmtree(partial)
    return writer.documents, already_there


def _over(path: Path, recipe: SketchRecipe, carries_sets: bool, parts: Sequence[str]) -> Index:
    segments = tuple(Segment.open(path / part, carries_sets) for part in parts)
    first = np.concatenate(([0], np.cumsum([len(one) for one in segments], dtype=np.int64))).astype(np.int64)
    return Index(path, recipe, carries_sets, segments, first)


def _require_whole(folder: Path, files: dict[str, Any], verify: bool) -> None:
    for name, about in files.items():
        file = folder / name
        if not file.is_file():
            raise damaged(file, "is missing")
        if file.stat().st_size != about["bytes"]:
            raise damaged(file, f"has {file.stat().st_size:,} bytes in place of {about['bytes']:,}")
        if verify and sha256(file) != about["sha256"]:
            raise damaged(file, "its content is another than the manifest says")


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    read_manifest(path)
    with (path / ".lock").open("w") as lock:
        try:
            fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError):
            raise Fault(f"another process adds to {path}", hint="wait for it") from None
        yield
