"""What a recipe will cost, and what looks unwise about it, before any work: `postgrad plan RECIPE`.

    recipe ─▶ look at the first MB of its files ─▶ documents, text, tokens ─▶ steps, time, memory, disk ─▶ remarks

Everything is an estimate, and says from what it was made. Documents are counted as they come in: how many of them
rules, duplicates and the check against held-out text will take is known only after curation.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

from curate.engine import cores
from curate.settings import BySource, TrainTokenizer
from curate.shards.fault import Fault
from curate.tokenizing import Tokenizer
from curate.units import plan_units
from pipelines.advice import Planned, Remark, remarks
from pipelines.curation import Inputs
from pipelines.forecast import EFFICIENCY, Amounts, Forecast, Shape, forecast, shape_of
from pipelines.recipe import Recipe
from pipelines.report.formats import size
from pipelines.sampling import LOOK_BYTES, Look, look
from pipelines.tokenizer import given_tokenizer
from pretrain.settings import Base

ASSUMED_BYTES_PER_TOKEN = 4.0  # of English under a vocabulary of tens of thousands
STORED_SHARE = 0.45  # of a text's bytes, after zstd
RECORD_BYTES = 500  # on disk in ledger and passes, beside text and signature
LABEL = 13


def plan(recipe: Recipe, runs: Path) -> str:
    """The plan as text. Raises Fault where a source has no files."""
    inputs = Inputs.find(recipe)
    tokenizer, tokenizer_fault = _tokenizer(recipe)
    looks = [look(source, files, tokenizer) for source, files in inputs.files]
    counted = Counted(recipe, looks, tokenizer)
    shape, model_fault = _shape(recipe, counted)
    found = None
    if recipe.train is not None and shape is not None:
        found = forecast(recipe.train, shape, counted.amounts())
    planned = Planned(
        recipe=recipe,
        looks=looks,
        test_documents=counted.documents("domain", "test"),
        tokenizer_vocabulary=tokenizer.vocabulary if tokenizer else None,
        tokenizer_fault=tokenizer_fault,
        forecast=found,
        model_fault=model_fault,
        disk_bytes=counted.disk_bytes + (found.disk_bytes if found else 0),
        free_bytes=_free_bytes(runs),
    )
    units = len(plan_units(inputs.files))
    sections = [_sources(looks, units, recipe), _corpora(counted), _training(recipe, found), _disk(counted, planned)]
    return "\n\n".join(
        "\n".join(section) for section in [*map(list, sections), list(_unwise(remarks(planned)))] if section
    )


class Counted:
    """Documents, tokens and bytes that follow from the looks."""

    def __init__(self, recipe: Recipe, looks: Sequence[Look], tokenizer: Tokenizer | None) -> None:
        self.recipe, self.looks, self.tokenizer = recipe, looks, tokenizer
        self.vocabulary = tokenizer.vocabulary if tokenizer else None
        if isinstance(recipe.shards.tokenizer, TrainTokenizer):
            self.vocabulary = recipe.shards.tokenizer.vocabulary

    def share(self, role: str, split: str) -> float:
        """Of a role's documents that go into a split; control text is test text throughout."""
        if role in ("control", "benchmark"):
            return float(role == "control" and split == "test")
        looks = [look for look in self.looks if look.source.role == role]
        corpora = [looks] if role == "domain" else [[look] for look in looks]  # sizes hold for each
        documents = sum(look.documents for look in looks)
        held = sum(self._share_of(corpus, split) * look.documents for corpus in corpora for look in corpus)
        return held / documents if documents else self._share_of(looks, split)

    def _share_of(self, corpus: Sequence[Look], split: str) -> float:
        """A number is a share of what is there; a split by date is taken to hold out what its shares say."""
        settings, documents = self.recipe.curate.split, sum(look.documents for look in corpus)
        there = sum(map(self._tokens_of, corpus)) if settings.sizes == "tokens" else documents
        sizes = {"validation": settings.validation, "test": settings.test}
        shares = {name: size if size < 1 else min(1.0, size / max(1, there)) for name, size in sizes.items()}
        if isinstance(settings.by, BySource):
            named = {"validation": settings.by.validation_sources, "test": settings.by.test_sources}
            whole = {
                name: sum(look.documents for look in corpus if look.source.name in sources) / max(1, documents)
                for name, sources in named.items()
            }
            if any(look.source.role == "domain" for look in corpus) or any(whole.values()):
                shares = whole
        return shares.get(split, max(0.0, 1 - shares["validation"] - shares["test"]))

    def documents(self, role: str, split: str) -> int:
        return round(self.share(role, split) * sum(look.documents for look in self.looks if look.source.role == role))

    def tokens(self, role: str) -> float:
        return sum(self._tokens_of(look) for look in self.looks if look.source.role == role)

    def _tokens_of(self, look: Look) -> float:
        return look.text / (look.bytes_per_token or ASSUMED_BYTES_PER_TOKEN)

    def amounts(self) -> Amounts:
        documents = max(1, sum(look.documents for look in self.looks if look.source.role == "domain"))
        # as if no document had a copy: how many have is known only after curation
        weight = (self.recipe.curate.duplicates.rehydrate or {}).get(1, 1)
        share = self.share("domain", "train") * weight
        return Amounts(self.tokens("domain") * share, self.tokens("general") * share, self.tokens("domain") / documents)

    @property
    def kept(self) -> list[Look]:
        return [look for look in self.looks if look.source.role != "benchmark"]

    @property
    def shard_bytes(self) -> int:
        per_token = 2 if (self.vocabulary or 1 << 17) <= 1 << 16 else 4
        tokens = sum(map(self.tokens, ("domain", "general", "control")))
        return round(tokens * per_token) + 60 * sum(look.documents for look in self.kept)

    @property
    def pass_bytes(self) -> int:
        """What the passes of curation leave in work/: text, signatures, measures."""
        duplicates = self.recipe.curate.duplicates
        per_record = 4 * duplicates.bands * duplicates.rows + RECORD_BYTES
        return sum(round(look.text * STORED_SHARE) + look.documents * per_record for look in self.kept)

    @property
    def corpus_bytes(self) -> int:
        """curated/: the texts that stay and those that leave, and the ledger."""
        return sum(round(look.text * STORED_SHARE) + look.documents * RECORD_BYTES for look in self.kept)

    @property
    def disk_bytes(self) -> int:
        return self.shard_bytes + self.pass_bytes + self.corpus_bytes


# -- what is asked of the disk


def _tokenizer(recipe: Recipe) -> tuple[Tokenizer | None, Fault | None]:
    """The tokenizer that is given, if one is and it loads."""
    if isinstance(recipe.shards.tokenizer, TrainTokenizer):
        return None, None
    try:
        return Tokenizer.load(given_tokenizer(recipe)), None
    except Fault as fault:
        return None, fault


def _shape(recipe: Recipe, counted: Counted) -> tuple[Shape | None, Fault | None]:
    if recipe.train is None or (isinstance(recipe.train.base, Base) and counted.vocabulary is None):
        return None, None
    try:
        return shape_of(recipe.train, counted.vocabulary or 0), None
    except Fault as fault:
        return None, fault


def _free_bytes(folder: Path) -> int:
    there = next(parent for parent in (folder.resolve(), *folder.resolve().parents) if parent.exists())
    return shutil.disk_usage(there).free


# -- as text


def _line(label: str, text: str) -> str:
    return f"{label:<{LABEL}}{text}"


def _sources(looks: Sequence[Look], units: int, recipe: Recipe) -> Iterator[str]:
    yield "sources"
    rows = [("", "role", "files", "on disk", "documents", "text", "looked at")]
    for one in looks:
        looked = "all" if one.is_whole else size(one.read_bytes)
        about = "" if one.is_whole else "~"
        counts = (f"{one.files:,}", size(one.n_bytes), f"{about}{one.documents:,}", f"{about}{size(one.text)}")
        rows.append((one.source.name, one.source.role, *counts, looked))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = [
            f"{cell:<{w}}" if i < 2 else f"{cell:>{w}}" for i, (cell, w) in enumerate(zip(row, widths, strict=True))
        ]
        yield "  " + "  ".join(cells).rstrip()
    if not all(one.is_whole for one in looks):
        yield f"  ~ estimated from the first {size(LOOK_BYTES)} on disk of a source, spread over its files"
    workers = cores(recipe.engine.workers)
    yield _line("  curation", f"{units:,} unit{'s' * (units != 1)} of work, {workers} worker{'s' * (workers != 1)}")


def _corpora(counted: Counted) -> Iterator[str]:
    yield "corpora, before rules, duplicates and leaks take theirs"
    for role in ("domain", "general", "control"):
        if any(one.source.role == role for one in counted.looks):
            splits = [f"{counted.documents(role, split):,} {split}" for split in ("train", "validation", "test")]
            yield _line(f"  {role}", f"~{counted.tokens(role):,.0f} tokens; documents: {', '.join(splits)}")
    asked = [one.bytes_per_token for one in counted.looks if one.bytes_per_token]
    if asked:
        yield _line("  tokens", f"counted with the tokenizer: {min(asked):.2f} to {max(asked):.2f} bytes each")
    else:
        why = "it is trained on the corpus" if counted.vocabulary else "no tokenizer could be asked"
        yield _line("  tokens", f"assumed to take {ASSUMED_BYTES_PER_TOKEN:g} bytes each: {why}")
    yield _line("  shards", f"~{size(counted.shard_bytes)}")
    if weights := counted.recipe.curate.duplicates.rehydrate:
        alone, most = weights.get(1, 1), max(weights.values())
        yield _line("  weights", f"{alone} an epoch, up to {most} for what had copies: these are not counted below")


def _training(recipe: Recipe, found: Forecast | None) -> Iterator[str]:
    if recipe.train is None:
        return
    yield "training"
    if found is None:
        yield "  cannot be told: see below"
        return
    shape, lr = found.shape, recipe.train.optimizer.lr
    yield _line("  model", f"{shape.parameters:,} parameters, {shape.layers} layers of width {shape.width:,}")
    yield _line("  steps", f"{found.steps:,} of {found.rows_per_step * found.sequence_length:,} tokens")
    yield _line("  rows", f"{found.rows:,} of {found.sequence_length:,} tokens, {found.tokens:,} in all")
    most = recipe.train.repeat_at_most
    passes = f"{found.domain_passes:.2f} over the domain, {found.replay_passes:.2f} over general text"
    yield _line("  passes", passes + (f"; at most {most:g}" if most is not None else ""))
    yield _line("  peak lr", f"{found.peak_lr:g}, " + ("as the recipe says" if lr else "the default for this size"))
    yield _line("  memory", f"{size(found.memory_bytes)} of {size(found.machine_bytes)} on {found.device}:")
    yield _line("", f"{size(found.state_bytes)} = 16 bytes a parameter (fp32 weight, gradient, AdamW's moments)")
    yield _line("", f"{size(found.activation_bytes)} activations = tokens x layers x (12 width + 4 inner) numbers")
    yield _line("", f"{size(found.logit_bytes)} logits, taken in pieces")
    yield _line("  time", f"about {_duration(found.seconds)}, {found.tokens / found.seconds:,.0f} tokens/s:")
    yield _line("", f"{found.flops:.3g} operations (6 x weights + attention), at {EFFICIENCY:.0%} of the")
    yield _line("", f"{found.matmul_flops / 1e12:.3g} tera a second just measured here in {found.dtype}")


def _disk(counted: Counted, planned: Planned) -> Iterator[str]:
    yield "disk"
    yield _line("  needed", f"~{size(planned.disk_bytes)}, {size(planned.free_bytes)} are free")
    parts = {
        "passes (work/)": counted.pass_bytes,
        "corpus (curated/)": counted.corpus_bytes,
        "shards": counted.shard_bytes,
    }
    if planned.forecast is not None:
        parts["checkpoints and model"] = planned.forecast.disk_bytes
    yield _line("", ", ".join(f"{size(amount)} {name}" for name, amount in parts.items()))


def _unwise(found: Sequence[Remark]) -> Iterator[str]:
    yield "looks unwise" if found else "nothing looks unwise"
    for remark in found:
        yield f"  - {remark.what}"
        yield f"    {remark.why}"
        if remark.change:
            yield f"    change: {remark.change}"


def _duration(seconds: float) -> str:
    """
    >>> _duration(40), _duration(5400), _duration(400_000)
    ('40 s', '1.5 hours', '4.6 days')
    """
    for least, unit in ((172_800, "days"), (3_600, "hours"), (120, "minutes")):
        if seconds >= least:
            return f"{seconds / {'days': 86_400, 'hours': 3_600, 'minutes': 60}[unit]:.1f} {unit}"
    return f"{seconds:.0f} s"
