"""Our steps in a datatrove pipeline, between its readers, filters and writers: the same verdicts, and nothing lost."""

from __future__ import annotations

import json
import math
import pickle
import random
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from datatrove.data import Document, Media
from datatrove.executor import LocalPipelineExecutor
from datatrove.pipeline.base import PipelineStep
from datatrove.pipeline.filters import GopherQualityFilter, LambdaFilter
from datatrove.pipeline.readers import JsonlReader
from datatrove.pipeline.writers import JsonlWriter
from hypothesis import given
from hypothesis import settings as effort
from hypothesis import strategies as st

from curate.blocks.documents import BATCH_BYTES, DOCUMENTS, documents_of, in_batches, table_of
from curate.blocks.duplicates import DropDuplicates, ReadSketched, Resolve, Sketch
from curate.blocks.steps import Clean, FindPersonalData, Judge, Measure, ReadSource, TellLanguage
from curate.blocks.words import Words
from curate.cleaning import clean, load
from curate.measured import families, measure, measures_of
from curate.pii.find import find
from curate.rules import judge, language_rule, rules_for
from curate.settings import Bound, Duplicates, Language, Pii, Quality
from curate.shards.fault import Fault
from curate.text import TextBatch

FAMILIES = ["gopher_quality", "gopher_repetition"]
SENTENCES = [
    "The patient had a fever of 39.5 degrees and it rose in the evening.",
    "Nothing else was found, and with rest it went away within a week.",
    "The doctor said that there was no reason to be worried about it.",
    "Write to jane@example.org to have a copy of the whole report.",
    "It was the third winter in which the river had not been frozen.",
]


def texts(n: int = 90) -> list[str]:
    """Documents of several fates: fine ones, short ones, repetitive ones, German ones, near and exact copies."""
    rng = random.Random(3)
    found: list[str] = []
    for i in range(n):
        words = [word for _ in range(30) for word in rng.choice(SENTENCES).split()]
        rng.shuffle(words)
        kinds = [" ".join(words), "too short", "the same line\n" * 60, "Das Fieber stieg am Abend wieder an. " * 20]
        found.append(kinds[0 if i % 5 else i // 5 % 4])
        if i % 9 == 4:
            found[-1] = found[i - 3]  # an exact copy
        if i % 9 == 7:
            found[-1] = found[i - 1] + " And so it ended."
    return found


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    """Five JSONL files as datatrove reads them."""
    folder = tmp_path / "raw"
    folder.mkdir()
    for part in range(5):
        with (folder / f"{part}.jsonl").open("w") as file:
            for i, text in enumerate(texts()):
                if i % 5 == part:
                    nested = {"year": 1990 + i, "tags": ["a", {"é": 2**60}], "score": i / 7}
                    file.write(json.dumps({"id": f"doc-{i:03d}", "text": text, "metadata": nested}) + "\n")
    return folder


def run(tmp_path: Path, name: str, steps: Callable[[], list[Any]], tasks: int = 1, workers: int = 1) -> None:
    LocalPipelineExecutor(steps(), tasks, workers, logging_dir=str(tmp_path / f"logs-{name}-{tasks}")).run()


def written(folder: Path) -> dict[str, dict[str, Any]]:
    """Records of datatrove's JsonlWriter, by id."""
    found = [json.loads(line) for path in sorted(folder.glob("*.jsonl")) for line in path.open()]
    assert len({one["id"] for one in found}) == len(found)
    return {one["id"]: one for one in found}


def writer(folder: Path) -> JsonlWriter:
    return JsonlWriter(str(folder), compression=None)


def kept_by_us(pii: Pii, language: Language, rules: dict[str, Bound]) -> dict[str, tuple[str, list[str]]]:
    """id -> (text, reasons) as our own passes have it, over all documents at once."""
    cleaned, _ = clean(pa.array(texts(), pa.large_string()), load(["encoding", "line_endings", "invisible"]))
    _, batch = find(TextBatch(cleaned), pii)
    from curate.language import identify

    told = identify(batch.array)
    of = rules_for(Quality(rules=rules), list(measures_of(FAMILIES)))
    another, uncertain = language_rule(told.languages, told.scores, language)
    verdicts = judge(measure(batch, families(FAMILIES)), of, [another], [uncertain], told.languages)
    pairs = zip(batch.array.to_pylist(), verdicts.reasons.to_pylist(), strict=True)
    return {f"doc-{i:03d}": pair for i, pair in enumerate(pairs)}


def chain(raw: Path, out: Path) -> Callable[[], list[Any]]:
    return lambda: [
        JsonlReader(str(raw)),
        Clean(),
        FindPersonalData({"mask": ["email"]}),
        Measure(FAMILIES),
        TellLanguage(),
        LambdaFilter(has_year),  # one of theirs among ours
        Judge(rules={"words": {"at_least": 30}}, language={"keep": ["en"]}, exclusion_writer=writer(out / "removed")),
        writer(out / "kept"),
    ]


def has_year(document: Document) -> bool:
    return "year" in document.metadata


@pytest.mark.parametrize(("tasks", "workers"), [(1, 1), (3, 1), (4, 2)])
def test_a_pipeline_of_theirs_and_ours_gives_our_own_verdicts_whatever_the_tasks(
    raw: Path, tmp_path: Path, tasks: int, workers: int
) -> None:
    run(tmp_path, "chain", chain(raw, tmp_path / "out"), tasks, workers)
    kept, removed = written(tmp_path / "out/kept"), written(tmp_path / "out/removed")
    expected = kept_by_us(Pii(mask=["email"]), Language(keep=["en"]), {"words": Bound(at_least=30)})
    assert kept.keys() | removed.keys() == expected.keys()
    for name, (text, reasons) in expected.items():
        found = removed[name] if reasons else kept[name]
        assert found["text"] == text
        assert found["metadata"].get("filter_reasons", []) == reasons
        assert found["metadata"].get("filter_reason") == (reasons[0] if reasons else None)
    assert any("[email]" in one["text"] for one in kept.values())
    assert len({reason for _, reasons in expected.values() for reason in reasons}) >= 4
    masks = {name: one["text"].count("[email]") for name, one in (kept | removed).items()}
    assert masks == {name: one["metadata"]["pii_email"] for name, one in (kept | removed).items()}


def test_metadata_goes_through_our_steps_as_it_came(raw: Path, tmp_path: Path) -> None:
    run(tmp_path, "chain", chain(raw, tmp_path / "out"))
    found = written(tmp_path / "out/kept") | written(tmp_path / "out/removed")
    for i in range(len(texts())):
        metadata = found[f"doc-{i:03d}"]["metadata"]
        assert metadata["year"] == 1990 + i
        assert metadata["tags"] == ["a", {"é": 2**60}]
        assert metadata["score"] == i / 7


def test_our_reader_feeds_their_filters(tmp_path: Path) -> None:
    (tmp_path / "notes.jsonl").write_text(
        "".join(json.dumps({"body": t, "key": i}) + "\n" for i, t in enumerate(texts(40)))
    )
    (tmp_path / "page.html").write_text(f"<html><body><p>{texts(2)[1]}</p></body></html>")
    (tmp_path / "broken.jsonl").write_text('{"body": "x"\n')
    sources = [
        {"name": "notes", "path": "*.jsonl", "text": "body", "id": "key"},
        {"name": "pages", "path": "page.html"},
    ]
    for tasks in (1, 3):
        out = tmp_path / f"out-{tasks}"
        steps = [*(ReadSource(one, tmp_path) for one in sources), GopherQualityFilter(language=Words()), writer(out)]
        run(tmp_path, "read", lambda steps=steps: steps, tasks)  # type: ignore[misc]
    found = written(tmp_path / "out-1")
    assert found == written(tmp_path / "out-3")
    assert {one.partition("/")[0] for one in found} == {"notes", "pages"}
    expected = {
        f"notes/{i}": text
        for i, text in enumerate(texts(40))
        if GopherQualityFilter(language=Words()).filter(Document(text, "x")) is True
    }
    assert {name: one["text"] for name, one in found.items() if name.startswith("notes")} == expected
    assert 0 < len(expected) < 40


def test_every_step_survives_pickling_and_so_reaches_the_workers(tmp_path: Path) -> None:
    steps: Sequence[PipelineStep] = [
        ReadSource({"name": "x", "path": "*.jsonl"}, tmp_path), Clean(), Measure(), TellLanguage(), FindPersonalData(),
        Judge(language={"keep": ["en"]}), Sketch(tmp_path), Resolve(tmp_path), ReadSketched(tmp_path),
        DropDuplicates(tmp_path),
    ]  # fmt: skip
    for step in steps:
        assert type(pickle.loads(pickle.dumps(step))) is type(step)


def test_a_judge_without_rules_drops_nothing_and_a_wrong_rule_is_a_fault() -> None:
    documents = [Document("x", "1"), Document("y", "2", metadata={"words": 3.0})]
    assert list(Judge(preset="none").run(iter(documents))) == documents
    assert [one.id for one in Judge(rules={"words": {"at_least": 5}}).run(iter(documents))] == ["1"]
    assert list(Judge(rules={"pii_email": {"at_most": 0}}, preset="none").run(iter(documents)))
    with pytest.raises(Fault, match="no measure 'wrods'"):
        list(Judge(rules={"wrods": {"at_least": 5}}).run(iter(documents)))


# duplicates ---------------------------------------------------------------------------------------------------------


def deduplicated(raw: Path, place: Path, tasks: int, of: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """(kept, dropped) of the three stages."""
    run(place, "sketch", lambda: [JsonlReader(str(raw)), Sketch(place / "sketches", of)], tasks)
    run(place, "resolve", lambda: [Resolve(place / "sketches")])
    reader = ReadSketched(place / "sketches")
    last = [reader, DropDuplicates(place / "sketches", writer(place / "dropped")), writer(place / "kept")]
    run(place, "drop", lambda: last, max(1, tasks - 1))
    return written(place / "kept"), written(place / "dropped")


@pytest.mark.parametrize("keep", ["longest", "lowest_id"])
def test_duplicates_leave_for_a_copy_that_stays_whatever_the_number_of_tasks(
    raw: Path, tmp_path: Path, keep: str
) -> None:
    found = [deduplicated(raw, tmp_path / str(tasks), tasks, {"keep": keep}) for tasks in (1, 4)]
    assert found[0] == found[1]
    kept, dropped = found[0]
    assert len(kept) + len(dropped) == len(texts())
    assert {one["metadata"]["filter_reason"] for one in dropped.values()} == {"exact_duplicate", "near_duplicate"}
    for name, one in dropped.items():
        copy = kept[one["metadata"]["duplicate_of"]]
        assert one["metadata"]["similarity"] == pytest.approx(jaccard(one["text"], copy["text"]), abs=1e-6)
        assert one["metadata"]["similarity"] >= 0.8
        assert one["metadata"]["cluster"] == copy["metadata"]["cluster"] <= name
    for one, other in pairs(kept):
        assert jaccard(one["text"], other["text"]) < 0.8
    assert all(one["metadata"]["tags"] == ["a", {"é": 2**60}] for one in kept.values())


def test_duplicates_are_known_by_id_in_any_stream(raw: Path, tmp_path: Path) -> None:
    _, dropped = deduplicated(raw, tmp_path, 2, {})
    documents = [Document(text, f"doc-{i:03d}") for i, text in enumerate(texts())]
    random.Random(1).shuffle(documents)
    documents.append(Document("never sketched", "elsewhere"))
    stays = {one.id for one in DropDuplicates(tmp_path / "sketches").run(iter(documents))}
    assert stays == {one.id for one in documents} - dropped.keys()


def test_what_their_readers_could_not_hold_comes_back_from_the_sketches(tmp_path: Path) -> None:
    media = Media("m", 0, "https://example.org/x.png", media_bytes=bytes(range(256)))
    documents = [
        Document(text, str(i), [media] * (i % 2), {"big": 2**80, "nothing": math.nan, "deep": [{"é": [None]}]})
        for i, text in enumerate(texts(6))
    ]
    expected = repr(documents)
    assert repr(list(Sketch(tmp_path).run(iter(documents)))) == expected
    assert repr(list(ReadSketched(tmp_path).run())) == expected


def test_sketches_that_do_not_belong_together_are_a_fault(raw: Path, tmp_path: Path) -> None:
    folder = tmp_path / "sketches"
    documents = [Document(text, f"{i}") for i, text in enumerate(texts(20))]
    with pytest.raises(Fault, match="nothing is known of duplicates"):
        list(DropDuplicates(folder).run(iter(documents)))
    list(Sketch(folder).run(iter(documents), rank=0, world_size=2))
    with pytest.raises(Fault, match="1 files for 2 tasks"):
        list(Resolve(folder).run())
    list(Sketch(folder, {"bands": 20}).run(iter(documents), rank=1, world_size=2))
    with pytest.raises(Fault, match="of several runs"):
        list(ReadSketched(folder).run())
    list(Sketch(folder).run(iter(documents), rank=1, world_size=2))
    with pytest.raises(Fault, match="20 documents bear the id of another"):
        list(Resolve(folder).run())


def test_a_sketch_that_is_broken_off_leaves_no_file(tmp_path: Path) -> None:
    stream = Sketch(tmp_path).run(iter([Document("one", "1"), Document("two", "2")]))
    next(stream)
    del stream
    assert list(tmp_path.iterdir()) == []
    assert list(Sketch(tmp_path).run(iter([]))) == []
    assert list(Resolve(tmp_path).run()) == []
    assert [one.id for one in DropDuplicates(tmp_path).run(iter([Document("x", "x")]))] == ["x"]


def jaccard(one: str, other: str) -> float:
    a, b = (set(zip(*(Words().word_tokenize(t.lower())[k:] for k in range(5)), strict=False)) for t in (one, other))
    return len(a & b) / len(a | b) if a | b else 1.0


def pairs(kept: dict[str, Any]) -> Iterator[tuple[Any, Any]]:
    found = list(kept.values())
    return ((found[i], found[j]) for i in range(len(found)) for j in range(i) if len(found[i]["text"]) > 100)


def test_the_bounds_of_the_recipe_hold_for_the_block() -> None:
    assert Sketch("x", {"rows": 4}).duplicates == Duplicates(rows=4)
    with pytest.raises(ValueError, match="row"):
        Sketch("x", {"row": 4})


# documents ----------------------------------------------------------------------------------------------------------

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=12,
)
MEDIA = st.builds(
    Media,
    id=st.text(max_size=4),
    type=st.integers(0, 3),
    url=st.text(max_size=4),
    alt=st.none() | st.text(max_size=4),
    offset=st.none() | st.integers(),
    media_bytes=st.none() | st.binary(max_size=8),
    metadata=st.dictionaries(st.text(max_size=4), JSON, max_size=2),
)
VALID = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
DOCUMENT = st.builds(
    Document,
    text=VALID,
    id=VALID,
    media=st.lists(MEDIA, max_size=2),
    metadata=st.dictionaries(st.text(max_size=4), JSON, max_size=3),
)


@effort(max_examples=200, deadline=None)
@given(st.lists(DOCUMENT, max_size=4))
def test_documents_become_tables_and_come_back_equal(documents: list[Document]) -> None:
    table = table_of(documents)
    assert table.schema == DOCUMENTS
    assert repr(list(documents_of(table))) == repr(documents)  # repr: NaN equals nothing, not even itself


def test_every_byte_of_media_comes_back() -> None:
    media = Media("m", 0, "https://example.org/x.png", "a figure", "x.png", 3, 256, bytes(range(256)), {"dpi": 2**80})
    (back,) = documents_of(table_of([Document("text", "id", [media], {"tuple": (1, 2)})]))
    assert back == Document("text", "id", [media], {"tuple": [1, 2]})


@pytest.mark.parametrize("value", [{1: "a"}, {"a": [{None: 1}]}, {"a": b"bytes"}, {"a": {1, 2}}, {"a": np.float32(1)}])
def test_metadata_that_json_cannot_hold_is_a_fault_that_names_the_document(value: dict[Any, Any]) -> None:
    with pytest.raises(Fault, match="cannot be written as JSON") as raised:
        table_of([Document("text", "the-id", metadata=value)])
    assert raised.value.where == "the-id"


def test_half_a_surrogate_pair_ends_no_run() -> None:
    documents = [Document("a \ud800 b", "1", metadata={"x": "\udfff"}), Document("fine", "2")]
    assert [one.text for one in documents_of(table_of(documents))] == ["a \ufffd b", "fine"]
    assert next(documents_of(table_of(documents))).metadata == {"x": "\udfff"}
    assert [one.metadata["words"] for one in Measure(["gopher_quality"]).run(iter(documents))] == [2, 1]


@effort(max_examples=25, deadline=None)
@given(st.lists(st.integers(0, 5), max_size=20))
def test_batches_hold_all_documents_in_order_and_stay_small(sizes: list[int]) -> None:
    documents = [Document("é" * (size * BATCH_BYTES // 8), str(i)) for i, size in enumerate(sizes)]
    batches = list(in_batches(documents))
    assert [one for batch in batches for one in batch] == documents
    for batch in batches:
        assert len(batch) == 1 or sum(len(one.text.encode()) for one in batch) <= BATCH_BYTES
