"""Text to token ids: exactly those of the model's own Hugging Face tokenizer, at the speed of memory where possible.

In comes a batch of texts, out come two flat arrays, ids and offsets, and no Python object per token. Per document:

    what the tokenizer's post-processor puts before it (BOS, for most Llamas) · the text · EOS, unless it ends with one

**Two engines.** `fastokens` encodes a hundred times faster than `tokenizers` and gave the same ids on all we tried,
but it is younger and refuses some models (WordPiece). So it is held against `tokenizers` when loading, on strings
that are easy to get wrong, and in every batch, on slices of that batch's own text. Where it fails, `tokenizers`
does the work and a warning says so. The check depends on the batch alone, never on what this process saw before, so
ids do not depend on how work was divided.

**Literal special tokens.** A document that says "</s>" or "<|endoftext|>" speaks about a token, it is not one: such
strings are encoded as text (what `split_special_tokens=True` does in transformers; its default would make them
control tokens, and let a web page end a document). Text that was written with its markers on purpose, chats, asks for
`control_tokens`. Added tokens that are not special (runs of spaces, `|||EMAIL_ADDRESS|||`) stay tokens.

**Long documents** are encoded by pieces with the same ids (curate/long_texts.py), so that memory stays that of a batch.

**What transformers makes of the file.** Where there is a tokenizer.json, transformers 5 ignores `add_bos_token` and
`add_eos_token` of tokenizer_config.json, and so do we; but some of its classes (GPTNeoXTokenizer, LlamaTokenizer)
rebuild parts of the pipeline in Python, which no file says. Whoever has transformers at hand writes what is in force
with `AutoTokenizer.from_pretrained(base).save_pretrained(folder)`; `Tokenizer.load(folder)` then gives the same ids.
"""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from numba import njit

from curate.long_texts import LONG_BYTES, Seams
from curate.shards.fault import Fault
from curate.shards.seal import write_json
from curate.tokenizer_files import read_tokenizer

if TYPE_CHECKING:
    import fastokens
    import tokenizers

RUN_BYTES = 1 << 20  # of text, encoded together: the cache still holds strings that were just made, a sixth faster
SLICES, SLICE_BYTES = 4, 256  # of each batch, checked: with 8 MB, about a hundredth of the time of encoding
# Easy to get wrong: runs of spaces, digits, contractions, combining marks, scripts without spaces, joiners, controls
PROBES = (
    "",
    " ",
    "  two  spaces and a tail  \n\n\t\tx\r\n",
    "Don't I'LL we’ve 3.14159 1234567 10⁶ µg/mL",
    "naïve café cafe\u0301 Å A\u030a ﬁ Ⅳ İi",
    "हिन्दी में क्षेत्र ไทยไม่มีช่องว่าง 日本語テキスト 한국어 עברית العربية",
    "👩‍👩‍👧‍👦🏽 \u200b\u200d\ufeff \x00\x07 \U0001f9ec",
    "<a href='x'>y</a> {\"k\": [1, 2]} -- ___ ..... ????",
    "</s><s> <|endoftext|>[SEP]<unk>",
)


Ids = npt.NDArray[np.unsignedinteger[Any]]
Offsets = npt.NDArray[np.int64]
Flat = tuple[Ids, Offsets]  # text i's ids are ids[offsets[i]:offsets[i + 1]]
Encode = Callable[[list[str], bool], Flat]  # False: nothing put around the texts


@dataclass(frozen=True)
class Tokenizer:
    """A tokenizer with its policy. Made by `Tokenizer.load`; travels to other processes by its content."""

    backend: tokenizers.Tokenizer
    bos: int | None
    eos: int
    control_tokens: bool = False
    """Whether literal special tokens in a text are control tokens."""

    @staticmethod
    def load(where: str | Path, *, control_tokens: bool = False) -> Tokenizer:
        """From a folder with tokenizer.json or a SentencePiece model, such a file, or a name on the hub."""
        backend, bos, eos = read_tokenizer(str(where))
        return _ready(backend.to_str(), bos, eos, control_tokens)

    def __reduce__(self) -> tuple[Callable[..., Tokenizer], tuple[str, int | None, int, bool]]:
        return _ready, (self.backend.to_str(), self.bos, self.eos, self.control_tokens)

    def save(self, folder: Path) -> None:
        """Write the files from which `load` and transformers' AutoTokenizer both get this tokenizer."""
        folder.mkdir(parents=True, exist_ok=True)
        named = {"bos_token": self.bos, "eos_token": self.eos}
        # not id_to_token, which gives some added tokens as the normalizer has them: ▁</s>
        names = {token: name for name, token in self.backend.get_vocab(with_added_tokens=True).items()}
        roles = {role: names[token] for role, token in named.items() if token is not None}
        (folder / "tokenizer.json").write_text(self.backend.to_str(pretty=True), encoding="utf-8")
        write_json(folder / "special_tokens_map.json", roles)
        write_json(folder / "tokenizer_config.json", {"tokenizer_class": "PreTrainedTokenizerFast", **roles})

    @cached_property
    def vocabulary(self) -> int:
        """Ids that may occur: the largest plus one, added tokens included. A model needs as many embeddings."""
        return max(self.backend.get_vocab(with_added_tokens=True).values()) + 1

    def fingerprint(self) -> dict[str, Any]:
        """What the ids depend on, for manifests."""
        content = hashlib.sha256(self.backend.to_str().encode()).hexdigest()
        asked = {"control_tokens": True} if self.control_tokens else {}
        return {"sha256": content, "vocabulary": self.vocabulary, "bos": self.bos, "eos": self.eos, **asked}

    def encode(self, texts: pa.LargeStringArray, dtype: npt.DTypeLike = np.uint32) -> Flat:
        """(ids, offsets): text i's ids are ids[offsets[i]:offsets[i + 1]], of a type that holds the vocabulary."""
        if self.vocabulary - 1 > np.iinfo(dtype).max:
            raise Fault(f"token id {self.vocabulary - 1} does not fit {np.dtype(dtype)}: the vocabulary is larger")
        encode, n_bytes = self._engine(texts), pc.binary_length(texts).to_numpy()
        runs = []
        for first, stop in pairwise(_edges(n_bytes)):
            run = texts.slice(first, stop - first)
            if n_bytes[first] > LONG_BYTES:
                runs.append(self._terminated(*self._by_pieces(run[0], encode, dtype), dtype))
            else:
                runs.append(self._terminated(*encode(_strings(run), True), dtype))
        return _joined(runs, dtype)

    def _engine(self, texts: pa.LargeStringArray) -> Encode:
        """The fast one where it is right about slices of these very texts."""
        slow = _by_tokenizers(self.backend)
        if self._fast is None:
            return slow
        fast = _by_fastokens(self._fast, self.control_tokens)
        return fast if _agree(fast, slow, _slices(texts)) else slow

    @cached_property
    def _fast(self) -> fastokens.Tokenizer | None:
        """fastokens, or None where it refuses this tokenizer or gave other ids for the probes."""
        import fastokens

        try:
            fast = fastokens.Tokenizer.from_json_str(self.backend.to_str())
        except Exception as error:  # the binding raises nothing more special
            warnings.warn(f"fastokens cannot load this tokenizer ({error}): tokenizers does, much slower", stacklevel=2)
            return None
        probed = _by_fastokens(fast, self.control_tokens), _by_tokenizers(self.backend)
        return fast if _agree(*probed, list(PROBES)) else None

    def _by_pieces(self, text: pa.LargeStringScalar, encode: Encode, dtype: npt.DTypeLike) -> Flat:
        def bare(texts: list[str]) -> list[Ids]:
            ids, offsets = encode(texts, False)
            return [ids[first:stop].astype(dtype) for first, stop in pairwise(offsets.tolist())]

        before, behind = self.around
        pieces = Seams(self.backend, bare).pieces(memoryview(text.as_buffer()))
        ids = np.concatenate([np.array(before, dtype), *pieces, np.array(behind, dtype)])
        return ids, np.array([0, len(ids)], np.int64)

    @cached_property
    def around(self) -> tuple[list[int], list[int]]:
        """Tokens that the tokenizer's own post-processor puts before and behind a text."""
        bare = self.backend.encode("a", add_special_tokens=False).ids
        whole = self.backend.encode("a", add_special_tokens=True).ids
        at = next(i for i in range(len(whole)) if whole[i : i + len(bare)] == bare)
        return whole[:at], whole[at + len(bare) :]

    def _terminated(self, ids: Ids, offsets: Offsets, dtype: npt.DTypeLike) -> Flat:
        """With EOS at the end of every text that does not end with it, in the type asked for."""
        for array in (ids, offsets):
            array.flags.writeable = False  # as fastokens' are: one kernel for both engines
        room = np.empty(len(ids) + len(offsets) - 1, dtype)
        ends = np.zeros(len(offsets), np.int64)
        terminate(ids, offsets, self.eos, room, ends)
        return room[: ends[-1]], ends


@njit(cache=True, nogil=True)
def terminate(ids, offsets, eos, room, ends):  # type: ignore[no-untyped-def]
    """Copy the texts' ids into `room`, each with EOS behind it, and tell where each ends."""
    at = 0
    for text in range(len(offsets) - 1):
        first, stop = offsets[text], offsets[text + 1]
        held, free = ids[first:stop], room[at : at + stop - first]
        for i in range(len(held)):  # over slices, which the compiler vectorises: ten times as fast as by index
            free[i] = held[i]
        at += stop - first
        if first == stop or ids[stop - 1] != eos:
            room[at] = eos
            at += 1
        ends[text + 1] = at


def warm_up() -> None:
    """Have the kernel at hand for both types of shards."""
    ids, offsets = np.zeros(1, np.uint32), np.array([0, 1], np.int64)
    for array in (ids, offsets):
        array.flags.writeable = False
    for dtype in (np.uint16, np.uint32):
        terminate(ids, offsets, 1, np.empty(2, dtype), np.zeros(2, np.int64))


def _ready(content: str, bos: int | None, eos: int, control_tokens: bool = False) -> Tokenizer:
    """From the JSON in force."""
    import tokenizers

    backend = tokenizers.Tokenizer.from_str(content)
    backend.encode_special_tokens = not control_tokens  # not part of the JSON
    return Tokenizer(backend, bos, eos, control_tokens)


def _edges(n_bytes: Offsets) -> list[int]:
    """Where runs of texts begin, and the end: a long text is a run alone."""
    is_long = n_bytes > LONG_BYTES
    begins = np.diff((np.cumsum(n_bytes) - n_bytes) // RUN_BYTES, prepend=-1) > 0
    begins |= is_long
    begins[1:] |= is_long[:-1]
    return [*np.flatnonzero(begins).tolist(), len(n_bytes)]


def _strings(texts: pa.LargeStringArray) -> list[str]:
    strings: list[str] = texts.to_numpy(zero_copy_only=False).tolist()  # in C++, a fifth faster than to_pylist
    return strings


def _slices(texts: pa.LargeStringArray) -> list[str]:
    """A few parts of documents spread evenly through a batch, each further into its document."""
    chosen = sorted({len(texts) * part // SLICES for part in range(SLICES)}) if len(texts) else []
    raws = [memoryview(texts[index].as_buffer()) for index in chosen]
    begins = [max(0, len(raw) - SLICE_BYTES) * part // SLICES for part, raw in enumerate(raws)]
    return [str(raw[at : at + SLICE_BYTES], "utf-8", "ignore") for at, raw in zip(begins, raws, strict=True)]


def _agree(fast: Encode, slow: Encode, texts: list[str]) -> bool:
    agree = all(np.array_equal(one, other) for one, other in zip(fast(texts, True), slow(texts, True), strict=True))
    if not agree:
        warnings.warn("fastokens gave other ids than tokenizers, which does the work instead, slower", stacklevel=3)
    return agree


def _by_fastokens(fast: fastokens.Tokenizer, control_tokens: bool) -> Encode:
    def encode(texts: list[str], puts_around: bool) -> Flat:
        ids, offsets = fast.encode_batch_flat(
            texts, add_special_tokens=puts_around, split_special_tokens=not control_tokens
        )
        return np.frombuffer(ids, "<u4"), np.frombuffer(offsets, "<i8")

    return encode


def _by_tokenizers(backend: tokenizers.Tokenizer) -> Encode:
    def encode(texts: list[str], puts_around: bool) -> Flat:
        found = backend.encode_batch_fast(texts, add_special_tokens=puts_around)
        encoded = [np.asarray(one.ids, np.uint32) for one in found]
        offsets = np.cumsum([0] + [len(ids) for ids in encoded], dtype=np.int64)
        return np.concatenate([*encoded, np.zeros(0, np.uint32)]), offsets

    return encode


def _joined(runs: list[Flat], dtype: npt.DTypeLike) -> Flat:
    before = np.cumsum([0] + [len(ids) for ids, _ in runs])
    ends = [offsets[1:] + at for (_, offsets), at in zip(runs, before.tolist(), strict=False)]
    ids = np.concatenate([np.zeros(0, dtype), *(ids for ids, _ in runs)])
    return ids, np.concatenate([np.zeros(1, np.int64), *ends])
