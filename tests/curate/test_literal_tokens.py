"""Documents that spell out a control token are counted by source, each once."""

from __future__ import annotations

import pyarrow as pa
import pytest
import tokenizers
from tokenizers import AddedToken, models

from curate.literal_tokens import literal_tokens
from curate.tokenizing import Tokenizer

TEXTS = {
    "chats": ["<|user|> hello </s>", "<|user|><|user|>", "hello"],
    "notes": ["A </ s> is none, nor is <S>.", "|||MAIL|||"],
    "web": ["the token </s>"] * 4,
    "empty": [],
}


@pytest.fixture
def tokenizer() -> Tokenizer:
    backend = tokenizers.Tokenizer(models.WordLevel({"a": 0}, unk_token="a"))
    backend.add_tokens([AddedToken(name, special=True) for name in ("</s>", "<|user|>", "<pad>")])
    backend.add_tokens(["|||MAIL|||"])
    return Tokenizer(backend, None, 1)


def test_documents_are_counted_as_python_counts_them(tokenizer: Tokenizer) -> None:
    samples = [(source, pa.array(texts, pa.large_string())) for source, texts in TEXTS.items()]
    found = literal_tokens(tokenizer, samples)
    assert [row["source"] for row in found] == list(TEXTS)
    for row, texts in zip(found, TEXTS.values(), strict=True):
        assert row["documents"] == len(texts)
        assert row["with_any"] == sum("</s>" in text or "<|user|>" in text or "<pad>" in text for text in texts)
        for one in row["tokens"]:
            assert one["documents"] == sum(one["token"] in text for text in texts) > 0
    assert found[0]["tokens"] == [{"token": "<|user|>", "documents": 2}, {"token": "</s>", "documents": 1}]
    assert found[1]["tokens"] == [], "what is no special token does not count"
