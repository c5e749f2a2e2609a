"""Does training text stand in held-out or benchmark text? Two rules over word n-grams answer.

    held-out or benchmark items ─build▶ an index for each rule ─scan (parallel by unit of training text)▶ Found
    Found of all units ─resolve▶ leaks (training documents to remove, each with its evidence), common phrases

- `SharedRun` (13 words; GPT-3, lm-eval): one n-gram of an item is enough. It finds every verbatim quotation. An item of
  fewer than n words but at least `SHORTEST` (8) is looked for by its whole word sequence. Still shorter ones name
  nothing in particular: they are not indexed, and counted.
- `Containment` (8 words, half of them; Tulu 3): as much of the item's n-grams, or of the document's own, whichever are
  fewer, stand in both: |A ∩ B| / min(|A|, |B|) of the sets of distinct n-grams, with one item. Items that the first
  rule takes whole are left to it. It finds short items, such as questions, that were edited: where no run of 13 words
  is left, a text of 25 words may still have 10 of its 18 8-grams, a text of 38 words 15 of 31, and a long one at most 5
  in 13. So of longer items it misses what the first rule misses, unless its bound is set below 0.38.

An n-gram that stands in more than `common_in` training documents is a common phrase ("the views expressed in this
article are those of the authors and do not"), counted and listed, and no leak: GPT-3, Brown et al. 2020, appendix C.
To the second rule it is nothing that both have, while the sets keep their sizes: set phrases alone make no leak. The
bound is the same for benchmarks: licence lines and task instructions are quoted everywhere. It rests on training text
that is deduplicated already, else a much-copied leak would pass for a phrase.

Every training document with a leak left is removed. Held-out and benchmark text have indexes of their own, so that the
reason (held_out_overlap, benchmark_overlap) follows from the index that was hit.

Legend: f hits, l leaks, c common n-grams, g distinct n-grams hit.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from curate.dedup.partitions import distinct, positions
from curate.ngram_index import Hits, NgramIndex, differs
from curate.settings import Contamination
from curate.shared_ngrams import best_items, distinct_runs, first_held
from curate.text import Int64s, TextBatch

SHORTEST = 8  # words; the low end of the range GPT-3 used for short benchmark items

Float32s = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Counts:
    """In how many training documents n-grams stand."""

    ngram: Int64s  # (g,) ascending
    documents: Int64s  # (g,)

    @classmethod
    def of(cls, ngrams: Int64s, documents: Int64s | None = None) -> Counts:
        """Sums by n-gram; of hits, one each."""
        if documents is None:
            ngrams = np.sort(ngrams)
            opens = np.flatnonzero(differs(ngrams))
            return cls(ngrams[opens], np.diff(opens, append=len(ngrams)))
        order = np.argsort(ngrams, kind="stable")
        opens = np.flatnonzero(differs(ngrams[order]))
        sums = np.add.reduceat(documents[order], opens) if len(opens) else documents[order]
        return cls(ngrams[order][opens], sums)

    @classmethod
    def joined(cls, parts: Iterable[Counts]) -> Counts:
        parts, none = list(parts), np.zeros(0, np.int64)
        return cls.of(*(np.concatenate([none, *(getattr(one, name) for one in parts)]) for name in cls.__slots__))

    def at(self, wanted: Int64s) -> Int64s:
        """How many documents hold each wanted n-gram."""
        place = positions(wanted, self.ngram)
        return np.where(place < 0, 0, np.append(self.documents, 0)[place])


@dataclass(frozen=True, slots=True)
class Found:
    """What a rule saw in some training documents."""

    hits: Hits  # of the documents that may have to leave
    counts: Counts  # of all n-grams hit, in whatever document

    def numbered(self, documents: Int64s) -> Found:
        return Found(self.hits.numbered(documents), self.counts)

    @classmethod
    def joined(cls, parts: Iterable[Found]) -> Found:
        parts = list(parts)
        return cls(Hits.joined(one.hits for one in parts), Counts.joined(one.counts for one in parts))

    @classmethod
    def gathered(cls, parts: Iterable[Found], common_in: int) -> Found:
        """As `joined`, one part after another: of a common n-gram only the hits that show it to be one are held."""
        kept, counts, since, waiting = list[Hits](), Counts.of(np.zeros(0, np.int64)), list[Counts](), 0
        for part in parts:
            kept.append(part.hits.of(counts.at(part.hits.ngram) <= common_in))
            since.append(part.counts)
            waiting += len(part.counts.ngram)
            if waiting > len(counts.ngram):  # not for every part, each time over all that was counted before
                counts, since, waiting = Counts.joined([counts, *since]), [], 0
        return cls(Hits.joined(kept), Counts.joined([counts, *since]))


@dataclass(frozen=True, slots=True)
class Leaks:
    """Training documents to remove, ascending; the evidence is the first n-gram that is not a common phrase."""

    document: Int64s  # (l,)
    item: Int64s  # (l,) place among the index's owners: the text it leaks from
    ngram: Int64s  # (l,) place in the index
    word: Int64s  # (l,) where it begins; `phrase` gives its words
    n_hits: Int64s  # (l,) distinct n-grams that count, common phrases left out: of any item, or of this one
    score: Float32s  # (l,) share known of the document's n-grams; or containment


@dataclass(frozen=True, slots=True)
class CommonPhrases:
    """N-grams set aside because too many training documents hold them; most common first."""

    ngram: Int64s  # (c,)
    n_documents: Int64s  # (c,) training documents that hold it
    document: Int64s  # (c,) one of them, the lowest
    word: Int64s  # (c,) where it begins there


class Rule(Protocol):
    @property
    def name(self) -> str: ...

    @property
    def words(self) -> int:
        """Of its n-grams."""

    @property
    def shortest(self) -> int:
        """Items of fewer words are not indexed."""

    @property
    def at_least(self) -> float | None:
        """Least score. None: any hit is a leak."""

    def scan(self, index: NgramIndex, batch: TextBatch) -> Found: ...

    def leaks(self, index: NgramIndex, hits: Hits) -> Leaks:
        """`hits`: without those of common n-grams."""


def rules_of(settings: Contamination) -> tuple[Rule, ...]:
    run = SharedRun(settings.ngram_words)
    if settings.containment_at_least is None:
        return (run,)
    return run, Containment(settings.containment_words, settings.containment_at_least, settings.ngram_words)


@dataclass(frozen=True, slots=True)
class SharedRun:
    words: int = 13
    name: str = "shared_run"
    at_least: None = None

    @property
    def shortest(self) -> int:
        return min(SHORTEST, self.words)

    def scan(self, index: NgramIndex, batch: TextBatch) -> Found:
        hits = index.scan(batch)
        return Found(hits, Counts.of(hits.ngram))

    def leaks(self, index: NgramIndex, hits: Hits) -> Leaks:
        opens = np.flatnonzero(differs(hits.document))
        n_hits = np.diff(opens, append=len(hits))
        first = hits.of(opens)
        # a short item's sequence is counted against the n-grams of its own length, hence at most all of them
        share = np.minimum(n_hits / np.maximum(first.out_of, 1), 1).astype(np.float32)
        return Leaks(first.document, index.lowest_holders(first.ngram), first.ngram, first.word, n_hits, share)


@dataclass(frozen=True, slots=True)
class Containment:
    words: int = 8
    at_least: float = 0.5
    of_items: int = 13
    """Words of the first rule's n-grams: it takes shorter items whole."""
    name: str = "containment"

    @property
    def shortest(self) -> int:
        return max(self.words, self.of_items)

    def scan(self, index: NgramIndex, batch: TextBatch) -> Found:
        """Setting common phrases aside can only lower what is shared, so documents that share too little already are
        forgotten: of training text of the same field, nearly all that have a hit."""
        hits = index.scan(batch)
        counts = Counts.of(hits.ngram)
        documents = distinct(hits.document)
        own = np.zeros(len(batch), np.int64)
        own[documents] = distinct_runs(batch.words.first, batch.words.hash, documents, self.words)
        hits = Hits(hits.document, hits.ngram, hits.word, own[hits.document])
        first, _, shared, smaller = best_items(index, hits)
        enough = np.repeat(shared / smaller >= self.at_least, np.diff(first))
        return Found(hits.of(enough), counts)

    def leaks(self, index: NgramIndex, hits: Hits) -> Leaks:
        first, item, shared, smaller = best_items(index, hits)
        leaks = np.flatnonzero(shared / smaller >= self.at_least)
        at = hits.of(first_held(first, item, hits.ngram, index.owner, index.shared)[leaks])
        score = (shared[leaks] / smaller[leaks]).astype(np.float32)
        return Leaks(at.document, item[leaks], at.ngram, at.word, shared[leaks], score)


def resolve(rule: Rule, index: NgramIndex, found: Found, common_in: int) -> tuple[Leaks, CommonPhrases]:
    """Decide over what was found in all training documents, whose numbers are unique over the whole run."""
    hits = found.hits.of(np.argsort(found.hits.document, kind="stable"))
    is_common = found.counts.at(hits.ngram) > common_in
    return rule.leaks(index, hits.of(~is_common)), _common(hits.of(is_common), found.counts)


def _common(hits: Hits, counts: Counts) -> CommonPhrases:
    order = np.lexsort((hits.document, hits.ngram))
    first = hits.of(order[differs(hits.ngram[order])])
    n_documents = counts.at(first.ngram)
    by_number = np.lexsort((first.ngram, -n_documents))
    first = first.of(by_number)
    return CommonPhrases(first.ngram, n_documents[by_number], first.document, first.word)


def phrase(batch: TextBatch, document: int, word: int, n_words: int) -> str:
    """The text from a document's word `word` over `n_words` words, as it stands but for white space."""
    words = batch.words
    first = int(words.first[document]) + word
    last = min(first + n_words, int(words.first[document + 1])) - 1
    return " ".join(bytes(batch.data[words.start[first] : words.end[last]]).decode().split())
