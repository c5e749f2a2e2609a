"""What a character is to lines and sentences: trait bits of every Unicode code point, as one lookup table.

Beside the classes that words are made of (`curate/characters.py`): which marks end a sentence, what closes a quotation,
what is a digit to `str.isdigit`, what belongs to a formula. All scripts are in; nothing is ASCII-only.
"""

from __future__ import annotations

import unicodedata
from functools import cache

import numpy as np
import numpy.typing as npt

CODE_POINTS = 0x110000

UPPER = 1  # str.isupper
LOWER = 2  # str.islower
LETTER = 4  # str.isalpha
DIGIT = 8  # str.isdigit: superscripts and circled digits too
DECIMAL = 16  # str.isdecimal, what \d matches
SPACE = 32  # str.isspace
TERMINAL = 64  # ends a sentence
CLOSER = 128  # may stand between a sentence's last mark and the space behind it
QUOTE = 256  # opens or closes a quotation
FORMULA = 512  # an operator, a super- or subscript, a letter of mathematical alphabets
GREEK = 1024  # a letter of Greek
BULLET = 2048  # leads an item of a list
WANTED = 4096  # beyond ASCII: worth a place among the marks of a line (curate/lines.py)

# Unicode 16's property Sentence_Terminal (PropList.txt), and three signs of Khmer that end a section (U+17D6, D9, DA)
_TERMINAL = (
    (0x0021, 0x0021), (0x002E, 0x002E), (0x003F, 0x003F), (0x0589, 0x0589), (0x061D, 0x061F), (0x06D4, 0x06D4),
    (0x0700, 0x0702), (0x07F9, 0x07F9), (0x0837, 0x0837), (0x0839, 0x0839), (0x083D, 0x083E), (0x0964, 0x0965),
    (0x104A, 0x104B), (0x1362, 0x1362), (0x1367, 0x1368), (0x166E, 0x166E), (0x1735, 0x1736), (0x17D4, 0x17D6),
    (0x17D9, 0x17DA), (0x1803, 0x1803), (0x1809, 0x1809), (0x1944, 0x1945), (0x1AA8, 0x1AAB), (0x1B4E, 0x1B4F),
    (0x1B5A, 0x1B5B), (0x1B5E, 0x1B5F), (0x1B7D, 0x1B7F), (0x1C3B, 0x1C3C), (0x1C7E, 0x1C7F), (0x2024, 0x2024),
    (0x203C, 0x203D), (0x2047, 0x2049), (0x2CF9, 0x2CFB), (0x2E2E, 0x2E2E), (0x2E3C, 0x2E3C), (0x2E53, 0x2E54),
    (0x2E60, 0x2E61), (0x3002, 0x3002), (0xA4FF, 0xA4FF), (0xA60E, 0xA60F), (0xA6F3, 0xA6F3), (0xA6F7, 0xA6F7),
    (0xA876, 0xA877), (0xA8CE, 0xA8CF), (0xA92F, 0xA92F), (0xA9C8, 0xA9C9), (0xAA5D, 0xAA5F), (0xAAF0, 0xAAF1),
    (0xABEB, 0xABEB), (0xFE12, 0xFE12), (0xFE15, 0xFE16), (0xFE52, 0xFE52), (0xFE56, 0xFE57), (0xFF01, 0xFF01),
    (0xFF0E, 0xFF0E), (0xFF1F, 0xFF1F), (0xFF61, 0xFF61), (0x10A56, 0x10A57), (0x10F55, 0x10F59),
    (0x10F86, 0x10F89), (0x11047, 0x11048), (0x110BE, 0x110C1), (0x11141, 0x11143), (0x111C5, 0x111C6),
    (0x111CD, 0x111CD), (0x111DE, 0x111DF), (0x11238, 0x11239), (0x1123B, 0x1123C), (0x112A9, 0x112A9),
    (0x113D4, 0x113D5), (0x1144B, 0x1144C), (0x115C2, 0x115C3), (0x115C9, 0x115D7), (0x11641, 0x11642),
    (0x1173C, 0x1173E), (0x11944, 0x11944), (0x11946, 0x11946), (0x11A42, 0x11A43), (0x11A9B, 0x11A9C),
    (0x11C41, 0x11C42), (0x11EF7, 0x11EF8), (0x11F43, 0x11F44), (0x16A6E, 0x16A6F), (0x16AF5, 0x16AF5),
    (0x16B37, 0x16B38), (0x16B44, 0x16B44), (0x16D6E, 0x16D6F), (0x16E98, 0x16E98), (0x1BC9F, 0x1BC9F),
    (0x1DA88, 0x1DA88),
)  # fmt: skip
_QUOTES = "\"'«»‘’‛“”‟‹›「」『』〝〞〟﹁﹂﹃﹄＂＇｢｣"
_BULLETS = "•‣⁃◦▪▫●○■□◆◇➢➤✓✔·‧∙⦁"
_CIRCLED = ((0x2460, 0x249B),)  # ① ⑴ ⒈ as one character each
_GREEK = ((0x0391, 0x03C9), (0x03D1, 0x03D6), (0x03F0, 0x03F1), (0x03F5, 0x03F5))
_MATHEMATICAL = (  # raised and lowered signs; letters and digits of formulas
    (0x00B2, 0x00B3), (0x00B9, 0x00B9), (0x2070, 0x209C), (0x1D400, 0x1D7FF),
)  # fmt: skip
_ALSO_WANTED = "§\ufffd¬¦"


@cache
def traits() -> npt.NDArray[np.uint16]:
    """Trait bits by code point: (0x110000,) uint16.

    >>> [bool(traits()[ord(c)] & TERMINAL) for c in "。।؟."], bool(traits()[ord("²")] & FORMULA)
    ([True, True, True, True], True)
    """
    every = np.arange(CODE_POINTS, dtype=np.uint32).view("<U1")  # each code point as a string of one character
    table = np.zeros(CODE_POINTS, np.uint16)
    for bit, has in (
        (UPPER, np.char.isupper),
        (LOWER, np.char.islower),
        (LETTER, np.char.isalpha),
        (DIGIT, np.char.isdigit),
        (DECIMAL, np.char.isdecimal),
        (SPACE, np.char.isspace),
    ):
        table[has(every)] |= bit
    for ranges, bit in ((_TERMINAL, TERMINAL), (_GREEK, GREEK), (_MATHEMATICAL, FORMULA), (_CIRCLED, BULLET)):
        for first, last in ranges:
            table[first : last + 1] |= bit
    for characters, bit in ((_QUOTES, QUOTE), (_BULLETS, BULLET), (_ALSO_WANTED, WANTED), ("\"'", CLOSER)):
        for character in characters:
            table[ord(character)] |= bit
    for code in range(0x10000):  # beyond, there are neither closers nor operators
        kind = unicodedata.category(chr(code))
        if kind in ("Pe", "Pf"):
            table[code] |= CLOSER
        if kind == "Sm" and chr(code) not in "|~":  # these two stand in tables and paths more often than in formulas
            table[code] |= FORMULA
    beyond = table[0x80:]
    beyond[beyond & (TERMINAL | FORMULA | GREEK) != 0] |= WANTED
    return table
