"""The laws of curation, over a small corpus with one of everything."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import datasets
import pyarrow.dataset as ds
import pytest
import transformers
from small import small_recipe

from curate.ledger import FATES, read_ledger
from curate.shards.fault import Fault
from curate.shards.seal import checksums
from pipelines.curation import curate
from pipelines.folder import RunFolder
from pipelines.run import begin

PARTS = ("curated", "shards", "tokenizer")


def rows(run: RunFolder) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = read_ledger(run.curated / "ledger").to_pylist()
    return found


def by_id(run: RunFolder) -> dict[str, dict[str, Any]]:
    return {row["id"]: row for row in rows(run)}


def outputs(run: RunFolder) -> dict[str, str]:
    return {f"{part}/{name}": sha for part in PARTS for name, sha in checksums(run.path / part).items()}


def test_every_record_is_kept_removed_or_quarantined(curated: RunFolder, corpus: Path) -> None:
    counts: dict[str, Counter[str]] = {}
    for row in rows(curated):
        counts.setdefault(row["source"], Counter())[row["fate"]] += 1
        assert row["fate"] in FATES
        assert (row["reason"] is None) == (row["fate"] == "kept")
        assert (row["split"] is not None) == (row["fate"] == "kept")
    records = {"notes": 150 + 7 + 30, "pages": 41, "web": 80, "rules": 20}  # the benchmark has no rows
    assert {source: sum(fates.values()) for source, fates in counts.items()} == records
    assert all(sum(fates[fate] for fates in counts.values()) > 0 for fate in FATES)


def test_cleaners_account_for_the_bytes_they_take(curated: RunFolder, corpus: Path) -> None:
    taken = 0
    for row in rows(curated):
        if row["source"] == "pages" and row["fate"] != "quarantined":
            raw = (corpus / "pages" / row["path"]).read_bytes()
            assert row["n_bytes"] + row["bytes_cleaned"] == len(raw)
            taken += row["bytes_cleaned"]
    assert taken > 0


@pytest.mark.parametrize(
    ("document", "fate", "stage", "reason"),
    [
        ("notes/z-copy-of-3", "removed", "dedup", "exact_duplicate"),
        ("notes/z-like-5", "removed", "dedup", "near_duplicate"),
        ("notes/short", "removed", "judge", "too_few_words"),
        ("notes/empty", "quarantined", "read", "empty_text"),
        ("notes/no-text", "quarantined", "read", "missing_text"),
        ("notes/quotes-the-exam", "removed", "contamination", "benchmark_overlap"),
        ("notes/n7#2", "kept", None, None),
    ],
)
def test_each_record_meets_its_fate(curated: RunFolder, document: str, fate: str, stage: str, reason: str) -> None:
    row = by_id(curated)[document]
    if row["reason"] == "held_out_overlap":
        pytest.fail("the planted record was drawn into another trap: change the seed of the small corpus")
    assert (row["fate"], row["stage"], row["reason"]) == (fate, stage, reason)


def test_what_cannot_be_read_is_quarantined_with_its_place(curated: RunFolder) -> None:
    quarantined = {(row["path"], row["position"]): row for row in rows(curated) if row["fate"] == "quarantined"}
    assert quarantined["notes.jsonl.gz", 40]["reason"] == "broken_json"
    assert quarantined["latin.txt", 0]["reason"] == "wrong_encoding"
    assert all(row["evidence"] for row in quarantined.values())


def test_a_copy_names_the_one_that_stays(curated: RunFolder) -> None:
    ledger = by_id(curated)
    for copy, original in (("notes/z-copy-of-3", "notes/n3"), ("notes/z-like-5", "notes/n5")):
        assert ledger[copy]["duplicate_of"] == original
        assert ledger[original]["fate"] == "kept"
        assert ledger[copy]["cluster"] == ledger[original]["cluster"]


def ngrams(text: str, n: int = 13) -> set[tuple[str, ...]]:
    words = re.findall(r"\w+", text.casefold())
    return {tuple(words[i : i + n]) for i in range(len(words) - n + 1)}


def documents(run: RunFolder, split: str) -> dict[str, str]:
    table = ds.dataset(str(run.curated / "documents" / split)).to_table(columns=["id", "text"])
    return dict(zip(*(table[name].to_pylist() for name in ("id", "text")), strict=True))


def test_no_held_out_text_is_trained_on(curated: RunFolder) -> None:
    held_out = {
        g for split in ("validation", "test") for text in documents(curated, split).values() for g in ngrams(text)
    }
    assert len(held_out) > 1000
    assert not any(ngrams(text) & held_out for text in documents(curated, "train").values())
    leaked = [row for row in rows(curated) if row["reason"] == "held_out_overlap"]
    assert leaked  # the planted quotes met held-out documents
    for row in leaked:
        owner = re.search(r" stands in (\S+) ", row["evidence"])
        assert owner is not None
        assert by_id(curated)[owner[1]]["split"] in ("validation", "test")


def test_no_cluster_crosses_the_split(curated: RunFolder) -> None:
    sides: dict[str, set[str]] = {}
    for row in rows(curated):
        if row["cluster"] and row["fate"] == "kept":
            sides.setdefault(row["cluster"], set()).add(row["split"])
    assert sides
    assert all(len(side) == 1 for side in sides.values())


def test_control_text_is_held_out_throughout(curated: RunFolder) -> None:
    assert {row["split"] for row in rows(curated) if row["source"] == "rules" and row["fate"] == "kept"} == {"test"}


def test_shards_open_with_datasets_and_hold_the_tokenizers_ids(curated: RunFolder) -> None:
    tokenizer = transformers.AutoTokenizer.from_pretrained(curated.tokenizer)
    ledger, seen = by_id(curated), 0
    for corpus in ("domain", "web", "rules"):
        for folder in sorted((curated.shards / corpus).glob("*/")):
            texts = documents(curated, folder.name)
            for row in datasets.load_from_disk(str(folder)):
                assert row["input_ids"] == [*tokenizer(texts[row["id"]])["input_ids"], tokenizer.eos_token_id]
                assert row["n_bytes"] == len(texts[row["id"]].encode())
                assert ledger[row["id"]]["tokens"] == len(row["input_ids"])
                seen += 1
    assert seen == sum(row["fate"] == "kept" for row in ledger.values())


def test_the_ledger_finds_each_document_in_its_shard(curated: RunFolder) -> None:
    files: dict[str, list[str]] = {}
    kept = [row for row in rows(curated) if row["fate"] == "kept"]
    for row in kept:
        if row["shard"] not in files:
            files[row["shard"]] = datasets.Dataset.from_file(str(curated.shards / row["shard"]))["id"]
        assert files[row["shard"]][row["row"]] == row["id"]
    assert len(files) > 5  # small shards: several files a split


def test_worker_count_does_not_change_a_byte(curated: RunFolder, corpus: Path, tmp_path: Path) -> None:
    recipe = small_recipe(corpus, engine={"workers": 2})
    run = begin(recipe, tmp_path)
    curate(recipe, run)
    assert outputs(run) == outputs(curated)


def test_the_order_of_input_files_does_not_change_what_stays(curated: RunFolder, corpus: Path, tmp_path: Path) -> None:
    files = sorted((corpus / "pages").iterdir(), reverse=True)
    sources = [s.model_dump() for s in reversed(small_recipe(corpus).sources)]
    for source in sources:
        if source["name"] == "pages":
            source["path"] = [str(path) for path in files]
    recipe = small_recipe(corpus, sources=sources)
    run = begin(recipe, tmp_path)
    curate(recipe, run)
    assert by_id(run) == by_id(curated)


def test_a_changed_recipe_is_refused_by_the_name_of_the_field(curated: RunFolder, corpus: Path) -> None:
    changed = small_recipe(corpus, curate={"split": {"test": 0.3}})
    with pytest.raises(Fault, match=r"curate\.") as fault:
        curate(changed, curated)
    assert "--fresh" in fault.value.hint


def test_a_fresh_run_is_used_again(curated: RunFolder, corpus: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in curated.path.rglob("*.parquet")}
    curate(small_recipe(corpus), curated)
    assert before == {path: path.stat().st_mtime_ns for path in curated.path.rglob("*.parquet")}


def test_a_changed_rule_does_not_read_the_raw_text_again(curated: RunFolder, corpus: Path, tmp_path: Path) -> None:
    first = begin(small_recipe(corpus), tmp_path)
    curate(small_recipe(corpus), first)
    sifted = {path: path.stat().st_mtime_ns for path in (first.work / "sifted").iterdir()}
    settings = small_recipe(corpus).curate.model_dump(mode="json")
    settings["quality"]["rules"]["words"] = {"at_least": 200}
    changed = small_recipe(corpus, curate=settings)
    curate(changed, first, fresh=True)
    assert sifted == {path: path.stat().st_mtime_ns for path in (first.work / "sifted").iterdir()}
    fates = Counter(row["reason"] for row in rows(first))
    assert fates["too_few_words"] > 10


def test_the_report_numbers_agree_with_the_ledger(curated: RunFolder) -> None:
    numbers = json.loads((curated.curated / "report.json").read_text())
    fates = Counter(row["fate"] for row in rows(curated))
    assert numbers["fates"] == dict(fates)
    assert numbers["records"] == sum(fates.values())


def test_an_empty_held_out_set_is_a_fault_before_anything_is_written(corpus: Path, tmp_path: Path) -> None:
    recipe = small_recipe(corpus, curate={"split": {"test": 0.0001}, "language": {"at_least": 0.3}})
    with pytest.raises(Fault, match="test set is empty"):
        curate(recipe, begin(recipe, tmp_path))
    assert not (tmp_path / "small" / "curated").exists()
