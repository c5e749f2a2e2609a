"""Packed batches from disk: ours from memory-mapped shards, beside the loaders that others train from.

    python -m benchmarks.reading --tokens 40_000_000

The rows of one epoch over generated documents, in shuffled order, as batches of input_ids, labels and position_ids.
Ours puts them together from the documents in the Arrow shards (2 bytes a token) while it reads; the peers
(benchmarks/readers.py) read the same rows packed and written beforehand. Every side must give equal sums of ids,
labels and positions; a peer that is not installed is named and left out.

*Warm*: files in the page cache, the data set opened beforehand, one thread, its CPU seconds. One more row lays the
documents of the very same shards into rows through `datasets`, as a collator would.

*Cold*: a fresh process goes through a small corpus (imports, kernels), then has its large files dropped from the
page cache (benchmarks/cold.py), and what counts is the wall time from opening to the last batch.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.cold import evict, files_below, in_a_fresh_process
from benchmarks.contest import Entrant, Outcome, Unequal, cpu_seconds, hold, parser, tell, wall_seconds
from benchmarks.packing import lengths_of
from benchmarks.readers import OURS, PEERS, ROWS_AT_ONCE, Arrays, Reader, Sums, stream_of, write_corpus
from pretrain.rows import NO_TARGET
from pretrain.stream import Stream

VOCABULARY = 4096
MEAN_LENGTH = 400  # of `lengths_of`
READERS = (OURS, *PEERS)


def main(line: list[str] | None = None) -> None:
    asked = parser(__doc__)
    asked.add_argument("--tokens", type=int, default=5_000_000, help="to read (default: %(default)s)")
    asked.add_argument("--row", type=int, default=2048, help="tokens of a row (default: %(default)s)")
    given = asked.parse_args(line)
    os.environ["HF_DATASETS_OFFLINE"] = "1"
    with tempfile.TemporaryDirectory() as folder:
        large, small = Path(folder) / "large", Path(folder) / "small"
        os.environ["HF_HOME"] = f"{folder}/cache"
        for place, tokens in ((large, given.tokens), (small, min(given.tokens, 8 * ROWS_AT_ONCE * given.row))):
            in_a_fresh_process(write_all, place, tokens, given.row)
        # maps of a file keep it in memory, so this process opens none
        sums, outcome = in_a_fresh_process(warm, large, given.row, given.rounds)
        tell(given, [outcome, cold(outcome, sums, large, small, given.row, given.rounds)])


def place_of(reader: Reader, folder: Path) -> Path:
    return folder / "corpus" if reader is OURS else folder / f"peer-{PEERS.index(reader)}"


def write_all(folder: Path, tokens: int, row: int) -> None:
    """The corpus, and every peer's files of one epoch of it."""
    write_corpus(folder / "corpus", lengths_of(max(tokens // MEAN_LENGTH, 1)), VOCABULARY)
    stream = stream_of(folder / "corpus", row)
    for reader in READERS:
        if reader.is_here:
            reader.write(stream, place_of(reader, folder))


def warm(folder: Path, row: int, rounds: int) -> tuple[Sums, Outcome]:
    """(what everyone must read, who took how long)"""
    import datasets

    stream = stream_of(folder / "corpus", row)
    documents = datasets.load_from_disk(str(folder / "corpus" / "train")).with_format("numpy")
    wanted = [_pieces(stream, step) for step in range(stream.steps)]
    sides: dict[str, Any] = {}
    for reader in (one for one in READERS if one.is_here):
        sides[reader.name] = partial(reader.batches, reader.open(place_of(reader, folder), row))
    sides["datasets, documents laid into rows"] = lambda: (_laid(documents, step) for step in wanted)
    ours = Sums.of(sides["ours"]())
    for name, side in sides.items():
        if not (found := Sums.of(side())).agrees_with(ours):
            raise Unequal(f"{name} reads {found}, ours {ours}")
    # the time of the sums is no part of reading: a turn only takes each batch and lets it go
    entrants = [
        Entrant(name, partial(cpu_seconds, partial(_exhaust, side)), lambda: None) for name, side in sides.items()
    ]
    places = stream.rows * row
    return ours, Outcome(
        work=f"Warm: batches of {ROWS_AT_ONCE} rows of {row:,} tokens, one epoch of {places:,} places, shuffled",
        unit="tokens",
        amount=places,
        clock="CPU",
        turns=hold(entrants, rounds),
        same_work=f"all give equal sums of ids and positions, and {ours.targets:,} targets of the same sum where they "
        "give labels",
        notes=("Files lie in the page cache for everyone.", *_missing()),
    )


def cold(warm: Outcome, sums: Sums, large: Path, small: Path, row: int, rounds: int) -> Outcome:
    left: list[float] = []

    def turn(number: int) -> float:
        reader = READERS[number]
        seconds, found, cached = in_a_fresh_process(
            cold_turn, number, place_of(reader, large), place_of(reader, small), row
        )
        if not found.agrees_with(sums):
            raise Unequal(f"{reader.name} reads {found} cold, {sums} warm")
        left.append(cached)
        return seconds

    here = [number for number, reader in enumerate(READERS) if reader.is_here]
    entrants = [Entrant(READERS[number].name, partial(turn, number), lambda: None) for number in here]
    turns = hold(entrants, rounds)
    return replace(
        warm,
        work=warm.work.replace("Warm", "Cold"),
        clock="wall",
        turns=turns,
        notes=(
            f"Of the files' pages at most {max(left):.1%} were still in the page cache when a turn began.",
            *_missing(),
        ),
    )


def cold_turn(number: int, large: Path, small: Path, row: int) -> tuple[float, Sums, float]:
    """(seconds from opening to the last batch, sums, share of the pages that was still in memory)"""
    reader = READERS[number]
    Sums.of(reader.batches(reader.open(small, row)))
    cached = evict(files_below(large))
    seconds = wall_seconds(lambda: _exhaust(lambda: reader.batches(reader.open(large, row))))
    return seconds, Sums.of(reader.batches(reader.open(large, row))), cached


def _missing() -> tuple[str, ...]:
    return tuple(f"{peer.name} is not installed here: left out." for peer in PEERS if not peer.is_here)


def _exhaust(side: Any) -> None:
    for _ in side():
        pass


# -- documents laid into rows by hand


def _pieces(stream: Stream, step: int) -> list[tuple[int, int, int]]:
    """(document or -1 for padding, its first token, how many) of every segment of a step, in order."""
    batch = stream.batch(step)
    lengths = np.diff(batch.cu_seqlens)
    return list(zip(batch.segment_document.tolist(), batch.segment_start.tolist(), lengths.tolist(), strict=True))


def _laid(documents: Any, pieces: list[tuple[int, int, int]]) -> Arrays:
    """What a collator over `datasets` does: fetch the documents of the batch, copy their pieces to their places."""
    places = sum(length for *_, length in pieces)
    ids, labels = np.zeros(places, np.int64), np.full(places, NO_TARGET, np.int64)
    positions = np.empty(places, np.int64)
    fetched: Iterator[Any] = iter(documents[[document for document, *_ in pieces if document >= 0]]["input_ids"])
    at = 0
    for document, start, length in pieces:
        if document >= 0:
            tokens = next(fetched)
            ids[at : at + length] = tokens[start : start + length]
            following = tokens[start + 1 : start + length + 1]
            labels[at : at + len(following)] = following
        positions[at : at + length] = np.arange(length)
        at += length
    return ids, labels, positions


if __name__ == "__main__":
    main()
