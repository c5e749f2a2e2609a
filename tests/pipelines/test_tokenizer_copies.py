"""A run's copy of a tokenizer is the same for us and for transformers, whatever kind of file it came from."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest
from transformers import AutoTokenizer

from curate.tokenizing import Tokenizer
from pipelines.recipe import Recipe
from pipelines.tokenizer import copy_tokenizer, tokenizer_origin

TEXTS = ["Hello world, naïve  ☃ text", "a </s> b\n\n\tc", "37.5 mg don't 心臓"]


@pytest.mark.real
@pytest.mark.parametrize("name", ["", "tokenizer.model.v1", "mistral_instruct_tokenizer_240323.model.v3"])
def test_a_sentencepiece_model_is_copied_as_a_tokenizer_that_transformers_reads(
    shared_data: Path, tmp_path: Path, name: str
) -> None:
    where = shared_data / "tokenizers" / "mistral-sentencepiece" / name
    copy_tokenizer(str(where), tmp_path)
    tokenizer, copied = Tokenizer.load(where), Tokenizer.load(tmp_path)
    assert copied.fingerprint() == tokenizer.fingerprint()
    theirs = AutoTokenizer.from_pretrained(tmp_path)
    ids, offsets = tokenizer.encode(pa.array(TEXTS, pa.large_string()))
    for i, text in enumerate(TEXTS):
        found = ids[offsets[i] : offsets[i + 1]].tolist()
        assert found == [*theirs(text, split_special_tokens=True)["input_ids"], theirs.eos_token_id]
        assert found[0] == theirs.bos_token_id


@pytest.mark.real
def test_the_models_own_bytes_say_where_a_tokenizer_came_from(shared_data: Path, tmp_path: Path) -> None:
    source = shared_data / "tokenizers" / "mistral-sentencepiece" / "tokenizer.model.v1"
    (tmp_path / "tokenizer.model").write_bytes(source.read_bytes())
    (tmp_path / "tokenizer_config.json").write_text("{}")
    shape = {"name": "x", "sources": [{"name": "a", "path": "a.jsonl"}]}

    def origin() -> dict[str, str]:
        return tokenizer_origin(Recipe.model_validate({**shape, "shards": {"tokenizer": str(tmp_path)}}))

    first = origin()
    assert set(first) == {"tokenizer.model", "tokenizer_config.json"}
    assert len(first["tokenizer.model"]) == 64
    (tmp_path / "tokenizer_config.json").write_text('{"add_bos_token": false}')
    assert origin() != first
