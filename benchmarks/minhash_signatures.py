"""MinHash signatures from text: ours beside datasketch, datatrove and rensa, on the same text in one run.

    python -m benchmarks.minhash_signatures --data ../shared/data --mb 200 --part 20

Everyone starts from Python strings and ends with one signature a document: word 5-grams, 112 permutations, one
thread. The peers get their words from a regular expression, ours finds Unicode words. Ours and rensa take all of the
text, datasketch and datatrove, which would take minutes, the first megabytes of it (`--part`). Everyone hashes shingles
in its own way, so signatures can only be compared where the hashes are the same: ours are checked, value by value,
against datasketch's for our shingle hashes.
"""

from __future__ import annotations

import importlib.util
import re
import tempfile
from collections.abc import Callable

import datasketch
import numpy as np

from benchmarks.contest import Entrant, Outcome, Unequal, cpu_seconds, hold, parser, tell
from benchmarks.corpus import documents
from benchmarks.datatrove_words import Expression
from benchmarks.texts import in_batches, n_bytes, up_to
from curate.dedup.minhash import SCHEME, signatures
from curate.dedup.shingles import ShingleRecipe, shingles
from curate.text import TextBatch

WORDS, BANDS, ROWS, SEED = 5, 14, 8, 1
RECIPE = ShingleRecipe("words", WORDS)
PERMUTATIONS = BANDS * ROWS
CHECKED = 100  # documents whose signatures are held against datasketch's
_WORD = re.compile(r"\w+")

Contender = Callable[[list[str]], object]


def main(line: list[str] | None = None) -> None:
    asked = parser(__doc__, mb=4)
    asked.add_argument("--part", type=float, help="MB of it that the slow ones do (default: all)")
    given = asked.parse_args(line)
    whole = list(documents(given.data, given.mb))
    part = list(up_to(given.part * 1e6, iter(whole))) if given.part else whole
    same_work = check(whole)
    entrants = [
        _entrant("ours", ours, whole, whole),
        _from_words_on(part, whole),
        *(_entrant(name, work, part, whole) for name, work in _slow().items()),
        *(_rensas(part, whole) if importlib.util.find_spec("rensa") else ()),
    ]
    outcome = Outcome(
        work=f"{len(whole):,} documents, {n_bytes(whole) / 1e6:.1f} MB: signatures of word {WORDS}-grams, "
        f"{PERMUTATIONS} permutations",
        unit="MB",
        amount=n_bytes(whole) / 1e6,
        clock="CPU",
        turns=hold(entrants, given.rounds),
        same_work=same_work,
        notes=(
            "datatrove hashes with sha1, as FineWeb's pipeline does: its default, xxhash of a string, raises with "
            "xxhash 4.",
            "From shingles on (rensa) or words on (ours): these were found beforehand and cost nothing here. Ours "
            "still hashes the shingles.",
        ),
    )
    tell(given, [outcome])


def _entrant(name: str, work: Contender, some: list[str], whole: list[str]) -> Entrant:
    part = n_bytes(some) / 1e6 if len(some) < len(whole) else None
    return Entrant(name, lambda: cpu_seconds(lambda: work(some)), lambda: work(some[:20]), part=part)


def ours(texts: list[str]) -> object:
    return [signatures(TextBatch.of(some), RECIPE, PERMUTATIONS, SEED) for some in in_batches(texts)]


def _from_words_on(part: list[str], whole: list[str]) -> Entrant:
    batches = [TextBatch.of(some) for some in in_batches(part)]
    for batch in batches:
        batch.words  # noqa: B018  found once per batch and shared with all measures of a run

    def work(_: list[str]) -> object:
        return [signatures(batch, RECIPE, PERMUTATIONS, SEED) for batch in batches]

    return _entrant("ours, from words on", work, part, whole)


def _slow() -> dict[str, Contender]:
    return {"datasketch": _datasketch, "datatrove": _datatrove()}


def _rensas(part: list[str], whole: list[str]) -> list[Entrant]:
    shingled = [_shingles_of(text) for text in part]

    def work(some: list[str]) -> object:
        return [_rensa(shingles) for shingles in shingled[: len(some)]]

    return [
        _entrant("rensa", lambda some: [_rensa(_shingles_of(text)) for text in some], whole, whole),
        _entrant("rensa, from shingles on", work, part, whole),
    ]


def _shingles_of(text: str) -> list[str]:
    words = _WORD.findall(text.lower())
    return [" ".join(words[i : i + WORDS]) for i in range(len(words) - WORDS + 1)]


def _datasketch(texts: list[str]) -> object:
    sketches = []
    for text in texts:
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

    def run(texts: list[str]) -> object:
        hashed = (step.get_shingles(text) for text in texts)
        return [step.get_signature(one) for one in hashed if one.size]

    return run


def _rensa(shingles: list[str]) -> object:
    from rensa import RMinHash

    sketch = RMinHash(num_perm=PERMUTATIONS, seed=SEED)
    sketch.update(shingles)
    return sketch.digest()


def check(texts: list[str]) -> str:
    """Raises Unequal where a signature is not datasketch's for the same hashes."""
    sample = texts[:: max(len(texts) // CHECKED, 1)]
    batch = TextBatch.of(sample)
    offsets, hashes = shingles(batch, WORDS)
    low = (hashes & np.uint64(0xFFFFFFFF)).astype(np.uint32)
    for i, row in enumerate(signatures(batch, RECIPE, PERMUTATIONS, SEED)):
        oracle = datasketch.MinHash(PERMUTATIONS, seed=SEED, hashfunc=int, scheme=SCHEME)
        oracle.update_batch(low[offsets[i] : offsets[i + 1]].tolist())
        if not np.array_equal(oracle.hashvalues, row):
            raise Unequal(f"the signature of document {i} of the sample is not datasketch's")
    return f"one signature a document; {len(sample):,} of ours equal datasketch's for the same shingle hashes"


if __name__ == "__main__":
    main()
