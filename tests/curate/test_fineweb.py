"""FineWeb's measures equal datatrove's filter given the same words, on lines without white space at their ends."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import datatrove.pipeline.filters.fineweb_quality_filter as theirs
import numpy as np
import plain
import pyarrow as pa
import pytest
from datatrove.data import Document
from datatrove.utils.text import TERMINAL_PUNCTUATION
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.measures.fineweb import Fineweb
from curate.presets.fineweb import RULES
from curate.rules import judge
from curate.text import TextBatch
from curate.traits import TERMINAL, traits

MARKS = tuple(chr(c) for c in range(0x110000) if traits()[c] & TERMINAL)
REASON = {
    "fineweb_terminal_line_share": "line_punct_ratio",
    "fineweb_short_line_share": "short_line_ratio",
    "fineweb_copied_line_character_share": "char_dup_ratio",
    "fineweb_newlines_per_word": "list_ratio",
}
LONG = "A line that goes on for more than thirty characters and ends well."
TEXTS = [
    "Fever\nFever is a rise of temperature.\nFever\n",
    "\n".join([LONG, LONG, "Short.", "Short.", "Other"]),
    "\n\n".join(["x" * 30, "y" * 31, "z" * 29 + "。", "आ" * 31 + "।"]),
    "one\n\n\n\n\n\ntwo\n",
    "发热有许多原因。\n发热有许多原因。\n发热\n",
    LONG,
    "***\n***\n---",
    "a\nb\nc\nd\ne\nf",
]
PIECES = ["\n", "\n\n", LONG, "a", "b.", "short line", "。", "؟", " ", "é" * 15, "x" * 16, "\t", "…", "*"]


def measure(texts: list[str]) -> list[dict[str, float]]:
    columns = Fineweb()(TextBatch.of(texts))
    return [{name: float(column[i]) for name, column in columns.items()} for i in range(len(texts))]


def stripped(text: str) -> str:
    return "\n".join(line.strip() for line in text.split("\n"))


def answer(text: str, **bounds: float) -> str:
    """The filter's reason, or nothing. Bounds that are not given let everything pass."""
    lenient = {"line_punct_thr": 0.0, "short_line_thr": 2.0, "char_duplicates_ratio": 2.0, "new_line_ratio": 1e9}
    given = theirs.FineWebQualityFilter(stop_chars=MARKS, **(lenient | bounds)).filter(Document(text=text, id=""))
    return "" if given is True else given[1]


def agrees(name: str, value: float, text: str) -> bool:
    """The filter passes at our value and fails at the next number beyond, so its value is ours to the last bit."""
    argument = {
        "line_punct_ratio": "line_punct_thr",
        "short_line_ratio": "short_line_thr",
        "char_dup_ratio": "char_duplicates_ratio",
        "list_ratio": "new_line_ratio",
    }[REASON[name]]
    beyond = np.nextafter(value, np.inf if argument == "line_punct_thr" else -np.inf)
    return answer(text, **{argument: value}) == "" and answer(text, **{argument: float(beyond)}) == REASON[name]


def disagreements_with_datatrove(texts: list[str], monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Values and verdicts beside the filter's, which gets our words and lines without white space at their ends."""
    monkeypatch.setattr(theirs, "split_into_words", lambda text, language: plain.words(text))
    found: Counter[str] = Counter()
    reasons = judge(Fineweb()(TextBatch.of(texts)), RULES).reasons.to_pylist()
    renamed = {rule.too_low or rule.too_high: REASON[rule.measure] for rule in RULES}
    for text, values, ours in zip(texts, measure(texts), reasons, strict=True):
        bare = stripped(text)
        assert measure([bare])[0] == values, "white space at the ends of lines changes nothing"
        if not bare.strip():
            assert answer(bare) == "empty"
            assert ours == [] or ours == ["too_many_newlines"]
            found["meant: a document without lines fails for its newlines at most"] += 1
            continue
        if not plain.words(text):
            found["meant: it divides by zero words"] += 1
            continue
        for name, value in values.items():
            assert agrees(name, value, bare), (name, value, text)
        defaults = theirs.FineWebQualityFilter(stop_chars=MARKS).filter(Document(text=bare, id=""))
        assert ("" if defaults is True else defaults[1]) == (renamed[ours[0]] if ours else "")
        found["none"] += 1
        found[renamed[ours[0]] if ours else "stays"] += 1
    return found


def test_every_measure_is_described_and_taken() -> None:
    columns = Fineweb()(TextBatch.of(TEXTS))
    assert list(columns) == [m.name for m in Fineweb.measures]
    assert all(len(column) == len(TEXTS) and column.max() > 0 for column in columns.values())


def test_the_example_of_the_docstring() -> None:
    assert list(measure(TEXTS[:1])[0].values()) == [1 / 3, 2 / 3, 5 / 41, 3 / 8]


def test_a_document_without_lines_fails_no_rule() -> None:
    texts = ["", "\n", " \n \t"]
    assert [list(values.values())[:3] for values in measure(texts)] == [[1, 0, 0]] * 3
    assert judge(Fineweb()(TextBatch.of(["", "   "])), RULES).reasons.to_pylist() == [[], []]


def test_a_line_that_ends_in_a_space_still_ends_well() -> None:
    values = measure(["It ends. \n  It ends.\t\n"])[0]
    assert values["fineweb_terminal_line_share"] == 1
    assert values["fineweb_copied_line_character_share"] == 1 / 2
    assert answer("It ends. ", line_punct_thr=0.12) == "line_punct_ratio", "datatrove sees a line that ends in a space"


def test_each_rule_is_judged_where_it_means_something() -> None:
    short = Fineweb()(TextBatch.of(["ไข้มีหลายสาเหตุ\nไข้สูง"] * 3))
    found = judge(short, RULES, languages=pa.array(["th", "ja", "en"])).reasons.to_pylist()
    terminal, lines = "too_few_lines_end_a_sentence", "too_many_short_lines"
    assert found == [[], [terminal], [terminal, lines]]


def test_a_document_measures_the_same_in_any_batch() -> None:
    alone = [measure([text])[0] for text in TEXTS]
    assert measure(TEXTS) == alone
    assert measure(["", *TEXTS[::-1], ""])[1:-1] == alone[::-1]


def test_datatrove_measures_the_same_on_texts_made_to_differ(monkeypatch: pytest.MonkeyPatch) -> None:
    found = disagreements_with_datatrove(TEXTS, monkeypatch)
    assert found["meant: it divides by zero words"] == 1
    assert all(found[reason] for reason in (*REASON.values(), "stays") if reason != "char_dup_ratio")


def test_datatrove_measures_the_same_on_any_text(monkeypatch: pytest.MonkeyPatch) -> None:
    @settings(deadline=None)
    @given(st.lists(st.lists(st.sampled_from(PIECES) | st.text(max_size=2), max_size=30).map("".join), max_size=3))
    def law(texts: list[str]) -> None:
        disagreements_with_datatrove(texts, monkeypatch)

    law()


@pytest.mark.real
def test_datatrove_measures_the_same_on_real_text_of_many_languages(
    shared_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = sorted(set(plain.real_texts(shared_data)))
    found = disagreements_with_datatrove(texts, monkeypatch)
    assert found["none"] == len(texts)
    assert all(found[reason] for reason in (*REASON.values(), "stays"))


@pytest.mark.real
def test_on_real_text_bare_lines_change_few_verdicts(shared_data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # datatrove as it is, but for the words: its own marks, white space at the ends of lines left in
    monkeypatch.setattr(theirs, "split_into_words", lambda text, language: plain.words(text))
    texts = sorted(set(plain.real_texts(shared_data)))
    ours = [not failed for failed in judge(Fineweb()(TextBatch.of(texts)), RULES).reasons.to_pylist()]
    default = theirs.FineWebQualityFilter()
    assert default.stop_chars == tuple(TERMINAL_PUNCTUATION)
    differ = [
        t for t, stays in zip(texts, ours, strict=True) if (default.filter(Document(text=t, id="")) is True) != stays
    ]
    assert len(differ) <= 0.02 * len(texts)
    assert all(stripped(text) != text for text in differ)
