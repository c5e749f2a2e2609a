"""What stands around every document, and whether the base expects just that: BOS, EOS, said and compared.

    what the tokenizer puts before · the text · what it puts behind, then EOS where none stands there yet
    config.json and generation_config.json of the base: bos_token_id, eos_token_id

A base that learnt documents to begin with BOS loses some of what it knows without it, and one that ends text with
another token than the corpus does never stops. Neither shows in a loss.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from curate.tokenizing import Tokenizer

NAMED = {"bos": "bos_token_id", "eos": "eos_token_id"}


def token_policy(tokenizer: Tokenizer, base: str | None) -> dict[str, Any]:
    """JSON-ready. `base`: a folder; of a name on the hub nothing is said without asking the network."""
    before, behind = _around(tokenizer)
    ends = behind[-1] if behind else None
    behind = behind if ends == tokenizer.eos else [*behind, tokenizer.eos]
    expected = _expected(Path(base)) if base is not None else {}
    return {
        "before": [_spelled(tokenizer, token) for token in before],
        "behind": [_spelled(tokenizer, token) for token in behind],
        "base": {role: [_spelled(tokenizer, token) for token in tokens] for role, tokens in expected.items()},
        "differences": list(_differences(tokenizer, before, behind, expected)),
    }


def _around(tokenizer: Tokenizer) -> tuple[list[int], list[int]]:
    """Tokens that the tokenizer's own post-processor puts before and behind a text."""
    bare = tokenizer.backend.encode("a", add_special_tokens=False).ids
    whole = tokenizer.backend.encode("a", add_special_tokens=True).ids
    at = next(i for i in range(len(whole)) if whole[i : i + len(bare)] == bare)
    return whole[:at], whole[at + len(bare) :]


def _expected(base: Path) -> dict[str, list[int]]:
    """By role, the ids that the base's files name; the generation config's word counts where both speak."""
    found: dict[str, list[int]] = {}
    for name in ("config.json", "generation_config.json"):
        held = json.loads((base / name).read_text(encoding="utf-8")) if (base / name).is_file() else {}
        for role, key in NAMED.items():
            if held.get(key) is not None:
                found[role] = held[key] if isinstance(held[key], list) else [held[key]]
    return found


def _differences(tokenizer: Tokenizer, before: list[int], behind: list[int], expected: dict[str, list[int]]) -> Any:
    bos, eos = expected.get("bos"), expected.get("eos")
    names = ", ".join(_spelled(tokenizer, token) for token in eos or [])
    if eos and behind[-1] not in eos:
        yield f"documents end with {_spelled(tokenizer, behind[-1])}, and the base ends text with {names}"
    if bos and before and before[-1] not in bos:
        expects = _spelled(tokenizer, bos[0])
        yield f"documents begin with {_spelled(tokenizer, before[-1])}, and the base's files name {expects}"
    if bos and not before and bos != eos:  # where one token is both, EOS of the document before stands for it
        expects = _spelled(tokenizer, bos[0])
        yield f"documents begin without a token, as this tokenizer has it, and the base's files name {expects}"


def _spelled(tokenizer: Tokenizer, token: int) -> str:
    return tokenizer.backend.id_to_token(token) or f"token {token}"
