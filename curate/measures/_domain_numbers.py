"""The words that hold a digit, and what stands around them: quantities, formulas of chemistry, reporters of courts.

    "5 mg/kg of H2O, cf. 410 U.S. 113"
    quantities 5 mg kg H2O 410 113    chemistry H2O    reporter "410 U.S. 113"

Digits are found as marks are (`curate/lines.py`): a block of bytes is flagged at once, and only where a run of digits
begins is the word looked up. Lines without digits cost nothing.

Legend: n documents, l lines, w words, b bytes.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import numpy.typing as npt
from numba import njit

from curate.lanes import LOW_BITS, inlined, lowest, step
from curate.lines import BLOCK, first_from
from curate.text import ABOVE_Z, CASE_BITS, FROM_A, HIGH_BITS, SEVEN_BITS, eight_bytes
from curate.traits import DIGIT
from curate.utf8 import code_point

UNITS = (
    "g kg mg µg μg ug mcg ng pg l dl cl ml µl μl ul fl m km dm cm mm µm μm um nm ha mol mmol µmol μmol umol nmol "
    "pmol iu u meq mosm s sec min h hr hrs hz khz mhz ghz pa kpa mpa hpa bar mbar mmhg torr j kj mj cal kcal ev "
    "kev mev gev w kw mw gw v kv mv a ma k da kda bp kbp kb mb gb tb gy cgy sv msv bq kbq mbq ppm ppb rpm bpm db "
    "lb lbs oz ft in mi mph kmh day days week weeks month months year years hour hours minute minutes second "
    "seconds eur usd chf gbp г кг мг мл мкг л м см мм км"
).split()  # both micro signs; at most seven bytes each
ELEMENTS = (
    "H He Li Be B C N O F Ne Na Mg Al Si P S Cl Ar K Ca Sc Ti V Cr Mn Fe Co Ni Cu Zn Ga Ge As Se Br Kr Rb Sr Y Zr Nb "
    "Mo Tc Ru Rh Pd Ag Cd In Sn Sb Te I Xe Cs Ba La Ce Pr Nd Pm Sm Eu Gd Tb Dy Ho Er Tm Yb Lu Hf Ta W Re Os Ir Pt Au "
    "Hg Tl Pb Bi Po At Rn Fr Ra Ac Th Pa U Np Pu Am Cm Bk Cf Es Fm Md No Lr"
).split()
_SPREAD = 0xD8509073B43E1F1  # multiplicative hashing that gives each unit a slot of its own: the top ten bits


@cache
def unit_table() -> npt.NDArray[np.uint64]:
    """(1024,) the units as `_letters_from` reads them, each in its slot; ones all over where a slot is empty."""
    table = np.full(1024, 2**64 - 1, np.uint64)
    for unit in UNITS:
        key = int.from_bytes(unit.encode(), "little")
        slot = (key * _SPREAD % 2**64) >> 54
        assert table[slot] == 2**64 - 1, f"choose another _SPREAD: {unit} shares a slot"
        table[slot] = key
    return table


@cache
def element_table() -> npt.NDArray[np.bool_]:
    """(26, 27) whether an upper-case letter, alone (0) or with a lower-case one (1 to 26), is a chemical element."""
    table = np.zeros((26, 27), np.bool_)
    for symbol in ELEMENTS:
        table[ord(symbol[0]) - 0x41, ord(symbol[1]) - 0x60 if len(symbol) > 1 else 0] = True
    return table


@njit(cache=True, nogil=True)
def judge_numbers(  # type: ignore[no-untyped-def]
    data, first, start, end, digits, first_word, word_start, word_end, units, elements, traits
):
    """Per document: quantities, words misread (a digit for a letter), characters in formulas of chemistry and in
    reporters' citations. (n, 4) int64."""
    counted, flags = np.zeros((len(first) - 1, 4), np.int64), np.zeros(BLOCK, np.uint8)
    most = 0
    for k in range(len(digits)):
        most = max(most, digits[k])
    _judge(
        data, first, start, end, digits, first_word, word_start, word_end, units, elements, traits, counted, flags,
        flags.view(np.uint64), np.empty(most + 1, np.int64),
    )  # fmt: skip
    return counted


@step
def _judge(  # type: ignore[no-untyped-def]
    data, first, start, end, digits, first_word, word_start, word_end, units, elements, traits, counted, flags,
    eights, places,
):  # fmt: skip
    for i in range(len(first) - 1):
        quantities, misread, chemistry, cited = 0, 0, 0, 0
        for k in range(first[i], first[i + 1]):
            found = _digits_of(data, start[k], end[k], flags, eights, traits, places) if digits[k] else 0
            w, w_end, behind, stop = first_word[k], first_word[k + 1], 0, end[k]
            for j in range(found):
                place = places[j]
                if place < behind:  # of the word before
                    continue
                at, behind = _ascii_word(data, place, start[k], stop)
                reporter = 0
                if not behind:
                    w = first_from(word_start, w, place + 1) - 1
                    behind = word_end[w]
                elif at < place:  # in most words with a digit it comes first
                    misread += _is_misread(data, at, behind)
                    chemistry += behind - at if _is_formula(data, at, behind, elements) else 0
                elif behind + 1 < stop and data[behind] == 0x20 and 0x41 <= data[behind + 1] <= 0x5A:
                    w = first_from(word_start, w, place + 1) - 1
                    reporter = reporter_end(data, w, w_end, word_start, word_end) - place
                    cited += reporter
                quantities += 1 if reporter else 1 + _units_behind(data, behind, stop, units)  # U.S. is no unit
        counted[i, 0], counted[i, 1], counted[i, 2], counted[i, 3] = quantities, misread, chemistry, cited


@step
def _digits_of(data, start, stop, flags, eights, traits, places):  # type: ignore[no-untyped-def]
    """Where runs of ASCII digits begin, and every digit beyond ASCII: how many, written into `places`."""
    found = 0
    for block in range(start, stop, BLOCK):
        size = min(BLOCK, stop - block)
        _flag(data, block, size, flags)
        carry = np.uint64(0)
        for k in range((size + 7) // 8):
            eight = eights[k]
            begins = (eight & LOW_BITS & ~(eight << np.uint64(8) | carry)) | (eight >> np.uint64(1) & LOW_BITS)
            carry = eight >> np.uint64(56)
            while begins != 0:
                place = block + 8 * k + (lowest(begins) >> 3)
                begins &= begins - np.uint64(1)
                places[found] = place
                found += data[place] < 0x80 or traits[code_point(data, place)[0]] & DIGIT != 0
    return found


@step
def _flag(data, block, size, flags):  # type: ignore[no-untyped-def]
    """1 for ASCII digits, 2 where a character beyond ASCII begins; 0 up to the next eight."""
    view = data[block : block + size]
    for k in range(len(view)):
        byte = view[k]
        flags[k] = ((byte >= 0x30) & (byte <= 0x39)) | (byte >= 0xC0) << 1
    for k in range(size, (size + 7) // 8 * 8):
        flags[k] = 0


@inlined
def _ascii_word(data, place, start, stop):  # type: ignore[no-untyped-def]
    """(begin, end) of the word of ASCII in which a digit lies; end 0 where the word may go on beyond ASCII.

    Read from the text, not from the table of words: the text lies in the cache, the table does not.
    """
    at, end = place, place + 1
    while at > start and _is_word_byte(data[at - 1]):
        at -= 1
    while end < stop and _is_word_byte(data[end]):
        end += 1
    ascii_only = (at == start or data[at - 1] < 0x80) and (end == stop or data[end] < 0x80) and data[place] < 0x80
    return at, end if ascii_only else 0


@inlined
def _is_word_byte(byte):  # type: ignore[no-untyped-def]
    return (0x30 <= byte <= 0x39) or (0x61 <= byte | 0x20 <= 0x7A) or byte == 0x5F


@inlined
def _units_behind(data, at, stop, units):  # type: ignore[no-untyped-def]
    """Units in a row behind a number that ends here: two of them behind the 5 of 5 mg/kg."""
    count = 0
    while at + 1 < stop:
        if data[at] == 0x20 or data[at] == 0x2F or data[at] == 0x2D:  # space / -
            at += 1
        elif at + 2 < stop and data[at] == 0xC2 and (data[at + 1] == 0xA0 or data[at + 1] == 0xB7):  # no-break space ·
            at += 2
        else:
            break
        key, length = _letters_from(data, at, stop)
        if units[(key * np.uint64(_SPREAD)) >> np.uint64(54)] != key:
            break
        count += 1
        at += length
    return count


@inlined
def _letters_from(data, at, stop):  # type: ignore[no-untyped-def]
    """(up to seven bytes of letters from here on as a little-endian number, ASCII in lower case; how many)."""
    eight = eight_bytes(data, at, stop)
    lower = (eight | CASE_BITS) & SEVEN_BITS
    letters = ((lower + FROM_A) & ~(lower + ABOVE_Z) & HIGH_BITS) | (eight & HIGH_BITS)  # or beyond ASCII
    others = ~letters & HIGH_BITS
    inside = ((others & (~others + np.uint64(1))) - np.uint64(1)) >> np.uint64(7)  # all bits of the bytes before
    upper = letters & ~eight & HIGH_BITS & ~(eight << np.uint64(2))  # ASCII's bit of case is not set
    length = np.int64(((inside & LOW_BITS) * LOW_BITS) >> np.uint64(56))
    return (eight | upper >> np.uint64(2)) & inside if others else np.uint64(0), length


@step
def _is_misread(data, at, stop):  # type: ignore[no-untyped-def]
    """One 0, 1 or 5 between lower-case ASCII letters of which there are at least five: mod1fied, but not cyp1a2."""
    if stop - at < 6:
        return False
    letters, others, inside = 0, 0, False
    for k in range(at, stop):
        byte = data[k]
        if 0x61 <= byte <= 0x7A:
            letters += 1
        elif k > at or byte < 0x41 or byte > 0x5A:
            others += 1
            inside = at < k < stop - 1 and (byte == 0x30 or byte == 0x31 or byte == 0x35)
    return others == 1 and inside and letters >= 5


@step
def _is_formula(data, at, stop, elements):  # type: ignore[no-untyped-def]
    """Two or more symbols of elements with a number among them: H2O, C6H12O6; also CYP2C9, which looks the same."""
    symbols, numbers = 0, 0
    while at < stop:
        if data[at] < 0x41 or data[at] > 0x5A:
            return False
        two = at + 1 < stop and 0x61 <= data[at + 1] <= 0x7A
        if not elements[data[at] - 0x41, data[at + 1] - 0x60 if two else 0]:
            return False
        symbols += 1
        at += 2 if two else 1
        while at < stop and 0x30 <= data[at] <= 0x39:
            numbers += 1
            at += 1
    return symbols >= 2 and numbers > 0


@step
def reporter_end(data, w, w_end, word_start, word_end):  # type: ignore[no-untyped-def]
    """Where the citation of a court's reporter ends that begins with word w: 410 U.S. 113, 35 L. Ed. 2d 147.

    A number of up to four digits; up to six words that begin with a capital or a digit, full stops and single spaces
    between them and at least one full stop; a number. Where there is none, the start of word w.
    """
    at = word_start[w]
    if word_end[w] - at > 4 or not _is_digits(data, at, word_end[w]):
        return at
    stops = 0
    for other in range(w + 1, min(w + 8, w_end)):
        behind, begin = word_end[other - 1], word_start[other]
        if begin - behind > 2:
            return at
        for k in range(behind, begin):
            stops += data[k] == 0x2E
            if data[k] != 0x20 and data[k] != 0x2E:
                return at
        if _is_digits(data, begin, word_end[other]):
            return word_end[other] if stops and data[begin - 1] == 0x20 else at
        if not (0x41 <= data[begin] <= 0x5A or 0x30 <= data[begin] <= 0x39):
            return at
    return at


@step
def _is_digits(data, at, stop):  # type: ignore[no-untyped-def]
    for k in range(at, stop):  # noqa: SIM110 - numba has no all() over a generator
        if data[k] < 0x30 or data[k] > 0x39:
            return False
    return True
