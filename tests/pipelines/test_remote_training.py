"""A run whose training shards lie in an object store: the model, the metrics and the explanations of the local run."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import fsspec
import pytest
from outcomes import metrics, only_curated, weights
from small import TRAIN, small_recipe

from curate.shards.fault import Fault
from pipelines.explain import explain
from pipelines.explain_training import explain_step
from pipelines.export import export
from pipelines.folder import RunFolder
from pipelines.recipe import Recipe
from pipelines.training import train

URL = "memory://bucket/runs/small"


def recipe_with(corpus: Path, **settings: Any) -> Recipe:
    return small_recipe(corpus, train={**TRAIN, "shards": URL, **settings})


@pytest.fixture(scope="module")
def elsewhere(trained: RunFolder, corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """The run on a machine that has no training shards of its own."""
    fsspec.filesystem("memory").store.clear()
    assert export(trained, "shards", URL, []) == URL
    run = only_curated(trained, tmp_path_factory.mktemp("elsewhere"))
    for split in run.shards.glob("*/train"):
        shutil.rmtree(split)
    recipe = recipe_with(corpus)
    run.write_recipe(recipe)
    train(recipe, run)
    return run


def test_training_from_a_url_is_training_from_the_disk(trained: RunFolder, elsewhere: RunFolder) -> None:
    assert metrics(elsewhere) == metrics(trained)
    assert weights(elsewhere) == weights(trained)
    assert (elsewhere.training / "token_ledger.json").read_bytes() == (
        trained.training / "token_ledger.json"
    ).read_bytes()
    copies = list((elsewhere.work / "shard_cache").glob("*.arrow"))
    assert {copy.read_bytes() for copy in copies} == {
        path.read_bytes() for corpus in ("domain", "web") for path in trained.shards.glob(f"{corpus}/train/*.arrow")
    }


def test_a_trained_model_is_fresh_wherever_its_shards_lie(
    trained: RunFolder, elsewhere: RunFolder, corpus: Path, capsys: Any
) -> None:
    train(recipe_with(corpus), trained)
    train(recipe_with(corpus, shards="memory://moved"), elsewhere)
    assert capsys.readouterr().err.count("as before") == 2


def test_steps_and_documents_are_explained_alike(trained: RunFolder, elsewhere: RunFolder) -> None:
    for step in (1, 5):
        assert explain_step(elsewhere, step) == explain_step(trained, step)
    for line in explain_step(trained, 1).splitlines()[4:8]:
        id = next(word for word in line.split() if "/" in word)
        assert explain(elsewhere.path, id) == explain(trained.path, id)


def test_shards_of_another_run_are_refused(elsewhere: RunFolder, corpus: Path, tmp_path: Path) -> None:
    files = fsspec.filesystem("memory")
    files.copy("/bucket/runs/small/web", "/other/domain", recursive=True)
    with pytest.raises(Fault, match="not those of"):
        train(recipe_with(corpus, shards="memory://other"), only_curated(elsewhere, tmp_path))


def test_an_export_never_writes_over_another(trained: RunFolder, elsewhere: RunFolder) -> None:
    with pytest.raises(Fault, match="something already"):
        export(trained, "shards", URL, [])
