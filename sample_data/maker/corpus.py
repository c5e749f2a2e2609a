"""The clean documents: those written by hand, and those the grammar writes, no two of which share a run of 13 words.

A hand-written file in `texts/` holds documents one after another, each under a line `=== title`. The grammar's
documents are drawn again until they bring no 13-word run that an earlier document has, so that nothing but a planted
leak can stand on both sides of a split.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from maker.grammar import Writer, read_profiles, read_rules

TEXTS = Path(__file__).resolve().parents[1] / "texts"
WORD = re.compile(r"\w+")
RUN_WORDS = 13


@dataclass(frozen=True, slots=True)
class Document:
    """One document, before any format. `kind` names its file in `texts/` or its rule in the grammar."""

    kind: str
    title: str
    text: str
    year: int


@dataclass(frozen=True, slots=True)
class Kind:
    """Documents the grammar can write: a rule, how to title it, and the profiles each document takes one of."""

    name: str
    titles: str
    files: tuple[str, ...]
    profiles: tuple[str, ...] = ()
    with_letters: float = 0.82
    """Least share of words with a letter: Gopher's rule wants four in five."""


CLINIC = ("clinic.txt", "notes.txt", "papers.txt", "advice.txt")
LIFE = ("everyday.txt", "pastimes.txt")
CASES = ("conditions.txt", "people.txt")
MEDICAL = {
    "note": Kind("note", "salutation_title", CLINIC, CASES),
    "abstract": Kind("abstract", "abstract_title", CLINIC, CASES),
    "article": Kind("article", "abstract_title", CLINIC, CASES),
    "leaflet": Kind("leaflet", "leaflet_title", CLINIC, CASES),
    "guideline": Kind("guideline", "guideline_title", CLINIC, CASES),
    "monograph": Kind("monograph", "monograph_title", CLINIC, (*CASES, "drugs.txt")),
    "answer": Kind("answer", "qa_title", CLINIC, CASES),
    "page": Kind("page", "page_title", CLINIC, CASES),
}
EVERYDAY = ("recipe", "travel", "garden", "history", "craft", "match", "story", "letter", "forecast", "howto")
GENERAL = {name: Kind(name, f"{name}_title", LIFE) for name in EVERYDAY}
CONTROL = {"regulation": Kind("regulation", "regulation_title", ("regulations.txt",))}
# tables of doses: what rules for the web misjudge, so that a recipe must know better
FIGURES = {
    "dose_table": Kind("dose_table", "dose_table_title", (*CLINIC, "formulary.txt"), (*CASES, "drugs.txt"), 0.4),
}
KINDS = MEDICAL | GENERAL | CONTROL | FIGURES


@dataclass(slots=True)
class Press:
    """Prints documents of any kind, one seed for all, none sharing a 13-word run with one before."""

    rng: Random
    runs: set[int] = field(default_factory=set)

    def print(self, kind: str, at_least_words: int = 60) -> Document:
        while True:
            document = self._draw(KINDS[kind])
            is_fit = is_prose(document.text, at_least_words, KINDS[kind].with_letters)
            if is_fit and self.is_fresh(f"{document.title}\n{document.text}"):
                return document

    def is_fresh(self, text: str) -> bool:
        """Whether no document before held a 13-word run of this one; if so, its runs are taken from here on."""
        runs = set(word_runs(text, RUN_WORDS))
        if runs & self.runs:
            return False
        self.runs |= runs
        return True

    def _draw(self, kind: Kind) -> Document:
        rules = dict(read_rules(*kind.files))
        for name in kind.profiles:
            rules |= self.rng.choice(read_profiles(name))
        writer = Writer(rules, self.rng)
        title = writer.write(kind.titles)
        title = title[:1].upper() + title[1:]
        return Document(kind.name, title, writer.write(kind.name), self.rng.randint(2009, 2024))


def is_prose(text: str, at_least_words: int, least_with_letters: float) -> bool:
    """Long enough, and not fuller of figures than its kind may be."""
    words = WORD.findall(text)
    with_letters = sum(any(character.isalpha() for character in word) for word in words)
    return len(words) >= at_least_words and with_letters >= least_with_letters * len(words)


def word_runs(text: str, length: int) -> Iterator[int]:
    """Hashes of the runs of so many case-folded words. Tuples of strings would take ten times the memory."""
    words = WORD.findall(text.casefold())
    return (stable_hash(words[at : at + length]) for at in range(len(words) - length + 1))


def stable_hash(words: list[str]) -> int:
    """Equal in every process, unlike hash()."""
    joined = " ".join(words).encode()
    return zlib.crc32(joined) << 32 | zlib.adler32(joined)


def handwritten(subject: str) -> list[Document]:
    """The documents in `texts/<subject>/`, file by file; the file's name is their kind."""
    documents = []
    for path in sorted((TEXTS / subject).glob("*.txt")):
        for block in re.split(r"^=== ", path.read_text("utf-8"), flags=re.M)[1:]:
            title, _, text = block.partition("\n")
            documents.append(Document(path.stem, title.strip(), text.strip(), 2009 + len(documents) % 16))
    return documents
