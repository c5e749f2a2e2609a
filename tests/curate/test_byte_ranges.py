"""A file read in parts is the file read whole: the same records, at the same positions, wherever the borders fall."""

from __future__ import annotations

import io
import json
import random
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from curate.inputs import InputFile, list_files, records
from curate.records import Record, Span
from curate.settings import Source
from curate.spans import LineSpans, container_spans, splits_at_lines
from curate.units import plan_units, read_unit

MARK = "\ufeff"
ROWS = [
    {"id": f"r{k}", "text": text} for k, text in enumerate(["Fever.", "漢字と🩺", "a\nb", "é" * 30, " ", "x" * 200])
]
LINES = [json.dumps(row, ensure_ascii=False) for row in ROWS]
CONTENTS = {
    "plain": "\n".join(LINES) + "\n",
    "no final line break": "\n".join(LINES),
    "windows": "\r\n".join(LINES) + "\r\n",
    "byte order mark": MARK + "\n".join(LINES),
    "a mark within": "\n".join([*LINES, MARK + LINES[0], LINES[1]]),
    "marks everywhere": "\n".join(MARK + line for line in LINES),
    "blank lines": "\n\n  \n" + "\n\n".join(LINES) + "\n\n\n",
    "only blank lines": "\n" * 50,
    "broken lines": '{"text": }\n' + "\n".join(LINES) + "\n[1]\n{",
    "one line": LINES[-1] * 3,
    "nothing": "",
}


def spans_of(content: bytes, unit_bytes: int, block_bytes: int) -> list[Span]:
    seen = LineSpans(unit_bytes)
    for at in range(0, len(content), block_bytes):
        seen.feed(content[at : at + block_bytes])
    return seen.spans()


def file_of(folder: Path, name: str, content: bytes, **settings: object) -> tuple[InputFile, Source]:
    (folder / name).write_bytes(content)
    source = Source(name="s", path=name, **settings)
    (file,) = list_files(source, folder)
    return file, source


def in_parts(file: InputFile, source: Source, spans: list[Span]) -> list[Record]:
    parts = [replace(file, span=span) for span in spans] or [file]
    return [record for part in parts for record in records(part, source)]


@pytest.mark.parametrize("format", ["jsonl", "lines"])
@pytest.mark.parametrize("kind", CONTENTS)
def test_parts_of_any_size_give_the_records_of_the_whole(tmp_path: Path, kind: str, format: str) -> None:
    content = CONTENTS[kind].encode()
    file, source = file_of(tmp_path, "x.jsonl", content, format=format)
    whole = list(records(file, source))
    most = 0
    for unit_bytes in (1, 2, 3, 5, 7, 16, 33, 50, 64, 100, 150, 10_000):
        spans = spans_of(content, unit_bytes, 1 + unit_bytes * 7 % 41)
        assert in_parts(file, source, spans) == whole
        assert [span.begin for span in spans[1:]] == [span.end for span in spans[:-1]]
        assert sum(span.n_bytes for span in spans) in (0, len(content))
        most = max(most, len(spans))
    assert most > 5 or kind in ("one line", "nothing")


@pytest.mark.parametrize("encoding", ["utf-8-sig", "cp1252", "gb18030", "shift_jis"])
def test_parts_are_decoded_as_the_whole_is(tmp_path: Path, encoding: str) -> None:
    text = {"cp1252": "naïve “quotes”\n\nµg\nx", "utf-8-sig": "é\n漢\nx"}.get(encoding, "心音\n血\nx")
    for content in (text.encode(encoding), MARK.encode() + text.encode(), "\n".join([MARK, MARK, "x"]).encode()):
        file, source = file_of(tmp_path, "x.txt", content, format="lines", encoding=encoding)
        assert splits_at_lines("lines", encoding, content)
        for unit_bytes in range(1, len(content) + 2):
            assert in_parts(file, source, spans_of(content, unit_bytes, 3)) == list(records(file, source))


def test_random_lines_in_random_parts(tmp_path: Path) -> None:
    draw = random.Random(5)
    several = 0
    for _ in range(60):
        pieces = ["\n", "\r\n", "é漢🩺", "x" * draw.randint(0, 90), '{"text": "a"}\n', MARK]
        content = "".join(draw.choices(pieces, k=draw.randint(0, 60))).encode()
        file, source = file_of(tmp_path, "x.jsonl", content)
        whole = list(records(file, source))
        for _ in range(5):
            spans = spans_of(content, draw.randint(1, 120), draw.randint(1, 200))
            several += len(spans) > 2
            assert in_parts(file, source, spans) == whole
    assert several > 100


def test_a_line_too_large_for_any_part_is_quarantined_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("records", "decoding", "readers.jsonl"):
        monkeypatch.setattr(f"curate.{module}.LARGEST_RECORD", 500)
    content = ("\n".join([LINES[0], json.dumps({"text": "y" * 3000}), LINES[1]]) + "\n").encode()
    file, source = file_of(tmp_path, "x.jsonl", content)
    assert [record.reason for record in records(file, source)] == [None, "too_large", None]
    for unit_bytes in range(10, 400, 13):
        assert in_parts(file, source, spans_of(content, unit_bytes, 64)) == list(records(file, source))


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-32"])
def test_text_whose_line_breaks_are_not_one_byte_is_left_whole(encoding: str) -> None:
    assert not splits_at_lines("jsonl", encoding, b"{}")
    assert not splits_at_lines("jsonl", "utf-8", "x\n".encode("utf-16"))
    assert not splits_at_lines("csv", "utf-8", b"a,b")  # a quoted field may hold a line break
    assert splits_at_lines("jsonl", "utf-8", b"")


# row groups ----------------------------------------------------------------------------------------------------------


def parquet(rows: int, group: int) -> bytes:
    out = io.BytesIO()
    table = pa.table({"text": [f"row {k} " * 5 for k in range(rows)], "id": [f"p{k}" for k in range(rows)]})
    pq.write_table(table, out, row_group_size=group, compression="none")
    return out.getvalue()


def test_row_groups_read_apart_give_the_records_of_the_whole(tmp_path: Path) -> None:
    file, source = file_of(tmp_path, "x.parquet", parquet(100, 7))
    whole = list(records(file, source))
    assert [record.position for record in whole] == list(range(100))
    counts = set()
    for unit_bytes in (1, 500, 1000, 2000, 5000, 1 << 20):
        spans = container_spans(io.BytesIO((tmp_path / "x.parquet").read_bytes()), "parquet", unit_bytes)
        counts.add(len(spans))
        assert in_parts(file, source, spans) == whole
    assert {0, 15} < counts


def test_a_damaged_row_group_costs_its_own_rows_in_parts_and_whole(tmp_path: Path) -> None:
    content = bytearray(parquet(100, 10))
    at = content.index(b"row 40 ")
    content[at - 20 : at + 40] = b"\xff" * 60
    file, source = file_of(tmp_path, "x.parquet", bytes(content))
    whole = list(records(file, source))
    assert [record.position for record in whole if record.reason] == [40]
    assert len(whole) == 91
    spans = container_spans(io.BytesIO(content), "parquet", 1)
    assert len(spans) == 10
    assert in_parts(file, source, spans) == whole


def test_a_damaged_file_has_no_parts() -> None:
    assert container_spans(io.BytesIO(b"PAR1 nothing"), "parquet", 1) == []
    assert container_spans(io.BytesIO(b"text"), "text", 1) == []


# units ---------------------------------------------------------------------------------------------------------------


def test_parts_and_files_fill_units_in_order(tmp_path: Path) -> None:
    content = CONTENTS["plain"].encode()
    file, source = file_of(tmp_path, "x.jsonl", content)
    parts = [replace(file, span=span) for span in spans_of(content, 50, 64)]
    units = plan_units([(source, parts)], unit_bytes=160)
    assert [part for unit in units for part in unit.files] == parts
    assert 1 < len(units) < len(parts)
    rows = [row for unit in units for batch in read_unit(unit) for row in batch.to_pylist()]
    assert [row["position"] for row in rows] == [record.position for record in records(file, source)]


def test_batches_run_across_the_files_of_a_unit(tmp_path: Path) -> None:
    for number in range(50):
        (tmp_path / f"{number:02}.txt").write_text(f"note {number}")
    source = Source(name="s", path=str(tmp_path))
    (unit,) = plan_units([(source, list_files(source, tmp_path))])
    (batch,) = read_unit(unit)
    assert batch["text"].to_pylist() == [f"note {number}" for number in range(50)]
    assert batch["path"].to_pylist() == [f"{number:02}.txt" for number in range(50)]
    assert len(list(read_unit(unit, batch_bytes=70))) == 5
