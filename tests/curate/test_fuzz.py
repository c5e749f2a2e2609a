"""A hundred thousand records, each broken at random: readers give text or a reason, kernels numbers, nothing raises.

Every mutation follows from one seed. Most records go through the formats that are read fast; the slow ones, compressed
files and archives get some hundreds each.
"""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import json
import lzma
import random
import tarfile
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from curate.cleaning import clean, load
from curate.dedup.exact import exact_keys
from curate.dedup.minhash import signatures
from curate.dedup.shingles import ShingleRecipe
from curate.inputs import list_files, records
from curate.measured import families, measure
from curate.plugins import siblings
from curate.records import Record, batches
from curate.settings import Source
from curate.text import TextBatch

TEXTS = [
    "Fever of 39.5°C for 3 days; 10⁶ CFU/µl.\nNo rash — the patient slept.",
    "The cafÃ© isnâ€™t open.\r\nShe said \x93yes\x94",
    "漢字とかな交じり文。 심장 หัวใจ قلب می\u200cخواهم हृदय 👩\u200d⚕️",
    "- one\n- two\n\n| a | b |\n|---|---|\n| 1 | 2 |\n" * 3,
    "lorem ipsum dolor sit amet, " * 8,
    "",
    "a",
]
ROWS = [{"id": k, "text": text, "year": 1990 + k, "tags": ["x", None], "score": 0.5} for k, text in enumerate(TEXTS)]
LINES = [json.dumps(row, ensure_ascii=bool(k % 2)).encode() for k, row in enumerate(ROWS)]
PARAGRAPHS = "".join(f"<p>{text}</p>" for text in TEXTS)
PAGE = f"<html><head><title>T</title></head><body><div class=a><h1>H</h1>{PARAGRAPHS}<ul><li>x</ul></body></html>"
ARTICLE = f"<?xml version='1.0'?><article><front><title>T &amp; U</title></front><body>{PARAGRAPHS}</body></article>"
PIECES = [
    *(
        b"\0",
        b"\n",
        b"\r\n",
        b'"',
        b"{",
        b"[[",
        b"]",
        b"\\u0000",
        b"\\ud800",
        b"\xff\xfe",
        b"\xef\xbb\xbf",
        b"1e999",
        b"NaN",
    ),
    *(b"<![CDATA[", b"&#0;", b"<!--", b"</", b"\x1b[0m", "\u2028\u200b".encode(), b"---\n", b"," * 9, b"\xed\xa0\x80"),
]


def table(delimiter: str = ",") -> bytes:
    out = io.StringIO(newline="")
    writer = csv.DictWriter(out, list(ROWS[0]), delimiter=delimiter)
    writer.writeheader()
    writer.writerows(ROWS)
    return out.getvalue().encode()


def parquet() -> bytes:
    out = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(ROWS), out, row_group_size=3)
    return out.getvalue()


def arrow() -> bytes:
    out = io.BytesIO()
    whole = pa.Table.from_pylist(ROWS)
    with pa.ipc.new_file(out, whole.schema) as file:
        file.write_table(whole, max_chunksize=3)
    return out.getvalue()


def warc() -> bytes:
    answer = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n" + PAGE.encode()
    head = "WARC/1.0\r\nWARC-Type: response\r\nWARC-Target-URI: http://a.b/\r\nContent-Type: application/http\r\n"
    return f"{head}Content-Length: {len(answer)}\r\n\r\n".encode() + answer + b"\r\n\r\n"


def zipped(members: dict[str, str]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return out.getvalue()


def tar() -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name, content in {"a.jsonl": b"\n".join(LINES), "b/c.txt": TEXTS[0].encode()}.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return out.getvalue()


WORD = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
PARAGRAPH = "<w:p><w:r><w:t>Fever</w:t></w:r></w:p>"
DOCX = zipped(
    {
        "[Content_Types].xml": '<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"/>',
        "word/document.xml": f'<w:document xmlns:w="{WORD}"><w:body>{PARAGRAPH}</w:body></w:document>',
    }
)
ITEM = "<item id='i' href='a.xhtml' media-type='application/xhtml+xml'/>"
EPUB = zipped(
    {
        "mimetype": "application/epub+zip",
        "META-INF/container.xml": '<container><rootfiles><rootfile full-path="a.opf"/></rootfiles></container>',
        "a.opf": f"<package><manifest>{ITEM}</manifest><spine><itemref idref='i'/></spine></package>",
        "a.xhtml": PAGE,
    }
)
PDF = b"""%PDF-1.4
1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj
2 0 obj<</Type/Pages/Kids[3 0 R]/Count 1>>endobj
3 0 obj<</Type/Page/Parent 2 0 R/Contents 4 0 R/MediaBox[0 0 99 99]/Resources<</Font<</F 5 0 R>>>>>>endobj
4 0 obj<</Length 36>>stream
BT /F 9 Tf (Fever and cough) Tj ET
endstream endobj
5 0 obj<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>endobj
trailer<</Root 1 0 R>>"""
# name of the file -> its content, how many to make. A format that is not here is fed pages
SLOW: dict[str, tuple[bytes, int]] = {
    "x.html": (PAGE.encode(), 250),
    "x.xml": (ARTICLE.encode(), 400),
    "x.md": (b"---\ntitle: T\ndate: 2020-01-02\n---\n# H\n\n" + TEXTS[3].encode(), 400),
    "x.parquet": (parquet(), 400),
    "x.arrow": (arrow(), 300),
    "x.warc": (warc(), 150),
    "x.docx": (DOCX, 200),
    "x.epub": (EPUB, 150),
    "x.pdf": (PDF, 200),
    "x.jsonl.gz": (gzip.compress(b"\n".join(LINES)), 300),
    "x.jsonl.zst": (zstandard.compress(b"\n".join(LINES)), 300),
    "x.jsonl.bz2": (bz2.compress(b"\n".join(LINES)), 300),
    "x.jsonl.xz": (lzma.compress(b"\n".join(LINES)), 300),
    "x.tar": (tar(), 300),
    "x.tar.gz": (gzip.compress(tar()), 300),
    "x.zip": (zipped({"a.jsonl": b"\n".join(LINES).decode(), "b.txt": TEXTS[0]}), 300),
}


def mutated(content: bytes, draw: random.Random, most: int = 3) -> bytes:
    """The content after one to `most` accidents."""
    out = bytearray(content)
    for _ in range(draw.randint(1, most)):
        at = int(draw.random() * (len(out) + 1))
        kind = int(draw.random() * 6)
        if kind == 0 and at < len(out):
            out[at] ^= 1 << int(draw.random() * 8)
        elif kind == 1:
            out[at : at + 1] = PIECES[int(draw.random() * len(PIECES))]
        elif kind == 2:
            del out[at : at + int(draw.random() * 40)]
        elif kind == 3:
            out[at:at] = out[at : at + int(draw.random() * 60)] * int(1 + draw.random() * 4)
        elif kind == 4:
            other = LINES[int(draw.random() * len(LINES))]
            out[at:at] = other[int(draw.random() * len(other)) :][:80]
        elif kind == 5 and at > 1:
            del out[at:]
    return bytes(out)


def tables_of(draw: random.Random, count: int) -> bytes:
    header, *rows = table().split(b"\r\n")
    return b"\r\n".join([header, *(mutated(rows[k % len(rows)], draw, 1) for k in range(count))])


def arrays_of(draw: random.Random, count: int) -> bytes:
    """An array whose last element is broken: what comes before the first break is read, and the rest is one record."""
    return b"[" + b",".join([*(LINES[k % len(LINES)] for k in range(count - 1)), mutated(LINES[0], draw)]) + b"]"


FAST: dict[str, tuple[Callable[[random.Random, int], bytes], int, int]] = {  # how to make, records in a file, files
    "x.jsonl": (lambda draw, n: b"\n".join(mutated(LINES[k % len(LINES)], draw) for k in range(n)), 2500, 24),
    "x.lines": (lambda draw, n: b"\n".join(mutated(LINES[k % len(LINES)], draw) for k in range(n)), 2500, 6),
    "x.csv": (tables_of, 1000, 16),
    "x.json": (arrays_of, 8, 500),
    "x.txt": (lambda draw, n: mutated(TEXTS[draw.randrange(5)].encode(), draw), 1, 5000),
}


def read_all(folder: Path, name: str, contents: Iterator[bytes]) -> Iterator[Record]:
    settings = {"format": "lines"} if name == "x.lines" else {}
    source = Source(name="s", path=name, id="id", **settings)
    for content in contents:
        (folder / name).write_bytes(content)
        (file,) = list_files(source, folder)
        found = list(records(file, source))
        for record in found:
            assert (record.text is None) == bool(record.reason), record
        positions = [record.position for record in found]
        assert positions == sorted(set(positions)) or file.archive
        yield from found


def check_kernels(found: list[Record]) -> Counter[str]:
    """Everything that happens to a document before a decision, on these."""
    cleaners, all_measures = load(["encoding", "line_endings", "invisible"]), families(siblings("curate.measures"))
    reasons: Counter[str] = Counter()
    for raw in batches(found, 1 << 20):
        reasons.update(reason or "text" for reason in raw["reason"].to_pylist())
        texts, taken = clean(raw["text"], cleaners)
        raw["text"].validate(full=True)
        texts.validate(full=True)
        assert all(len(counts) == len(texts) for counts in taken.values())
        batch = TextBatch(texts.filter(texts.is_valid()))
        assert len(batch.words.first) == len(batch) + 1
        for name, values in measure(batch, all_measures).items():
            assert len(values) == len(batch), name
            assert np.isfinite(values.astype(np.float64)).all(), name
        assert exact_keys(batch).shape == (len(batch), 2)
        assert signatures(batch, ShingleRecipe("words", 5), 16, 1).shape == (len(batch), 16)
    return reasons


def test_a_hundred_thousand_broken_records_are_text_or_have_a_reason(tmp_path: Path) -> None:
    draw = random.Random(20)
    made, met = 0, set[str]()
    for name, (make, count, times) in FAST.items():
        found = list(read_all(tmp_path, name, (make(draw, count) for _ in range(times))))
        made += count * times
        reasons = check_kernels(found)
        assert reasons["text"] > 500, name
        met |= set(reasons)
    assert made >= 99_000
    assert {"broken_json", "wrong_encoding", "unreadable_row", "empty_text", "missing_text", "not_an_object"} <= met


@pytest.mark.parametrize("name", SLOW)
def test_broken_files_of_every_format_are_text_or_have_a_reason(tmp_path: Path, name: str) -> None:
    content, count = SLOW[name]
    draw = random.Random(name)
    found = list(read_all(tmp_path, name, (mutated(content, draw) for _ in range(count))))
    reasons = check_kernels(found)
    assert reasons["text"] > 5
    assert reasons.total() - reasons["text"] > 5


def test_every_reader_is_fuzzed() -> None:
    formats = {"markdown": "md"}
    named = {name.split(".")[1] for name in [*SLOW, *FAST]} | {"text"}
    assert [name for name in siblings("curate.readers") if formats.get(name, name) not in named] == []


def test_lines_read_the_fast_way_are_lines_read_the_simple_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    draw = random.Random(21)
    contents = [FAST["x.jsonl"][0](draw, 3000) for _ in range(4)]
    quick = list(read_all(tmp_path, "x.jsonl", iter(contents)))
    monkeypatch.setattr("curate.readers.jsonl._quickly", lambda line, fields: None)
    simple = list(read_all(tmp_path, "x.jsonl", iter(contents)))
    assert quick == simple
    assert 1000 < sum(record.text is not None for record in quick) < len(quick) - 1000
