"""Scores every text with the domain's classifier, its importance weights, and any fastText classifier of a recipe.

Reads texts by row group and writes numbers alone, so that a changed bound never means reading a text again. Rows are
those of the first pass; a record that could not be read has no scores. Texts are scored whole: thresholds that others
publish for their models are of whole documents.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from curate.classify import importance
from curate.classify.domain import domain_scores
from curate.engine import Pass, Tally
from curate.fasttext_model import FastTextModel
from curate.passes.sift import TableWriter, unit_file
from curate.settings import Classifier


class Score(Pass):
    name = "score"

    def __init__(
        self,
        folder: Path,
        sifted: Path,
        tasks: int,
        classifiers: Mapping[str, Classifier],
        model: Path | None = None,
        label: str = "domain",
        weights: Path | None = None,
    ) -> None:
        """`model`, `label`: what gives the domain score. `weights`: importance.npy of a model that was trained here."""
        super().__init__(folder, tasks)
        self.sifted, self.classifiers = sifted, dict(classifiers)
        self.model, self.label, self.weights = model, label, weights

    def unit(self, rank: int, tally: Tally) -> None:
        weights = None if self.weights is None else np.load(self.weights)
        models = self._models()
        with (
            pq.ParquetFile(unit_file(self.sifted, rank)) as rows,
            TableWriter(unit_file(self.folder, rank), score_schema(list(self.classifiers))) as writer,
        ):
            for group in range(rows.num_row_groups):
                texts = rows.read_row_group(group, columns=["text"])["text"].combine_chunks()
                writer.write(self._scores(texts, models, weights))
                tally.add(len(texts), pc.sum(pc.binary_length(texts)).as_py() or 0)

    def _models(self) -> dict[str, tuple[FastTextModel, str]]:
        """(model, label) by the column its scores stand in. Raises Fault where a model lacks the label."""
        told = {name: (Path(one.model), one.label) for name, one in self.classifiers.items()}
        if self.model is not None:
            told["domain_score"] = (self.model, self.label)
        models = {name: (FastTextModel.load(path), label) for name, (path, label) in told.items()}
        for model, label in models.values():
            model.number(label)
        return models

    def _scores(
        self, texts: pa.LargeStringArray, models: Mapping[str, tuple[FastTextModel, str]], weights: np.ndarray | None
    ) -> pa.Table:
        readable = texts.drop_null()
        back = np.cumsum(texts.is_valid().to_numpy(zero_copy_only=False)) - 1
        at = pa.array(back, mask=texts.is_null().to_numpy(zero_copy_only=False))
        columns = {name: domain_scores(model, readable, label) for name, (model, label) in models.items()}
        if weights is not None:
            columns["dsir_score"] = importance.scores(readable, weights)
        schema = score_schema(list(self.classifiers))
        return pa.table(
            [
                pa.array(columns[field.name], field.type).take(at)
                if field.name in columns
                else pa.nulls(len(texts), field.type)
                for field in schema
            ],
            schema=schema,
        )


def score_schema(classifiers: Sequence[str]) -> pa.Schema:
    """One row per input record; null where it could not be read, or where nothing gives that score."""
    return pa.schema(
        [
            ("domain_score", pa.float32()),
            ("dsir_score", pa.float64()),
            *[(name, pa.float64()) for name in classifiers],
        ]
    )
