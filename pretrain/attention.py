"""Attention that never looks across a document's edge, for any transformers model, on CPU and GPU.

A packed batch is one flat row of T tokens; `cu_seq_lens` (k+1,) says where its k documents begin and end. transformers
lets a function of ours stand in for every attention layer (`AttentionInterface`). It gets q, k, v and, through the
model's keyword arguments, `cu_seq_lens_q`; no mask is ever built, so no T x T memory is needed:

    CPU   one causal scaled_dot_product_attention per document (padding documents to common lengths gained nothing:
          404 documents of 20 tokens ran in 30 ms so and in 26 ms padded, 57 of 150 in 55 and 62)
    CUDA  torch.nn.attention.varlen.varlen_attn in half precision where its heads suit, else as on CPU

Why not transformers' own detection of packed sequences: it needs position ids, no mask and no cache all at once, and
leaks silently where one is missing. What can't be masked by attention alone (state-space and linear-attention layers,
ALiBi, sinks) is refused with the reason; `pretrain/leaks.py` then proves it on the very model.

Shapes: T tokens of the batch, L tokens of a document, k documents, H query heads, G key heads, D head size.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from curate.shards.fault import Fault

NAME = "postgrad_packed"

# layer kinds of transformers' config.layer_types whose mixing over tokens is attention and nothing else
_ATTENTION_LAYERS = {"full_attention", "sliding_attention", "attention"}
# arguments that change what attention computes and that neither SDPA nor varlen_attn knows
_UNKNOWN_TO_US = ("s_aux", "position_bias", "head_mask")


def use_packed_attention(model: Any) -> None:
    """Switch every attention layer of `model` to ours. Raises Fault for a model that would leak whatever one does."""
    refuse_leaky(model)
    _register()
    model.set_attn_implementation(NAME)
    if model.config._attn_implementation != NAME:
        raise _refusal(model, "it does not take its attention from transformers' AttentionInterface")


def packed_inputs(input_ids: Tensor, position_ids: Tensor, cu_seqlens: Tensor) -> dict[str, Any]:
    """The keyword arguments of model(**kwargs) for a flat batch: ids and positions (T,), edges (k+1,) int32."""
    longest = int(cu_seqlens.diff().max())
    return {
        "input_ids": input_ids[None],  # (1, T)
        "position_ids": position_ids[None],  # (1, T)
        "attention_mask": None,
        "use_cache": False,  # a cache would switch packing off in models that look at it
        "cu_seq_lens_q": cu_seqlens,
        "cu_seq_lens_k": cu_seqlens,
        "max_length_q": longest,
        "max_length_k": longest,
    }


def refuse_leaky(model: Any) -> None:
    """Raises Fault where attention is not the only way information travels between tokens."""
    config = model.config.get_text_config()
    if getattr(model, "_is_stateful", False):
        raise _refusal(model, "its recurrent or state-space layers carry state over document edges")
    other = sorted(set(getattr(config, "layer_types", None) or []) - _ATTENTION_LAYERS)
    if other:
        raise _refusal(model, f"its {', '.join(other)} layers carry state over document edges")
    if getattr(config, "alibi", False) or config.model_type in ("bloom", "mpt"):
        raise _refusal(model, "its ALiBi biases count positions over the whole row and ignore position ids")
    if getattr(config, "is_encoder_decoder", False):
        raise _refusal(model, "it is an encoder-decoder")
    if not model._can_set_attn_implementation():
        raise _refusal(model, "it does not take its attention from transformers' AttentionInterface")


def _refusal(model: Any, reason: str) -> Fault:
    return Fault(
        f"{type(model).__name__} cannot be trained on packed documents: {reason}",
        where="train.base",
        hint="Llama, Qwen, Mistral, Gemma, GPT-NeoX, OLMo and SmolLM models can",
    )


def _register() -> None:
    """Name our function to transformers. No mask function goes with it, so models hand us attention_mask=None."""
    from transformers import AttentionInterface

    AttentionInterface.register(NAME, packed_attention)


def packed_attention(
    module: nn.Module,
    query: Tensor,  # (1, H, T, D)
    key: Tensor,  # (1, G, T, D)
    value: Tensor,  # (1, G, T, D)
    attention_mask: Tensor | None,
    *,
    scaling: float | None = None,
    dropout: float = 0.0,
    sliding_window: int | None = None,
    softcap: float | None = None,
    cu_seq_lens_q: Tensor | None = None,  # (k+1,) int32
    max_length_q: int | None = None,
    **rest: Any,
) -> tuple[Tensor, None]:
    """transformers' attention signature; returns (1, T, H, D) and no weights."""
    _check_call(module, query, key, attention_mask, cu_seq_lens_q, rest)
    assert cu_seq_lens_q is not None
    dropout = dropout if module.training else 0.0
    if query.is_cuda and not (dropout or softcap) and _suits_varlen_kernel(query, value):
        longest = max_length_q or int(cu_seq_lens_q.diff().max())
        return _by_varlen_kernel(query, key, value, cu_seq_lens_q, longest, scaling, sliding_window), None
    return _by_document(
        query, key, value, cu_seq_lens_q.diff().tolist(), scaling, dropout, sliding_window, softcap
    ), None


def _check_call(
    module: nn.Module, query: Tensor, key: Tensor, mask: Tensor | None, edges: Tensor | None, rest: dict[str, Any]
) -> None:
    kind = type(module).__name__
    if edges is None:
        raise Fault(
            f"{kind} is not told where documents begin: the model keeps cu_seq_lens_q from its attention layers",
            where="train.base",
            hint="use pretrain.attention.packed_inputs; models that drop its keyword arguments cannot be packed",
        )
    if query.shape[0] != 1 or query.shape[2] != key.shape[2] or mask is not None:
        raise ValueError(f"{kind}: packed attention takes one flat row, no mask and no cache")
    changed = [name for name in _UNKNOWN_TO_US if rest.get(name) is not None]
    if changed or rest.get("is_causal") is False:
        raise Fault(
            f"{kind} asks for attention that packing does not know: {', '.join(changed) or 'not causal'}",
            where="train.base",
            hint="Llama, Qwen, Mistral, Gemma, GPT-NeoX, OLMo and SmolLM models work",
        )


def _suits_varlen_kernel(query: Tensor, value: Tensor) -> bool:
    """Half precision, and heads as flash attention takes them: of one size, a multiple of 8 up to 256."""
    size = query.shape[-1]
    return query.dtype in (torch.bfloat16, torch.float16) and size == value.shape[-1] and size % 8 == 0 and size <= 256


def _by_varlen_kernel(
    query: Tensor, key: Tensor, value: Tensor, edges: Tensor, longest: int, scaling: float | None, window: int | None
) -> Tensor:  # (1, T, H, D)
    from torch.nn.attention.varlen import varlen_attn

    q, k, v = (x[0].transpose(0, 1) for x in (query, key, value))  # (T, H or G, D)
    left = window - 1 if window else -1  # a window of W holds the token itself and W-1 before it
    grouped = q.shape[1] != k.shape[1]
    out = varlen_attn(q, k, v, edges, edges, longest, longest, scale=scaling, window_size=(left, 0), enable_gqa=grouped)
    assert isinstance(out, Tensor)  # with return_aux it would be a pair
    return out[None]


def _by_document(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    lengths: list[int],
    scaling: float | None,
    dropout: float,
    window: int | None,
    softcap: float | None,
) -> Tensor:  # (1, T, H, D)
    dtype = query.dtype
    if query.device.type == "cpu" and not torch.cpu._is_amx_tile_supported():
        # CPUs without AMX run bf16 attention at half the speed of fp32 for short documents, and never faster
        query, key, value = query.float(), key.float(), value.float()
    with torch.autocast(query.device.type, enabled=False):
        documents = zip(query.split(lengths, 2), key.split(lengths, 2), value.split(lengths, 2), strict=True)
        outputs = [_one_document(q, k, v, scaling, dropout, window, softcap) for q, k, v in documents]
    return torch.cat([out.transpose(1, 2) for out in outputs], dim=1).to(dtype)


def _one_document(
    q: Tensor, k: Tensor, v: Tensor, scaling: float | None, dropout: float, window: int | None, softcap: float | None
) -> Tensor:  # (1, H, L, D)
    length, grouped = q.shape[2], q.shape[1] != k.shape[1]
    narrow = window is not None and length > window
    if softcap is not None:
        return _softcapped(q, k, v, scaling, dropout, _causal(length, window, q.device), softcap)
    return F.scaled_dot_product_attention(
        q,
        k,
        v,
        attn_mask=_causal(length, window, q.device) if narrow else None,
        is_causal=not narrow,
        scale=scaling,
        dropout_p=dropout,
        enable_gqa=grouped,
    )


def _causal(length: int, window: int | None, device: torch.device) -> Tensor:  # (L, L) bool, True where seen
    seen = torch.ones(length, length, dtype=torch.bool, device=device).tril()
    return seen.triu(1 - window) if window is not None else seen


def _softcapped(
    q: Tensor, k: Tensor, v: Tensor, scaling: float | None, dropout: float, seen: Tensor, softcap: float
) -> Tensor:  # (1, H, L, D)
    """Gemma 2's tanh on the scores, written out: no fused kernel knows it."""
    groups = q.shape[1] // k.shape[1]
    k, v = k.repeat_interleave(groups, 1), v.repeat_interleave(groups, 1)
    scores = q @ k.transpose(2, 3) * (scaling if scaling is not None else q.shape[-1] ** -0.5)  # (1, H, L, L)
    scores = (torch.tanh(scores / softcap) * softcap).masked_fill(~seen, float("-inf"))
    weights = F.dropout(scores.softmax(-1, dtype=torch.float32).to(v.dtype), dropout)
    return weights @ v
