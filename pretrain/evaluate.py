"""What the training changed on held-out text: bits per byte before and after, set by set, with intervals and a
verdict.

In come two models, base and adapted, and sets of held-out documents of the shards; out comes the content of
`evaluation.json` and a table with one row per document. The protocol, which is also written into the output:

- Documents are scored apart, with no context from one another, in rolling windows of the training length that move on
  by half of it (`windows.py`), so every token is scored exactly once.
- A document begins with the prefix token (BOS, or EOS where the tokenizer has no BOS), which is context and never
  scored.
- The EOS that ends a document in the shards is not text: neither its nats nor its bytes count. Bits per byte are
  about text.
- Bytes are the UTF-8 bytes of the original text, so models with different tokenizers compare.
- Numbers of a set are ratios of sums over its documents (`result.py`); how sure a change is: `statistics.py`.

Base and adapted model run through the very same code (`scoring.py`), under the packed attention that training uses.
"""

from __future__ import annotations

import gc
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from curate.shards.corpus import ShardSplit
from curate.shards.fault import Fault
from pretrain.attention import use_packed_attention
from pretrain.held_out import HeldOut, check_sets
from pretrain.models import load_base
from pretrain.result import Rows, Scored, content, document_table
from pretrain.scoring import Compute, ReadsTokens, Scores, Tokens, score

if TYPE_CHECKING:
    import pyarrow as pa

    from pretrain.settings import Evaluate

Progress = Callable[[str, int, int], None]
"""Called with what runs (`before`, `after`), the tokens scored since the last call and those there are in all."""


@dataclass(frozen=True, slots=True)
class Evaluation:
    content: dict[str, Any]
    """Of evaluation.json."""
    documents: pa.Table = field(repr=False)
    """id, set, role, split, source, cluster, bytes, words, tokens, nats_before, nats_after, touched."""

    def write(self, folder: Path) -> Path:
        """evaluation.json and evaluation-documents.parquet in `folder`; each appears whole. Gives the former's path."""
        import pyarrow.parquet as pq

        table, page = folder / "evaluation-documents.parquet", folder / "evaluation.json"
        pq.write_table(self.documents, table.with_suffix(".tmp"), compression="zstd")
        os.replace(table.with_suffix(".tmp"), table)
        text = json.dumps(self.content, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
        page.with_suffix(".tmp").write_text(text, encoding="utf-8")
        os.replace(page.with_suffix(".tmp"), page)
        return page


def evaluate(
    before: Path | str,
    after: Path | str,
    sets: Sequence[HeldOut],
    settings: Evaluate,
    *,
    context_length: int,
    seed: int,
    tokens: Tokens,
    compute: Compute | None = None,
    progress: Progress | None = None,
) -> Evaluation:
    """Scores every set under both models, each loaded once. Raises Fault, before a model is loaded, for a set that
    cannot carry a result (`check_sets`)."""
    check_sets(sets)
    compute = compute or Compute()
    splits = [ShardSplit.open(held_out.shard) for held_out in sets]
    ids = [split.ids.take(one.documents).to_pylist() for one, split in zip(sets, splits, strict=True)]
    sources = [split.sources.take(one.documents).to_pylist() for one, split in zip(sets, splits, strict=True)]
    sides = [
        _score_sets(side, where, sets, splits, context_length, tokens, compute, progress)
        for side, where in (("before", before), ("after", after))
    ]
    scored = [Scored(columns[0], Rows.of(*columns)) for columns in zip(sets, ids, sources, *sides, strict=True)]
    numbers = content(scored, settings, context_length=context_length, seed=seed, compute=compute)
    return Evaluation(numbers, document_table(scored))


def _score_sets(
    side: str,
    where: Path | str,
    sets: Sequence[HeldOut],
    splits: Sequence[ShardSplit],
    context_length: int,
    tokens: Tokens,
    compute: Compute,
    progress: Progress | None,
) -> list[Scores]:
    """All sets under one model, which is loaded once and gone afterwards."""
    model = load_base(str(where)).to(compute.device).eval()
    use_packed_attention(model)
    texts = [_as_read(side, one, split) for one, split in zip(sets, splits, strict=True)]
    total = sum(int(np.asarray(tokenized.lengths)[rows].sum()) for tokenized, rows in texts)
    tell = (lambda n: progress(side, n, total)) if progress else None
    results = []
    for held_out, (tokenized, rows) in zip(sets, texts, strict=True):
        scores = score(
            model, tokenized, rows, context_length=context_length, tokens=tokens, compute=compute, progress=tell
        )
        if not np.isfinite(scores.nats).all():
            raise Fault(
                f"the model {side} training gives no finite loss on {held_out.name!r}",
                where=str(where),
                hint="the training diverged or the checkpoint is broken: lower train.optimizer.lr and train again",
            )
        results.append(scores)
    del model
    gc.collect()
    return results


def _as_read(side: str, held_out: HeldOut, split: ShardSplit) -> tuple[ReadsTokens, np.ndarray]:
    """(tokens, rows of them) of a set's documents: each model reads them as its own tokenizer gives them."""
    if side == "before" and held_out.base_tokens is not None:
        return held_out.base_tokens, np.arange(len(held_out.documents))
    return split, held_out.documents
