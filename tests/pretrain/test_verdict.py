"""Every outcome in one table, and words that follow from the numbers."""

from __future__ import annotations

import json

import pytest

from pretrain.statistics import Change
from pretrain.verdict import Outcome, Touched, verdict


def outcome(change: float, low: float | None = None, high: float | None = None, before: float = 1.0) -> Outcome:
    ci95 = None if low is None or high is None else (low, high)
    return Outcome(before, Change(change, ci95, 0.01 if ci95 else None, 100 if ci95 else 3, 0.004 if ci95 else None))


GAIN, NONE, LOSS = outcome(-0.1, -0.12, -0.08), outcome(-0.001, -0.003, 0.001), outcome(0.05, 0.04, 0.06)
SLIGHT, STEEP, BETTER = outcome(0.01, 0.005, 0.015), outcome(0.08, 0.07, 0.09), outcome(-0.01, -0.02, -0.001)
UNSURE_WITHIN, UNSURE_BEYOND = outcome(0.02, 0.005, 0.035), outcome(0.04, 0.02, 0.06)
FEW_RISEN, FEW_FALLEN = outcome(0.01), outcome(-0.01)

OUTCOMES = [
    (GAIN, None, "gain", "not measured", "Gain on the domain; forgetting was not measured."),
    (GAIN, NONE, "gain", "none", "Gain on the domain, no forgetting shown."),
    (GAIN, BETTER, "gain", "none", "Gain on the domain, no forgetting shown."),
    (GAIN, SLIGHT, "gain", "within", "Gain on the domain, forgetting within tolerance."),
    (GAIN, UNSURE_WITHIN, "gain", "within", "the interval reaches beyond it"),
    (GAIN, STEEP, "gain", "beyond", "Gain on the domain, bought with forgetting beyond tolerance."),
    (GAIN, UNSURE_BEYOND, "gain", "beyond", "the interval reaches back within it"),
    (GAIN, FEW_RISEN, "gain", "within", "too few documents to be sure"),
    (GAIN, FEW_FALLEN, "gain", "none", "too few documents to be sure"),
    (NONE, None, "none", "not measured", "No gain shown on the domain; forgetting was not measured."),
    (NONE, NONE, "none", "none", "No gain shown on the domain, no forgetting shown."),
    (NONE, SLIGHT, "none", "within", "No gain shown on the domain, forgetting within tolerance."),
    (NONE, STEEP, "none", "beyond", "No gain shown on the domain, and forgetting beyond tolerance."),
    (LOSS, None, "loss", "not measured", "Worse on the domain; forgetting was not measured."),
    (LOSS, NONE, "loss", "none", "Worse on the domain, no forgetting shown."),
    (LOSS, SLIGHT, "loss", "within", "Worse on the domain, forgetting within tolerance."),
    (LOSS, STEEP, "loss", "beyond", "Worse on the domain, and forgetting beyond tolerance."),
    (outcome(-0.5), NONE, "none", "none", "No gain shown on the domain"),
]


@pytest.mark.parametrize(("domain", "general", "domain_word", "forgetting_word", "words"), OUTCOMES)
def test_each_outcome_has_its_words(
    domain: Outcome, general: Outcome | None, domain_word: str, forgetting_word: str, words: str
) -> None:
    said = verdict(domain, general, None, tolerance=0.03)
    assert (said["domain"], said["forgetting"]) == (domain_word, forgetting_word)
    assert words in said["text"]
    assert said["text"].startswith(said["headline"])
    assert json.loads(json.dumps(said, allow_nan=False)) == said


def test_the_table_reaches_every_word() -> None:
    assert {row[2] for row in OUTCOMES} == {"gain", "none", "loss"}
    assert {row[3] for row in OUTCOMES} == {"none", "within", "beyond", "not measured"}


def test_the_tolerance_decides_and_nothing_else_changes() -> None:
    words = [verdict(GAIN, STEEP, None, tolerance=tolerance)["forgetting"] for tolerance in (0.0, 0.0799, 0.0801, 1.0)]
    assert words == ["beyond", "beyond", "within", "within"]


def test_forgetting_is_relative_to_what_it_was() -> None:
    high = outcome(0.08, 0.07, 0.09, before=4.0)
    said = verdict(GAIN, high, None, tolerance=0.03)
    assert said["forgetting"] == "within"
    assert said["changes"]["general"]["relative"] == pytest.approx(0.02)
    assert said["changes"]["general"]["relative_ci95"] == pytest.approx([0.0175, 0.0225])


def test_no_gain_says_what_the_set_could_have_shown() -> None:
    assert "can show a change of 0.0040 or more" in verdict(NONE, None, None, tolerance=0.03)["text"]
    assert "can show" not in verdict(GAIN, None, None, tolerance=0.03)["text"]


def test_the_worst_general_set_does_not_hide_in_the_pool() -> None:
    parts = {"web": outcome(0.0, -0.01, 0.01), "novels": STEEP}
    said = verdict(GAIN, SLIGHT, None, tolerance=0.03, general_sets=parts)
    assert said["forgetting"] == "within"
    assert "largest change is novels with +8.00 %, beyond the tolerance" in said["text"]
    assert "largest change" not in verdict(GAIN, SLIGHT, None, tolerance=0.03, general_sets={"web": SLIGHT})["text"]


@pytest.mark.parametrize(
    ("control", "alone"),
    [(outcome(-0.09, -0.1, -0.08), False), (outcome(-0.02, -0.03, -0.01), True), (NONE, True), (LOSS, True)],
)
def test_a_gain_that_the_control_shares_is_not_called_the_domain_s(control: Outcome, alone: bool) -> None:
    said = verdict(GAIN, None, control, tolerance=0.03)
    assert "Control text changed by" in said["text"]
    assert ("isn't the domain's alone" in said["text"]) is not alone
    assert said["changes"]["control"]["bits_per_byte"] == control.change.bits_per_byte


def test_numbers_in_the_text_are_those_of_the_object() -> None:
    said = verdict(outcome(-0.1234, -0.15, -0.09, before=1.5), None, None, tolerance=0.03)
    for words in ("1.3766 bits per byte", "1.5000 before", "−0.1234", "−8.23 %", "−0.1500 to −0.0900", "100 units"):
        assert words in said["text"]


def test_a_gain_that_is_mostly_in_touched_documents_is_told() -> None:
    clean = outcome(-0.02, -0.04, 0.0)
    said = verdict(GAIN, None, None, touched=Touched(0.83, 0.12, clean), tolerance=0.03)
    assert said["domain"] == "gain"
    assert "83 % of that gain comes from documents that share 13 words in a row with training text" in said["text"]
    assert "12 % of the bytes; without them the change is −0.0200 (95 % interval −0.0400 to 0.0000" in said["text"]
    all_of_it = verdict(GAIN, None, None, touched=Touched(1.2, 0.1, None), tolerance=0.03)["text"]
    assert "More than all of that gain comes from documents" in all_of_it
    assert "10 % of the bytes." in all_of_it
    for domain, touched in ((GAIN, Touched(0.4, 0.4, clean)), (NONE, Touched(0.9, 0.1, clean)), (GAIN, None)):
        assert "13 words" not in verdict(domain, None, None, touched=touched, tolerance=0.03)["text"]
