"""How many planted leaks decontamination finds, by kind, beside datatrove's on the same plants.

    python -m benchmarks.planted_leaks --data ../shared/data --plants 250

Held out are review abstracts of 100 words or more; trained on is other English text (sections of papers, opinions,
statutes, web pages, novels). Every abstract is planted once, changed in one of the ways below, in the middle of a
document of its own; as many documents again are left alone.

    exact            as it stands
    re-wrapped       short lines of quoted mail, all capitals
    edited           one word in ten replaced by another
    reordered        its sentences in another order
    100 words        so many in a row of it
    OCR n %          of its characters: most read as another, some dropped, some followed by a space
    short, edited    a sentence of 14 to 25 words is the item, and one of its words is replaced

What a document shares with held-out text is counted by brute force, too: sets of n-grams as Python's `re` finds words.
So an alarm over a document without a plant is either shared words, or false. datatrove's filter takes 12-grams; its
indexer wants lighteval even where it is given the documents, so its file is written here, with its own hashes of its
own normal form. Both get their words from Unicode word characters.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np

from benchmarks.contest import Entrant, Outcome, Table, Unequal, cpu_seconds, hold, parser, tell
from benchmarks.datatrove_words import Expression
from benchmarks.texts import SPAM, abstracts_and_the_rest, in_batches, n_bytes, synthetic
from curate.contamination import Found, Rule, resolve, rules_of
from curate.ngram_index import NgramIndex
from curate.settings import Contamination
from curate.text import TextBatch
from curate.written_forms import as_one_form

ITEM_WORDS = 100
HOST_CHARACTERS = 3_000  # of a document that something is planted in
WORD = re.compile(r"\w+")
MUST_BE_FOUND = ("exact", "re-wrapped", "edited")
SHORT = "short, edited"

Change = Callable[[str, np.random.Generator], str]


def main(line: list[str] | None = None) -> None:
    asked = parser(__doc__)
    asked.add_argument("--data", type=Path, help="folder such as ../shared/data; else generated text")
    asked.add_argument("--plants", type=int, default=20, help="of each kind (default: %(default)s)")
    given = asked.parse_args(line)
    field = sow(given.data, given.plants)
    tell(given, [recall(field), contest(field, given.rounds)])


# -- planting


@dataclass(frozen=True, slots=True)
class Field:
    """Training documents, some with something planted in them, and the text that was held out."""

    held_out: list[str]
    training: list[str]
    item: list[int]  # of each training document: what is planted in it; -1: nothing
    kind: list[str]  # how; "" where nothing is

    @property
    def plain(self) -> list[int]:
        return [i for i, item in enumerate(self.item) if item < 0]

    def of(self, kind: str) -> list[int]:
        return [i for i, one in enumerate(self.kind) if one == kind]


def sow(data: Path | None, plants: int, seed: int = 1) -> Field:
    """`plants` of each kind, and as many documents without one as there are plants in all."""
    items, hosts = _generated() if data is None else abstracts_and_the_rest(data)
    draw, n = np.random.default_rng(seed), plants * len(KINDS)
    held_out = list(islice((text for text in items if len(WORD.findall(text)) >= ITEM_WORDS), n))
    hosts = (host for text in hosts if len(WORD.findall(host := text[:HOST_CHARACTERS])) >= ITEM_WORDS)
    training, item, kind = list[str](), list[int](), list[str]()
    for i, text in enumerate(held_out):
        name = list(KINDS)[i % len(KINDS)]
        if name == SHORT:
            held_out[i] = text = sentence_of(text)
        training += [planted(next(hosts), KINDS[name](text, draw)), next(hosts)]
        item += [i, -1]
        kind += [name, ""]
    return Field(held_out, training, item, kind)


def _generated() -> tuple[Iterator[str], Iterator[str]]:
    held_out, hosts = ((text for text in synthetic(seed) if SPAM not in text) for seed in (1, 2))
    return held_out, hosts


def planted(host: str, leak: str) -> str:
    """In the middle, between two words."""
    cut = host.find(" ", len(host) // 2)
    return f"{host[:cut]}\n{leak}\n{host[cut:]}"


def _rewrapped(text: str, draw: np.random.Generator) -> str:
    words, lines = text.upper().split(), list[str]()
    while words:
        size = int(draw.integers(3, 8))
        lines.append("> " + " ".join(words[:size]))
        words = words[size:]
    return "\r\n".join(lines)


def sentence_of(text: str) -> str:
    """The first of 14 to 25 words, else so many words from the beginning."""
    found = (one for one in re.split(r"(?<=[.!?])\s+", text) if 14 <= len(WORD.findall(one)) <= 25)
    return next(found, " ".join(text.split()[:20]))


def _one_edited(text: str, draw: np.random.Generator) -> str:
    words = text.split()
    words[int(draw.integers(0, len(words)))] = "otherwise"
    return " ".join(words)


def _edited(text: str, draw: np.random.Generator) -> str:
    words = text.split()
    for at in draw.choice(len(words), round(len(words) / 10), replace=False).tolist():
        words[at] = "".join(chr(97 + c) for c in draw.integers(0, 26, int(draw.integers(3, 9))))
    return " ".join(words)


def _reordered(text: str, draw: np.random.Generator) -> str:
    sentences = re.split(r"(?<=[.!?])\s+", text)
    return " ".join(sentences[i] for i in draw.permutation(len(sentences)))


def _hundred_words(text: str, draw: np.random.Generator) -> str:
    words = text.split()
    begin = int(draw.integers(0, max(1, len(words) - 99)))
    return " ".join(words[begin : begin + 100])


def _misread(rate: float) -> Change:
    def change(text: str, draw: np.random.Generator) -> str:
        read = list(text)
        for at in np.flatnonzero(draw.random(len(text)) < rate).tolist():
            if text[at].isspace():
                continue
            chance, letter = draw.random(), chr(97 + int(draw.integers(0, 26)))
            read[at] = letter if chance < 0.8 else "" if chance < 0.9 else text[at] + " "
        return "".join(read)

    return change


KINDS: dict[str, Change] = {
    "exact": lambda text, draw: text,
    "re-wrapped": _rewrapped,
    "edited": _edited,
    "reordered": _reordered,
    "100 words": _hundred_words,
    "OCR 1 %": _misread(0.01),
    "OCR 2 %": _misread(0.02),
    "OCR 5 %": _misread(0.05),
    SHORT: _one_edited,
}


# -- finding


def found_by(rules: Sequence[Rule], field: Field) -> dict[int, int]:
    """Training documents that leave, each with the item that it is said to leak from."""
    leaving: dict[int, int] = {}
    for rule in rules:
        index = index_of(rule, field.held_out)
        leaks, _ = resolve(rule, index, scan(rule, index, field.training), Contamination().common_in)
        names = [int(str(index.owners[place])) for place in leaks.item.tolist()]
        leaving = dict(zip(leaks.document.tolist(), names, strict=True)) | leaving
    return leaving


def index_of(rule: Rule, held_out: list[str]) -> NgramIndex:
    names = [f"{i:07d}" for i in range(len(held_out))]
    return NgramIndex.build([(names, as_one_form(TextBatch.of(held_out).array))], rule.words, rule.shortest)


def scan(rule: Rule, index: NgramIndex, texts: list[str]) -> Found:
    parts, before = list[Found](), 0
    for some in in_batches(texts):
        batch = as_one_form(TextBatch.of(some).array)
        parts.append(rule.scan(index, batch).numbered(np.arange(before, before + len(some))))
        before += len(some)
    return Found.joined(parts)


def by_brute_force(field: Field, documents: Sequence[int]) -> tuple[set[int], set[int]]:
    """Of some training documents, those that share (13 words in a row, half the 8-grams of the shorter text) with an
    item."""
    settings = Contamination()
    runs = set().union(*(ngrams(text, settings.ngram_words) for text in field.held_out))
    items = [ngrams(text, settings.containment_words) for text in field.held_out]
    holders: dict[tuple[str, ...], list[int]] = {}
    for i, item in enumerate(items):
        for ngram in item:
            holders.setdefault(ngram, []).append(i)
    sharing, containing = set[int](), set[int]()
    for d in documents:
        own = ngrams(field.training[d], settings.containment_words)
        if runs & ngrams(field.training[d], settings.ngram_words):
            sharing.add(d)
        for i in {i for ngram in own if ngram in holders for i in holders[ngram]}:
            if len(items[i] & own) >= (settings.containment_at_least or 1) * min(len(items[i]), len(own)):
                containing.add(d)
    return sharing, containing


def ngrams(text: str, n: int) -> set[tuple[str, ...]]:
    words = WORD.findall(text.casefold())
    return set(zip(*(words[i:] for i in range(n)), strict=False))


# -- datatrove


class Datatrove:
    """Its filter over an index of our held-out text."""

    def __init__(self, held_out: list[str]) -> None:
        from datatrove.pipeline.decont.n_grams import NGramsDecontConfig, NGramsDecontFilter
        from datatrove.utils.hashing import HashConfig
        from datatrove.utils.text import ngrams as runs
        from datatrove.utils.text import simplify_text

        self._folder = tempfile.TemporaryDirectory()
        config = NGramsDecontConfig(hash_config=HashConfig(hash_fc="sha1"))  # xxhash, its default, refuses text
        self._filter = NGramsDecontFilter(self._folder.name, config, language=Expression())
        simple = (simplify_text(text, config.norm_config) for text in held_out)
        grams = {" ".join(run) for text in simple for run in runs(WORD.findall(text), config.n_grams)}
        hashes = np.array([self._filter.hash_func(gram) for gram in sorted(grams)], config.hash_config.np_descr)
        hashes.tofile(Path(self._folder.name) / "held_out.index.hashes")
        self._filter.load_index_hashes()

    def leaving(self, texts: list[str]) -> set[int]:
        from datatrove.data import Document

        return {i for i, text in enumerate(texts) if self._filter.filter(Document(text=text, id=str(i))) is not True}


# -- telling


def recall(field: Field) -> Table:
    run, containment = rules_of(Contamination())
    ours = {rule.name: found_by([rule], field) for rule in (run, containment)}
    both = found_by([run, containment], field)
    theirs = Datatrove(field.held_out).leaving(field.training)
    rows = []
    for kind in KINDS:
        plants = field.of(kind)
        right = sum(both.get(i) == field.item[i] for i in plants)
        counts = [sum(i in one for i in plants) for one in (ours[run.name], ours[containment.name], both, theirs)]
        rows.append((kind, f"{len(plants):,}", *(f"{n / len(plants):.1%}" for n in counts), f"{right:,}"))
    plain = field.plain
    sharing, containing = by_brute_force(field, plain)
    counts = [sum(i in one for i in plain) for one in (ours[run.name], ours[containment.name], both, theirs)]
    rows.append(("no plant: leave", f"{len(plain):,}", *(f"{n / len(plain):.2%}" for n in counts), ""))
    false = len(set(plain) & set(both) - sharing - containing)
    head = (
        "plant",
        "documents",
        "13 words",
        "8-word containment",
        "both: ours",
        "datatrove, 12 words",
        "right item named",
    )
    return Table(
        f"Planted leaks found, each rule alone and both: {len(field.held_out):,} items held out",
        head,
        tuple(rows),
        (
            f"Of the documents without a plant {len(sharing):,} in fact share 13 words with an item and "
            f"{len(containing):,} half the 8-grams, by brute force; ours takes {false:,} others.",
        ),
    )


def contest(field: Field, rounds: int) -> Outcome:
    """Words, both rules' scans and decisions, against datatrove's filter. The indexes are built before."""
    rules = rules_of(Contamination())
    indexes = [index_of(rule, field.held_out) for rule in rules]
    theirs = Datatrove(field.held_out)

    def ours() -> None:
        for some in in_batches(field.training):
            batch = as_one_form(TextBatch.of(some).array)
            for rule, index in zip(rules, indexes, strict=True):
                resolve(rule, index, rule.scan(index, batch), 10)

    found, exact = found_by(rules, field), field.of("exact")
    missed = [i for i in exact if i not in found]
    if missed or not set(exact) <= theirs.leaving(field.training):
        raise Unequal(f"exact copies were missed: {len(missed)} by ours, others by datatrove's")
    mb = n_bytes(field.training) / 1e6
    entrants = [
        Entrant("ours, both rules", lambda: cpu_seconds(ours), ours),
        Entrant(
            "datatrove, words by regular expression",
            lambda: cpu_seconds(lambda: theirs.leaving(field.training)),
            lambda: theirs.leaving(field.training[:20]),
        ),
    ]
    return Outcome(
        work=f"{len(field.training):,} documents, {mb:.1f} MB, against {len(field.held_out):,} items",
        unit="MB",
        amount=mb,
        clock="CPU",
        turns=hold(entrants, rounds),
        same_work=f"both find all {len(exact):,} exact copies",
        notes=("datatrove stops at a document's first known n-gram; ours counts them all.",),
    )


if __name__ == "__main__":
    main()
