"""What a training will cost, from the shape of the model and the tokens at hand: steps, time, memory, disk.

    parameters   of the model itself, built without memory for its weights (torch's meta device)
    time         (6 x weights that multiply + 12 x layers x width x mean context) x tokens, over what a product of
                 matrices of this model's size reaches here, times EFFICIENCY
    memory       16 bytes a parameter (fp32 weight, gradient, two moments of AdamW) + activations + logits of a
                 micro-batch

6 operations a weight and token: Kaplan et al. 2020, section 2.1; the second term is attention, forward and backward,
where a token sees half of its document on average. All of it is meant to be right within a factor of two.
"""

from __future__ import annotations

import math
import re
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from curate.shards.fault import Fault
from pretrain.settings import Base, Train

if TYPE_CHECKING:
    import torch

EFFICIENCY = 0.5  # of the measured product: norms, softmax, optimizer and small matrices take the rest
STATE_BYTES = 16  # a parameter, while training
CHECKPOINT_BYTES = 12  # a parameter: weight and two moments
LOGITS_AT_ONCE = 1 << 22  # numbers; pretrain/loss.py takes the head in pieces of this size
MEASURED_SECONDS = 0.3


@dataclass(frozen=True, slots=True)
class Shape:
    """A causal language model without its weights."""

    parameters: int
    multiplying: int
    """Parameters that every token is multiplied by: all but an embedding that is only looked up."""
    embeddings: int
    layers: int
    width: int
    inner: int
    """Width of the feed-forward part."""
    vocabulary: int
    positions: int | None
    """None: the model states no limit."""


@dataclass(frozen=True, slots=True)
class Amounts:
    """What there is to train on, in tokens of one pass; the mean document sets the context."""

    domain: float
    general: float
    mean_document: float


@dataclass(frozen=True, slots=True)
class Forecast:
    shape: Shape
    peak_lr: float
    usual_lr: float
    """The default for a model of this size."""
    rows: int
    rows_per_step: int
    sequence_length: int
    domain_passes: float
    replay_passes: float
    device: str
    dtype: str
    matmul_flops: float
    """Measured, operations a second."""
    flops: float
    """Operations of the whole training."""
    state_bytes: int
    activation_bytes: int
    logit_bytes: int
    machine_bytes: int
    disk_bytes: int

    @property
    def tokens(self) -> int:
        return self.rows * self.sequence_length

    @property
    def steps(self) -> int:
        return math.ceil(self.rows / self.rows_per_step)

    @property
    def seconds(self) -> float:
        return self.flops / (self.matmul_flops * EFFICIENCY)

    @property
    def memory_bytes(self) -> int:
        return self.state_bytes + self.activation_bytes + self.logit_bytes


def forecast(settings: Train, shape: Shape, amounts: Amounts) -> Forecast:
    import torch

    from pretrain.models import best_device, compute_dtype
    from pretrain.schedules import peak_lr

    device = best_device()
    dtype = compute_dtype(settings.precision, device)
    length, size = settings.sequence_length, torch.finfo(dtype).bits // 8
    domain_rows, replay_rows = _rows(settings, amounts)
    micro = max(1, settings.micro_batch_tokens // length) * length
    unset = settings.model_copy(update={"optimizer": settings.optimizer.model_copy(update={"lr": None})})
    context = min(amounts.mean_document, length) / 2
    per_token = 6 * shape.multiplying + 12 * shape.layers * shape.width * context
    from_scratch = isinstance(settings.base, Base)
    return Forecast(
        shape=shape,
        peak_lr=peak_lr(settings, shape.parameters),
        usual_lr=peak_lr(unset, shape.parameters),
        rows=domain_rows + replay_rows,
        rows_per_step=max(1, round(settings.batch_tokens / length)),
        sequence_length=length,
        domain_passes=domain_rows / _rows_of(amounts.domain, length),
        replay_passes=replay_rows / _rows_of(amounts.general, length),
        device=device.type,
        dtype=str(dtype).removeprefix("torch."),
        matmul_flops=measured_flops(device, dtype, micro, shape.width, shape.inner),
        flops=per_token * (domain_rows + replay_rows) * length,
        state_bytes=STATE_BYTES * shape.parameters,
        # kept for the backward pass of a layer: about 12 numbers of its width and 4 of its inner width for each token
        activation_bytes=micro * shape.layers * (12 * shape.width + 4 * shape.inner) * size,
        logit_bytes=3 * 4 * min(LOGITS_AT_ONCE, micro * shape.vocabulary),  # logits, their softmax and gradient
        machine_bytes=_machine_bytes(device),
        disk_bytes=shape.parameters
        * (CHECKPOINT_BYTES * (settings.keep_checkpoints + 1) + 4 * (2 if from_scratch else 1)),
    )


def _rows(settings: Train, amounts: Amounts) -> tuple[int, int]:
    """Rows of domain and of replay, as the stream will mix them."""
    from pretrain.order import row_counts, row_counts_of_total

    shares = [settings.replay] if settings.replay and amounts.general else []
    if settings.tokens is not None:
        counts = row_counts_of_total(math.ceil(settings.tokens / settings.sequence_length), shares)
    else:
        one_pass = _rows_of(amounts.domain, settings.sequence_length)
        counts = row_counts(math.ceil((settings.epochs or 1) * one_pass), shares)
    if settings.repeat_at_most is None:
        return counts[0], sum(counts[1:])
    most = [
        math.floor(settings.repeat_at_most * _rows_of(n, settings.sequence_length))
        for n in (amounts.domain, amounts.general)
    ]
    return counts[0], min(sum(counts[1:]), most[1])


def _rows_of(tokens: float, length: int) -> int:
    return max(1, math.ceil(tokens / length))


# -- the model


def shape_of(settings: Train, vocabulary: int) -> Shape:
    """Builds the model without memory for its weights. Raises Fault where there is no such model."""
    import torch

    from pretrain.models import from_scratch, parameters

    with torch.device("meta"):
        if isinstance(settings.base, Base):
            fields = {"max_position_embeddings": settings.sequence_length} | settings.base.scratch
            model = from_scratch(fields, vocabulary, None, 0, 0, seed=0)
        else:
            model = _unloaded(settings.base)
    config = model.config.get_text_config()
    embedding, head = model.get_input_embeddings().weight, model.get_output_embeddings()
    is_tied = head is None or head.weight is embedding
    return Shape(
        parameters=parameters(model),
        multiplying=parameters(model) - (0 if is_tied else embedding.numel()),
        embeddings=embedding.numel() * (1 if is_tied else 2),
        layers=config.num_hidden_layers,
        width=config.hidden_size,
        inner=getattr(config, "intermediate_size", None) or 4 * config.hidden_size,
        vocabulary=embedding.shape[0],
        positions=getattr(config, "max_position_embeddings", None),
    )


def _unloaded(where: str) -> Any:
    from transformers import AutoConfig, AutoModelForCausalLM

    if not Path(where).is_dir() and not re.fullmatch(r"\w[\w.-]*(/[\w.-]+)?", where):
        raise Fault(f"there is no folder {where!r}", where="train.base", hint="check the path, or give a hub name")
    try:
        config = AutoConfig.from_pretrained(where, trust_remote_code=False)
        return AutoModelForCausalLM.from_config(config, trust_remote_code=False)
    except (OSError, ValueError, ImportError, KeyError) as error:
        first = str(error).strip().partition("\n")[0]
        hint = "give a folder with config.json and safetensors, or the name of a public hub model"
        raise Fault(f"cannot read the model {where!r}: {first}", where="train.base", hint=hint) from None


# -- the machine


def measured_flops(device: torch.device, dtype: torch.dtype, rows: int, width: int, inner: int) -> float:
    """Operations a second of the feed-forward product of this model, (rows, width) x (width, inner)."""
    import torch

    rows = min(rows, 4096)
    with torch.no_grad():
        one = torch.ones(rows, width, device=device, dtype=dtype)
        other = torch.ones(width, inner, device=device, dtype=dtype)
        _multiply(one, other)  # the first product pays for what the library sets up
        times, begun = 0, time.perf_counter()
        while (passed := time.perf_counter() - begun) < MEASURED_SECONDS:
            _multiply(one, other)
            times += 1
    return 2 * rows * width * inner * times / passed


def _multiply(one: torch.Tensor, other: torch.Tensor) -> None:
    import torch

    one @ other
    if one.device.type == "cuda":
        torch.cuda.synchronize()


def _machine_bytes(device: torch.device) -> int:
    """Memory of the device that trains."""
    import os

    import torch

    if device.type == "cuda":
        return int(torch.cuda.get_device_properties(device).total_memory)
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
