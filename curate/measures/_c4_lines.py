"""C4's questions to every line, and how many sentences a line holds.

    line      "The end.[3] See the 'Cookie Policy' here."
    read as   "The end. See the 'Cookie Policy' here."     citation markers taken out first
    answers   POLICY; 2 sentences; 1 citation marker

A sentence ends at a run of terminal marks and closing brackets or quotes, when white space follows (after '.', also
when what comes next is no lower-case letter: "i. e. this" is one); marks beyond ASCII, such as 。, end it wherever they
stand. This is the core of Unicode's UAX #29, without dictionaries of abbreviations.

Legend: n documents, l lines, w words, m marks, b bytes.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from curate.lanes import step
from curate.text import characters_between
from curate.traits import CLOSER, DECIMAL, LOWER, QUOTE, SPACE, TERMINAL
from curate.utf8 import code_point

LONG_WORD = 1  # holds a word of more than 1,000 characters
UNTERMINATED = 2  # does not end in a terminal mark or a quotation mark, or ends in '...'
FEW_WORDS = 4  # fewer than three words
JAVASCRIPT = 8
POLICY = 16
LOREM_IPSUM = 32
CURLY_BRACKET = 64
DROPPED = LONG_WORD | UNTERMINATED | FEW_WORDS | JAVASCRIPT | POLICY  # C4 drops a line that has any of these

LONGEST_WORD = 1000
FEWEST_WORDS = 3

PHRASES = (
    (JAVASCRIPT, "javascript"),
    (LOREM_IPSUM, "lorem ipsum"),
    (POLICY, "terms of use"),
    (POLICY, "privacy policy"),
    (POLICY, "cookie policy"),
    (POLICY, "uses cookies"),
    (POLICY, "use of cookies"),
    (POLICY, "use cookies"),
)
_LETTERS = np.frombuffer("".join(phrase for _, phrase in PHRASES).encode(), np.uint8)
_ENDS = np.cumsum([len(phrase) for _, phrase in PHRASES])
_KINDS = np.array([kind for kind, _ in PHRASES])
_EDIT = np.frombuffer(b"[edit]", np.uint8)
_CITATION_NEEDED = np.frombuffer(b"[citation needed]", np.uint8)


@njit(cache=True, nogil=True)
def judge_lines(  # type: ignore[no-untyped-def]
    data, offsets, first, start, end, first_word, word_start, word_end, first_mark, mark, traits
):
    """Per line: what C4 holds against it (bits), its sentences, its citation markers. uint8, int32, int32."""
    lines = len(start)
    against, sentences, markers = np.zeros(lines, np.uint8), np.zeros(lines, np.int32), np.zeros(lines, np.int32)
    room, most = 0, 0
    for k in range(lines):
        room, most = max(room, end[k] - start[k]), max(most, first_mark[k + 1] - first_mark[k])
    line, places = np.empty(room, np.uint8), np.empty(most, np.int64)  # a line without its citation markers
    _judge(
        data, offsets, first, start, end, first_word, word_start, word_end, first_mark, mark, traits, line, places,
        against, sentences, markers,
    )  # fmt: skip
    return against, sentences, markers


@step
def _judge(  # type: ignore[no-untyped-def]
    data, offsets, first, start, end, first_word, word_start, word_end, first_mark, mark, traits, line, places,
    against, sentences, markers,
):  # fmt: skip
    for i in range(len(first) - 1):
        suspect = may_hold_phrase(data[offsets[i] : offsets[i + 1]])
        for k in range(first[i], first[i + 1]):
            at, stop, m, m_end = start[k], end[k], first_mark[k], first_mark[k + 1]
            bits = _of_words(data, at, stop, word_start, word_end, first_word[k], first_word[k + 1])
            length, left, markers[k] = without_citations(data, at, stop, mark, m, m_end, traits, line, places)
            if markers[k]:
                bits |= _of_text(line, 0, length, places, 0, left, traits, True)
                sentences[k] = 0 if bits & DROPPED else count_sentences(line, 0, length, places, 0, left, traits)
            else:
                bits |= _of_text(data, at, stop, mark, m, m_end, traits, suspect)
                sentences[k] = 0 if bits & DROPPED else count_sentences(data, at, stop, mark, m, m_end, traits)
            against[k] = bits


@step
def _of_words(data, at, stop, word_start, word_end, w, w_end):  # type: ignore[no-untyped-def]
    bits = FEW_WORDS if w_end - w < FEWEST_WORDS else 0
    if _may_hold_long_word(data, at, stop):
        for k in range(w, w_end):
            if word_end[k] - word_start[k] > LONGEST_WORD:
                bits |= LONG_WORD if characters_between(data, word_start[k], word_end[k]) > LONGEST_WORD else 0
    return bits


@step
def _may_hold_long_word(data, at, stop):  # type: ignore[no-untyped-def]
    """False if a space stands near every 500th byte: a word of more than 1,000 would cover one such place whole."""
    while stop - at > LONGEST_WORD:
        at += LONGEST_WORD // 2
        spaces = 0
        for byte in data[at : at + 64]:
            spaces += byte == 0x20
        if not spaces:
            return True
    return False


@step
def _of_text(data, at, stop, mark, m, m_end, traits, suspect):  # type: ignore[no-untyped-def]
    bits = phrases_in(data, at, stop) if suspect and may_hold_phrase(data[at:stop]) else 0
    for k in range(m, m_end):
        if data[mark[k]] == 0x7B:  # {
            bits |= CURLY_BRACKET
            break
    if not _is_terminated(data, at, stop, traits):
        bits |= UNTERMINATED
    return bits


@step
def _is_terminated(data, at, stop, traits):  # type: ignore[no-untyped-def]
    if at == stop:
        return False
    last = stop - 1
    while data[last] & 0xC0 == 0x80:
        last -= 1
    ellipsis = stop - at >= 3 and data[stop - 1] == 0x2E and data[stop - 2] == 0x2E and data[stop - 3] == 0x2E
    return traits[code_point(data, last)[0]] & (TERMINAL | QUOTE) != 0 and not ellipsis


@step
def count_sentences(data, at, stop, mark, m, m_end, traits):  # type: ignore[no-untyped-def]
    """Sentences of a line with text in it, at least 1. Its marks are mark[m:m_end]."""
    count, resume = 1, at
    for k in range(m, m_end):
        place = mark[k]
        if place < resume or not traits[code_point(data, place)[0]] & TERMINAL:
            continue
        more_than_dots, beyond_ascii = False, False
        while place < stop:
            code, width = code_point(data, place)
            bits = traits[code]
            if bits & TERMINAL:
                more_than_dots |= code != 0x2E
                beyond_ascii |= code >= 0x80
            elif not bits & CLOSER:
                break
            place += width
        resume = place
        spaced = False
        while place < stop:
            code, width = code_point(data, place)
            if not traits[code] & SPACE:
                lower = traits[code] & LOWER != 0
                count += (more_than_dots or not lower) if spaced else beyond_ascii
                break
            spaced = True
            place += width
    return count


@step
def without_citations(data, at, stop, mark, m, m_end, traits, line, places):  # type: ignore[no-untyped-def]
    """Writes the line without [12], [], [edit] and [citation needed]: (its bytes, its marks, markers taken out).

    Nothing is written where there are none.
    """
    taken, length, left, copied = 0, 0, 0, at
    for k in range(m, m_end):
        if data[mark[k]] == 0x5B:  # [
            behind = _behind_citation(data, mark[k], stop, traits)
            if behind:
                if not taken:
                    for j in range(m, k):
                        places[left] = mark[j] - at
                        left += 1
                length = _append(line, length, data, copied, mark[k])
                copied = behind
                taken += 1
                continue
        if taken and mark[k] >= copied:
            places[left] = length + mark[k] - copied
            left += 1
    if taken:
        length = _append(line, length, data, copied, stop)
    return length, left, taken


@step
def _append(line, length, data, at, stop):  # type: ignore[no-untyped-def]
    for k in range(at, stop):
        line[length + k - at] = data[k]
    return length + stop - at


@step
def _behind_citation(data, at, stop, traits):  # type: ignore[no-untyped-def]
    """Where the citation marker that begins here ends; 0 where none does."""
    place = at + 1
    while place < stop and data[place] != 0x5D:  # ]
        code, width = code_point(data, place)
        if not traits[code] & DECIMAL:
            break
        place += width
    if place < stop and data[place] == 0x5D:
        return place + 1
    for literal in (_EDIT, _CITATION_NEEDED):
        if stop - at >= len(literal):
            same = True
            for k in range(len(literal)):
                same &= data[at + k] == literal[k]
            if same:
                return at + len(literal)
    return 0


@step
def may_hold_phrase(text):  # type: ignore[no-untyped-def]
    """False only if no phrase is in it: looks for j_va, ipsu, okie, v_cy and "ms of u", in vector instructions."""
    nearest = 0xFF  # 0: found
    for k in range(len(text) - 6):
        a, b, c, d = text[k] | 0x20, text[k + 1] | 0x20, text[k + 2] | 0x20, text[k + 3] | 0x20
        java = (a ^ 0x6A) | (c ^ 0x76) | (d ^ 0x61)
        ipsum = (a ^ 0x69) | (b ^ 0x70) | (c ^ 0x73) | (d ^ 0x75)
        cookie = (a ^ 0x6F) | (b ^ 0x6B) | (c ^ 0x69) | (d ^ 0x65)
        privacy = (a ^ 0x76) | (c ^ 0x63) | (d ^ 0x79)
        terms = (b ^ 0x73) | (d ^ 0x6F) | ((text[k + 4] | 0x20) ^ 0x66) | ((text[k + 6] | 0x20) ^ 0x75)
        nearest = min(nearest, min(min(min(java, ipsum), min(cookie, privacy)), terms))
    for k in range(max(len(text) - 6, 0), len(text) - 4):  # a phrase may end in ...okies or ...ipsum
        second, fourth = text[k + 1] | 0x20, text[k + 3] | 0x20
        nearest = 0 if (second == 0x6B and fourth == 0x65) or (second == 0x70 and fourth == 0x75) else nearest
    return nearest == 0


@step
def phrases_in(data, at, stop):  # type: ignore[no-untyped-def]
    """Bits of the phrases that occur, in any case of ASCII."""
    bits = 0
    for place in range(at, stop):
        begin = 0
        for phrase in range(len(_ENDS)):
            until = _ENDS[phrase]
            k = begin
            while k < until and place + k - begin < stop:
                byte = data[place + k - begin]
                if byte != _LETTERS[k] and not (0x41 <= byte <= 0x5A and byte | 0x20 == _LETTERS[k]):
                    break
                k += 1
            if k == until:
                bits |= _KINDS[phrase]
            begin = until
    return bits
