"""How a tokenizer fits a corpus: tokens per word and byte, characters it takes apart, terms it splits, what more
vocabulary would save.

    sample of each source ─encode▶ tokens per word, bytes per token, pieces of characters
    words of the domain's sample ─encode one by one▶ terms that split worst ─as tokens of their own▶ tokens saved

A term's cost is what it takes beyond one token, times how often it stands there. Candidates for new tokens are chosen
on half of the documents and their saving is counted on the other half, as a vocabulary would meet text it was not made
from. That is what appended words can save at most; continued BPE, which also learns pieces and phrases, saves somewhat
more (pieces) at the same size.

Whether it pays: evidence starts at 15-20 % fewer tokens (eBay's e-Llama went up to 20 %; ChipNeMo found 1.6-3.3 % and
let it be), since every new row of the embeddings has to be learnt from this corpus alone.

Legend: n documents, w words, t distinct terms.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from curate.characters import LETTER
from curate.text import Int64s, TextBatch
from curate.tokenizing import Tokenizer
from curate.xxh64 import xxh64

PAYS_FROM = 0.15  # share of tokens saved
NEW_TOKENS = (1_000, 4_000, 16_000)
TERMS_SHOWN = 40
LEAST_OCCURRENCES = 4  # of a term among the documents that terms are chosen from
MOST_TERMS = 40_000  # encoded one by one


@dataclass(frozen=True, slots=True)
class SourceText:
    """Texts of one source, some documents of it."""

    source: str
    ids: pa.LargeStringArray
    texts: pa.LargeStringArray


def fertility(tokenizer: Tokenizer, samples: Iterable[SourceText], domain: set[str]) -> dict[str, Any]:
    """JSON-ready. `domain`: names of the sources whose terms are looked at."""
    parts = whole_characters(tokenizer)
    unknown = _unknown(tokenizer)
    rows: list[dict[str, Any]] = []
    halves: tuple[list[pa.LargeStringArray], list[pa.LargeStringArray]] = ([], [])
    for sample in samples:
        rows.append(_of_source(tokenizer, sample, parts, unknown))
        if sample.source in domain:
            half = (xxh64(sample.ids) & np.uint64(1)).astype(np.int64)
            for side in (0, 1):
                halves[side].append(sample.texts.filter(pa.array(half == side)))
    return {"sources": rows, **_terms(tokenizer, *(TextBatch(_together(half)) for half in halves))}


def _of_source(tokenizer: Tokenizer, sample: SourceText, whole: npt.NDArray[np.bool_], unknown: int) -> dict[str, Any]:
    batch = TextBatch(sample.texts)
    ids, _ = tokenizer.encode(sample.texts)
    around = len(tokenizer.encode(pa.array([""], pa.large_string()))[0])  # BOS and EOS
    tokens = len(ids) - around * len(batch)
    return {
        "source": sample.source,
        "documents": len(batch),
        "bytes": int(batch.n_bytes.sum()),
        "words": len(batch.words.hash),
        "tokens": tokens,
        "pieces_of_characters": int((~whole[ids]).sum()),
        "unknown": int((ids == unknown).sum()),
    }


def whole_characters(tokenizer: Tokenizer) -> npt.NDArray[np.bool_]:
    """(vocabulary,) False for tokens that stand for bytes of a character and for no whole one: the byte fallback of
    SentencePiece (<0xE7>), and byte-level tokens that are no valid UTF-8."""
    level = _bytes_of_letters() if _is_byte_level(tokenizer) else None
    whole = np.ones(tokenizer.vocabulary, np.bool_)
    for token, place in tokenizer.backend.get_vocab(with_added_tokens=False).items():
        if level is None:
            whole[place] = not (len(token) == 6 and token.startswith("<0x") and token.endswith(">"))
        elif all(letter in level for letter in token):
            whole[place] = _is_text(bytes(level[letter] for letter in token))
    return whole


def _is_text(raw: bytes) -> bool:
    try:
        raw.decode()
    except UnicodeDecodeError:
        return False
    return True


def _is_byte_level(tokenizer: Tokenizer) -> bool:
    return '"ByteLevel"' in tokenizer.backend.to_str()


def _bytes_of_letters() -> dict[str, int]:
    """GPT-2's printable stand-in for each byte: itself where Latin-1 prints it, else the next letter from 256 on."""
    printed = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    others = [byte for byte in range(256) if byte not in printed]
    return {chr(byte): byte for byte in printed} | {chr(256 + i): byte for i, byte in enumerate(others)}


def _unknown(tokenizer: Tokenizer) -> int:
    found = (tokenizer.backend.token_to_id(name) for name in ("[UNK]", "<unk>"))
    return next((known for known in found if known is not None), -1)


def _together(texts: list[pa.LargeStringArray]) -> pa.LargeStringArray:
    return pa.concat_arrays([pa.array([], pa.large_string()), *texts])


def _terms(tokenizer: Tokenizer, chosen_on: TextBatch, counted_on: TextBatch) -> dict[str, Any]:
    """What splits worst, and what tokens of their own would save for it in text that they were not chosen from."""
    spelled, times, terms = _frequent(chosen_on)
    splits = _tokens_alone(tokenizer, terms)
    cost = (splits - 1) * times
    order = np.lexsort((spelled, -cost))
    order = order[cost[order] > 0]
    elsewhere = _occurrences(counted_on, spelled)
    tokens = len(tokenizer.encode(counted_on.array)[0])
    saved = np.cumsum(((splits - 1) * elsewhere)[order])
    return {
        "terms": [
            {"term": terms[i], "times": int(times[i]), "tokens": int(splits[i]), "pieces": _pieces(tokenizer, terms[i])}
            for i in order[:TERMS_SHOWN].tolist()
        ],
        "savings": [
            {"new_tokens": n, "share": float(saved[n - 1]) / tokens}
            for n in sorted({min(n, len(saved)) for n in NEW_TOKENS})
            if n and tokens
        ],
        "counted_on_tokens": tokens,
        "pays_from": PAYS_FROM,
    }


def _frequent(batch: TextBatch) -> tuple[npt.NDArray[np.uint64], Int64s, list[str]]:
    """(key, times, spelling) of the terms that occur often enough, the most frequent where they are many: (t,) each."""
    words = batch.words
    keys, first, times = np.unique(words.spelled, return_index=True, return_counts=True)
    is_term = (words.characters[first] > 1) & (words.kinds[first] & LETTER > 0)  # digits are split on purpose
    often = np.flatnonzero((times >= LEAST_OCCURRENCES) & is_term)
    often = often[np.lexsort((keys[often], -times[often]))][:MOST_TERMS]
    at = first[often]
    spelled = [batch.data[a:b].tobytes().decode() for a, b in zip(words.start[at], words.end[at], strict=True)]
    return keys[often], times[often].astype(np.int64), spelled


def _tokens_alone(tokenizer: Tokenizer, terms: list[str]) -> Int64s:
    """Tokens of each term inside a sentence: behind another word, whose own tokens don't count."""
    encoded = tokenizer.backend.encode_batch_fast([f"a {term}" for term in terms], add_special_tokens=False)
    before = len(tokenizer.backend.encode("a", add_special_tokens=False).ids)
    return np.array([max(1, len(one.ids) - before) for one in encoded], np.int64)


def _pieces(tokenizer: Tokenizer, term: str) -> list[str]:
    """The term as it is cut, into whole characters at least."""
    text = f"a {term}"
    cuts = [text[low:high] for low, high in tokenizer.backend.encode(text, add_special_tokens=False).offsets if low]
    return [piece for piece in map(str.strip, cuts) if piece]


def _occurrences(batch: TextBatch, keys: npt.NDArray[np.uint64]) -> Int64s:
    """How often each of the terms stands in a batch."""
    found, times = np.unique(batch.words.spelled, return_counts=True)
    if not len(found):
        return np.zeros(len(keys), np.int64)
    at = np.minimum(np.searchsorted(found, keys), len(found) - 1)
    return np.where(found[at] == keys, times[at], 0).astype(np.int64)
