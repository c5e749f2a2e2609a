"""Laws of the split."""

from __future__ import annotations

from collections import Counter
from math import sqrt

import numpy as np
import pyarrow as pa
import pytest

from curate.split import SIDES, TEST, TRAIN, VALIDATION, Sides, assign, places

IDS = pa.array([f"notes/{i}" for i in range(20_000)])


def _sides(ids: pa.Array, seed: int, validation: float, test: float) -> Sides:
    return assign(places(ids, seed), validation, test)


def test_a_side_is_a_function_of_cluster_seed_and_fractions_alone() -> None:
    whole = _sides(IDS, 1, 0.1, 0.1)
    some = np.arange(0, len(IDS), 7)[::-1]
    assert (_sides(IDS.take(pa.array(some)), 1, 0.1, 0.1) == whole[some]).all()
    assert (_sides(IDS, 2, 0.1, 0.1) != whole).any()


@pytest.mark.parametrize(("validation", "test"), [(0.02, 0.02), (0.3, 0.05), (0.0, 0.5), (0.0, 0.0)])
def test_fractions_are_right_within_binomial_bounds(validation: float, test: float) -> None:
    counts = Counter(_sides(IDS, 3, validation, test).tolist())
    for side, share in ((TRAIN, 1 - validation - test), (VALIDATION, validation), (TEST, test)):
        assert abs(counts[side] - share * len(IDS)) <= 4 * sqrt(len(IDS) * share * (1 - share))


def test_wider_validation_takes_from_training_only() -> None:
    narrow, wide = _sides(IDS, 1, 0.05, 0.05), _sides(IDS, 1, 0.2, 0.05)
    moved = {(SIDES[a], SIDES[b]) for a, b in zip(narrow, wide, strict=True) if a != b}
    assert moved == {("train", "validation")}


def test_places_do_not_change_between_versions() -> None:
    # a corpus published with one version keeps its held-out side with the next
    assert places(pa.array(["notes/1", "papers/é"]), 1).tolist() == [0.8579598723698894, 0.16879347706960168]
