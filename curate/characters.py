"""What a character is: class bits and folded form of every Unicode code point, as two lookup tables.

Kernels read text as UTF-8 and ask these tables; nothing is ASCII-only. Classes follow Unicode general categories (UAX
#44) of the running Python's `unicodedata`.
"""

from __future__ import annotations

import unicodedata
from functools import cache

import numpy as np
import numpy.typing as npt

CODE_POINTS = 0x110000

LETTER = 1  # L*
MARK = 2  # M*: combining marks, vowel signs of Indic scripts
NUMBER = 4  # N*
CONNECTOR = 8  # Pc: the underscore and its kin
ALONE = 16  # a letter of a script written without spaces: a word by itself
SPACE = 32  # str.isspace
PUNCTUATION = 64  # P*
SYMBOL = 128  # S*

WORD = LETTER | MARK | NUMBER | CONNECTOR

# Scripts written without spaces between words (UAX #29 leaves them to dictionaries); ranges of their blocks.
_UNSPACED = (
    (0x0E00, 0x0EFF),  # Thai, Lao
    (0x1000, 0x109F),  # Myanmar
    (0x1780, 0x17FF),  # Khmer
    (0x3005, 0x3007),  # ideographic iteration mark, zero
    (0x3040, 0x30FF),  # Hiragana, Katakana
    (0x31F0, 0x31FF),  # Katakana extensions
    (0x3400, 0x4DBF),  # Han extension A
    (0x4E00, 0x9FFF),  # Han
    (0xF900, 0xFAFF),  # Han compatibility
    (0x1B000, 0x1B16F),  # Kana supplement
    (0x20000, 0x3FFFF),  # Han extensions B and later
)

_BITS = {"L": LETTER, "M": MARK, "N": NUMBER, "P": PUNCTUATION, "S": SYMBOL}


@cache
def classes() -> npt.NDArray[np.uint8]:
    """Class bits by code point: (0x110000,) uint8.

    >>> bool(classes()[ord("é")] & LETTER), bool(classes()[ord("…")] & PUNCTUATION), bool(classes()[ord("漢")] & ALONE)
    (True, True, True)
    """
    table = np.zeros(CODE_POINTS, np.uint8)
    for code in range(CODE_POINTS):
        category = unicodedata.category(chr(code))
        bits = _BITS.get(category[0], 0)
        if category == "Pc":
            bits |= CONNECTOR
        table[code] = bits
    for first, last in _UNSPACED:
        block = table[first : last + 1]
        block[(block & LETTER) != 0] |= ALONE
    for code in [*range(0x3100), 0xFEFF]:  # every space stands below U+3100
        if chr(code).isspace():
            table[code] |= SPACE
    return table


@cache
def folded() -> npt.NDArray[np.uint32]:
    """The code point that stands for each one when words are compared: (0x110000,) uint32.

    Case and compatibility forms fold where the result is one character (É, µ, full-width A); others stand for
    themselves. Only matching uses this: the stored text is never folded.
    """
    table = np.arange(CODE_POINTS, dtype=np.uint32)
    for code in range(CODE_POINTS):
        if 0xD800 <= code <= 0xDFFF or unicodedata.category(chr(code)) in ("Cn", "Co"):
            continue
        form = unicodedata.normalize("NFKC", chr(code).casefold()).casefold()
        if len(form) == 1:
            table[code] = ord(form)
    return table
