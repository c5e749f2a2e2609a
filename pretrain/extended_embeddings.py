"""Embeddings for tokens that were appended to a base's vocabulary: each begins as the mean of the tokens it stands for.

    " hypertension" = " hyp" + "ertension"  ─▶  row = (row of " hyp" + row of "ertension") / 2, going in and coming out

Random rows, or the mean of all, would have to be learnt from nothing; the mean of the pieces starts near what the base
made of the same text (Koto et al. 2021; eBay's e-Llama). Rows of tokens that were there are untouched, so their logits
are too. Among more tokens each has a slightly smaller share, and training soon gives the new ones theirs.

Bases often have more rows than their tokenizer has ids (to a multiple of 64 or 128), which nothing was learnt for:
those that new ids fall on are given their mean like the rest.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from curate.shards.fault import Fault


def extend_embeddings(model: Any, pieces: Mapping[int, Sequence[int]], where: str) -> None:
    """Give `model` a row for every key of `pieces`, in the embeddings and, tied to them or not, in the head."""
    rows = model.get_input_embeddings().weight.shape[0]
    largest = max(old for olds in pieces.values() for old in olds)
    if largest >= min(rows, min(pieces)):
        raise Fault(
            f"the tokenizer extends one with token {largest:,}, the model {where} knows {min(rows, min(pieces)):,}",
            where="shards.tokenizer.extend",
            hint="--set shards.tokenizer.extend=null   (the base's own)",
        )
    if max(pieces) >= rows:
        model.resize_token_embeddings(max(pieces) + 1, mean_resizing=False)
    with torch.no_grad():
        for weight in _by_token(model):
            _put_means(weight, pieces)


def _by_token(model: Any) -> list[torch.Tensor]:
    """What has an entry per token: embeddings, head and its bias; tied ones once."""
    head = model.get_output_embeddings()
    found = [model.get_input_embeddings().weight, getattr(head, "weight", None), getattr(head, "bias", None)]
    return list({id(one): one for one in found if one is not None}.values())


def _put_means(weight: torch.Tensor, pieces: Mapping[int, Sequence[int]]) -> None:  # (V, E), or (V,) of a bias
    for new, old in pieces.items():
        weight[new] = weight[list(old)].mean(dim=0)
