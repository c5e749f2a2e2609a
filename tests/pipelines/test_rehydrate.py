"""Weights from a recipe to the trainer: ledger, documents, shards and token ledger say the same."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
from datasets import load_from_disk
from outcomes import write_recipe
from small import TRAIN, document, small_recipe, write_corpus

from curate.ledger import read_ledger
from pipelines.curation import curate
from pipelines.explain import explain
from pipelines.folder import RunFolder
from pipelines.plan import plan
from pipelines.recipe import load
from pipelines.run import begin
from pipelines.training import open_stream

KEEP = [{"earliest": "year"}, {"measure": "words", "prefer": "low"}]


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("raw")
    write_corpus(folder)
    with (folder / "more.jsonl").open("w", encoding="utf-8") as file:
        for i in range(24):
            text = document(f"much copied {i}", 12)
            for k in range(1 + i % 4):
                note = {
                    "text": f"{text} Odd end." if k % 2 else text,
                    "id": f"m{i}-{k}",
                    "year": None if k == 0 else 2020 - k,
                }
                file.write(json.dumps(note) + "\n")
    return folder


@pytest.fixture(scope="module")
def run(raw: Path, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    small = small_recipe(raw).model_dump(mode="json")
    more = {"name": "more", "path": str(raw / "more.jsonl"), "id": "id"}
    curated = small["curate"] | {"duplicates": {"keep": KEEP, "rehydrate": {2: 2, 4: 5}, "spans": {"action": "ignore"}}}
    recipe = small_recipe(raw, "weighed", sources=[*small["sources"], more], curate=curated, train=TRAIN)
    at = tmp_path_factory.mktemp("recipe")
    made = begin(load(str(write_recipe(recipe, at))), tmp_path_factory.mktemp("runs"))
    curate(recipe, made)
    return made


def test_ledger_documents_and_shards_bear_the_same_weights(run: RunFolder) -> None:
    rows = read_ledger(run.curated / "ledger").to_pylist()
    kept = {row["id"]: row for row in rows if row["fate"] == "kept"}
    assert all((row["weight"] is None) == (row["fate"] != "kept") for row in rows)
    stands_for = dict.fromkeys(kept, 1)
    for row in rows:
        if row["duplicate_of"] in kept:
            stands_for[row["duplicate_of"]] += 1
    for name, row in kept.items():
        size = stands_for[name]
        assert row["weight"] == (1 if row["split"] != "train" or size < 2 else 2 if size < 4 else 5)
    assert {row["weight"] for row in kept.values()} == {1, 2, 5}
    assert any(size > 1 and kept[name]["split"] != "train" for name, size in stands_for.items())
    documents = ds.dataset(sorted(map(str, run.curated.glob("documents/*/*.parquet")))).to_table()
    weight = {name: row["weight"] for name, row in kept.items()}
    assert dict(zip(documents["id"].to_pylist(), documents["weight"].to_pylist(), strict=True)) == weight
    shards = [load_from_disk(str(folder)) for folder in sorted(run.shards.glob("*/*")) if folder.is_dir()]
    assert {name: w for one in shards for name, w in zip(one["id"], one["weight"], strict=True)} == weight


def test_the_copy_that_the_policies_prefer_stays(run: RunFolder) -> None:
    rows = {row["id"]: row for row in read_ledger(run.curated / "ledger").to_pylist() if row["source"] == "more"}
    for i in range(24):
        stays = [k for k in range(1 + i % 4) if rows[f"more/m{i}-{k}"]["fate"] == "kept"]
        assert stays in ([i % 4], []), "the earliest year; the first one has none"  # [] where it left as a leak
    found = json.loads((run.curated / "report.json").read_text())["duplicates"]
    assert found["without_value"][0]["policy"] == "earliest year"
    assert found["without_value"][0]["without"] >= 18


def test_the_stream_trains_on_each_document_as_often_and_the_ledger_says_so(run: RunFolder) -> None:
    recipe = load(str(run.path / "recipe.yaml"))
    assert recipe.train is not None
    account = open_stream(recipe, run, recipe.train).ledger()["corpora"]["domain"]
    columns = read_ledger(run.curated / "ledger", ["role", "split", "tokens", "weight"]).to_pylist()
    train = [row for row in columns if row["role"] == "domain" and row["split"] == "train"]
    assert account["documents"] == len(train) < account["documents_an_epoch"] == sum(row["weight"] for row in train)
    assert account["tokens"] == sum(row["weight"] * row["tokens"] for row in train)
    assert all(one["trained"] + one["not_reached"] == one["tokens"] == account["tokens"] for one in account["epochs"])


def test_explain_and_plan_tell_of_weights(run: RunFolder, tmp_path: Path) -> None:
    rows = read_ledger(run.curated / "ledger", ["id", "weight"]).to_pylist()
    heavy = next(row["id"] for row in rows if row["weight"] == 5)
    assert "trained on 5 times an epoch" in explain(run.path, heavy)
    assert "up to 5 for what had copies" in plan(load(str(run.path / "recipe.yaml")), tmp_path)


def test_a_recipe_without_weights_has_no_such_column_in_its_shards(curated: RunFolder) -> None:
    assert "weight" not in load_from_disk(str(curated.shards / "domain" / "train")).column_names
    assert set(read_ledger(curated.curated / "ledger", ["weight"])["weight"].to_pylist()) == {1, None}
    documents = pq.read_table(next(curated.curated.glob("documents/train/*.parquet")))
    assert set(documents["weight"].to_pylist()) == {1}
