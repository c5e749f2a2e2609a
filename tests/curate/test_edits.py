"""Laws of edited texts: every reader sees what writing the edited texts in the first place would have shown."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sifted_units import Doc, write_units

from curate.passes.edits import Edits, leave
from curate.passes.judge import VERDICTS
from curate.passes.sift import unit_file
from curate.passes.sifted import Sifted
from curate.settings import Duplicates

COLUMNS = ["id", "text", "n_bytes", "n_chars", "key_high", "key_low", "signature"]


def _text(draw: np.random.Generator) -> str:
    return " ".join(draw.choice(["fever", "Ärzte", "発熱", "heart", "x²", "\n", "39"], int(draw.integers(0, 30))))


def _units(seed: int) -> list[tuple[str, list[Doc]]]:
    draw = np.random.default_rng(seed)
    return [(f"s{unit}", [Doc(f"d{i}", _text(draw)) for i in range(40)]) for unit in range(3)]


def _edit(sifted: Sifted, folder: Path, units: list[tuple[str, list[Doc]]], seed: int) -> list[tuple[str, list[Doc]]]:
    """Some documents of all units but the last get another text; returns the corpus as it is then."""
    draw = np.random.default_rng(seed)
    after = []
    for unit, (source, docs) in enumerate(units):
        here = [row for row in range(len(docs)) if unit < 2 and draw.random() < 0.4]
        texts = {row: _text(draw) for row in here}
        with Edits(folder, unit, Duplicates(), 1) as edits:
            for some in (here[:5], here[5:6], [], here[6:]):  # in other row groups than those of the records
                before = [len(docs[row].text.encode()) for row in some]
                edits.write(
                    np.array(some, np.int64),
                    pa.array([texts[row] for row in some], pa.large_string()),
                    np.array(before, np.int64),
                )
        assert unit_file(folder, unit).exists() == bool(here)
        after.append((source, [replace(doc, text=texts.get(row, doc.text)) for row, doc in enumerate(docs)]))
    return after


@pytest.mark.parametrize("rows_in_group", [3, 7, 1000])
def test_every_reader_sees_the_edited_texts_and_the_latest_edit_wins(tmp_path: Path, rows_in_group: int) -> None:
    units = _units(1)
    sifted, _ = write_units(tmp_path / "before", units, rows_in_group)
    once = _edit(sifted, tmp_path / "one", units, 2)
    twice = _edit(sifted, tmp_path / "two", once, 3)
    overlaid = sifted.edited(tmp_path / "one").edited(tmp_path / "two")
    wanted, _ = write_units(tmp_path / "after", twice, rows_in_group)
    assert _whole(overlaid, COLUMNS) == _whole(wanted, COLUMNS) != _whole(sifted, COLUMNS)
    for columns in (["id"], ["n_bytes"], ["text"], ["id", "signature"]):
        assert _whole(overlaid, columns) == _whole(wanted, columns)
    records = np.flatnonzero(np.random.default_rng(4).random(len(sifted)) < 0.3)
    assert overlaid.take(records, COLUMNS).to_pylist() == wanted.take(records, COLUMNS).to_pylist()
    told = [(some.tolist(), texts.to_pylist()) for some, texts in overlaid.batches(records)]
    assert told == [(some.tolist(), texts.to_pylist()) for some, texts in wanted.batches(records)]


def test_what_edits_cut_adds_up_to_what_was_read(tmp_path: Path) -> None:
    units = _units(5)
    sifted, _ = write_units(tmp_path / "before", units)
    once = _edit(sifted, tmp_path / "one", units, 6)
    _edit(sifted, tmp_path / "two", once, 7)
    overlaid = sifted.edited(tmp_path / "one").edited(tmp_path / "two")
    read, left = _whole(sifted, ["n_bytes"]), _whole(overlaid, ["n_bytes", "bytes_trimmed"])
    assert [row["n_bytes"] for row in read] == [row["n_bytes"] + row["bytes_trimmed"] for row in left]
    assert {np.sign(row["bytes_trimmed"]) for row in left} == {-1, 0, 1}  # an edit may be longer, too
    assert all(row["bytes_trimmed"] == 0 for row in _whole(sifted, ["bytes_trimmed", "id"]))
    assert [row["bytes_trimmed"] for row in _whole(overlaid, ["bytes_trimmed"])] == [
        row["bytes_trimmed"] for row in left
    ]
    assert overlaid.take(np.zeros(0, np.int64), ["bytes_trimmed", "text"]).num_rows == 0


def test_a_document_of_which_nothing_is_left_leaves_with_a_verdict(tmp_path: Path) -> None:
    _, judged = write_units(tmp_path, [("s", [Doc("a", "one"), Doc("b", "two", is_removed=True), Doc("c", "three")])])
    leave(judged, tmp_path / "anew", 0, np.array([2]), "boilerplate", "only_boilerplate", ["nothing else"])
    before = pq.read_table(unit_file(judged, 0)).to_pylist()
    after = pq.read_table(unit_file(tmp_path / "anew", 0))
    assert after.schema.equals(VERDICTS)
    assert after.to_pylist() == [
        *before[:2],
        {
            "fate": "removed",
            "stage": "boilerplate",
            "reason": "only_boilerplate",
            "reasons": ["only_boilerplate"],
            "evidence": "nothing else",
        },
    ]


def _whole(sifted: Sifted, columns: list[str]) -> list[dict[str, object]]:
    return [row for _, rows in sifted.every(columns) for row in rows.select(columns).to_pylist()]
