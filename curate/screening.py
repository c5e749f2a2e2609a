"""Which texts of a batch could need a cleaner: one pass over the UTF-8, for all cleaners at once.

A cleaner says what it may change by a regular expression, `suspect`. Searching a corpus for it costs more than
everything else about cleaning, so the expression is first weakened to a condition that a table can answer. Each of
its alternatives becomes a character, or a pair of neighbouring ones, that every match of it holds:

    [\\r\\v\\f]                     one of these, which is all there is to it: no search is needed
    [a-zA-Z] [α-ω] [¦¤¨]         a pair: one of the second set and one of the third behind it
    [a-z]\\s?[ÃÂ][ ]              a pair: Ã or Â, and what may follow it

Characters that belong to the same sets form a class (65 or so), pairs of classes a small matrix; a text is suspect
where it holds a pair that the matrix knows. Nothing is looked for in eight bytes that are plain ASCII, so that English
passes at more than a GB/s. An expression this cannot be done for (a lookaround, an alternative of letters alone) is
searched in every text.

Legend: n texts, k cleaners, c classes, b bytes.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt
from numba import njit

from curate.text import HIGH_BITS, LOW_BITS, TextBatch, code_point

CODE_POINTS = 0x110000
CONTROLS = frozenset({*range(0x20), 0x7F}) - {0x09, 0x0A}
ATOM = re.compile(r"\\x\{([0-9a-fA-F]+)\}|\\x([0-9a-fA-F]{2})|\\([pP]?[a-zA-Z])|\\(.)|(.)", re.DOTALL)
ESCAPES = {"t": "\t", "n": "\n", "r": "\r", "v": "\v", "f": "\f"}


class _Beyond(Exception):
    """The expression holds something that this parser does not know: a question for the search itself."""


@dataclass(frozen=True)
class Characters:
    """A set of characters: those listed, or all but those. `listed` None: nobody knows, it may be any."""

    listed: frozenset[int] | None
    are_excluded: bool = False

    @property
    def is_seen(self) -> bool:
        """Whether the kernel stops at every one of them: what is not ASCII, and control characters."""
        return (
            self.listed is not None and not self.are_excluded and all(c >= 0x80 or c in CONTROLS for c in self.listed)
        )


@dataclass(frozen=True)
class Screen:
    """Tables of the expressions of k cleaners (k <= 32), bit i for the i-th."""

    class_of: npt.NDArray[np.uint8]  # (0x110000,)
    meets: npt.NDArray[
        np.uint32
    ]  # (c, c) cleaners for which the second character, or the two as neighbours, are enough
    always: int  # cleaners whose expression is beyond this: every text is suspect
    exact: int  # cleaners for which the screen finds just what the expression finds

    def suspects(self, batch: TextBatch) -> npt.NDArray[np.uint32]:
        """Of each text, the cleaners that could find something in it: (n,)."""
        found: npt.NDArray[np.uint32] = screen(batch.data, batch.offsets, self.class_of, self.meets)
        return found | np.uint32(self.always)


@cache
def screen_of(expressions: tuple[str | None, ...]) -> Screen:
    """The screen of these expressions; None: a cleaner that wants to see everything."""
    needs = [None if expression is None else needed(expression) for expression in expressions]
    sets = list(dict.fromkeys(one for need in needs if need for pair in need for one in pair))
    class_of, members = _classes(sets)
    meets = np.zeros((members.shape[1],) * 2, np.uint32)
    always = exact = 0
    for bit, need in enumerate(needs):
        if need is None:
            always |= 1 << bit
            continue
        for either in need:
            *before, last = (members[sets.index(one)] for one in either)
            meets[np.ix_(before[0] if before else np.ones_like(last), last)] |= np.uint32(1 << bit)
        if all(len(either) == 1 for either in need) and _is_one_set(expressions[bit] or ""):
            exact |= 1 << bit
    return Screen(class_of, meets, always, exact)


def _classes(sets: Sequence[Characters]) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.bool_]]:
    """(class of every code point, (sets, c) which sets a class lies in). Class 0 is what no set lists."""
    signature: dict[int, int] = {}
    outside = 0  # sets that hold what is listed nowhere
    for number, one in enumerate(sets):
        outside |= int(one.listed is None or one.are_excluded) << number
    for number, one in enumerate(sets):
        for code in one.listed or ():
            signature[code] = signature.get(code, outside) ^ (1 << number)
    kinds = {outside: 0}
    class_of = np.zeros(CODE_POINTS, np.uint8)
    for code in sorted(signature):
        class_of[code] = kinds.setdefault(signature[code], len(kinds))
    members = np.array([[kind >> number & 1 for kind in kinds] for number in range(len(sets))], np.bool_)
    return class_of, members.reshape(len(sets), len(kinds))


# expressions to conditions -------------------------------------------------------------------------------------------


def needed(expression: str) -> list[tuple[Characters, ...]] | None:
    """For each alternative the character, or the two neighbours, that all its matches hold; None where that fails."""
    try:
        found = [_rarest(alternative) for alternative in _alternatives(expression)]
    except _Beyond:
        return None
    known = [either for either in found if either is not None]
    return known if len(known) == len(found) else None


def _rarest(runs: list[list[Characters]]) -> tuple[Characters, ...] | None:
    """Of the neighbours in an alternative those that are met least; one character where it has only one."""
    pairs = [pair for run in runs for pair in itertools.pairwise(run) if pair[0].is_seen or pair[1].is_seen]
    if pairs:
        return min(pairs, key=lambda pair: _size(pair[0]) * _size(pair[1]))
    return next(((one,) for run in runs for one in run if one.is_seen), None)


def _size(of: Characters) -> float:
    """How often a set is met, roughly: by its size, and as if nothing were as frequent as ASCII."""
    if of.listed is None or of.are_excluded:
        return 1e6
    return sum(1000.0 if code < 0x80 else 1.0 for code in of.listed)


def _alternatives(expression: str) -> list[list[list[Characters]]]:
    """Each alternative as runs of neighbouring characters. Raises _Beyond."""
    expression = expression.removeprefix("(?m)")
    found: list[list[list[Characters]]] = [[[]]]
    at = 0
    while at < len(expression):
        runs, mark = found[-1], expression[at]
        if mark == "|":
            found.append([[]])
        elif mark == "?" and runs[-1]:  # the character before may be absent: no neighbour of anything
            runs[-1:] = [runs[-1][:-1], []]
        elif mark == "^":
            runs.append([])
        elif mark == "[":
            end = _class_end(expression, at)
            runs[-1].append(_class(expression[at + 1 : end]))
            at = end
        elif mark in "()*+?{}$":
            raise _Beyond
        else:
            atom = ATOM.match(expression, at)
            assert atom, "every character is an atom"
            code = None if atom[0] == "." else _code(atom)
            runs[-1].append(Characters(None if code is None else frozenset({code})))
            at = atom.end() - 1
        at += 1
    return found


def _class_end(expression: str, at: int) -> int:
    """Index of the bracket that closes the class opened at `at`."""
    at += 1
    while expression[at] != "]":
        at += 2 if expression[at] == "\\" else 1
    return at


def _class(inside: str) -> Characters:
    if "[:" in inside:
        raise _Beyond
    is_negated = inside.startswith("^")
    atoms = list(ATOM.finditer(inside, 1 if is_negated else 0))
    codes = [_code(atom) for atom in atoms]
    listed: set[int] = set()
    i = 0
    while i < len(codes):
        low = codes[i]
        if low is None:  # \s, \pL ...
            return Characters(None)
        is_range = i + 2 < len(codes) and atoms[i + 1][0] == "-"
        high = codes[i + 2] if is_range else low
        if high is None:
            return Characters(None)
        listed.update(range(low, high + 1))
        i += 3 if is_range else 1
    return Characters(frozenset(listed), is_negated)


def _code(atom: re.Match[str]) -> int | None:
    """The code point of an atom; None: a class such as \\w, or one of Unicode's."""
    wide, two, name, literal, plain = atom.groups()
    if wide or two:
        return int(wide or two, 16)
    if name in ESCAPES:
        return ord(ESCAPES[name])
    if name and name[0] not in "dDsSwWpP":  # \b, \A ...: no character
        raise _Beyond
    if name:
        return None
    return ord(literal or plain)


def _is_one_set(expression: str) -> bool:
    """Whether all its alternatives are single characters of known sets."""
    parts = [[one for run in part for one in run] for part in _alternatives(expression)]
    return all(len(part) == 1 and part[0].is_seen for part in parts) and "?" not in expression and "^" not in expression


# the pass ------------------------------------------------------------------------------------------------------------

BELOW_SPACE = np.uint64(0x60 * LOW_BITS)  # added to seven bits: the top bit tells 0x20 and above
DELETE = np.uint64(0x01 * LOW_BITS)  # added to seven bits: the top bit tells 0x7F


@njit(cache=True, nogil=True)
def screen(data, offsets, class_of, meets):  # type: ignore[no-untyped-def]
    """The cleaners, as bits, that could find something in each text: (n,) uint32."""
    found = np.zeros(len(offsets) - 1, np.uint32)
    for i in range(len(found)):
        start, end = offsets[i], offsets[i + 1]
        at, bits = start, np.uint32(0)
        while at < end:
            if data[at] >= 0x80:
                own = class_of[data[at - 1]] if at > start else np.uint8(0)
                while at < end and data[at] >= 0x80:
                    code, width = code_point(data, at)
                    before, own = own, class_of[code]
                    bits |= meets[before, own]
                    at += width
                if at < end:
                    bits |= meets[own, class_of[data[at]]]
            elif at + 8 <= end and _is_plain(data, at):
                at += 8
            else:
                if data[at] < 0x20 or data[at] == 0x7F:
                    bits |= _met_by_control(data, at, start, end, class_of, meets)
                at += 1
        found[i] = bits
    return found


@njit(cache=True, nogil=True)
def _met_by_control(data, at, start, end, class_of, meets):  # type: ignore[no-untyped-def]
    """What a control character is enough for, with its neighbours; those beyond ASCII see to it themselves."""
    own = class_of[data[at]]
    before = class_of[data[at - 1]] if at > start and data[at - 1] < 0x80 else np.uint8(0)
    bits = meets[before, own]
    if at + 1 < end and data[at + 1] < 0x80:
        bits |= meets[own, class_of[data[at + 1]]]
    return bits


@njit(cache=True, nogil=True, inline="always")
def _is_plain(data, at):  # type: ignore[no-untyped-def]
    """Whether eight bytes are ASCII with no control among them, tabs and line breaks aside."""
    i = np.uint64(at)  # unsigned, or each index would first be tested for counting from the end
    eight = np.uint64(0)
    for k in range(8):
        eight |= np.uint64(data[i + np.uint64(k)]) << np.uint64(8 * k)
    # no sum carries into the next byte: each is below 0x80, or the eight are not plain anyway
    seen = (~(eight + BELOW_SPACE) | (eight + DELETE) | eight) & HIGH_BITS
    return seen == 0 or (eight & HIGH_BITS == 0 and _only_breaks(eight, seen))


@njit(cache=True, nogil=True)
def _only_breaks(eight, seen):  # type: ignore[no-untyped-def]
    """Whether the bytes that were seen (top bits) are all tabs and line breaks."""
    while seen:
        if seen & np.uint64(0x80):
            byte = eight & np.uint64(0xFF)
            if byte != 0x0A and byte != 0x09:
                return False
        eight >>= np.uint64(8)
        seen >>= np.uint64(8)
    return True
