"""Raw JSONL.zst to tokenised shards: `postgrad curate` beside datatrove doing the job with its own steps.

    python -m benchmarks.curation --data ../shared/data --mb 200 --rounds 1 --more 1000

The job: read, tell languages, judge by Gopher's, C4's and FineWeb's rules, drop duplicates by MinHash (word 5-grams, 14
bands of 8 rows), tokenise what stays. Each side is the command that its user runs, in a process of its own, over the
same files with the same number of workers; seconds are the wall's, from the start of the interpreter to its end.

    datatrove   benchmarks/datatrove_chain.py: FineWeb's pipelines, five of them
    ours        `postgrad curate` with nothing switched off: all that, and besides it cleaning, every family of
                measures, every rule judged for every document, personal data counted, exact duplicates, verification
                of every near-duplicate pair, splits by cluster, decontamination of what is trained on, removed text
                kept, the ledger, the report's numbers

A few documents differ. datatrove removes whatever its signatures call near, ours what proves near once the texts are
compared; the language is told from windows here and from the whole text there; sentences are counted in other ways.
Same work means: but for training documents that quote held-out ones, which ours alone looks for and removes, nearly all
documents stand in both outputs with the very same tokens.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import struct
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice, pairwise
from pathlib import Path

import numpy as np

from benchmarks.contest import Entrant, Outcome, Unequal, hold, parser, tell, wall_seconds
from benchmarks.corpus import documents
from curate.tokenizing import Tokenizer

ROOT = Path(__file__).parent.parent
ALIKE = 0.95  # least share of documents, of those that either side has, that must be in both with the same tokens
VOCABULARY = 4096
TRAINED_ON = 2_000  # documents: the tokenizer
FILE_BYTES = 32 << 20  # of text, at most, where there are many; and never fewer files than four a worker
MEASURES = ["gopher_quality", "gopher_repetition", "c4", "fineweb", "refinedweb", "domain_text"]


@dataclass(frozen=True, slots=True)
class Work:
    folder: Path
    raw: Path  # of .jsonl.zst files
    workers: int
    documents: int
    n_bytes: int  # of text
    all_languages: bool  # made-up words are in none
    few: bool  # documents: what is held out must be a larger share

    @property
    def tokenizer(self) -> Path:
        return self.folder / "tokenizer"

    @property
    def run(self) -> Path:
        return self.folder / "runs" / self.raw.name

    @property
    def theirs(self) -> Path:
        return self.folder / "datatrove" / self.raw.name


def main(line: list[str] | None = None) -> None:
    asked = parser(__doc__, mb=4)
    asked.add_argument("--workers", type=int, default=len(os.sched_getaffinity(0)), help="default: all cores")
    asked.add_argument("--peer-rounds", type=int, help="turns that datatrove has (default: as many)")
    asked.add_argument("--more", type=float, default=0, help="MB that ours runs on besides, alone: what starting costs")
    given = asked.parse_args(line)
    with tempfile.TemporaryDirectory() as at:
        folder, workers = Path(at), given.workers
        train(folder, documents(given.data, given.mb))
        small = prepare(folder, "small", islice(documents(given.data, 1), 200), workers, given.data is None)
        work = prepare(folder, "raw", documents(given.data, given.mb), workers, given.data is None)
        outcomes = [contest(work, small, given.rounds, given.peer_rounds)]
        if given.more:
            more = prepare(folder, "more", documents(given.data, given.more), workers, given.data is None)
            outcomes.append(_alone(more))
        tell(given, outcomes)


# -- the files both sides get


def train(folder: Path, texts: Iterator[str]) -> None:
    """The tokenizer that both sides use."""
    from curate.train_tokenizer import train_tokenizer

    train_tokenizer(list(islice(texts, TRAINED_ON)), VOCABULARY, folder / "tokenizer")


def prepare(folder: Path, name: str, texts: Iterable[str], workers: int, made_up: bool) -> Work:
    """Write the raw files. Ids rise with files and lines, so that the lowest id of a cluster is the first read."""
    n, n_bytes = write_files(folder / name, texts, 4 * workers)
    return Work(folder, folder / name, workers, n, n_bytes, made_up, n < 5_000)


def write_files(raw: Path, texts: Iterable[str], at_least: int) -> tuple[int, int]:
    """(documents, bytes of text) of so many .jsonl.zst files, or a multiple, written by turns in one pass."""
    import orjson
    import zstandard

    raw.mkdir(parents=True)
    n, n_bytes = 0, 0
    round_bytes = at_least * FILE_BYTES
    texts = iter(texts)
    while True:
        first = n_bytes // round_bytes * at_least
        opened = [
            zstandard.ZstdCompressor(3).stream_writer((raw / f"part-{first + k:04d}.jsonl.zst").open("wb"))
            for k in range(at_least)
        ]
        until = n_bytes + round_bytes
        for text in texts:
            part = n % at_least
            opened[part].write(orjson.dumps({"id": f"{first + part:04d}-{n:09d}", "text": text}) + b"\n")
            n, n_bytes = n + 1, n_bytes + len(text.encode())
            if n_bytes >= until:
                break
        ended = n_bytes < until
        for file in opened:
            file.close()
        if ended:
            return n, n_bytes


# -- the contest


def contest(work: Work, small: Work, rounds: int, peer_rounds: int | None) -> Outcome:
    entrants = [
        Entrant("ours, everything on", lambda: wall_seconds(lambda: ours(work)), lambda: ours(small)),
        Entrant(
            "datatrove", lambda: wall_seconds(lambda: datatrove(work)), lambda: datatrove(small), at_most=peer_rounds
        ),
    ]
    turns = hold(entrants, rounds)
    files = len(list(work.raw.iterdir()))
    return Outcome(
        work=f"{work.documents:,} documents, {work.n_bytes / 1e6:.1f} MB of JSONL.zst in {files} files to tokens, "
        f"{work.workers} workers",
        unit="MB",
        amount=work.n_bytes / 1e6,
        clock="wall",
        turns=turns,
        same_work=check(work),
        notes=(
            f"Ours, seconds of each stage: {_by_stage(work)}.",
            f"datatrove, seconds of each pipeline: {_in_words(json.loads((work.theirs / 'seconds').read_text()))}.",
            "C4's filter also rewrites the text; here both sides take its verdict and leave the text.",
            "datatrove gets its words and sentences from regular expressions: its English splitter (spaCy, slower) "
            "does not come with its extra.",
            "datatrove hashes shingles with sha1, as FineWeb's pipeline does: its default, xxhash of a string, raises "
            "with xxhash 4.",
        ),
    )


def _alone(work: Work) -> Outcome:
    turns = hold([Entrant("ours, everything on", lambda: wall_seconds(lambda: ours(work)), lambda: None)], 1)
    return Outcome(
        work=f"Ours alone on more text: {work.documents:,} documents, {work.n_bytes / 1e6:.1f} MB",
        unit="MB",
        amount=work.n_bytes / 1e6,
        clock="wall",
        turns=turns,
        same_work="no peer in this table; it shows what starting the workers weighs above",
        notes=(f"Seconds of each stage: {_by_stage(work)}.",),
    )


def _by_stage(work: Work) -> str:
    return _in_words({str(stage["stage"]): float(stage["seconds"]) for stage in stages(work.run)})


def stages(run: Path) -> list[dict[str, float | str]]:
    """What a run says of its stages: documents, bytes, seconds, peak_bytes of each."""
    return [json.loads(line) for line in (run / "stages.jsonl").read_text(encoding="utf-8").splitlines()]


def _in_words(seconds: dict[str, float]) -> str:
    return ", ".join(f"{name} {taken:.1f}" for name, taken in seconds.items())


# -- both sides


def ours(work: Work) -> None:
    """The run folder, curated."""
    shutil.rmtree(work.run, ignore_errors=True)
    command([sys.executable, "-m", "pipelines", "curate", str(write_recipe(work)), "--runs", str(work.folder / "runs")])


def write_recipe(work: Work) -> Path:
    held_out = 0.05 if work.few else 0.02
    recipe = {
        "name": work.raw.name,
        "seed": 1,
        "sources": [{"name": "docs", "path": str(work.raw / "*.jsonl.zst"), "id": "id"}],
        "curate": {
            "language": {"keep": "all" if work.all_languages else ["en"]},
            "measures": MEASURES,
            "quality": {"preset": ["gopher", "c4", "fineweb"]},
            "duplicates": {"keep": "lowest_id"},  # datatrove keeps the copy it read first
            "split": {"validation": held_out, "test": held_out},
        },
        "shards": {"tokenizer": str(work.tokenizer)},
        "engine": {"workers": work.workers},
    }
    path = work.folder / f"{work.raw.name}.yaml"
    path.write_text(json.dumps(recipe), encoding="utf-8")  # JSON is YAML
    return path


def datatrove(work: Work) -> None:
    """The folder of its tokenised files, and the seconds of its pipelines."""
    shutil.rmtree(work.theirs, ignore_errors=True)
    words = [str(work.raw), str(work.theirs), str(work.tokenizer), str(work.workers)]
    words += ["--all-languages"] if work.all_languages else []
    said = command([sys.executable, "-m", "benchmarks.datatrove_chain", *words])
    (work.theirs / "seconds").write_text(said.splitlines()[-1])


def command(words: Sequence[str]) -> str:
    """Its stdout. Where it fails, its stderr is shown; otherwise both sides' talk there is nobody's."""
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        print(done.stderr[-5_000:], file=sys.stderr)
        raise SystemExit(f"{' '.join(words)} ended with {done.returncode}")
    return done.stdout


# -- the same work


def check(work: Work) -> str:
    """Of what the last turns left. Raises Unequal unless nearly all documents stand in both with the same tokens."""
    tokenizer = Tokenizer.load(work.tokenizer)
    mine, leaking = (
        Counter(_digest(tokens[:-1]) for tokens in some)  # without EOS, which datatrove's lack
        for some in (_our_tokens(work.run), _leaking(work.run, tokenizer))
    )
    theirs = Counter(_digest(tokens) for tokens in _their_tokens(work.theirs / "tokens"))
    both, either = (mine & theirs).total(), (mine | (theirs - leaking)).total()
    told = (
        f"{mine.total():,} documents stay by ours and {theirs.total():,} by datatrove's, {both:,} of them in both with "
        f"the same tokens: {both / max(either, 1):.1%} of those that either keeps, but for what ours alone removes as "
        f"contaminated. Ours removed {_removed(work.run)}"
    )
    if both < ALIKE * either or not both:
        raise Unequal(told)
    return told


def _leaking(run: Path, tokenizer: Tokenizer) -> Iterator[np.ndarray]:
    """Tokens of what left because it quotes held-out text."""
    import pyarrow.parquet as pq

    for path in sorted((run / "curated" / "removed").glob("*.parquet")):
        rows = pq.read_table(path, columns=["text"], filters=[("stage", "==", "contamination")])
        tokens, offsets = tokenizer.encode(rows["text"].combine_chunks().cast("large_string"))
        yield from (tokens[a:b].astype(np.uint16) for a, b in pairwise(offsets))


def _our_tokens(run: Path) -> Iterator[np.ndarray]:
    from curate.shards.corpus import ShardSplit

    for split in ("train", "validation", "test"):
        if (run / "shards" / "domain" / split).is_dir():
            shards = ShardSplit.open(run / "shards" / "domain" / split)
            yield from (shards.tokens(document) for document in range(len(shards)))


def _their_tokens(folder: Path) -> Iterator[np.ndarray]:
    for path in sorted(folder.glob("*.ds")):
        ends = [end for (end,) in struct.iter_unpack("<Q", Path(f"{path}.index").read_bytes())]
        tokens = np.fromfile(path, np.uint16)
        yield from (tokens[a:b] for a, b in zip([0, *ends], ends, strict=False))


def _digest(tokens: np.ndarray) -> bytes:
    return hashlib.sha256(tokens.tobytes()).digest()


def _removed(run: Path) -> str:
    import pyarrow.parquet as pq

    ledger = pq.read_table(run / "curated" / "ledger", columns=["fate", "stage"]).to_pydict()
    counted = Counter(stage for fate, stage in zip(ledger["fate"], ledger["stage"], strict=True) if fate != "kept")
    return ", ".join(f"{n:,} by {stage}" for stage, n in sorted(counted.items())) or "none"


if __name__ == "__main__":
    main()
