"""Copies that a curator must find: each function makes a copy of a text; `likeness` is what dedup measures.

Near-duplicates are made so that word 5-grams overlap by a Jaccard of at least 0.87: far enough above the bound of 0.8
that 14 x 8 LSH finds practically all of them.
"""

from __future__ import annotations

import re
from random import Random

from maker.corpus import WORD, word_runs

SHINGLE_WORDS = 5
LEAST_LIKENESS = 0.87
SENTENCE = re.compile(r"(?<=[.?!])\s+(?=[A-Z])")
MONTHS = "January February March April May June July August September October November December".split()
WEEKDAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()
COUNTABLE = (MONTHS, WEEKDAYS, "two three four five six".split())


def likeness(text: str, other: str) -> float:
    """Jaccard index of the two sets of 5-word shingles."""
    one, two = set(word_runs(text, SHINGLE_WORDS)), set(word_runs(other, SHINGLE_WORDS))
    return len(one & two) / len(one | two)


def same(text: str, rng: Random) -> str:
    return text


def respaced(text: str, rng: Random) -> str:
    """Paragraphs run together: the same words, fewer blanks."""
    return re.sub(r"\s+", " ", text)


def lower_case(text: str, rng: Random) -> str:
    return text.lower()


def edited(text: str, rng: Random) -> str:
    """Two or three numbers, days or months changed, as when a form is filled in again."""
    names = [name for series in COUNTABLE for name in series]
    places = list(re.finditer(rf"\b(?:\d\d+|{'|'.join(names)})\b", text))
    n_words = len(WORD.findall(text))
    for match in sorted(rng.sample(places, 3 if n_words >= 240 else 2), key=lambda one: -one.start()):
        text = text[: match.start()] + next_after(match[0]) + text[match.end() :]
    return text


def next_after(name: str) -> str:
    """17 -> 18, May -> June, Sunday -> Monday."""
    for series in COUNTABLE:
        if name in series:
            return series[(series.index(name) + 1) % len(series)]
    return str(int(name) + 1)


def reordered(text: str, rng: Random) -> str:
    """Two sentences that follow one another change places."""
    paragraphs = text.split("\n\n")
    longest = max(range(len(paragraphs)), key=lambda at: len(paragraphs[at]))
    sentences = SENTENCE.split(paragraphs[longest])
    at = rng.randrange(len(sentences) - 1)
    sentences[at], sentences[at + 1] = sentences[at + 1], sentences[at]
    paragraphs[longest] = " ".join(sentences)
    return "\n\n".join(paragraphs)


def truncated(text: str, rng: Random) -> str:
    """The last 5 to 8 % of the words are missing."""
    words = list(re.finditer(r"\S+", text))
    return text[: words[int(len(words) * rng.uniform(0.92, 0.95)) - 1].end()]


def wrapped(text: str, rng: Random) -> str:
    """A line of some system above and below."""
    above = f"Printed {rng.choice(MONTHS)} {rng.randint(1, 28)}, copy {rng.randint(100, 999)}."
    return f"{above}\n\n{text}\n\nEnd of copy {rng.randint(1000, 9999)}, desk {rng.randint(2, 40)}."


EXACT = {"same": same, "respaced": respaced, "lower_case": lower_case}
NEAR = {"edited": edited, "reordered": reordered, "truncated": truncated, "wrapped": wrapped}
