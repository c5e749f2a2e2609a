"""Hostile input costs its own record and bounded time and memory; the run goes on, or a Fault names the file."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import os
import socket
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
import zstandard

from curate.frames import AT_ONCE, ZSTD_PIECE, Frames
from curate.inputs import InputFile, list_files, read, records
from curate.records import LARGEST_RECORD, Record, batches
from curate.settings import Source
from curate.shards.fault import Fault
from curate.streams import open_file

MB = 1 << 20


def read_file(path: Path, **settings: object) -> list[Record]:
    source = Source(name="s", path=str(path), **settings)
    return [record for file in list_files(source, path.parent) for record in records(file, source)]


def read_bytes(folder: Path, name: str, content: bytes, **settings: object) -> list[Record]:
    (folder / name).write_bytes(content)
    return read_file(folder / name, **settings)


# size ----------------------------------------------------------------------------------------------------------------


def test_a_line_of_200_megabytes_is_quarantined_alone(tmp_path: Path) -> None:
    with (tmp_path / "x.jsonl").open("wb") as file:
        file.write(b'{"text": "before"}\n{"text": "')
        for _ in range(200):
            file.write(b"x" * 1_000_000)
        file.write(b'"}\n{"text": "after"}\n')
    found = read_file(tmp_path / "x.jsonl")
    assert [(record.position, record.text or record.reason) for record in found] == [
        (0, "before"),
        (1, "too_large"),
        (2, "after"),
    ]


def test_a_document_of_50_megabytes_is_read(tmp_path: Path) -> None:
    assert LARGEST_RECORD >= 100_000_000
    text = "fever " * (50 * MB // 6)
    (found,) = read_bytes(tmp_path, "x.jsonl", json.dumps({"text": text}).encode())
    assert found.text == text


@pytest.mark.parametrize("name", ["x.jsonl", "x.json", "x.csv", "x.txt", "x.lines"])
def test_ten_million_line_breaks_are_no_records(tmp_path: Path, name: str) -> None:
    settings = {"format": "lines"} if name == "x.lines" else {}
    count = 10_000_000 if name == "x.jsonl" else 1_000_000
    head = b"text\n" if name == "x.csv" else b""
    found = read_bytes(tmp_path, name, head + b"\n" * count, **settings)
    assert [record.reason for record in found] == (["empty_text"] if name in ("x.json", "x.txt") else [])


# decompression bombs -------------------------------------------------------------------------------------------------

COMPRESSORS = {
    "gz": lambda content: gzip.compress(content, mtime=0),
    "zst": zstandard.compress,
    "bz2": bz2.compress,
    "xz": lzma.compress,
}


@pytest.fixture
def small_limits(monkeypatch: pytest.MonkeyPatch) -> int:
    """A record of at most 2 MB, so that a bomb need not be gigabytes."""
    for module in ("records", "decoding", "readers.jsonl", "readers.json", "readers.lines", "readers.csv"):
        monkeypatch.setattr(f"curate.{module}.LARGEST_RECORD", 2 * MB)
    monkeypatch.setattr("curate.decoding.MOST_SKIPPED", 8 * MB)
    monkeypatch.setattr("curate.decoding.whole.__defaults__", (2 * MB,))
    return 2 * MB


def bomb(compression: str, megabytes: int = 64) -> bytes:
    """Frames of 16 MB of zeros each."""
    return COMPRESSORS[compression](b"\0" * (16 * MB)) * (megabytes // 16)


@pytest.mark.parametrize("compression", COMPRESSORS)
@pytest.mark.parametrize("kind", ["txt", "xml", "html", "md", "json", "jsonl", "csv", "lines"])
def test_a_bomb_is_one_record_and_is_not_unpacked(
    tmp_path: Path, small_limits: int, kind: str, compression: str
) -> None:
    settings = {"format": "lines"} if kind == "lines" else {}
    found = read_bytes(tmp_path, f"x.{kind}.{compression}", bomb(compression), **settings)
    assert {record.reason for record in found} <= {"too_large", "broken_json", "broken_markup", "wrong_encoding"}
    assert found[-1].reason == "too_large"
    assert 1 <= len(found) <= 2  # a line too long, and the file given up


@pytest.mark.parametrize("compression", COMPRESSORS)
def test_a_decompressor_is_asked_for_bounded_pieces(compression: str) -> None:
    most = ZSTD_PIECE // 4 * (128 << 10) if compression == "zst" else AT_ONCE
    assert most <= LARGEST_RECORD
    content = COMPRESSORS[compression](b"\0" * ((256 if compression == "zst" else 32) * MB))
    frames = Frames(io.BytesIO(content), compression)
    assert all(0 < len(frames._part()) <= most for _ in range(2))


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_bomb_in_an_archive_leaves_its_neighbours(tmp_path: Path, small_limits: int, method: int) -> None:
    with zipfile.ZipFile(tmp_path / "x.zip", "w", method) as archive:
        archive.writestr("a.txt", "before")
        archive.writestr("b.txt", b"\0" * (64 * MB))
        archive.writestr("c.txt", "after")
    with tarfile.open(tmp_path / "x.tar.gz", "w:gz") as tar:
        for name, content in (("a.txt", b"before"), ("b.txt", b"\0" * (64 * MB)), ("c.txt", b"after")):
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    for name in ("x.zip", "x.tar.gz"):
        assert [record.text or record.reason for record in read_file(tmp_path / name)] == [
            "before",
            "too_large",
            "after",
        ]


def test_a_header_that_claims_gigabytes_is_not_believed(tmp_path: Path) -> None:
    entry = tarfile.TarInfo("././@LongLink")
    entry.type, entry.size = tarfile.GNUTYPE_LONGNAME, 6 << 30
    (found,) = read_bytes(tmp_path, "x.tar.gz", gzip.compress(entry.tobuf() + b"a" * (4 * MB)))
    assert found.reason == "truncated_archive"
    assert "claims" in str(found.evidence)


FULL_SIZE = """
import resource, sys, zstandard, gzip, pathlib
from curate.inputs import list_files, read
from curate.settings import Source
folder = pathlib.Path(sys.argv[1])
zeros = b"\\0" * (128 << 20)
(folder / "a.txt.zst").write_bytes(zstandard.compress(zeros) * 80)
(folder / "b.jsonl.zst").write_bytes(b'' + zstandard.compress(b'{"text": "x"}\\n') + zstandard.compress(zeros) * 80)
del zeros
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for name in ("a.txt.zst", "b.jsonl.zst"):
    source = Source(name="s", path=str(folder / name))
    for file in list_files(source, folder):
        assert file.n_bytes < 4 << 20
        for batch in read(file, source):
            print(*[reason or "text" for reason in batch["reason"].to_pylist()])
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


def test_ten_gigabytes_in_a_few_megabytes_stay_packed(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", FULL_SIZE, str(tmp_path)], capture_output=True, text=True, check=True)
    text, lines, grown = done.stdout.splitlines()
    assert (text, lines) == ("too_large", "text too_large too_large")
    assert int(grown) < 1 << 20  # kB: less than a GB


# structure -----------------------------------------------------------------------------------------------------------

DEPTHS = [50, 200, 250, 255, 500, 900, 950, 980, 990, 995, 1000, 1010, 1020, 1023, 1024, 1030, 2000, 100_000]


@pytest.mark.parametrize("depth", DEPTHS)
def test_deep_nesting_costs_its_own_record(tmp_path: Path, depth: int) -> None:
    nest = ("[" * depth + "]" * depth).encode()
    mess = ('{"a":' * depth + "1" + "}" * depth).encode()
    good = b'{"text": "good"}\n'
    reasons = set()
    for deep in (
        nest,
        mess,
        b"[" * depth,
        b'{"text": ' + nest + b"}",
        b'{"text": ' + mess + b"}",
        b'{"id":' + nest + b"}",
    ):
        found = read_bytes(tmp_path, "x.jsonl", good + deep + b"\n" + good, id="id")
        assert [record.text for record in found] == ["good", None, "good"]
        reasons.add(found[1].reason)
        for name, content in {"x.json": deep, "y.json": b"[" + good + b"," + deep + b"," + good + b"]"}.items():
            found = read_bytes(tmp_path, name, content)
            assert found
            assert all((record.text is None) == bool(record.reason) for record in found)
            assert found[-1].reason or found[-1].text == "good"
    beside = read_bytes(tmp_path, "x.jsonl", b'{"text": "good", "more": ' + nest + b"}\n" + good)
    assert [record.text for record in beside] in (["good", "good"], [None, "good"])
    assert reasons <= {"broken_json", "not_an_object", "missing_text"}
    assert [batch.num_rows for batch in batches(beside)] == [2]


def test_a_table_in_which_every_line_opens_a_quote_is_read_in_one_go(tmp_path: Path) -> None:
    """Each line, read alone, runs on to the end of the file: 20,000 lines would be read 200 million times."""
    for line in (b'a","b\n', b'a","b\nx,y\n'):
        found = read_bytes(tmp_path, "x.csv", b"id,text\n" + line * 20_000 + b"7,last\n")
        assert len(found) == 20_000 * line.count(b"\n") + 1
        assert found[-1].text == "last"
        assert {record.reason for record in found} <= {None, "unreadable_row"}


def test_a_field_of_many_lines_is_one_record(tmp_path: Path) -> None:
    text = "a line of a long document\n" * 100_000
    (found,) = read_bytes(tmp_path, "x.csv", f'id,text\n1,"{text}"\n'.encode())
    assert found.text == text


# characters ----------------------------------------------------------------------------------------------------------


def test_what_is_no_text_is_quarantined_line_by_line(tmp_path: Path) -> None:
    lines = {
        b'{"text": "good"}': None,
        b'{"text": "a\\u0000b"}': "wrong_encoding",
        b'{"text": "a\0b"}': "broken_json",
        b"\0" * 1000: "broken_json",
        b'{"text": "a \\ud800 b"}': "wrong_encoding",
        b'{"text": "a \\udfff\\ud800 b"}': "wrong_encoding",
        b'{"text": "a \xed\xa0\x80 b"}': "wrong_encoding",  # a surrogate in UTF-8
        b'{"text": "caf\xe9"}': "wrong_encoding",
        '{"text": "café"}'.encode("utf-16"): "wrong_encoding",
        b'{"text": "\xc0\x80 overlong"}': "wrong_encoding",
        b'{"text": "\xf5\x80\x80\x80 beyond"}': "wrong_encoding",
        b'\xef\xbb\xbf{"text": "a mark in the middle"}': "broken_json",
        b'{"text": "good", "\\ud800": "\\udfff", "n": 123456789012345678901234567890, "f": NaN}': None,
        b'{"text": "good", "id": "\\ud800\\u0000"}': None,
    }
    found = read_bytes(tmp_path, "x.jsonl", b"\n".join(lines), id="id")
    assert [record.reason for record in found] == list(lines.values())
    (batch,) = batches(found)
    assert batch.to_pylist()[-1]["own_id"] == "\\ud800\\x00"
    assert json.loads(batch.to_pylist()[-2]["meta"]) == {"\\ud800": "\\udfff", "n": 123456789012345678901234567890}


# the disk ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "in").mkdir()
    (tmp_path / "in/a.txt").write_text("good")
    return tmp_path / "in"


def texts(folder: Path, path: str = "in") -> list[tuple[str, str | None]]:
    source = Source(name="s", path=path)
    rows = [
        row for file in list_files(source, folder.parent) for batch in read(file, source) for row in batch.to_pylist()
    ]
    return [(row["path"], row["text"] or row["reason"]) for row in rows]


def test_links_in_a_circle_are_walked_once(folder: Path) -> None:
    (folder / "b").mkdir()
    os.symlink(folder, folder / "b/up")
    os.symlink(folder / "b", folder / "b/self")
    os.symlink("loop", folder / "loop")  # to itself
    assert texts(folder) == [("a.txt", "good")]
    assert texts(folder, "in/**/*.txt") == [("a.txt", "good")]


def test_a_link_to_nothing_is_a_file_that_is_missing(folder: Path) -> None:
    os.symlink(folder / "gone", folder / "b.txt")
    os.symlink("c.txt", folder / "c.txt")
    for path in ("in", "in/*.txt", "in/b.txt"):
        with pytest.raises(Fault, match="link to nothing") as fault:
            texts(folder, path)
        assert "fetch" in fault.value.hint


def test_pipes_sockets_and_devices_are_never_opened(folder: Path) -> None:
    os.mkfifo(folder / "pipe.txt")
    with socket.socket(socket.AF_UNIX) as unix:
        unix.bind(str(folder / "socket.txt"))
    os.symlink("/dev/zero", folder / "zeros.txt")
    assert texts(folder) == texts(folder, "in/*.txt") == [("a.txt", "good")]
    for name in ("pipe.txt", "socket.txt", "zeros.txt"):
        with pytest.raises(Fault, match="no regular file"):
            texts(folder, f"in/{name}")
    for name in ("pipe.txt", "zeros.txt"):  # one that took a file's place after it was listed
        for n_bytes in (0, 10, 10 * MB):
            file = InputFile("s", str(folder / name), name, n_bytes, "text", None, None)
            with pytest.raises(Fault, match="no regular file"):
                list(records(file, Source(name="s", path="in")))
        with pytest.raises(Fault, match="no regular file"):
            open_file(str(folder / name))


def test_odd_names_are_names(folder: Path) -> None:
    for name in (
        b"new\nline.txt",
        b"caf\xe9.txt",
        b"tab\t and 'quotes\".txt",
        b"caf\\udce9.txt",
        "漢字🩺.txt".encode(),
    ):
        with open(os.path.join(os.fsencode(folder), name), "wb") as file:
            file.write(b"good")
    (folder / "x.jsonl").mkdir()
    (folder / "x.jsonl/inner.txt").write_text("inside")
    (folder / "empty.txt").touch()
    (folder / "empty.jsonl").touch()
    found = texts(folder)
    assert len(found) == 8
    assert ("new\nline.txt", "good") in found
    assert [path for path, _ in found].count("caf\\udce9.txt") == 2  # shown alike: their records get #2
    assert ("x.jsonl/inner.txt", "inside") in found
    assert ("empty.txt", "empty_text") in found
    assert texts(folder) == found


def test_names_in_archives_cannot_reach_outside(folder: Path) -> None:
    names = ["../../etc/passwd.txt", "/etc/shadow.txt", "x\\..\\y.txt", "a\nb.txt", "c:d.txt", "x" * 300 + ".txt"]
    with zipfile.ZipFile(folder / "x.zip", "w") as archive, tarfile.open(folder / "x.tar", "w") as tar:
        for name in names:
            archive.writestr(name, "good")
            entry = tarfile.TarInfo(name)
            entry.size = 4
            tar.addfile(entry, io.BytesIO(b"good"))
    before = sorted(folder.parent.parent.iterdir())
    found = texts(folder)
    assert [text for _, text in found] == ["good"] * 13
    assert "x.zip!../../etc/passwd.txt" in dict(found)
    assert sorted(folder.parent.parent.iterdir()) == before


def test_what_may_not_be_read_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Root may read everything, so the system's refusal is played."""

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    files = list_files(Source(name="s", path="in"), folder.parent)
    monkeypatch.setattr("curate.streams.io.FileIO", refuse)
    with pytest.raises(Fault, match=r"cannot .* a source file: Permission denied") as fault:
        list(records(files[0], Source(name="s", path="in")))
    assert fault.value.where == str(folder / "a.txt")
    monkeypatch.setattr("curate.paths.os.scandir", refuse)
    with pytest.raises(Fault, match="cannot list a folder: Permission denied"):
        list_files(Source(name="s", path="in"), folder.parent)
