"""A whole run whose leaks were let stand: the certificate, the page and the evaluation all say so."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from small import small_recipe

from curate.ledger import read_ledger
from pipelines.curation import curate
from pipelines.evaluation import touched_documents
from pipelines.folder import RunFolder
from pipelines.plan import plan
from pipelines.report.page import write_page
from pipelines.run import begin

# n-grams too long for the quotations of 40 words that the corpus holds
LETS_STAND: dict[str, Any] = {
    "contamination": {"ngram_words": 64, "containment_at_least": None},
    "duplicates": {"spans": {"action": "ignore"}},
    "split": {"validation": 15, "test": 30, "by": {"group": "year"}},
    "quality": {"rules": {"mean_word_length": {"at_least": 2, "at_most": 12}}},
    "language": {"at_least": 0.1},
}


@pytest.fixture(scope="module")
def leaking(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    recipe = small_recipe(corpus, curate=LETS_STAND)
    run = begin(recipe, tmp_path_factory.mktemp("leaking"))
    curate(recipe, run)
    return run


def test_the_certificate_names_every_held_out_document_and_its_leak(leaking: RunFolder) -> None:
    told = json.loads((leaking.curated / "certificate.json").read_text(encoding="utf-8"))
    rows = pq.read_table(leaking.curated / "certificate.parquet").to_pylist()
    kept = {row["id"]: row["split"] for row in read_ledger(leaking.curated / "ledger", ["id", "split"]).to_pylist()}
    held_out = {name for name, split in kept.items() if split in ("validation", "test")}
    assert {row["id"] for row in rows} == {row["id"] for row in told["worst_first"]} == held_out
    assert told["crossing"] == {"clusters": 0, "exact_copies": 0, "groups": 0}
    touched = [row for row in rows if row["containment"] > 0]
    assert 0 < len(touched) == told["touched"]
    assert told["longest_span_words"] >= 40
    assert all(kept[row["span_in"]] == kept[row["contained_in"]] == "train" for row in touched)
    assert told["settings"]["contamination"]["ngram_words"] == 64  # and still it asks for 13 words
    assert told["certified"]["documents"] == sum(split is not None for split in kept.values())


def test_the_page_shows_the_verdict_and_the_texts(leaking: RunFolder) -> None:
    numbers = json.loads((leaking.curated / "report.json").read_text(encoding="utf-8"))["certificate"]
    page = write_page(leaking.path).read_text(encoding="utf-8")
    assert numbers["verdict"].split(".")[1] in page
    assert "Whole groups by year are held out" in page
    worst = numbers["shown"][0]
    assert worst["span_words"] == numbers["longest_span_words"]
    here, there = (worst[side]["shared"].lower().split() for side in ("here", "there"))
    assert len(here) >= 40
    assert " ".join(here).strip(".") == " ".join(there).strip(".")
    assert f"<mark>{worst['here']['shared']}</mark>" in page


def test_the_evaluation_is_told_which_documents_are_touched(leaking: RunFolder) -> None:
    rows = pq.read_table(leaking.curated / "certificate.parquet").to_pylist()
    names = [row["id"] for row in rows][::-1]
    found = touched_documents(leaking, names)
    assert found is not None
    assert dict(zip(names, found.tolist(), strict=True)) == {row["id"]: row["containment"] > 0 for row in rows}
    assert 0 < found.sum() < len(found)


@pytest.mark.parametrize(
    ("split", "documents"),
    [
        ({"validation": 15, "test": 30}, "15 validation, 30 test"),
        ({"by": {"test_sources": ["pages"]}}, "0 validation, 40 test"),
    ],
)
def test_a_plan_counts_what_numbers_and_sources_hold_out(
    corpus: Path, tmp_path: Path, split: dict[str, Any], documents: str
) -> None:
    said = plan(small_recipe(corpus, curate=LETS_STAND | {"split": split}), tmp_path)
    domain = next(line for line in said.splitlines() if line.startswith("  domain"))
    assert documents in domain
