"""Gopher's measures and verdicts: ours beside datatrove's two Gopher filters, on the same documents and words.

    python -m benchmarks.measuring --data ../shared/data --mb 8

Ours starts from strings, finds the words, takes all 21 measures of every document and holds every rule against them.
datatrove's filters stop at the first rule a document fails, and are given our words as ready lists: two advantages for
datatrove. One thread each. A verdict (does the document stay?) must be the same for both but for the slips of
datatrove that `curate/measures/gopher_repetition.py` names and mends.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from itertools import pairwise

import numpy as np
from datatrove.data import Document
from datatrove.pipeline.filters import GopherQualityFilter, GopherRepetitionFilter
from datatrove.utils.word_tokenizers import WordTokenizer

from benchmarks.contest import Entrant, Outcome, Unequal, cpu_seconds, hold, parser, tell
from benchmarks.datatrove_words import Expression, Given, own_splitter
from benchmarks.texts import n_bytes, texts
from curate.measured import families, measure
from curate.presets.gopher import RULES
from curate.rules import judge
from curate.text import TextBatch

NOT_ALIKE = 0.01  # share of verdicts that may differ: the mended slips touch few documents
BATCH_BYTES = 8 << 20  # of a batch, as readers cut them

Verdicts = list[str | None]  # the reason a document leaves for, None where it stays


def main(line: list[str] | None = None) -> None:
    given = parser(__doc__, mb=4).parse_args(line)
    documents = texts(given.data, given.mb)
    words = Given(documents)
    same_work = check(ours(documents), datatrove(documents, words), len(documents))
    contenders: dict[str, Callable[[list[str]], object]] = {
        "ours, words and measures": ours,
        "datatrove, given our words": lambda these: datatrove(these, words),
        "datatrove, words by regular expression": lambda these: datatrove(these, Expression()),
    }
    own = own_splitter()
    if own is not None:
        contenders["datatrove, its own words (spaCy)"] = lambda these: datatrove(these, own)
    entrants = [_entrant(name, work, documents) for name, work in contenders.items()]
    notes = ["Ours takes every measure and judges every rule; datatrove stops at the first that fails."]
    if own is None:
        notes.append("datatrove's own English word splitter (spaCy) is not installed and was left out.")
    outcome = Outcome(
        work=f"{len(documents):,} documents, {n_bytes(documents) / 1e6:.1f} MB: Gopher quality and "
        "repetition, verdicts",
        unit="MB",
        amount=n_bytes(documents) / 1e6,
        clock="CPU",
        turns=hold(entrants, given.rounds),
        same_work=same_work,
        notes=tuple(notes),
    )
    tell(given, [outcome])


def _entrant(name: str, work: Callable[[list[str]], object], documents: list[str]) -> Entrant:
    return Entrant(name, lambda: cpu_seconds(lambda: work(documents)), lambda: work(documents[:20]))


def ours(documents: list[str]) -> Verdicts:
    taken = families(["gopher_quality", "gopher_repetition"])
    verdicts: Verdicts = []
    for part in _batches(documents):
        verdicts += judge(measure(TextBatch.of(part), taken), RULES).first.to_pylist()
    return verdicts


def _batches(documents: list[str]) -> list[list[str]]:
    ends = np.cumsum([len(text) for text in documents]) // BATCH_BYTES
    cuts = [0, *(np.flatnonzero(np.diff(ends)) + 1).tolist(), len(documents)]
    return [documents[a:b] for a, b in pairwise(cuts)]


def datatrove(documents: list[str], words: WordTokenizer) -> Verdicts:
    """As in its pipelines: the second filter sees what the first lets through."""
    filters = (GopherQualityFilter(language=words), GopherRepetitionFilter(language=words))
    return [_first_reason(Document(text=text, id=""), filters) for text in documents]


def _first_reason(document: Document, filters: tuple[GopherQualityFilter, GopherRepetitionFilter]) -> str | None:
    for one in filters:
        answer = one.filter(document)
        if answer is not True:
            return str(answer[1]) if isinstance(answer, tuple) else one.name
    return None


def check(mine: Verdicts, theirs: Verdicts, n: int) -> str:
    """What the verdicts have in common. Raises Unequal where more differ than the mended slips explain."""
    pairs = list(zip(mine, theirs, strict=True))
    differ = Counter((a or "stays", b or "stays") for a, b in pairs if (a is None) != (b is None))
    if sum(differ.values()) > max(1, NOT_ALIKE * n):
        raise Unequal(f"{sum(differ.values())} of {n} verdicts differ (ours, datatrove's): {differ.most_common(5)}")
    kept = sum(a is None for a in mine)
    told = f"{n:,} verdicts, {n - sum(differ.values()):,} equal ({kept:,} stay)"
    return told + "".join(f"; {k} {a} by ours, {b} by datatrove's" for (a, b), k in sorted(differ.items()))


if __name__ == "__main__":
    main()
