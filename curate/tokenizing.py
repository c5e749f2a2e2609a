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
control tokens, and let a web page end a document). Added tokens that are not special (runs of spaces,
`|||EMAIL_ADDRESS|||`) stay tokens.

**What transformers makes of the file.** Where there is a tokenizer.json, transformers 5 ignores `add_bos_token` and
`add_eos_token` of tokenizer_config.json, and so do we; but some of its classes (GPTNeoXTokenizer, LlamaTokenizer)
rebuild parts of the pipeline in Python, which no file says. Whoever has transformers at hand writes what is in force
with `AutoTokenizer.from_pretrained(base).save_pretrained(folder)`; `Tokenizer.load(folder)` then gives the same ids.
"""

from __future__ import annotations

import hashlib
import json
import re
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from curate.shards.fault import Fault
from curate.shards.seal import write_json

if TYPE_CHECKING:
    import fastokens
    import tokenizers

COMMON_EOS = ("</s>", "<|endoftext|>", "<|end_of_text|>", "<eos>", "[SEP]")  # where no file names it
SETTINGS = ("tokenizer_config.json", "special_tokens_map.json", "config.json")  # the first that names a token wins
CONVERT = (
    "python -c \"from transformers import AutoTokenizer as A; A.from_pretrained('{0}').save_pretrained('tokenizer')\""
    "  and give the folder tokenizer"
)
SLICES, SLICE_CHARACTERS = 4, 1_000  # of each batch, checked: with 8 MB, about a tenth of the time of encoding
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


@dataclass(frozen=True)
class Tokenizer:
    """A tokenizer with its policy. Made by `Tokenizer.load`; travels to other processes by its content."""

    backend: tokenizers.Tokenizer
    bos: int | None
    eos: int

    @staticmethod
    def load(where: str | Path) -> Tokenizer:
        """From a folder with tokenizer.json, such a file, or a name on the hub (only then by network)."""
        import tokenizers

        path = _tokenizer_file(str(where))
        try:
            backend = tokenizers.Tokenizer.from_file(str(path))
        except Exception as error:  # the binding raises nothing more special
            raise Fault(
                f"not a tokenizer that the tokenizers library reads: {error}",
                where=str(path),
                hint=CONVERT.format(where),
            ) from error
        settings = _settings(path.parent)
        bos = _token(backend, settings, "bos_token", path)
        eos = _token(backend, settings, "eos_token", path)
        if eos is None:
            found = (backend.token_to_id(name) for name in COMMON_EOS)
            eos = next((known for known in found if known is not None), None)
        if eos is None:
            raise Fault(
                "the tokenizer names no end-of-text token, and has none of the usual ones",
                where=str(path),
                hint='put {"eos_token": "..."} into tokenizer_config.json beside it',
            )
        backend.no_truncation()  # the file may hold a model's maximal length; a corpus has none
        backend.no_padding()
        return _ready(backend.to_str(), bos, eos)

    def __reduce__(self) -> tuple[Callable[..., Tokenizer], tuple[str, int | None, int]]:
        return _ready, (self.backend.to_str(), self.bos, self.eos)

    def save(self, folder: Path) -> None:
        """Write the files from which `load` and transformers' AutoTokenizer both get this tokenizer."""
        folder.mkdir(parents=True, exist_ok=True)
        named = {"bos_token": self.bos, "eos_token": self.eos}
        roles = {role: self.backend.id_to_token(token) for role, token in named.items() if token is not None}
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
        return {"sha256": content, "vocabulary": self.vocabulary, "bos": self.bos, "eos": self.eos}

    def encode(self, texts: pa.LargeStringArray) -> tuple[np.ndarray, np.ndarray]:
        """(ids uint32, offsets int64 of one more than texts): text i's ids are ids[offsets[i]:offsets[i + 1]]."""
        documents = texts.to_pylist()
        fast = self._fast
        if fast is not None and _agree(fast, self.backend, _slices(documents)):
            ids, offsets = _by_fastokens(fast, documents)
        else:
            ids, offsets = _by_tokenizers(self.backend, documents)
        return self._terminated(ids, offsets)

    @cached_property
    def _fast(self) -> fastokens.Tokenizer | None:
        """fastokens, or None where it refuses this tokenizer or gave other ids for the probes."""
        import fastokens

        try:
            fast = fastokens.Tokenizer.from_json_str(self.backend.to_str())
        except Exception as error:  # the binding raises nothing more special
            warnings.warn(f"fastokens cannot load this tokenizer ({error}): tokenizers does, much slower", stacklevel=2)
            return None
        return fast if _agree(fast, self.backend, list(PROBES)) else None

    def _terminated(self, ids: np.ndarray, offsets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """With EOS at the end of every text that does not end with it."""
        ends = offsets[1:]
        lacks = ends == offsets[:-1]
        lacks[~lacks] = ids[ends[~lacks] - 1] != self.eos
        return np.insert(ids, ends[lacks], np.uint32(self.eos)), offsets + np.concatenate([[0], np.cumsum(lacks)])


def _ready(content: str, bos: int | None, eos: int) -> Tokenizer:
    """From the JSON in force."""
    import tokenizers

    backend = tokenizers.Tokenizer.from_str(content)
    backend.encode_special_tokens = True  # not part of the JSON
    return Tokenizer(backend, bos, eos)


def _tokenizer_file(where: str) -> Path:
    path = Path(where)
    if path.is_dir():
        if (path / "tokenizer.json").is_file():
            return path / "tokenizer.json"
        held = ", ".join(sorted(file.name for file in path.iterdir())[:8]) or "nothing"
        raise Fault(f"the folder has no tokenizer.json: it holds {held}", where=where, hint=CONVERT.format(where))
    if path.is_file():
        if path.suffix == ".json":
            return path
        raise Fault(
            "a SentencePiece or other model file, not a tokenizer.json", where=where, hint=CONVERT.format(path.parent)
        )
    if not re.fullmatch(r"[\w.-]+(/[\w.-]+)?", where) or where.startswith("."):
        raise Fault("there is no such tokenizer folder or file", where=where, hint="check the path, or give a hub name")
    return _from_hub(where)


def _from_hub(name: str) -> Path:
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError

    try:
        path = Path(hf_hub_download(name, "tokenizer.json"))
    except Exception as error:  # offline, gated, unknown: every kind of failure is the same news here
        raise Fault(
            f"neither a folder, nor a tokenizer that the hub gives: {type(error).__name__}",
            where=name,
            hint="check the spelling and the network, or give the path of a downloaded folder",
        ) from error
    for other in SETTINGS:
        try:
            hf_hub_download(name, other)
        except EntryNotFoundError:
            continue
    return path


def _settings(folder: Path) -> dict[str, Any]:
    """What the small files beside tokenizer.json say, the more specific file first."""
    merged: dict[str, Any] = {}
    for name in reversed(SETTINGS):
        if (folder / name).is_file():
            try:
                held = json.loads((folder / name).read_text(encoding="utf-8"))
            except ValueError as error:
                raise Fault(f"{name} is not JSON: {error}", where=str(folder / name)) from error
            merged.update({key: value for key, value in held.items() if value is not None})
    return merged


def _token(backend: tokenizers.Tokenizer, settings: dict[str, Any], role: str, path: Path) -> int | None:
    """The id of bos_token or eos_token: by name, or by the id that a model's config.json states."""
    named = settings.get(role)
    if isinstance(named, dict):  # an AddedToken, spelled out
        named = named.get("content")
    if named is None:
        stated = settings.get(f"{role}_id")
        stated = stated[0] if isinstance(stated, list) and stated else stated
        return stated if isinstance(stated, int) and backend.id_to_token(stated) is not None else None
    found = backend.token_to_id(named)
    if found is None:
        raise Fault(
            f"{role} is {named!r}, which is not in the vocabulary",
            where=str(path.parent),
            hint=CONVERT.format(path.parent),
        )
    return int(found)


def _agree(fast: fastokens.Tokenizer, backend: tokenizers.Tokenizer, texts: list[str]) -> bool:
    ours, theirs = _by_fastokens(fast, texts), _by_tokenizers(backend, texts)
    agree = all(np.array_equal(one, other) for one, other in zip(ours, theirs, strict=True))
    if not agree:
        warnings.warn("fastokens gave other ids than tokenizers, which does the work instead, slower", stacklevel=3)
    return agree


def _by_fastokens(fast: fastokens.Tokenizer, texts: list[str]) -> tuple[np.ndarray, np.ndarray]:
    ids, offsets = fast.encode_batch_flat(texts, add_special_tokens=True, split_special_tokens=True)
    return np.frombuffer(ids, "<u4"), np.frombuffer(offsets, "<u8").astype(np.int64)


def _by_tokenizers(backend: tokenizers.Tokenizer, texts: list[str]) -> tuple[np.ndarray, np.ndarray]:
    encoded = [np.asarray(one.ids, np.uint32) for one in backend.encode_batch_fast(texts, add_special_tokens=True)]
    offsets = np.cumsum([0] + [len(ids) for ids in encoded], dtype=np.int64)
    return np.concatenate([*encoded, np.zeros(0, np.uint32)]), offsets


def _slices(texts: list[str]) -> list[str]:
    """A few beginnings, from documents spread evenly through a batch."""
    chosen = sorted({len(texts) * part // SLICES for part in range(SLICES)}) if texts else []
    return [texts[index][:SLICE_CHARACTERS] for index in chosen]
