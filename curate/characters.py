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

# Outside stand unified ideographs, Hangul syllables, surrogates and private use, which stand for themselves.
_MAY_FOLD = ((0x1, 0x3400), (0xA000, 0xAC00), (0xF900, 0x20000), (0x2F800, 0x2FA20))

_BITS = {"L": LETTER, "M": MARK, "N": NUMBER, "P": PUNCTUATION, "S": SYMBOL}


@cache
def classes() -> npt.NDArray[np.uint8]:
    """Class bits by code point: (0x110000,) uint8.

    >>> bool(classes()[ord("é")] & LETTER), bool(classes()[ord("…")] & PUNCTUATION), bool(classes()[ord("漢")] & ALONE)
    (True, True, True)
    """
    table = np.zeros(CODE_POINTS, np.uint8)
    every = np.arange(CODE_POINTS, dtype=np.uint32).view("<U1")  # each code point as a string of one character
    is_letter = np.char.isalpha(every)
    table[is_letter] = LETTER
    others = [*np.flatnonzero(~is_letter[:0x20000]).tolist(), *range(0xE0000, 0xE0200)]  # no more of them elsewhere
    categories = [unicodedata.category(chr(code)) for code in others]
    bits = {category: _BITS.get(category[0], 0) for category in set(categories)}
    bits["Pc"] |= CONNECTOR
    table[others] = [bits[category] for category in categories]
    for first, last in _UNSPACED:
        block = table[first : last + 1]
        block[(block & LETTER) != 0] |= ALONE
    table[np.char.isspace(every)] |= SPACE
    return table


@cache
def folded() -> npt.NDArray[np.uint32]:
    """The code point that stands for each one when words are compared: (0x110000,) uint32.

    Case and compatibility forms fold where the result is one character (É, µ, full-width A); others stand for
    themselves. Only matching uses this: the stored text is never folded.
    """
    table = np.arange(CODE_POINTS, dtype=np.uint32)
    codes = [code for first, last in _MAY_FOLD for code in range(first, last)]
    apart = "\0".join(map(chr, codes))  # all at once, as one text: nothing composes across a NUL
    forms = unicodedata.normalize("NFKC", apart.casefold()).casefold().split("\0")
    table[codes] = [ord(form) if len(form) == 1 else code for code, form in zip(codes, forms, strict=True)]
    return table
