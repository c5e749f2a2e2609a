"""The scoring pass: one number per row and classifier, null where there was no text, whatever the row groups."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from curate.classify.domain import Trained, domain_scores, train_classifier
from curate.classify.importance import scores
from curate.engine import Tally
from curate.fasttext_model import FastTextModel
from curate.passes.score import Score, score_schema
from curate.passes.sift import unit_file
from curate.settings import Classifier
from curate.shards.fault import Fault
from tests.curate.classified import MEDICINE, SEA, sifted, text, texts

NOTES: list[str | None] = [text(MEDICINE, i) if i % 7 else None for i in range(50)]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    folder = tmp_path_factory.mktemp("classifier")
    return train_classifier(texts("notes", MEDICINE, 60), texts("web", SEA, 60), folder, seed=1)


def scored(step: Score, rank: int, folder: Path) -> pa.Table:
    step.folder.mkdir(parents=True, exist_ok=True)
    step.unit(rank, Tally(folder / "tally"))
    return pq.read_table(unit_file(step.folder, rank))


def test_every_readable_row_has_its_scores(trained: Trained, tmp_path: Path) -> None:
    files, _ = sifted(tmp_path / "sifted", [("empty", "domain", [None, None]), ("notes", "domain", NOTES)])
    own = {"seafaring": Classifier(model=str(trained.model), label="__label__other")}
    step = Score(tmp_path / "scored", files.folder, 2, own, trained.model, weights=trained.weights)
    rows = scored(step, 1, tmp_path)
    assert rows.schema == score_schema(["seafaring"])
    assert rows["domain_score"].is_null().to_pylist() == [one is None for one in NOTES]
    readable = pa.array([one for one in NOTES if one is not None], pa.large_string())
    model, weights = FastTextModel.load(trained.model), np.load(trained.weights)
    expected = domain_scores(model, readable)
    assert rows["domain_score"].drop_null().to_pylist() == expected.tolist()
    assert rows["dsir_score"].drop_null().to_pylist() == scores(readable, weights).tolist()
    assert np.allclose(rows["seafaring"].drop_null().to_numpy() + expected, 1, atol=1e-3)
    assert scored(step, 0, tmp_path).to_pylist() == [dict.fromkeys(rows.column_names)] * 2


def test_without_a_domain_the_columns_are_there_and_null(trained: Trained, tmp_path: Path) -> None:
    files, _ = sifted(tmp_path / "sifted", [("notes", "domain", NOTES)])
    own = {"medicine": Classifier(model=str(trained.model), label="domain")}
    rows = scored(Score(tmp_path / "scored", files.folder, 1, own), 0, tmp_path)
    assert rows["domain_score"].null_count == rows["dsir_score"].null_count == len(NOTES)
    assert rows["medicine"].null_count == NOTES.count(None)


def test_a_label_the_model_lacks_is_a_fault_that_names_its_labels(trained: Trained, tmp_path: Path) -> None:
    files, _ = sifted(tmp_path / "sifted", [("notes", "domain", NOTES)])
    step = Score(tmp_path / "scored", files.folder, 1, {}, trained.model, "hq")
    with pytest.raises(Fault, match="no label 'hq'") as fault:
        scored(step, 0, tmp_path)
    assert "domain" in fault.value.hint
