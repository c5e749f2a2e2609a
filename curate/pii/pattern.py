"""A pattern, the pieces that expressions are made of, and the gate that tells cheaply where none can match.

Expressions are read twice: by RE2, thirty times as fast, to rule nearly every stretch out, and by Python's `re`, which
can look around. So that RE2 never rules out too much, an expression uses only what both read alike (ASCII \\d and \\w,
the SPACE below, no \\b), except within its looks around, which the gate leaves out: they only narrow.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from curate.pii.candidates import LABEL
from curate.settings import PII_KINDS

FLAGS = re.IGNORECASE | re.ASCII

# Within brackets, with those of typographers
BLANKS, HYPHENS = " \u00a0\u202f", "\u2010\u2011\u2012\u2013\\-"
BREAKS = f"{BLANKS}\t\r\n\f"
SPACE, BLANK, DASH = f"[{BREAKS}]", f"[{BLANKS}]", f"[{HYPHENS}]"
NUMBER_WORD = "(?:no|number|num|nr|nummer|número|numéro|id|code|n[°º]|#)"

# A label is a whole word by itself, as curate/text.py splits words: `hôtel` is no `tel`
BEGINS = r"(?<!(?u:\w))(?<![\u0300-\u036f])"
ENDS = r"(?!(?u:\w))(?![\u0300-\u036f])"
GAP = (  # between a label and what it names:  tel. (office): 020   phone number is 020   born on the 12th
    rf"\.?(?:{SPACE}{{0,3}}{NUMBER_WORD}\.?)?(?:{SPACE}?\([A-Z/ .-]{{1,16}}\))?"
    rf"(?:{SPACE}{{1,3}}(?:is|was|on|am|le|el|em|op)(?:{SPACE}the)?)?[{BREAKS}:#=.(*-]{{0,5}}?"
)

# What stands beside a mask must not count a second time: [phone]555-0143 was one longer number of nobody
AFTER_MASK = "".join(rf"(?<!\[{kind}\])" for kind in PII_KINDS)
BEFORE_MASK = rf"(?!\[(?:{'|'.join(PII_KINDS)})\])"


@dataclass(frozen=True, slots=True)
class Pattern:
    kind: str
    sign: int
    """What its text always shows (curate/pii/candidates.py): where that is missing it need not be tried."""
    expression: re.Pattern[str]
    """Its group `value`, or all of it, is what is counted and masked."""
    is_real: Callable[[str], bool] = lambda value: True
    """What the value must pass beside."""
    shape: str = ""
    """For the gate, a simpler expression that everything matches which this one does. Empty: this one without looks."""
    label: str = ""
    """Where it rests on one: the words before the value, whose shape is then the value's."""


def labelled(
    kind: str, label: str, value: str, is_real: Callable[[str], bool] = lambda value: True, shape: str = ""
) -> Pattern:
    """A value that a label names."""
    expression = re.compile(f"{BEGINS}(?:{label}){ENDS}{GAP}(?P<value>{value}){ENDS}{BEFORE_MASK}", FLAGS)
    return Pattern(kind, LABEL, expression, is_real, shape or without_looks(value), without_looks(label))


def gate_of(patterns: Iterable[Pattern]) -> str:
    """An RE2 expression that every text matches in which one of these finds something.

    Labels of one kind stand before values of that kind, whichever: RE2 compiles an expression whenever it is asked, and
    this one is short."""
    alone: list[str] = []
    named: dict[str, tuple[dict[str, None], dict[str, None]]] = {}
    for one in patterns:
        if one.label:
            labels, values = named.setdefault(one.kind, ({}, {}))
            labels[one.label] = values[one.shape] = None
        else:
            flag = "(?i:" if one.expression.flags & re.IGNORECASE else "(?:"
            alone.append(f"{flag}{one.shape or without_looks(one.expression.pattern)})")
    for labels, values in named.values():
        alone.append(f"(?i:(?:^|\\W)(?:{'|'.join(labels)}){GAP}(?:{'|'.join(values)}))")
    return "|".join(alone)


def digits(text: str) -> str:
    return "".join(mark for mark in text if mark.isdigit())


def without_looks(expression: str) -> str:
    """`(?=...)`, `(?!...)`, `(?<=...)`, `(?<!...)` taken out, and names of groups, which may stand once only.

    >>> without_looks(r"(?<![\\w.])(?P<value>\\d{3}[)(](?!x(y))z)")
    '(?:\\\\d{3}[)(]z)'
    """
    out, at, in_class = "", 0, False
    while at < len(expression):
        mark = expression[at]
        if not in_class and expression.startswith(("(?=", "(?!", "(?<=", "(?<!"), at):
            at = _closing(expression, at) + 1
            continue
        width = 2 if mark == "\\" else 1
        in_class = (mark == "[" or in_class) and mark != "]"
        out, at = out + expression[at : at + width], at + width
    return out.replace("(?P<value>", "(?:")


def _closing(expression: str, at: int) -> int:
    """Where the bracket that opens here closes."""
    depth, in_class = 0, False
    while True:
        mark = expression[at]
        if mark == "\\":
            at += 1
        elif in_class:
            in_class = mark != "]"
        elif mark == "[":
            in_class = True
        else:
            depth += (mark == "(") - (mark == ")")
            if depth == 0:
                return at
        at += 1
