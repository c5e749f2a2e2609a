"""Laws of packed attention: each document attends as if it were alone, in every family of models we claim."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from curate.shards.fault import Fault
from pretrain.attention import NAME, packed_attention, packed_inputs, refuse_leaky, use_packed_attention

LENGTHS = [5, 1, 12, 7]


def edges(lengths: list[int]) -> Tensor:
    return torch.tensor([0, *lengths]).cumsum(0).to(torch.int32)


def heads(count: int, generator: torch.Generator) -> Tensor:  # (1, count, T, 8)
    return torch.randn(1, count, sum(LENGTHS), 8, generator=generator)


def by_hand(
    q: Tensor, k: Tensor, v: Tensor, scaling: float, window: int | None, softcap: float | None
) -> Tensor:  # (1, T, H, D)
    """Scores of all pairs, then a mask over the whole row: the slow way, written out."""
    groups = q.shape[1] // k.shape[1]
    k, v = k.repeat_interleave(groups, 1), v.repeat_interleave(groups, 1)
    document = torch.repeat_interleave(torch.arange(len(LENGTHS)), torch.tensor(LENGTHS))
    place = torch.arange(sum(LENGTHS))
    distance = place[:, None] - place[None]
    seen = (document[:, None] == document[None]) & (distance >= 0) & (distance < (window or sum(LENGTHS)))
    scores = q @ k.transpose(2, 3) * scaling
    if softcap:
        scores = softcap * torch.tanh(scores / softcap)
    return (scores.masked_fill(~seen, float("-inf")).softmax(-1) @ v).transpose(1, 2)


@pytest.mark.parametrize("kv_heads", [4, 2, 1])
@pytest.mark.parametrize("window", [None, 4, 12])
@pytest.mark.parametrize("softcap", [None, 2.0])
def test_a_document_attends_to_itself_and_backwards_only(
    kv_heads: int, window: int | None, softcap: float | None
) -> None:
    generator = torch.Generator().manual_seed(0)
    q, k, v = (heads(n, generator) for n in (4, kv_heads, kv_heads))
    ours, weights = packed_attention(
        nn.Identity(), q, k, v, None, scaling=0.3, sliding_window=window, softcap=softcap, cu_seq_lens_q=edges(LENGTHS)
    )
    assert weights is None
    torch.testing.assert_close(ours, by_hand(q, k, v, 0.3, window, softcap), rtol=1e-5, atol=1e-6)


def test_half_precision_stays_half_precision() -> None:
    generator = torch.Generator().manual_seed(0)
    q, k, v = (heads(4, generator).bfloat16() for _ in range(3))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        ours, _ = packed_attention(nn.Identity(), q, k, v, None, scaling=0.3, cu_seq_lens_q=edges(LENGTHS))
    assert ours.dtype == torch.bfloat16
    exact = by_hand(q.float(), k.float(), v.float(), 0.3, None, None)
    torch.testing.assert_close(ours.float(), exact, rtol=1e-2, atol=1e-2)


def test_dropout_falls_on_training_only() -> None:
    generator = torch.Generator().manual_seed(0)
    q, k, v = (heads(4, generator) for _ in range(3))

    def attend(training: bool) -> Tensor:
        module = nn.Identity().train(training)
        return packed_attention(module, q, k, v, None, dropout=0.5, cu_seq_lens_q=edges(LENGTHS))[0]

    torch.manual_seed(0)
    assert torch.equal(attend(False), attend(False))
    assert not torch.equal(attend(True), attend(True))


def test_what_it_cannot_do_right_it_refuses() -> None:
    q = k = v = torch.zeros(1, 2, 4, 8)
    with pytest.raises(Fault, match="not told where documents begin"):
        packed_attention(nn.Identity(), q, k, v, None)
    with pytest.raises(Fault, match="s_aux"):
        packed_attention(nn.Identity(), q, k, v, None, cu_seq_lens_q=edges([4]), s_aux=torch.zeros(2))
    with pytest.raises(Fault, match="not causal"):
        packed_attention(nn.Identity(), q, k, v, None, cu_seq_lens_q=edges([4]), is_causal=False)
    with pytest.raises(ValueError, match="one flat row"):
        packed_attention(nn.Identity(), q, k, v, torch.zeros(1), cu_seq_lens_q=edges([4]))
    with pytest.raises(ValueError, match="one flat row"):
        packed_attention(nn.Identity(), q.repeat(2, 1, 1, 1), k, v, None, cu_seq_lens_q=edges([4]))


def test_inputs_are_one_flat_row_without_mask_and_cache() -> None:
    ids, positions = torch.arange(25), torch.cat([torch.arange(n) for n in LENGTHS])
    given = packed_inputs(ids, positions, edges(LENGTHS))
    assert given["input_ids"].shape == given["position_ids"].shape == (1, 25)
    assert given["attention_mask"] is None
    assert given["use_cache"] is False
    assert type(given["max_length_q"]) is int
    assert given["max_length_q"] == given["max_length_k"] == 12


def test_the_switch_reaches_the_model_and_not_its_saved_config(tiny_llama: Callable[..., Any]) -> None:
    model = tiny_llama()
    use_packed_attention(model)
    assert model.config._attn_implementation == NAME
    assert NAME not in model.config.to_json_string(use_diff=False)


SMALL = {"vocab_size": 97, "hidden_size": 32, "num_hidden_layers": 2}
REFUSED = [
    ("MambaConfig", SMALL, "state"),
    ("BloomConfig", {"vocab_size": 97, "hidden_size": 32, "n_layer": 2, "n_head": 4}, "ALiBi"),
    ("FalconConfig", {**SMALL, "num_attention_heads": 4, "alibi": True}, "ALiBi"),
    (
        "Qwen3NextConfig",
        {
            **SMALL,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "head_dim": 8,
            "num_experts": 4,
            "layer_types": ["linear_attention", "full_attention"],
        },
        "state",
    ),
    ("GPTJConfig", {"vocab_size": 97, "n_embd": 32, "n_layer": 2, "n_head": 4, "rotary_dim": 4}, "AttentionInterface"),
]


@pytest.mark.parametrize(("config", "fields", "reason"), REFUSED, ids=[row[0] for row in REFUSED])
def test_models_that_leak_whatever_one_does_are_refused_with_the_reason(
    config: str, fields: dict[str, Any], reason: str
) -> None:
    import transformers

    with torch.random.fork_rng(devices=[]):
        model = transformers.AutoModelForCausalLM.from_config(getattr(transformers, config)(**fields))
    with pytest.raises(Fault, match=reason) as caught:
        refuse_leaky(model)
    assert type(model).__name__ in caught.value.what
