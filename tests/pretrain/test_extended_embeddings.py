"""Laws of appended tokens on the model's side: means of their pieces, in and out, and nothing else moved."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from transformers import AutoModelForCausalLM, GenerationConfig, GPTJConfig, GPTJForCausalLM

from curate.shards.fault import Fault
from pretrain.models import from_scratch, load_base, save_model

OLD = 97
PIECES = {97: [3, 5], 98: [3, 5, 7], 99: [11, 2]}
SHAPE = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4}


def saved(folder: Path, rows: int = OLD, *, is_tied: bool) -> str:
    model = from_scratch({**SHAPE, "tie_word_embeddings": is_tied}, rows, 0, 1, 2, seed=3)
    model.generation_config = GenerationConfig(eos_token_id=1, max_new_tokens=5)
    save_model(model, None, folder / "base", "# card")
    return str(folder / "base")


def matrices(model: Any) -> list[torch.Tensor]:
    return [model.get_input_embeddings().weight, model.get_output_embeddings().weight]


@pytest.mark.parametrize("is_tied", [True, False])
@pytest.mark.parametrize("rows", [OLD, OLD + 1, 128])  # as many as the tokenizer had ids, or padded
def test_new_rows_are_means_of_their_pieces_and_old_ones_are_untouched(
    is_tied: bool, rows: int, tmp_path: Path
) -> None:
    where = saved(tmp_path, rows, is_tied=is_tied)
    before, after = load_base(where), load_base(where, vocabulary=100, pieces=PIECES)
    for old, new in zip(matrices(before), matrices(after), strict=True):
        assert torch.equal(new[:OLD], old[:OLD])
        assert new.shape[0] == max(rows, 100)
        for token, pieces in PIECES.items():
            assert torch.equal(new[token], old[pieces].mean(dim=0))
    assert (after.get_output_embeddings().weight is after.get_input_embeddings().weight) == is_tied
    assert after.config.vocab_size == max(rows, 100)
    assert after.generation_config.eos_token_id == 1


@pytest.mark.parametrize("is_tied", [True, False])
def test_text_in_old_tokens_is_read_as_before(is_tied: bool, tmp_path: Path) -> None:
    """Logits of old tokens are the base's own, so is the loss among them; among all tokens it is more by just what the
    new ones take."""
    where = saved(tmp_path, is_tied=is_tied)
    ids = torch.randint(OLD, (2, 40), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        before = load_base(where)(ids).logits[:, :-1]  # (2, 39, OLD)
        after = load_base(where, vocabulary=100, pieces=PIECES)(ids).logits[:, :-1]  # (2, 39, 100)
    torch.testing.assert_close(after[..., :OLD], before)
    targets = ids[:, 1:].flatten()
    losses = [F.cross_entropy(logits.flatten(0, 1), targets) for logits in (before, after[..., :OLD], after)]
    taken = after.softmax(dim=-1)[..., OLD:].sum(dim=-1)
    torch.testing.assert_close(losses[1], losses[0])
    torch.testing.assert_close(losses[2], losses[0] - torch.log1p(-taken).mean())


def test_a_head_with_a_bias_gets_the_mean_of_it(tmp_path: Path) -> None:
    config = GPTJConfig(vocab_size=OLD, n_embd=32, n_layer=1, n_head=2, rotary_dim=8, n_positions=32)
    model = GPTJForCausalLM(config)
    torch.nn.init.normal_(model.lm_head.bias)
    model.save_pretrained(tmp_path / "base")
    bias = load_base(str(tmp_path / "base"), vocabulary=100, pieces=PIECES).lm_head.bias
    assert torch.equal(bias[:OLD], model.lm_head.bias)
    assert torch.equal(bias[98], model.lm_head.bias[[3, 5, 7]].mean())


def test_the_extended_model_is_saved_loads_and_generates(tmp_path: Path) -> None:
    where = saved(tmp_path, is_tied=False)
    save_model(load_base(where, vocabulary=100, pieces=PIECES), None, tmp_path / "model", "# card")
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "model")
    assert model.config.vocab_size == 100
    prompt = torch.tensor([[99, 98, 3]])
    assert model.generate(prompt, attention_mask=torch.ones_like(prompt), pad_token_id=2).shape[1] > 3


def test_pieces_that_the_base_does_not_know_are_refused(tmp_path: Path) -> None:
    where = saved(tmp_path, is_tied=True)
    with pytest.raises(Fault, match=r"extends one with token 97, the model .* knows 97"):
        load_base(where, vocabulary=200, pieces={150: [97, 3]})


def test_without_pieces_more_ids_than_embeddings_are_refused(tmp_path: Path) -> None:
    with pytest.raises(Fault, match=r"gives 100 ids, the model .* knows 97"):
        load_base(saved(tmp_path, is_tied=True), vocabulary=100)
