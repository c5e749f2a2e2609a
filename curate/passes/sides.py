"""Which side every record stands on: what has a side whatever the draw, and who is drawn or dealt first.

    roles, sources, dates      ─▶ fixed sides: control text, a source held out, what is later than the cut
    ids, clusters, groups      ─▶ places in [0, 1), in order of time where a split is by time
    places ─▶ shares of them, or dealt in their order until a size is reached

- *time*: a cluster is as old as its earliest copy, those that left included. What was public before the cut is no new
  text: it is trained on, whole, and never tests. So is what has no date. A general source without a single date is
  dealt as by cluster: what is forgotten must be measured on something.
- *source*: the named sources are held out, and with them every cluster that touches one. All other domain text is
  trained on; general text that is not named is drawn as by cluster.
- *sizes* hold for the domain, and for each general source by itself; stratified, for each source in proportion.

One byte of a record is held, and what its ties take (curate/passes/ties.py). Moments lie in a file of eight bytes a
record; what is dealt goes through partitions by place, which are read until all sizes are reached.

Legend: N records, s strata: what sizes hold for.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from curate.dates import DAY, moment, moment_of
from curate.dedup.partitions import Spill, parts_for
from curate.passes.sifted import Int64s
from curate.passes.ties import Ties, Whole, clusters, groups_of, places_of_groups, with_groups
from curate.settings import ByGroup, BySource, ByTime, Source, Split
from curate.shards.fault import Fault
from curate.split import NOWHERE, SIDES, TEST, TRAIN, VALIDATION, Float64s, Sides, assign, deal, places
from curate.text import UInt64s

BYTES_PER_TOKEN = 4.0  # of English under a vocabulary of tens of thousands, where no tokenizer can be asked
LAST_DAY = 9999 * 366
UNDATED, NOT_ASKED = 0, np.iinfo(np.int64).max  # moments; the latter of general text without any


def assign_sides(
    whole: Whole, settings: Split, seed: int, bytes_per_token: Mapping[str, float] | None = None
) -> tuple[Sides, dict[str, Any]]:
    """The side of every record (N,), and what there is to tell of the ties. `bytes_per_token`: by source."""
    split = _Split(whole, settings, seed, bytes_per_token or {}, clusters(whole, seed))
    if isinstance(settings.by, ByGroup):
        split.groups, without = groups_of(whole, settings.by.group)
        if without and without == whole.kept.sum():
            hint = "fields of a record other than its text and id can be named, with dots into nested objects"
            raise Fault(f"no record has the field {settings.by.group!r}", where="curate.split.by.group", hint=hint)
        split.ties = with_groups(whole, split.ties, split.groups, seed)
        split.told = {"without_field": without, "largest_tie": split.largest_tie()}
    if isinstance(settings.by, ByTime):
        _date(split, settings.by.time)
    split.side = _fixed(split)
    if has_sizes(settings):
        _deal(split)
    else:
        _draw(split)
    split.side[~whole.kept] = NOWHERE
    return split.side, split.told


def has_sizes(settings: Split) -> bool:
    """Whether sizes have to be met, rather than each cluster drawn by itself."""
    in_order = settings.stratified or settings.sizes == "tokens" or isinstance(settings.by, ByTime)
    return in_order or max(settings.validation, settings.test) >= 1


def holds_out_test(settings: Split, sources: Sequence[Source]) -> bool:
    """Whether the domain is to have test text."""
    if isinstance(settings.by, BySource):
        named = set(settings.by.test_sources)
        return any(source.role == "domain" and source.name in named for source in sources)
    return settings.test > 0 or (isinstance(settings.by, ByTime) and settings.by.test_from is not None)


def where_empty(settings: Split, side: np.uint8) -> tuple[str, str]:
    """(field, hint) where the domain has nothing on a side."""
    if isinstance(settings.by, BySource):
        return "curate.split.by", "name other sources in curate.split.by.test_sources: these hold all of it, or nothing"
    if isinstance(settings.by, ByTime):
        return "curate.split.by", f"look whether {settings.by.time!r} holds dates (ISO 8601 or years), and move the cut"
    how = "widen" if side == TEST else "narrow"
    if isinstance(settings.by, ByGroup):
        return "curate.split", f"{how} curate.split.test, or group by a field of more values than {settings.by.group!r}"
    where = "curate.split.test" if side == TEST else "curate.split"
    return where, f"{how} curate.split.test, or give more documents"


@dataclass(slots=True)
class _Split:
    """A split in the making."""

    whole: Whole
    settings: Split
    seed: int
    bytes_per_token: Mapping[str, float]
    ties: Ties
    side: Sides = field(default_factory=lambda: np.zeros(0, np.uint8))  # (N,) NOWHERE: not settled yet
    groups: UInt64s | None = None  # (N,)
    moments: Int64s | None = None  # (N,) of the earliest of its tie
    undated: tuple[str, ...] = ()  # general sources without a single date
    told: dict[str, Any] = field(default_factory=dict)

    def largest_tie(self) -> int:
        """Documents that stay."""
        kept = self.ties.tie[self.whole.kept[self.ties.record]]
        return int(np.unique(kept, return_counts=True)[1].max(initial=1))

    def placed(self, unit: int) -> Iterator[tuple[slice, Float64s]]:
        """Where the records of a unit stand by hash, by row group."""
        for at, rows in self.whole.sifted.groups(unit, ["id"]):
            place = places(self.whole.repeats.unique(np.arange(at.start, at.stop), rows["id"]), self.seed)
            if self.groups is not None:
                grouped = np.flatnonzero(self.groups[at])
                place[grouped] = places_of_groups(self.groups[at][grouped], self.seed)
            yield at, self.ties.over(at, place, self.ties.place)

    def amounts(self, unit: int) -> Iterator[tuple[slice, Int64s]]:
        """What each record of a unit counts for, by row group: one document, or its tokens as its bytes tell."""
        ratio = self.bytes_per_token.get(self.whole.sources[unit].name, BYTES_PER_TOKEN)
        for at, rows in self.whole.sifted.groups(unit, ["n_bytes"]):
            tokens = np.maximum(np.rint(rows["n_bytes"].to_numpy() / ratio), 1).astype(np.int64)
            yield at, tokens if self.settings.sizes == "tokens" else np.ones(len(rows), np.int64)


# -- by time


def _date(split: _Split, name: str) -> None:
    """When each record was written, one more than `curate.dates.moment`."""
    whole = split.whole
    moments = np.lib.format.open_memmap(whole.scratch / "moments.npy", "w+", np.int64, (len(whole.sifted),))
    dated, without = set(), 0
    for unit, records, metas in whole.metas():
        found = [moment_of(meta, name) for meta in metas]
        moments[records] = [UNDATED if one is None else one + 1 for one in found]
        if (moments[records] != UNDATED).any():
            dated.add(whole.sources[unit].name)
        without += int((moments[records][whole.kept[records]] == UNDATED).sum())
    split.undated = tuple(sorted({s.name for s in whole.sources if s.role == "general"} - dated))
    for unit, source in enumerate(whole.sources):
        if source.name in split.undated:
            moments[whole.sifted.records_of(unit)] = NOT_ASKED
    moments[split.ties.record] = split.ties.least(moments[split.ties.record], NOT_ASKED)
    split.moments = moments
    split.told = {"without_field": without, "dealt_by_cluster": list(split.undated)}


def _per_day(split: _Split, moments: Int64s) -> Int64s:
    """Records of each day."""
    counts = np.zeros(LAST_DAY + 1, np.int64)
    for unit in range(split.whole.sifted.units):
        part = split.whole.sifted.records_of(unit)
        some = moments[part][split.whole.kept[part]]
        found = np.bincount(some[some != NOT_ASKED] // DAY)
        counts[: len(found)] += found
    return counts


def _latest_first(moments: Int64s, hashed: Float64s, per_day: Int64s) -> Float64s:
    """Places in the order of time, the latest near 0, spread evenly: by day, by second, by hash."""
    asked = moments != NOT_ASKED
    day, second = np.divmod(moments[asked], DAY)
    later = per_day.sum() - np.cumsum(per_day)
    within = (DAY - 1 - second + hashed[asked]) / DAY
    place = hashed.copy()
    place[asked] = (later[day] + within * per_day[day]) / max(1, per_day.sum())
    return place


# -- sides that are settled before anything is drawn


def _fixed(split: _Split) -> Sides:
    """Sides that follow from role, source or date; of a tie, the one that is trained on least."""
    whole, by = split.whole, split.settings.by
    side = np.full(len(whole.sifted), NOWHERE, np.uint8)
    for unit, source in enumerate(whole.sources):
        part = whole.sifted.records_of(unit)
        side[part] = _of_source(source, split.settings)
        if split.moments is not None and isinstance(by, ByTime):
            side[part] = np.maximum(side[part], _of_moments(split.moments[part], by))
    side[~whole.kept] = NOWHERE
    tied = side[split.ties.record]
    side[split.ties.record] = TEST - split.ties.least(TEST - tied, TEST)  # the sides ascend from NOWHERE to TEST
    return side


def _of_source(source: Source, settings: Split) -> np.uint8:
    if source.role == "control":
        return TEST
    if not isinstance(settings.by, BySource):
        return NOWHERE
    if source.name in settings.by.test_sources:
        return TEST
    if source.name in settings.by.validation_sources:
        return VALIDATION
    return TRAIN if source.role == "domain" else NOWHERE


def _of_moments(moments: Int64s, by: ByTime) -> Sides:
    """Without both dates some stay unsettled: the latest share is taken of them."""
    side = np.where(moments == UNDATED, TRAIN, NOWHERE)
    asked = moments != NOT_ASKED
    if by.test_from is not None and by.validation_from is not None:
        side[asked] = TRAIN
    for begins, held_out in ((by.validation_from, VALIDATION), (by.test_from, TEST)):
        if begins is not None:
            side[asked & (moments - 1 >= (moment(begins) or 0))] = held_out
    return side


# -- the draw, and the deal


def _draw(split: _Split) -> None:
    """Each cluster by itself, by shares of the places."""
    for unit in range(split.whole.sifted.units):
        if (split.side[split.whole.sifted.records_of(unit)] != NOWHERE).all():
            continue
        for at, place in split.placed(unit):
            drawn = assign(place, split.settings.validation, split.settings.test)
            split.side[at] = np.where(split.side[at] == NOWHERE, drawn, split.side[at])


def _deal(split: _Split) -> None:
    """In the order of the places, until every stratum has what it needs. The rest is trained on."""
    strata = _strata(split)
    need = _needs(split, strata)
    with Spill(split.whole.scratch / "deal", 5, parts_for(int(split.whole.kept.sum()))) as spill:
        for at, columns in _entries(split, strata):
            free = np.flatnonzero(split.whole.kept[at] & (split.side[at] == NOWHERE))
            spill.add(np.stack([column.astype(np.uint64)[free] for column in columns], axis=1))
            split.side[at][free] = TRAIN
    for entries in spill.read():
        if not (need > 0).any():
            break
        entries = entries[np.lexsort((entries[:, 4], entries[:, 1], entries[:, 0]))]
        _, tie, stratum, amount, record = entries.astype(np.int64).T
        split.side[record] = deal(tie, stratum, amount, need)


def _entries(split: _Split, strata: Int64s) -> Iterator[tuple[slice, tuple[np.ndarray, ...]]]:
    """(records, (place as 64 bits, tie, stratum, amount, record)) by row group."""
    per_day = _per_day(split, split.moments) if split.moments is not None else None
    for unit in range(split.whole.sifted.units):
        for (at, place), (_, amount) in zip(split.placed(unit), split.amounts(unit), strict=True):
            if split.moments is not None and per_day is not None:
                place = _latest_first(split.moments[at], place, per_day)
            key = (np.minimum(place, 1 - 2.0**-53) * 2.0**53).astype(np.uint64) << np.uint64(11)
            stratum = np.full(len(key), strata[unit])
            yield at, (key, split.ties.numbers(at), stratum, amount, np.arange(at.start, at.stop))


def _corpus(source: Source) -> str:
    return "" if source.role == "domain" else source.name


def _strata(split: _Split) -> Int64s:
    """The number of each unit's stratum: of a corpus, or of each of its sources by name."""
    by_source = split.settings.stratified
    names = [(_corpus(source), source.name if by_source else "") for source in split.whole.sources]
    order = {name: place for place, name in enumerate(sorted(set(names)))}
    return np.array([order[name] for name in names], np.int64)


def _needs(split: _Split, strata: Int64s) -> Int64s:
    """(sides, s): what each stratum is to have on a side, less what stands there already."""
    have, corpora = _have(split, strata), dict[str, set[int]]()
    for unit, source in enumerate(split.whole.sources):
        if source.role != "control":  # test text throughout
            corpora.setdefault(_corpus(source), set()).add(int(strata[unit]))
    need = np.zeros_like(have)
    for corpus, numbers in corpora.items():
        its = sorted(numbers)
        there = np.cumsum([0, *have[:, its].sum(axis=0)])
        for side, size in _sizes(split, corpus):
            of_all = size if size >= 1 else size * there[-1]
            upto = np.rint(of_all * there / max(1, there[-1]))  # what is rounded in one stratum is made up in the next
            need[side, its] = np.diff(upto).astype(np.int64) - have[side, its]
    return need


def _sizes(split: _Split, corpus: str) -> Iterator[tuple[np.uint8, float]]:
    """What is dealt of a corpus. A side that begins at a date takes no share besides."""
    settings, by = split.settings, split.settings.by
    dates = (
        (by.validation_from, by.test_from) if isinstance(by, ByTime) and corpus not in split.undated else (None,) * 2
    )
    for side, size, begins in zip((VALIDATION, TEST), (settings.validation, settings.test), dates, strict=True):
        if begins is None:
            yield side, size


def _have(split: _Split, strata: Int64s) -> Int64s:
    """(sides, s): what of each stratum stands on a side already; NOWHERE: what is to be dealt."""
    have = np.zeros((len(SIDES), int(strata.max(initial=-1)) + 1), np.int64)
    for unit, number in enumerate(strata.tolist()):
        for at, amount in split.amounts(unit):
            kept = split.whole.kept[at]
            have[:, number] += np.bincount(split.side[at][kept], amount[kept], len(SIDES)).astype(np.int64)
    return have
