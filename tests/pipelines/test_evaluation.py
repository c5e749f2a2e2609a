"""The laws of the held-out result, on a whole small run: what its numbers are and say, when they are made again."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
import torch
import torch.nn.functional as F
import transformers
from outcomes import weights
from small import TRAIN, small_recipe

from curate.ledger import read_ledger
from curate.shards.fault import Fault
from curate.tokenizing import Tokenizer
from pipelines.evaluation import evaluate, held_out_sets
from pipelines.folder import RunFolder
from pipelines.run import run as whole_run
from pretrain.evaluate import evaluate as measure
from pretrain.scoring import Tokens

ROLES = {"domain": "domain", "web": "general", "rules": "control"}


def evaluation(run: RunFolder) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(run.evaluation.read_text())
    return found


def documents(run: RunFolder) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = pq.read_table(run.path / "evaluation-documents.parquet").to_pylist()
    return found


# ---- what the numbers are


def test_evaluation_json_has_the_sets_and_measures_of_the_design(trained: RunFolder) -> None:
    found = evaluation(trained)
    assert {name: one["role"] for name, one in found["sets"].items()} == ROLES
    for one in found["sets"].values():
        assert one["split"] == "test"
        assert {"documents", "bytes", "tokens", "before", "after", "change"} <= one.keys()
        for side in ("before", "after"):
            named = {"nats", "bits_per_byte", "byte_perplexity", "word_perplexity", "token_perplexity"}
            assert named == one[side].keys()
        assert {"bits_per_byte", "ci95", "p_value", "units"} <= one["change"].keys()
    assert found["verdict"]["text"]
    assert found["protocol"]["context_tokens"] == TRAIN["sequence_length"]


def test_every_measure_is_the_same_nats_over_another_count(trained: RunFolder) -> None:
    for one in evaluation(trained)["sets"].values():
        for side in (one["before"], one["after"]):
            nats = side["nats"]
            assert side["bits_per_byte"] == pytest.approx(math.log2(side["byte_perplexity"]), rel=1e-12)
            assert side["bits_per_byte"] == pytest.approx(nats / math.log(2) / one["bytes"], rel=1e-12)
            assert math.log(side["token_perplexity"]) * one["tokens"] == pytest.approx(nats, rel=1e-12)
            assert math.log(side["word_perplexity"]) * one["words"] == pytest.approx(nats, rel=1e-12)
        change = one["after"]["bits_per_byte"] - one["before"]["bits_per_byte"]
        assert one["change"]["bits_per_byte"] == pytest.approx(change, rel=1e-9)


def test_documents_bytes_and_tokens_are_those_of_the_test_split(trained: RunFolder) -> None:
    ledger = [row for row in read_ledger(trained.curated / "ledger").to_pylist() if row["split"] == "test"]
    for name, one in evaluation(trained)["sets"].items():
        mine = [row for row in ledger if row["shard"].startswith(f"{name}/")]
        assert one["documents"] == len(mine) > 5
        assert one["bytes"] == sum(row["n_bytes"] for row in mine)
        assert one["tokens"] == sum(row["tokens"] - 2 for row in mine)  # BOS and EOS are not text
        assert one["change"]["units"] == len({row["cluster"] or row["id"] for row in mine})


def test_the_interval_brackets_the_change(trained: RunFolder) -> None:
    for one in evaluation(trained)["sets"].values():
        low, high = one["change"]["ci95"]
        assert low < one["change"]["bits_per_byte"] < high < 0  # random weights: everything gets better
        assert 0 < one["change"]["p_value"] < 0.01
    assert evaluation(trained)["verdict"]["domain"] == "gain"


def test_the_document_table_makes_the_numbers_again(trained: RunFolder) -> None:
    rows = documents(trained)
    for name, one in evaluation(trained)["sets"].items():
        for side in ("before", "after"):
            nats = sum(row[f"nats_{side}"] for row in rows if row["set"] == name)
            assert nats == pytest.approx(one[side]["nats"], rel=1e-12)


def test_a_documents_nats_are_those_of_a_plain_loop_over_its_text(trained: RunFolder) -> None:
    """From the text alone: transformers' tokenizer, its own attention, windows of 64 that move on by 32."""
    model = transformers.AutoModelForCausalLM.from_pretrained(trained.model).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(trained.model)
    prefix = tokenizer.eos_token_id if tokenizer.bos_token_id is None else tokenizer.bos_token_id
    texts = ds.dataset(str(trained.curated / "documents" / "test")).to_table(columns=["id", "text"]).to_pylist()
    text = {row["id"]: row["text"] for row in texts}
    some = [next(row for row in documents(trained) if row["set"] == name) for name in ROLES]
    for row in some:
        ids = [i for i in tokenizer(text[row["id"]])["input_ids"] if i != tokenizer.bos_token_id]
        assert row["tokens"] == len(ids) > 200
        assert row["bytes"] == len(text[row["id"]].encode())
        assert row["words"] == len(text[row["id"]].split())
        assert row["nats_after"] == pytest.approx(_rolling_nats(model, [prefix, *ids], 64, 32), rel=1e-5)


@torch.no_grad()
def _rolling_nats(model: Any, stream: list[int], length: int, stride: int) -> float:
    done, total = 0, 0.0  # tokens after the prefix that are scored
    while done < len(stream) - 1:
        last = min(len(stream) - 1, done + (stride if done else length))
        first = max(0, last - length)
        ids = torch.tensor(stream[first : last + 1])
        nats = F.cross_entropy(model(input_ids=ids[None, :-1]).logits[0], ids[1:], reduction="none")
        total += float(nats[-(last - done) :].double().sum())
        done = last
    return total


# ---- what they say


def test_a_model_against_itself_has_changed_by_exactly_nothing(trained: RunFolder, corpus: Path) -> None:
    recipe = small_recipe(corpus, train=TRAIN)
    tokenizer = Tokenizer.load(str(trained.tokenizer))
    prefix = tokenizer.eos if tokenizer.bos is None else tokenizer.bos
    untrained = trained.training / "initial"
    found = measure(
        untrained,
        untrained,
        held_out_sets(recipe, trained),
        recipe.evaluate,
        context_length=TRAIN["sequence_length"],
        seed=recipe.seed,
        tokens=Tokens(prefix=prefix, eos=tokenizer.eos),
    ).content
    for name, one in found["sets"].items():
        assert one["change"]["bits_per_byte"] == 0
        assert one["change"]["ci95"] == [0, 0]
        assert one["change"]["p_value"] == 1
        assert one["before"] == evaluation(trained)["sets"][name]["before"]
    assert found["verdict"]["domain"] == "none"
    assert found["verdict"]["text"].startswith("No gain shown on the domain")


# ---- when they are made again


def test_changed_evaluation_settings_measure_again_and_train_nothing(
    trained: RunFolder, corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = RunFolder(tmp_path / "small")
    shutil.copytree(trained.path, run.path)
    before, trained_at = weights(run), (run.model / "model.safetensors").stat().st_mtime_ns
    changed = {"forgetting_tolerance": 0.5, "bytes_at_most": "20k", "resamples": 200}
    assert whole_run(small_recipe(corpus, train=TRAIN, evaluate=changed), runs=tmp_path) == run
    assert (run.model / "model.safetensors").stat().st_mtime_ns == trained_at
    assert weights(run) == before
    old, new = evaluation(trained), evaluation(run)
    assert new["verdict"]["forgetting_tolerance"] == 0.5
    assert new["protocol"]["resamples"] == 200
    assert new["sets"]["domain"]["bytes"] <= 20_000 < old["sets"]["domain"]["bytes"]
    chosen = {row["id"]: row for row in documents(run)}
    assert chosen.items() <= {row["id"]: row for row in documents(trained)}.items()  # the same nats, fewer of them
    assert "evaluate.bytes_at_most was 1000000, it is 20000: measured again" in capsys.readouterr().err


def test_what_is_evaluated_as_asked_is_not_measured_again(trained: RunFolder, corpus: Path) -> None:
    before = trained.evaluation.stat().st_mtime_ns
    evaluate(small_recipe(corpus, train=TRAIN), trained)
    assert trained.evaluation.stat().st_mtime_ns == before


def test_evaluating_another_training_than_the_recipes_is_refused(trained: RunFolder, corpus: Path) -> None:
    with pytest.raises(Fault, match=r"train\.sequence_length = 64; it would be 128"):
        evaluate(small_recipe(corpus, train={**TRAIN, "sequence_length": 128}), trained)


def test_evaluating_before_training_says_what_is_missing(curated: RunFolder, corpus: Path) -> None:
    with pytest.raises(Fault, match="no trained model") as fault:
        evaluate(small_recipe(corpus, train=TRAIN), curated)
    assert "postgrad train RECIPE" in fault.value.hint


# ---- a base that somebody else made


def second_recipe(corpus: Path, base: Path, **train: Any) -> Any:
    settings = {name: value for name, value in TRAIN.items() if name != "epochs"} | {"base": str(base), "tokens": "16k"}
    return small_recipe(corpus, "second", train=settings | train, shards={"shard_mb": 0.02})


def test_a_model_of_ours_is_a_base_like_any_other(trained: RunFolder, corpus: Path, tmp_path: Path) -> None:
    second = whole_run(second_recipe(corpus, trained.model), runs=tmp_path)
    first_sets, second_sets = evaluation(trained)["sets"], evaluation(second)["sets"]
    for name in ROLES:  # same tokenizer, same split, same windows: what one ends with, the other begins with
        assert second_sets[name]["before"] == first_sets[name]["after"]
        assert second_sets[name]["after"] != second_sets[name]["before"]
    assert not (second.training / "initial").exists()
    base, tokenizer = Tokenizer.load(str(trained.model)), Tokenizer.load(str(second.tokenizer))
    assert (tokenizer.bos, tokenizer.eos, tokenizer.vocabulary) == (base.bos, base.eos, base.vocabulary)
    assert "Continued from" in (second.model / "README.md").read_text()


@pytest.mark.real
def test_a_model_from_elsewhere_runs_through(shared_data: Path, one_thread: None, corpus: Path, tmp_path: Path) -> None:
    base = shared_data / "models" / "stories260K" / "hf"
    if not base.is_dir():
        pytest.skip(f"needs the model in {base}, which is absent")
    run = whole_run(second_recipe(corpus, base, sequence_length=128), runs=tmp_path)
    found = evaluation(run)
    assert found["verdict"]["domain"] in ("gain", "none", "loss")
    assert found["sets"]["domain"]["before"]["bits_per_byte"] < 8
    assert np.isfinite(found["sets"]["domain"]["after"]["nats"])
    mine, theirs = (transformers.AutoTokenizer.from_pretrained(where) for where in (run.model, base))
    text = "The patient, aged 71, had naïve T cells.\n\nNothing else."
    assert mine(text)["input_ids"] == theirs(text)["input_ids"]
    config = transformers.AutoConfig.from_pretrained(run.model)
    assert config.num_hidden_layers == transformers.AutoConfig.from_pretrained(base).num_hidden_layers
