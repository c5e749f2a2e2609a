"""The demo's corpus meets its fate: every planted record of sample_data/ ends as sample_data/expected.json says."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow.dataset as ds
import pytest

from curate.ledger import read_ledger
from pipelines import recipe as recipes
from pipelines.curation import curate
from pipelines.folder import RunFolder
from pipelines.run import begin

ROOT = Path(__file__).parent.parent
EXPECTED: dict[str, Any] = json.loads((ROOT / "sample_data" / "expected.json").read_text(encoding="utf-8"))
Row = dict[str, Any]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """The demo's recipe as far as the shards, with a small vocabulary instead of the base model's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        recipe = recipes.load("demo", ["shards.tokenizer={vocabulary: 600}", "train=null"])
        folder = begin(recipe, tmp_path_factory.mktemp("demo"))
        curate(recipe, folder)
    return folder


@pytest.fixture(scope="module")
def ledger(run: RunFolder) -> dict[tuple[str, str, int], Row]:
    rows = read_ledger(run.curated / "ledger").to_pylist()
    return {(row["source"], row["path"], row["position"]): row for row in rows}


def place(planted: Row) -> tuple[str, str, int]:
    return planted["source"], planted["path"], planted["position"]


def of_plants(*beginnings: str) -> list[Row]:
    return [one for one in EXPECTED["planted"] if one["plant"].startswith(beginnings)]


def test_every_record_is_accounted_for(ledger: dict[tuple[str, str, int], Row]) -> None:
    counts = Counter(source for source, _, _ in ledger)
    for source, records in EXPECTED["records"].items():
        assert counts[source] == records, source


def test_every_planted_record_meets_its_fate(ledger: dict[tuple[str, str, int], Row]) -> None:
    wrong, checked = [], Counter[str]()
    for one in EXPECTED["planted"]:
        if one.get("if_held_out") or one["plant"] == "benchmark_leak":
            continue  # these depend on the split: see below
        row = ledger[place(one)]
        as_told = row["fate"] == one["fate"] and (one["fate"] == "kept" or row["stage"] == one["stage"])
        if not as_told or (one["reason"] and row["reason"] not in one["reason"]):
            found = (row["fate"], row["stage"], row["reason"], row["evidence"])
            wrong.append(f"{one['plant']} {place(one)}: {found}, not {(one['fate'], one['stage'], one['reason'])}")
        checked[one["fate"]] += 1
    assert not wrong, "\n".join(wrong)
    assert min(checked[fate] for fate in ("kept", "removed", "quarantined")) >= 15


def test_a_planted_copy_names_the_one_that_stays(ledger: dict[tuple[str, str, int], Row]) -> None:
    copies = [one for one in of_plants("exact_duplicate", "near_duplicate") if one["fate"] == "removed"]
    assert len(copies) > 40
    for one in copies:
        row, stays = ledger[place(one)], ledger[place(one["stays"])]
        assert row["duplicate_of"] == stays["id"]
        assert row["cluster"] == stays["cluster"]
        assert row["similarity"] >= 0.8


def test_a_quoted_passage_leaks_just_where_the_split_parts_the_two(ledger: dict[tuple[str, str, int], Row]) -> None:
    parted = 0
    for one in of_plants("quotes_another", "quoted_by_another"):
        row, other = ledger[place(one)], ledger[place(one["if_held_out"])]
        if row["reason"] == "held_out_overlap":
            assert other["split"] in ("validation", "test")
            assert other["id"] in row["evidence"]
            parted += 1
        elif row["fate"] == "kept" and other["fate"] == "kept":
            assert (row["split"] == "train") == (other["split"] == "train")
    assert parted >= 5


def test_a_benchmark_question_is_never_trained_on(ledger: dict[tuple[str, str, int], Row]) -> None:
    rows = [ledger[place(one)] for one in of_plants("benchmark_leak")]
    assert all(row["split"] != "train" for row in rows)
    assert sum(row["reason"] == "benchmark_overlap" for row in rows) >= 3


@pytest.fixture(scope="module")
def documents(run: RunFolder) -> dict[str, Row]:
    """What stayed, by id."""
    rows = ds.dataset([str(path) for path in run.curated.glob("documents/*/*.parquet")]).to_table().to_pylist()
    return {row["id"]: row for row in rows}


def test_broken_text_is_repaired_and_sound_text_is_left_alone(
    documents: dict[str, Row], ledger: dict[tuple[str, str, int], Row]
) -> None:
    promised = [one for one in EXPECTED["planted"] if "text_holds" in one and one["fate"] == "kept"]
    assert len(promised) > 40
    for one in promised:
        assert one["text_holds"] in documents[ledger[place(one)]["id"]]["text"], one["plant"]


def test_markup_menus_and_personal_data_are_gone(
    documents: dict[str, Row], ledger: dict[tuple[str, str, int], Row]
) -> None:
    promised = [one for one in EXPECTED["planted"] if "text_lacks" in one]
    assert len(promised) >= 15
    for one in promised:
        text = documents[ledger[place(one)]["id"]]["text"]
        assert not [value for value in one["text_lacks"] if value in text], one["plant"]


def test_the_ledger_counts_personal_data_and_carries_licence_and_consent(
    documents: dict[str, Row], ledger: dict[tuple[str, str, int], Row]
) -> None:
    promised = [one for one in EXPECTED["planted"] if "ledger" in one]
    assert len(promised) >= 10
    for one in promised:
        row = ledger[place(one)]
        assert {name: row[name] for name in one["ledger"]} == one["ledger"]
        assert documents[row["id"]]["licence"] == one["ledger"]["licence"]
        assert documents[row["id"]]["consent"] == one["ledger"]["consent"]
    letters = [row for (source, _, _), row in ledger.items() if source == "letters"]
    assert all(row["licence"] and row["consent"] for row in letters)


def test_clean_text_stays(ledger: dict[tuple[str, str, int], Row]) -> None:
    planted = {place(one) for one in EXPECTED["planted"]}
    lost = Counter(row["reason"] for at, row in ledger.items() if at not in planted and row["fate"] != "kept")
    assert sum(lost.values()) <= 0.005 * len(ledger), lost


def test_a_repeated_id_is_numbered(ledger: dict[tuple[str, str, int], Row]) -> None:
    named = sorted(row["id"] for row in ledger.values() if row["id"].startswith("notes/N-TWICE"))
    assert named == ["notes/N-TWICE", "notes/N-TWICE#2"]
