"""What stands around a document is what encoding shows, and what the base expects otherwise is said."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pytest
import tokenizers
from lxml import html
from tokenizers import models, pre_tokenizers, processors

from curate.shards.corpus import read_manifest
from curate.tokenizing import Tokenizer
from pipelines.folder import RunFolder
from pipelines.token_policy import token_policy

WORDS = {"<s>": 0, "</s>": 1, "<pad>": 2, "a": 3, "b": 4}


def tokenizer_of(folder: Path, template: str | None) -> Tokenizer:
    backend = tokenizers.Tokenizer(models.WordLevel(WORDS, unk_token="<pad>"))
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
    if template:
        special = [(name, WORDS[name]) for name in ("<s>", "</s>")]
        backend.post_processor = processors.TemplateProcessing(single=template, special_tokens=special)
    backend.save(str(folder / "tokenizer.json"))
    (folder / "special_tokens_map.json").write_text(json.dumps({"eos_token": "</s>"}))
    return Tokenizer.load(folder)


def base_with(folder: Path, **config: object) -> str:
    (folder / "config.json").write_text(json.dumps(config))
    return str(folder)


@pytest.mark.parametrize("template", [None, "<s> $A", "<s> $A </s>", "$A </s>"])
def test_what_is_told_is_what_encoding_gives(tmp_path: Path, template: str | None) -> None:
    tokenizer = tokenizer_of(tmp_path, template)
    told = token_policy(tokenizer, None)
    ids, _ = tokenizer.encode(pa.array(["b a b"], pa.large_string()))
    spelled = [tokenizer.backend.id_to_token(token) for token in ids.tolist()]
    assert spelled == [*told["before"], "b", "a", "b", *told["behind"]]
    assert told["behind"] == ["</s>"]  # once
    assert told["differences"] == []


@pytest.mark.parametrize(
    ("template", "config", "says"),
    [
        ("<s> $A", {"bos_token_id": 0, "eos_token_id": 1}, None),
        ("<s> $A", {"bos_token_id": 0, "eos_token_id": [2, 1]}, None),
        ("<s> $A", {"bos_token_id": 0, "eos_token_id": 2}, "end with </s>, and the base ends text with <pad>"),
        ("<s> $A", {"bos_token_id": 2, "eos_token_id": 1}, "begin with <s>, and the base's files name <pad>"),
        (None, {"bos_token_id": 0, "eos_token_id": 1}, "begin without a token"),
        (None, {"bos_token_id": 1, "eos_token_id": 1}, None),  # GPT-2's kind
        (None, {}, None),
    ],
)
def test_what_the_base_expects_otherwise_is_said(
    tmp_path: Path, template: str | None, config: dict[str, object], says: str | None
) -> None:
    told = token_policy(tokenizer_of(tmp_path, template), base_with(tmp_path, **config))
    assert (
        [says in one for one in told["differences"]] == ([True] if says else []) if says else told["differences"] == []
    )


def test_the_generation_config_has_the_last_word(tmp_path: Path) -> None:
    base = base_with(tmp_path, eos_token_id=2)
    (tmp_path / "generation_config.json").write_text(json.dumps({"eos_token_id": [1]}))
    assert token_policy(tokenizer_of(tmp_path, "<s> $A"), base)["differences"] == []


def test_the_page_tells_what_stands_around_a_document_and_how_the_tokenizer_fits(trained: RunFolder) -> None:
    page = html.fromstring((trained.path / "report.html").read_text(encoding="utf-8"))
    (section,) = page.xpath("//section[@id='tokens']")
    text = " ".join(section.text_content().split())
    told = json.loads((trained.curated / "report.json").read_text())
    around = ", then ".join([*told["policy"]["before"], "its text", *told["policy"]["behind"]])
    assert f"Around every document: {around}." in text
    assert "How the tokenizer fits" in text
    sources = [row.text_content() for row in section.xpath(".//div[contains(@aria-label, 'fits')]//tbody//th")]
    assert sources == [row["source"] for row in told["fertility"]["sources"]] != []
    trained_on = {row["source"]: row for row in told["fertility"]["sources"]}
    for name, row in trained_on.items():
        written = read_manifest(trained.shards / ("web" if name == "web" else "domain"))["splits"]["train"]["sources"][
            name
        ]
        # a small corpus is looked at whole: all its tokens but the two around each document
        assert (row["documents"], row["bytes"]) == (written["documents"], written["bytes"])
        assert row["tokens"] == written["tokens"] - 2 * written["documents"]


@pytest.mark.real
@pytest.mark.parametrize("name", ["gpt-neox-20b", "llama-style-sp-bpe", "allenai-dolma2", "bert-wordpiece"])
def test_every_tokenizer_at_hand_is_told(shared_data: Path, name: str) -> None:
    tokenizer = Tokenizer.load(shared_data / "tokenizers" / name)
    told = token_policy(tokenizer, None)
    first, last = (tokenizer.encode(pa.array(["fever"], pa.large_string()))[0][at] for at in (0, -1))
    assert tokenizer.backend.id_to_token(int(last)) == told["behind"][-1]
    assert not told["before"] or tokenizer.backend.id_to_token(int(first)) == told["before"][0]
