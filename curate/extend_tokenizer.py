"""A base's vocabulary, extended for a domain by continued BPE: no id changes, no text takes more tokens than before.

    texts ─base's own tokenizer▶ ids, cut into words ─distinct, counted▶ curate/continued_bpe.py
                                                     ─▶ tokenizer.json with merges and tokens appended, extension.json

Words end where the base's pre-tokenizer ends them. A SentencePiece vocabulary comes without one: what kept its tokens
from crossing words, or joining digits, were the rules it was trained by, which no file states. They show in its tokens,
so junctions of two kinds of characters (letter, digit, space, sign) that its tokens hold practically nowhere are not
made. Byte tokens (<0xE7>) are left alone: joined ones could not be decoded. So are added tokens.

Appending merges (rather than words, as `add_tokens` does) is what keeps the base's cuts valid: every new token is made
of tokens the base gave for the same text, which are also where its embedding begins: `extension.json` names them, by
new id, for whoever makes the embeddings. eBay's e-Llama extended Llama 3.1 that way (Herold et al. 2025).
"""

from __future__ import annotations

import json
import unicodedata
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from curate.continued_bpe import Pair, continue_merges
from curate.shards.fault import Fault
from curate.shards.seal import write_json
from curate.tokenizing import Tokenizer

EXTENSION = "extension.json"
LONGEST_WORD = 200  # tokens: longer runs without an end (base64, genomes) are no words
LONGEST_TEXT = 100_000  # characters looked at of a document: without a pre-tokenizer it is encoded as one word
ENCODED_AT_ONCE = 2_000_000  # characters of text: an encoding takes some hundred times its size
LEAST_SHARE = 0.001  # of the vocabulary's tokens hold a junction of kinds that the base makes
REFUSED = {
    "WordPiece": "it cuts words by their longest known beginning, so a new token can leave a rest that takes more",
    "Unigram": "it weighs cuts by the probabilities of all tokens, so a new one changes how old text is cut",
    "WordLevel": "it knows whole words alone, so there are no pieces to join",
}
Ids = npt.NDArray[np.int64]
LETTER, DIGIT, SPACE, SIGN = range(4)


@dataclass(frozen=True, slots=True)
class Extension:
    """What was appended: merge i makes token first_id + i."""

    first_id: int
    merges: tuple[Pair, ...]
    pieces: dict[int, list[int]]
    """Of each new token, the base's tokens it stands for."""


def extend_tokenizer(texts: Iterable[pa.LargeStringArray], folder: Path, by: int) -> Extension:
    """Append up to `by` tokens, learnt from `texts`, to the tokenizer in `folder`, and write extension.json there."""
    base = _Base(Tokenizer.load(folder))
    base.check()
    counted = _counted_words(base, texts)
    words = [np.frombuffer(word, np.uint32).tolist() for word in counted]
    first_id = base.tokenizer.vocabulary
    merges = continue_merges(words, list(counted.values()), base.spelled, first_id, by)
    extension = Extension(first_id, tuple(merges), _pieces(merges, first_id))
    _write(base, extension, folder)
    return extension


@dataclass(frozen=True)
class _Base:
    tokenizer: Tokenizer

    @cached_property
    def content(self) -> dict[str, Any]:
        held: dict[str, Any] = json.loads(self.tokenizer.backend.to_str())
        return held

    @property
    def model(self) -> dict[str, Any]:
        model: dict[str, Any] = self.content["model"]
        return model

    @cached_property
    def spelled(self) -> dict[int, str]:
        """Every token by its id, added ones too."""
        return {token: name for name, token in self.tokenizer.backend.get_vocab(with_added_tokens=True).items()}

    def check(self) -> None:
        kind, where = self.model["type"], "shards.tokenizer.extend"
        if kind != "BPE":
            reason = REFUSED.get(kind, "only BPE can be continued")
            raise Fault(
                f"a {kind} vocabulary cannot be extended: {reason}",
                where=where,
                hint="extend a BPE tokenizer, or leave shards.tokenizer out: the base model's own is used",
            )
        for name in ("dropout", "continuing_subword_prefix", "end_of_word_suffix"):
            if self.model.get(name):
                raise Fault(
                    f"the tokenizer has {name} = {self.model[name]!r}: what appended merges would give is not certain",
                    where=where,
                    hint="leave shards.tokenizer out: the base model's own is used",
                )

    @cached_property
    def apart(self) -> npt.NDArray[np.bool_]:
        """(vocabulary,) tokens that join no other: added ones, the unknown one, bytes that stand for no character."""
        apart = np.zeros(self.tokenizer.vocabulary, np.bool_)
        apart[[one["id"] for one in self.content["added_tokens"]]] = True
        for token, name in self.spelled.items():
            is_byte = len(name) == 6 and name.startswith("<0x") and name.endswith(">")
            apart[token] |= name == self.model.get("unk_token") or (is_byte and bool(self.model.get("byte_fallback")))
        return apart

    @cached_property
    def joins(self) -> npt.NDArray[np.bool_]:
        """(4, 4) whether the vocabulary holds junctions of a kind and a kind. All, where bytes are tokens' letters: a
        byte-level pre-tokenizer says itself where words end."""
        if '"ByteLevel"' in json.dumps(self.content["pre_tokenizer"]):
            return np.ones((4, 4), np.bool_)
        holds = np.zeros((4, 4), np.int64)
        for token, name in self.spelled.items():
            if not self.apart[token]:
                kinds = [_kind(letter) for letter in name]
                for junction in set(pairwise(kinds)):
                    holds[junction] += 1
        return holds >= max(1, LEAST_SHARE * len(self.spelled))

    @cached_property
    def ends(self) -> npt.NDArray[np.int8]:
        """(vocabulary, 2) kinds of each token's first and last character."""
        ends = np.zeros((self.tokenizer.vocabulary, 2), np.int8)
        for token, name in self.spelled.items():
            ends[token] = (_kind(name[0]), _kind(name[-1])) if name else (SIGN, SIGN)
        return ends


def _kind(letter: str) -> int:
    category = unicodedata.category(letter)
    if letter == "▁" or category.startswith("Z"):  # SentencePiece's stand-in for the space
        return SPACE
    return LETTER if category[0] in "LM" else DIGIT if category[0] == "N" else SIGN


def _counted_words(base: _Base, texts: Iterable[pa.LargeStringArray]) -> Counter[bytes]:
    """How often each run of ids stands that merges may join: its uint32 as bytes. Runs of one token are left out."""
    words: Counter[bytes] = Counter()
    for batch in texts:
        for some in _handfuls(batch):
            ids, begins = _cut(base, some)
            starts = np.flatnonzero(begins)
            stops = np.append(starts[1:], len(ids))
            chosen = (stops - starts > 1) & (stops - starts <= LONGEST_WORD)
            raw = ids.astype(np.uint32).tobytes()
            edges = zip((4 * starts[chosen]).tolist(), (4 * stops[chosen]).tolist(), strict=True)
            words.update(raw[start:stop] for start, stop in edges)
    return words


def _handfuls(batch: pa.LargeStringArray) -> Iterable[list[str]]:
    held, size = [], 0
    for text in batch.to_pylist():
        held.append(text[:LONGEST_TEXT])
        size += len(held[-1])
        if size >= ENCODED_AT_ONCE:
            yield held
            held, size = [], 0
    if held:
        yield held


def _cut(base: _Base, texts: list[str]) -> tuple[Ids, npt.NDArray[np.bool_]]:
    """(ids of all texts, whether a word begins there)."""
    encoded = base.tokenizer.backend.encode_batch(texts, add_special_tokens=False)
    none = np.zeros(0, np.int64)
    ids = np.concatenate([none, *(np.array(one.ids, np.int64) for one in encoded)])
    word = np.concatenate([none, *(np.array(one.word_ids, np.int64) for one in encoded)])
    begins = np.zeros(len(ids) + 1, np.bool_)
    begins[np.cumsum([0, *(len(one.ids) for one in encoded)])] = True
    begins = begins[:-1]
    before, after = ids[:-1], ids[1:]
    joined = base.joins[base.ends[before, 1], base.ends[after, 0]] & ~base.apart[before] & ~base.apart[after]
    begins[1:] |= (word[:-1] != word[1:]) | ~joined
    return ids, begins


def _pieces(merges: list[Pair], first_id: int) -> dict[int, list[int]]:
    pieces: dict[int, list[int]] = {}
    for token, (left, right) in enumerate(merges, first_id):
        pieces[token] = [*pieces.get(left, [left]), *pieces.get(right, [right])]
    return pieces


def _write(base: _Base, extension: Extension, folder: Path) -> None:
    import tokenizers

    # added tokens too: those that the model's vocabulary does not hold would be numbered anew, behind it
    names, vocabulary = dict(base.spelled), base.model["vocab"]
    vocabulary |= {name: token for token, name in base.spelled.items()}
    for token, (left, right) in enumerate(extension.merges, extension.first_id):
        names[token] = names[left] + names[right]
        vocabulary[names[token]] = token
        base.model["merges"].append([names[left], names[right]])
    written = tokenizers.Tokenizer.from_str(json.dumps(base.content))
    (folder / "tokenizer.json").write_text(written.to_str(pretty=True), encoding="utf-8")
    write_json(folder / EXTENSION, {"pieces": {str(token): ids for token, ids in extension.pieces.items()}})
