"""What a step of training saw, and when a document was seen: a loss spike leads to its documents in one command."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from curate.shards.fault import Fault
from pipelines.folder import RunFolder
from pipelines.recipe import Recipe, load
from pipelines.remote_shards import document_at, ids_of
from pipelines.report.formats import count, plural

STEPS_SHOWN = 12


def explain_step(run: RunFolder, step: int, row: int | None = None) -> str:
    """The documents of a step as `metrics.jsonl` counts them, from 1, with what was measured there."""
    from pretrain.provenance import of_step

    stream = _stream(run)
    if not 1 <= step <= stream.steps:
        raise Fault(f"there is no step {step}: the training has {stream.steps:,}", hint=f"--step 1 to {stream.steps}")
    rows = stream.rows_in(step - 1)
    if row is not None and not 0 <= row < rows:
        raise Fault(f"step {step} has no row {row}: it has {rows}", hint=f"--row 0 to {rows - 1}")
    pieces = [piece for piece in of_step(stream, step - 1) if row is None or piece.row == row]
    splits = {packed.name: packed.split for packed in stream.corpora}
    ids = {
        packed.name: ids_of(run, packed, [piece.document for piece in pieces if piece.corpus == packed.name])
        for packed in stream.corpora
    }
    lines = [
        f"step {count(step)} of {count(stream.steps)}: {plural(rows, 'row')} of {count(stream.sequence_length)} tokens"
    ]
    lines += [f"  {told}" for told in _measured(run, step)]
    tokens: dict[str, int] = defaultdict(int)
    for piece in pieces:
        tokens[piece.corpus] += piece.length
    lines += [f"  {name}: {plural(n, 'token')}" for name, n in tokens.items()]
    last = None
    for piece in pieces:
        label = f"row {piece.row}" if piece.row != last else ""
        last = piece.row
        split = splits[piece.corpus]
        whole = int(split.lengths[piece.document])
        stop = piece.start + piece.length
        part = (
            f"all {plural(whole, 'token')}" if piece.length == whole else f"tokens {piece.start} to {stop} of {whole}"
        )
        lines.append(f"{label:<9}{ids[piece.corpus][piece.document]}  {part}")
    return "\n".join(lines)


def trained_in(run: RunFolder, shard: str, row: int, id: str) -> list[str]:
    """When a document that stands in a shard (corpus/split/file) was trained on; nothing where there is no training."""
    corpus, split, file = shard.split("/")
    if split != "train" or not (run.training / "token_ledger.json").exists():
        return []
    from pretrain.provenance import of_document

    stream = _stream(run)
    named = [packed for packed in stream.corpora if packed.name == corpus]
    if not named:
        return [f"never: {corpus} is not trained on"]
    pieces = of_document(stream, corpus, document_at(named[0].split, id, file, row))
    told = [f"step {count(p.step + 1)}, row {p.row}: tokens {p.start} to {p.start + p.length}" for p in pieces]
    more = len(told) - STEPS_SHOWN
    return [*told[:STEPS_SHOWN], *([f"and {count(more)} times more"] if more > 0 else [])] or [
        "never: the budget ended"
    ]


def _stream(run: RunFolder) -> Any:
    from pipelines.training import open_stream

    recipe: Recipe = load(str(run.path / "recipe.yaml"))
    if recipe.train is None or not (run.shards / "domain").exists():
        raise Fault(f"nothing was trained in {run.path}", hint="postgrad train RECIPE")
    return open_stream(recipe, run, recipe.train)


def _measured(run: RunFolder, step: int) -> list[str]:
    """What the metrics say of the step."""
    from pretrain.metrics import read_metrics

    lines = [line for line in read_metrics(run.training / "metrics.jsonl") if line["step"] == step and "loss" in line]
    known = ("loss", "lr", "grad_norm")
    return [", ".join(f"{name} {line[name]:.5g}" for name in known if line.get(name) is not None) for line in lines]
