"""Exact resume: cut the stream at any row, go on with any ranks, loader workers and micro-batches: the same batches."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from test_stream import joined, random_documents, same, stream_of, write_corpus
from torch.utils.data import DataLoader, Dataset

from curate.shards.corpus import write_manifest
from curate.shards.fault import Fault
from pretrain.packers.concatenate import Concatenate
from pretrain.rows import Batch
from pretrain.stream import Corpus, Stream

ROWS_PER_STEP = 7  # not divided evenly by two or three ranks


@pytest.fixture(scope="module")
def corpora(tmp_path_factory: pytest.TempPathFactory) -> list[Corpus]:
    folder = tmp_path_factory.mktemp("shards")
    return [
        Corpus("domain", write_corpus(folder / "domain", random_documents(30, 1))),
        Corpus("web", write_corpus(folder / "web", random_documents(8, 2)), share=0.2),
    ]


@pytest.fixture
def opened(corpora: list[Corpus], tmp_path: Path) -> Stream:
    return open_(corpora, tmp_path)


def open_(corpora: list[Corpus], folder: Path) -> Stream:
    return stream_of(corpora, rows_per_step=ROWS_PER_STEP, epochs=1.5, plans=folder / "plans")


def parts_of(stream: Stream, step: int, begin: int, ranks: int, at_once: int) -> Iterator[tuple[int, int, int]]:
    """(step, first row, rows) of each micro-batch of what is left of a step: every rank takes consecutive rows."""
    rows = stream.rows_in(step) - begin
    for rank in range(ranks):
        first, last = (begin + rows * share // ranks for share in (rank, rank + 1))
        for at in range(first, last, at_once):
            yield step, at, min(at_once, last - at)


class MicroBatches(Dataset[Batch]):
    """A stream as a loader's workers see it."""

    def __init__(self, stream: Stream, parts: list[tuple[int, int, int]]) -> None:
        self.stream, self.parts = stream, parts

    def __len__(self) -> int:
        return len(self.parts)

    def __getitem__(self, index: int) -> Batch:
        return self.stream.batch(*self.parts[index])


def places_of(batches: list[Batch], first: int = 0) -> dict[str, np.ndarray]:
    """What stands in the places of some batches, from place `first` on."""
    return {name: values[first:] for name, values in joined(batches).items() if not name.startswith("segment")}


@pytest.mark.parametrize(("ranks", "at_once"), [(1, 7), (1, 1), (1, 3), (2, 7), (2, 2), (3, 1), (3, 7)])
def test_resume_at_every_row_gives_the_same_batches(
    corpora: list[Corpus], opened: Stream, tmp_path: Path, ranks: int, at_once: int
) -> None:
    batches = [opened.batch(step) for step in range(opened.steps)]
    assert opened.rows > 3 * ROWS_PER_STEP
    assert opened.rows % ROWS_PER_STEP > 0, "the last step is a short one"
    assert len({int(corpus) for corpus in opened.corpus_of}) == 2
    again = open_(corpora, tmp_path)
    for row in range(opened.rows):
        state = json.loads(json.dumps(opened.state(*divmod(row, ROWS_PER_STEP))))
        assert again.check(state) == row
        first_step, begin = divmod(row, ROWS_PER_STEP)
        tail = [
            again.batch(*part)
            for step in range(first_step, again.steps)
            for part in parts_of(again, step, begin if step == first_step else 0, ranks, at_once)
        ]
        assert same(places_of(tail), places_of(batches, row * opened.sequence_length))
    assert again.check(json.loads(json.dumps(opened.state(opened.steps)))) == opened.rows, "the end is a place too"


@pytest.mark.filterwarnings("ignore:This DataLoader will create")
@pytest.mark.parametrize("workers", [0, 1, 3])
def test_loader_workers_do_not_change_a_batch(opened: Stream, workers: int) -> None:
    parts = [part for step in range(opened.steps) for part in parts_of(opened, step, 0, 2, 2)]
    loaded = list(DataLoader(MicroBatches(opened, parts), batch_size=None, num_workers=workers))
    assert len(loaded) == len(parts) > 9
    for part, batch in zip(parts, loaded, strict=True):
        alone = opened.batch(*part)
        assert same(joined([batch]), joined([alone]))
        assert (batch.n_targets, batch.tokens_by_corpus) == (alone.n_targets, alone.tokens_by_corpus)
        assert np.array_equal(batch.cu_seqlens, alone.cu_seqlens)


@pytest.mark.parametrize(
    ("field", "changed"),
    [
        ("packer", {"packer": Concatenate()}),
        ("epochs", {"epochs": None, "tokens": 500}),
        ("repeat_at_most", {"repeat_at_most": 9}),
    ],
)
def test_a_changed_field_of_the_recipe_is_refused_by_name(corpora: list[Corpus], field: str, changed: dict) -> None:
    with pytest.raises(Fault) as refused:
        stream_of(corpora, **changed).check(stream_of(corpora).state(1))
    assert refused.value.where == field


def test_another_tokenizer_is_refused_as_such_and_not_as_other_shards(tmp_path: Path) -> None:
    """Other tokens mean other shards too: what the user changed is named, not what followed."""
    folder = write_corpus(tmp_path / "domain", random_documents(30, 1))
    state = stream_of([Corpus("domain", folder)]).state(1)
    write_corpus(tmp_path / "domain", random_documents(30, 2))
    write_manifest(folder.parent, fingerprint={}, tokenizer={"fingerprint": "another"})
    with pytest.raises(Fault, match=r"tokenizer\.fingerprint"):
        stream_of([Corpus("domain", folder)]).check(state)


def test_corpora_of_different_tokenizers_are_not_mixed(tmp_path: Path) -> None:
    domain, web = (write_corpus(tmp_path / name, random_documents(30, 1)) for name in ("domain", "web"))
    write_manifest(web.parent, fingerprint={}, tokenizer={"fingerprint": "another"})
    with pytest.raises(Fault, match="domain and web were tokenised with different tokenizers"):
        stream_of([Corpus("domain", domain), Corpus("web", web, share=0.1)])


@pytest.mark.parametrize("state", [{"rows": 3}, {"rows": 3, "stream": None}, {"rows": 3, "stream": {}}])
def test_a_state_of_no_stream_is_refused(opened: Stream, state: dict) -> None:
    with pytest.raises(Fault, match="the checkpoint was trained with"):
        opened.check(state)
