"""A folder appears whole or not at all, and a stale one is named by the field that differs."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from curate.shards import seal
from curate.shards.fault import Fault
from curate.shards.seal import (
    ENGINE,
    MANIFEST,
    checksums,
    digest,
    first_difference,
    is_fresh,
    refuse_other,
    sealed_with,
    whole_folder,
    write_json,
)

MADE_FROM = {"seed": 1, "split": {"test": 0.1}, "bands": (14, 8)}


def make(place: Path, content: str = "text", made_from: dict[str, Any] = MADE_FROM, **options: bool) -> None:
    with whole_folder(place, made_from, **options) as folder:
        (folder / "part").mkdir(exist_ok=True)
        (folder / "part" / "a.txt").write_text(content)


def crash(place: Path, made_from: dict[str, Any] = MADE_FROM, **options: bool) -> None:
    try:
        with whole_folder(place, made_from, **options) as folder:
            (folder / "unfinished.txt").write_text("half")
            raise KeyboardInterrupt
    except KeyboardInterrupt:
        pass


def files(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_a_folder_appears_with_its_fingerprint_and_checksums(tmp_path: Path) -> None:
    make(tmp_path / "deep" / "out")
    manifest = json.loads((tmp_path / "deep" / "out" / MANIFEST).read_text())
    assert files(tmp_path / "deep" / "out") == {MANIFEST, "part/a.txt"}
    assert manifest["fingerprint"] == {"seed": 1, "split": {"test": 0.1}, "bands": [14, 8]}
    # sha256 of the four bytes `text`, by coreutils' sha256sum
    assert manifest["files"] == {"part/a.txt": "982d9e3eb996f559e633f4d194def3761d909f5a3b647d1a851fead67c32c9d1"}


def test_a_crash_inside_leaves_nothing_at_the_place(tmp_path: Path) -> None:
    crash(tmp_path / "out")
    assert not (tmp_path / "out").exists()
    assert not is_fresh(tmp_path / "out", MADE_FROM)
    make(tmp_path / "out")
    assert files(tmp_path / "out") == {MANIFEST, "part/a.txt"}  # and what it left doesn't get into the next


def test_a_crash_leaves_the_old_folder_as_it_was(tmp_path: Path) -> None:
    make(tmp_path / "out", "old")
    before = checksums(tmp_path / "out")
    crash(tmp_path / "out", {"seed": 2})
    assert checksums(tmp_path / "out") == before
    assert is_fresh(tmp_path / "out", MADE_FROM)


@pytest.mark.parametrize("at", range(1, 8))
def test_a_kill_between_any_two_renames_leaves_the_old_folder_the_new_one_or_none(
    tmp_path: Path, at: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(tmp_path / "out", "old")
    calls, replace = 0, os.replace

    def replace_or_die(*places: Any) -> None:
        nonlocal calls
        calls += 1
        if calls == at:
            raise KeyboardInterrupt
        replace(*places)

    monkeypatch.setattr(seal.os, "replace", replace_or_die)
    try:
        make(tmp_path / "out", "new", {"seed": 2})
    except KeyboardInterrupt:
        assert calls == at
    else:
        assert calls < at  # no such rename: the folder was put in place
    monkeypatch.undo()
    there = tmp_path / "out"
    assert (
        not there.exists()
        or (sealed_with(there) or {})["seed"] == {"old": 1, "new": 2}[(there / "part" / "a.txt").read_text()]
    )
    make(there, "newer", {"seed": 3})
    assert is_fresh(there, {"seed": 3})
    assert [path.name for path in tmp_path.iterdir()] == ["out"]  # and nothing of the attempts is left beside it


@pytest.mark.parametrize(("goes_on", "made_from", "kept"), [
    (True, MADE_FROM, True),
    (False, MADE_FROM, False),
    (True, {**MADE_FROM, "seed": 2}, False),
])  # fmt: skip
def test_files_of_an_interrupted_run_are_kept_for_the_same_fingerprint_only(
    tmp_path: Path, goes_on: bool, made_from: dict[str, Any], kept: bool
) -> None:
    crash(tmp_path / "out", goes_on=goes_on)
    make(tmp_path / "out", made_from=made_from, goes_on=goes_on)
    assert ("unfinished.txt" in files(tmp_path / "out")) == kept


def test_what_only_the_making_needed_is_not_sealed(tmp_path: Path) -> None:
    with whole_folder(tmp_path / "out", MADE_FROM) as folder:
        (folder / ENGINE / "sift").mkdir(parents=True)
        (folder / ENGINE / "sift" / "log").write_text("a log")
        assert len(files(folder)) == 2  # the log and the note of what is being made
    assert files(tmp_path / "out") == {MANIFEST}


def test_a_folder_is_fresh_for_just_what_it_was_made_from(tmp_path: Path) -> None:
    make(tmp_path / "out")
    assert is_fresh(tmp_path / "out", MADE_FROM)
    assert is_fresh(tmp_path / "out", {"bands": [14, 8], "split": {"test": 0.1}, "seed": 1})
    assert not is_fresh(tmp_path / "out", {**MADE_FROM, "seed": 2})
    assert not is_fresh(tmp_path / "out", {**MADE_FROM, "more": 1})
    assert not is_fresh(tmp_path / "none", MADE_FROM)
    (tmp_path / "out" / MANIFEST).write_text("{ half of a manifest")
    assert sealed_with(tmp_path / "out") is None


def test_another_fingerprint_is_refused_by_the_name_of_the_field(tmp_path: Path) -> None:
    make(tmp_path / "out")
    refuse_other(tmp_path / "out", MADE_FROM, "a hint")
    refuse_other(tmp_path / "none", MADE_FROM, "a hint")
    with pytest.raises(Fault) as caught:
        refuse_other(tmp_path / "out", {**MADE_FROM, "split": {"test": 0.2}}, "add --fresh")
    assert (caught.value.where, caught.value.hint) == ("split.test", "add --fresh")
    assert "split.test = 0.1" in caught.value.what
    assert "0.2" in caught.value.what


@pytest.mark.parametrize(
    ("was", "is_", "found"),
    [
        ({"a": 1}, {"a": 1}, None),
        ({"b": 1, "a": 1}, {"b": 2, "a": 2}, ("a", "1", "2")),
        ({"a": {"b": {"c": [1]}}}, {"a": {"b": {"c": [2]}}}, ("a.b.c", "[1]", "[2]")),
        ({"a": 1}, {}, ("a", "1", "nothing")),
        ({}, {"a": {"b": 2}}, ("a", "nothing", '{"b": 2}')),
        ({"a": "x" * 200}, {"a": ""}, ("a", '"' + "x" * 76 + "...", '""')),
    ],
)
def test_the_first_difference_is_named(was: Any, is_: Any, found: Any) -> None:
    assert first_difference(was, is_) == found


def test_a_field_that_is_null_is_not_one_that_is_absent(tmp_path: Path) -> None:
    make(tmp_path / "out", made_from={"a": 1})
    assert not is_fresh(tmp_path / "out", {"a": 1, "b": None})
    with pytest.raises(Fault, match="b = nothing; it would be null"):
        refuse_other(tmp_path / "out", {"a": 1, "b": None}, "")


def test_a_sealed_manifest_keeps_what_its_writer_said(tmp_path: Path) -> None:
    with whole_folder(tmp_path / "out", MADE_FROM) as folder:
        write_json(folder / MANIFEST, {"tokens": 12})
    manifest = json.loads((tmp_path / "out" / MANIFEST).read_text())
    assert list(manifest) == ["tokens", "fingerprint", "files"]


def test_a_digest_depends_on_values_not_on_order_or_kind_of_sequence() -> None:
    assert digest({"a": 1, "b": (1, 2)}) == digest({"b": [1, 2], "a": 1})
    assert digest({"a": 1}) != digest({"a": "1"})
