"""Which tokenizer a run uses, and its copy in the run folder: given, the base model's own, or trained on the corpus."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from curate.passes.parts import split_of
from curate.passes.sifted import Sifted
from curate.settings import TrainTokenizer
from curate.shards.seal import digest, is_fresh, sealed_with, sha256, whole_folder
from curate.split import TRAIN
from curate.tokenizing import Tokenizer
from curate.train_tokenizer import train_tokenizer
from pipelines.folder import RunFolder
from pipelines.progress import say
from pipelines.recipe import Recipe

TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "chat_template.jinja",
    "config.json",  # may be what names the end-of-text token
)


def tokenizer_origin(recipe: Recipe) -> dict[str, Any]:
    """What decides the tokenizer, for the fingerprint of whatever is made with it."""
    given = recipe.shards.tokenizer
    if isinstance(given, TrainTokenizer):
        return {"trained": given.model_dump(mode="json")}
    where = given_tokenizer(recipe)
    Tokenizer.load(where)  # a tokenizer that is not there is a fault before anything is read
    path = Path(where)
    beside = path.parent if path.is_file() else path
    files = [path] if path.is_file() else []
    files += [beside / name for name in TOKENIZER_FILES if (beside / name).is_file() and beside / name != path]
    return {file.name: sha256(file) for file in files} or {"hub": where}


def given_tokenizer(recipe: Recipe) -> str:
    """The folder, file or hub name of a tokenizer that is not trained here."""
    if isinstance(recipe.shards.tokenizer, str):
        return recipe.shards.tokenizer
    assert recipe.train is not None  # the recipe's check saw to it
    assert isinstance(recipe.train.base, str)
    return recipe.train.base


def prepare_tokenizer(recipe: Recipe, run: RunFolder, sifted: Sifted, decided: Path) -> Path:
    """`runs/<name>/tokenizer`, sealed: the run needs no other place to be read again."""
    given = recipe.shards.tokenizer
    origin = tokenizer_origin(recipe)
    if isinstance(given, TrainTokenizer):
        origin |= {"corpus": digest(sealed_with(decided)), "seed": recipe.seed}
    if is_fresh(run.tokenizer, origin):
        return run.tokenizer
    with whole_folder(run.tokenizer, origin) as folder:
        if isinstance(given, TrainTokenizer):
            say(f"tokenizer    training a byte-level BPE vocabulary of {given.vocabulary:,}")
            train_tokenizer(training_texts(sifted, decided), given.vocabulary, folder)
        else:
            copy_tokenizer(given_tokenizer(recipe), folder)
    return run.tokenizer


def training_texts(sifted: Sifted, decided: Path) -> Iterator[str]:
    """The texts of every training document, domain and general, in the order of the corpus."""
    for unit in range(sifted.units):
        sides, _ = split_of(sifted.beside(decided), unit)
        for _, texts in sifted.batches(sifted.first_row[unit] + np.flatnonzero(sides == TRAIN)):
            yield from texts.to_pylist()


def copy_tokenizer(where: str, folder: Path) -> None:
    """Write into `folder` what `AutoTokenizer.from_pretrained(folder)` and our own reader both read alike.

    transformers gets the say over what a model's tokenizer is: some of its classes build the pipeline anew from the
    settings beside tokenizer.json, so the file alone could give other ids.
    """
    tokenizer = Tokenizer.load(where)  # says what is wrong with it, if anything is
    if Path(where).is_file():
        tokenizer.save(folder)
        return
    from transformers import AutoTokenizer

    AutoTokenizer.from_pretrained(where, trust_remote_code=False).save_pretrained(folder)
