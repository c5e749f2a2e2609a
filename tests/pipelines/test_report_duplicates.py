"""The duplicates panel: what it says of clusters is the ledger's, of planted copies what was measured."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.dataset as ds
import pytest
from fabricate import RULES, fabricate

from curate.dedup.planted import measure
from curate.settings import Duplicates
from pipelines.folder import RunFolder
from pipelines.report.numbers import curation_numbers
from pipelines.report.page import write_page


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fabricate(tmp_path_factory.mktemp("runs") / "made-up")


@pytest.fixture(scope="module")
def numbers(run: Path) -> dict[str, Any]:
    return curation_numbers(run, RULES)


def page(run: Path, numbers: dict[str, Any]) -> str:
    (run / "curated" / "report.json").write_text(json.dumps(numbers))
    return write_page(run).read_text(encoding="utf-8")


def test_a_shown_cluster_has_the_size_copies_and_range_of_the_ledger(run: Path, numbers: dict[str, Any]) -> None:
    rows = ds.dataset(run / "curated" / "ledger").to_table().to_pylist()
    shown = numbers["duplicates"]["shown"]
    for match in shown:
        members = [row for row in rows if match["cluster"] in (row["cluster"], row["id"])]
        copies = [row for row in members if row["stage"] == "dedup"]
        near = [row["similarity"] for row in copies if row["reason"] == "near_duplicate"]
        assert match["size"] == len(members)
        assert match["away"] == len(copies) > 0
        assert match["exact"] == len(copies) - len(near)
        assert (match["lowest"], match["highest"]) == ((min(near), max(near)) if near else (None, None))
        assert match["similarity"] == min(row["similarity"] for row in copies)
    sizes = [match["size"] for match in shown if match["largest"]]
    assert sizes == sorted(sizes, reverse=True)
    assert any(match["lowest"] for match in shown)
    assert len({match["cluster"] for match in shown}) == len(shown)


def test_the_page_shows_what_was_measured_beside_what_the_curve_predicts(
    run: Path, numbers: dict[str, Any], tmp_path: Path
) -> None:
    texts = [" ".join(f"w{i * 7919 % 3571}" for i in range(at, at + 150)) for at in range(0, 6000, 150)]
    planted = measure(pa.array(texts, pa.large_string()), Duplicates(), 1, tmp_path)
    shown = page(run, numbers | {"planted": planted})
    near = planted["near"]
    assert f"{planted['pairs']:,} copies were planted" in shown
    assert f"<b>{100 * near['found']['share']:.1f}" in shown
    charts = [json.loads(data) for data in re.findall(r'<script type="application/json">(.*?)</script>', shown)]
    (chart,) = [one for one in charts if one.get("xLabel") == "Jaccard"]
    predicted, measured, found = chart["series"]
    assert chart["mark"] == 0.8
    assert chart["x"] == sorted(chart["x"])
    assert predicted["values"] == [pytest.approx(1 - (1 - s**8) ** 14) for s in chart["x"]]
    points = [i for i, share in enumerate(measured["values"]) if share is not None]
    assert len(points) >= 13
    for i in points:
        assert measured["low"][i] <= measured["values"][i] <= measured["high"][i]
    assert next(chart["x"][i] for i, share in enumerate(found["values"]) if share is not None) > 0.8


def test_too_few_documents_to_plant_in_are_said(run: Path, numbers: dict[str, Any], tmp_path: Path) -> None:
    planted = measure(pa.array(["short"], pa.large_string()), Duplicates(), 1, tmp_path)
    shown = page(run, numbers | {"planted": planted})
    assert "Not measured: 0 documents" in shown
    assert "copies were planted" not in shown


def test_a_report_of_before_copies_were_planted_still_opens(run: Path, numbers: dict[str, Any]) -> None:
    old = [
        {name: value for name, value in match.items() if name not in ("away", "exact", "lowest", "highest", "largest")}
        for match in numbers["duplicates"]["shown"]
    ]
    assert "planted" not in page(run, numbers | {"duplicates": numbers["duplicates"] | {"shown": old}})


def test_a_curated_run_has_measured_its_own_recall(curated: RunFolder) -> None:
    planted = json.loads((curated.curated / "report.json").read_text(encoding="utf-8"))["planted"]
    assert planted["pairs"] >= 900
    assert planted["precision"]["share"] == 1
    assert planted["near"]["found"]["low"] < planted["near"]["expected"] < planted["near"]["found"]["high"]
