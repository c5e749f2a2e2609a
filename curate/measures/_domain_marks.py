"""What the marks of domain text say: citations, signs of formulas, columns, signs that a scanner put into words.

    "As shown [3, 12–14] (Smith et al., 2010), § 12a holds if x ≤ 5 and α = 1."
    citations  "[3, 12–14]", "(Smith et al., 2010)", "§ 12a"      formula  ≤ α =

Legend: n documents, l lines, m marks, b bytes.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from curate.lanes import step
from curate.text import characters_between
from curate.traits import DECIMAL, FORMULA, GREEK
from curate.utf8 import code_point

LONGEST_NUMBERS, LONGEST_AUTHORS = 60, 200  # bytes that a citation may take: no text makes this quadratic


@njit(cache=True, nogil=True)
def judge_marks(data, first, start, end, first_mark, mark, traits):  # type: ignore[no-untyped-def]
    """Per document: characters in citations, signs of formulas, replacement characters, words cut by a sign, (n, 4)
    int64. Per line: pipes, of which a tab counts two; up to 255."""
    n = len(first) - 1
    counted, pipes = np.zeros((n, 4), np.int64), np.zeros(len(start), np.uint8)
    _judge(data, first, start, end, first_mark, mark, traits, counted, pipes)
    return counted, pipes


@step
def _judge(data, first, start, end, first_mark, mark, traits, counted, pipes):  # type: ignore[no-untyped-def]
    for i in range(len(counted)):
        cited, formula, replaced, cut = 0, 0, 0, 0
        for k in range(first[i], first[i + 1]):
            behind, columns, cut_by_pipe = start[k], 0, 0  # behind: where the last citation ended
            for m in range(first_mark[k], first_mark[k + 1]):
                at = mark[m]
                byte = data[at]
                if byte == 0x2E or byte == 0x21 or byte == 0x3F:
                    continue
                if byte == 0x28 or byte == 0x5B or byte == 0xC2:
                    until = citation_end(data, at, end[k], traits) if at >= behind else 0
                    if until:
                        cited += characters_between(data, at, until)
                        behind = until
                if byte == 0x7C or byte == 0x09:  # | and tab
                    columns += 1 if byte == 0x7C else 2
                    cut_by_pipe += byte == 0x7C and _is_in_word(data, at, start[k], end[k], 1)
                elif byte < 0x80:
                    formula += byte != 0x28 and byte != 0x5B and byte != 0x7B
                    cut += byte == 0x5E and _is_in_word(data, at, start[k], end[k], 1)
                else:
                    code, width = code_point(data, at)
                    sign = traits[code] & FORMULA and code != 0xAC
                    formula += sign or (traits[code] & GREEK and _is_lone_greek(data, at, width, start[k], end[k]))
                    replaced += code == 0xFFFD
                    broken = code == 0xAC or code == 0xA6 or code == 0xFFFD
                    cut += broken and _is_in_word(data, at, start[k], end[k], width)
            pipes[k] = min(columns, 255)
            cut += cut_by_pipe if columns == 1 else 0  # two pipes are a table
        counted[i, 0], counted[i, 1], counted[i, 2], counted[i, 3] = cited, formula, replaced, cut


@step
def citation_end(data, at, stop, traits):  # type: ignore[no-untyped-def]
    """Where the citation that begins with this mark ends; 0 where none does."""
    if data[at] == 0x5B:
        return _numbers_end(data, at + 1, min(stop, at + LONGEST_NUMBERS), traits)
    if data[at] == 0x28:
        return _authors_end(data, at + 1, min(stop, at + LONGEST_AUTHORS))
    return _section_end(data, at, min(stop, at + LONGEST_NUMBERS), traits)


@step
def _numbers_end(data, at, stop, traits):  # type: ignore[no-untyped-def]
    """Behind "12, 14–16]": numbers, a digit first, with commas, semicolons, dashes and spaces between."""
    digits = 0
    while at < stop:
        code, width = code_point(data, at)
        if code == 0x5D:
            return at + 1 if digits else 0
        between = code == 0x20 or code == 0x2C or code == 0x2D or code == 0x3B or 0x2010 <= code <= 0x2014
        digits += traits[code] & DECIMAL != 0
        if not (traits[code] & DECIMAL or (between and digits)):
            return 0
        at += width
    return 0


@step
def _authors_end(data, at, stop):  # type: ignore[no-untyped-def]
    """Behind "Smith et al., 2010a)" or "1973)": round brackets that hold no others and end in a year of 1500 to 2099,
    which opens them or follows a comma, semicolon, full stop or space; one letter may follow it."""
    end = at
    while end < stop and data[end] != 0x29 and data[end] != 0x28 and data[end] != 0x5B:
        end += 1
    if end >= stop or data[end] != 0x29:
        return 0
    year = end - 4 - (0x61 <= data[end - 1] <= 0x7A)
    if year < at:
        return 0
    for k in range(year, year + 4):
        if data[k] < 0x30 or data[k] > 0x39:
            return 0
    century = (np.int64(data[year]) - 0x30) * 10 + data[year + 1] - 0x30
    led = year == at or data[year - 1] in (0x20, 0x2C, 0x2E, 0x3B)
    return end + 1 if led and 15 <= century <= 20 else 0


@step
def _section_end(data, at, stop, traits):  # type: ignore[no-untyped-def]
    """Behind "§ 12a", "§§ 433": section signs, spaces, digits with full stops or hyphens inside, a letter."""
    signs, digits = 0, 0
    while at < stop:
        code, width = code_point(data, at)
        if code == 0xA7 and not digits:
            signs += 1
        elif signs and traits[code] & DECIMAL:
            digits += 1
        elif not (signs and not digits and (code == 0x20 or code == 0xA0 or code == 0x202F)):
            inside = (code == 0x2D or code == 0x2E) and at + 1 < stop and 0x30 <= data[at + 1] <= 0x39
            if digits and 0x61 <= code <= 0x7A:
                return at + 1
            if not (digits and inside):
                break
        at += width
    return at if digits else 0


@step
def _is_in_word(data, at, start, end, width):  # type: ignore[no-untyped-def]
    """Whether lower-case ASCII letters stand on both sides, two of them on one: wi|l, th^ese."""
    if at == start or at + width >= end:
        return False
    left, right = data[at - 1], data[at + width]
    more = (at - 2 >= start and 0x61 <= data[at - 2] <= 0x7A) or (
        at + width + 1 < end and 0x61 <= data[at + width + 1] <= 0x7A
    )
    return 0x61 <= left <= 0x7A and 0x61 <= right <= 0x7A and more


@step
def _is_lone_greek(data, at, width, start, end):  # type: ignore[no-untyped-def]
    """Whether the letters beside it are not Greek: α in "TNF-α" is a sign, in "αυτό" it is language."""
    left = at - 2 >= start and (data[at - 2] == 0xCE or data[at - 2] == 0xCF)
    right = at + width < end and (data[at + width] == 0xCE or data[at + width] == 0xCF)
    extended = (at - 3 >= start and data[at - 3] == 0xE1) or (at + width < end and data[at + width] == 0xE1)
    return not left and not right and not extended
