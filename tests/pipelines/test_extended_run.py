"""A whole run that extends the base's vocabulary: fewer tokens, a model that knows them, a base scored on its own."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from small import STOP, TRAIN, WORDS, small_recipe
from transformers import AutoModelForCausalLM, AutoTokenizer

from curate.shards.corpus import ShardSplit
from curate.shards.fault import Fault
from curate.tokenizing import Tokenizer
from curate.train_tokenizer import train_tokenizer
from pipelines.extended import BASE, pieces_of
from pipelines.folder import RunFolder
from pipelines.plan import plan
from pipelines.recipe import Recipe
from pipelines.report.extension import extension_numbers
from pipelines.run import run
from pretrain.attention import use_packed_attention
from pretrain.models import from_scratch, load_base, save_model
from pretrain.scoring import Tokens, score

BY = 80
PRETRAINED = 300  # tokens


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("base")
    train_tokenizer([" ".join(STOP + WORDS[:20])] * 3, PRETRAINED, folder / "tokenizer")
    tokenizer = Tokenizer.load(folder / "tokenizer")
    fields = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "max_position_embeddings": 64}
    assert tokenizer.bos is not None
    model = from_scratch(fields, tokenizer.vocabulary, tokenizer.bos, tokenizer.eos, tokenizer.eos, seed=5)
    save_model(model, folder / "tokenizer", folder / "model", "# card")
    return folder / "model"


@pytest.fixture(scope="module")
def recipe(corpus: Path, base: Path) -> Recipe:
    shards = {"tokenizer": {"extend": None, "by": BY}, "shard_mb": 0.02}
    return small_recipe(corpus, "extended", shards=shards, train={**TRAIN, "base": str(base)})


@pytest.fixture(scope="module")
def extended(recipe: Recipe, one_thread: None, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    return run(recipe, runs=tmp_path_factory.mktemp("runs"))


def report(of: RunFolder) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((of.curated / "report.json").read_text(encoding="utf-8"))
    return found["extension"]


def held_out(of: RunFolder, corpus: str, split: str) -> dict[str, str]:
    files = sorted((of.curated / "documents" / split).glob(f"{corpus}-[0-9]*.parquet"))
    rows = [row for path in files for row in pq.read_table(path, columns=["id", "text"]).to_pylist()]
    return {row["id"]: row["text"] for row in rows}


def test_the_saving_on_held_out_text_is_what_transformers_counts(extended: RunFolder, base: Path) -> None:
    ours, theirs = (AutoTokenizer.from_pretrained(where) for where in (extended.tokenizer, base))
    counts = {"base_tokens": 0, "tokens": 0}
    for split in ("validation", "test"):
        for text in held_out(extended, "domain", split).values():
            counts["base_tokens"] += len(theirs(text, add_special_tokens=False)["input_ids"])
            counts["tokens"] += len(ours(text, add_special_tokens=False)["input_ids"])
    rows = [row for row in report(extended)["sources"] if row["source"] in ("notes", "pages")]
    assert {name: sum(row[name] for row in rows) for name in counts} == counts
    assert report(extended)["share"] == pytest.approx(1 - counts["tokens"] / counts["base_tokens"])
    assert report(extended)["new_tokens"] == BY
    assert report(extended)["pays"]
    assert {row["source"] for row in report(extended)["sources"]} == {"notes", "pages", "web", "rules"}


def test_a_saving_that_has_not_paid_elsewhere_is_warned_of(
    extended: RunFolder, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    corpora = {"domain": ["notes", "pages"], "web": ["web"], "rules": ["rules"]}
    found = extension_numbers(extended.path, extended.tokenizer, corpora)
    assert found == report(extended)
    assert "warning" not in capsys.readouterr().err
    monkeypatch.setattr("pipelines.report.extension.PAYS_FROM", 0.99)
    found = extension_numbers(extended.path, extended.tokenizer, corpora)
    assert found is not None
    assert not found["pays"]
    assert f"warning: {BY} appended tokens save" in " ".join(capsys.readouterr().err.split())


def test_the_page_tells_the_saving(extended: RunFolder) -> None:
    page = extended.report.read_text(encoding="utf-8")
    assert "What the appended tokens save" in page
    assert f"{BY} tokens were appended" in page


def test_the_exported_model_loads_with_the_extended_tokenizer_and_generates(extended: RunFolder) -> None:
    tokenizer = AutoTokenizer.from_pretrained(extended.model)
    model = AutoModelForCausalLM.from_pretrained(extended.model)
    assert len(tokenizer) == model.config.vocab_size == PRETRAINED + BY
    prompt = tokenizer("The patient was", return_tensors="pt")
    assert int(prompt["input_ids"].max()) >= PRETRAINED  # the new tokens are used
    out = model.generate(**prompt, max_new_tokens=4, do_sample=False, pad_token_id=tokenizer.pad_token_id)
    assert out.shape[1] > prompt["input_ids"].shape[1]
    shards = ShardSplit.open(extended.shards / "domain" / "test")
    texts = held_out(extended, "domain", "test")
    for row, name in enumerate(shards.ids.to_pylist()):
        assert shards.tokens(row).tolist() == [*tokenizer(texts[name])["input_ids"], tokenizer.eos_token_id]


def test_training_began_from_the_means_of_the_pieces(extended: RunFolder, base: Path) -> None:
    """Half an epoch leaves the rows near where they began."""
    began = AutoModelForCausalLM.from_pretrained(base).get_input_embeddings().weight
    ended = AutoModelForCausalLM.from_pretrained(extended.model).get_input_embeddings().weight
    pieces = pieces_of(extended.tokenizer)
    assert pieces is not None
    assert sorted(pieces) == list(range(PRETRAINED, PRETRAINED + BY))
    means = torch.stack([began[old].mean(dim=0) for old in pieces.values()])
    similarity = torch.nn.functional.cosine_similarity(means, ended[PRETRAINED:])
    assert float(similarity.mean().detach()) > 0.5


class Spelled:
    """Texts as a Hugging Face tokenizer gives them, with the face that scoring reads of shards."""

    def __init__(self, tokenizer: Any, texts: list[str]) -> None:
        self.rows = [np.array([*tokenizer(text)["input_ids"], tokenizer.eos_token_id]) for text in texts]
        self.lengths = np.array([len(row) for row in self.rows])
        self.n_bytes = np.array([len(text.encode()) for text in texts])

    def tokens(self, document: int, start: int, stop: int) -> np.ndarray:
        return self.rows[document][start:stop]


def test_the_base_is_scored_on_tokens_of_its_own_tokenizer(extended: RunFolder, base: Path) -> None:
    rows = pq.read_table(extended.path / "evaluation-documents.parquet").to_pylist()
    rows = [row for row in rows if row["set"] == "domain"]
    texts = [held_out(extended, "domain", "test")[row["id"]] for row in rows]
    tokenizer, model = AutoTokenizer.from_pretrained(base), load_base(str(base)).eval()
    use_packed_attention(model)
    around = Tokens(prefix=tokenizer.bos_token_id, eos=tokenizer.eos_token_id)
    read = Spelled(tokenizer, texts)
    scores = score(model, read, np.arange(len(texts)), context_length=TRAIN["sequence_length"], tokens=around)
    assert [row["bytes"] for row in rows] == read.n_bytes.tolist()
    np.testing.assert_allclose([row["nats_before"] for row in rows], scores.nats, rtol=1e-5)
    found = json.loads(extended.evaluation.read_text())["sets"]["domain"]
    nats, tokens = float(scores.nats.sum()), int(scores.tokens.sum())
    assert found["before"]["bits_per_byte"] == pytest.approx(nats / math.log(2) / read.n_bytes.sum())
    assert found["before"]["token_perplexity"] == pytest.approx(math.exp(nats / tokens))
    assert len(rows) > 5
    assert found["tokens"] < 0.9 * tokens


def test_the_plan_has_nothing_against_it(recipe: Recipe, tmp_path: Path) -> None:
    assert "will refuse" not in plan(recipe, tmp_path)


def test_the_tokenizer_that_was_extended_stays_in_the_run(extended: RunFolder, base: Path) -> None:
    held, own = Tokenizer.load(extended.tokenizer / BASE), Tokenizer.load(base)
    assert held.fingerprint() == own.fingerprint()


def test_the_same_recipe_appends_the_same_tokens_elsewhere(
    recipe: Recipe, extended: RunFolder, tmp_path: Path, one_thread: None
) -> None:
    from pipelines.curation import curate
    from pipelines.run import begin

    other = begin(recipe, tmp_path)
    curate(recipe, other)
    assert (other.tokenizer / "tokenizer.json").read_bytes() == (extended.tokenizer / "tokenizer.json").read_bytes()


@pytest.mark.parametrize(
    ("tokenizer", "base", "says"),
    [
        ({"extend": None}, TRAIN["base"], "shards.tokenizer.extend: null is the base model's own tokenizer"),
        ({"extend": None, "by": 0}, "there", "shards.tokenizer.by = 0: should be greater than or equal to 1"),
        ({"by": 10}, "there", "shards.tokenizer.extend: is missing"),
        ({"extend": None, "buy": 3}, "there", "shards.tokenizer.buy = 3: no such field; did you mean 'by'?"),
        ({"vocabulary": 3}, "there", "shards.tokenizer.vocabulary = 3: should be greater"),
    ],
)
def test_faults_are_told_in_words(corpus: Path, tokenizer: Any, base: Any, says: str) -> None:
    with pytest.raises(Fault) as told:
        small_recipe(corpus, shards={"tokenizer": tokenizer}, train={**TRAIN, "base": base})
    assert says in str(told.value)
