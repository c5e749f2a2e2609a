"""`postgrad export`: a run's shards for trainers that read something else, below a folder or any fsspec URL."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import fsspec

from curate.plugins import plugin
from curate.shards.corpus import ShardSplit
from curate.shards.export import Exporter, export_split
from curate.shards.fault import Fault
from pipelines.corpora import corpora
from pipelines.folder import RunFolder
from pipelines.progress import say
from pipelines.remote_shards import put_shards

AS_THEY_ARE = "shards"  # Arrow files that `datasets` and train.shards read


def export(run: RunFolder, to: str, out: str, only: list[str]) -> str:
    """Every split of every corpus (or of those named), written, read back and put in place; where they lie."""
    chosen = [folder for folder in corpora(run) if not only or folder.name in only]
    if unknown := sorted(set(only) - {folder.name for folder in chosen}):
        there = ", ".join(folder.name for folder in corpora(run))
        raise Fault(f"the run has no corpus {unknown[0]!r}", where=str(run.shards), hint=f"it has {there}")
    files, root = fsspec.core.url_to_fs(out)
    if files.exists(root) and files.ls(root):
        raise Fault("there is something already", where=out, hint="name a folder that is empty or not there yet")
    is_local = "file" in (files.protocol if isinstance(files.protocol, tuple) else (files.protocol,))
    if to == AS_THEY_ARE:
        return put_shards(chosen, out)
    exporter: Exporter = plugin("curate.exports", to)()
    beside = Path(root).parent if is_local else None
    if beside is not None:
        beside.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=beside, prefix=".export-") as made:
        for corpus in chosen:
            for folder in sorted(path.parent for path in corpus.glob("*/state.json")):
                _one(ShardSplit.open(folder), exporter, Path(made) / corpus.name / folder.name, out)
        if beside is not None:
            shutil.copytree(made, root, dirs_exist_ok=True)
        else:
            files.put(made + "/", root, recursive=True)
    return out


def _one(split: ShardSplit, exporter: Exporter, place: Path, out: str) -> None:
    paths = export_split(split, exporter, place)
    size = sum(path.stat().st_size for path in paths)
    where = Path(out) / place.parent.name / place.name
    say(f"exported     {len(split):,} documents, {split.n_tokens:,} tokens, {size:,} bytes, read back and equal")
    say(f"             {exporter.how_to_load(where)}")
