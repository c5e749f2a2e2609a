"""What looks unwise about a recipe, each with its reason and a change that can be pasted. Advice, never a refusal.

A check sees the recipe and what was estimated of it; it yields remarks where it has any. Adding one is adding a
function to CHECKS.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from curate.settings import BySource, ByTime
from curate.shards.fault import Fault
from pipelines.forecast import Forecast
from pipelines.recipe import Recipe
from pipelines.sampling import Look
from pretrain.settings import Base

EPOCHS = 4  # beyond, repeated tokens are worth ever less: Muennighoff et al. 2023
STEPS = 1000  # fewer leave no room for warmup and decay
TEST_DOCUMENTS = 100  # fewer, and the interval of the change is wide
CLUSTERS = 5  # fewer, and there is no interval at all
LR_FACTOR = 2  # times the usual peak; random weights stand more
LR_FACTOR_FROM_SCRATCH = 4
UNREAD = 0.2  # share of records without text that is more than an accident


@dataclass(frozen=True, slots=True)
class Remark:
    what: str
    why: str
    change: str


@dataclass(frozen=True, slots=True)
class Planned:
    """All that is known before any work."""

    recipe: Recipe
    looks: list[Look]
    test_documents: int
    """Of the domain, before rules and duplicates take theirs."""
    tokenizer_vocabulary: int | None
    tokenizer_fault: Fault | None
    forecast: Forecast | None
    model_fault: Fault | None
    disk_bytes: int
    free_bytes: int

    def of_role(self, role: str) -> list[Look]:
        return [look for look in self.looks if look.source.role == role]


def remarks(plan: Planned) -> list[Remark]:
    return [remark for check in CHECKS for remark in check(plan)]


def _loading(plan: Planned) -> Iterator[Remark]:
    for fault in (plan.tokenizer_fault, plan.model_fault):
        if fault is not None:
            yield Remark(f"{fault.what} ({fault.where})", "the run would end with this, after curation", fault.hint)


def _unread(plan: Planned) -> Iterator[Remark]:
    for place, look in enumerate(plan.looks):
        seen = look.unread + look.read_documents
        if seen and look.unread / seen > UNREAD:
            yield Remark(
                f"{look.unread / seen:.0%} of the records looked at in {look.source.name} have no text",
                f"they would be quarantined, most of them for {look.unread_reason}",
                f"--set sources.{place}.text=FIELD" if look.unread_reason == "missing_text" else "look at the files",
            )


def _held_out(plan: Planned) -> Iterator[Remark]:
    n = plan.test_documents
    if n < CLUSTERS:
        why = f"below {CLUSTERS} clusters no interval can be given, and an empty test set ends the run"
    elif n < TEST_DOCUMENTS:
        why = "so few give a wide interval: small gains will not be told from chance"
    else:
        return
    yield Remark(f"about {n:,} test documents of the domain are expected", why, _wider(plan))


def _wider(plan: Planned) -> str:
    """The change that holds out more."""
    split, documents = plan.recipe.curate.split, sum(look.documents for look in plan.of_role("domain"))
    if isinstance(split.by, BySource):
        return "more sources in curate.split.by.test_sources"
    if isinstance(split.by, ByTime) and split.by.test_from is not None:
        return "an earlier curate.split.by.test_from"
    if split.test >= 1:
        if split.sizes == "tokens" or documents < TEST_DOCUMENTS / 0.2:
            return "a larger curate.split.test" if split.sizes == "tokens" else "more domain documents"
        return f"--set curate.split.test={TEST_DOCUMENTS}"
    wider = min(0.2, round(1.2 * TEST_DOCUMENTS / documents, 3)) if documents else 0.2
    return f"--set curate.split.test={wider}" if wider > split.test else "more domain documents"


def _controls(plan: Planned) -> Iterator[Remark]:
    if plan.recipe.train is None or isinstance(plan.recipe.train.base, Base):
        return  # random weights have nothing to forget, and gain on any text
    if not plan.of_role("general"):
        yield Remark(
            "no source has role: general",
            "what the model forgets is not measured, and nothing can be replayed",
            "sources: [..., {name: general, path: general/*.jsonl, role: general}]",
        )
    elif plan.recipe.train.replay == 0:
        yield Remark(
            "general text is there and none of it is replayed",
            "5 % of replay took 71 to 78 % of the forgetting away (Ibrahim et al. 2024)",
            "--set train.replay=0.05",
        )
    if not plan.of_role("control"):
        yield Remark(
            "no source has role: control",
            "a gain on the domain may be a gain on any text, and nothing here would show it",
            "sources: [..., {name: other, path: other/*.jsonl, role: control}]",
        )


def _repetition(plan: Planned) -> Iterator[Remark]:
    if plan.forecast is None:
        return
    passes, settings = plan.forecast.domain_passes, plan.recipe.train
    most = settings.repeat_at_most if settings is not None else None
    if most is not None and passes > most:
        yield Remark(
            f"the domain is gone through {passes:.1f} times, and train.repeat_at_most is {most:g}",
            "training refuses to begin where a corpus would be repeated more often",
            f"--set train.repeat_at_most={math.ceil(passes)}",
        )
    if passes > EPOCHS:
        changed = "train.epochs" if settings is None or settings.tokens is None else "train.tokens"
        value = EPOCHS if changed == "train.epochs" else round(plan.forecast.tokens * EPOCHS / passes)
        yield Remark(
            f"the domain is gone through {passes:.1f} times",
            f"beyond {EPOCHS} a repeated token is worth ever less (Muennighoff et al. 2023): at 8 passes 83 % of a "
            "fresh one, at 16 66 %",
            f"--set {changed}={value}",
        )
    if plan.forecast.replay_passes > EPOCHS:
        yield Remark(
            f"the general text is replayed {plan.forecast.replay_passes:.1f} times",
            "the model learns it by heart, and it no longer stands for all other text",
            "more general text, or a smaller train.replay",
        )


def _steps(plan: Planned) -> Iterator[Remark]:
    if (found := plan.forecast) is None or found.steps >= STEPS:
        return
    rows = max(1, found.rows // STEPS)
    if rows < found.rows_per_step:
        yield Remark(
            f"only {found.steps:,} optimizer steps",
            f"below about {STEPS:,} the rate has hardly time to rise and fall; smaller batches give more steps of the "
            "same text",
            f"--set train.batch_tokens={rows * found.sequence_length}",
        )


def _rate(plan: Planned) -> Iterator[Remark]:
    if (found := plan.forecast) is None or plan.recipe.train is None:
        return
    is_scratch = isinstance(plan.recipe.train.base, Base)
    if found.peak_lr > (LR_FACTOR_FROM_SCRATCH if is_scratch else LR_FACTOR) * found.usual_lr:
        yield Remark(
            f"the peak learning rate {found.peak_lr:g} is {found.peak_lr / found.usual_lr:.1f} times the usual "
            f"{found.usual_lr:g} for {found.shape.parameters / 1e6:,.1f}M parameters",
            "forgetting grows with it, and the loss may diverge (Ibrahim et al. 2024)",
            f"--set train.optimizer.lr={found.usual_lr:g}",
        )


def _fit(plan: Planned) -> Iterator[Remark]:
    """Model, tokenizer and rows to each other."""
    if (found := plan.forecast) is None:
        return
    shape, known = found.shape, plan.tokenizer_vocabulary
    if shape.positions is not None and found.sequence_length > shape.positions:
        yield Remark(
            f"rows of {found.sequence_length} tokens, and the base knows {shape.positions} positions",
            "the training will refuse it",
            f"--set train.sequence_length={shape.positions}",
        )
    if known is not None and known > shape.vocabulary:
        yield Remark(
            f"the tokenizer gives {known:,} ids, the base knows {shape.vocabulary:,}",
            "the training will refuse it",
            "--set shards.tokenizer=null   (the base's own)",
        )
    if shape.embeddings > shape.parameters / 2:
        yield Remark(
            f"{shape.embeddings / shape.parameters:.0%} of the parameters embed {shape.vocabulary:,} tokens",
            "little is left of the model for its layers",
            f"--set shards.tokenizer={{vocabulary: {max(1024, shape.vocabulary // 4)}}}",
        )


def _room(plan: Planned) -> Iterator[Remark]:
    if plan.disk_bytes > plan.free_bytes:
        yield Remark(
            f"{plan.disk_bytes / 1e9:.1f} GB of disk are needed, {plan.free_bytes / 1e9:.1f} GB are free",
            "the run would end when the disk is full",
            "--runs /larger/disk   or   --set curate.removed=none",
        )
    found = plan.forecast
    if found is not None and found.memory_bytes > found.machine_bytes:
        half = max(found.sequence_length, (plan.recipe.train.micro_batch_tokens if plan.recipe.train else 0) // 2)
        state_fits = found.state_bytes < found.machine_bytes
        yield Remark(
            f"{found.memory_bytes / 1e9:.1f} GB of memory are needed, here are {found.machine_bytes / 1e9:.1f}",
            "activations grow with the micro-batch" if state_fits else "weights and optimizer alone do not fit",
            f"--set train.micro_batch_tokens={half}" if state_fits else "a smaller base",
        )


CHECKS: tuple[Callable[[Planned], Iterator[Remark]], ...] = (
    _loading, _unread, _held_out, _controls, _repetition, _steps, _rate, _fit, _room,
)  # fmt: skip
