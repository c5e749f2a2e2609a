"""The training stage: sealed shards and a base model to `training/model`, with everything that happened beside it.

base (a folder, a hub name, or random weights) + shards/domain/train + replay ─▶ training/
    model/               a Hugging Face checkpoint with its card
    initial/             the random weights it began from, where it began from scratch
    metrics.jsonl  tensorboard/  checkpoints/  token_ledger.json
"""

from __future__ import annotations

import resource
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from curate.plugins import own_code, plugin
from curate.shards.corpus import shards_digest
from curate.shards.fault import Fault
from curate.shards.seal import code_version, is_fresh, refuse_other, seal, sealed_with, sha256, write_json
from curate.tokenizing import Tokenizer
from pipelines.cards import model_card
from pipelines.corpora import replay_folders, require_same_curation, scoring_tokens, some_documents, trained_on
from pipelines.folder import RunFolder
from pipelines.progress import say
from pipelines.recipe import Recipe
from pretrain.settings import Base, Train

FREE = {"checkpoint_every", "keep_checkpoints", "validate_every"}  # of train: no weight depends on them
CHANGED = "give the recipe another name, or add --fresh to train again"
VALIDATION_BYTES = 200_000  # of text: a look at the validation loss takes seconds, not minutes


def train(recipe: Recipe, run: RunFolder, *, fresh: bool = False, resume: bool = False) -> None:
    """Make `training/` unless it is there, made from just this.

    Raises Fault where it was made from something else, unless `fresh`; or where checkpoints of an unfinished run lie
    there, unless `resume`.
    """
    settings = recipe.train
    if settings is None:
        raise Fault("the recipe has no train section", where="train", hint="add  train: {base: path-or-hub-name}")
    require_same_curation(recipe, run)
    fingerprint = training_fingerprint(recipe, run)
    if is_fresh(run.training, fingerprint):
        say(f"trained      as before: {run.model}")
        return
    if fresh:
        shutil.rmtree(run.training, ignore_errors=True)
    refuse_other(run.training, fingerprint, CHANGED)
    with run.in_use():
        _begin(run, fingerprint)
        _train(recipe, run, settings, resume)
    seal(run.training, fingerprint)


def _begin(run: RunFolder, fingerprint: dict[str, Any]) -> None:
    """Note what an unsealed training/ is being made from, so that nothing else goes on from its checkpoints.

    Other code may: days of training are not thrown away for a mended line.
    """
    begun, made_from = run.work / "training", {**fingerprint, "code": None}
    if any(run.training.glob("checkpoints/step-*")):
        refuse_other(begun, made_from, CHANGED)
    begun.mkdir(parents=True, exist_ok=True)
    seal(begun, made_from)


def refuse_changed(recipe: Recipe, run: RunFolder) -> None:
    """Fault where the model in the run folder was trained with other settings or from another base."""
    there = sealed_with(run.training)
    if there is not None and recipe.train is not None:
        asked = {"seed": recipe.seed, "train": _settings(recipe.train), "base": base_content(recipe.train)}
        refuse_other(run.training, there | asked, CHANGED)


def training_fingerprint(recipe: Recipe, run: RunFolder) -> dict[str, Any]:
    assert recipe.train is not None
    return {
        "seed": recipe.seed,
        "shards": {folder.parent.name: shards_digest(folder) for folder in trained_on(recipe, run)},
        "train": _settings(recipe.train),
        "base": base_content(recipe.train),
        "own_code": own_code([recipe.train.packer]),
        "code": code_version("pretrain"),
    }


def _settings(settings: Train) -> dict[str, Any]:
    return settings.model_dump(mode="json", exclude=FREE)


def base_content(settings: Train) -> dict[str, str]:
    """What the base model is made of: its files, or its name on the hub. Random weights are named by the settings."""
    if isinstance(settings.base, Base):
        return {}
    folder = Path(settings.base)
    if not folder.is_dir():
        return {"hub": settings.base}
    return {path.name: sha256(path) for path in sorted([*folder.glob("*.safetensors"), *folder.glob("config.json")])}


def _train(recipe: Recipe, run: RunFolder, settings: Train, resume: bool) -> None:
    hush_libraries()
    from pretrain.models import best_device, parameters
    from pretrain.train import train as train_model

    tokenizer = Tokenizer.load(str(run.tokenizer))
    stream = open_stream(recipe, run, settings)
    model = _model(recipe, run, settings, tokenizer).to(best_device())
    warn_of_repetition(stream.repetitions())
    warn_of_less_replay(settings, stream)
    say(
        f"training     {parameters(model):,} parameters, {stream.rows:,} rows of {settings.sequence_length} tokens "
        f"in {stream.steps:,} steps"
    )
    result = train_model(
        settings,
        model=model,
        stream=stream,
        out=run.training,
        seed=recipe.seed,
        card=model_card(recipe, run),
        tokenizer_folder=run.tokenizer,
        validation=_validation(recipe, run, settings, tokenizer),
        resume=resume,
    )
    write_json(run.training / "token_ledger.json", stream.ledger() | {"repetitions": stream.repetitions()})
    say(
        f"trained      {result.tokens:,} tokens in {result.seconds:,.0f} s ({result.tokens_per_second:,.0f} tokens/s), "
        f"loss {result.loss:.4f}"
    )
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    run.log(stage="train", tokens=result.tokens, seconds=round(result.seconds, 3), steps=result.steps, peak_bytes=peak)


def open_stream(recipe: Recipe, run: RunFolder, settings: Train) -> Any:
    """Domain rows with replay of the general corpora, as the recipe mixes them."""
    from pretrain.stream import Corpus, Stream, replay_corpora

    mixed = replay_corpora(replay_folders(recipe, run), settings.replay) if settings.replay > 0 else []
    if settings.replay > 0 and not mixed:
        say(f"warning: no general text is left to train on: train.replay = {settings.replay:g} replays nothing")
    return Stream.open(
        [Corpus("domain", run.shards / "domain" / "train"), *mixed],
        sequence_length=settings.sequence_length,
        rows_per_step=max(1, round(settings.batch_tokens / settings.sequence_length)),
        seed=recipe.seed,
        epochs=settings.epochs,
        tokens=settings.tokens,
        repeat_at_most=settings.repeat_at_most,
        packer=plugin("pretrain.packers", settings.packer)(),
    )


def hush_libraries() -> None:
    """transformers draws a bar for every file it reads or writes; stderr has ours."""
    from transformers.utils import logging

    logging.disable_progress_bar()


def warn_of_repetition(repetitions: dict[str, float]) -> None:
    for name, times in repetitions.items():
        if times > 4:  # repeated tokens are worth ever less beyond four epochs: Muennighoff et al. 2023
            say(f"warning: {name} is gone through {times:.1f} times; beyond 4 the gain fades and memorisation grows")


def warn_of_less_replay(settings: Train, stream: Any) -> None:
    """Where the limit on repetitions leaves less replay than was asked for."""
    replayed = float(np.mean(stream.corpus_of > 0)) if stream.rows else 0.0
    if settings.repeat_at_most is not None and replayed < settings.replay - 1 / stream.rows:
        say(
            f"warning: {replayed:.2%} of the rows are replay, not {settings.replay:.2%}: all general text is gone "
            f"through {settings.repeat_at_most:g} times, the most that train.repeat_at_most allows"
        )


def _model(recipe: Recipe, run: RunFolder, settings: Train, tokenizer: Tokenizer) -> Any:
    from pretrain.models import check_length, from_scratch, load_base, save_model

    if isinstance(settings.base, str):
        model = load_base(settings.base, vocabulary=tokenizer.vocabulary, sequence_length=settings.sequence_length)
        if model.generation_config.eos_token_id is None:  # without one, generate never stops
            model.generation_config.eos_token_id = tokenizer.eos
        return model
    config = {"max_position_embeddings": settings.sequence_length} | settings.base.scratch
    model = from_scratch(config, tokenizer.vocabulary, tokenizer.bos, tokenizer.eos, tokenizer.eos, recipe.seed)
    check_length(model, settings.sequence_length)
    if any(run.training.glob("checkpoints/step-*")) and (run.training / "initial").exists():
        return model  # a run that goes on began from what lies there, whatever code made it
    # otherwise written anew: what another beginning left there would be taken for what came before
    save_model(model, run.tokenizer, run.training / "initial", "Random weights, before any training.\n")
    return model


def _validation(recipe: Recipe, run: RunFolder, settings: Train, tokenizer: Tokenizer) -> Callable[[Any], float] | None:
    """Nats per token on some of the domain's validation text; None where there is none."""
    from curate.shards.corpus import ShardSplit
    from pretrain.models import compute_dtype
    from pretrain.scoring import Compute, Tokens, score

    folder = run.shards / "domain" / "validation"
    if not folder.exists():
        return None
    split = ShardSplit.open(folder)
    documents = some_documents(split, VALIDATION_BYTES)
    if len(documents) == 0:
        return None
    tokens = Tokens(prefix=tokenizer.eos if tokenizer.bos is None else tokenizer.bos, eos=tokenizer.eos)

    def loss(model: Any) -> float:
        compute = Compute(
            batch_tokens=scoring_tokens(tokenizer.vocabulary),
            device=model.device.type,
            dtype=compute_dtype(settings.precision, model.device),
        )
        scores = score(model, split, documents, context_length=settings.sequence_length, tokens=tokens, compute=compute)
        return float(np.sum(scores.nats) / max(1, np.sum(scores.tokens)))

    return loss
