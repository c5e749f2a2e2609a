"""Tokenising: a column of text to token arrays as shards hold them, beside the libraries that it rests on.

    python -m benchmarks.tokenising --data ../shared/data --tokenizers ../shared/data/tokenizers --mb 24

One contest for each tokenizer in the folder (without one: a byte-level BPE trained on the text). Everyone encodes the
same documents, 8 MB at a time as the shard pass does.

- *ours*: from an Arrow column to ids of the shard's own type, every document ended by EOS, compared with `tokenizers`
  on slices of every batch.
- *fastokens*: `encode_batch_flat` to 32-bit ids; nothing is checked or ended. From the same column by `to_pylist`, and
  on Python strings that lie ready, which costs it nothing to make: half a corpus' bytes may be in documents with some
  character beyond ASCII, and those it takes longest to make strings of.
- *tokenizers*: `encode_batch_fast` on such strings, to its own objects.

The clock is the CPU's: what all threads take together.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from benchmarks import contest
from benchmarks.contest import Entrant, Outcome, Unequal, hold, parser, tell
from benchmarks.texts import in_batches, n_bytes, texts
from curate.memory import keep_memory
from curate.shards.format import token_dtype
from curate.tokenizing import Tokenizer
from curate.train_tokenizer import train_tokenizer

SLOW_MB = 2.0  # of the text, for `tokenizers`
SAME = 200  # documents of a batch, compared with `tokenizers`
Side = tuple[str, Sequence[pa.Array], Callable[[Any], Any], Callable[[Any], object]]  # name, inputs, untimed, timed


def main(line: list[str] | None = None) -> None:
    asked = parser(__doc__, mb=16, rounds=5)
    asked.add_argument("--tokenizers", type=Path, help="folder of tokenizers; else one is trained on the text")
    given = asked.parse_args(line)
    keep_memory()  # as every worker does
    documents = texts(given.data, given.mb)
    with tempfile.TemporaryDirectory() as folder:
        if given.tokenizers is None:
            train_tokenizer(iter(documents[:2000]), 4096, Path(folder))
            found = {"byte-level BPE trained on the text": Tokenizer.load(folder)}
        else:
            places = sorted(place for place in given.tokenizers.iterdir() if place.is_dir())
            found = {place.name: Tokenizer.load(place) for place in places}
        tell(given, [contest_of(name, one, documents, given.rounds) for name, one in found.items()])


def contest_of(name: str, tokenizer: Tokenizer, documents: list[str], rounds: int) -> Outcome:
    columns = [pa.array(batch, pa.large_string()) for batch in in_batches(documents)]
    part = [pa.array(next(in_batches(documents, int(SLOW_MB * 1e6))), pa.large_string())]
    dtype = token_dtype(tokenizer.vocabulary).to_pandas_dtype()
    tokens = same_tokens(tokenizer, columns, dtype)
    fast, encode, part_mb = tokenizer._fast, tokenizer.backend.encode_batch_fast, n_bytes(part[0].to_pylist()) / 1e6
    sides: list[Side] = [("ours", columns, _as_it_is, lambda column: tokenizer.encode(column, dtype))]
    if fast is not None:
        sides += [
            ("fastokens from the same column", columns, _as_it_is, lambda column: _fastokens(fast, column.to_pylist())),
            ("fastokens on strings that lie ready", columns, pa.Array.to_pylist, lambda batch: _fastokens(fast, batch)),
        ]
    sides.append(("tokenizers", part, pa.Array.to_pylist, encode))
    entrants = [
        Entrant(
            name,
            lambda inputs=inputs, prepare=prepare, run=run: seconds(inputs, prepare, run),  # type: ignore[misc]
            lambda: None,  # the check for equal ids has warmed everyone up
            part=part_mb if inputs is part else None,
        )
        for name, inputs, prepare, run in sides
    ]
    return Outcome(
        work=f"{name}: {len(documents):,} documents, {n_bytes(documents) / 1e6:.1f} MB, to {tokens:,} tokens",
        unit="MB",
        amount=n_bytes(documents) / 1e6,
        clock="CPU",
        turns=hold(entrants, rounds),
        same_work=f"up to {SAME} documents of every batch have equal ids by all"
        + (", all documents by ours and fastokens" if fast is not None else "; fastokens refuses this tokenizer"),
    )


def _as_it_is(column: pa.Array) -> pa.Array:
    return column


def seconds(columns: Sequence[pa.Array], prepare: Callable[[Any], Any], run: Callable[[Any], object]) -> float:
    """CPU seconds of a run over all batches, each prepared untimed and its result let go. Strings are made anew every
    time: Python keeps the UTF-8 of one that was encoded once, so a second run would be spared a part of the work."""
    took, runs = 0.0, 0
    while runs == 0 or took < contest.LEAST_SECONDS:
        for column in columns:
            prepared = prepare(column)
            begun = time.process_time()
            run(prepared)
            took += time.process_time() - begun
        runs += 1
    return took / runs


def same_tokens(tokenizer: Tokenizer, columns: Sequence[pa.Array], dtype: type) -> int:
    """Tokens of all documents; raises where the sides' ids differ in more than our EOS."""
    tokens, fast = 0, tokenizer._fast
    for column in columns:
        batch = column.to_pylist()
        ids, offsets = tokenizer.encode(column, dtype)
        tokens += len(ids)
        ours = [ids[first:stop] for first, stop in pairwise(offsets.tolist())]
        if fast is not None:
            flat, places = _fastokens(fast, batch)
            _compare(ours, [flat[first:stop] for first, stop in pairwise(places.tolist())], tokenizer.eos)
        some = batch[:SAME]
        _compare(ours, [one.ids for one in tokenizer.backend.encode_batch_fast(some)], tokenizer.eos)
    return tokens


def _fastokens(fast: Any, batch: list[str]) -> tuple[np.ndarray, np.ndarray]:
    ids, offsets = fast.encode_batch_flat(batch, add_special_tokens=True, split_special_tokens=True)
    return np.frombuffer(ids, "<u4"), np.frombuffer(offsets, "<u8")


def _compare(ours: list[np.ndarray], theirs: Iterable[Any], eos: int) -> None:
    for one, other in zip(ours, theirs, strict=False):
        ends = len(other) and other[-1] == eos
        if not np.array_equal(one if ends else one[:-1], other) or one[-1] != eos:
            raise Unequal("the sides give other ids")


if __name__ == "__main__":
    main()
