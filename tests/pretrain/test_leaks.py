"""The leak check lets every family of models through that we claim, and catches each way of leaking."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from curate.shards.fault import Fault
from pretrain.attention import NAME, use_packed_attention
from pretrain.leaks import check_no_leak

CPU = torch.device("cpu")
SMALL = {
    "vocab_size": 97,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "max_position_embeddings": 128,
    "bos_token_id": 0,
    "eos_token_id": 1,
    "pad_token_id": 2,
}
GROUPED = {**SMALL, "num_key_value_heads": 2}
FAMILIES = {
    "LlamaConfig": {**GROUPED, "attention_dropout": 0.1},
    "Qwen3Config": {**GROUPED, "head_dim": 8},
    "MistralConfig": {**GROUPED, "sliding_window": 8},
    "GPTNeoXConfig": {**SMALL, "hidden_dropout": 0.1, "attention_dropout": 0.1},
    "GPT2Config": {"vocab_size": 97, "n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 128},
    "Gemma2Config": {
        **GROUPED,
        "head_dim": 8,
        "sliding_window": 8,
        "attn_logit_softcapping": 2.0,
        "final_logit_softcapping": 3.0,
    },
    "SmolLM3Config": GROUPED,
    "MixtralConfig": {**GROUPED, "num_local_experts": 4},
}


def model_of(family: str, fields: dict[str, Any]) -> Any:
    import transformers

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = transformers.AutoModelForCausalLM.from_config(getattr(transformers, family)(**fields))
        with torch.no_grad():
            for parameter in model.parameters():
                if parameter.ndim > 1:
                    parameter.mul_(3)  # random models hardly look around; larger weights make them
    return model


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["fp32", "bf16"])
@pytest.mark.parametrize("family", FAMILIES)
def test_packed_families_do_not_leak(family: str, dtype: torch.dtype) -> None:
    model = model_of(family, FAMILIES[family])
    use_packed_attention(model)
    report = check_no_leak(model, 97, CPU, dtype)
    assert report.gradient == 0
    assert report.perturbed == 0 or family == "MixtralConfig"
    assert report.alone <= (1e-5 if dtype == torch.float32 else 6e-2)
    assert report.model == type(model).__name__


def test_the_check_leaves_the_model_as_it_was() -> None:
    model = model_of("GPT2Config", {**FAMILIES["GPT2Config"], "attn_pdrop": 0.3}).train()
    use_packed_attention(model)
    before = torch.get_rng_state()
    check_no_leak(model, 97, CPU, torch.float32)
    assert model.training
    assert model.config._attn_implementation == NAME
    assert model.transformer.h[0].attn.attn_dropout.p == 0.3
    assert all(parameter.grad is None for parameter in model.parameters())
    assert torch.equal(torch.get_rng_state(), before)


def test_a_model_that_attends_over_the_whole_row_is_caught(tiny_llama: Callable[..., Any]) -> None:
    """sdpa with an all-ones mask: what a Trainer's collator would give it."""
    model = tiny_llama()
    forward = model.forward

    def with_ones(**given: Any) -> Any:
        rows = given["input_ids"] if "input_ids" in given else given["inputs_embeds"]
        given["attention_mask"] = torch.ones(rows.shape[:2], dtype=torch.int64)
        return forward(**given)

    model.forward = with_ones
    with pytest.raises(Fault, match="LlamaForCausalLM leaks") as caught:
        check_no_leak(model, 97, CPU, torch.float32)
    for test in ("perturb", "gradient", "alone", "sum"):
        assert test in caught.value.what


def test_documents_that_do_not_start_at_position_zero_are_caught(tiny_llama: Callable[..., Any]) -> None:
    """Attention right, positions wrong: nothing leaks, and yet packed is not alone."""
    import transformers

    model = model_of("GPT2Config", FAMILIES["GPT2Config"])
    assert isinstance(model, transformers.GPT2LMHeadModel)
    use_packed_attention(model)
    forward = model.forward

    def running_on(**given: Any) -> Any:
        if "cu_seq_lens_q" in given:
            given["position_ids"] = torch.arange(given["position_ids"].shape[1])[None]
        return forward(**given)

    model.forward = running_on
    with pytest.raises(Fault, match="alone") as caught:
        check_no_leak(model, 97, CPU, torch.float32)
    assert "perturb" not in caught.value.what


def test_a_leak_in_training_mode_alone_is_caught(tiny_llama: Callable[..., Any]) -> None:
    model = tiny_llama()
    use_packed_attention(model)
    model.model.norm.register_forward_hook(
        lambda module, given, out: out + 0.01 * out.mean(1, keepdim=True) if module.training else out
    )
    with pytest.raises(Fault, match="gradient"):
        check_no_leak(model, 97, CPU, torch.float32)


def test_a_model_that_keeps_the_edges_to_itself_is_a_fault() -> None:
    model = model_of("StableLmConfig", GROUPED)
    use_packed_attention(model)
    with pytest.raises(Fault, match="not told where documents begin"):
        check_no_leak(model, 97, CPU, torch.float32)
