"""Inputs: every file is read once before the run, and units are a function of the files alone."""

from __future__ import annotations

import json
from pathlib import Path

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from curate import streams
from curate.inputs import list_files
from curate.settings import Source
from curate.shards.fault import Fault
from curate.units import read_unit
from pipelines import inputs
from pipelines.inputs import Inputs


@pytest.fixture
def files(tmp_path: Path) -> Path:
    lines = "".join(json.dumps({"text": f"line {number} é"}, ensure_ascii=False) + "\n" for number in range(300))
    (tmp_path / "a.jsonl").write_text("\ufeff" + lines, encoding="utf-8")
    (tmp_path / "b.txt").write_text("one document " * 300)
    pq.write_table(
        pa.table({"text": [f"row {number}" for number in range(200)]}), tmp_path / "c.parquet", row_group_size=9
    )
    (tmp_path / "d.jsonl").write_text(lines.replace("line", "other"))
    return tmp_path


def found(folder: Path, unit_bytes: int) -> Inputs:
    source = Source(name="s", path=str(folder))
    return Inputs(((source, list_files(source, folder)),), unit_bytes)


def rows(of: Inputs) -> list[dict]:
    return [row for unit in of.units() for batch in read_unit(unit) for row in batch.to_pylist()]


def test_the_size_of_units_changes_no_record(files: Path) -> None:
    expected = rows(found(files, 1 << 30))
    assert len(expected) == 300 + 1 + 200 + 300
    for unit_bytes in (1, 100, 999, 4096, 20_000):
        many = found(files, unit_bytes)
        assert len(many.units()) >= 2
        assert rows(many) == expected
    assert len(found(files, 1000).units()) > 15


def test_a_digest_does_not_depend_on_the_units(files: Path) -> None:
    digests = {found(files, unit_bytes).contents()["s"] for unit_bytes in (1, 100, 4096, 1 << 30)}
    assert len(digests) == 1
    (files / "b.txt").write_text("another document " * 300)
    assert found(files, 100).contents()["s"] not in digests


def test_every_file_is_read_once_for_digest_and_units(files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looked = []
    monkeypatch.setattr(inputs, "look", lambda file, *rest: looked.append(file.path) or LOOK(file, *rest))
    one = found(files, 100)
    one.contents()
    one.units()
    assert sorted(looked) == ["a.jsonl", "b.txt", "c.parquet", "d.jsonl"]


LOOK = inputs.look


def test_digests_are_those_of_the_bytes_however_they_are_read(files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small = found(files, 1 << 30).contents()
    monkeypatch.setattr(inputs, "SMALL_FILE", 0)
    monkeypatch.setattr(inputs, "BLOCK", 37)
    assert found(files, 1 << 30).contents() == small
    assert rows(found(files, 500)) == rows(found(files, 1 << 30))


def test_in_a_store_tables_have_parts_and_lines_are_left_whole(files: Path) -> None:
    store = fsspec.filesystem("memory")
    for name in ("a.jsonl", "c.parquet"):
        store.pipe(f"/big-files/{name}", (files / name).read_bytes())
    source = Source(name="s", path="memory://big-files")
    many = Inputs(((source, list_files(source, files)),), 100)
    assert [file.span is None for unit in many.units() for file in unit.files][:2] == [True, False]
    texts = [row["text"] for row in rows(many)]
    assert texts == [row["text"] for row in rows(found(files, 1 << 30)) if row["path"] in ("a.jsonl", "c.parquet")]


@pytest.mark.parametrize("small", [0, streams.SMALL_FILE])
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda path: path.unlink(), "cannot .* a source file: No such file"),
        (lambda path: path.write_bytes(path.read_bytes()[:-10]), "bytes, and had .* when it was listed"),
        (lambda path: path.write_bytes(path.read_bytes() + b"more"), "bytes, and had .* when it was listed"),
    ],
)
def test_a_file_that_changes_under_way_is_named_and_the_run_can_go_on(
    files: Path, monkeypatch: pytest.MonkeyPatch, change: object, message: str, small: int
) -> None:
    monkeypatch.setattr("curate.inputs.SMALL_FILE", small)
    monkeypatch.setattr(inputs, "SMALL_FILE", small)
    for look_first in (True, False):
        path = files / "a.jsonl"
        content = path.read_bytes()
        one = found(files, 1000 if look_first else 1 << 30)
        units = one.units() if look_first else []
        change(path)  # type: ignore[operator]
        with pytest.raises(Fault, match=message) as fault:
            [list(read_unit(unit)) for unit in units] if look_first else one.contents()
        assert fault.value.where == str(path)
        assert "run again" in fault.value.hint
        assert "what is finished is kept" in fault.value.hint
        path.write_bytes(content)
