"""What the lines of domain text are: items of lists, rows of tables, halves of sentences, headers of pages.

    "Page 3 of 12\\n2.1. Fever is com-\\nmon and often harm-\\nless, but"     repeated? list; hyphenated, hyphenated

Legend: n documents, l lines, b bytes.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from curate.lanes import is_among, step
from curate.measures._tables import slots_for
from curate.text import mix
from curate.traits import BULLET, CLOSER, LETTER, LOWER, QUOTE, SPACE, TERMINAL
from curate.utf8 import code_point

LONGEST_HEADER = 80  # bytes: a longer line is not asked whether it is a page's header
HEADERS = 3  # times that a header has to stand in a document

_HAN_NUMBERS = np.array([0x3007, *(ord(c) for c in "一二三四五六七八九十")], np.uint32)


@njit(cache=True, nogil=True)
def judge_lines(data, first, start, end, breaks, letters, pipes, gaps, traits):  # type: ignore[no-untyped-def]
    """Per document: lines that are items of lists, rows of tables, end in a hyphenated word, break off in a sentence,
    are page headers. (n, 5) int64."""
    n = len(first) - 1
    counted = np.zeros((n, 5), np.int64)
    most = 0
    for i in range(n):
        most = max(most, first[i + 1] - first[i])
    slots, hashes = np.empty(slots_for(most), np.int32), np.empty(most, np.uint64)
    _judge(
        data, first, start, end, breaks, letters, pipes, gaps, traits, counted, slots, hashes, np.empty(most, np.int32)
    )
    return counted


@step
def _judge(  # type: ignore[no-untyped-def]
    data, first, start, end, breaks, letters, pipes, gaps, traits, counted, slots, hashes, times
):
    for i in range(len(counted)):
        for k in range(first[i], first[i + 1]):
            counted[i, 0] += is_item(data, start[k], end[k], traits)
            counted[i, 1] += pipes[k] >= 2 or gaps[k]
            if k + 1 < first[i + 1] and breaks[k + 1] == 1:
                code, _ = code_point(data, start[k + 1])
                if traits[code] & LOWER:
                    ending = _ending(data, start[k], end[k], traits)
                    counted[i, 2] += ending == 1
                    counted[i, 3] += ending == 2
        a, b = first[i], first[i + 1]
        counted[i, 4] = headers(data, start[a:b], end[a:b], letters[a:b], slots, hashes, times)


@step
def _ending(data, start, end, traits):  # type: ignore[no-untyped-def]
    """1: a letter and a hyphen; 0: a mark that may end a line of prose; 2: anything else."""
    last = end - 1
    while data[last] & 0xC0 == 0x80:
        last -= 1
    code, _ = code_point(data, last)
    if code == 0x2D or code == 0x2010 or code == 0xAD:
        if last == start:
            return 0
        before = last - 1
        while data[before] & 0xC0 == 0x80:
            before -= 1
        return 1 if traits[code_point(data, before)[0]] & LETTER else 0
    if traits[code] & (TERMINAL | QUOTE) or code == 0x3A or code == 0x3B or code == 0x2026:
        return 0
    return 0 if traits[code] & CLOSER and code != 0x29 and code != 0x5D else 2


@step
def is_item(data, at, end, traits):  # type: ignore[no-untyped-def]
    """Whether a line begins like an item of a list: "- x", "• x", "1. x", "2.1) x", "(iv) x", "b) x", "三、x"."""
    code, width = code_point(data, at)
    behind = at + width
    if traits[code] & BULLET:
        return True
    if code == 0x2A or code == 0x2B or code == 0x2D or code == 0x2013:  # * + - and the en dash, with a space
        return behind < end and traits[code_point(data, behind)[0]] & SPACE != 0
    bracketed = code == 0x28 or code == 0x5B or code == 0xFF08
    if bracketed:
        at = behind
    digits, roman, singles, han = 0, 0, 0, 0
    begin = at
    while at < end and at - begin <= 12:
        code, width = code_point(data, at)
        behind = at + width
        if 0x30 <= code <= 0x39:
            digits += 1
        elif 0x41 <= code <= 0x7A and (code | 0x20 >= 0x61) and (code | 0x20 <= 0x7A):
            lower = code | 0x20
            singles += 1
            roman += lower == 0x69 or lower == 0x76 or lower == 0x78 or lower == 0x6C
        elif is_among(code, _HAN_NUMBERS):
            han += 1
        else:
            inner = code == 0x2E and digits and behind < end and 0x30 <= data[behind] <= 0x39
            if not inner:
                return _closes(data, code, behind, end, bracketed, digits, roman, singles, han, traits)
        at = behind
    return False


@step
def _closes(data, code, behind, end, bracketed, digits, roman, singles, han, traits):  # type: ignore[no-untyped-def]
    """Whether the mark behind a line's first token makes it the number of an item."""
    one_kind = (digits > 0) + (singles > 0) + (han > 0) == 1
    token = (digits and digits <= 6) or singles == 1 or (singles and roman == singles) or han
    if not one_kind or not token:
        return False
    if code == 0x3001 or code == 0xFF09 or code == 0xFF0E:  # 、 ） ．
        return True
    closed = code == 0x29 or code == 0x5D or (code == 0x2E and not bracketed)
    return closed and (behind == end or traits[code_point(data, behind)[0]] & SPACE != 0)


@step
def headers(data, start, end, letters, slots, hashes, times):  # type: ignore[no-untyped-def]
    """Short lines with at least three letters that, digits aside, stand in the document three times or more."""
    n_slots = slots_for(len(start))
    if len(start) < HEADERS:
        return 0
    slots[:n_slots] = -1
    distinct = 0
    for k in range(len(start)):
        if end[k] - start[k] > LONGEST_HEADER or letters[k] < 3:
            continue
        digest = np.uint64(0xCBF29CE484222325)
        for place in range(start[k], end[k]):
            byte = data[place]
            if byte < 0x30 or byte > 0x39:
                digest = (digest ^ np.uint64(byte)) * np.uint64(0x100000001B3)
        digest = mix(digest)
        slot = digest & np.uint64(n_slots - 1)
        while slots[slot] >= 0 and hashes[slots[slot]] != digest:
            slot = (slot + np.uint64(1)) & np.uint64(n_slots - 1)
        if slots[slot] < 0:
            slots[slot], hashes[distinct], times[distinct] = distinct, digest, 0
            distinct += 1
        times[slots[slot]] += 1
    found = 0
    for k in range(distinct):
        found += times[k] if times[k] >= HEADERS else 0
    return found
