"""Steps for a datatrove pipeline: read, clean, measure, tell the language, find personal data, judge.

    from datatrove.executor import LocalPipelineExecutor
    from datatrove.pipeline.writers import JsonlWriter
    from curate.blocks.steps import Clean, Judge, Measure, ReadSource

    LocalPipelineExecutor(
        pipeline=[
            ReadSource({"name": "papers", "path": "raw/**/*.xml"}),
            Clean(),
            Measure(["gopher_quality", "gopher_repetition"]),
            Judge(preset="gopher", exclusion_writer=JsonlWriter("removed")),
            JsonlWriter("kept"),
        ],
        tasks=8,
    ).run()

Each takes documents and hands them on, some megabytes at a time, so that the kernels see batches. What a step learns of
a document it writes into the document's metadata under the names of the ledger's columns.
"""

from __future__ import annotations

import json
from abc import abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from datatrove.data import Document
from datatrove.pipeline.base import PipelineStep
from datatrove.pipeline.filters.base_filter import BaseFilter

from curate.blocks.documents import in_batches, texts_of
from curate.settings import Bound, Curate, Language, Pii, Quality, Source

if TYPE_CHECKING:
    from curate.text import TextBatch


JUDGED_TOGETHER = 1 << 12  # documents


class ReadSource(PipelineStep):
    """Documents of a recipe's source, in every format that a recipe reads; each task reads its share of the units.

    Records that cannot be read are counted under their reason and not handed on. Place in the file and the record's
    other fields are metadata. Ids are the ledger's, but for records that repeat an id: these are not numbered here.
    """

    type = "📖 - READER"
    name = "postgrad source"

    def __init__(self, source: Source | Mapping[str, Any], base: Path | None = None) -> None:
        super().__init__()
        self.source = source if isinstance(source, Source) else Source(**source)
        self.base = str(base or Path.cwd())

    def run(self, data: Iterable[Document] | None = None, rank: int = 0, world_size: int = 1) -> Iterator[Document]:
        from curate.inputs import list_files
        from curate.passes.sift import ids
        from curate.units import plan_units, read_unit

        yield from data or ()
        for unit in plan_units([(self.source, list_files(self.source, Path(self.base)))])[rank::world_size]:
            for batch in read_unit(unit):
                for name, row in zip(ids(batch, self.source), batch.to_pylist(), strict=True):
                    if row["text"] is None:
                        self.stat_update(f"quarantined_{row['reason']}")
                        continue
                    document = _document(name, row)
                    self.update_doc_stats(document)
                    yield document


def _document(name: str, row: Mapping[str, Any]) -> Document:
    metadata = {"source_path": row["path"], "source_position": row["position"]}
    return Document(text=row["text"], id=name, metadata=metadata | (json.loads(row["meta"]) if row["meta"] else {}))


class Batched(PipelineStep):
    """A step that sees a batch of documents at a time and hands on those it returns."""

    type = "⚙️ - POSTGRAD"

    @abstractmethod
    def batch(self, documents: list[Document]) -> list[Document]: ...

    def run(self, data: Iterable[Document] | None = None, rank: int = 0, world_size: int = 1) -> Iterator[Document]:
        for documents in in_batches(data or ()):
            with self.track_time("batch"):
                documents = self.batch(documents)
            for document in documents:
                self.update_doc_stats(document)
                yield document


class Clean(Batched):
    """The texts cleaned (curate/cleaners); `bytes_cleaned` says how much each lost."""

    name = "postgrad clean"

    def __init__(self, cleaners: Sequence[str] = ("encoding", "line_endings", "invisible")) -> None:
        super().__init__()
        self.cleaners = tuple(cleaners)

    def batch(self, documents: list[Document]) -> list[Document]:
        from curate.cleaning import clean, load

        texts, taken = clean(texts_of(documents), load(self.cleaners))
        lost = np.sum(list(taken.values()), axis=0) if taken else np.zeros(len(documents), np.int64)
        for document, text, n_bytes in zip(documents, texts.to_pylist(), lost.tolist(), strict=True):
            document.text = text
            document.metadata["bytes_cleaned"] = n_bytes
        return documents


class Measure(Batched):
    """Every measure of these families (curate/measures), by name."""

    name = "postgrad measures"

    def __init__(self, families: Sequence[str] = ("gopher_quality", "gopher_repetition")) -> None:
        super().__init__()
        self.families = tuple(families)

    def batch(self, documents: list[Document]) -> list[Document]:
        from curate.measured import families, measure

        _tell(documents, measure(_texts(documents), families(self.families)))
        return documents


class TellLanguage(Batched):
    """`language` (null where it abstains), `language_score` and `other_language_share`; nothing is dropped."""

    name = "postgrad language"

    def __init__(self, model: str | None = None) -> None:
        super().__init__()
        self.model = model

    def batch(self, documents: list[Document]) -> list[Document]:
        from curate.language import identify

        found = identify(texts_of(documents), self.model)
        _tell(
            documents,
            {
                "language": np.array(found.languages.to_pylist(), object),
                "language_score": found.scores,
                "other_language_share": found.other_share,
            },
        )
        return documents


class FindPersonalData(Batched):
    """Counts as pii_<kind>, and the texts masked where the settings say so."""

    name = "postgrad personal data"

    def __init__(self, pii: Pii | Mapping[str, Any] | None = None) -> None:
        super().__init__()
        self.pii = pii if isinstance(pii, Pii) else Pii(**(pii or {}))

    def batch(self, documents: list[Document]) -> list[Document]:
        from curate.pii.find import find

        found, masked = find(_texts(documents), self.pii)
        for document, text in zip(documents, masked.array.to_pylist(), strict=True):
            document.text = text
        _tell(documents, found.counts())
        return documents


class Judge(BaseFilter):
    """Drops documents whose measures, in their metadata, break a rule; the first reason goes where datatrove's filters
    put theirs (`filter_reason`), all of them beside it. A measure that nobody took fails no rule."""

    name = "postgrad rules"

    def __init__(
        self,
        preset: str | Sequence[str] = "gopher",
        rules: Mapping[str, Bound | Mapping[str, float | None]] | None = None,
        language: Language | Mapping[str, Any] | None = None,
        exclusion_writer: Any = None,
    ) -> None:
        """`language`: None judges none; else what a recipe says at curate.language (TellLanguage tells it)."""
        super().__init__(exclusion_writer, batch_size=JUDGED_TOGETHER)
        bounds = {name: one if isinstance(one, Bound) else Bound(**one) for name, one in (rules or {}).items()}
        self.quality = Quality(preset=preset if isinstance(preset, str) else list(preset), rules=bounds)
        self.language = Language(**language) if isinstance(language, Mapping) else language

    def filter(self, doc: Document) -> bool | tuple[bool, str]:
        return self.filter_batch([doc])[0]

    def filter_batch(self, batch: list[Document]) -> list[bool | tuple[bool, str]]:
        verdicts: list[bool | tuple[bool, str]] = []
        for document, reasons in zip(batch, self._reasons(batch), strict=True):
            if reasons:
                document.metadata["filter_reasons"] = reasons
            verdicts.append((False, reasons[0]) if reasons else True)
        return verdicts

    def _reasons(self, documents: list[Document]) -> list[list[str]]:
        from curate.plugins import siblings
        from curate.rules import judge, language_rule, rules_for
        from curate.taken import taken

        rules = rules_for(self.quality, list(taken(Curate(measures=siblings("curate.measures")))))
        columns = {rule.measure: _column(documents, rule.measure) for rule in rules}
        languages = pa.array([one.metadata.get("language") for one in documents], pa.string())
        before, after = [], []
        if self.language is not None:
            another, uncertain = language_rule(languages, _column(documents, "language_score"), self.language)
            before, after = [another], [uncertain]
        if not rules and not before:
            return [[] for _ in documents]
        found: list[list[str]] = judge(columns, rules, before, after, languages).reasons.to_pylist()
        return found


def _texts(documents: Sequence[Document]) -> TextBatch:
    from curate.text import TextBatch

    return TextBatch(texts_of(documents))


def _column(documents: Sequence[Document], name: str) -> np.ndarray:
    """(n,) float64, NaN where a document lacks it."""
    return np.array([one.metadata.get(name, np.nan) for one in documents], np.float64)


def _tell(documents: Sequence[Document], columns: Mapping[str, np.ndarray]) -> None:
    for name, values in columns.items():
        for document, value in zip(documents, values.tolist(), strict=True):
            document.metadata[name] = value
