"""Laws of coming and going: fp32 in, safe formats only, and what leaves opens without us."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny import TinyStream

from curate.shards.fault import Fault
from pretrain.attention import use_packed_attention
from pretrain.models import compute_dtype, from_scratch, load_base, parameters, save_model
from pretrain.settings import Train
from pretrain.train import train

SCRATCH = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4}


def saved(model: Any, folder: Path) -> Path:
    tokenizer = folder / "tokenizer"
    tokenizer.mkdir()
    (tokenizer / "tokenizer.json").write_text("{}")
    (tokenizer / "notes.txt").write_text("not the tokenizer's")
    save_model(model, tokenizer, folder / "model", "# card")
    return folder / "model"


def test_the_same_seed_gives_the_same_weights_whatever_ran_before() -> None:
    one = from_scratch(SCRATCH, 97, 0, 1, 2, seed=3)
    torch.rand(7)
    state = torch.get_rng_state()
    other, third = from_scratch(SCRATCH, 97, 0, 1, 2, seed=3), from_scratch(SCRATCH, 97, 0, 1, 2, seed=4)
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))
    assert not torch.equal(one.lm_head.weight, third.lm_head.weight)


def test_scratch_takes_llamas_fields_and_the_tokenizers_ids() -> None:
    model = from_scratch({"hidden_size": 192, "num_hidden_layers": 3, "rms_norm_eps": 1e-5}, 300, 5, 6, 7, seed=0)
    config = model.config
    assert (config.vocab_size, config.bos_token_id, config.eos_token_id, config.pad_token_id) == (300, 5, 6, 7)
    assert (config.num_attention_heads, config.intermediate_size, config.rms_norm_eps) == (3, 512, 1e-5)
    assert config.tie_word_embeddings
    assert parameters(model) == sum(p.numel() for p in {id(p): p for p in model.parameters()}.values())


def test_output_projections_shrink_with_depth() -> None:
    model = from_scratch({**SCRATCH, "num_hidden_layers": 8}, 97, 0, 1, 2, seed=0)
    into, out_of = (model.model.layers[0].self_attn.q_proj.weight, model.model.layers[0].self_attn.o_proj.weight)
    assert float((out_of.std() / into.std()).detach()) == pytest.approx(0.25, rel=0.1)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({**SCRATCH, "hiden_act": "silu"}, "hiden_act is no field"),
        ({**SCRATCH, "vocab_size": 5}, "comes from the tokenizer"),
        ({"num_hidden_layers": 2}, "needs hidden_size"),
        ({"hidden_size": 64, "num_hidden_layers": 0}, "needs num_hidden_layers"),
        ({**SCRATCH, "num_attention_heads": 5}, "no Llama has these fields"),
    ],
)
def test_wrong_fields_are_faults(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(Fault, match=message) as caught:
        from_scratch(fields, 97, 0, 1, 2, seed=0)
    if "no field" in message:
        assert caught.value.hint == "did you mean hidden_act?"


def test_a_saved_model_opens_and_generates_without_us(tiny_llama: Callable[..., Any], tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM

    model = tiny_llama()
    use_packed_attention(model)
    folder = saved(model, tmp_path)
    assert sorted(path.name for path in folder.iterdir()) == [
        "README.md",
        "config.json",
        "generation_config.json",
        "model.safetensors",
        "tokenizer.json",
    ]
    assert "postgrad_packed" not in (folder / "config.json").read_text()
    again = AutoModelForCausalLM.from_pretrained(folder)
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), again.parameters(), strict=True))
    ids = again.generate(torch.tensor([[3, 4, 5]]), max_new_tokens=4, do_sample=False)
    assert ids.shape[1] >= 4


def test_saving_again_replaces_the_folder_whole(tiny_llama: Callable[..., Any], tmp_path: Path) -> None:
    folder = saved(tiny_llama(), tmp_path)
    (folder / "stale.txt").write_text("x")
    save_model(tiny_llama(), None, folder, "# another")
    assert not (folder / "stale.txt").exists()
    assert (folder / "README.md").read_text() == "# another"


def test_half_precision_weights_load_as_fp32_masters(tiny_llama: Callable[..., Any], tmp_path: Path) -> None:
    tiny_llama().bfloat16().save_pretrained(tmp_path / "half")
    assert "bfloat16" in (tmp_path / "half" / "config.json").read_text()
    model = load_base(str(tmp_path / "half"))
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}


def test_pickled_weights_are_refused_with_a_hint(tiny_llama: Callable[..., Any], tmp_path: Path) -> None:
    model = tiny_llama()
    model.config.save_pretrained(tmp_path)
    torch.save(model.state_dict(), tmp_path / "pytorch_model.bin")
    with pytest.raises(Fault, match=r"pickled ones: pytorch_model\.bin") as caught:
        load_base(str(tmp_path))
    assert "save_pretrained" in caught.value.hint


def test_folders_that_hold_no_causal_model_are_faults(tiny_llama: Callable[..., Any], tmp_path: Path) -> None:
    with pytest.raises(Fault, match=r"no config\.json"):
        load_base(str(tmp_path))
    folder = saved(tiny_llama(tie_word_embeddings=False), tmp_path)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "num_hidden_layers": 3}))
    with pytest.raises(Fault, match="lacks 9 weights"):
        load_base(str(folder))
    (folder / "config.json").write_text(json.dumps({**config, "model_type": "ours", "auto_map": {"AutoConfig": "x.Y"}}))
    with pytest.raises(Fault, match="cannot load"):
        load_base(str(folder))


def test_damaged_and_unfitting_folders_are_faults_too(tiny_llama: Callable[..., Any], tmp_path: Path) -> None:
    folder = saved(tiny_llama(), tmp_path)
    config, weights = folder / "config.json", (folder / "model.safetensors").read_bytes()
    fields = json.loads(config.read_text())
    config.write_text(json.dumps({**fields, "vocab_size": 101}))
    with pytest.raises(Fault, match=r"lacks .* of LlamaForCausalLM: .*model\.embed_tokens\.weight"):
        load_base(str(folder))
    config.write_text(json.dumps({**fields, "num_attention_heads": 5}))
    with pytest.raises(Fault, match="not a multiple of the number of attention heads"):
        load_base(str(folder))
    config.write_text(json.dumps(fields))
    (folder / "model.safetensors").write_bytes(weights[: len(weights) // 2])  # a download that was cut off
    with pytest.raises(Fault, match="cannot load"):
        load_base(str(folder))


def test_a_tokenizer_or_row_too_large_for_the_model_is_a_fault(tiny_llama: Callable[..., Any], tmp_path: Path) -> None:
    folder = str(saved(tiny_llama(max_position_embeddings=64), tmp_path))
    load_base(folder, vocabulary=97, sequence_length=64)
    with pytest.raises(Fault, match="gives 98 ids"):
        load_base(folder, vocabulary=98)
    with pytest.raises(Fault, match="knows 64 positions"):
        load_base(folder, sequence_length=65)


def test_precision_says_what_the_arithmetic_is() -> None:
    cpu = torch.device("cpu")
    assert compute_dtype("fp32", cpu) == torch.float32
    assert compute_dtype("bf16", cpu) == torch.bfloat16
    assert compute_dtype("auto", cpu) in (torch.float32, torch.bfloat16)


@pytest.mark.real
def test_a_real_pretrained_model_continues_and_still_tells_stories(shared_data: Path, tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast

    folder = shared_data / "models" / "stories260K" / "hf"
    tokenizer = PreTrainedTokenizerFast(tokenizer_file=str(folder / "tokenizer.json"))
    train(
        Train.model_validate({"base": str(folder), "sequence_length": 32, "precision": "fp32"}),
        model=load_base(str(folder), vocabulary=len(tokenizer), sequence_length=512),
        stream=TinyStream(steps=3),  # type: ignore[arg-type]
        out=tmp_path,
        seed=1,
        card="# continued",
        tokenizer_folder=folder,
        progress=False,
    )
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "model")
    again = PreTrainedTokenizerFast(tokenizer_file=str(tmp_path / "model" / "tokenizer.json"))
    ids = torch.tensor([[1, *again("Once upon a time", add_special_tokens=False).input_ids]])
    story = again.decode(model.generate(ids, max_new_tokens=60, do_sample=False)[0], skip_special_tokens=True)
    assert story.startswith("Once upon a time, there was a")
