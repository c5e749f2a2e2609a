"""Laws of dates: what is no date is never guessed, and what is one stands in the order of time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from curate.dates import moment, moment_of


@given(st.datetimes(datetime(1, 1, 3), datetime(9999, 12, 29)), st.integers(-14 * 60, 14 * 60))
def test_a_moment_is_the_same_in_every_time_zone(when: datetime, minutes: int) -> None:
    when = when.replace(microsecond=0, tzinfo=UTC)
    shifted = (when + timedelta(minutes=minutes)).replace(tzinfo=None)
    sign, (hours, rest) = "-" if minutes < 0 else "+", divmod(abs(minutes), 60)
    told = f"{shifted.isoformat()}{sign}{hours:02d}:{rest:02d}"
    assert moment(told) == moment(when.isoformat())
    assert moment(told) == (when - datetime(1, 1, 1, tzinfo=UTC)).total_seconds()


def test_what_leaves_out_its_day_is_its_first() -> None:
    told = ["1999", 1999, " 1999 ", "1999-01", "1999-01-01", "19990101", "1999-01-01T00:00:00Z", 1999.0]
    assert len({moment(one) for one in told}) == 1
    assert [moment(one) for one in ("1999", "1999-02", "1999-02-01T01:00", "2000")] == sorted(
        moment(one) or 0 for one in ("2000", "1999-02-01T01:00", "1999-02", "1999")
    )


def test_what_is_no_date_is_none() -> None:
    for value in ("", "spring", "03/04/2019", "2019-13", "2019-02-30", None, True, [2019], 3, 1e9, float("nan")):
        assert moment(value) is None


def test_a_date_may_lie_inside_an_object() -> None:
    meta = '{"front": {"date": "2019-03-15"}, "year": 2019, "note": null}'
    assert moment_of(meta, "front.date") == moment("2019-03-15")
    assert moment_of(meta, "year") == moment("2019")
    assert [moment_of(*one) for one in ((meta, "note"), (meta, "front"), (meta, "day"), (None, "year"))] == [None] * 4
