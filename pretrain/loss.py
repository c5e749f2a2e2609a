"""From packed tokens to nats: sums over tokens, divided once by whatever the caller counts.

The hidden states of all tokens are cheap; their logits are not (8,192 tokens of a 150,000-word vocabulary: 5 GB). So
where the model's head is a plain linear layer, the tokens that have a label go through it a piece at a time, and each
piece's gradient is taken before the next piece's logits exist. Where the model does more to its logits (Gemma's cap,
Granite's scaling), it makes them itself, all at once. `head_is_plain` tells by trying.

Shapes: T tokens, n labelled tokens, E hidden size, V vocabulary.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor

from pretrain.attention import packed_inputs

if TYPE_CHECKING:
    from pretrain.rows import Batch

LOGITS_AT_ONCE = 2**22  # numbers of one piece, 16 MB in fp32: small enough to stay near the caches


@dataclass(frozen=True, slots=True)
class OnDevice:
    """What of a batch the model needs."""

    input_ids: Tensor  # (T,) int64
    labels: Tensor  # (T,) int64, shifted already; -100 where there is no target
    position_ids: Tensor  # (T,) int64
    cu_seqlens: Tensor  # (k+1,) int32

    @staticmethod
    def of(batch: Batch, device: torch.device) -> OnDevice:
        arrays = (batch.input_ids, batch.labels, batch.position_ids, batch.cu_seqlens)
        return OnDevice(*(torch.from_numpy(array).to(device, non_blocking=True) for array in arrays))


def autocast(device: torch.device, dtype: torch.dtype) -> AbstractContextManager[Any]:
    """Compute in `dtype` over fp32 weights; float32 means no casting."""
    return torch.autocast(device.type, dtype=dtype, enabled=dtype != torch.float32)


def head_is_plain(model: Any) -> bool:
    """Whether the logits are exactly head(hidden): tried on a few tokens."""
    if model.get_output_embeddings() is None:
        return False
    device = model.device
    some = torch.arange(8, device=device) % model.config.get_text_config().vocab_size
    kwargs = packed_inputs(some, torch.arange(8, device=device), torch.tensor([0, 8], dtype=torch.int32, device=device))
    was_training = model.training
    model.eval()
    with torch.no_grad():
        same = torch.equal(model(**kwargs).logits, model.get_output_embeddings()(_hidden(model, kwargs)))
    model.train(was_training)
    return same


def backward(
    model: Any, batch: OnDevice, divisor: int, dtype: torch.dtype, plain_head: bool
) -> Tensor:  # (n,) float32, nats of the labelled tokens in order
    """Add the gradient of sum(nats) / divisor to the parameters; divisor: labelled tokens of the whole step."""
    places = (batch.labels >= 0).nonzero().squeeze(1)  # (n,)
    with autocast(places.device, dtype):
        pieces = _pieces(model, batch, places, plain_head)  # views of one tensor
    nats, gradients = [], []
    for piece, target in zip(pieces, batch.labels[places].split([len(piece) for piece in pieces]), strict=True):
        leaf = piece.detach().requires_grad_()  # the graph of a piece ends here: its logits die with it
        with autocast(places.device, dtype):
            logits = model.get_output_embeddings()(leaf) if plain_head else leaf  # (., V)
            of_piece = F.cross_entropy(logits.float(), target, reduction="none")
        (of_piece.sum() / divisor).backward()
        nats.append(of_piece.detach())
        gradients.append(leaf.grad)
    torch.autograd.backward(pieces, gradients)
    return torch.cat(nats)


def _pieces(model: Any, batch: OnDevice, places: Tensor, plain_head: bool) -> tuple[Tensor, ...]:
    """Hidden states (., E) of the labelled tokens, or their logits (n, V) in one piece where the head is not plain."""
    kwargs = packed_inputs(batch.input_ids, batch.position_ids, batch.cu_seqlens)
    if not plain_head:
        return (model(**kwargs).logits[0].index_select(0, places),)
    at_once = max(128, LOGITS_AT_ONCE // model.get_output_embeddings().weight.shape[0])
    return _hidden(model, kwargs)[0].index_select(0, places).split(at_once)


def _hidden(model: Any, kwargs: dict[str, Any]) -> Tensor:  # (1, T, E)
    return model.base_model(**kwargs)[0]
