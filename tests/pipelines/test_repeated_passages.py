"""Repeated passages in a whole run: cut, reported or left alone, and every byte and token accounted for."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import datasets
import pyarrow.dataset as ds
import pytest
from small import small_recipe

from curate.ledger import read_ledger
from curate.shards.seal import checksums
from pipelines.curation import curate
from pipelines.folder import RunFolder
from pipelines.run import begin

WORDS = 20  # the small corpus quotes 40 words at a time
Row = dict[str, Any]


def curated_with(corpus: Path, runs: Path, action: str) -> RunFolder:
    plain = small_recipe(corpus).curate.model_dump(exclude_unset=True)
    recipe = small_recipe(corpus, curate=plain | {"duplicates": {"spans": {"words": WORDS, "action": action}}})
    run = begin(recipe, runs / action)
    curate(recipe, run)
    return run


@pytest.fixture(scope="module")
def runs(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, RunFolder]:
    folder = tmp_path_factory.mktemp("spans")
    return {action: curated_with(corpus, folder, action) for action in ("ignore", "report", "remove")}


def ledger(run: RunFolder) -> dict[str, Row]:
    return {row["id"]: row for row in read_ledger(run.curated / "ledger").to_pylist()}


def texts(run: RunFolder, split: str) -> dict[str, str]:
    table = ds.dataset(str(run.curated / "documents" / split)).to_table(columns=["id", "text"])
    return dict(zip(*(table[name].to_pylist() for name in ("id", "text")), strict=True))


def told(run: RunFolder) -> Row | None:
    found: Row | None = json.loads((run.curated / "report.json").read_text(encoding="utf-8"))["spans"]
    return found


def test_a_report_of_repeated_passages_changes_no_byte_of_documents_or_shards(runs: dict[str, RunFolder]) -> None:
    def data(run: RunFolder) -> dict[str, str]:
        parts = ("shards", "curated/documents", "curated/ledger", "tokenizer")
        files = {f"{part}/{name}": sha for part in parts for name, sha in checksums(run.path / part).items()}
        return {name: sha for name, sha in files.items() if not name.endswith("manifest.json")}  # they name the recipe

    assert data(runs["ignore"]) == data(runs["report"]) != data(runs["remove"])
    assert told(runs["ignore"]) is None
    found = told(runs["report"])
    assert found is not None
    assert sum(row["spans"] for row in found["by_source"]) > 10
    assert sum(row["bytes_cut"] for row in found["by_source"]) == 0


def test_what_is_cut_is_accounted_for_to_the_byte_and_to_the_token(runs: dict[str, RunFolder]) -> None:
    before, after = ledger(runs["report"]), ledger(runs["remove"])
    assert before.keys() == after.keys()
    assert sum(Counter(row["fate"] for row in after.values()).values()) == len(before)
    kept = {name: row for name, row in after.items() if row["fate"] == "kept"}
    cut = {name for name in kept if kept[name]["bytes_trimmed"]}
    assert len(cut) > 5
    for name, row in after.items():
        assert row["n_bytes"] + row["bytes_trimmed"] == before[name]["n_bytes"]
    found = told(runs["remove"])
    assert found is not None
    assert sum(row["documents_cut"] for row in found["by_source"]) == len(cut)
    assert sum(row["bytes_cut"] for row in found["by_source"]) == sum(kept[name]["bytes_trimmed"] for name in cut)
    assert {kept[name]["split"] for name in cut} == {"train"}
    for split in ("train", "validation", "test"):
        for name, text in texts(runs["remove"], split).items():
            assert len(text.encode()) == kept[name]["n_bytes"]
    shards = runs["remove"].shards
    for corpus in ("domain", "web"):
        rows = datasets.load_from_disk(str(shards / corpus / "train"))
        for row in rows:
            assert row["n_bytes"] == kept[row["id"]]["n_bytes"]
            assert len(row["input_ids"]) == kept[row["id"]]["tokens"]


def test_after_cutting_training_documents_share_no_run_and_held_out_ones_are_as_they_were(
    runs: dict[str, RunFolder],
) -> None:
    def shared(run: RunFolder) -> int:
        holders: dict[tuple[str, ...], set[str]] = {}
        for name, text in texts(run, "train").items():
            words = text.casefold().replace(".", " ").split()
            for at in range(len(words) - WORDS + 1):
                holders.setdefault(tuple(words[at : at + WORDS]), set()).add(name)
        return sum(len(names) > 1 for names in holders.values())

    assert shared(runs["report"]) > 100
    assert shared(runs["remove"]) == 0
    for split in ("validation", "test"):
        assert texts(runs["remove"], split) == texts(runs["report"], split)
