"""Families of measures and their verdicts: ours beside datatrove's filters, on the same documents and words.

    python -m benchmarks.measuring --data ../shared/data --mb 200 --part 20

One contest per family, and one of all families at once, which has no peer. Ours starts from strings, finds words and
lines, takes every measure of every document and holds every rule against them. datatrove's filters stop at the first
rule a document fails, and are given our words as ready lists: two advantages for datatrove. One thread each; datatrove,
which would take minutes, does the first megabytes (`--part`). A verdict on these (does the document stay?) must be the
same for both but for the differences that the families' files name as meant.

RefinedWeb's line-wise measures and those of domain text have no peer in datatrove: they are timed alone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from datatrove.data import Document
from datatrove.pipeline.filters import (
    C4QualityFilter,
    FineWebQualityFilter,
    GopherQualityFilter,
    GopherRepetitionFilter,
)
from datatrove.pipeline.filters.base_filter import BaseFilter
from datatrove.utils.word_tokenizers import WordTokenizer

from benchmarks.contest import Entrant, Outcome, Unequal, cpu_seconds, hold, parser, tell
from benchmarks.corpus import documents
from benchmarks.datatrove_words import Expression, Given, own_splitter
from benchmarks.texts import in_batches, n_bytes, up_to
from curate.measured import families, measure
from curate.memory import keep_memory
from curate.rules import judge, preset
from curate.text import TextBatch

NOT_ALIKE = 0.01  # share of verdicts that may differ: what is meant to differ touches few documents

Verdicts = list[str | None]  # the reason a document leaves for, None where it stays
Filters = Callable[[WordTokenizer], tuple[BaseFilter, ...]]


@dataclass(frozen=True, slots=True)
class Family:
    """What is measured by ours, by which rules it is judged, and datatrove's filters for the same (none: no peer)."""

    title: str
    measures: tuple[str, ...]
    presets: tuple[str, ...]
    theirs: Filters | None = None


GOPHER = ("gopher_quality", "gopher_repetition")
FAMILIES = (
    Family(
        "Gopher quality and repetition",
        GOPHER,
        ("gopher",),
        lambda words: (GopherQualityFilter(language=words), GopherRepetitionFilter(language=words)),
    ),
    Family("C4", ("c4",), ("c4",), lambda words: (C4QualityFilter(language=words),)),
    Family("FineWeb", ("fineweb",), ("fineweb",), lambda words: (FineWebQualityFilter(language=words),)),
    Family("RefinedWeb, line-wise", ("refinedweb",), ("refinedweb",)),
    Family("domain text", ("domain_text",), ()),
    Family(
        "all five families",
        (*GOPHER, "c4", "fineweb", "refinedweb", "domain_text"),
        ("gopher", "c4", "fineweb", "refinedweb"),
    ),
)


def main(line: list[str] | None = None) -> None:
    keep_memory()  # as every worker of a pass does
    asked = parser(__doc__, mb=4)
    asked.add_argument("--part", type=float, help="MB of it that datatrove does (default: all)")
    given = asked.parse_args(line)
    whole = list(documents(given.data, given.mb))
    part = list(up_to(given.part * 1e6, iter(whole))) if given.part else whole
    words, own = Given(part), own_splitter()
    tell(given, [contest(family, whole, part, words, own, given.rounds) for family in FAMILIES])


def contest(
    family: Family, whole: list[str], part: list[str], words: WordTokenizer, own: WordTokenizer | None, rounds: int
) -> Outcome:
    mb = n_bytes(whole) / 1e6
    work = f"{len(whole):,} documents, {mb:.1f} MB: {family.title}"
    entrants = [_entrant("ours, words and measures", lambda these: ours(family, these), whole, whole)]
    if family.theirs is None:
        turns = hold(entrants, rounds)
        told = f"{len(whole):,} documents measured; datatrove has no such filters"
        return Outcome(f"{work}, ours alone", "MB", mb, "CPU", turns, told)
    entrants.append(_from_words_on(family, part, whole))
    entrants += [_entrant(name, peer, part, whole) for name, peer in _peers(family.theirs, words, own).items()]
    notes = ["Ours takes every measure and judges every rule; datatrove stops at the first that fails."]
    if family.title == "C4":
        notes.append("datatrove's C4 filter splits words at white space, whoever gives it words.")
    elif own is None:
        notes.append("datatrove's own English word splitter (spaCy) is not installed and was left out.")
    same_work = check(ours(family, part), datatrove(part, family.theirs(words)), len(part))
    return Outcome(f"{work}, verdicts", "MB", mb, "CPU", hold(entrants, rounds), same_work, tuple(notes))


def _peers(
    filters: Filters, words: WordTokenizer, own: WordTokenizer | None
) -> dict[str, Callable[[list[str]], object]]:
    """datatrove with words from wherever it may get them."""
    found: dict[str, Callable[[list[str]], object]] = {
        "datatrove, given our words": lambda these: datatrove(these, filters(words)),
        "datatrove, words by regular expression": lambda these: datatrove(these, filters(Expression())),
    }
    if own is not None:
        found["datatrove, its own words (spaCy)"] = lambda these: datatrove(these, filters(own))
    return found


def _from_words_on(family: Family, part: list[str], whole: list[str]) -> Entrant:
    """Ours with the words given, as datatrove has them in its fastest row."""
    batches = [TextBatch.of(some) for some in in_batches(part)]
    taken, rules = families(family.measures), preset(family.presets)

    def work(_: list[str]) -> None:
        for batch in batches:
            fresh = TextBatch(batch.array)
            fresh.__dict__["words"] = batch.words  # found in the warm-up
            judge(measure(fresh, taken), rules)

    return _entrant("ours, given the words", work, part, whole)


def _entrant(name: str, work: Callable[[list[str]], object], some: list[str], whole: list[str]) -> Entrant:
    part = n_bytes(some) / 1e6 if len(some) < len(whole) else None
    return Entrant(name, lambda: cpu_seconds(lambda: work(some)), lambda: work(some[:20]), part=part)


def ours(family: Family, texts: list[str]) -> Verdicts:
    taken, rules = families(family.measures), preset(family.presets)
    verdicts: Verdicts = []
    for part in in_batches(texts):
        verdicts += judge(measure(TextBatch.of(part), taken), rules).first.to_pylist()
    return verdicts


def datatrove(texts: list[str], filters: Sequence[BaseFilter]) -> Verdicts:
    """As in its pipelines: the second filter sees what the first lets through."""
    return [_first_reason(Document(text=text, id=""), filters) for text in texts]


def _first_reason(document: Document, filters: Sequence[BaseFilter]) -> str | None:
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
