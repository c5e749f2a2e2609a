"""Readers: the same content gives the same documents through every door; what cannot be read is named, never lost."""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import json
import lzma
import random
import re
import tarfile
import zipfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from curate.inputs import list_files, read, records
from curate.records import RAW, Record, batches
from curate.settings import Source

ROWS = [
    {"id": "n1", "text": 'Fever, "chills" and cough.\n\nSecond paragraph; 10⁶ CFU/µl.', "year": 1998},
    {"id": "n2", "text": "Ångström é é 漢字 🩺", "year": 2001},
    {"id": "n2", "text": "A repeated id is not the reader's business.", "year": 2003},
    {"id": "n4", "text": "  leading and trailing spaces stay  ", "year": 2004},
]


def as_jsonl(rows: list[dict]) -> bytes:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()


def as_csv(rows: list[dict], delimiter: str = ",") -> bytes:
    out = io.StringIO(newline="")
    writer = csv.DictWriter(out, list(rows[0]), delimiter=delimiter)
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue().encode()


def as_parquet(rows: list[dict]) -> bytes:
    out = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows), out)
    return out.getvalue()


WRITERS = {
    "jsonl": as_jsonl,
    "ndjson": as_jsonl,
    "json": lambda rows: json.dumps(rows, indent=1).encode(),
    "csv": as_csv,
    "tsv": lambda rows: as_csv(rows, "\t"),
    "parquet": as_parquet,
}
COMPRESSORS = {
    "": lambda content: content,
    ".gz": lambda content: gzip.compress(content, mtime=0),
    ".zst": lambda content: zstandard.compress(content[:100]) + zstandard.compress(content[100:]),  # two frames
    ".bz2": bz2.compress,
    ".xz": lzma.compress,
}  # fmt: skip


def tar(members: dict[str, bytes], mode: str = "w") -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=mode) as archive:
        for name, content in members.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return out.getvalue()


def zipped(members: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return out.getvalue()


ARCHIVERS = {
    ".tar": tar,
    ".tar.gz": lambda members: gzip.compress(tar(members), mtime=0),
    ".tgz": lambda members: tar(members, "w:gz"),
    ".tar.zst": lambda members: zstandard.compress(tar(members)),
    ".tar.bz2": lambda members: tar(members, "w:bz2"),
    ".tar.xz": lambda members: tar(members, "w:xz"),
    ".zip": zipped,
}


def read_bytes(folder: Path, name: str, content: bytes, **source: object) -> list[Record]:
    (folder / name).write_bytes(content)
    settings = Source(name="s", path=name, **source)
    return [record for file in list_files(settings, folder) for record in records(file, settings)]


def told(found: list[Record]) -> list[tuple]:
    return [(record.own_id, record.text, int(record.meta["year"])) for record in found]


EXPECTED = [(row["id"], row["text"], row["year"]) for row in ROWS]


@pytest.mark.parametrize("compression", COMPRESSORS)
@pytest.mark.parametrize("kind", WRITERS)
def test_every_reader_gives_the_same_documents(tmp_path: Path, kind: str, compression: str) -> None:
    found = read_bytes(tmp_path, f"x.{kind}{compression}", COMPRESSORS[compression](WRITERS[kind](ROWS)), id="id")
    assert told(found) == EXPECTED
    assert [record.position for record in found] == [0, 1, 2, 3]
    assert {record.path for record in found} == {f"x.{kind}{compression}"}


@pytest.mark.parametrize("archive", ARCHIVERS)
@pytest.mark.parametrize("kind", WRITERS)
def test_an_archive_gives_its_members_documents_in_its_own_order(tmp_path: Path, kind: str, archive: str) -> None:
    content = WRITERS[kind](ROWS)
    members = {f"b/two.{kind}": content, f"a/one.{kind}.gz": gzip.compress(content), "__MACOSX/._x.csv": b"\0"}
    found = read_bytes(tmp_path, f"x{archive}", ARCHIVERS[archive](members), id="id")
    assert told(found) == EXPECTED * 2
    assert found[0].path == f"x{archive}!b/two.{kind}"
    assert found[4].path == f"x{archive}!a/one.{kind}.gz"
    assert found[4].position == 0


@pytest.mark.parametrize("name", ["x.txt", "x.md", "x.html", "x.xml"])
@pytest.mark.parametrize("compression", COMPRESSORS)
def test_document_formats_give_the_same_text(tmp_path: Path, name: str, compression: str) -> None:
    body = "The heart pumps blood through 10⁵ km of vessels, and the lungs take in air. " * 6
    markup = {"x.html": "<html><body><article><p>{}</p></article></body></html>", "x.xml": "<doc><p>{}</p></doc>"}
    content = markup.get(name, "{}").format(body.strip()).encode()
    (found,) = read_bytes(tmp_path, name + compression, COMPRESSORS[compression](content))
    assert found.text == body.strip()
    assert (found.own_id, found.reason) == (None, None)


def test_no_format_and_no_break_in_a_batch_changes_the_records(tmp_path: Path) -> None:
    (tmp_path / "x.jsonl").write_bytes(as_jsonl(ROWS) + b"{broken\n")
    source = Source(name="s", path="x.jsonl")
    (file,) = list_files(source, tmp_path)
    whole, tiny = (list(read(file, source, batch_bytes=size)) for size in (8 << 20, 40))
    assert len(whole) == 1
    assert len(tiny) == 4  # the broken record has no text, so it needs no batch of its own
    assert whole[0].schema == RAW
    assert pa.Table.from_batches(tiny).combine_chunks() == pa.Table.from_batches(whole).combine_chunks()
    assert list(batches([])) == []


# quarantine: (file, content, source settings) -> reasons in order, None where the record is good
NESTED = {"a": {"b": "inner"}, "x": 1}
QUARANTINE = {
    "broken line": ("x.jsonl", b'{"text": "good"}\n{"text": }\n{"text": "also"}\n', {}, [None, "broken_json", None]),
    "no object": ("x.jsonl", b'["text"]\n{"text": "good"}', {}, ["not_an_object", None]),
    "blank lines": ("x.jsonl", b'\n{"text": "good"}\n  \r\n{"text": "b"}\r\n', {}, [None, None]),
    "fields": (
        "x.jsonl",
        b'{"body": "x"}\n{"text": null}\n{"text": 5}\n{"text": ""}\n{"text": " \\n"}\n{"text": []}\n{"text": ["a", 1]}',
        {},
        ["missing_text"] * 3 + ["empty_text"] * 2 + ["missing_text"] * 2,
    ),
    "latin-1 line": ("x.jsonl", b'{"text": "caf\xe9"}\n{"text": "caf\xc3\xa9"}\n', {}, ["wrong_encoding", None]),
    "half a pair": ("x.jsonl", b'{"text": "a \\ud800 b"}\n{"text": "\\ud83e\\ude7a"}', {}, ["wrong_encoding", None]),
    "NUL": ("x.jsonl", b'{"text": "a\\u0000b"}\n\0\0\0\0\n{"text": "c"}', {}, ["wrong_encoding", "broken_json", None]),
    "too deep": ("x.jsonl", b'{"text": ' + b"[" * 100_000 + b'\n{"text": "c"}', {}, ["broken_json", None]),
    "broken array": ("x.json", b'[{"text": "a"}, {"text": "b"}, {"te', {}, [None, None, "broken_json"]),
    "broken map": ("x.json", b'{"1": {"text": "a"}, "2": {"text"', {}, [None, "broken_json"]),
    "broken object": ("x.json", b'{"text": "a", "b": ', {}, ["broken_json"]),
    "json of no objects": ("x.json", b'[1, {"text": "a"}]', {}, ["not_an_object", None]),
    "empty json": ("x.json", b" \n", {}, ["empty_text"]),
    "json in latin-1": ("x.json", b'{"text":\n "caf\xe9"}', {}, ["wrong_encoding"]),
    "ragged rows": ("x.csv", b"id,text\n1,a\n2\n3,b,c\n4,d\n\n", {}, [None, "unreadable_row", "unreadable_row", None]),
    "open quote": ("x.csv", b'id,text\n1,"a\n2,"b, c"\n3,d\n', {}, ["unreadable_row", None, None]),
    "quote open to the end": ("x.csv", b'id,text\n1,a\n2,"b\n3,d\n', {}, [None, "unreadable_row", None]),
    "latin-1 row": ("x.csv", b"id,text\n1,caf\xe9\n2,b\n", {}, ["wrong_encoding", None]),
    "no such column": ("x.csv", b"id,body\n1,b\n", {}, ["missing_text"]),
    "latin-1 text": ("x.txt", b"caf\xe9", {}, ["wrong_encoding"]),
    "binary text": ("x.txt", b"PK\0\1\2", {}, ["wrong_encoding"]),
    "empty text": ("x.txt", b"\xef\xbb\xbf \n", {}, ["empty_text"]),
    "latin-1 markdown": ("x.md", b"# caf\xe9", {}, ["wrong_encoding"]),
    "broken xml": ("x.xml", b"<a><b>text</a>", {}, ["broken_markup"]),
    "latin-1 xml": ("x.xml", b"<a>caf\xe9</a>", {}, ["wrong_encoding"]),
    "unknown xml encoding": ("x.xml", b"<?xml version='1.0' encoding='x-none'?><a>b</a>", {}, ["wrong_encoding"]),
    "empty xml": ("x.xml", b"", {}, ["empty_text"]),
    "xml without text": ("x.xml", b"<a><b/></a>", {}, ["empty_text"]),
    "empty page": ("x.html", b"", {}, ["empty_text"]),
    "page without text": ("x.html", b"<html><body><script>1</script></body></html>", {}, ["no_text"]),
    "latin-1 page": ("x.html", b"<html><body><p>caf\xe9 noir</p></body></html>", {}, ["wrong_encoding"]),
    "no parquet": ("x.parquet", b"PAR1 nothing", {}, ["unreadable_file"]),
    "unknown member": ("x.tar", tar({"a.bin": b"\1\2", "b.txt": b"b"}), {}, ["unknown_format", None]),
    "archive in archive": ("x.zip", zipped({"a.zip": zipped({"b.txt": b"b"})}), {}, ["unknown_format"]),
    "garbled gzip": ("x.txt.gz", b"not gzip at all", {}, ["truncated_compression"]),
    "garbled zstd": ("x.txt.zst", b"not zstd at all", {}, ["truncated_compression"]),
    "no tar": ("x.tar", b"no tar" * 1000, {}, ["truncated_archive"]),
    "empty tar": ("x.tar", b"", {}, ["truncated_archive"]),
    "no zip": ("x.zip", b"no zip", {}, ["truncated_archive"]),
}  # fmt: skip


@pytest.mark.parametrize("case", QUARANTINE)
def test_what_cannot_be_read_is_quarantined_with_its_reason_and_the_rest_goes_on(tmp_path: Path, case: str) -> None:
    name, content, settings, reasons = QUARANTINE[case]
    found = read_bytes(tmp_path, name, content, **settings)
    assert [record.reason for record in found] == reasons
    for record in found:
        assert (record.text is None) == (record.reason is not None)
        assert bool(record.evidence) == (record.reason is not None)
        assert len(record.evidence or "") <= 200
    assert len({(record.path, record.position) for record in found}) == len(found)
    assert sum(batch.num_rows for batch in batches(found)) == len(reasons)


def test_a_record_that_is_too_large_is_quarantined_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("records", "readers.jsonl"):
        monkeypatch.setattr(f"curate.{module}.LARGEST_RECORD", 2_000_000)
    long = json.dumps({"text": "x" * 5_000_000}).encode()
    found = read_bytes(tmp_path, "x.jsonl", b'{"text": "a"}\n' + long + b'\n{"text": "b"}\n')
    assert [record.reason for record in found] == [None, "too_large", None]


@pytest.mark.parametrize("compression", [one for one in COMPRESSORS if one])
@pytest.mark.parametrize("kind", ["jsonl", "json", "csv"])
def test_a_file_cut_short_delivers_what_came_before(tmp_path: Path, kind: str, compression: str) -> None:
    draw = random.Random(7)
    rows = [{"text": f"{number} " + " ".join(str(draw.random()) for _ in range(100))} for number in range(500)]
    content = WRITERS[kind](rows)
    packed = {
        ".zst": lambda: zstandard.ZstdCompressor(write_checksum=True).compress(content),
    }.get(compression, lambda: COMPRESSORS[compression](content))()
    found = read_bytes(tmp_path, f"x.{kind}{compression}", packed[: len(packed) * 6 // 10])
    *good, last = found
    assert last.reason == "truncated_compression"
    assert last.position == len(good)
    assert [record.text for record in good] == [row["text"] for row in rows[: len(good)]]
    if compression != ".bz2":  # its blocks are 900 kB, all or nothing
        assert 250 <= len(good) < 500


@pytest.mark.parametrize("archive", ARCHIVERS)
def test_an_archive_cut_short_delivers_what_came_before(tmp_path: Path, archive: str) -> None:
    draw = random.Random(7)
    texts = [" ".join(str(draw.random()) for _ in range(200)) for _ in range(300)]
    packed = ARCHIVERS[archive]({f"{number:03}.txt": text.encode() for number, text in enumerate(texts)})
    *good, last = read_bytes(tmp_path, f"x{archive}", packed[: len(packed) * 6 // 10])
    assert last.reason == "truncated_archive"
    assert [record.text for record in good] == texts[: len(good)]
    if archive != ".tar.bz2":  # its blocks are 900 kB, all or nothing
        assert 100 < len(good) < 300


def test_a_tar_cut_between_members_is_seen(tmp_path: Path) -> None:
    whole = tar({"a.txt": b"a" * 512, "b.txt": b"b" * 512})
    found = read_bytes(tmp_path, "x.tar", whole[:1024])
    assert [record.reason for record in found] == [None, "truncated_archive"]


def test_lines_of_a_member_cut_short_are_delivered(tmp_path: Path) -> None:
    rows = as_jsonl([{"text": f"line {number}"} for number in range(1000)])
    found = read_bytes(tmp_path, "x.tar", tar({"a.jsonl": rows})[: 512 + len(rows) // 2])
    whole_lines = rows[: len(rows) // 2].count(b"\n")
    assert [record.reason for record in found] == [None] * whole_lines + ["truncated_archive"]
    assert found[-1].path == "x.tar!a.jsonl"


def test_a_garbled_member_of_a_zip_leaves_its_neighbours(tmp_path: Path) -> None:
    texts = {"a.txt": b"first " * 100, "b.txt": bytes(range(32, 127)) * 20, "c.txt": b"third " * 100}
    packed = bytearray(zipped(texts))
    at = packed.index(b"b.txt") + 20
    packed[at : at + 30] = b"\xff" * 30
    found = read_bytes(tmp_path, "x.zip", bytes(packed))
    assert [record.reason for record in found] == [None, "truncated_archive", None]


# fields --------------------------------------------------------------------------------------------------------------


def test_text_may_be_several_fields_nested_or_lists(tmp_path: Path) -> None:
    rows = [
        {"title": "T", "abstract": {"text": ["One.", "Two."]}, "pmid": 12345678901234567890123},
        {"title": "Only a title", "abstract": None, "pmid": 7},
        {"pmid": True},
    ]
    found = read_bytes(tmp_path, "x.jsonl", as_jsonl(rows), text=["title", "abstract.text"], id="pmid")
    assert [record.text for record in found] == ["T\n\nOne.\nTwo.", "Only a title", None]
    assert [record.own_id for record in found] == ["12345678901234567890123", "7", None]
    assert found[2].reason == "missing_text"


def test_a_parquet_file_gives_nested_text_and_scalar_meta(tmp_path: Path) -> None:
    rows = [{"doc": {"lines": ["a", "b"]}, "n": 1.5, "raw": b"\0", "tags": ["x"], "none": None}]
    (found,) = read_bytes(tmp_path, "x.parquet", as_parquet(rows), text="doc.lines")
    assert (found.text, dict(found.meta)) == ("a\nb", {"n": 1.5})


def test_an_object_of_objects_names_its_records(tmp_path: Path) -> None:
    content = json.dumps({"111": {"Q": "a", "id": 1}, "222": {"Q": "b", "id": 2}}).encode()
    by_key = read_bytes(tmp_path, "x.json", content, text="Q")
    by_field = read_bytes(tmp_path, "x.json", content, text="Q", id="id")
    assert [record.own_id for record in by_key] == ["111", "222"]
    assert [record.own_id for record in by_field] == ["1", "2"]


def test_ids_beyond_64_bits_stay_apart(tmp_path: Path) -> None:
    rows = [{"id": 2**70 + k, "text": f"text {k}"} for k in range(2)]
    for name, content in {
        "x.jsonl": as_jsonl(rows),
        "x.json": json.dumps(rows).encode(),
        "y.json": json.dumps({"a": rows[0], "b": rows[1]}).encode(),
    }.items():
        assert [one.own_id for one in read_bytes(tmp_path, name, content, id="id")] == [str(2**70), str(2**70 + 1)]


def test_a_parquet_value_that_python_cannot_hold_costs_its_own_row_at_most(tmp_path: Path) -> None:
    latin = pa.array([b"caf\xe9", b"tea"], pa.binary()).view(pa.string())
    days = pa.array([2**31 - 1, 0], pa.int32()).view(pa.date32())  # the year 5,881,580
    out = io.BytesIO()
    pq.write_table(pa.table({"text": latin, "day": days}), out)
    broken, whole = read_bytes(tmp_path, "x.parquet", out.getvalue())
    assert (broken.reason, broken.position) == ("wrong_encoding", 0)
    assert (whole.text, whole.meta["day"].year) == ("tea", 1970)


def test_a_page_and_front_matter_that_python_itself_stumbles_over(tmp_path: Path) -> None:
    sentence = "The nurse came back with warm tea and said that the fever was gone. " * 5
    page = f"<html><head><meta charset=undefined></head><body><p>{sentence}</p></body></html>"
    assert "warm tea" in str(read_bytes(tmp_path, "x.html", page.encode())[0].text)
    for value in ("!!int ''", "!!timestamp x", "!!bool x"):
        (found,) = read_bytes(tmp_path, "x.md", f"---\na: {value}\n---\n{sentence}".encode())
        assert found.text == sentence


def test_names_that_are_no_text_do_not_end_the_run(tmp_path: Path) -> None:
    latin = io.BytesIO()
    with tarfile.open(fileobj=latin, mode="w", encoding="latin-1", format=tarfile.USTAR_FORMAT) as archive:
        entry = tarfile.TarInfo("café.txt")
        entry.size = 5
        archive.addfile(entry, io.BytesIO(b"hello"))
    broken = zipped({"café.txt": b"hello"}).replace("café".encode(), b"caf\xff\xff")  # no UTF-8, though it says so
    for name, content in {"x.tar": latin.getvalue(), "x.zip": broken}.items():
        (tmp_path / name).write_bytes(content)
        source = Source(name="s", path=name)
        rows = [
            row for file in list_files(source, tmp_path) for batch in read(file, source) for row in batch.to_pylist()
        ]
        assert rows[0]["text"] == "hello"
        assert rows[0]["path"].startswith(f"{name}!caf")


def test_a_single_object_is_one_record_and_json_lines_are_read_as_lines(tmp_path: Path) -> None:
    (one,) = read_bytes(tmp_path, "a.json", b'{"text": "a", "more": {"text": "b"}}')
    assert one.text == "a"
    lines = read_bytes(tmp_path, "b.json", as_jsonl(ROWS) + b"{broken")
    assert [record.reason for record in lines] == [None] * 4 + ["broken_json"]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-32", "cp1252", "gb18030"])
@pytest.mark.parametrize("kind", ["jsonl", "json", "csv", "txt", "xml"])
def test_declared_encodings_and_byte_order_marks_are_honoured(tmp_path: Path, kind: str, encoding: str) -> None:
    text = "naïve “quotes” – 50 µg"
    if encoding == "gb18030":
        text = "心脏 泵血"
    content = {
        "jsonl": json.dumps({"text": text}, ensure_ascii=False) + "\n",
        "json": json.dumps([{"text": text}], ensure_ascii=False),
        "csv": f"id,text\n1,{text}\n",
        "txt": text,
        "xml": f"<a>{text}</a>",
    }[kind]
    (found,) = read_bytes(tmp_path, f"x.{kind}", content.encode(encoding), encoding=encoding)
    assert found.text == text


def test_front_matter_becomes_meta_and_its_title_the_first_line(tmp_path: Path) -> None:
    head = "---\ntitle: 'Fever: a review'\ndate: 2020-01-02\ntags: [a]\n---\n"
    (titled,) = read_bytes(tmp_path, "a.md", (head + "\nText *as* it is.\n").encode())
    (headed,) = read_bytes(tmp_path, "b.md", (head + "# Own heading\n\nText.").encode())
    (odd,) = read_bytes(tmp_path, "c.md", b"---\ntitle: a: b: c\n---\nText.")
    (ruled,) = read_bytes(tmp_path, "d.md", b"---\nProse between rulers.\n---\nText.")
    assert titled.text == "# Fever: a review\n\nText *as* it is.\n"
    assert dict(titled.meta)["title"] == "Fever: a review"
    assert headed.text == "# Own heading\n\nText."
    assert odd.text == "# a: b: c\n\nText."
    assert ruled.text == "---\nProse between rulers.\n---\nText."


def test_a_page_gives_its_main_text_and_leaves_menus_and_scripts(tmp_path: Path) -> None:
    page = (
        "<html><head><meta charset='iso-8859-1'><title>Sore throat</title></head><body><nav><a href='/'>Home</a></nav>"
        "<article><h1>Sore throat</h1>" + "<p>A sore throat – pharyngitis – mostly heals by itself in a week.</p>" * 3
        + "<table><tr><td>dose</td><td>5 mg</td></tr></table></article><script>alert(1)</script></body></html>"
    ).encode("cp1252")  # fmt: skip
    (found,) = read_bytes(tmp_path, "x.html", page)
    text = found.text or ""
    assert "throat – pharyngitis" in text
    assert "5 mg" in text
    assert not re.search("alert|Home", text)
    assert dict(found.meta)["title"] == "Sore throat"


@pytest.mark.real
def test_real_sources_are_read_whole(shared_data: Path) -> None:
    for path, settings, count, good in [
        ("medical/pubmedqa/ori_pqal.json", {"text": ["QUESTION", "CONTEXTS", "LONG_ANSWER"]}, 1000, 1000),
        ("medical/sr_abstracts/bannach-brown_2019.csv", {"text": ["title", "abstract"], "id": "record_id"}, 1993, 1993),
        ("medical/sr_abstracts/nagtegaal_2019.csv", {"text": ["title", "abstract"], "id": "record_id"}, 2019, 2019),
        ("legal/scotus_ot2009-2011_pdftotext.jsonl.zst", {"id": "id"}, 290, 290),
        ("legal/gesetze_de_md.tar.gz", {}, 597, 597),
        ("general/novels", {}, 31, 31),
        ("multilingual/udhr_legacy_encodings.zip", {"format": "text", "encoding": "latin-1"}, 335, None),
    ]:
        source = Source(name="x", path=path, **settings)
        found = [record for file in list_files(source, shared_data) for record in records(file, source)]
        assert len(found) == count, path
        if good is not None:
            assert sum(record.reason is None for record in found) == good, path


def test_lines_gives_a_document_a_line(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"first one\r\n\nsecond one\n\xff broken\nlast")
    source = Source(name="s", path=str(tmp_path / "a.txt"), format="lines")
    found = [r for file in list_files(source, tmp_path) for r in records(file, source)]
    assert [(r.position, r.text or r.reason) for r in found] == [
        (0, "first one"),
        (2, "second one"),
        (3, "wrong_encoding"),
        (4, "last"),
    ]


def test_members_whose_content_cannot_be_had_are_quarantined(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        for name, kind in (("one.txt", tarfile.REGTYPE), ("two.txt", tarfile.LNKTYPE), ("three.txt", tarfile.SYMTYPE)):
            entry = tarfile.TarInfo(name)
            entry.type, entry.linkname = kind, "" if kind == tarfile.REGTYPE else "one.txt"
            entry.size = 5 if kind == tarfile.REGTYPE else 0
            archive.addfile(entry, io.BytesIO(b"hello"))
    source = Source(name="s", path=str(tmp_path / "a.tar"))
    found = [r for file in list_files(source, tmp_path) for r in records(file, source)]
    assert [(r.path, r.text or r.reason) for r in found] == [
        ("a.tar!one.txt", "hello"),
        ("a.tar!two.txt", "unsupported_member"),
    ]


def test_an_encrypted_member_is_called_what_it_is(tmp_path: Path) -> None:
    content = bytearray(zipped({"one.txt": b"hello", "two.txt": b"locked"}))
    header = content.rindex(b"PK\x01\x02")  # the directory's entry of the second member
    content[header + 8] |= 1  # flag bit 0: encrypted
    (tmp_path / "a.zip").write_bytes(content)
    source = Source(name="s", path=str(tmp_path / "a.zip"))
    found = [r for file in list_files(source, tmp_path) for r in records(file, source)]
    assert [(r.path, r.text or r.reason, r.evidence) for r in found] == [
        ("a.zip!one.txt", "hello", None),
        ("a.zip!two.txt", "unsupported_member", "encrypted"),
    ]
