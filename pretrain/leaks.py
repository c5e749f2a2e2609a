"""Proof, at start-up and on the very model, that no document sees another.

Three documents of random tokens are packed into one batch and put through the model with the attention, device and
precision that training will use, in evaluation and in training mode (dropout aside). Four tests:

    perturb    change document 0: the logits of the others stay the same to the bit
    alone      the packed logits are those of each document run alone through the model's own attention
    gradient   the logits of document 1 have a gradient of exactly 0 with respect to the embeddings of document 0
    sum        the packed loss is the sum of the documents' losses

A leak is silent otherwise: the loss still falls (transformers#46634). Any test that fails is a Fault.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from curate.shards.fault import Fault
from pretrain.attention import packed_inputs
from pretrain.loss import autocast

LENGTHS = (23, 40, 1, 16)  # tokens of the documents: uneven on purpose, one of a single token
# largest difference allowed between packed and alone, as a share of the largest logit: fp32 rounding of two kernels,
# and two roundings of bf16 (8 bits) that add up over layers
TOLERANCE = {torch.float32: 1e-5, torch.bfloat16: 6e-2, torch.float16: 1e-2}


@dataclass(frozen=True, slots=True)
class LeakReport:
    """What was measured; all largest values over both modes."""

    model: str
    dtype: str
    perturbed: float
    """Change of other documents' logits when document 0 changes: 0."""
    alone: float
    """Difference between packed and alone, as a share of the largest logit."""
    gradient: float
    """Gradient of document 1's logits at document 0's embeddings: 0."""
    loss: float
    """Relative difference between the packed loss and the sum of the documents' losses."""


def check_no_leak(model: Any, vocabulary: int, device: torch.device, dtype: torch.dtype) -> LeakReport:
    """Run the four tests in both modes. Raises Fault naming the model's class and the test that failed."""
    was_training = model.training
    measured = []
    with _without_dropout(model):
        for training in (False, True):
            model.train(training)
            measured.append(_measure(model, vocabulary, device, dtype))
    model.train(was_training)
    worst = [max(values) for values in zip(*measured, strict=True)]
    _judge(model, dtype, *worst)
    return LeakReport(type(model).__name__, str(dtype).removeprefix("torch."), *worst)


def _measure(
    model: Any, vocabulary: int, device: torch.device, dtype: torch.dtype
) -> tuple[float, float, float, float]:
    documents = _documents(vocabulary, device)
    changed = [(documents[0] + 1) % vocabulary, *documents[1:]]
    first = len(documents[0])
    with torch.no_grad(), autocast(device, dtype):
        perturbed = (_logits(model, changed)[first:] - _logits(model, documents)[first:]).abs().max()
    with torch.no_grad(), autocast(device, _dtype_of_comparison(model, dtype)):
        packed = _logits(model, documents)  # (T, V)
        with _own_attention(model):
            alone = [_logits_alone(model, document) for document in documents]
    scale = packed.abs().max().clamp_min(1e-6)
    difference = (torch.cat(alone) - packed).abs().max() / scale
    losses = sum(_loss(logits, document) for logits, document in zip(alone, documents, strict=True))
    together = sum(_loss(logits, document) for logits, document in zip(packed.split(LENGTHS), documents, strict=True))
    gradient = _gradient_across(model, documents, device, dtype)
    return float(perturbed), float(difference), gradient, abs(float(together / losses) - 1)


def _judge(model: Any, dtype: torch.dtype, perturbed: float, alone: float, gradient: float, loss: float) -> None:
    tolerance = TOLERANCE[_dtype_of_comparison(model, dtype)]
    # experts multiply whatever was routed to them in one go: other tokens change the shape, hence the rounding
    still = TOLERANCE[dtype] if _routes_tokens(model) else 0.0
    failed = {
        f"perturb: logits of other documents move by {perturbed:.3g}": not perturbed <= still,  # NaN fails too
        f"gradient: document 1 depends on document 0 by {gradient:.3g}": gradient != 0,
        f"alone: packed and alone differ by {alone:.3g} of the largest logit": not alone <= tolerance,
        f"sum: packed loss and sum of losses differ by {loss:.3g}": not loss <= tolerance,
    }
    found = [test for test, has_failed in failed.items() if has_failed]
    if found:
        raise Fault(
            f"{type(model).__name__} leaks between packed documents: {'; '.join(found)}",
            where="train.base",
            hint="use another architecture: Llama, Qwen, Mistral, Gemma, GPT-NeoX and OLMo models pass",
        )


def _routes_tokens(model: Any) -> bool:
    """Mixtures of experts."""
    return any(getattr(model.config, name, 0) for name in ("num_experts", "num_local_experts", "n_routed_experts"))


def _dtype_of_comparison(model: Any, dtype: torch.dtype) -> torch.dtype:
    """Half precision's rounding sends a token to another expert: such a model is compared with itself in fp32."""
    return torch.float32 if _routes_tokens(model) else dtype


def _documents(vocabulary: int, device: torch.device) -> list[Tensor]:  # k of (L,) int64
    generator = torch.Generator().manual_seed(0)
    return [torch.randint(vocabulary, (length,), generator=generator).to(device) for length in LENGTHS]


def _packed(documents: list[Tensor]) -> dict[str, Any]:
    device = documents[0].device
    edges = torch.tensor([0, *LENGTHS]).cumsum(0).to(device, torch.int32)
    positions = torch.cat([torch.arange(length, device=device) for length in LENGTHS])
    return packed_inputs(torch.cat(documents), positions, edges)


def _logits(model: Any, documents: list[Tensor]) -> Tensor:  # (T, V) float32
    return model(**_packed(documents)).logits[0].float()


def _logits_alone(model: Any, document: Tensor) -> Tensor:  # (L, V) float32
    positions = torch.arange(len(document), device=document.device)[None]
    return model(input_ids=document[None], position_ids=positions, use_cache=False).logits[0].float()


def _loss(logits: Tensor, document: Tensor) -> Tensor:
    return F.cross_entropy(logits[:-1], document[1:], reduction="sum")


def _gradient_across(model: Any, documents: list[Tensor], device: torch.device, dtype: torch.dtype) -> float:
    kwargs = _packed(documents)
    embedded = model.get_input_embeddings()(kwargs.pop("input_ids")).detach().requires_grad_()  # (1, T, E)
    first, second = LENGTHS[:2]
    with autocast(device, dtype):
        logits = model(inputs_embeds=embedded, **kwargs).logits[0]
    (gradient,) = torch.autograd.grad(logits[first : first + second].float().square().sum(), embedded)
    assert gradient[0, first : first + second].any(), "the test would pass on nothing"
    return float(gradient[0, :first].abs().max())


@contextmanager
def _own_attention(model: Any) -> Iterator[None]:
    """The model's plainest attention, as its authors wrote it: an oracle that knows its windows, caps and scales."""
    ours = model.config._attn_implementation
    model.set_attn_implementation("eager")
    try:
        yield
    finally:
        model.set_attn_implementation(ours)


@contextmanager
def _without_dropout(model: nn.Module) -> Iterator[None]:
    """Every dropout at 0: modules of torch's by their `p`, attention layers' by the float they hold."""
    before: list[tuple[nn.Module, str, float]] = []
    for module in model.modules():
        names = ["p"] if isinstance(module, nn.Dropout) else [n for n in vars(module) if "dropout" in n]
        before += [(module, name, value) for name in names if isinstance(value := getattr(module, name), float)]
    try:
        for module, name, _ in before:
            setattr(module, name, 0.0)
        yield
    finally:
        for module, name, value in before:
            setattr(module, name, value)
