"""datatrove's filters in a recipe say what they say in datatrove's own pipeline, and nothing they do ends a run."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from datatrove.data import Document
from datatrove.pipeline import filters as theirs
from datatrove.pipeline.filters.base_filter import BaseFilter

from curate.blocks.words import Words
from curate.filters import FAILED, Verdicts, check_filters, load_filters, own_names, verdicts
from curate.shards.fault import Fault

KNOWN = sorted(name for name in dir(theirs) if name.endswith("Filter") and name != "BaseFilter")

PARAGRAPH = (
    "The patient had a fever of 39.5 degrees. It rose in the evening and it fell in the morning. "
    "Was it high? The doctor said that it was not. Nothing else was found, and with rest it went. "
)
TEXTS = [
    PARAGRAPH * 4,
    "\n".join([PARAGRAPH * 2] * 3),
    "too short",
    PARAGRAPH * 3 + "lorem ipsum dolor. ",
    PARAGRAPH * 3 + "{",
    "\n".join(f"- item {i} of the list" for i in range(40)),
    "# # # # " * 40,
    "Das Fieber stieg am Abend und fiel am Morgen. " * 12,
    "発熱の原因は多い。高いですか？医者に診てもらう。" * 10,
    "— — —",
    "x" * 5000,
    "so it goes ... " * 60,
    "\n".join(["the same line again and again"] * 30),
    "word " * 200_000,
]
METAS = [json.dumps({"url": f"https://example.org/{i}", "language": "en"}) for i in range(len(TEXTS))]
IDS = [f"s/{i}" for i in range(len(TEXTS))]

ARGUMENTS: dict[str, dict[str, Any]] = {
    "LambdaFilter": {"filter_function": f"{__name__}:is_short"},
    "RegexFilter": {"regex_exp": "fever"},
    "SamplerFilter": {"rate": 0.5},
    "FastTextClassifierFilter": {"model_url": "nowhere.bin", "keep_labels": ["x", 0.5]},
}
NEEDS = {"C4BadWordsFilter", "FastTextClassifierFilter", "LanguageFilter", "URLFilter", "UnigramLogProbFilter"}
"""A download, a model, or packages that datatrove's core does not bring."""


def is_short(document: Document) -> bool:
    return len(document.text) < 2000


class InBatches(BaseFilter):
    """Keeps every document that is longer than the shortest of its batch; fails on a batch with Japanese in it."""

    name = "in batches"

    def __init__(self, batch_size: int = 4) -> None:
        super().__init__(batch_size=batch_size)
        self.seen: list[int] = []

    def filter(self, doc: Document) -> bool:
        raise AssertionError("batches are asked, not documents")

    def filter_batch(self, batch: list[Document]) -> list[bool | tuple[bool, str]]:
        self.seen.append(len(batch))
        if any("発熱" in one.text for one in batch):
            raise ValueError("no Japanese")
        return [True if one.text.startswith("T") else (False, "no_t") for one in batch]


class Fails(BaseFilter):
    """Changes text and metadata, and divides by the number of dashes."""

    name = "fails"

    def filter(self, doc: Document) -> bool:
        seen = doc.metadata.setdefault("seen", [])
        seen.append(doc.text)
        doc.text = "changed"
        return 1 / (3 - seen[-1].count("—")) > 0


class Plain:
    """No BaseFilter at all."""

    def filter(self, doc: Document) -> bool:
        return "seen" not in doc.metadata


def judged(specs: Sequence[Any], texts: Sequence[str] = TEXTS) -> Verdicts:
    n = len(texts)
    columns = pa.array(IDS[:n]), pa.array(METAS[:n]), pa.array(texts, pa.large_string())
    return verdicts(load_filters(specs, seed=7), *columns)


def by_datatrove(one: BaseFilter, texts: Sequence[str] = TEXTS) -> dict[str, str | None]:
    """Ids that a filter drops in datatrove's own run, with its reasons."""

    class Writer:
        def __init__(self) -> None:
            self.dropped: dict[str, str | None] = {}

        def __enter__(self) -> Writer:
            return self

        def __exit__(self, *_: object) -> None: ...

        def write(self, document: Document, rank: int) -> None:
            self.dropped[document.id] = document.metadata.get("filter_reason")

    writer = one.exclusion_writer = Writer()
    documents = [Document(t, i, metadata=json.loads(m)) for t, i, m in zip(texts, IDS, METAS, strict=False)]
    list(one.run(iter(documents)))
    return writer.dropped


def fault_of(spec: Any) -> Fault | None:
    try:
        check_filters([spec])
    except Fault as fault:
        return fault
    return None


def no_network(*_: object, **__: object) -> None:
    raise OSError("no network")


@pytest.mark.parametrize("name", KNOWN)
def test_every_filter_of_datatrove_works_or_says_what_it_needs(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("socket.getaddrinfo", no_network)
    spec = {f"datatrove:{name}": ARGUMENTS.get(name, {})}
    fault = fault_of(spec)
    if fault is not None:
        assert name in NEEDS
        assert name in fault.what
        assert fault.hint
        return
    found = judged([spec]).reasons.to_pylist()
    assert any(found)
    assert not all(found)


@pytest.mark.parametrize("name", sorted(set(KNOWN) - NEEDS))
def test_verdicts_and_reasons_are_those_of_datatroves_own_run(name: str) -> None:
    found = judged([{f"datatrove:{name}": ARGUMENTS.get(name, {})}])
    (one,) = load_filters([{f"datatrove:{name}": ARGUMENTS.get(name, {})}], seed=7)
    expected = by_datatrove(one)
    dropped = {i: reasons for i, reasons in zip(IDS, found.reasons.to_pylist(), strict=True) if reasons}
    assert dropped == {i: [reason or name] for i, reason in expected.items()}
    assert dropped
    assert found.evidence.null_count == len(TEXTS)


@pytest.mark.real
def test_verdicts_on_real_text_are_those_of_datatroves_own_run(shared_data: Path) -> None:
    with (shared_data / "general/c4_demo.jsonl").open(encoding="utf-8") as lines:
        texts = [json.loads(line)["text"] for line in lines][:60]
    ids, metas = pa.array([str(i) for i in range(len(texts))]), pa.array([None] * len(texts), pa.string())
    reasons = set()
    for name in ("GopherQualityFilter", "GopherRepetitionFilter", "C4QualityFilter", "FineWebQualityFilter"):
        found = verdicts(load_filters([f"datatrove:{name}"]), ids, metas, pa.array(texts, pa.large_string()))
        one = getattr(theirs, name)(language=Words())
        expected = [one.filter(Document(text, "x")) for text in texts]
        assert found.reasons.to_pylist() == [[] if verdict is True else [verdict[1]] for verdict in expected]
        reasons |= {reason for of_one in found.reasons.to_pylist() for reason in of_one}
    assert len(reasons) >= 4


def test_the_text_never_changes_and_metadata_goes_on_to_the_next_filter() -> None:
    found = judged([f"{__name__}:Fails", f"{__name__}:Plain"])
    assert [reasons[-1] for reasons in found.reasons.to_pylist()] == ["Plain"] * len(TEXTS)
    documents = [f"{__name__}:Fails", f"{__name__}:Fails"]
    assert len(judged(documents).reasons) == len(TEXTS)
    first, second = load_filters(documents)
    columns = pa.array(["x"]), pa.array(['{"seen": []}']), pa.array(["one — two"], pa.large_string())
    assert verdicts([first, second], *columns).reasons.to_pylist() == [[]]


def test_a_filter_that_fails_on_a_document_gives_it_a_reason_and_goes_on() -> None:
    found = judged([f"{__name__}:Fails", "datatrove:C4ParagraphFilter"])
    at = TEXTS.index("— — —")
    assert found.reasons.to_pylist()[at] == [FAILED, "< 3 paragraphs"]
    assert found.evidence.to_pylist()[at] == "Fails: ZeroDivisionError: division by zero"
    assert found.evidence.null_count == len(TEXTS) - 1


def test_batches_are_asked_as_batches_and_only_what_cannot_be_judged_fails() -> None:
    (one,) = load_filters([{f"{__name__}:InBatches": {"batch_size": 5}}])
    columns = pa.array(IDS), pa.array(METAS), pa.array(TEXTS, pa.large_string())
    found = verdicts([one], *columns)
    at = next(i for i, text in enumerate(TEXTS) if "発熱" in text)
    assert found.reasons.to_pylist() == [
        [FAILED] if i == at else [] if text.startswith("T") else ["no_t"] for i, text in enumerate(TEXTS)
    ]
    assert found.evidence.to_pylist()[at] == "InBatches: ValueError: no Japanese"
    assert isinstance(one, InBatches)
    assert max(one.seen) == 5
    without = [text for text in TEXTS if "発熱" not in text]
    again = judged([f"{__name__}:InBatches"], without).reasons.to_pylist()
    dropped = {i: reasons[0] for i, reasons in zip(IDS, again, strict=False) if reasons}
    assert dropped == by_datatrove(InBatches(), without)


def test_lots_are_drawn_by_the_seed_and_afresh_each_time() -> None:
    spec = ["datatrove:SamplerFilter"]
    assert judged(spec).reasons == judged(spec).reasons
    again = verdicts(load_filters(spec, seed=8), pa.array(IDS), pa.array(METAS), pa.array(TEXTS, pa.large_string()))
    assert judged(spec).reasons != again.reasons


def test_words_are_ours_unless_a_language_of_datatroves_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    (one,) = load_filters(["datatrove:GopherQualityFilter"])
    assert isinstance(one.language, Words)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "spacy", None)
    spec = [{"datatrove:GopherQualityFilter": {"language": "eng"}}]
    with pytest.raises(Fault, match="GopherQualityFilter cannot work here") as raised:
        check_filters(spec)
    assert "leave `language` away" in raised.value.hint
    with pytest.raises(Fault, match="cannot work here"):
        judged(spec)


def test_a_filter_that_wants_a_file_that_is_not_there_is_a_fault_not_a_reason() -> None:
    class Wants:
        def filter(self, doc: Document) -> bool:
            raise FileNotFoundError("lexicon.txt")

    with pytest.raises(Fault, match=r"lexicon\.txt"):
        verdicts([Wants()], pa.array(["x"]), pa.array([None], pa.string()), pa.array(["x"], pa.large_string()))


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("datatrove:GopherFilter", "no filter 'GopherFilter'"),
        ("datatrove:filters", "no filter 'filters'"),
        ({"datatrove:RegexFilter": {"expression": "x"}}, "cannot make the filter datatrove:RegexFilter"),
        ({"datatrove:LambdaFilter": {"filter_function": "nowhere:keep"}}, "cannot load 'nowhere:keep'"),
        ("nowhere:Filter", "cannot load 'nowhere:Filter'"),
    ],
)
def test_what_is_not_there_or_cannot_be_made_is_a_fault(spec: Any, message: str) -> None:
    with pytest.raises(Fault, match=message) as raised:
        load_filters([spec])
    assert raised.value.hint


def test_code_of_ones_own_is_known_by_name() -> None:
    specs: list[Any] = [
        "datatrove:RegexFilter",
        {"datatrove:LambdaFilter": ARGUMENTS["LambdaFilter"]},
        f"{__name__}:Plain",
    ]
    assert own_names(specs) == [f"{__name__}:Plain", f"{__name__}:is_short"]
    assert own_names([{"datatrove:RegexFilter": {"regex_exp": "(?:a):b"}}]) == []


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("", []),
        ("One. Two? Three", ["One.", "Two?", "Three"]),
        ("It is, i. e. it was. So.", ["It is, i. e. it was.", "So."]),
        ("発熱。高い！「そう。」次", ["発熱。", "高い！", "「そう。」", "次"]),
        ("He said “Go.” She went.", ["He said “Go.”", "She went."]),
        ("...", ["..."]),
    ],
)
def test_sentences_end_where_the_c4_measure_says(text: str, sentences: list[str]) -> None:
    assert Words().sent_tokenize(text) == sentences
    spans = Words().span_tokenize(text)
    assert "".join(text[a:b] for a, b in spans) == text
