"""Invisible characters: controls, zero-width characters, byte order marks, soft hyphens, marks of writing direction.

Nobody sees them, and they cut words in two for every measure, hash and token. Joiners (ZWJ, ZWNJ) stay where they
shape what is seen: beside letters of Arabic, Indic and the other joining scripts, and between the parts of an
emoji. Tag characters stay in the flags they spell. Tabs and line breaks stay; so does everything that is seen.
"""

from __future__ import annotations

import re

CONTROLS = "\x00-\x08\x0b-\x1f\x7f-\x9f"
FORMATS = (
    "\u00ad"  # soft hyphen
    "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"  # direction of writing
    "\u200b\u2060-\u2065\ufeff"  # zero-width space, word joiner, mathematics' unseen operators, byte order mark
    "\u206a-\u206f\ufff9-\ufffb"  # deprecated shaping, annotation anchors
    "\ufdd0-\ufdef\ufffe\uffff"  # no characters at all
    "\U000e0001"  # language tag
)
JOINERS = "\u180e\u200c\u200d"  # the first is Mongolian's vowel separator
TAGS = "\U000e0020-\U000e007f"
# Arabic to Mandaic and Arabic's extensions, Indic (Devanagari to Sinhala), Tibetan, Myanmar, Khmer, Mongolian, Balinese
# to Lepcha, the rest of Indic, Arabic's presentation forms, the historic scripts of the Brahmi family
JOINING = (
    "\u0620-\u08ff\u0900-\u0dff\u0f00-\u109f\u1780-\u17ff\u1800-\u180d\u180f-\u18af\u1b00-\u1c4f\ua800-\uabff"
    "\ufb50-\ufdcf\ufdf0-\ufdff\ufe70-\ufefc\U00010d00-\U00011fff"
)
EMOJI_BEFORE = "\u2190-\u2bff\ufe0f\u20e3\U0001f000-\U0001faff"
EMOJI_AFTER = "\u2190-\u2bff\U0001f000-\U0001faff"

INVISIBLE = re.compile(
    f"[{CONTROLS}{FORMATS}]+"
    f"|(?<![{JOINING}])[{JOINERS}](?![{JOINING}])(?:(?<![{EMOJI_BEFORE}]\u200d)|(?![{EMOJI_AFTER}]))"
    f"|(?<![{TAGS}\U0001f3f4])[{TAGS}]+"
)


SUSPECTS = re.compile(f"[{CONTROLS}{FORMATS}{JOINERS}{TAGS}]")


class Invisible:
    suspect = (
        r"[\x00-\x08\x0b-\x1f\x7f-\x{9f}\x{ad}\x{61c}\x{180e}\x{200b}-\x{200f}\x{202a}-\x{202e}\x{2060}-\x{206f}"
        r"\x{fdd0}-\x{fdef}\x{feff}\x{fff9}-\x{fffb}\x{fffe}\x{ffff}\x{e0001}\x{e0020}-\x{e007f}]"
    )

    def __call__(self, text: str) -> str:
        """As INVISIBLE.sub("", text), and five times as fast: a set of characters is found sooner than alternatives."""
        kept, done = [], 0
        for found in SUSPECTS.finditer(text):
            at = found.start()
            if at >= done and (taken := INVISIBLE.match(text, at)):
                kept.append(text[done:at])
                done = taken.end()
        return "".join([*kept, text[done:]]) if done else text
