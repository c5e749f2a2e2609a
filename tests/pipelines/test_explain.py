"""Every record of a run has a story, and it is the ledger's."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow.dataset as ds
import pytest
from fabricate import BOOK, CARD, FILTER, fabricate

from curate.settings import Curate
from curate.shards.fault import Fault
from pipelines.explain import explain
from pipelines.report.numbers import curation_numbers


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = fabricate(tmp_path_factory.mktemp("runs") / "made-up", trained=False)
    settings = Curate.model_validate({"pii": {"drop": ["email"]}, "filters": [FILTER]})
    numbers = curation_numbers(run, BOOK, domain=CARD, settings=settings)
    (run / "curated" / "report.json").write_text(json.dumps(numbers))
    return run


@pytest.fixture(scope="module")
def rows(run: Path) -> list[dict[str, Any]]:
    return ds.dataset(run / "curated" / "ledger").to_table().to_pylist()


def _first(rows: list[dict[str, Any]], **wanted: str) -> dict[str, Any]:
    return next(row for row in rows if all(row[name] == value for name, value in wanted.items()))


def test_every_reason_of_the_ledger_can_be_explained(run: Path, rows: list[dict[str, Any]]) -> None:
    one_of_each = {(row["fate"], row["stage"], row["reason"]): row for row in rows}
    assert len(one_of_each) >= 8
    for row in one_of_each.values():
        story = explain(run, row["id"])
        assert story.startswith(row["id"])
        assert row["fate"] in story.splitlines()[0]
        assert row["path"] in story
        if row["reason"]:
            assert row["reason"] in story.splitlines()[0]


def test_a_kept_document_names_its_split_shard_row_and_tokens(run: Path, rows: list[dict[str, Any]]) -> None:
    row = _first(rows, fate="kept", split="train")
    story = explain(run, row["id"])
    assert f"shards/{row['shard']}, row {row['row']}, {row['tokens']:,} tokens" in story
    assert "FAILS" not in story
    assert "  | " in story


def test_a_failed_bound_is_shown_beside_the_ones_that_passed(run: Path, rows: list[dict[str, Any]]) -> None:
    story = explain(run, _first(rows, reason="too_few_words", source="notes")["id"])
    words = next(line for line in story.splitlines() if " words " in line and "at least" in line)
    assert "FAILS" in words
    assert "at least 50" in words
    assert words.endswith("too_few_words")
    assert any(" ok " in line for line in story.splitlines())


def test_a_bound_of_one_source_is_shown_for_its_documents_alone(run: Path, rows: list[dict[str, Any]]) -> None:
    between = [row for row in rows if row["words"] is not None and 30 <= row["words"] < 50]
    assert {"statutes", "notes"} <= {row["source"] for row in between}
    for row in between:
        words = next(line for line in explain(run, row["id"]).splitlines() if " words " in line and "at least" in line)
        assert ("at least 30" in words) == (row["source"] == "statutes")
        assert ("FAILS" in words) == (row["source"] != "statutes")


def test_licence_language_and_personal_data_are_told(run: Path, rows: list[dict[str, Any]]) -> None:
    mixed = next(row for row in rows if row["other_language_share"] and row["fate"] == "kept")
    assert f"{mixed['language']}, score" in explain(run, mixed["id"])
    assert "another language in 25.0 % of the sampled text" in explain(run, mixed["id"])
    assert "licence     CC-BY-4.0" in explain(run, _first(rows, licence="CC-BY-4.0")["id"])
    assert "licence     consent: research_only" in explain(run, _first(rows, consent="research_only")["id"])
    holding = next(row for row in rows if row["pii_email"] and row["pii_phone"])
    assert "personal    email 1 (dropped), phone 1 (counted)" in explain(run, holding["id"])
    refused = _first(rows, reason="holds_email")
    assert any("FAILS" in line and "pii_email" in line for line in explain(run, refused["id"]).splitlines())


def test_the_domain_score_stands_beside_its_threshold(run: Path, rows: list[dict[str, Any]]) -> None:
    low = next(row for row in rows if row["reason"] == "off_domain")
    assert ", at least 0.4 FAILS" in explain(run, low["id"])
    seed = next(row for row in rows if row["source"] == "notes" and row["domain_score"] is not None)
    assert "threshold 0.4, not judged by it" in explain(run, seed["id"])


def test_what_a_filter_refused_is_told_apart(run: Path, rows: list[dict[str, Any]]) -> None:
    row = next(row for row in rows if row["reasons"] == ["gopher_too_many_bullets"])
    assert f"filters     gopher_too_many_bullets, of {FILTER}" in explain(run, row["id"])


def test_a_duplicate_names_its_match_and_the_other_members(run: Path, rows: list[dict[str, Any]]) -> None:
    row = _first(rows, reason="near_duplicate")
    story = explain(run, row["id"])
    assert f"matched {row['duplicate_of']}, similarity {row['similarity']:.3f}" in story
    others = [other["id"] for other in rows if other["cluster"] == row["cluster"] and other["id"] != row["id"]]
    assert others
    assert all(f"  {other}: " in story for other in others)


def test_a_quarantined_record_has_its_place_and_its_evidence(run: Path, rows: list[dict[str, Any]]) -> None:
    row = _first(rows, fate="quarantined")
    story = explain(run, row["id"])
    assert f"position {row['position']}" in story
    assert "Expecting ',' delimiter" in story
    assert "not readable" in story


def test_contamination_shows_the_evidence(run: Path, rows: list[dict[str, Any]]) -> None:
    assert "13 words with papers/0001" in explain(run, _first(rows, stage="contamination")["id"])


def test_a_text_cannot_move_the_cursor(run: Path, rows: list[dict[str, Any]]) -> None:
    stories = [explain(run, row["id"]) for row in rows[:40]]
    assert any("alert(1)" in story for story in stories)
    assert all(char.isprintable() or char == "\n" for story in stories for char in story)


@pytest.mark.parametrize(
    ("asked", "near"), [("notes/004", "notes/0040"), ("note/0004", "notes/0004"), ("0004", "notes/0004")]
)
def test_an_unknown_id_is_a_fault_that_names_the_nearest(run: Path, asked: str, near: str) -> None:
    with pytest.raises(Fault, match="no record is called") as caught:
        explain(run, asked)
    assert near in caught.value.hint


def test_a_removed_text_that_was_not_stored_is_said_to_be_so(
    run: Path, rows: list[dict[str, Any]], tmp_path: Path
) -> None:
    bare = tmp_path / "bare"
    (bare / "curated").mkdir(parents=True)
    (bare / "curated" / "ledger").symlink_to(run / "curated" / "ledger")
    assert "its text was not stored" in explain(bare, _first(rows, reason="near_duplicate")["id"])
