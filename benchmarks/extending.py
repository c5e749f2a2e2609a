"""What appending tokens to a vocabulary saves on text they were not learnt from, beside `add_tokens` with whole words.

    python -m benchmarks.extending --data ../shared/data --mb 20 --tokenizers ../shared/data/tokenizers

Nine documents in ten are learnt from, the tenth is counted. The words that `add_tokens` of the tokenizers library gets
are those that take most tokens beyond one in the very text ours learns from, as tokens that stand for whole words only.
Ours are further merges (curate/extend_tokenizer.py). A document that takes more tokens than before is counted, too: an
appended word is cut out of the text before anything else, and the space before it then takes a token of its own.
"""

from __future__ import annotations

import re
import shutil
import tempfile
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import tokenizers

from benchmarks.contest import Table, parser, tell
from benchmarks.texts import in_batches, n_bytes, texts
from curate.extend_tokenizer import extend_tokenizer
from curate.tokenizing import Tokenizer
from curate.train_tokenizer import train_tokenizer

NAMES = ("gpt-neox-20b", "allenai-dolma2", "llama-style-sp-bpe")
WORD = re.compile(r"[^\W\d_]{2,}")
Row = tuple[str, ...]


def main(line: list[str] | None = None) -> None:
    asked = parser(__doc__, mb=2)
    asked.add_argument("--tokenizers", type=Path, help="folder such as ../shared/data/tokenizers; else one of our own")
    asked.add_argument("--by", type=int, nargs="+", default=[200], help="tokens to append (default: %(default)s)")
    given = asked.parse_args(line)
    documents = texts(given.data, given.mb)
    held_out = documents[::10]
    learnt = [text for place, text in enumerate(documents) if place % 10]
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as scratch:
        for name, folder in _bases(given.tokenizers, learnt, Path(scratch)):
            base = Tokenizer.load(folder)
            before = _counts(base.backend, held_out)
            for by in given.by:
                rows += _rows(name, base, before, learnt, held_out, by, Path(scratch) / f"{name}-{by}")
    title = f"Tokens saved on {n_bytes(held_out) / 1e6:.1f} MB held out, learnt from {n_bytes(learnt) / 1e6:.1f} MB"
    head = ("how", "tokenizer", "tokens appended", "tokens saved", "documents that take more", "CPU seconds to learn")
    tell(given, [Table(title, head, tuple(rows))])


def _bases(place: Path | None, learnt: list[str], scratch: Path) -> list[tuple[str, Path]]:
    if place is not None:
        return [(name, place / name) for name in NAMES]
    train_tokenizer(learnt[:50], 500, scratch / "own")
    return [("byte level, 500 tokens", scratch / "own")]


def _rows(
    name: str, base: Tokenizer, before: np.ndarray, learnt: list[str], held_out: list[str], by: int, folder: Path
) -> list[Row]:
    base.save(folder)
    begun = time.process_time()
    made = extend_tokenizer((pa.array(batch, pa.large_string()) for batch in in_batches(learnt)), folder, by)
    ours = time.process_time() - begun
    extended = Tokenizer.load(folder).backend
    shutil.rmtree(folder)
    begun = time.process_time()
    with_words = _with_words(base, learnt, len(made.merges))
    theirs = time.process_time() - begun
    return [
        _row("ours", name, len(made.merges), before, _counts(extended, held_out), ours),
        _row("add_tokens", name, len(made.merges), before, _counts(with_words, held_out), theirs),
    ]


def _row(how: str, name: str, appended: int, before: np.ndarray, after: np.ndarray, seconds: float) -> Row:
    saved = 1 - after.sum() / before.sum()
    longer = f"{(after > before).sum():,} of {len(before):,}"
    return (how, name, f"{appended:,}", f"{saved:.2%}", longer, f"{seconds:.1f}")


def _with_words(base: Tokenizer, learnt: list[str], by: int) -> tokenizers.Tokenizer:
    times = Counter(word for text in learnt for word in WORD.findall(text))
    often = [word for word, n in times.most_common(40_000) if n > 1]
    encoded = base.backend.encode_batch_fast([f"a {word}" for word in often], add_special_tokens=False)
    cost = {word: (len(one.ids) - 2) * times[word] for word, one in zip(often, encoded, strict=True)}
    chosen = sorted((word for word in often if cost[word] > 0), key=lambda word: (-cost[word], word))[:by]
    extended = tokenizers.Tokenizer.from_str(base.backend.to_str())
    extended.encode_special_tokens = True
    extended.add_tokens([tokenizers.AddedToken(word, single_word=True) for word in chosen])
    return extended


def _counts(tokenizer: tokenizers.Tokenizer, documents: list[str]) -> np.ndarray:  # (n,) tokens of each
    found = (tokenizer.encode_batch_fast(batch, add_special_tokens=False) for batch in in_batches(documents))
    return np.array([len(one.ids) for batch in found for one in batch], np.int64)


if __name__ == "__main__":
    main()
