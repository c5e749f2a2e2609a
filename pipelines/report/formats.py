"""Numbers as a reader wants them: thousands separated, units said, a real minus. Absent values are an en dash.

Every function takes a number or None, and gives text without markup, so that templates may use them as filters.
"""

from __future__ import annotations

import math

ABSENT = "–"
NO_BREAK = "\u00a0"


def is_absent(value: float | None) -> bool:
    return value is None or (isinstance(value, float) and not math.isfinite(value))


def count(value: float | None) -> str:
    """
    >>> count(1234567), count(-3), count(None)
    ('1,234,567', '−3', '–')
    """
    return ABSENT if value is None or is_absent(value) else f"{round(value):,}".replace("-", "−")


def size(n_bytes: float | None) -> str:
    """Bytes in powers of ten.

    >>> size(999), size(12_340), size(5_000_000_000)
    ('999 B', '12.3 kB', '5.00 GB')
    """
    if n_bytes is None or is_absent(n_bytes):
        return ABSENT
    amount = float(n_bytes)
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if abs(amount) < 999.5 or unit == "TB":
            return (
                f"{amount:.0f} B"
                if unit == "B"
                else f"{amount:.3g} {unit}"
                if amount >= 100
                else f"{amount:#.3g} {unit}"
            )
        amount /= 1000
    raise AssertionError("the last unit takes everything")


def share(part: float | None, of: float = 1.0) -> str:
    """A part of a whole, in percent.

    >>> [text.replace(NO_BREAK, " ") for text in (share(1, 8), share(0.5), share(1, 30000), share(1, 0))]
    ['12.5 %', '50.0 %', '< 0.1 %', '–']
    """
    if part is None or is_absent(part) or not of:
        return ABSENT
    percent = 100 * part / of
    return f"<{NO_BREAK}0.1{NO_BREAK}%" if 0 < percent < 0.05 else f"{percent:.1f}{NO_BREAK}%"


def number(value: float | None, digits: int = 3) -> str:
    """A measure, to so many significant digits, never in powers of ten where it can be read without.

    >>> number(0.3), number(100000.0), number(12.3456), number(-0.00002), number(1.5e36)
    ('0.3', '100,000', '12.3', '−2e-05', '1.5e+36')
    """
    if value is None or is_absent(value):
        return ABSENT
    if abs(value) < 1e15 and (value == int(value) or abs(value) >= 10**digits):
        return f"{value:,.0f}".replace("-", "−", 1)
    text = f"{value:.{digits}g}"
    return "−" + text[1:] if text.startswith("-") else text


def fixed(value: float | None, places: int = 4) -> str:
    """
    >>> fixed(1.5), fixed(-0.25, 2)
    ('1.5000', '−0.25')
    """
    return ABSENT if value is None or is_absent(value) else f"{value:,.{places}f}".replace("-", "−")


def signed(value: float | None, places: int = 4) -> str:
    """
    >>> signed(0.02), signed(-0.02, 2), signed(0.0, 1)
    ('+0.0200', '−0.02', '0.0')
    """
    if value is None or is_absent(value):
        return ABSENT
    text = f"{value:+.{places}f}"
    return text[1:] if float(text) == 0 else text.replace("-", "−")


def plural(value: int | None, one: str, many: str = "") -> str:
    """
    >>> plural(1, "document"), plural(2000, "document"), plural(0, "copy", "copies")
    ('1 document', '2,000 documents', '0 copies')
    """
    return f"{count(value)} {one if value == 1 else many or one + 's'}"
