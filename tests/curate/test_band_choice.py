"""Bands and rows chosen from a target: what a search through every setting finds, and how a recipe says it."""

from __future__ import annotations

import json
from functools import cache
from itertools import pairwise

import numpy as np
import pytest
from datasketch.lsh import _false_positive_probability
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from curate.dedup.bands import MOST_BANDS, MOST_ROWS, bands_for, candidate_probability, choose_bands, false_area
from curate.settings import Duplicates
from curate.shards.fault import Fault
from pipelines import recipe as recipes


@cache
def _area(bands: int, rows: int, jaccard: float) -> float:
    """By a rule of its own: the trapezoid's, in fine steps."""
    at = np.linspace(0, jaccard, 4001)
    return float(np.trapezoid(1 - (1 - at**rows) ** bands, at))


def search(recall: float, jaccard: float, permutations: int) -> tuple[int, int] | None:
    """Looks at every setting within the bounds."""
    within = [
        (bands, rows)
        for rows in range(1, MOST_ROWS + 1)
        for bands in range(1, min(MOST_BANDS, permutations // rows) + 1)
        if 1 - (1 - jaccard**rows) ** bands >= recall
    ]
    return min(within, key=lambda one: (_area(*one, jaccard), one[0] * one[1]), default=None)


@given(st.sampled_from([0.5, 0.8, 0.9, 0.95, 0.99]), st.sampled_from([0.3, 0.5, 0.7, 0.8, 0.9]), st.integers(1, 150))
@settings(max_examples=60, deadline=None)
def test_the_choice_is_the_one_of_a_search_through_all_settings(recall: float, jaccard: float, most: int) -> None:
    wanted = search(recall, jaccard, most)
    if wanted is None:
        with pytest.raises(ValueError, match=f"out of reach of {most} permutations"):
            choose_bands(recall, jaccard, most)
        return
    found = choose_bands(recall, jaccard, most)
    assert candidate_probability(jaccard, *found) >= recall
    assert found[0] * found[1] <= most
    assert false_area(*found, jaccard) == pytest.approx(_area(*wanted, jaccard), rel=1e-5)


def test_more_permutations_never_propose_more_that_is_false() -> None:
    areas = [false_area(*choose_bands(0.95, 0.8, most), 0.8) for most in range(2, 600, 7)]
    assert all(later <= sooner for sooner, later in pairwise(areas))
    assert areas[0] > 3 * areas[-1]


def test_the_area_is_datasketchs_false_positive_weight() -> None:
    for bands, rows, jaccard in ((14, 8, 0.8), (21, 9, 0.8), (3, 2, 0.5), (200, 3, 0.3)):
        assert false_area(bands, rows, jaccard) == pytest.approx(
            _false_positive_probability(jaccard, bands, rows), abs=2e-3
        )  # theirs is a sum in steps of 0.001


def test_what_is_documented_is_what_is_chosen() -> None:
    assert [choose_bands(0.95, 0.8, most) for most in (64, 128, 256, 512)] == [(10, 6), (13, 7), (21, 9), (34, 11)]
    assert [round(false_area(*choose_bands(0.95, 0.8, most), 0.8), 3) for most in (64, 128, 256, 512)] == [
        0.175, 0.157, 0.128, 0.109
    ]  # fmt: skip


@pytest.mark.parametrize(("recall", "jaccard"), [(0.999999, 0.001), (1e-9, 0.999), (0.5, 1e-12), (0.999999, 0.999999)])
def test_extreme_targets_come_to_an_end(recall: float, jaccard: float) -> None:
    for rows in (1, 2, 27, MOST_ROWS):
        bands = bands_for(recall, jaccard, rows)
        assert bands > MOST_BANDS or candidate_probability(jaccard, bands, rows) >= recall
        assert bands == 1 or candidate_probability(jaccard, bands - 1, rows) < recall


def test_a_target_spells_out_bands_and_rows_and_is_read_back_as_it_was() -> None:
    given = Duplicates.model_validate({"target": {"recall": 0.95, "jaccard": 0.8}})
    assert (given.bands, given.rows) == (21, 9)
    for written in (given.model_dump(), json.loads(json.dumps(given.model_dump(mode="json"), sort_keys=True))):
        assert Duplicates.model_validate(written) == given
    assert Duplicates(bands=21, target=given.target) == Duplicates(rows=9, target=given.target) == given
    assert (Duplicates().bands, Duplicates().rows) == (14, 8)


def test_a_target_beside_other_bands_is_a_fault_that_names_both() -> None:
    with pytest.raises(ValidationError, match="chooses 21 bands x 9 rows, and bands x rows says 14 x 9"):
        Duplicates.model_validate({"target": {}, "bands": 14})
    with pytest.raises(ValidationError, match=r"out of reach of 256 permutations: 256 bands of 1 row reach 0\.226"):
        Duplicates.model_validate({"target": {"recall": 0.99, "jaccard": 0.001}})


@pytest.mark.parametrize(
    ("given", "line"),
    [
        ({"target": {"recal": 0.9}}, "curate.duplicates.target.recal = 0.9: no such field; did you mean 'recall'"),
        ({"target": {"recall": 1}}, "curate.duplicates.target.recall = 1: should be less than 1"),
        ({"target": {}, "rows": 8}, "target chooses 21 bands x 9 rows, and bands x rows says 21 x 8"),
        ({"rehydrate": {0: 1, 3: 300}}, "curate.duplicates.rehydrate.0 = 0: should be greater than or equal to 1"),
        ({"rehydrate": {3: 300}}, "curate.duplicates.rehydrate.3 = 300: should be less than or equal to 255"),
        ({"rehydrate": {}}, "curate.duplicates.rehydrate = {}: "),
        ({"keep": "longst"}, "curate.duplicates.keep = 'longst': should be longest or lowest_id; did you mean 'long"),
        ({"keep": {"measur": "words"}}, "should be longest, lowest_id, {measure: NAME}, {earliest: FIELD}, {sources:"),
        ({"keep": {"measure": "wrds"}}, "keep.measure = 'wrds': nothing measures it; did you mean 'words'"),
        ({"keep": {"measure": "words", "prefer": "most"}}, "curate.duplicates.keep.prefer = 'most': should be high or"),
        ({"keep": ["longest", {"sources": ["nots"]}]}, "keep.sources = 'nots': there is no such source; did you mean"),
        ({"keep": []}, "curate.duplicates.keep = []: "),
    ],
)
def test_every_fault_is_told_by_its_field(given: dict[str, object], line: str) -> None:
    recipe = {
        "name": "x",
        "sources": [{"name": "notes", "path": "p"}],
        "shards": {"tokenizer": {"vocabulary": 400}},
        "curate": {"duplicates": given},
    }
    with pytest.raises(Fault) as fault:
        recipes.check(recipe, "a test")
    assert line in str(fault.value), fault.value
    assert str(fault.value).startswith(("1 fault", "2 faults"))


def test_weights_stand_in_the_order_of_their_sizes() -> None:
    given = Duplicates.model_validate({"rehydrate": {"1000": 1, "1": 1, "3": 3}})
    assert list((given.rehydrate or {}).items()) == [(1, 1), (3, 3), (1000, 1)]
