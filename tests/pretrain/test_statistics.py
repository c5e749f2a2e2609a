"""Interval and p-value of a change, held against loops, closed forms and simulated experiments."""

from __future__ import annotations

from itertools import product
from math import log

import numpy as np
import pytest

import pretrain.statistics as statistics
from pretrain.statistics import Units, bootstrap, compare, draws, expanded_tail, generator, sign_flip, units


def experiment(random: np.random.Generator, n: int, shift: float, skewed: bool = False) -> Units:
    """n texts of mixed length, hard and easy; after differs from before by `shift` bits per byte and noise."""
    n_bytes = random.integers(50, 5_000, size=n).astype(float) if not skewed else random.lognormal(6, 1, size=n)
    before = n_bytes * random.uniform(0.3, 1.2, size=n)
    return Units(before, before + n_bytes * log(2) * (shift + random.normal(0, 0.05, size=n)), n_bytes)


def test_units_are_sums_over_clusters_whatever_the_order_of_documents() -> None:
    clusters = ["b", "a", "b", "c", "a"]
    before, after, n_bytes = np.array([1.0, 2, 3, 4, 5]), np.array([1.0, 1, 1, 1, 2]), np.array([10, 20, 30, 40, 50])
    summed = units(clusters, before, after, n_bytes)
    assert summed.before.tolist() == [7, 4, 4]
    assert summed.after.tolist() == [3, 2, 1]
    assert summed.n_bytes.tolist() == [70, 40, 40]
    order = [4, 2, 0, 1, 3]
    again = units([clusters[i] for i in order], before[order], after[order], n_bytes[order])
    assert again.difference.tolist() == summed.difference.tolist()


def test_the_change_is_the_ratio_of_sums_and_not_the_mean_of_ratios() -> None:
    some = experiment(np.random.default_rng(0), 40, shift=-0.1)
    change = compare(some, resamples=100, seed=1, name="x").bits_per_byte
    ratio_of_sums = sum(some.after - some.before) / (log(2) * sum(some.n_bytes))
    assert change == pytest.approx(ratio_of_sums, rel=1e-12)
    assert change != pytest.approx(float((some.difference / log(2) / some.n_bytes).mean()), rel=1e-6)


def test_the_bootstrap_is_the_naive_loop_over_the_same_draws() -> None:
    some = experiment(np.random.default_rng(1), 17, shift=0.02)
    fast = bootstrap(some, 300, generator(5, "set"))
    naive = []
    for row in np.concatenate(list(draws(generator(5, "set"), 17, 300, below=17))).tolist():
        nats = sum(some.after[unit] - some.before[unit] for unit in row)
        naive.append(nats / log(2) / sum(some.n_bytes[unit] for unit in row))
    assert fast.tolist() == pytest.approx(naive, rel=1e-12, abs=1e-15)


def test_memory_is_bounded_and_the_size_of_a_chunk_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    some = experiment(np.random.default_rng(2), 31, shift=0.01)
    whole = compare(some, resamples=1000, seed=3, name="set")
    monkeypatch.setattr(statistics, "CHUNK_VALUES", 31 * 7)
    assert max(chunk.size for chunk in draws(generator(3), 31, 1000, below=31)) <= 31 * 7
    assert compare(some, resamples=1000, seed=3, name="set") == whole


def test_draws_depend_on_seed_and_name() -> None:
    some = experiment(np.random.default_rng(2), 31, shift=0.01)
    one, same, other_seed, other_name = (
        compare(some, resamples=500, seed=seed, name=name) for seed, name in ((1, "a"), (1, "a"), (2, "a"), (1, "b"))
    )
    assert one == same
    assert one.bits_per_byte == other_seed.bits_per_byte == other_name.bits_per_byte
    assert len({one.ci95, other_seed.ci95, other_name.ci95}) == 3


@pytest.mark.parametrize(("n", "skewed"), [(8, False), (60, False), (60, True)])
def test_the_interval_covers_no_change_about_95_times_in_100(n: int, skewed: bool) -> None:
    experiments = 300
    random = np.random.default_rng(n + skewed)
    covered = 0
    for seed in range(experiments):
        null = experiment(random, n, shift=0.0, skewed=skewed)
        low, high = compare(null, resamples=1000, seed=seed, name="null").ci95 or (0, 0)
        covered += low <= 0 <= high
    # 3 binomial standard errors are 0.038; few and skewed units cost the bootstrap about 0.02 more below
    assert 0.89 <= covered / experiments <= 0.985


def test_the_p_value_is_uniform_without_a_change_and_small_with_one() -> None:
    random = np.random.default_rng(7)
    nulls = [compare(experiment(random, 40, 0.0), resamples=400, seed=s, name="n").p_value for s in range(200)]
    assert 0.01 <= np.mean([p < 0.05 for p in nulls if p is not None]) <= 0.1
    assert 0.4 < np.mean([p for p in nulls if p is not None]) < 0.6
    assert compare(experiment(random, 40, -0.2), resamples=999, seed=0, name="g").p_value == 1 / 1000


def test_the_p_value_approaches_that_of_all_sign_flips() -> None:
    difference = np.array([3.0, 1.0, -0.5, 2.0, 0.25, 1.5])
    flipped = [abs(np.dot(signs, difference)) for signs in product([-1, 1], repeat=6)]
    exact = np.mean([value >= abs(difference.sum()) - 1e-9 for value in flipped])
    assert exact == 2 * 3 / 64  # 7.25 itself, 8.25 and 7.75 lie as far out; and their mirrors
    assert sign_flip(difference, 20_000, np.random.default_rng(0)) == pytest.approx(exact, abs=0.01)


def test_two_equal_models_show_exactly_nothing() -> None:
    nats = np.array([5.0, 7.0, 9.0, 4.0, 6.0, 3.0])
    change = compare(Units(nats, nats, nats * 3), resamples=200, seed=0, name="same")
    assert (change.bits_per_byte, change.ci95, change.p_value, change.detectable) == (0.0, (0.0, 0.0), 1.0, 0.0)


def test_a_detectable_change_is_found_four_times_in_five() -> None:
    random = np.random.default_rng(3)
    detectable = compare(experiment(random, 80, 0.0), resamples=2000, seed=0, name="d").detectable
    assert detectable
    found = 0
    for seed in range(150):
        low, high = compare(experiment(random, 80, detectable), resamples=500, seed=seed, name="d").ci95 or (0, 0)
        found += low > 0 or high < 0
    assert 0.65 <= found / 150 <= 0.93


def test_fewer_than_five_units_give_a_change_without_an_interval_and_say_so() -> None:
    change = compare(experiment(np.random.default_rng(0), 4, -0.5), resamples=100, seed=0, name="few")
    assert change.bits_per_byte < 0
    assert (change.ci95, change.p_value, change.detectable) == (None, None, None)
    assert "4 units" in change.as_json()["note"]
    whole = compare(experiment(np.random.default_rng(0), 5, -0.5), resamples=100, seed=0, name="few")
    assert whole.ci95 is not None
    assert "note" not in whole.as_json()


def test_tails_agree_with_scipy_s_student_t() -> None:
    stats = pytest.importorskip("scipy.stats", reason="scipy is not installed")
    for n in (5, 6, 10, 30, 1000):
        exact = stats.norm.cdf(-np.sqrt(n / (n - 1)) * stats.t.ppf(0.975, n - 1))
        assert expanded_tail(n) == pytest.approx(exact, rel=0.03)
