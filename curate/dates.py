"""Dates as records write them, as one number that orders them: seconds from the first day of year 1, in UTC.

    2019          1 January 2019, midnight      a year, or a date without its day, stands for its first moment
    2019-03       1 March 2019, midnight
    2019-03-15T10:00:00+02:00      08:00 of that day

ISO 8601 and years are understood, nothing else: 03/04/2019 is March in one country and April in another, and a date
that is guessed would put text on a side of a split where it does not belong.
"""

from __future__ import annotations

import json
import re
from datetime import UTC, date, datetime

from curate.readers._fields import ABSENT, field_of

DAY = 86_400  # seconds
_YEAR, _MONTH = re.compile(r"[0-9]{4}"), re.compile(r"([0-9]{4})-([0-9]{2})")


def moment(value: object) -> int | None:
    """Seconds since the beginning of year 1; None where a value is no date.

    >>> [moment(one) == moment("2019-01-01") for one in (2019, "2019", "2019-01", "2019-01-01T00:00:00Z")]
    [True, True, True, True]
    >>> [moment(one) for one in ("03/04/2019", "", None, True, 20190315.5)]
    [None, None, None, None, None]
    """
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int | str):
        return None
    text = str(value).strip()
    try:
        when = _begins(text)
    except (ValueError, OverflowError):
        return None
    if when.tzinfo is None:
        when = when.replace(tzinfo=UTC)
    since = when - datetime(1, 1, 1, tzinfo=UTC)
    return max(0, since.days * DAY + since.seconds)


def _begins(text: str) -> datetime:
    if _YEAR.fullmatch(text):
        return datetime(int(text), 1, 1)
    if month := _MONTH.fullmatch(text):
        return datetime(int(month[1]), int(month[2]), 1)
    if len(text) == len("2019-01-01"):
        return datetime.fromordinal(date.fromisoformat(text).toordinal())
    return datetime.fromisoformat(text)


def moment_of(meta: str | None, field: str) -> int | None:
    """The date in a field of a record's `meta` (JSON); dots go into nested objects."""
    if not meta:
        return None
    value = field_of(json.loads(meta), field)
    return None if value is ABSENT else moment(value)
