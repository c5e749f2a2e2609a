"""Which tokenizer a run uses, and its copy in the run folder: given, the base model's own, one of these
extended, or trained on the corpus."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from curate.passes.parts import split_of
from curate.passes.sifted import Sifted
from curate.settings import ExtendTokenizer, TrainTokenizer
from curate.shards.fault import Fault
from curate.shards.seal import digest, is_fresh, sealed_with, sha256, whole_folder
from curate.split import TRAIN
from curate.tokenizer_files import tokenizer_file
from curate.tokenizing import Tokenizer
from curate.train_tokenizer import train_tokenizer
from pipelines.extended import CONFIG, GENERAL, extend
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

BY_TRANSFORMERS = """
import sys
sys.modules["torch"] = None  # a tokenizer needs none of it
from transformers import AutoTokenizer
AutoTokenizer.from_pretrained(sys.argv[1], trust_remote_code=False).save_pretrained(sys.argv[2])
"""


def tokenizer_origin(recipe: Recipe) -> dict[str, Any]:
    """What decides the tokenizer, for the fingerprint of whatever is made with it."""
    given = recipe.shards.tokenizer
    if isinstance(given, TrainTokenizer):
        return {"trained": given.model_dump(mode="json")}
    where = given_tokenizer(recipe)
    Tokenizer.load(where)  # a tokenizer that is not there is a fault before anything is read
    path = Path(where)
    read = [tokenizer_file(where)] if path.exists() else []
    beside = read[0].parent if read else path
    files = [*read, *(beside / name for name in TOKENIZER_FILES if (beside / name).is_file())]
    origin: dict[str, Any] = {file.name: sha256(file) for file in files} or {"hub": where}
    return origin | ({"extended": given.model_dump(mode="json")} if isinstance(given, ExtendTokenizer) else {})


def given_tokenizer(recipe: Recipe) -> str:
    """The folder, file or hub name of a tokenizer that is not trained here, or that is extended here."""
    given = recipe.shards.tokenizer
    given = given.extend if isinstance(given, ExtendTokenizer) else given
    if isinstance(given, str):
        return given
    assert recipe.train is not None  # the recipe's check saw to it
    assert isinstance(recipe.train.base, str)
    return recipe.train.base


def prepare_tokenizer(recipe: Recipe, run: RunFolder, sifted: Sifted, decided: Path) -> Path:
    """`runs/<name>/tokenizer`, sealed: the run needs no other place to be read again."""
    given = recipe.shards.tokenizer
    origin = tokenizer_origin(recipe)
    if isinstance(given, TrainTokenizer | ExtendTokenizer):
        origin |= {"corpus": digest(sealed_with(decided)), "seed": recipe.seed}
    if is_fresh(run.tokenizer, origin):
        return run.tokenizer
    with whole_folder(run.tokenizer, origin) as folder:
        if isinstance(given, TrainTokenizer):
            say(f"tokenizer    training a byte-level BPE vocabulary of {given.vocabulary:,}")
            train_tokenizer(training_texts(sifted, decided), given.vocabulary, folder)
        else:
            copy_tokenizer(given_tokenizer(recipe), folder)
        if isinstance(given, ExtendTokenizer):
            domain = [source.name for source in recipe.sources if source.role == "domain"]
            extend(folder, given, sifted, decided, domain, recipe.seed)
    return run.tokenizer


def training_texts(sifted: Sifted, decided: Path) -> Iterator[str]:
    """The texts of every training document, domain and general, in the order of the corpus."""
    for unit in range(sifted.units):
        sides, _ = split_of(sifted.beside(decided), unit)
        for _, texts in sifted.batches(sifted.first_row[unit] + np.flatnonzero(sides == TRAIN)):
            yield from texts.to_pylist()


def copy_tokenizer(where: str, folder: Path) -> None:
    """Write into `folder` what `AutoTokenizer.from_pretrained(folder)` and our own reader both read alike."""
    tokenizer = Tokenizer.load(where)  # says what is wrong with it, if anything is
    if Path(where).is_dir() and tokenizer_file(where).suffix != ".json":  # a SentencePiece model: converted
        tokenizer.save(folder)
    elif not _is_as_its_file_says(Path(where)):
        _copy_by_transformers(where, folder)
    elif (Path(where) / CONFIG).is_file():
        for name in set(TOKENIZER_FILES) - {"config.json"}:
            if (Path(where) / name).is_file():
                shutil.copyfile(Path(where) / name, folder / name)
    else:
        tokenizer.save(folder)


def _is_as_its_file_says(where: Path) -> bool:
    """Whether transformers takes the pipeline in tokenizer.json as it stands. Some of its classes build it anew from
    the settings beside it, so the file alone could give other ids; a general class, or none, does not."""
    if where.is_file():
        return True
    if not where.is_dir():
        return False  # a name on the hub
    config = where / CONFIG
    settings = json.loads(config.read_text(encoding="utf-8")) if config.is_file() else {}
    named = settings.get("tokenizer_class")
    return named in GENERAL if named is not None else not (where / "config.json").is_file()


def _copy_by_transformers(where: str, folder: Path) -> None:
    """As transformers has it, in a process of its own: importing it takes seconds and some hundred MB that a curation
    has no other use for."""
    done = subprocess.run([sys.executable, "-c", BY_TRANSFORMERS, where, str(folder)], capture_output=True, text=True)
    if done.returncode != 0:
        raise Fault(
            f"transformers cannot load the tokenizer: {done.stderr.strip().splitlines()[-1]}",
            where=where,
            hint="AutoTokenizer.from_pretrained of it, in Python, says more",
        )
