"""Laws of the loop: tokens weigh the same however they are grouped, and an interrupted run is the uninterrupted one."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from test_stream import random_documents, write_corpus
from tiny import VOCABULARY, TinyStream, flat

from curate.shards.fault import Fault
from pretrain.attention import use_packed_attention
from pretrain.loss import OnDevice, backward, head_is_plain
from pretrain.metrics import read_metrics
from pretrain.rows import Batch
from pretrain.settings import Train
from pretrain.stream import Corpus, Stream
from pretrain.train import Interrupted, TrainResult, make_optimizer, train

CPU = torch.device("cpu")
CLOCK = ("seconds", "tokens_per_second")


def settings(**fields: Any) -> Train:
    defaults = {
        "base": {"scratch": {}},
        "sequence_length": 32,
        "batch_tokens": 128,
        "micro_batch_tokens": 64,
        "precision": "fp32",
        "checkpoint_every": 3,
    }
    return Train(**{**defaults, **fields})


def run(model: Any, out: Path, *, stream: Any = None, resume: bool = False, **fields: Any) -> TrainResult:
    on_step, validation = fields.pop("on_step", None), fields.pop("validation", None)
    return train(
        settings(**fields),
        model=model,
        stream=stream or TinyStream(),
        out=out,
        seed=7,
        card="# a test",
        resume=resume,
        progress=False,
        on_step=on_step,
        validation=validation,
    )


def without_clock(out: Path) -> list[dict[str, Any]]:
    return [{k: v for k, v in line.items() if k not in CLOCK} for line in read_metrics(out / "metrics.jsonl")]


def same_weights(one: Any, other: Any) -> bool:
    pairs = zip(one.state_dict().values(), other.state_dict().values(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


def kill_at(step: int) -> Callable[[dict[str, Any]], None]:
    def on_step(line: dict[str, Any]) -> None:
        if line["step"] == step:
            raise KeyboardInterrupt

    return on_step


def signal_at(step: int, number: int = signal.SIGINT) -> Callable[[dict[str, Any]], None]:
    def on_step(line: dict[str, Any]) -> None:
        if line["step"] == step:
            os.kill(os.getpid(), number)

    return on_step


def test_training_lowers_the_loss_and_leaves_a_model(tiny_llama: Callable[..., Any], tmp_path: Path) -> None:
    result = run(tiny_llama(), tmp_path, stream=TinyStream(steps=30), optimizer={"lr": 1e-2})
    lines = read_metrics(tmp_path / "metrics.jsonl")
    assert [line["step"] for line in lines] == list(range(1, 31))
    assert lines[-1]["loss"] < lines[0]["loss"] - 1
    assert result.steps == 30
    assert result.tokens == sum(line["tokens"] for line in lines)
    assert result.model == tmp_path / "model"
    assert (tmp_path / "model" / "model.safetensors").is_file()
    assert any((tmp_path / "tensorboard").iterdir())


def test_tokens_count_everything_but_padding(tiny_llama: Callable[..., Any], tmp_path: Path) -> None:
    stream = TinyStream(steps=1)
    result = run(tiny_llama(), tmp_path, stream=stream)
    batch = stream.batch(0, 0, 4)
    padding = int(np.diff(batch.cu_seqlens)[batch.segment_corpus < 0].sum())
    assert padding > 0
    assert result.tokens == 4 * 32 - padding


@pytest.mark.parametrize("plain", [True, False])
def test_packed_loss_is_the_sum_of_the_documents_run_alone(tiny_llama: Callable[..., Any], plain: bool) -> None:
    documents = [np.arange(3, 3 + length) % VOCABULARY for length in (9, 1, 14, 2)]
    alone = tiny_llama()
    total = torch.zeros(())
    for ids in (torch.from_numpy(document) for document in documents if len(document) > 1):
        total = total + F.cross_entropy(alone(input_ids=ids[None]).logits[0, :-1], ids[1:], reduction="sum")
    total.backward()
    packed = tiny_llama()
    use_packed_attention(packed)
    nats = backward(packed, OnDevice.of(flat(documents, padding=6), CPU), 1, torch.float32, plain)
    assert len(nats) == 8 + 13 + 1
    torch.testing.assert_close(nats.sum(), total.detach(), rtol=1e-6, atol=0)
    for ours, oracle in zip(packed.parameters(), alone.parameters(), strict=True):
        torch.testing.assert_close(ours.grad, oracle.grad, rtol=1e-4, atol=1e-5)


def test_logits_in_pieces_have_the_gradient_of_all_at_once(
    tiny_llama: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = TinyStream(rows=12).batch(0)
    monkeypatch.setattr("pretrain.loss.LOGITS_AT_ONCE", 1)  # pieces of 128 tokens, the least
    assert batch.n_targets > 128
    gradients = []
    for plain in (True, False):
        model = tiny_llama()
        use_packed_attention(model)
        assert head_is_plain(model)
        backward(model, OnDevice.of(batch, CPU), batch.n_targets, torch.float32, plain)
        gradients.append([parameter.grad for parameter in model.parameters()])
    for pieces, whole in zip(*gradients, strict=True):
        torch.testing.assert_close(pieces, whole, rtol=1e-5, atol=1e-7)


def test_micro_batches_do_not_change_the_update(tiny_llama: Callable[..., Any], tmp_path: Path) -> None:
    one, four = tiny_llama(), tiny_llama()
    run(one, tmp_path / "one", stream=TinyStream(steps=1), micro_batch_tokens=128)
    run(four, tmp_path / "four", stream=TinyStream(steps=1), micro_batch_tokens=32)
    start = tiny_llama()
    for a, b, before in zip(one.parameters(), four.parameters(), start.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-6)
        assert not torch.equal(a, before)
    losses = [without_clock(tmp_path / name)[0]["loss"] for name in ("one", "four")]
    assert losses[0] == pytest.approx(losses[1], abs=1e-6)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_resume_at_every_step_gives_the_run_that_was_never_interrupted(
    tiny_llama: Callable[..., Any], tmp_path: Path, precision: str
) -> None:
    whole = tiny_llama(attention_dropout=0.2)
    run(whole, tmp_path / "whole", stream=TinyStream(steps=7), precision=precision, validation=lambda model: 1.0)
    for stop in range(1, 7):
        out = tmp_path / f"stopped-{stop}"
        with pytest.raises(Interrupted, match=f"after step {stop} of 7"):
            run(
                tiny_llama(attention_dropout=0.2),
                out,
                stream=TinyStream(steps=7),
                precision=precision,
                validation=lambda model: 1.0,
                on_step=signal_at(stop, signal.SIGTERM if stop % 2 else signal.SIGINT),
            )
        torch.manual_seed(stop)  # whatever else the process drew must not matter
        again = tiny_llama(seed=stop, attention_dropout=0.2)
        fields = {"precision": precision, "validation": lambda model: 1.0}
        run(again, out, stream=TinyStream(steps=7), resume=True, **fields)
        assert same_weights(whole, again)
        assert without_clock(out) == without_clock(tmp_path / "whole")


def test_shards_are_trained_on_and_resumed_through_the_real_stream(
    tiny_llama: Callable[..., Any], tmp_path: Path
) -> None:
    folders = [
        write_corpus(tmp_path / name, [document % VOCABULARY for document in random_documents(count, count)])
        for name, count in (("domain", 60), ("web", 20))
    ]
    corpora = [Corpus("domain", folders[0]), Corpus("web", folders[1], share=0.2)]
    stream = Stream.open(corpora, sequence_length=32, rows_per_step=7, seed=1)
    assert stream.rows % 7  # the last step is shorter
    whole, again = tiny_llama(), tiny_llama(seed=1)
    result = run(whole, tmp_path / "whole", stream=stream)
    with pytest.raises(KeyboardInterrupt):
        run(tiny_llama(), tmp_path / "killed", stream=stream, on_step=kill_at(5))
    run(again, tmp_path / "killed", stream=stream, resume=True)
    assert same_weights(whole, again)
    assert without_clock(tmp_path / "killed") == without_clock(tmp_path / "whole")
    assert result.tokens == sum(corpus["trained"] for corpus in stream.ledger()["corpora"].values())


def test_dropout_is_on_and_seeded_by_step(tiny_llama: Callable[..., Any], tmp_path: Path) -> None:
    kinds = {"wet": {"attention_dropout": 0.2}, "dry": {}}
    for name, fields in kinds.items():
        run(tiny_llama(**fields), tmp_path / name, stream=TinyStream(steps=1))
    assert without_clock(tmp_path / "wet")[0]["loss"] != without_clock(tmp_path / "dry")[0]["loss"]


def test_a_kill_between_checkpoints_leaves_no_gap_and_no_double_step(
    tiny_llama: Callable[..., Any], tmp_path: Path
) -> None:
    run(tiny_llama(), tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        run(tiny_llama(), tmp_path / "killed", on_step=kill_at(5))
    path = tmp_path / "killed" / "metrics.jsonl"
    assert [line["step"] for line in read_metrics(path)] == [1, 2, 3, 4, 5]  # two beyond the checkpoint of step 3
    with path.open("a") as file:
        file.write('{"step": 6, "lo')  # and a torn line
    run(tiny_llama(seed=3), tmp_path / "killed", resume=True)
    assert [line["step"] for line in read_metrics(path)] == list(range(1, 9))
    assert without_clock(tmp_path / "killed") == without_clock(tmp_path / "whole")


def test_a_damaged_newest_checkpoint_costs_only_its_steps(tiny_llama: Callable[..., Any], tmp_path: Path) -> None:
    whole = tiny_llama()
    run(whole, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        run(tiny_llama(), tmp_path / "killed", on_step=kill_at(7))
    newest = tmp_path / "killed" / "checkpoints" / "step-000006" / "optimizer.pt"
    newest.write_bytes(newest.read_bytes()[:-1])
    again = tiny_llama(seed=3)
    run(again, tmp_path / "killed", resume=True)
    assert same_weights(whole, again)


def test_a_finished_run_is_not_trained_again(tiny_llama: Callable[..., Any], tmp_path: Path) -> None:
    first = tiny_llama()
    result = run(first, tmp_path)
    again = tiny_llama(seed=3)
    resumed = run(again, tmp_path, resume=True, on_step=lambda line: pytest.fail("trained a step"))
    assert same_weights(first, again)
    assert (resumed.steps, resumed.tokens, resumed.loss) == (result.steps, result.tokens, result.loss)


def test_an_earlier_run_is_never_overwritten(tiny_llama: Callable[..., Any], tmp_path: Path) -> None:
    run(tiny_llama(), tmp_path)
    with pytest.raises(Fault, match="checkpoints of an earlier run") as caught:
        run(tiny_llama(), tmp_path)
    assert "--resume" in caught.value.hint


def test_other_settings_and_another_stream_are_not_resumed(tiny_llama: Callable[..., Any], tmp_path: Path) -> None:
    run(tiny_llama(), tmp_path)
    with pytest.raises(Fault, match=r"train\.micro_batch_tokens was 64, is 32"):
        run(tiny_llama(), tmp_path, resume=True, micro_batch_tokens=32)
    with pytest.raises(Fault, match="another stream"):
        run(tiny_llama(), tmp_path, resume=True, stream=TinyStream(seed=1))
    run(tiny_llama(), tmp_path, resume=True, checkpoint_every=2)  # changes no weight


class _PoisonedStream(TinyStream):
    """Spoils the embedding of one document's first token before step 3."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self._model = model

    def batch(self, step: int, first_row: int = 0, rows: int | None = None) -> Batch:
        batch = super().batch(step, first_row, rows)
        if step == 2 and first_row == 0:
            token = int(batch.input_ids[0])
            with torch.no_grad():
                self._model.get_input_embeddings().weight[token] = float("nan")
        return batch


def test_a_loss_that_is_no_number_stops_the_run_and_names_the_documents(
    tiny_llama: Callable[..., Any], tmp_path: Path
) -> None:
    model = tiny_llama(tie_word_embeddings=False)
    with pytest.raises(Fault, match="not a number at step 3") as caught:
        run(model, tmp_path, stream=_PoisonedStream(model))
    assert "domain 0" in caught.value.where
    assert "learning rate" in caught.value.hint or "optimizer.lr" in caught.value.hint
    assert [line["step"] for line in read_metrics(tmp_path / "metrics.jsonl")] == [1, 2]


def test_loss_by_corpus_adds_up_to_the_loss(tiny_llama: Callable[..., Any], tmp_path: Path) -> None:
    stream = TinyStream(steps=1)
    run(tiny_llama(), tmp_path, stream=stream)
    line = read_metrics(tmp_path / "metrics.jsonl")[0]
    assert set(line["loss_by_corpus"]) == {"domain", "general"}
    batch = stream.batch(0, 0, 4)
    counts = {
        corpus.name: int((np.diff(batch.cu_seqlens)[batch.segment_corpus == index] - 1).sum())
        for index, corpus in enumerate(stream.corpora)
    }
    together = sum(line["loss_by_corpus"][name] * counts[name] for name in counts) / batch.n_targets
    assert line["loss"] == pytest.approx(together)


def test_validation_sees_an_evaluating_model_and_draws_nothing(tiny_llama: Callable[..., Any], tmp_path: Path) -> None:
    seen = []

    def validation(model: Any) -> float:
        seen.append(model.training)
        return float(torch.rand(()))  # a draw from the global generator

    looked, quiet = (tiny_llama(attention_dropout=0.2) for _ in range(2))
    run(looked, tmp_path / "looked", validation=validation, validate_every=2)
    run(quiet, tmp_path / "quiet")
    assert seen == [False] * 4
    assert same_weights(looked, quiet)
    lines = [line for line in read_metrics(tmp_path / "looked" / "metrics.jsonl") if "validation_loss" in line]
    assert [line["step"] for line in lines] == [2, 4, 6, 8]


def test_training_leaves_the_global_generator_as_it_was(tiny_llama: Callable[..., Any], tmp_path: Path) -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    run(tiny_llama(), tmp_path)
    assert torch.equal(torch.rand(3), expected)


def test_norms_and_biases_do_not_decay(tiny_llama: Callable[..., Any]) -> None:
    model = tiny_llama(attention_bias=True)
    decaying, still = make_optimizer(model, settings().optimizer).param_groups
    assert decaying["weight_decay"] == 0.1
    assert still["weight_decay"] == 0.0
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    assert {names[id(parameter)].rsplit(".", 1)[-1] for parameter in still["params"]} == {"weight", "bias"}
    assert all("norm" in names[id(p)] or names[id(p)].endswith("bias") for p in still["params"])
    assert len(decaying["params"]) + len(still["params"]) == len(names)


def test_an_empty_stream_is_a_fault(tiny_llama: Callable[..., Any], tmp_path: Path) -> None:
    with pytest.raises(Fault, match="no step to train"):
        run(tiny_llama(), tmp_path, stream=TinyStream(steps=0))
