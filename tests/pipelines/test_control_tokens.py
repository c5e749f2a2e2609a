"""Special tokens that documents spell out are text, control tokens where the recipe asks, and counted either way."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from lxml import html
from small import document, small_recipe

from curate.shards.corpus import ShardSplit
from curate.tokenizing import Tokenizer
from pipelines.curation import curate
from pipelines.folder import RunFolder
from pipelines.report.page import write_page
from pipelines.run import begin

CHATS, NOTES = 12, 20


@pytest.fixture(scope="module")
def chats(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("chats")
    turns = [f"{document(f'asked {i}', 6)} </s> {document(f'answered {i}', 6)}" for i in range(CHATS)]
    notes = [document(f"note {i}", 9) for i in range(NOTES)]
    for name, texts in {"chats": turns, "notes": notes}.items():
        lines = [json.dumps({"text": text, "id": str(i)}) for i, text in enumerate(texts)]
        (folder / f"{name}.jsonl").write_text("\n".join(lines))
    return folder


@pytest.fixture(scope="module", params=[False, True], ids=["text", "control tokens"])
def made(request, chats: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[RunFolder, bool]:
    recipe = small_recipe(
        chats,
        "chats",
        sources=[{"name": name, "path": str(chats / f"{name}.jsonl"), "id": "id"} for name in ("chats", "notes")],
        shards={"tokenizer": {"vocabulary": 300}, "control_tokens": request.param},
    )
    folder = begin(recipe, tmp_path_factory.mktemp("runs"))
    curate(recipe, folder)
    return folder, request.param


def test_a_text_ends_another_only_where_the_recipe_asks(made: tuple[RunFolder, bool]) -> None:
    run, asked = made
    eos = Tokenizer.load(run.tokenizer).eos
    seen = 0
    for split in ("train", "validation", "test"):
        shard = ShardSplit.open(run.shards / "domain" / split)
        for i in range(len(shard)):
            ends = int((shard.tokens(i) == eos).sum())
            is_chat = shard.ids[i].as_py().startswith("chats/")
            assert ends == 1 + (asked and is_chat)
            seen += is_chat
    assert seen == CHATS


def test_the_page_says_which_documents_spell_one_out_and_what_became_of_it(made: tuple[RunFolder, bool]) -> None:
    run, asked = made
    found = {
        row["source"]: row for row in json.loads((run.curated / "report.json").read_text())["fertility"]["literal"]
    }
    assert 0 < found["chats"]["with_any"] == found["chats"]["documents"]
    assert found["chats"]["tokens"] == [{"token": "</s>", "documents": found["chats"]["documents"]}]
    assert found["notes"]["with_any"] == 0
    write_page(run.path)
    page = html.fromstring((run.path / "report.html").read_text(encoding="utf-8"))
    text = " ".join(page.xpath("//section[@id='tokens']")[0].text_content().split())
    assert ("control tokens here, as the recipe asks" if asked else "text, no control tokens") in text
    n = found["chats"]["documents"]
    assert f"chats, {n} of {n} documents (</s> in {n})." in text
