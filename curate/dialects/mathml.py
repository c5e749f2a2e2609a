"""MathML on one line: what a person would type. Fractions get a slash, powers a caret, roots their sign.

Example:
    <mfrac><mi>a</mi><mrow><mi>b</mi><mo>+</mo><mn>1</mn></mrow></mfrac>   ->   a/(b+1)
"""

from __future__ import annotations

import re

from curate.dialects.prose import LOWERED, RAISED, Element, Prose, local_name

ATOM = re.compile(r"[\w.∞′]*|\([^()]*\)")
UNSEEN = {0x2061: " ", 0x2062: None, 0x2063: ",", 0x2064: "+"}  # function application, times, comma, plus
DROPPED = frozenset({"annotation", "annotation-xml", "mphantom", "maligngroup", "malignmark"})


def math(element: Element, prose: Prose) -> None:
    prose.add(linear(element))


def linear(element: Element) -> str:
    """The text of a MathML element."""
    name = local_name(element)
    if name in DROPPED or not name:
        return ""
    parts = [part for part in (linear(one) for one in element if local_name(one)) if part or name != "mrow"]
    if not parts:
        return (element.text or "").strip().translate(UNSEEN)
    if name == "mfrac" and len(parts) == 2:
        return f"{_atom(parts[0])}/{_atom(parts[1])}"
    if name == "msqrt":
        return f"√{_atom(''.join(parts))}"
    if name in ("msup", "mover") and len(parts) == 2:
        return parts[0] + _power(parts[1]) if name == "msup" else parts[0] + parts[1]
    if name in ("msub", "munder") and len(parts) == 2:
        return parts[0] + _index(parts[1])
    if name in ("msubsup", "munderover") and len(parts) == 3:
        return parts[0] + _index(parts[1]) + _power(parts[2])
    if name == "mfenced":
        return f"{element.get('open', '(')}{','.join(parts)}{element.get('close', ')')}"
    return (" " if name in ("mtr", "mtable") else "").join(parts)


def _atom(text: str) -> str:
    return text if ATOM.fullmatch(text) else f"({text})"


def _power(text: str) -> str:
    return text.translate(RAISED) if text and all(ord(mark) in RAISED for mark in text) else f"^{_atom(text)}"


def _index(text: str) -> str:
    return text.translate(LOWERED) if text and all(ord(mark) in LOWERED for mark in text) else f"_{_atom(text)}"
