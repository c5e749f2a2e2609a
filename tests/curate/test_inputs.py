"""Listing: which files a source means, in which order, and what a user who mistypes is told."""

from __future__ import annotations

import os
from pathlib import Path

import datasets
import fsspec
import pytest

from curate.inputs import format_of, list_files, records
from curate.paths import absolute
from curate.settings import Source
from curate.shards.fault import Fault

FILES = ["b.txt", "a/z.jsonl.gz", "a/b/deep.xml", "a/note.md", "a/picture.png", ".hidden.txt", "a/.git/x.txt"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in FILES:
        (tmp_path / "raw" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "raw" / name).write_text("text")
    return tmp_path


def listed(folder: Path, path: str | list[str], **settings: object) -> list[str]:
    return [file.path for file in list_files(Source(name="s", path=path, **settings), folder)]


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("raw", ["a/b/deep.xml", "a/note.md", "a/z.jsonl.gz", "b.txt"]),
        ("raw/", ["a/b/deep.xml", "a/note.md", "a/z.jsonl.gz", "b.txt"]),
        ("raw/b.txt", ["b.txt"]),
        ("raw/**/*.xml", ["a/b/deep.xml"]),
        ("raw/**/*.txt", ["b.txt"]),  # ** also stands for no folder at all
        ("raw/*/*.md", ["a/note.md"]),
        ("raw/*.md", []),
        ("raw/[ab].txt", ["b.txt"]),
        ("raw/[!a].t?t", ["b.txt"]),
        ("raw/.hidden.txt", [".hidden.txt"]),
        ("raw/.h*.txt", [".hidden.txt"]),
        (["raw/b.txt", "raw/a/*.md", "raw/b.txt"], ["a/note.md", "b.txt"]),  # each once, below the shared root
        ("raw/a/*", ["note.md", "picture.png", "z.jsonl.gz"]),  # what a pattern matches is accounted for
    ],
)
def test_a_path_means_these_files_sorted(folder: Path, path: str | list[str], expected: list[str]) -> None:
    if expected:
        assert listed(folder, path) == expected
    else:
        with pytest.raises(Fault, match="no file matches"):
            listed(folder, path)


def test_what_a_pattern_matches_and_nobody_can_read_is_quarantined(folder: Path) -> None:
    source = Source(name="s", path="raw/a/p*")
    with pytest.raises(Fault, match="no format is known"):
        list_files(source, folder)
    source = Source(name="s", path="raw/a/*i*")
    (folder / "raw/a/in.txt").write_text("text")
    found = [record for file in list_files(source, folder) for record in records(file, source)]
    assert [(record.path, record.reason) for record in found] == [("in.txt", None), ("picture.png", "unknown_format")]


def test_a_format_in_the_recipe_overrides_the_names(folder: Path) -> None:
    assert "a/picture.png" in listed(folder, "raw", format="text")


def test_links_are_followed_and_circles_are_not(folder: Path) -> None:
    os.symlink(folder / "raw", folder / "raw/a/up")
    os.symlink(folder / "raw/a/b", folder / "raw/c")
    assert listed(folder, "raw") == ["a/b/deep.xml", "a/note.md", "a/z.jsonl.gz", "b.txt", "c/deep.xml"]
    assert listed(folder, "raw/**/*.xml") == ["a/b/deep.xml", "c/deep.xml"]


def test_the_order_of_listing_does_not_show(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected, scandir = listed(folder, "raw"), os.scandir
    monkeypatch.setattr(os, "scandir", lambda path: sorted(scandir(path), key=lambda one: one.name, reverse=True))
    assert listed(folder, "raw") == expected


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"path": "raw/missing.jsonl"}, "there is no file or folder"),
        ({"path": "raw/*.parquet"}, "no file matches"),
        ({"path": "raw/a/picture.png"}, "no format is known"),
        ({"path": "raw", "encoding": "utf-9"}, "no such text encoding"),
        ({"path": "raw", "encoding": "base64"}, "no such text encoding"),
    ],
)
def test_a_wrong_path_is_the_users_fault_with_a_hint(folder: Path, settings: dict, message: str) -> None:
    with pytest.raises(Fault, match=message) as fault:
        list_files(Source(name="s", **settings), folder)
    assert fault.value.hint
    assert fault.value.where.startswith("sources.s.")


def test_urls_are_listed_and_read_like_files() -> None:
    store = fsspec.filesystem("memory")
    store.pipe({"/bucket/web/b.jsonl": b'{"text": "b"}\n', "/bucket/web/sub/a.txt": b"a", "/bucket/web/x.bin": b""})
    for path, expected in [
        ("memory://bucket/web", ["b.jsonl", "sub/a.txt"]),
        ("memory://bucket/web/*.jsonl", ["b.jsonl"]),
        ("memory://bucket/web/**/*.txt", ["sub/a.txt"]),
        ("memory://bucket/web/b.jsonl", ["b.jsonl"]),
    ]:
        source = Source(name="s", path=path)
        files = list_files(source, Path())
        assert [file.path for file in files] == expected
        assert [record.text for file in files for record in records(file, source)] == [
            {"b.jsonl": "b", "sub/a.txt": "a"}[name] for name in expected
        ]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("x.JSONL.GZ", ("jsonl", "gz", None)),
        ("x.nxml", ("xml", None, None)),
        ("x.tar.zst", (None, None, "tar.zst")),
        ("x.tgz", (None, None, "tar.gz")),
        ("x.zip", (None, None, "zip")),
        ("x.pdf.xz", ("pdf", "xz", None)),
        ("x.bin", (None, None, None)),
        ("x.gz", (None, "gz", None)),
        ("dump.xml-part.bz2", (None, "bz2", None)),
    ],
)
def test_names_tell_format_compression_and_archive(name: str, expected: tuple) -> None:
    assert format_of(name) == expected


def test_a_saved_dataset_is_its_data_and_not_its_notes(tmp_path: Path) -> None:
    rows = datasets.Dataset.from_dict({"text": ["fever", "cough"]})
    datasets.DatasetDict({"train": rows, "test": rows}).save_to_disk(tmp_path / "saved")
    (tmp_path / "saved" / "train" / "cache-0123.arrow").write_bytes(b"")
    (tmp_path / "state.json").write_text('{"text": "a document of that name elsewhere"}')
    found = [file.path for file in list_files(Source(name="a", path="."), tmp_path)]
    data = ["saved/test/data-00000-of-00001.arrow", "saved/train/data-00000-of-00001.arrow"]
    assert found == [*data, "state.json"]


def test_a_hub_name_is_a_place_in_the_hubs_store(tmp_path: Path) -> None:
    assert absolute("hub:org/name", tmp_path) == "hf://datasets/org/name"
    assert absolute("hub:org/name/data/*.parquet", tmp_path) == "hf://datasets/org/name/data/*.parquet"


def test_a_dump_of_wikipedia_is_known_by_its_name() -> None:
    assert format_of("enwiki-latest-pages-articles1.xml-p000000010p000030302-shortened.bz2") == ("xml", "bz2", None)
    assert format_of("a.xml-p10p20") == ("xml", None, None)
