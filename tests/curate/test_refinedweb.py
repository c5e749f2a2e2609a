r"""RefinedWeb's line-wise measures are DCLM's definitions over our words, written once more in plain Python.

datatrove has no such filter, so the second opinion is this file's.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import plain
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.cleaners.refinedweb_lines import RefinedwebLines
from curate.measures.refinedweb import COUNTED, Refinedweb
from curate.presets.refinedweb import RULES
from curate.rules import judge
from curate.text import TextBatch

COUNTER = re.compile(rf"^\W*\d[,.\d]*[kmb]?\s+(?:{'|'.join(COUNTED)})\W*$")
PROSE = "Fever has many causes, and some are harmless."
TEXTS = [
    f"SHARE THIS PAGE\n1.2K likes\n2019\n{PROSE}",
    "  ÉTÉ  \n漢字かな\n漢\nMcDONALD\nA1 B2",
    "3 likes\n(12,345 Views!)\n١٢ shares\n7  downloads now\nlikes\n3likes\n1.5 m followers\n2 k likes\n5 comments…",
    "12\n²³\n1 2\n٣٤\n１２\n12a",
    "***\n\n \n",
    "\n".join([PROSE] * 20) + "\nTHE END",
]
PIECES = [
    "\n",
    " ",
    "3",
    "1.2K",
    "12,345",
    " likes",
    " views",
    "Shares",
    "UPPER",
    "lower",
    "É",
    "漢",
    "²",
    "٣",
    "_",
    "!",
    "—",
]


def line_by_line(text: str) -> dict[str, float]:
    """The definition: which lines are bad, and how many words they hold."""
    lines = [line.strip() for line in text.split("\n") if line.strip()]
    kinds = {
        "upper_case": [sum(map(str.isupper, line)) / len(line) > 0.5 for line in lines],
        "numeric": [all(map(str.isdigit, line)) for line in lines],
        "counter": [COUNTER.search(line.lower()) is not None for line in lines],
        "one_word": [len(plain.words(line)) < 2 for line in lines],
    }
    shares = {f"refinedweb_{kind}_line_share": sum(bad) / max(len(lines), 1) for kind, bad in kinds.items()}
    removed = [len(plain.words(line)) for k, line in enumerate(lines) if any(bad[k] for bad in kinds.values())]
    return shares | {"refinedweb_removed_word_share": sum(removed) / max(len(plain.words(text)), 1)}


def measure(texts: list[str]) -> list[dict[str, float]]:
    columns = Refinedweb()(TextBatch.of(texts))
    return [{name: float(column[i]) for name, column in columns.items()} for i in range(len(texts))]


def reasons(texts: list[str]) -> list[list[str]]:
    return judge(Refinedweb()(TextBatch.of(texts)), RULES).reasons.to_pylist()


def test_every_measure_is_described_and_taken() -> None:
    columns = Refinedweb()(TextBatch.of(TEXTS))
    assert list(columns) == [m.name for m in Refinedweb.measures]
    assert all(len(column) == len(TEXTS) and column.max() > 0 for column in columns.values())


def test_the_example_of_the_docstring() -> None:
    values = measure(TEXTS[:1])[0]
    assert list(values.values()) == [1 / 4, 1 / 4, 1 / 4, 1 / 4, 7 / 15]


def test_each_kind_of_bad_line_is_told() -> None:
    counters = measure([TEXTS[2]])[0]["refinedweb_counter_line_share"]
    assert counters == 4 / 9  # "3 likes", "(12,345 Views!)", "١٢ shares", "5 comments…"
    assert measure([TEXTS[3]])[0]["refinedweb_numeric_line_share"] == 4 / 6
    assert measure(["漢字かな"])[0]["refinedweb_one_word_line_share"] == 0
    assert measure(["follow-up"])[0]["refinedweb_one_word_line_share"] == 0  # two words of ours, one between spaces


def test_texts_made_to_differ_measure_as_defined() -> None:
    assert measure(TEXTS) == [line_by_line(text) for text in TEXTS]


@settings(deadline=None, max_examples=300)
@given(st.lists(st.lists(st.sampled_from(PIECES) | st.text(max_size=2), max_size=30).map("".join), max_size=4))
def test_any_text_measures_as_defined(texts: list[str]) -> None:
    texts = [text.replace("İ", "I").replace("\u212a", "K") for text in texts]  # lower() makes other letters of these
    assert measure(texts) == [line_by_line(text) for text in texts]


def test_exactly_five_percent_of_the_words_may_be_removed() -> None:
    kept = "one two three four five six seven eight nine ten\n" * 19  # 190 words
    assert reasons([kept + "A B\n" * 5, kept + "A B\n" * 5 + "C", "", "***"]) == [
        [], ["too_much_in_boilerplate_lines"], [], [],
    ]  # fmt: skip


def test_the_cleaner_drops_these_lines_and_nothing_else() -> None:
    assert RefinedwebLines()(f"TITLE\n\n  {PROSE} \n3 likes\n\n{PROSE}\n2019") == f"\n  {PROSE} \n\n{PROSE}\n"
    assert RefinedwebLines()("") == ""


@settings(deadline=None)
@given(st.lists(st.sampled_from(PIECES) | st.text(max_size=2), max_size=30).map("".join))
def test_the_cleaner_leaves_nothing_to_remove(text: str) -> None:
    clean = RefinedwebLines()(text)
    assert RefinedwebLines()(clean) == clean
    assert measure([clean])[0]["refinedweb_removed_word_share"] == 0
    assert all(line in text.split("\n") for line in clean.split("\n") if line)


@pytest.mark.real
def test_real_text_of_many_languages_measures_as_defined(shared_data: Path) -> None:
    texts = sorted(set(plain.real_texts(shared_data)))
    assert measure(texts) == [line_by_line(text) for text in texts]
    columns = Refinedweb()(TextBatch.of(texts))
    kinds = {name: len(np.unique(column)) for name, column in columns.items()}
    assert all(kinds[f"refinedweb_{of}"] > 3 for of in ("upper_case_line_share", "removed_word_share")), kinds
    failed = sum(bool(found) for found in reasons(texts))
    assert 0 < failed < len(texts) / 2
