"""MinHash signatures from text: ours beside datasketch, datatrove and rensa, on the same text in one run.

    python -m benchmarks.minhash_signatures --data ../shared/data --mb 8

Everyone starts from Python strings and ends with one signature a document: word 5-grams, 112 permutations, one
thread. The peers get their words from a regular expression, ours finds Unicode words. Everyone hashes shingles in its
own way, so signatures can only be compared where the hashes are the same: ours are checked, value by value, against
datasketch's for our shingle hashes.
"""

from __future__ import annotations

import importlib.util
import re
import tempfile
from collections.abc import Callable

import datasketch
import numpy as np

from benchmarks.contest import Entrant, Outcome, Unequal, cpu_seconds, hold, parser, tell
from benchmarks.datatrove_words import Expression
from benchmarks.texts import n_bytes, texts
from curate.dedup.minhash import SCHEME, signatures
from curate.dedup.shingles import shingles
from curate.text import TextBatch

WORDS, BANDS, ROWS, SEED = 5, 14, 8, 1
PERMUTATIONS = BANDS * ROWS
CHECKED = 100  # documents whose signatures are held against datasketch's
_WORD = re.compile(r"\w+")

Contender = Callable[[list[str]], object]


def main(line: list[str] | None = None) -> None:
    given = parser(__doc__, mb=4).parse_args(line)
    documents = texts(given.data, given.mb)
    same_work = check(documents)
    batch = TextBatch.of(documents)
    batch.words  # noqa: B018  found once per batch and shared with all measures of a run

    def ours_from_words(_: list[str]) -> object:
        return signatures(batch, WORDS, PERMUTATIONS, SEED)

    contenders: dict[str, Contender] = {"ours": ours, "ours, from words on": ours_from_words, **_peers()}
    entrants = [_entrant(name, work, documents) for name, work in contenders.items()]
    notes = [
        "datatrove hashes with sha1, as FineWeb's pipeline does: its default, xxhash of a string, raises with xxhash 4."
    ]
    if "rensa" not in contenders:
        notes.append("rensa is not installed and was left out.")
    outcome = Outcome(
        work=f"{len(documents):,} documents, {n_bytes(documents) / 1e6:.1f} MB: signatures of word {WORDS}-grams, "
        f"{PERMUTATIONS} permutations",
        unit="MB",
        amount=n_bytes(documents) / 1e6,
        clock="CPU",
        turns=hold(entrants, given.rounds),
        same_work=same_work,
        notes=tuple(notes),
    )
    tell(given, [outcome])


def _entrant(name: str, work: Contender, documents: list[str]) -> Entrant:
    return Entrant(name, lambda: cpu_seconds(lambda: work(documents)), lambda: work(documents[:20]))


def ours(documents: list[str]) -> object:
    return signatures(TextBatch.of(documents), WORDS, PERMUTATIONS, SEED)


def _peers() -> dict[str, Contender]:
    peers: dict[str, Contender] = {"datasketch": _datasketch, "datatrove": _datatrove()}
    if importlib.util.find_spec("rensa"):
        peers["rensa"] = _rensa
    return peers


def _shingles_of(text: str) -> list[str]:
    words = _WORD.findall(text.lower())
    return [" ".join(words[i : i + WORDS]) for i in range(len(words) - WORDS + 1)]


def _datasketch(documents: list[str]) -> object:
    sketches = []
    for text in documents:
        sketch = datasketch.MinHash(PERMUTATIONS, seed=SEED)
        sketch.update_batch([shingle.encode() for shingle in _shingles_of(text)])
        sketches.append(sketch)
    return sketches


def _datatrove() -> Contender:
    from datatrove.pipeline.dedup import MinhashDedupSignature
    from datatrove.pipeline.dedup.minhash import MinhashConfig
    from datatrove.utils.hashing import HashConfig

    config = MinhashConfig(
        n_grams=WORDS,
        num_buckets=BANDS,
        hashes_per_bucket=ROWS,
        seed=SEED,
        hash_config=HashConfig(hash_fc="sha1", precision=64),
    )
    step = MinhashDedupSignature(tempfile.gettempdir(), config, Expression())  # made here, not written there

    def run(documents: list[str]) -> object:
        hashed = (step.get_shingles(text) for text in documents)
        return [step.get_signature(one) for one in hashed if one.size]

    return run


def _rensa(documents: list[str]) -> object:
    from rensa import RMinHash

    sketches = []
    for text in documents:
        sketch = RMinHash(num_perm=PERMUTATIONS, seed=SEED)
        sketch.update(_shingles_of(text))
        sketches.append(sketch.digest())
    return sketches


def check(documents: list[str]) -> str:
    """Raises Unequal where a signature is not datasketch's for the same hashes."""
    sample = documents[:: max(len(documents) // CHECKED, 1)]
    batch = TextBatch.of(sample)
    offsets, hashes = shingles(batch, WORDS)
    low = (hashes & np.uint64(0xFFFFFFFF)).astype(np.uint32)
    for i, row in enumerate(signatures(batch, WORDS, PERMUTATIONS, SEED)):
        oracle = datasketch.MinHash(PERMUTATIONS, seed=SEED, hashfunc=int, scheme=SCHEME)
        oracle.update_batch(low[offsets[i] : offsets[i + 1]].tolist())
        if not np.array_equal(oracle.hashvalues, row):
            raise Unequal(f"the signature of document {i} of the sample is not datasketch's")
    return f"one signature a document; {len(sample):,} of ours equal datasketch's for the same shingle hashes"


if __name__ == "__main__":
    main()
