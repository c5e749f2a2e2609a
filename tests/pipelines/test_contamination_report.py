"""Laws of what the report says of decontamination: shares by corpus and rule, and an alarm that means something."""

from __future__ import annotations

from typing import Any

import pytest

from pipelines.report.contamination import contamination_numbers


def _found(removed: dict[str, int], trained_on: dict[str, int]) -> dict[str, Any]:
    rule = {"rule": "shared_run", "words": 13, "at_least": None, "found": 99, "removed": sum(removed.values())}
    rule |= {"removed_by_source": removed, "indexed_ngrams": 9, "common_ngrams": 1}
    rule |= {"common_phrases": [{"phrase": "write to jane@example.org today", "training_documents": 44}]}
    one = {"indexed_documents": 5, "too_short_to_index": 1, "common_in": 10, "by_source": trained_on}
    return {"held_out": one | {"training_documents": sum(trained_on.values()), "rules": [rule]}}


@pytest.mark.parametrize(
    ("removed", "alarmed"),
    [
        ({"notes": 9}, set()),  # of 1,000: 0.9 %, but a handful
        ({"notes": 10}, {"notes"}),  # 0.1 % of all is not above 0.1 %
        ({"papers": 9}, set()),
        ({"notes": 10, "papers": 9}, {"notes", None}),
    ],
)
def test_the_alarm_goes_off_above_a_tenth_of_a_percent_of_a_corpus(removed: dict[str, int], alarmed: set[Any]) -> None:
    numbers = contamination_numbers(_found(removed, {"notes": 1_000, "papers": 9_000}))["removal"]
    assert {row["source"] for row in numbers["rows"] if row["alarm"]} == alarmed
    assert numbers["alarm"] == bool(alarmed)
    assert {row["source"]: row["removed"] for row in numbers["rows"]} == {None: sum(removed.values()), **removed}
    for row in numbers["rows"]:
        assert row["share"] == row["removed"] / row["training_documents"]


def test_set_phrases_are_shown_without_personal_data() -> None:
    shown = contamination_numbers(_found({}, {"notes": 9}))["indexes"]["held_out"]["rules"][0]["common_phrases"]
    assert shown == [{"phrase": "write to [email] today", "training_documents": 44}]


def test_nothing_found_is_no_special_case() -> None:
    numbers = contamination_numbers(None)
    assert numbers["indexes"] == {}
    assert numbers["removal"]["rows"] == []
    assert numbers["removal"]["alarm"] is False
