"""Laws of the figures: thresholds keep what they promise or say they don't, and everything agrees with counting."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from curate.classify.held_out import CURVE, FEWEST_ABOVE, HeldOut, choose, ranks, wilson

scores = st.lists(st.integers(0, 20).map(lambda k: float(np.float32(k / 20))), min_size=1, max_size=40)
shares = st.sampled_from([0.5, 0.1, 0.9])


def held(domain: list[float], other: list[float]) -> HeldOut:
    return HeldOut(np.array(domain), np.array(other))


@given(scores, scores, st.sampled_from([0.5, 0.8, 0.95]), shares)
def test_a_chosen_threshold_keeps_the_precision_or_says_that_it_does_not(
    domain: list[float], other: list[float], precision: float, share: float
) -> None:
    both = held(domain, other)
    choice = choose(both, precision, share)
    point = both.at(choice.threshold, share)
    assert choice.reached == (point.precision >= precision)
    assert point.domain_above + point.other_above >= min(FEWEST_ABOVE, len(domain) + len(other))


@given(scores, scores, st.sampled_from([0.5, 0.8, 0.95]), shares)
def test_no_other_threshold_keeps_the_precision_and_finds_more(
    domain: list[float], other: list[float], precision: float, share: float
) -> None:
    both = held(domain, other)
    chosen = both.at(choose(both, precision, share).threshold, share)
    rivals = [both.at(score, share) for score in both.both]
    enough = min(FEWEST_ABOVE, len(domain) + len(other))
    rivals = [one for one in rivals if one.domain_above + one.other_above >= enough]
    if any(one.precision >= precision for one in rivals):
        keeping = [one for one in rivals if one.precision >= precision]
        assert chosen.recall == max(one.recall for one in keeping)
        assert chosen.fall_out == min(one.fall_out for one in keeping if one.recall == chosen.recall)
    else:
        assert chosen.precision == max(one.precision for one in rivals)


def test_between_kinds_that_lie_apart_the_threshold_is_halfway() -> None:
    choice = choose(held([0.9] * 20, [0.1] * 20), 0.95)
    assert choice.reached
    assert choice.threshold == pytest.approx(0.5)


def test_a_few_lucky_documents_are_no_precision() -> None:
    both = held([0.99, *[0.5] * 50], [0.5] * 51)
    assert both.at(0.99).precision == 1.0
    assert not choose(both, 0.95).reached


@given(scores, scores)
def test_auc_is_the_share_of_pairs_in_order(domain: list[float], other: list[float]) -> None:
    pairs = [(d > o) + 0.5 * (d == o) for d in domain for o in other]
    assert held(domain, other).auc == pytest.approx(float(np.mean(pairs)))


@given(scores)
def test_ranks_are_counts_of_what_is_below(values: list[float]) -> None:
    array = np.array(values)
    expected = [(array < one).sum() + ((array == one).sum() - 1) / 2 for one in array]
    assert ranks(array).tolist() == pytest.approx(expected)


@given(scores, scores)
def test_precision_at_the_held_out_share_is_what_counting_gives(domain: list[float], other: list[float]) -> None:
    both = held(domain, other)
    point = both.at(0.5, len(domain) / (len(domain) + len(other)))
    above = point.domain_above + point.other_above
    assume(above)
    assert point.precision == pytest.approx(point.domain_above / above)
    assert point.recall == sum(one >= 0.5 for one in domain) / len(domain)


@given(st.integers(0, 50), st.integers(1, 50))
def test_an_interval_holds_what_was_counted(hits: int, of: int) -> None:
    assume(hits <= of)
    low, high = wilson(hits, of)
    assert 0 <= low <= hits / of + 1e-12
    assert hits / of - 1e-12 <= high <= 1
    # Wilson's ends are where a normal test would just reject
    for end in (low, high):
        if 0 < end < 1:
            assert abs(hits / of - end) == pytest.approx(1.959964 * np.sqrt(end * (1 - end) / of), abs=1e-6)


def test_the_curve_has_counts_and_intervals_at_every_threshold() -> None:
    curve = held([0.2, 0.6, 0.9], [0.1, 0.4]).curve()
    assert [point["threshold"] for point in curve] == list(CURVE)
    assert [point["domain_above"] for point in curve] == sorted((p["domain_above"] for p in curve), reverse=True)
    for point in curve:
        for name in ("precision", "recall", "fall_out"):
            low, high = point[f"{name}_ci95"]
            assert low <= point[name] <= high
