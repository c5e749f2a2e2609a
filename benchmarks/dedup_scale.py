"""Deduplication as the corpus grows: time, memory and recall on millions of documents whose copies are known.

    python -m benchmarks.dedup_scale --million 1 2 4 8 --crowded 1 2 4

The corpus is benchmarks/known_copies.py: 15 of 100 documents are equal copies of another, 15 near ones, 2 share a
template that must not merge. With `--crowded` sizes, a second one where 91 of 100 are of a family. For each size

1. a process makes keys and signatures of all documents with two threads, into files;
2. another decides over them, as `postgrad curate` does (curate/dedup/resolve.py); its memory is the most that the
   kernel ever counted (VmHWM), read before anything is checked;
3. then each planted pair is compared exactly, and so is each document that leaves with the copy it left for.

Time is 1 + 2 on the wall, less what the generator took in either; the disk is synced between them, untimed. Memory
beyond the partition buffer is what grows with the documents: the difference of two peaks over that of their documents.
The buffer is the same at every size: a part of the band keys while it is sorted, the pairs, shingle sets and members
held at a time (ENTRIES_HELD, PAIRS_HELD, HASHES_HELD and MEMBERS_HELD in curate/dedup). Linux only.
"""

from __future__ import annotations

import multiprocessing
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.contest import Table, parser, short, tell
from benchmarks.known_copies import AT_ONCE, BASE, CROWDED, CYCLE, EQUAL, USUAL, KnownCopies, MadeSketches, Pattern
from curate.dedup.bands import candidate_probability
from curate.dedup.partitions import positions
from curate.dedup.resolve import NOT_REMOVED, Resolution, resolve
from curate.dedup.verify import jaccards
from curate.settings import Duplicates
from curate.text import Int64s, UInt64s

Families = dict[tuple[int, int], int]
Float64s = npt.NDArray[np.float64]

SETTINGS = Duplicates()
PERMUTATIONS = SETTINGS.bands * SETTINGS.rows
TINY = 2_000  # documents of the process that the others are compared with
EDGES = (0.0, SETTINGS.verify_at_least, 0.85, 0.9, 0.95, 1.0)  # of Jaccard, between which recall is stated
THREADS = 2


@dataclass(frozen=True, slots=True)
class Decided:
    """What step 2 and 3 tell of one size."""

    seconds: float
    cpu_seconds: float
    peak: int  # bytes
    clustered: int
    removed: int
    compared: int
    removed_rightly: int = 0  # their Jaccard with the copy they left for reaches the bound
    families_merged: int = 0  # documents in a cluster that bears another family's name
    planted: tuple[int, ...] = ()  # pairs by Jaccard: between the edges, and equal ones
    found: tuple[int, ...] = ()
    expected: tuple[float, ...] = ()
    """Of these: how many of them share a band on average, by the formula."""


@dataclass(frozen=True, slots=True)
class Size:
    documents: int
    seconds_of_sketches: float
    decided: Decided

    @property
    def seconds(self) -> float:
        return self.seconds_of_sketches + self.decided.seconds

    @property
    def planted(self) -> int:
        """Pairs that reach the bound."""
        return sum(self.decided.planted[1:])

    @property
    def found(self) -> int:
        return sum(self.decided.found[1:])


def main(line: list[str] | None = None) -> None:
    asked = parser(__doc__)
    asked.add_argument("--million", type=float, nargs="+", default=[0.1, 0.2], help="documents (default: %(default)s)")
    asked.add_argument("--crowded", type=float, nargs="*", default=[0.1], help="and of the crowded corpus")
    given = asked.parse_args(line)
    results = []
    measure(TINY, USUAL)  # compiles
    tiny = measure(TINY, USUAL)
    for title, families, millions in (("", USUAL, given.million), (", crowded", CROWDED, given.crowded)):
        if millions:
            sizes = [measure(round(million * 1e6) // CYCLE * CYCLE, families) for million in sorted(millions)]
            results += [by_size(f"Deduplication of documents{title}, alone", sizes, tiny), by_jaccard(title, sizes[-1])]
    tell(given, results)


def measure(documents: int, families: Families) -> Size:
    with tempfile.TemporaryDirectory() as at:
        took = _apart(_sketch, documents, families, Path(at))
        os.sync()
        return Size(documents, took, _apart(_decide, documents, families, Path(at)))


def _apart(work: Callable[..., Any], *given: object) -> Any:
    """In a fresh process, so that its memory is its own."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as process:
        return process.submit(work, *given).result()


# -- in processes of their own


def _sketch(documents: int, families: Families, folder: Path) -> float:
    MadeSketches(KnownCopies(TINY, Pattern.of(families)), folder, PERMUTATIONS).make(THREADS)  # loads the kernels
    sketches = MadeSketches(KnownCopies(documents, Pattern.of(families)), folder, PERMUTATIONS)
    begun = time.perf_counter()
    sketches.make(THREADS)
    return time.perf_counter() - begun - sketches.seconds_of_generator


def _decide(documents: int, families: Families, folder: Path) -> Decided:
    known = KnownCopies(documents, Pattern.of(families))
    sketches, scratch = MadeSketches(known, folder, PERMUTATIONS), folder / "scratch"
    scratch.mkdir()
    begun, begun_cpu = time.perf_counter(), time.process_time()
    found = resolve(sketches, np.ones(documents, np.bool_), SETTINGS, scratch)
    own = sketches.seconds_of_generator
    seconds, cpu_seconds = time.perf_counter() - begun - own, time.process_time() - begun_cpu - own
    peak = most_resident()  # before anything is checked
    removed, rightly = _removed_rightly(sketches, found)
    return Decided(
        seconds=seconds,
        cpu_seconds=cpu_seconds,
        peak=peak,
        clustered=len(found.record),
        removed=removed,
        compared=found.pairs_candidates,
        removed_rightly=rightly,
        families_merged=int((known.bases(found.cluster) != known.bases(found.record)).sum()),
        **_found_of_planted(sketches, found),
    )


def most_resident() -> int:
    """Bytes, of this process since it began."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))


# -- what is true


def _removed_rightly(sketches: MadeSketches, found: Resolution) -> tuple[int, int]:
    """(documents that leave, of them those whose Jaccard with the copy that they name reaches the bound)."""
    left = np.flatnonzero(found.level != NOT_REMOVED)
    parts = _jaccards(sketches, found.record[left], found.duplicate_of[left])
    return len(left), sum(int((part >= SETTINGS.verify_at_least).sum()) for part in parts)


def _found_of_planted(sketches: MadeSketches, found: Resolution) -> dict[str, tuple[Any, ...]]:
    """Of each copy and the document that it was made from: counts by Jaccard of those planted, found, expected."""
    known, told = sketches.known, np.zeros((3, len(EDGES)))
    for at in range(0, known.n, AT_ONCE):
        records = np.arange(at, min(known.n, at + AT_ONCE))
        records = records[known.kinds(records) != BASE]
        bases = known.bases(records)
        jaccard = np.concatenate([np.zeros(0), *_jaccards(sketches, records, bases)])
        jaccard[known.kinds(records) == EQUAL] = 1
        bin_of = np.searchsorted(EDGES, jaccard, side="right") - 1
        told[0] += np.bincount(bin_of, minlength=len(EDGES))
        told[1] += np.bincount(bin_of[_together(found, records, bases)], minlength=len(EDGES))
        told[2] += np.bincount(bin_of, _shares_a_band(jaccard), len(EDGES))
    planted, together, expected = told.tolist()
    return {"planted": tuple(map(int, planted)), "found": tuple(map(int, together)), "expected": tuple(expected)}


def _shares_a_band(jaccards: Float64s) -> Float64s:
    return np.array([candidate_probability(one, SETTINGS.bands, SETTINGS.rows) for one in jaccards.tolist()])


def _together(found: Resolution, left: Int64s, right: Int64s) -> npt.NDArray[np.bool_]:
    """Which pairs are in one cluster."""
    one, two = positions(left, found.record), positions(right, found.record)
    return (one >= 0) & (two >= 0) & (found.cluster[one] == found.cluster[two])


def _jaccards(sketches: MadeSketches, left: Int64s, right: Int64s) -> Iterator[Float64s]:
    for at in range(0, len(left), AT_ONCE):
        some = slice(at, at + AT_ONCE)
        records, where = np.unique(np.concatenate((left[some], right[some])), return_inverse=True)
        offsets, hashes = _sets(sketches, records)
        yield jaccards(offsets, hashes, *np.split(where, 2))


def _sets(sketches: MadeSketches, records: Int64s) -> tuple[Int64s, UInt64s]:
    parts = [(offsets, hashes) for _, offsets, hashes in sketches.shingle_sets(records)]
    sizes = np.concatenate([np.diff(offsets) for offsets, _ in parts])
    return np.concatenate(([0], np.cumsum(sizes))), np.concatenate([hashes for _, hashes in parts])


# -- tables


def by_size(title: str, sizes: Sequence[Size], tiny: Size) -> Table:
    rows = [_row(one, tiny) for one in sizes]
    head = (
        "documents", "sketches, two threads", "decided in", "of CPU", "per million", "peak",
        f"bytes a document beyond a process of {TINY:,}", "in a cluster", "pairs compared", "recall", "precision",
    )  # fmt: skip
    return Table(title, head, tuple(rows), tuple(_notes(sizes)))


def _row(one: Size, tiny: Size) -> tuple[str, ...]:
    found, n = one.decided, one.documents
    seconds = (one.seconds_of_sketches, found.seconds, found.cpu_seconds, one.seconds / n * 1e6)
    return (
        f"{n:,}",
        *(f"{short(each)} s" for each in seconds),
        f"{found.peak / 1e6:.0f} MB",
        f"{_beyond(one, tiny):.0f}",
        _percent(found.clustered, n),
        f"{found.compared:,}",
        _percent(one.found, one.planted),
        _percent(found.removed_rightly, found.removed),
    )


def _notes(sizes: Sequence[Size]) -> Iterator[str]:
    least, most = sizes[0], sizes[-1]
    if most.documents > least.documents:
        times = most.documents / least.documents
        growth = most.seconds / least.seconds / times
        cpu = most.decided.cpu_seconds / least.decided.cpu_seconds / times
        yield (
            f"{times:g} times the documents take {growth:.2f} x {times:g} times as long (deciding alone, on the CPU's "
            f"clock: {cpu:.2f} x)."
        )
        yield f"Beyond the partition buffer: {_beyond(most, least):.0f} bytes a document, from peak to peak."
    yield (
        f"Recall: of planted pairs whose exact Jaccard is at least {SETTINGS.verify_at_least:g}, those in one cluster. "
        "Precision: of documents that leave, those that reach it with the copy that they name."
    )
    merged = sum(one.decided.families_merged for one in sizes)
    yield f"Documents in a cluster that is called by another family's document: {merged}."


def _beyond(more: Size, less: Size) -> float:
    """Bytes of memory a document more takes."""
    return (more.decided.peak - less.decided.peak) / (more.documents - less.documents)


def by_jaccard(title: str, size: Size) -> Table:
    names = [f"{low:g} to {high:g}" for low, high in pairwise(EDGES)] + ["1"]
    rows = [
        (name, f"{planted:,}", f"{found:,}", _percent(found, planted), f"{expected / max(1, planted):.2%}")
        for name, planted, found, expected in zip(
            names, size.decided.planted, size.decided.found, size.decided.expected, strict=True
        )
    ]
    note = (
        "A band shared: 1 - (1 - J^rows)^bands, the mean of the pairs. More are found where a third document connects "
        f"two; below {SETTINGS.verify_at_least:g} that is the only way."
    )
    head = ("exact Jaccard", "planted pairs", "found", "share", "share a band, expected")
    return Table(f"Planted pairs of {size.documents:,} documents{title}, alone", head, tuple(rows), (note,))


def _percent(part: int, of: int) -> str:
    return f"{part / max(1, of):.2%}"


if __name__ == "__main__":
    main()
