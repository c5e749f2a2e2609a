"""Raw JSONL to tokenised files: ours from end to end beside datatrove doing the job with its own steps.

    python -m benchmarks.curation --data ../shared/data --mb 8

The job: read, Gopher quality and repetition rules, MinHash near-duplicates (word 5-grams, 14 bands of 8 rows), tokenise
what stays. Both run on datatrove's local executor with the same number of workers, over the same files, from cold
processes; seconds are the wall's and include starting workers, which weighs less the larger the text.

    datatrove   FineWeb's pipelines, five of them: filters, signatures, buckets, clusters, tokens of what is left
    ours        all stages of `postgrad curate`: those, and besides them cleaning, language, exact duplicates,
                verification of every near-duplicate pair, splits, decontamination, the ledger, the report's numbers

datatrove removes whatever its signatures call near, ours what proves near once the texts are compared, and besides it
training documents that quote held-out ones; so a few documents differ. Same work means: nearly all
documents stand in both outputs with the very same tokens.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import struct
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.contest import Entrant, Outcome, Unequal, hold, parser, tell, wall_seconds
from benchmarks.texts import n_bytes, texts

ALIKE = 0.95  # least share of documents, of those that either side has, that must be in both with the same tokens
VOCABULARY = 4096
EOS = "</s>"
BANDS, ROWS, SHINGLE_WORDS, SEED = 14, 8, 5, 1


@dataclass(frozen=True, slots=True)
class Work:
    folder: Path
    raw: Path  # of JSONL files, one a worker
    workers: int

    @property
    def tokenizer(self) -> Path:
        return self.folder / "tokenizer"


def main(line: list[str] | None = None) -> None:
    asked = parser(__doc__, mb=4)
    asked.add_argument("--workers", type=int, default=len(os.sched_getaffinity(0)), help="default: all cores")
    asked.add_argument("--more", type=float, default=0, help="MB that ours runs on besides, alone: what starting costs")
    given = asked.parse_args(line)
    with tempfile.TemporaryDirectory() as folder:
        documents = texts(given.data, given.mb)
        work = prepare(Path(folder), documents, given.workers)
        outcome = contest(work, documents, given.rounds)
        alone = [_alone(work, texts(given.data, given.more))] if given.more else []
        tell(given, [outcome, *alone])


def prepare(folder: Path, documents: list[str], workers: int) -> Work:
    """Write the raw files and train the tokenizer that both sides use."""
    from curate.train_tokenizer import train_tokenizer

    work = Work(folder, folder / "raw", workers)
    _write_raw(work.raw, documents, workers)
    train_tokenizer(documents[:2_000], VOCABULARY, work.tokenizer)
    return work


def _write_raw(raw: Path, documents: list[str], files: int) -> None:
    raw.mkdir(parents=True)
    for part in range(files):
        with (raw / f"part-{part}.jsonl").open("w", encoding="utf-8") as file:
            for i in range(part, len(documents), files):
                # ids in the order of files and lines, so that the lowest id of a cluster is the first that is read
                file.write(json.dumps({"id": f"{part}-{i:09d}", "text": documents[i]}) + "\n")


def contest(work: Work, documents: list[str], rounds: int) -> Outcome:
    small = Work(work.folder, work.folder / "raw-small", work.workers)
    _write_raw(small.raw, documents[:200], work.workers)
    same_work = check(work)
    entrants = [
        Entrant("ours, everything on", lambda: wall_seconds(lambda: ours(work)), lambda: ours(small)),
        Entrant("datatrove", lambda: wall_seconds(lambda: datatrove(work)), lambda: datatrove(small)),
    ]
    return Outcome(
        work=f"{len(documents):,} documents, {n_bytes(documents) / 1e6:.1f} MB of JSONL to tokens, "
        f"{work.workers} workers",
        unit="MB",
        amount=n_bytes(documents) / 1e6,
        clock="wall",
        turns=hold(entrants, rounds),
        same_work=same_work,
        notes=(
            "datatrove gets its words from a regular expression: its English splitter (spaCy, slower) does not come "
            "with its extra.",
            "datatrove hashes shingles with sha1, as FineWeb's pipeline does: its default, xxhash of a string, raises "
            "with xxhash 4.",
            "datatrove's language filter was left out: it fetches its model from the network.",
        ),
    )


def _alone(work: Work, documents: list[str]) -> Outcome:
    more = Work(work.folder, work.folder / "raw-more", work.workers)
    _write_raw(more.raw, documents, work.workers)
    return Outcome(
        work=f"Ours alone on more text: {len(documents):,} documents, {n_bytes(documents) / 1e6:.1f} MB",
        unit="MB",
        amount=n_bytes(documents) / 1e6,
        clock="wall",
        turns=hold([Entrant("ours, everything on", lambda: wall_seconds(lambda: ours(more)), lambda: None)], 1),
        same_work="no peer in this table; it shows what starting the workers weighs above",
    )


# -- ours


def ours(work: Work) -> Path:
    """The run folder, curated."""
    from pipelines.curation import curate
    from pipelines.recipe import check as check_recipe
    from pipelines.run import begin

    shutil.rmtree(work.folder / "runs", ignore_errors=True)
    # datatrove keeps the copy it read first
    duplicates = {"bands": BANDS, "rows": ROWS, "shingle_words": SHINGLE_WORDS, "keep": "lowest_id"}
    split = {"validation": 0.05, "test": 0.05}  # wide enough that a small input has a test set
    recipe = check_recipe(
        {
            "name": "ours",
            "seed": SEED,
            "sources": [{"name": "docs", "path": str(work.raw / "*.jsonl"), "id": "id"}],
            "curate": {"language": {"keep": "all"}, "duplicates": duplicates, "split": split},
            "shards": {"tokenizer": str(work.tokenizer)},
            "engine": {"workers": work.workers},
        },
        "benchmark",
    )
    folder = begin(recipe, work.folder / "runs")
    with _quiet():
        curate(recipe, folder)
    return folder.path


def _our_tokens(run: Path) -> Iterator[np.ndarray]:
    from curate.shards.corpus import ShardSplit

    for split in ("train", "validation", "test"):
        if (run / "shards" / "domain" / split).is_dir():
            shards = ShardSplit.open(run / "shards" / "domain" / split)
            yield from (shards.tokens(document) for document in range(len(shards)))


# -- datatrove


def datatrove(work: Work) -> Path:
    """The folder of its tokenised files."""
    from datatrove.executor import LocalPipelineExecutor

    out = work.folder / "datatrove"
    shutil.rmtree(out, ignore_errors=True)
    files = work.workers
    for number, (steps, tasks) in enumerate(_pipelines(work, out, files)):
        logs, workers = str(out / "logs" / str(number)), min(work.workers, tasks)
        with _quiet():
            LocalPipelineExecutor(pipeline=steps, tasks=tasks, workers=workers, logging_dir=logs).run()
    return out / "tokens"


def _pipelines(work: Work, out: Path, files: int) -> list[tuple[list[Any], int]]:
    """(steps, tasks) of each pipeline: what it writes between them is what it needs again."""
    from datatrove.pipeline.dedup import (
        MinhashDedupBuckets,
        MinhashDedupCluster,
        MinhashDedupFilter,
        MinhashDedupSignature,
    )
    from datatrove.pipeline.dedup.minhash import MinhashConfig
    from datatrove.pipeline.filters import GopherQualityFilter, GopherRepetitionFilter
    from datatrove.pipeline.readers import JsonlReader
    from datatrove.pipeline.tokens import DocumentTokenizer
    from datatrove.pipeline.writers import JsonlWriter
    from datatrove.utils.hashing import HashConfig

    from benchmarks.datatrove_words import Expression

    words = Expression()
    config = MinhashConfig(
        n_grams=SHINGLE_WORDS,
        num_buckets=BANDS,
        hashes_per_bucket=ROWS,
        seed=SEED,
        hash_config=HashConfig(hash_fc="sha1", precision=64),
    )
    filtered, places = str(out / "filtered"), {name: str(out / name) for name in ("signatures", "pairs", "clusters")}
    return [
        (
            [
                JsonlReader(str(work.raw)),
                GopherRepetitionFilter(language=words),
                GopherQualityFilter(language=words),
                JsonlWriter(filtered, compression=None),
            ],
            files,
        ),
        ([JsonlReader(filtered), MinhashDedupSignature(places["signatures"], config, words)], files),
        ([MinhashDedupBuckets(places["signatures"], places["pairs"], config=config)], BANDS),
        ([MinhashDedupCluster(places["pairs"], places["clusters"], config=config)], 1),
        (
            [
                JsonlReader(filtered),
                MinhashDedupFilter(places["clusters"]),
                DocumentTokenizer(
                    str(out / "tokens"), str(work.tokenizer / "tokenizer.json"), eos_token=None, shuffle_documents=False
                ),
            ],
            files,
        ),
    ]


def _their_tokens(folder: Path) -> Iterator[np.ndarray]:
    for path in sorted(folder.glob("*.ds")):
        ends = [end for (end,) in struct.iter_unpack("<Q", Path(f"{path}.index").read_bytes())]
        tokens = np.fromfile(path, np.uint16)
        yield from (tokens[a:b] for a, b in zip([0, *ends], ends, strict=False))


@contextmanager
def _quiet() -> Iterator[None]:
    """Nothing on stderr, of this process and those it starts: both sides talk there while they work."""
    was, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(was, 2)
        os.close(was)
        os.close(nowhere)


# -- the same work


def check(work: Work) -> str:
    """Raises Unequal unless nearly all documents stand in both outputs with the same tokens."""
    from curate.tokenizing import Tokenizer

    eos = Tokenizer.load(work.tokenizer).eos
    run = ours(work)
    mine = Counter(_digest(tokens[:-1]) for tokens in _our_tokens(run))  # each ends in EOS, which datatrove's lack
    last = {int(tokens[-1]) for tokens in _our_tokens(run)}
    assert last == {eos}, "a document of ours doesn't end in EOS"
    theirs = Counter(_digest(tokens) for tokens in _their_tokens(datatrove(work)))
    both, either = (mine & theirs).total(), (mine | theirs).total()
    if both < ALIKE * either:
        raise Unequal(f"only {both:,} of {either:,} documents stand in both outputs with the same tokens")
    removed = _removed(run)
    return (
        f"{mine.total():,} documents stay by ours and {theirs.total():,} by datatrove's, {both:,} of them in both with "
        f"the same tokens; ours removed {', '.join(f'{n:,} by {stage}' for stage, n in sorted(removed.items()))}"
    )


def _digest(tokens: np.ndarray) -> bytes:
    return hashlib.sha256(tokens.tobytes()).digest()


def _removed(run: Path) -> Counter[str]:
    import pyarrow.parquet as pq

    ledger = pq.read_table(run / "curated" / "ledger", columns=["fate", "stage"]).to_pylist()
    return Counter(row["stage"] for row in ledger if row["fate"] != "kept")


if __name__ == "__main__":
    main()
