"""Packing: the plan of rows for a whole corpus, and batches read from memory-mapped shards.

    python -m benchmarks.packing --documents 2_000_000 --tokens 20_000_000

Two contests, one thread each, on generated documents of log-normal length.

*Plan.* Best-fit decreasing over all documents: ours beside the same method in plain Python (lists and bisect), which
must come to rows of the same fills. Beneath the table: what other ways of packing cost in rows, in documents cut and
in tokens lost. TRL's packer is such a best fit over 1,000 documents at a time (its default); TRL is no dependency of
ours, so the table shows the method, not TRL's own speed.

*Read.* The rows of one epoch as input_ids, labels and position_ids, ours straight from the memory-mapped Arrow shards,
beside Hugging Face `datasets` twice: reading the same shards' documents and laying them into the same rows, and
reading rows that were packed beforehand, as a DataLoader reads them (three columns on disk instead of one). Every
side must give the same numbers.
"""

from __future__ import annotations

import tempfile
from bisect import bisect_left, insort
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from benchmarks.contest import Entrant, Outcome, Unequal, cpu_seconds, hold, parser, tell
from curate.shards.corpus import write_manifest
from curate.shards.format import TokenBatch, write_shard_file, write_split_info
from pretrain.packers.best_fit import BestFit
from pretrain.rows import NO_TARGET, Plan
from pretrain.stream import Corpus, Stream

SEED = 1
ROWS_AT_ONCE = 16  # of a batch
VOCABULARY = 4096
AT_A_TIME = 1_000  # documents that TRL's packers see together, the batch size of `datasets`' map


def main(line: list[str] | None = None) -> None:
    asked = parser(__doc__)
    asked.add_argument("--documents", type=int, default=500_000, help="to plan (default: %(default)s)")
    asked.add_argument("--tokens", type=int, default=5_000_000, help="to read (default: %(default)s)")
    asked.add_argument("--row", type=int, default=2048, help="tokens of a row (default: %(default)s)")
    given = asked.parse_args(line)
    with tempfile.TemporaryDirectory() as folder:
        outcomes = [plan_contest(given.documents, given.row, given.rounds)]
        outcomes.append(read_contest(Path(folder), given.tokens, given.row, given.rounds))
        tell(given, outcomes)


def lengths_of(documents: int) -> np.ndarray:  # (documents,) int32
    """Half below 250 tokens, one in a hundred above 2,500: about what web and abstract corpora hold."""
    draw = np.random.default_rng(SEED)
    return np.clip(draw.lognormal(5.5, 1.0, documents), 8, 50_000).astype(np.int32)


# -- planning


def plan_contest(documents: int, row: int, rounds: int) -> Outcome:
    lengths = lengths_of(documents)
    plain_input = lengths.tolist()
    plan, room = BestFit().plan(lengths, row), plain_best_fit(plain_input, row)
    theirs = np.sort(row - np.array(room))
    if not np.array_equal(np.sort(plan.row_tokens), theirs):
        raise Unequal(f"ours makes {len(plan):,} rows, plain best fit {len(theirs):,}, or of other fills")
    entrants = [
        Entrant("ours", lambda: cpu_seconds(lambda: BestFit().plan(lengths, row)), lambda: None),
        Entrant(
            "best fit in plain Python", lambda: cpu_seconds(lambda: plain_best_fit(plain_input, row)), lambda: None
        ),
    ]
    return Outcome(
        work=f"Best-fit plan of {documents:,} documents ({int(lengths.sum(dtype=np.int64)):,} tokens), rows of {row:,}",
        unit="documents",
        amount=documents,
        clock="CPU",
        turns=hold(entrants, rounds),
        same_work=f"both make {len(plan):,} rows of the same fills",
        notes=tuple(_told(name, *found) for name, found in methods(lengths, plan).items()),
    )


def plain_best_fit(lengths: list[int], row: int) -> list[int]:
    """Room left in each row, documents longer than a row cut first; also which row each tail went to, unused here."""
    room_of = [0] * sum(length // row for length in lengths)
    rows_with: dict[int, list[int]] = {}  # by room
    rooms: list[int] = []  # those that some row has, sorted
    row_of = {}
    tails = sorted(((length % row, i) for i, length in enumerate(lengths) if length % row), reverse=True)
    for piece, i in tails:
        at = bisect_left(rooms, piece)
        if at < len(rooms):
            room = rooms[at]
            mine = rows_with[room].pop()
            if not rows_with[room]:
                del rooms[at]
        else:
            mine, room = len(room_of), row
            room_of.append(row)
        row_of[i] = mine
        room_of[mine] = room = room - piece
        if room:
            if not rows_with.setdefault(room, []):
                insort(rooms, room)
            rows_with[room].append(mine)
    return room_of


def methods(lengths: np.ndarray, plan: Plan) -> dict[str, tuple[int, int, float, int]]:
    """Of each way to pack: rows, documents cut, fill, tokens lost."""
    row, tokens = plan.row_length, int(lengths.sum(dtype=np.int64))
    must_be_cut = int((lengths > row).sum())
    parts = [lengths[at : at + AT_A_TIME] for at in range(0, len(lengths), AT_A_TIME)]
    of_parts = sum(len(BestFit().plan(part, row)) for part in parts)
    whole = sum(int(part.sum(dtype=np.int64)) // row for part in parts)
    rows = -(-tokens // row)  # when nothing but the last is padded
    return {
        "best fit over the corpus (ours)": (len(plan), must_be_cut, plan.fill, 0),
        f"best fit over {AT_A_TIME:,} documents at a time": (of_parts, must_be_cut, tokens / (of_parts * row), 0),
        "one after another, cut every row": (rows, _across(lengths, row), tokens / (rows * row), 0),
        f"the same over {AT_A_TIME:,} documents at a time, remainders dropped": (
            whole,
            sum(_across(part, row) for part in parts),
            1,
            tokens - whole * row,
        ),
        "a row for each, cropped": (
            len(lengths),
            must_be_cut,
            float(np.minimum(lengths, row).sum(dtype=np.int64) / (len(lengths) * row)),
            int(np.maximum(lengths - row, 0).sum(dtype=np.int64)),
        ),
    }


def _across(lengths: np.ndarray, row: int) -> int:
    """Documents that the edge of a row cuts when they stand one after another."""
    ends = np.cumsum(lengths, dtype=np.int64)
    return int((((ends - 1) // row) > ((ends - lengths) // row)).sum())


def _told(name: str, rows: int, cut: int, fill: float, lost: int) -> str:
    return f"{name}: {rows:,} rows, {fill:.3%} full, {cut:,} documents cut, {lost:,} tokens lost"


# -- reading


@dataclass(frozen=True, slots=True)
class Sums:
    """Of all arrays of an epoch: what must be the same whoever reads it."""

    ids: int = 0
    targets: int = 0
    label_sum: int = 0
    positions: int = 0

    def plus(self, ids: Any, labels: Any, positions: Any) -> Sums:
        return Sums(
            self.ids + int(ids.sum()),
            self.targets + int((labels != NO_TARGET).sum()),
            self.label_sum + int(labels.sum()),
            self.positions + int(positions.sum()),
        )


def read_contest(folder: Path, tokens: int, row: int, rounds: int) -> Outcome:
    import datasets

    datasets.disable_progress_bars()
    stream = _stream(folder / "corpus", tokens, row)
    rows = _packed_beforehand(stream, folder / "rows")
    documents = datasets.load_from_disk(str(folder / "corpus" / "train")).with_format("numpy")
    wanted = [_pieces(stream, step) for step in range(stream.steps)]
    sides = {
        "ours": lambda: (_arrays(stream, step) for step in range(stream.steps)),
        "datasets, documents laid into rows": lambda: (_laid(documents, step, row) for step in wanted),
        "datasets, rows packed beforehand, DataLoader": lambda: _loaded(rows),
    }
    sums = {name: _sums(side()) for name, side in sides.items()}
    if len(set(sums.values())) > 1:
        raise Unequal(f"the sides read other numbers: {sums}")
    # the time of the sums is no part of reading: a turn only takes each batch and lets it go
    entrants = [
        Entrant(name, lambda side=side: cpu_seconds(lambda: _exhaust(side())), lambda: None)  # type: ignore[misc]
        for name, side in sides.items()
    ]
    places = stream.rows * row
    found = sums["ours"]
    return Outcome(
        work=f"Batches of {ROWS_AT_ONCE} rows of {row:,} tokens, one epoch of {places:,} places in shuffled order",
        unit="tokens",
        amount=places,
        clock="CPU",
        turns=hold(entrants, rounds),
        same_work=f"all give the same {found.targets:,} targets, and equal sums of ids, labels and positions",
        notes=("Files lie in the page cache for everyone.",),
    )


def _stream(corpus: Path, tokens: int, row: int) -> Stream:
    lengths = lengths_of(max(tokens // 400, 1))
    draw = np.random.default_rng(SEED)
    batch = TokenBatch(
        tokens=draw.integers(0, VOCABULARY, int(lengths.sum()), dtype=np.uint16),
        offsets=np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)]),
        ids=[f"document-{i}" for i in range(len(lengths))],
        sources=["generated"] * len(lengths),
        n_bytes=4 * lengths.astype(np.int64),
    )
    write_shard_file(corpus / "train" / "data-00000-of-00001.arrow", [batch], pa.uint16())
    write_split_info(corpus / "train", "train")
    write_manifest(corpus, fingerprint={}, tokenizer={})
    return Stream.open(
        [Corpus("domain", corpus / "train")], sequence_length=row, rows_per_step=ROWS_AT_ONCE, seed=SEED, epochs=1
    )


def _arrays(stream: Stream, step: int) -> tuple[Any, Any, Any]:
    batch = stream.batch(step)
    return batch.input_ids, batch.labels, batch.position_ids


def _pieces(stream: Stream, step: int) -> list[tuple[int, int, int]]:
    """(document or -1 for padding, its first token, how many) of every segment of a step, in order."""
    batch = stream.batch(step)
    lengths = np.diff(batch.cu_seqlens)
    return list(zip(batch.segment_document.tolist(), batch.segment_start.tolist(), lengths.tolist(), strict=True))


def _laid(documents: Any, pieces: list[tuple[int, int, int]], row: int) -> tuple[Any, Any, Any]:
    """What a collator over `datasets` does: fetch the documents of the batch, copy their pieces to their places."""
    places = sum(length for *_, length in pieces)
    ids, labels = np.zeros(places, np.int64), np.full(places, NO_TARGET, np.int64)
    positions = np.empty(places, np.int64)
    fetched = iter(documents[[document for document, *_ in pieces if document >= 0]]["input_ids"])
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


def _packed_beforehand(stream: Stream, folder: Path) -> Any:
    """The epoch's rows as a `datasets` folder of three columns, in the order in which they come."""
    import datasets

    names = ("input_ids", "labels", "position_ids")
    steps = [_arrays(stream, step) for step in range(stream.steps)]
    columns = {
        name: np.concatenate([step[i] for step in steps]).reshape(-1, stream.sequence_length).astype(np.int32)
        for i, name in enumerate(names)
    }
    row = datasets.Sequence(datasets.Value("int32"), length=stream.sequence_length)
    features = datasets.Features(dict.fromkeys(names, row))
    datasets.Dataset.from_dict(columns, features=features).save_to_disk(str(folder))
    return datasets.load_from_disk(str(folder)).with_format("torch")


def _loaded(rows: Any) -> Iterator[tuple[Any, Any, Any]]:
    from torch.utils.data import DataLoader

    for batch in DataLoader(rows, batch_size=ROWS_AT_ONCE):
        yield batch["input_ids"], batch["labels"], batch["position_ids"]


def _sums(side: Iterator[tuple[Any, Any, Any]]) -> Sums:
    sums = Sums()
    for arrays in side:
        sums = sums.plus(*arrays)
    return sums


def _exhaust(side: Iterator[tuple[Any, Any, Any]]) -> None:
    for _ in side:
        pass


if __name__ == "__main__":
    main()
