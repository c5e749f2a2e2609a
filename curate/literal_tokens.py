"""Documents that spell out a control token ("</s>", "<|endoftext|>"): how many, by source, and which.

Unless the recipe asks for `shards.control_tokens`, such strings are text. Many of one kind may mean that a corpus was
written with its markers on purpose (chats), or that another pipeline has left its own in.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from curate.tokenizing import Tokenizer


def literal_tokens(tokenizer: Tokenizer, samples: Iterable[tuple[str, pa.LargeStringArray]]) -> list[dict[str, Any]]:
    """JSON-ready, of (source, texts): documents looked at, documents that hold any, and by token, the most first."""
    added = tokenizer.backend.get_added_tokens_decoder().values()
    special = sorted(token.content for token in added if token.special)
    return [_of_source(source, texts, special) for source, texts in samples]


def _of_source(source: str, texts: pa.LargeStringArray, special: list[str]) -> dict[str, Any]:
    holds = {token: pc.fill_null(pc.match_substring(texts, token), False) for token in special}
    times = {token: int(pc.sum(one).as_py() or 0) for token, one in holds.items()}
    any_of_them = pa.array([False] * len(texts))
    for token, one in holds.items():
        if times[token]:
            any_of_them = pc.or_(any_of_them, one)
    found = sorted((token for token in special if times[token]), key=lambda token: (-times[token], token))
    return {
        "source": source,
        "documents": len(texts),
        "with_any": int(pc.sum(any_of_them).as_py() or 0),
        "tokens": [{"token": token, "documents": times[token]} for token in found],
    }
