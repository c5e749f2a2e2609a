"""Where personal data may stand: a few short stretches of each document, found in one pass, for the patterns to read.

Patterns of this kind (curate/pii/patterns.py) read some tens of MB/s, and almost no text holds anything for them. What
they look for always shows one of four cheap signs, and only a sign's surroundings are worth reading:

    an @      with no space at either side                      jane.doe@example.org   https://jane:secret@host/
    a key     of a URL's query                                 ?api_key=abc123
    a number  of seven digits or more that holds a hyphen,     (202) 555-0143   078-05-1120   RSSMRA85T10A562S
              slash, plus or capital, or is long; three dots   8.8.8.8   202.555.0143
              between digits, or two; two colons in a word     2001:db8::1
    a label   a word that names the digits soon after it       MRN 00123456    born on 12 March 1950

Stretches that meet become one. That nothing the patterns find in a whole text is missed this way is a law
(tests/curate/test_pii.py): the windows below are wide enough for the longest text a pattern takes.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import numpy.typing as npt
from numba import njit

from curate.text import FROM_0, HIGH_BITS, LOW_BITS, SEVEN_BITS, Int64s, TextBatch, eight_bytes

LABELS = """
    mrn nhi record rec patient patienten hospital chart patientennummer fallnummer
    dob o birth birthdate born geb geboren geburtsdatum geburtstag né née naissance nacido nacida nacimiento nascido
    nascida nascimento nato nata
    tel telephone phone mobile cell fax telefax telefon telefono teléfono telefoon tél téléphone puhelin call dial
    тел телефон ip ipv4
    ssn security nhs nino insurance sin medicare bsn burgerservicenummer pesel cpr personnummer fodselsnummer
    fødselsnummer aadhaar aadhar nir insee sécu kimlik tckn cnp pps ppsn egn oib nif contribuinte amka
    steuer steueridentifikationsnummer identifikationsnummer idnr identity
""".split()
"""Words that name what follows them. A pattern that rests on a label rests on one of these."""

ADDRESS, KEY, NUMBER, LABEL = 1, 2, 4, 8
SIGNS = (ADDRESS, KEY, NUMBER, LABEL)
"""Bits: a stretch may show several."""

LONGEST_LABEL = 48  # bytes of the words of a label before the one that was seen
LONGEST_AFTER_LABEL = 144  # bytes from there to the end of what it names: `born`, a gap, a date spelled out
LONGEST_BESIDE_NUMBER = 24  # capitals before the first digit, and what a pattern looks at on both sides
LONGEST_ADDRESS = 320  # bytes to either side of an @: a scheme, a user's name and password; a host
LONGEST_KEY = 1200  # bytes after the ? or & of a key: its name and its value

FEWEST_DIGITS = 7  # of what digits alone give away: a telephone number
FEWEST_BARE_DIGITS = 13  # of a number with no mark in it but spaces and dots: 2 95 10 99 126 111 93
FEWEST_DOTTED_DIGITS = 10  # of a number with two dots: 202.555.0143
FEWEST_LABELLED = 4  # of what a label names: a record number

AMPERSANDS, ABOVE_AT = np.uint64(ord("&") * LOW_BITS), np.uint64((0x7F - ord("@")) * LOW_BITS)

_ORDINARY, _DIGIT, _AT, _COLON, _QUERY = 0, 1, 2, 3, 4


Stretches = tuple[Int64s, Int64s, npt.NDArray[np.uint8]]


def candidates(batch: TextBatch) -> Stretches:
    """(start, end, signs) of every stretch: byte offsets into the batch's buffer, ascending, on borders of characters,
    each within one document."""
    marks: Stretches = _marks(batch.data, batch.offsets, _kinds())
    labels = _labels(batch)
    start, end = np.concatenate((marks[0], labels[0])), np.concatenate((marks[1], labels[1]))
    sign = np.concatenate((marks[2], labels[2]))
    document = np.searchsorted(batch.offsets, start, side="right") - 1
    order = np.argsort(start, kind="stable")
    joined: Stretches = _joined(batch.data, start[order], end[order], sign[order], document[order])
    return joined


def _labels(batch: TextBatch) -> Stretches:
    words = batch.words
    found = _labels_with_digits(batch.data, words.end, words.hash, *_label_hashes())
    document = np.searchsorted(words.first, found, side="right") - 1
    start = np.maximum(words.start[found] - LONGEST_LABEL, batch.offsets[document])
    end = np.minimum(words.end[found] + LONGEST_AFTER_LABEL, batch.offsets[document + 1])
    return start, end, np.full(len(found), LABEL, np.uint8)


@njit(cache=True, nogil=True)
def _labels_with_digits(data, ends, hashes, sieve, labels):  # type: ignore[no-untyped-def]
    """Which words are labels with digits soon after: `patient` and `cell` are ordinary words of medicine."""
    found = np.empty(64, np.int64)
    count, word = 0, _next_label(data, ends, hashes, sieve, labels, 0)
    while word < len(hashes):
        if count == len(found):
            found = np.concatenate((found, np.empty(count, np.int64)))
        found[count] = word
        count += 1
        word = _next_label(data, ends, hashes, sieve, labels, word + 1)
    return found[:count].copy()


@njit(cache=True, nogil=True)
def _next_label(data, ends, hashes, sieve, labels, word):  # type: ignore[no-untyped-def]
    while word < len(hashes):
        if sieve[hashes[word] & np.uint64(len(sieve) - 1)]:
            digits = 0
            for at in range(ends[word], min(len(data), ends[word] + LONGEST_AFTER_LABEL)):
                digits += data[at] >= 48 and data[at] < 58
            if digits >= FEWEST_LABELLED and labels[np.searchsorted(labels[:-1], hashes[word])] == hashes[word]:
                break
        word += 1
    return word


@cache
def _label_hashes() -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.uint64]]:
    """(a sieve by the low bits of a word's hash, the labels' hashes): one look tells nearly every word from a label."""
    hashes = np.unique(TextBatch.of([" ".join(LABELS)]).words.hash)
    sieve = np.zeros(1 << 15, np.bool_)
    sieve[hashes & np.uint64(len(sieve) - 1)] = True
    return sieve, hashes


@cache
def _kinds() -> npt.NDArray[np.uint8]:
    """(256,) what a byte may begin."""
    kinds = np.zeros(256, np.uint8)
    kinds[ord("0") : ord("9") + 1] = _DIGIT
    kinds[ord("@")], kinds[ord(":")] = _AT, _COLON
    kinds[ord("?")] = kinds[ord("&")] = _QUERY
    return kinds


@njit(cache=True, nogil=True)
def _marks(data, offsets, kinds):  # type: ignore[no-untyped-def]
    """(start, end, sign) of what every sign but a label makes worth reading."""
    starts, ends, signs = np.empty(64, np.int64), np.empty(64, np.int64), np.empty(64, np.uint8)
    count = 0
    for document in range(len(offsets) - 1):
        first, stop = offsets[document], offsets[document + 1]
        at, low, high, sign = _next_sign(data, first, first, stop, kinds)
        while sign:
            if count == len(starts):
                starts = np.concatenate((starts, np.empty(count, np.int64)))
                ends = np.concatenate((ends, np.empty(count, np.int64)))
                signs = np.concatenate((signs, np.empty(count, np.uint8)))
            starts[count], ends[count], signs[count] = low, high, sign
            count += 1
            at, low, high, sign = _next_sign(data, at, first, stop, kinds)
    return starts[:count].copy(), ends[:count].copy(), signs[:count].copy()


@njit(cache=True, nogil=True)
def _next_sign(data, at, first, stop, kinds):  # type: ignore[no-untyped-def]
    """(where to go on, start, end, sign) of the next one; sign 0 where there is none. Apart from the loop that keeps
    them: where arrays grow, Numba counts references at every turn."""
    while True:
        at = _skipped(data, at, stop)
        if at >= stop:
            return stop, stop, stop, 0
        kind = kinds[data[at]]
        if kind == _DIGIT:
            end, is_number = _run(data, at, first, stop, kinds)
            if is_number:
                return end, *_beside(at, end, first, stop), NUMBER
            at = end
            continue
        if kind == _AT:
            if at > first and at + 1 < stop and data[at - 1] > 32 and _in_host(data[at + 1]):
                low, high = _token(data, at, first, stop)
                return at + 1, low, high, ADDRESS
        elif kind == _QUERY:
            if _is_key(data, at, stop):
                return at + 1, max(first, at - 1), _token_end(data, at, min(stop, at + LONGEST_KEY)), KEY
        elif kind == _COLON and _second_colon(data, at, stop):
            return at + 1, *_beside(at, at, first, stop), NUMBER
        at += 1


@njit(cache=True, nogil=True, inline="always")
def _skipped(data, at, stop):  # type: ignore[no-untyped-def]
    """The first byte from `at` on that may begin a sign: & or one from 0 to @. Eight at a time, by the carries of
    seven-bit sums (curate/text.py)."""
    while at + 8 <= stop:
        eight = eight_bytes(data, at, at + 8)
        seven = eight & SEVEN_BITS
        flags = ((seven + FROM_0) & ~(seven + ABOVE_AT)) | ~((seven ^ AMPERSANDS) + SEVEN_BITS)
        flags &= HIGH_BITS & ~eight
        if flags != 0:
            at += _first_flagged(flags)
            break
        at += 8
    return at


@njit(cache=True, nogil=True, inline="always")
def _first_flagged(flags):  # type: ignore[no-untyped-def]
    """Which of eight bytes is the first whose top bit is set; one is."""
    below = (flags & (~flags + np.uint64(1))) - np.uint64(1)
    return np.int64((((below >> np.uint64(7)) & LOW_BITS) * LOW_BITS) >> np.uint64(56))


@njit(cache=True, nogil=True)
def _run(data, at, first, stop, kinds):  # type: ignore[no-untyped-def]
    """(end, may it be a number of somebody) of the run of digits, separators and capitals that begins here."""
    digits, dots, most_dots, is_address = 0, 0, 0, False
    is_tied = at > first and data[at - 1] == 43  # + before the first digit
    before_is_digit, before_is_plus = False, False
    while at < stop:
        mark = data[at]
        is_digit, is_plus = kinds[mark] == _DIGIT, mark == 43
        if is_digit:
            digits += 1
            is_tied |= before_is_plus
        elif mark == 46:  # .
            dots = dots + 1 if before_is_digit else 0
            most_dots = max(most_dots, dots)
        elif mark == 45 or mark == 47 or mark == 58 or (mark >= 65 and mark <= 90):  # - / : and capitals
            is_tied |= before_is_digit
            is_address |= mark == 58 and _second_colon(data, at, stop)
            dots = 0
        elif mark == 32 or mark == 40 or mark == 41 or is_plus:
            dots = 0
        else:
            wide = _wide_separator(data, at, stop)
            if wide == 0:
                break
            is_tied |= before_is_digit and wide == 3
            dots = 0
            at += wide - 1
        before_is_digit, before_is_plus = is_digit, is_plus
        at += 1
    is_address |= most_dots >= 3 or (most_dots == 2 and digits >= FEWEST_DOTTED_DIGITS)
    return at, is_address or (digits >= FEWEST_DIGITS and (is_tied or digits >= FEWEST_BARE_DIGITS))


@njit(cache=True, nogil=True, inline="always")
def _wide_separator(data, at, stop):  # type: ignore[no-untyped-def]
    """Bytes of a typographer's hyphen or space (U+00A0, U+2010 to U+2013, U+202F); 0 for any other character."""
    if data[at] == 0xC2 and at + 1 < stop and data[at + 1] == 0xA0:
        return 2
    if data[at] == 0xE2 and at + 2 < stop and data[at + 1] == 0x80:
        third = data[at + 2]
        return 3 if (third >= 0x90 and third <= 0x93) or third == 0xAF else 0
    return 0


@njit(cache=True, nogil=True, inline="always")
def _in_host(byte):  # type: ignore[no-untyped-def]
    """What a host begins with: a letter, a digit, or something beyond ASCII."""
    return byte >= 0x80 or (byte >= 48 and byte < 58) or (byte | 32 >= 97 and byte | 32 <= 122)


@njit(cache=True, nogil=True)
def _beside(at, end, first, stop):  # type: ignore[no-untyped-def]
    return max(first, at - LONGEST_BESIDE_NUMBER), min(stop, end + LONGEST_BESIDE_NUMBER)


@njit(cache=True, nogil=True)
def _token(data, at, first, stop):  # type: ignore[no-untyped-def]
    """(start, end) of what stands around without a space, and not past LONGEST_ADDRESS."""
    low, least = at, max(first, at - LONGEST_ADDRESS)
    while low > least and data[low - 1] > 32:
        low -= 1
    return low, _token_end(data, at, min(stop, at + LONGEST_ADDRESS))


@njit(cache=True, nogil=True)
def _token_end(data, at, stop):  # type: ignore[no-untyped-def]
    while at < stop and data[at] > 32:
        at += 1
    return at


@njit(cache=True, nogil=True)
def _is_key(data, at, stop):  # type: ignore[no-untyped-def]
    """Does a name and = follow the ? or &? (&amp; may stand for &.)"""
    for ahead in range(at + 1, min(stop, at + 24)):
        mark = data[ahead]
        if mark == 61:
            return ahead > at + 1
        if not ((mark | 32 >= 97 and mark | 32 <= 122) or mark == 95 or mark == 59):
            return False
    return False


@njit(cache=True, nogil=True)
def _second_colon(data, at, stop):  # type: ignore[no-untyped-def]
    """Another within five bytes: two of an IPv6 address stand no further apart."""
    found = False
    for ahead in range(at + 1, min(stop, at + 6)):
        found |= data[ahead] == 58
    return found


@njit(cache=True, nogil=True)
def _joined(data, low, high, sign, document):  # type: ignore[no-untyped-def]
    """Stretches of the same document that meet, as one; moved out to borders of characters."""
    starts, ends, signs = np.empty(len(low), np.int64), np.empty(len(low), np.int64), np.empty(len(low), np.uint8)
    count = 0
    for i in range(len(low)):
        a, b = low[i], high[i]
        while a > 0 and data[a] & 0xC0 == 0x80:
            a -= 1
        while b < len(data) and data[b] & 0xC0 == 0x80:
            b += 1
        if count and document[i] == document[i - 1] and a <= ends[count - 1]:
            ends[count - 1] = max(ends[count - 1], b)
            signs[count - 1] |= sign[i]
        else:
            starts[count], ends[count], signs[count] = a, b, sign[i]
            count += 1
    return starts[:count].copy(), ends[:count].copy(), signs[:count].copy()
