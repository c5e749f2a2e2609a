"""Byte-pair encoding that goes on where a vocabulary ends: words as the base cuts them in, further merges out.

    hyp|ertension x 9, ten|sion x 2  ─▶  ten+sion is not there yet?  the pair that stands most often becomes a token

Training of BPE (Sennrich et al. 2016), begun not from letters but from the base's own tokens: as often as asked, the
adjacent pair that stands most often becomes a token, everywhere at once, from left to right. Ties go to the lower ids.

A pair that spells a token which exists already is left apart. That keeps what makes such an extension safe: a merge
that is appended makes a token that no earlier merge knows, so a text is cut by the base first and by the new merges
afterwards. It never takes more tokens than before, and every new token is reached by the merges that made it.

Counts are kept up to date word by word, and the best pair comes from a heap in which outdated entries are passed over:
a merge costs what the words that hold it cost. `tests/curate/test_extend_tokenizer.py` holds it against counting all
words anew for every merge.
"""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

Pair = tuple[int, int]
LEAST_OCCURRENCES = 2  # a token for what stands once in the sample is learnt from nothing


def continue_merges(
    words: Sequence[Sequence[int]], counts: Sequence[int], spelled: Mapping[int, str], first_id: int, by: int
) -> list[Pair]:
    """Up to `by` merges, in order: the i-th makes token first_id + i, fewer where no pair stands twice any more.

    words: distinct, as ids. counts: how often each stands in the text. spelled: every token that exists, by id.

    >>> continue_merges([(1, 2, 3), (2, 3)], [5, 4], {1: "a", 2: "b", 3: "c"}, 10, 2)
    [(2, 3), (1, 10)]
    """
    pairs = _Pairs.of(words, counts)
    names, known = dict(spelled), set(spelled.values())
    merges: list[Pair] = []
    while len(merges) < by and (best := pairs.pop_best()) is not None:
        name = names[best[0]] + names[best[1]]
        if name in known:
            pairs.refuse(best)
            continue
        token = first_id + len(merges)
        names[token] = name
        known.add(name)
        merges.append(best)
        pairs.merge(best, token)
    return merges


@dataclass(slots=True)
class _Pairs:
    """How often every adjacent pair stands, and in which words."""

    words: list[list[int]]
    counts: Sequence[int]
    times: defaultdict[Pair, int] = field(default_factory=lambda: defaultdict(int))
    holders: defaultdict[Pair, set[int]] = field(default_factory=lambda: defaultdict(set))
    """Words that hold a pair, or held it once."""
    refused: set[Pair] = field(default_factory=set)
    heap: list[tuple[int, Pair]] = field(default_factory=list)
    """(-times, pair), the present entry of every pair and outdated ones."""

    @classmethod
    def of(cls, words: Sequence[Sequence[int]], counts: Sequence[int]) -> _Pairs:
        pairs = cls([list(word) for word in words], counts)
        for number, word in enumerate(pairs.words):
            for pair in pairwise(word):
                pairs.times[pair] += counts[number]
                pairs.holders[pair].add(number)
        pairs.heap = [(-times, pair) for pair, times in pairs.times.items()]
        heapq.heapify(pairs.heap)
        return pairs

    def pop_best(self) -> Pair | None:
        while self.heap:
            times, pair = heapq.heappop(self.heap)
            if -times == self.times.get(pair) and pair not in self.refused:
                return pair if -times >= LEAST_OCCURRENCES else None
        return None

    def refuse(self, pair: Pair) -> None:
        self.refused.add(pair)

    def merge(self, pair: Pair, token: int) -> None:
        """Put `token` in the place of the pair in every word that holds it."""
        changed: set[Pair] = set()
        for number in self.holders.pop(pair):
            word = self.words[number]
            merged = _merged(word, pair, token)
            if len(merged) < len(word):
                changed |= self._recount(number, word, merged)
                self.words[number] = merged
        for one in changed:
            if times := self.times[one]:
                heapq.heappush(self.heap, (-times, one))
            else:
                del self.times[one]

    def _recount(self, number: int, word: list[int], merged: list[int]) -> set[Pair]:
        """The pairs that a word's change touches."""
        count = self.counts[number]
        for pair in pairwise(word):
            self.times[pair] -= count
        for pair in pairwise(merged):
            self.times[pair] += count
            self.holders[pair].add(number)
        return {*pairwise(word), *pairwise(merged)}


def _merged(word: list[int], pair: Pair, token: int) -> list[int]:
    left, right = pair
    merged, at, last = [], 0, len(word) - 1
    while at <= last:
        if at < last and word[at] == left and word[at + 1] == right:
            merged.append(token)
            at += 2
        else:
            merged.append(word[at])
            at += 1
    return merged
