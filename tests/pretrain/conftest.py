"""A tiny model: what the trainer's laws are tried on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from tiny import VOCABULARY

from pretrain.models import from_scratch


@pytest.fixture
def tiny_llama() -> Callable[..., Any]:
    """Makes a Llama of two layers; more fields and the seed as arguments."""

    def make(seed: int = 0, **fields: Any) -> Any:
        config = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2}
        return from_scratch({**config, **fields}, VOCABULARY, bos=0, eos=1, pad=2, seed=seed)

    return make
