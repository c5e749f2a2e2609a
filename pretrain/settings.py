"""What a recipe may say about training and evaluation. Each field: meaning, unit, where the default comes from."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator


class Settings(BaseModel):
    """Frozen, and strict about names: an unknown field is a fault, never ignored."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def count(value: object) -> object:
    """A count as people write it: 400k, 1M, 2B, 1_000.

    >>> count("400k"), count("1.5M"), count("2B"), count(12)
    (400000, 1500000, 2000000000, 12)
    """
    if isinstance(value, str):
        match = re.fullmatch(r"([\d_]+(?:\.\d+)?)\s*([kMB]?)", value.strip())
        if not match:
            raise ValueError(f"{value!r} is not a count: write 400k, 1M or 2B")
        return round(float(match[1].replace("_", "")) * {"": 1, "k": 10**3, "M": 10**6, "B": 10**9}[match[2]])
    return value


Count = Annotated[int, BeforeValidator(count)]


class Base(Settings):
    scratch: dict[str, Any]
    """A Llama from random weights: fields of transformers' LlamaConfig (hidden_size, num_hidden_layers, ...). The
    vocabulary and its special tokens come from the tokenizer."""


class Optimizer(Settings):
    lr: float | None = Field(None, gt=0)
    """Peak learning rate. None: 1e-3 from scratch, 3e-4 otherwise up to 100M parameters, 1e-4 up to 3B, 5e-5 beyond
    (0.3 x the usual pretraining peak: Ibrahim et al. 2024's sweep)."""
    betas: tuple[float, float] = (0.9, 0.95)
    eps: float = 1e-8
    weight_decay: float = Field(0.1, ge=0)
    """Decoupled; never on norms, biases and embeddings of one dimension."""
    clip: float = Field(1.0, gt=0)
    """Largest norm of the gradient, over all parameters."""


class Schedule(Settings):
    warmup: float = Field(0.01, ge=0, lt=1)
    """Share of the steps spent warming up; at least 10 steps, at most half of them; 0: none (Gupta et al. 2023: 0-2 %
    are indistinguishable at the end)."""
    final: float = Field(0.1, ge=0, le=1)
    """Where the cosine ends, as a share of the peak."""


class Train(Settings):
    base: str | Base
    """A folder or hub name of a Hugging Face causal LM, or {scratch: {...}}."""
    sequence_length: int = Field(2048, ge=16)
    """Tokens of a packed row."""
    epochs: float | None = Field(None, gt=0)
    """Passes over the domain corpus. 1 where neither epochs nor tokens is given."""
    tokens: Count | None = Field(None, gt=0)
    """Domain and replay tokens together, instead of epochs."""
    packer: str = "best_fit"
    """How documents are put into rows (pretrain/packers): best_fit, concatenate, one_per_row, length_buckets. All keep
    every token; best_fit cuts the fewest documents."""
    batch_tokens: Count = Field(65536, gt=0)
    """Tokens per optimizer step, padding included: rounded to whole rows."""
    micro_batch_tokens: Count = Field(8192, gt=0)
    """Tokens of one forward and backward pass: rounded to whole rows. Larger is faster until memory ends."""
    replay: float = Field(0.05, ge=0, lt=1)
    """Share of the trained tokens that come from general sources (5 %: Ibrahim et al. 2024, weak shift)."""
    repeat_at_most: float | None = Field(None, gt=0)
    """How often any corpus may be gone through: 4 is where repeated tokens begin to be worth clearly less (Muennighoff
    et al. 2023). Replay that would be more comes from the other general corpora, as far as they go. null: no limit."""
    optimizer: Optimizer = Optimizer()
    schedule: Schedule = Schedule()
    precision: Literal["auto", "bf16", "fp32"] = "auto"
    """Of the compute; master weights are fp32. auto: bf16 where the CPU (AVX512-BF16, AMX) or GPU is fast at it."""
    checkpoint_every: int = Field(500, ge=1)
    """Optimizer steps between checkpoints."""
    keep_checkpoints: int = Field(2, ge=1)
    """How many of the newest stay."""
    validate_every: int = Field(0, ge=0)
    """Optimizer steps between looks at the domain validation loss; 0: at every checkpoint."""

    @model_validator(mode="after")
    def _one_length(self) -> Train:
        if self.epochs is not None and self.tokens is not None:
            raise ValueError("give epochs or tokens, not both")
        return self


class Evaluate(Settings):
    forgetting_tolerance: float = Field(0.03, ge=0)
    """Relative rise of general bits per byte that the verdict still calls acceptable: 3 % is the lenient end of what
    continued pretraining usually pays."""
    bytes_at_most: Count = Field(1_000_000, gt=0)
    """UTF-8 bytes of each held-out set that are scored, whole documents in the order of their hashes. Larger narrows
    the intervals."""
    resamples: int = Field(10_000, ge=100)
    """Bootstrap resamples over clusters."""
