"""Where a model comes from and how it leaves: any Hugging Face causal LM, or a Llama from random weights.

In:  a folder or hub name with safetensors weights, loaded as fp32 whatever they are stored as (bf16 AdamW at a small
     learning rate rounds most updates away); or the fields of a LlamaConfig and a seed.
Out: a folder that AutoModelForCausalLM.from_pretrained, generate and every serving engine open with no code of ours.

Code from the hub is never run and pickled weights are never opened.
"""

from __future__ import annotations

import difflib
import math
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from curate.shards.fault import Fault
from pretrain.extended_embeddings import extend_embeddings

# what a tokenizer may consist of, by the names transformers and sentencepiece give its files
TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "merges.txt",
    "vocab.txt",
    "tokenizer.model",
    "spiece.model",
    "chat_template.jinja",
)


def load_base(
    where: str,
    *,
    vocabulary: int | None = None,
    sequence_length: int | None = None,
    pieces: Mapping[int, Sequence[int]] | None = None,
) -> Any:
    """A causal LM with fp32 weights. `vocabulary`: ids the tokenizer gives; `sequence_length`: tokens of a row;
    `pieces`: where the tokenizer extends the base's, the base's ids that each new id stands for."""
    check_folder(where)
    _bound_primitive_cache()
    model = _from_pretrained(where)
    if pieces:
        extend_embeddings(model, pieces, where)
    if vocabulary is not None:
        _check_vocabulary(model, vocabulary, where)
    if sequence_length is not None:
        check_length(model, sequence_length)
    return model


def from_scratch(
    config: dict[str, Any], vocabulary: int, bos: int | None, eos: int | None, pad: int | None, seed: int
) -> Any:
    """A Llama from random weights, the same for the same seed whatever ran before."""
    from transformers import LlamaForCausalLM

    _bound_primitive_cache()
    llama = _llama_config(config, vocabulary, bos, eos, pad)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = LlamaForCausalLM(llama).to(torch.float32)
        _scale_output_projections(model)
    return model


def save_model(model: Any, tokenizer_folder: Path | None, out: Path, card: str) -> None:
    """Write a Hugging Face checkpoint: weights, configs, tokenizer files, `card` as README.md. Whole or not at all."""
    beside = out.with_name(f".{out.name}.unfinished")
    shutil.rmtree(beside, ignore_errors=True)
    model.save_pretrained(beside)
    for name in TOKENIZER_FILES if tokenizer_folder else ():
        if (tokenizer_folder / name).is_file():  # type: ignore[operator]
            shutil.copyfile(tokenizer_folder / name, beside / name)  # type: ignore[operator]
    (beside / "README.md").write_text(card, encoding="utf-8")
    for weights in beside.glob("*.safetensors"):
        weights.chmod(0o644)  # the writer's own file is for its owner alone
    if out.exists():
        shutil.rmtree(out)
    beside.rename(out)


def parameters(model: nn.Module) -> int:
    """Numbers the model learns; tied weights count once."""
    return sum(parameter.numel() for parameter in model.parameters())


def compute_dtype(precision: str, device: torch.device) -> torch.dtype:
    """bf16 where the hardware is fast at it: GPUs since Ampere, CPUs with AVX512-BF16 or AMX."""
    if precision == "fp32":
        return torch.float32
    if device.type == "cuda":
        fast = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        fast = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    return torch.bfloat16 if fast or precision == "bf16" else torch.float32


def best_device() -> torch.device:
    """The GPU if there is one."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def _bound_primitive_cache() -> None:
    """Keep oneDNN from holding a compiled kernel, with its buffers, for each of the last 1,024 shapes.

    Packed batches have a new number of labelled places each: memory grew by 12 MB a step, 3 GB in 150, at no gain in
    speed. oneDNN reads the variable at its first use in the process.
    """
    os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "32")


def check_folder(where: str) -> None:
    """Fault where a local folder is no Hugging Face model, or holds only pickled weights. Hub names pass."""
    folder = Path(where)
    if not folder.is_dir():
        return
    if not (folder / "config.json").is_file():
        raise Fault(
            f"{where} holds no config.json: it is not a Hugging Face model folder",
            where="train.base",
            hint="give the folder that save_pretrained wrote, such as runs/<name>/training/model, or a hub name",
        )
    if not any(folder.glob("*.safetensors")):
        found = sorted(path.name for path in folder.iterdir() if path.suffix in (".bin", ".pt", ".pth", ".ckpt"))
        raise Fault(
            f"{where} holds no safetensors weights" + (f", only pickled ones: {', '.join(found)}" if found else ""),
            where="train.base",
            hint="pickles can run code; convert them once where you trust them: "
            f"AutoModelForCausalLM.from_pretrained({where!r}).save_pretrained({where + '-safe'!r})",
        )


def _from_pretrained(where: str) -> Any:
    from transformers import AutoModelForCausalLM

    try:
        model, report = AutoModelForCausalLM.from_pretrained(
            where,
            dtype=torch.float32,
            trust_remote_code=False,
            use_safetensors=True,
            output_loading_info=True,
            ignore_mismatched_sizes=True,  # named below: the error of its own does not say which
        )
    except MemoryError:
        raise
    except Exception as error:  # transformers, safetensors and huggingface_hub each raise kinds of their own
        news = " ".join(line.strip() for line in str(error).strip().splitlines()[:2])
        raise Fault(
            f"cannot load {where!r} as a causal language model: {news}",
            where="train.base",
            hint="give a folder with config.json and safetensors, or the name of a public hub model; code from the hub "
            "is never run",
        ) from error
    if report["missing_keys"] or report["mismatched_keys"]:
        mismatched = (key[0] if isinstance(key, tuple) else key for key in report["mismatched_keys"])
        names = sorted({*map(str, report["missing_keys"]), *map(str, mismatched)})
        raise Fault(
            f"{where} lacks {len(names)} weights of {type(model).__name__}: {', '.join(names[:3])} ...",
            where="train.base",
            hint="the folder holds another kind of model, or an incomplete one",
        )
    return model


def _check_vocabulary(model: Any, vocabulary: int, where: str) -> None:
    rows = model.get_input_embeddings().weight.shape[0]
    if vocabulary > rows:
        raise Fault(
            f"the tokenizer gives {vocabulary} ids, the model {where} knows {rows}",
            where="shards.tokenizer",
            hint="leave shards.tokenizer out: the base model's own is used",
        )


def check_length(model: Any, sequence_length: int) -> None:
    """Fault where rows are longer than the model has positions."""
    known = getattr(model.config.get_text_config(), "max_position_embeddings", None)
    if known is not None and sequence_length > known:
        raise Fault(
            f"rows of {sequence_length} tokens, but the model knows {known} positions",
            where="train.sequence_length",
            hint=f"--set train.sequence_length={known}",
        )


def _llama_config(fields: dict[str, Any], vocabulary: int, bos: int | None, eos: int | None, pad: int | None) -> Any:
    from transformers import LlamaConfig

    _check_fields(fields, set(LlamaConfig().to_dict()))
    hidden = fields["hidden_size"]
    defaults = {
        "num_attention_heads": max(1, hidden // 64),
        "intermediate_size": max(64, round(hidden * 8 / 3 / 64) * 64),  # 8/3: as many weights as 4 x without a gate
        "tie_word_embeddings": True,  # at this size an untied head would be most of the model
    }
    tokens = {"vocab_size": vocabulary, "bos_token_id": bos, "eos_token_id": eos, "pad_token_id": pad}
    try:
        return LlamaConfig(**{**defaults, **fields, **tokens})
    except Exception as error:  # transformers raises several kinds of its own for fields that don't fit each other
        raise Fault(f"no Llama has these fields: {error}", where="train.base.scratch") from error


def _check_fields(fields: dict[str, Any], known: set[str]) -> None:
    taken = {"vocab_size", "bos_token_id", "eos_token_id", "pad_token_id"}
    for name in fields:
        where = f"train.base.scratch.{name}"
        if name in taken:
            raise Fault(f"{name} comes from the tokenizer, not from the recipe", where=where, hint=f"remove {name}")
        if name not in known:
            raise Fault(f"{name} is no field of LlamaConfig", where=where, hint=_nearest(name, known))
    for name in ("hidden_size", "num_hidden_layers"):
        if not isinstance(fields.get(name), int) or fields[name] < 1:
            raise Fault(f"a model from scratch needs {name}", where="train.base.scratch", hint=f"{name}: 256")


def _nearest(name: str, known: set[str]) -> str:
    near = difflib.get_close_matches(name, sorted(known), n=1, cutoff=0.5)
    return f"did you mean {near[0]}?" if near else "see transformers' documentation of LlamaConfig"


def _scale_output_projections(model: Any) -> None:
    """Divide what writes into the residual stream by sqrt(2 x layers), so that its variance doesn't grow with depth
    (Radford et al. 2019, GPT-2)."""
    shrink = 1 / math.sqrt(2 * model.config.num_hidden_layers)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if name.endswith(("o_proj.weight", "down_proj.weight")):
                weight.mul_(shrink)
