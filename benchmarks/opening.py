"""Opening a stream: seconds to the first batch, and memory held, as the corpus grows. Ours alone.

    python -m benchmarks.opening --million 10 100 1000

For each size a corpus of that many million tokens, 1,000 a document on average, is written as shards (2 bytes a token
of disk, deleted afterwards). Then fresh processes, one after another, open the stream of one epoch and take a batch:

- *packing*: with no stored plan: documents are packed, the plan is stored;
- *start-up*: with the stored plan;
- *resume*: with the stored plan, at a state from the middle of the epoch;
- *cold*: as start-up, with the files of shards and plan dropped from the page cache (benchmarks/cold.py).

Seconds are the wall's, from `Stream.open` to the batch; importing comes before (it does not depend on the corpus), and
kernels are loaded from Numba's cache within. Medians of `--rounds`. Memory is what the process holds of its own
(RssAnon of /proc/self/status) after start-up, less what it held before: pages of mapped files belong to the page cache
and give way to whoever needs the memory. Linux only.
"""

from __future__ import annotations

import gc
import shutil
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from benchmarks.cold import evict, files_below, in_a_fresh_process
from benchmarks.contest import Table, parser, short, tell
from benchmarks.readers import SEED, stream_of
from curate.shards.corpus import write_manifest
from curate.shards.format import TokenBatch, shard_name, write_shard_file, write_split_info

DOCUMENTS_AT_ONCE = 1_000  # of a record batch
TOKENS_OF_A_FILE = 250_000_000  # 500 MB, the default of shards.shard_mb
VOCABULARY = 50_000
HEAD = ("tokens", "documents", "packing", "start-up", "resume", "cold start-up", "memory held")


def main(line: list[str] | None = None) -> None:
    asked = parser(__doc__)
    asked.add_argument(
        "--million", type=float, nargs="+", default=[10, 100], help="tokens, in millions (default: %(default)s)"
    )
    asked.add_argument("--row", type=int, default=2048, help="tokens of a row (default: %(default)s)")
    given = asked.parse_args(line)
    sizes = []
    for million in given.million:
        with tempfile.TemporaryDirectory() as folder:
            sizes.append(measured(Path(folder), round(million * 1e6), given.row, given.rounds))
    rows = tuple(_row(size) for size in sizes)
    notes = ["Medians of fresh processes, wall clock, imports not counted; memory beside mapped files."]
    if len(sizes) > 1:
        least, most = sizes[0], sizes[-1]
        beyond = (most.held - least.held) / (most.documents - least.documents)
        notes.append(f"Memory beyond the constant, from the first and the last size: {beyond:.1f} bytes a document.")
    tell(given, [Table(f"Opening a stream, ours alone: rows of {given.row:,} tokens", HEAD, rows, tuple(notes))])


@dataclass(frozen=True, slots=True)
class Size:
    """What was found of a corpus."""

    tokens: int
    documents: int
    seconds: dict[str, float]
    held: float


@dataclass(frozen=True, slots=True)
class Opened:
    seconds: float
    held: int
    """Bytes of memory of its own that opening took."""


def measured(folder: Path, tokens: int, row: int, rounds: int) -> Size:
    documents = write_large_corpus(folder, tokens)
    in_a_fresh_process(opened, folder, row)  # where kernels are not in Numba's cache, they are compiled here
    turns: dict[str, list[Opened]] = {"packing": [], "start-up": [], "resume": [], "cold": []}
    for _ in range(rounds):
        shutil.rmtree(folder / "plans")
        for kind in turns:
            turns[kind].append(in_a_fresh_process(opened, folder, row, kind == "resume", kind == "cold"))
    seconds = {kind: statistics.median(turn.seconds for turn in of_kind) for kind, of_kind in turns.items()}
    return Size(tokens, documents, seconds, statistics.median(turn.held for turn in turns["start-up"]))


def _row(size: Size) -> tuple[str, ...]:
    seconds = (f"{short(one)} s" for one in size.seconds.values())
    return f"{size.tokens:,}", f"{size.documents:,}", *seconds, f"{size.held / 1e6:.1f} MB"


def opened(folder: Path, row: int, resumes: bool = False, is_cold: bool = False) -> Opened:
    """Open the stream and take a batch, in this process."""
    if is_cold:
        evict(files_below(folder))
    gc.collect()
    before, begun = _own_memory(), time.perf_counter()
    stream = stream_of(folder, row)
    step = 0
    if resumes:
        step = stream.check(stream.state(stream.steps // 2)) // stream.rows_per_step
    batch = stream.batch(step)
    seconds = time.perf_counter() - begun
    assert batch.n_targets > 0
    return Opened(seconds, _own_memory() - before)


def _own_memory() -> int:
    """Bytes of anonymous memory that this process holds."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("RssAnon:"))


# -- the corpus


def write_large_corpus(folder: Path, tokens: int) -> int:
    """Shards of about `tokens` tokens below `folder`; gives the number of documents."""
    lengths = _lengths(max(tokens // 1_000, 1))
    files = -(-tokens // TOKENS_OF_A_FILE)
    for number, part in enumerate(np.array_split(lengths, files)):
        write_shard_file(folder / "train" / shard_name(number, files), _batches(part), pa.uint16())
    write_split_info(folder / "train", "train")
    write_manifest(folder, fingerprint={}, tokenizer={})
    return len(lengths)


def _lengths(documents: int) -> np.ndarray:  # (documents,) int32
    """Log-normal, 1,000 on average."""
    draw = np.random.default_rng(SEED)
    return np.clip(draw.lognormal(6.42, 1.0, documents), 8, 100_000).astype(np.int32)


def _batches(lengths: np.ndarray) -> Iterator[TokenBatch]:
    """The same random tokens over and over: no reader looks at them."""
    tokens = np.random.default_rng(SEED).integers(1, VOCABULARY, DOCUMENTS_AT_ONCE * 1_000, dtype=np.uint16)
    for first in range(0, len(lengths), DOCUMENTS_AT_ONCE):
        some = lengths[first : first + DOCUMENTS_AT_ONCE]
        names: Sequence[str] = [f"document-{first + i}" for i in range(len(some))]
        yield TokenBatch(
            np.resize(tokens, int(some.sum())),
            np.concatenate([[0], np.cumsum(some, dtype=np.int64)]),
            names,
            ["generated"] * len(some),
            4 * some.astype(np.int64),
        )


if __name__ == "__main__":
    main()
