"""Training, in one file: a stream of packed rows goes in, an adapted model and its whole record come out.

    for every step of the stream:
        every micro-batch:  forward, nats of each labelled token, backward of their sum / the step's labelled tokens
        clip, AdamW, one line of metrics.jsonl
        sometimes:          validation loss, checkpoint

Nothing here has a memory but model, optimizer and the step number. Which rows a step trains on, its learning rate and
its dropout masks are functions of (seed, step), so a resumed run is the run that was never interrupted, on CPU to the
bit. A loss is a sum over tokens, divided once: how rows are grouped into micro-batches doesn't weigh any token more.

Weights are fp32; the arithmetic is bf16 where the hardware is fast at it. SIGINT and SIGTERM finish the step, save and
raise `Interrupted`; a second one ends at once.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from curate.shards.fault import Fault
from pretrain.attention import use_packed_attention
from pretrain.checkpoints import State, check_same_run, checkpoints, load_checkpoint, newest_whole, save_checkpoint
from pretrain.leaks import check_no_leak
from pretrain.loss import OnDevice, backward, head_is_plain
from pretrain.metrics import Metrics, Progress
from pretrain.models import compute_dtype, parameters, save_model
from pretrain.schedules import learning_rate, peak_lr
from pretrain.settings import Optimizer, Train
from pretrain.signals import signals

if TYPE_CHECKING:
    from pretrain.rows import Batch
    from pretrain.stream import Stream

Line = dict[str, Any]  # of metrics.jsonl
# settings that may differ between a checkpoint and the run that goes on from it: they change no weight
_FREE = {"checkpoint_every", "keep_checkpoints", "validate_every", "shards"}


@dataclass(frozen=True, slots=True)
class TrainResult:
    steps: int
    tokens: int
    """Trained on, over all steps; padding not counted."""
    loss: float
    """Of the last step, nats per token."""
    seconds: float
    """In steps: without start-up, validation and checkpoints, over all sittings of the run."""
    tokens_per_second: float
    model: Path
    """A Hugging Face checkpoint."""


class Interrupted(Exception):
    """A signal came; the run is saved and goes on with --resume."""

    def __init__(self, step: int, steps: int, checkpoint: Path) -> None:
        super().__init__(f"interrupted after step {step} of {steps}; saved {checkpoint}")
        self.step, self.checkpoint = step, checkpoint


@dataclass(frozen=True, slots=True)
class _Run:
    """What stays the same from the first step to the last."""

    settings: Train
    seed: int
    model: Any
    stream: Stream
    optimizer: torch.optim.Optimizer
    device: torch.device
    dtype: torch.dtype
    plain_head: bool
    peak: float
    rows_at_once: int


def train(
    settings: Train,
    *,
    model: Any,
    stream: Stream,
    out: Path,
    seed: int,
    card: str,
    tokenizer_folder: Path | None = None,
    validation: Callable[[Any], float] | None = None,
    resume: bool = False,
    progress: bool = True,
    threads: int | None = None,
    on_step: Callable[[Line], None] | None = None,
) -> TrainResult:
    """Train `model` on all steps of `stream`; write metrics, checkpoints and the model below `out`.

    validation: nats per token on held-out text. threads: of torch on CPU, for the process; None leaves them alone.
    on_step: sees each line of metrics.jsonl as it is written.
    """
    if threads is not None:
        torch.set_num_threads(threads)
    run = _prepare(settings, model, stream, seed)
    done = _start(run, out / "checkpoints", resume)
    with (
        torch.random.fork_rng(devices=[run.device] if run.device.type == "cuda" else []),
        Metrics(out, done) as metrics,
        Progress(stream.steps, done, progress) as bar,
        signals() as asked,
    ):
        lines = [line for line in metrics.before if "loss" in line]
        if done:
            bar.say(f"train: going on after step {done} of {stream.steps}")
        for step in range(done, stream.steps):
            lines.append(_step(run, step))
            metrics.write(lines[-1])
            bar.step(lines[-1])
            if on_step is not None:
                on_step(lines[-1])
            if validation is not None and _is_validation_due(settings, step + 1, stream.steps):
                metrics.write({"step": step + 1, "validation_loss": _validate(model, validation)})
            stop = asked.to_stop and step + 1 < stream.steps
            if stop or _is_checkpoint_due(settings, step + 1, stream.steps):
                metrics.settle()
                place = _save(run, out / "checkpoints", step + 1)
                if stop:
                    raise Interrupted(step + 1, stream.steps, place)
    save_model(model, tokenizer_folder, out / "model", card)
    return _result(lines, out / "model")


def _prepare(settings: Train, model: Any, stream: Stream, seed: int) -> _Run:
    if stream.steps < 1:
        raise Fault("there is no step to train: the stream holds no row", where="train.tokens")
    device, dtype = model.device, compute_dtype(settings.precision, model.device)
    use_packed_attention(model)
    check_no_leak(model, model.get_input_embeddings().weight.shape[0], device, dtype)
    return _Run(
        settings=settings,
        seed=seed,
        model=model,
        stream=stream,
        optimizer=make_optimizer(model, settings.optimizer),
        device=device,
        dtype=dtype,
        plain_head=head_is_plain(model),
        peak=peak_lr(settings, parameters(model)),
        rows_at_once=max(1, settings.micro_batch_tokens // settings.sequence_length),
    )


def make_optimizer(model: nn.Module, settings: Optimizer) -> torch.optim.AdamW:
    """AdamW with decoupled weight decay on matrices only; norms and biases (one dimension) don't decay."""
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    groups = [
        {"params": [parameter for parameter in trained if parameter.ndim >= 2], "weight_decay": settings.weight_decay},
        {"params": [parameter for parameter in trained if parameter.ndim < 2], "weight_decay": 0.0},
    ]
    # the rate of each step is set before the step
    return torch.optim.AdamW(groups, lr=0.0, betas=settings.betas, eps=settings.eps, fused=True)


def _start(run: _Run, folder: Path, resume: bool) -> int:
    """Steps already done: those of the newest whole checkpoint, which is loaded, or none."""
    found = newest_whole(folder) if resume else None
    if found is None:
        if checkpoints(folder):
            raise Fault(
                f"{folder} holds checkpoints of an earlier run" + (", none of them whole" if resume else ""),
                where=str(folder),
                hint="remove that folder to start again" if resume else "add --resume to go on from the newest of them",
            )
        return 0
    place, state = found
    check_same_run(state.run, _account(run))
    run.stream.check(state.stream)
    load_checkpoint(place, run.model, run.optimizer)
    return state.step


def _step(run: _Run, step: int) -> Line:
    """One optimizer step; gives its line of metrics.jsonl."""
    started = time.perf_counter()
    run.model.train()
    batches = list(_micro_batches(run, step))
    targets = max(1, sum(batch.n_targets for batch in batches))
    sums = _Sums()
    for micro, batch in enumerate(batches):
        torch.manual_seed(_dropout_seed(run.seed, step, micro))
        nats = backward(run.model, OnDevice.of(batch, run.device), targets, run.dtype, run.plain_head).cpu().numpy()
        _check_finite(batch, nats, step + 1, run.stream)
        sums.add(batch, nats)
    norm = float(nn.utils.clip_grad_norm_(run.model.parameters(), run.settings.optimizer.clip))
    if not math.isfinite(norm):
        raise _diverged(f"the gradient's norm is {norm} at step {step + 1}", f"step {step + 1}")
    lr = learning_rate(run.settings.schedule, run.peak, step, run.stream.steps)
    for group in run.optimizer.param_groups:
        group["lr"] = lr
    run.optimizer.step()
    run.optimizer.zero_grad(set_to_none=True)
    seconds = time.perf_counter() - started
    return {
        "step": step + 1,
        "rows": run.stream.rows_in(step),
        "tokens": sums.tokens,
        "loss": sum(sums.nats.values()) / targets,
        "loss_by_corpus": sums.losses([corpus.name for corpus in run.stream.corpora]),
        "lr": lr,
        "grad_norm": norm,
        "seconds": round(seconds, 4),
        "tokens_per_second": round(sums.tokens / seconds, 1),
    }


def _micro_batches(run: _Run, step: int) -> Iterator[Batch]:
    rows = run.stream.rows_in(step)
    for first in range(0, rows, run.rows_at_once):
        yield run.stream.batch(step, first, min(run.rows_at_once, rows - first))


@dataclass(slots=True)
class _Sums:
    """Tokens, nats and labelled tokens over the micro-batches of a step; the latter two by index of the corpus."""

    tokens: int = 0
    nats: dict[int, float] = field(default_factory=dict)
    counts: dict[int, int] = field(default_factory=dict)

    def add(self, batch: Batch, nats: np.ndarray) -> None:  # (n,) float32, of the labelled tokens in order
        self.tokens += sum(batch.tokens_by_corpus.values())
        corpus = batch.segment_corpus[_segments_of_targets(batch)]
        for index in np.unique(corpus).tolist():
            mine = corpus == index
            self.nats[index] = self.nats.get(index, 0.0) + float(nats[mine].sum(dtype=np.float64))
            self.counts[index] = self.counts.get(index, 0) + int(mine.sum())

    def losses(self, names: list[str]) -> dict[str, float]:
        return {names[index]: self.nats[index] / self.counts[index] for index in sorted(self.nats)}


def _segments_of_targets(batch: Batch) -> np.ndarray:  # (n,) int64
    return np.searchsorted(batch.cu_seqlens[1:], np.flatnonzero(batch.labels >= 0), side="right")


def _dropout_seed(seed: int, step: int, micro: int) -> int:
    return int(np.random.SeedSequence([seed, step, micro]).generate_state(1, np.uint64)[0])


def _check_finite(batch: Batch, nats: np.ndarray, step: int, stream: Stream) -> None:
    bad = ~np.isfinite(nats)
    if not bad.any():
        return
    segments = np.unique(_segments_of_targets(batch)[bad])[:5]
    names = [f"{stream.corpora[batch.segment_corpus[s]].name} {batch.segment_document[s]}" for s in segments]
    raise _diverged(f"the loss is not a number at step {step}", f"step {step}, documents {', '.join(names)}")


def _diverged(what: str, where: str) -> Fault:
    return Fault(
        what,
        where=where,
        hint="the last checkpoint is sound; lower train.optimizer.lr, or try --set train.precision=fp32",
    )


def _validate(model: Any, validation: Callable[[Any], float]) -> float:
    model.eval()
    with torch.no_grad():
        loss = float(validation(model))
    model.train()
    return loss


# What is due is a function of the step alone: an interruption adds no line to metrics.jsonl and takes none away.
def _is_checkpoint_due(settings: Train, step: int, steps: int) -> bool:
    return step % settings.checkpoint_every == 0 or step == steps


def _is_validation_due(settings: Train, step: int, steps: int) -> bool:
    return step % (settings.validate_every or settings.checkpoint_every) == 0 or step == steps


def _save(run: _Run, folder: Path, step: int) -> Path:
    state = State(step, run.stream.state(step), _account(run))
    return save_checkpoint(folder, state, run.model, run.optimizer, run.settings.keep_checkpoints)


def _account(run: _Run) -> dict[str, Any]:
    """What a checkpoint must share with the run that resumes it, flat and as JSON gives it back."""
    settings = run.settings.model_dump(mode="json", exclude=_FREE)
    return {"seed": run.seed, **{f"train.{name}": value for name, value in settings.items()}}


def _result(lines: list[Line], model: Path) -> TrainResult:
    tokens, seconds = sum(line["tokens"] for line in lines), sum(line["seconds"] for line in lines)
    return TrainResult(len(lines), tokens, lines[-1]["loss"], seconds, tokens / max(seconds, 1e-9), model)
