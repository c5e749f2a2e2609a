"""`postgrad export` from a finished run: every corpus and split, to a folder and to a URL."""

from __future__ import annotations

from pathlib import Path

import datasets
import fsspec
import pytest
from typer.testing import CliRunner

from curate.shards.fault import Fault
from pipelines.cli import app
from pipelines.export import export
from pipelines.folder import RunFolder


def test_every_split_of_every_corpus_is_exported(curated: RunFolder, tmp_path: Path) -> None:
    out = tmp_path / "exported"
    done = CliRunner().invoke(app, ["export", str(curated.path), str(out), "--to", "parquet"])
    assert done.exit_code == 0, done.output
    assert done.stdout.splitlines()[-1] == str(out)
    written = {path.relative_to(out).with_suffix("").as_posix() for path in out.rglob("*.parquet")}
    assert written == {
        path.parent.relative_to(curated.shards).as_posix() for path in curated.shards.glob("*/*/state.json")
    }
    shards = datasets.load_from_disk(str(curated.shards / "domain" / "train"))
    table = datasets.Dataset.from_parquet(str(out / "domain" / "train.parquet"), cache_dir=str(tmp_path / "cache"))
    assert table["input_ids"] == shards["input_ids"]


def test_a_url_gets_the_same_files_as_a_folder(curated: RunFolder, tmp_path: Path) -> None:
    export(curated, "megatron", str(tmp_path / "local"), ["domain"])
    export(curated, "megatron", "memory://bucket/exported", ["domain"])
    files = fsspec.filesystem("memory")
    local = {
        path.relative_to(tmp_path / "local").as_posix(): path.read_bytes() for path in (tmp_path / "local").rglob("*.*")
    }
    remote = {name.removeprefix("/bucket/exported/"): files.cat(name) for name in files.find("/bucket/exported")}
    assert remote == local
    assert "domain/train.idx" in local


def test_what_is_there_already_is_left_alone(curated: RunFolder, tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("precious")
    with pytest.raises(Fault, match="there is something already"):
        export(curated, "parquet", str(tmp_path), [])
    with pytest.raises(Fault, match="no corpus 'domian'"):
        export(curated, "parquet", str(tmp_path / "new"), ["domian"])
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]
