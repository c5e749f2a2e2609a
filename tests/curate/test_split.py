"""Laws of the split."""

from __future__ import annotations

from collections import Counter
from math import sqrt

import pytest

from curate.split import TEST, TRAIN, VALIDATION, assign, place

IDS = [f"notes/{i}" for i in range(20_000)]


def test_a_side_is_a_function_of_cluster_seed_and_fractions_alone() -> None:
    whole = dict(zip(IDS, assign(IDS, 1, 0.1, 0.1), strict=True))
    some = IDS[::-7]
    assert assign(some, 1, 0.1, 0.1) == [whole[one] for one in some]
    assert assign(IDS, 2, 0.1, 0.1) != list(whole.values())


@pytest.mark.parametrize(("validation", "test"), [(0.02, 0.02), (0.3, 0.05), (0.0, 0.5), (0.0, 0.0)])
def test_fractions_are_right_within_binomial_bounds(validation: float, test: float) -> None:
    counts = Counter(assign(IDS, 3, validation, test))
    for side, share in ((TRAIN, 1 - validation - test), (VALIDATION, validation), (TEST, test)):
        assert abs(counts[side] - share * len(IDS)) <= 4 * sqrt(len(IDS) * share * (1 - share))


def test_wider_validation_takes_from_training_only() -> None:
    narrow, wide = assign(IDS, 1, 0.05, 0.05), assign(IDS, 1, 0.2, 0.05)
    moved = {(a, b) for a, b in zip(narrow, wide, strict=True) if a != b}
    assert moved == {(TRAIN, VALIDATION)}


def test_places_do_not_change_between_versions() -> None:
    # a corpus published with one version keeps its held-out side with the next
    assert [place(name, 1) for name in ("notes/1", "papers/é")] == [0.8579598723698894, 0.16879347706960168]
