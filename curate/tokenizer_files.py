"""Where a tokenizer lies, and what the files beside it say of its tokens.

    folder/tokenizer.json | that file | tokenizer.model of SentencePiece | name on the hub ─▶ tokenizer, BOS, EOS

A folder with a tokenizer.json is read by that; where there is none, a SentencePiece model in it is converted
(curate/sentencepiece_file.py). What needs code of transformers to be read, slow tokenizers and tiktoken files, is
converted once by whoever has it: the fault says with which line.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from curate.sentencepiece_file import SentencePiece
from curate.shards.fault import Fault

if TYPE_CHECKING:
    import tokenizers

COMMON_EOS = ("</s>", "<|endoftext|>", "<|end_of_text|>", "<eos>", "[SEP]")  # where no file names it
SETTINGS = ("tokenizer_config.json", "special_tokens_map.json", "config.json")  # the first that names a token wins
CONVERT = (
    "python -c \"from transformers import AutoTokenizer as A; A.from_pretrained('{0}').save_pretrained('tokenizer')\""
    "  and give the folder tokenizer"
)
TIKTOKEN = "pip install tiktoken, then " + CONVERT  # which transformers reads such files with


def read_tokenizer(where: str) -> tuple[tokenizers.Tokenizer, int | None, int]:
    """(tokenizer, BOS, EOS) of a folder, a file or a name on the hub (only then by network)."""
    path = tokenizer_file(where)
    settings = _settings(path.parent)
    if path.suffix == ".json":
        backend = _read_json(path, where)
    else:
        model = SentencePiece.read(path)
        settings = model.roles | settings
        backend = model.tokenizer(puts_bos=settings.get("add_bos_token"))
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
    return backend, bos, eos


def tokenizer_file(where: str) -> Path:
    """The tokenizer.json or SentencePiece model that `where` means."""
    path = Path(where)
    if path.is_dir():
        return _in_folder(path)
    if path.is_file():
        if path.suffix == ".json" or SentencePiece.is_at(path):
            return path
        raise Fault("not a tokenizer.json, nor a SentencePiece model", where=where, hint=_hint(path, path.parent))
    if not re.fullmatch(r"[\w.-]+(/[\w.-]+)?", where) or where.startswith("."):
        raise Fault("there is no such tokenizer folder or file", where=where, hint="check the path, or give a hub name")
    return _from_hub(where)


def _in_folder(folder: Path) -> Path:
    if (folder / "tokenizer.json").is_file():
        return folder / "tokenizer.json"
    models = sorted(path for path in folder.iterdir() if ".model" in path.suffixes and SentencePiece.is_at(path))
    named = [path for path in models if path.name.startswith("tokenizer.model")]
    for found in (named, models):
        if len(found) == 1:
            return found[0]
    held = sorted(folder.iterdir())
    if models:
        raise Fault(
            f"the folder has several SentencePiece models: {', '.join(path.name for path in models)}",
            where=str(folder),
            hint=f"give one of them: {models[0]}",
        )
    hints = [_hint(path, folder) for path in held]
    raise Fault(
        f"the folder has no tokenizer.json: it holds {', '.join(path.name for path in held[:8]) or 'nothing'}",
        where=str(folder),
        hint=next((hint for hint in hints if hint.startswith("pip")), CONVERT.format(folder)),
    )


def _hint(path: Path, folder: Path) -> str:
    """How to convert what a file holds: a line of tiktoken's is a token in base64 and its number."""
    head = b""
    if path.is_file():
        with path.open("rb") as file:
            head = file.readline(200)
    return (TIKTOKEN if re.fullmatch(rb"[A-Za-z0-9+/]+=* \d+\r?\n", head) else CONVERT).format(folder)


def _read_json(path: Path, where: str) -> tokenizers.Tokenizer:
    import tokenizers

    try:
        backend = tokenizers.Tokenizer.from_file(str(path))
    except Exception as error:  # the binding raises nothing more special
        raise Fault(
            f"not a tokenizer that the tokenizers library reads: {error}", where=str(path), hint=CONVERT.format(where)
        ) from error
    backend.no_truncation()  # the file may hold a model's maximal length; a corpus has none
    backend.no_padding()
    return backend


def _from_hub(name: str) -> Path:
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError

    try:
        path = Path(hf_hub_download(name, "tokenizer.json"))
    except EntryNotFoundError as error:
        raise Fault("on the hub, without a tokenizer.json", where=name, hint=CONVERT.format(name)) from error
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
