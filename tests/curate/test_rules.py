"""Rules: bounds are inclusive, reasons come in order, and a recipe's bounds replace the preset's."""

from __future__ import annotations

from dataclasses import replace

import datatrove.pipeline.filters.gopher_quality_filter as their_quality
import datatrove.pipeline.filters.gopher_repetition_filter as their_repetition
import numpy as np
import plain
import pyarrow as pa
import pytest
from datatrove.data import Document

from curate.measured import families, measure, measures_of
from curate.rules import Rule, as_dicts, judge, language_rule, preset, with_bounds
from curate.settings import Bound, Language
from curate.shards.fault import Fault
from curate.text import TextBatch

WORDS = Rule("words", 50, 100, "too_few_words", "too_many_words", "test")
HASHES = Rule("hash_word_ratio", None, 0.1, None, "too_many_hashes", "test")
FAMILIES = ["gopher_quality", "gopher_repetition"]

PROSE = (
    "The ward round of the morning began with a patient who had been admitted in the night, and the nurse reported "
    "that his fever had fallen below thirty-eight degrees. We listened to his chest, looked at the chart, changed the "
    "dose and went on to have a word with his daughter about what would be needed at home once he left our care."
)
LINE = "Opening hours of this practice vary with season"

# a text, and what Gopher's rules have to say about it; every reason the preset can give stands here at least once
FATES = [
    (PROSE, set()),
    ("Read more.", {"too_few_words", "too_few_stop_words"}),
    (PROSE.replace(" ", " # ", 20), {"too_many_hashes"}),
    (PROSE.replace(" ", " … ", 20), {"too_many_ellipses"}),
    ("- " + PROSE.replace(",", "\n-"), {"too_many_bullet_lines"}),
    (PROSE.replace(", ", "...\n"), {"too_many_lines_end_in_ellipsis"}),
    (PROSE + " 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22", {"too_few_words_with_letters"}),
    (PROSE.upper(), {"too_few_stop_words"}),
    (" ".join(w[:2] for w in PROSE.split()), {"words_too_short"}),
    (" ".join(w * 4 for w in PROSE.replace(",", "").split()) + " the of", {"words_too_long"}),
    ("\n\n".join([PROSE, LINE, LINE, LINE]), {"too_many_duplicate_paragraphs", "too_many_duplicate_lines"}),
    ("\n".join([PROSE, LINE, LINE, LINE]), {"too_many_duplicate_lines"}),
    ("\n\n".join([PROSE, PROSE]), {"too_much_in_duplicate_paragraphs", "too_much_in_duplicate_lines"}),
    ("buy now " * 40, {"too_much_in_top_2_gram", "too_much_in_top_3_gram", "too_much_in_top_4_gram"}),
    (" ".join([PROSE, PROSE]), {f"too_much_in_duplicate_{n}_grams" for n in range(5, 11)}),
    ("the of word " * 40_000, {"too_many_words"}),
]


def reasons_of(text: str) -> list[str]:
    columns = measure(TextBatch.of([text]), families(FAMILIES))
    return judge(columns, preset("gopher")).reasons.to_pylist()[0]


@pytest.mark.parametrize(("text", "reasons"), FATES)
def test_gopher_says_of_each_text_what_it_should(text: str, reasons: set[str]) -> None:
    found = reasons_of(text)
    assert reasons <= set(found)
    assert found == [] if not reasons else len(found) == len(set(found))


def test_every_reason_of_the_preset_has_been_given() -> None:
    given = {reason for text, _ in FATES for reason in reasons_of(text)}
    assert given == {r for rule in preset("gopher") for r in (rule.too_low, rule.too_high) if r}


@pytest.mark.parametrize("text", [text for text, _ in FATES])
def test_gopher_judges_as_datatrove_does(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    split = plain.words_of(TextBatch.of([text]))[0]
    for theirs in (their_quality, their_repetition):
        monkeypatch.setattr(theirs, "split_into_words", lambda text, language: split)
    document = Document(text=text.strip("\n"), id="0")
    passes = (
        their_quality.GopherQualityFilter().filter(document) is True
        and their_repetition.GopherRepetitionFilter().filter(document) is True
    )
    assert passes == (not reasons_of(text))


def test_bounds_are_inclusive() -> None:
    columns = {"words": np.array([49, 50, 100, 101]), "hash_word_ratio": np.array([0.1, np.nextafter(0.1, 1), 0, 0])}
    verdicts = judge(columns, [WORDS, HASHES])
    assert verdicts.reasons.to_pylist() == [["too_few_words"], ["too_many_hashes"], [], ["too_many_words"]]
    assert verdicts.first.to_pylist() == ["too_few_words", "too_many_hashes", None, "too_many_words"]
    assert verdicts.evidence.to_pylist() == [
        "words = 49 < 50",
        "hash_word_ratio = 0.10000000000000002 > 0.1",
        None,
        "words = 101 > 100",
    ]


def test_all_reasons_are_told_in_the_order_of_the_rules_between_what_comes_before_and_after() -> None:
    columns = {"words": np.array([1.0, 1.0, 60.0, 60.0]), "hash_word_ratio": np.array([0.5, 0.0, 0.5, 0.0])}
    scores = np.array([0.9, 0.3, 0.9, 0.9], np.float32)
    another, uncertain = language_rule(pa.array(["de", "en", "en", "en"]), scores, Language())
    verdicts = judge(columns, [HASHES, WORDS], before=[another], after=[uncertain])
    assert verdicts.reasons.to_pylist() == [
        ["language_not_kept", "too_many_hashes", "too_few_words"],
        ["too_few_words", "language_uncertain"],
        ["too_many_hashes"],
        [],
    ]
    assert verdicts.evidence.to_pylist()[:3] == [
        "language = de (0.90), kept: en",
        "words = 1 < 50",
        "hash_word_ratio = 0.5 > 0.1",
    ]


def test_a_record_that_was_not_measured_fails_no_rule() -> None:
    assert judge({"words": np.array([np.nan])}, [WORDS]).reasons.to_pylist() == [[]]


@pytest.mark.parametrize("n", [0, 3])
def test_without_rules_everything_stays(n: int) -> None:
    languages = language_rule(pa.array([None] * n, pa.string()), np.zeros(n), Language(keep="all"))  # type: ignore[arg-type]
    verdicts = judge({}, preset("none"), languages)
    assert verdicts.first.to_pylist() == verdicts.evidence.to_pylist() == [None] * n
    assert verdicts.reasons.to_pylist() == [[]] * n


def test_language_is_kept_from_its_bound_on_and_uncertain_below_or_untold() -> None:
    names = pa.chunked_array([["en", "en", "de", "de", None], ["fr"]])
    scores = pa.chunked_array([pa.array([0.65, 0.64, 0.65, 0.64, None, 0.99], pa.float32())])
    verdicts = judge({}, [], language_rule(names, scores, Language(keep=["en", "fr"])))
    not_kept, uncertain = "language_not_kept", "language_uncertain"
    assert verdicts.first.to_pylist() == [None, uncertain, not_kept, uncertain, uncertain, None]
    assert verdicts.evidence.to_pylist()[1] == "score of language en = 0.64 < 0.65"
    assert verdicts.evidence.to_pylist()[4] == "language not told, score = 0 < 0.65"
    measured_only = language_rule(names, scores, Language(decide=False))
    assert judge({}, [], measured_only).first.null_count == 6


def test_stop_words_are_judged_in_english_only_and_word_length_where_words_are_spaced() -> None:
    columns = measure(TextBatch.of(["x" * 4 + " word" * 60] * 3 + ["漢" * 60] * 2), families(FAMILIES))
    rules = [rule for rule in preset("gopher") if rule.measure in ("stop_words", "mean_word_length")]
    verdicts = judge(columns, rules, languages=pa.array(["en", "de", None, "zh", "en"]))
    assert verdicts.reasons.to_pylist() == [
        ["too_few_stop_words"],
        [],
        [],
        [],
        ["words_too_short", "too_few_stop_words"],
    ]


def test_every_rule_of_the_preset_judges_a_measure_that_is_taken_and_the_other_way_round() -> None:
    assert [rule.measure for rule in preset("gopher")] == list(measures_of(FAMILIES))
    assert preset("none") == ()
    for rule in preset("gopher"):
        assert (rule.at_least is None) == (rule.too_low is None)
        assert (rule.at_most is None) == (rule.too_high is None)
        assert "Rae et al. 2021" in rule.source


def test_a_bound_of_the_recipe_replaces_the_presets() -> None:
    rules = with_bounds((WORDS, HASHES), {"words": Bound(at_least=30)})
    assert rules == (replace(WORDS, at_least=30, source="recipe"), HASHES)
    (rule,) = with_bounds((WORDS,), {"words": Bound(at_most=None)})
    assert rule == replace(WORDS, at_most=None, too_high=None, source="recipe")
    columns = {"words": np.array([29, 30, 10**6]), "hash_word_ratio": np.zeros(3)}
    assert judge(columns, rules).first.to_pylist() == ["too_few_words", None, "too_many_words"]


def test_an_empty_bound_switches_a_rule_off() -> None:
    assert with_bounds((WORDS, HASHES), {"words": Bound()}) == (HASHES,)
    assert with_bounds((), {"words": Bound()}) == ()


def test_a_measure_that_no_rule_judges_gets_one() -> None:
    rules = with_bounds(preset("none"), {"stop_words": Bound(at_least=1, at_most=3)})
    assert judge({"stop_words": np.array([0, 1, 4])}, rules).reasons.to_pylist() == [
        ["low_stop_words"],
        [],
        ["high_stop_words"],
    ]


def test_other_ends_of_a_presets_bound_are_named_too() -> None:
    (rule,) = with_bounds((HASHES,), {"hash_word_ratio": Bound(at_least=0.01)})
    assert (rule.too_low, rule.too_high) == ("low_hash_word_ratio", "too_many_hashes")


@pytest.mark.parametrize(
    ("call", "what", "hint"),
    [
        (lambda: with_bounds((WORDS,), {"word": Bound(at_least=3)}), "no measure 'word'", "did you mean 'words'?"),
        (lambda: with_bounds((), {"digits": Bound()}, ["digit_share"]), "no measure 'digits'", "'digit_share'?"),
        (
            lambda: with_bounds((), {"words": Bound(at_least=9, at_most=3)}),
            "at_least 9 is above at_most 3",
            "at_least: 3",
        ),
        (lambda: preset("gofer"), "no preset 'gofer'", "did you mean 'gopher'?"),
        (lambda: measures_of(["gopher_qality"]), "no 'gopher_qality'", "did you mean 'gopher_quality'?"),
    ],
)
def test_faults_name_the_nearest_valid_name(call, what: str, hint: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(Fault) as caught:
        call()
    assert what in caught.value.what
    assert hint in caught.value.hint


def test_rules_become_plain_dicts_for_the_report() -> None:
    assert as_dicts([WORDS])[0] == {
        "measure": "words",
        "at_least": 50,
        "at_most": 100,
        "too_low": "too_few_words",
        "too_high": "too_many_words",
        "source": "test",
        "only_languages": [],
        "except_languages": [],
    }


def test_evidence_tells_the_value_from_the_bound() -> None:
    columns = {"hash_word_ratio": np.array([0.104321, 0.1000004, 3.0])}
    assert judge(columns, [HASHES]).evidence.to_pylist() == [
        "hash_word_ratio = 0.1043 > 0.1",
        "hash_word_ratio = 0.1000004 > 0.1",
        "hash_word_ratio = 3 > 0.1",
    ]
