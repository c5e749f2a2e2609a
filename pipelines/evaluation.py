"""The evaluation stage: base and adapted model on held-out text, domain, general and control, to `evaluation.json`."""

from __future__ import annotations

import json
import re
import resource
import time
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from curate.ledger import read_ledger
from curate.shards.corpus import ShardSplit
from curate.shards.fault import Fault
from curate.shards.seal import code_version, digest, first_difference, refuse_other, sealed_with
from curate.tokenizing import Tokenizer
from pipelines.corpora import base_folder, corpora, require_same_curation, scoring_tokens, some_documents
from pipelines.extended import as_the_base_reads
from pipelines.folder import RunFolder
from pipelines.progress import err, say
from pipelines.recipe import Recipe
from pipelines.training import hush_libraries, training_fingerprint

SPACES = re.compile(r"\s+")


def evaluate(recipe: Recipe, run: RunFolder, *, fresh: bool = False) -> None:
    """Write `evaluation.json` and `evaluation-documents.parquet` unless they were made from just this."""
    if recipe.train is None or sealed_with(run.training) is None:
        raise Fault(f"there is no trained model in {run.model}", hint="postgrad train RECIPE  makes it")
    require_same_curation(recipe, run)
    # whatever version of the code trained it: what it scores is the same model
    asked = training_fingerprint(recipe, run) | {"code": (sealed_with(run.training) or {}).get("code")}
    refuse_other(run.training, asked, "postgrad train RECIPE --fresh  trains again")
    plan = {
        "training": digest(sealed_with(run.training)),
        "evaluate": recipe.evaluate.model_dump(mode="json"),
        "code": code_version("pretrain"),
    }
    made = _made_from(run.evaluation)
    if made == plan and not fresh:
        say(f"evaluated    as before: {run.evaluation}")
        return
    if made is not None and (difference := first_difference(made, plan)):
        say(f"evaluate     {difference[0]} was {difference[1]}, it is {difference[2]}: measured again")
    begun = time.monotonic()
    with run.in_use():
        _evaluate(recipe, run, plan)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    run.log(stage="evaluate", seconds=round(time.monotonic() - begun, 3), peak_bytes=peak)


def _evaluate(recipe: Recipe, run: RunFolder, plan: dict[str, Any]) -> None:
    hush_libraries()
    from pretrain.evaluate import evaluate as measure
    from pretrain.models import best_device, compute_dtype
    from pretrain.scoring import Compute, Tokens

    assert recipe.train is not None
    tokenizer = Tokenizer.load(str(run.tokenizer))
    device = best_device()
    with err.status("evaluate") as status:

        def progress(side: str, tokens: int, total: int) -> None:
            done[side] = done.get(side, 0) + tokens
            status.update(f"evaluate {side}: {done[side]:,} of {total:,} tokens")

        done: dict[str, int] = {}
        found = measure(
            base_folder(recipe, run),
            run.model,
            held_out_sets(recipe, run),
            recipe.evaluate,
            context_length=recipe.train.sequence_length,
            seed=recipe.seed,
            tokens=Tokens(prefix=tokenizer.eos if tokenizer.bos is None else tokenizer.bos, eos=tokenizer.eos),
            compute=Compute(
                batch_tokens=scoring_tokens(tokenizer.vocabulary),
                device=device.type,
                dtype=compute_dtype(recipe.train.precision, device),
            ),
            progress=progress,
        )
    found.content["made_from"] = plan
    found.write(run.path)
    for name, one in found.content["sets"].items():
        say(f"evaluated    {name}: {one['documents']:,} documents, {one['bytes']:,} bytes")


def check_held_out(recipe: Recipe, run: RunFolder) -> None:
    """Raise Fault where an evaluation could give no result: before days of training rather than after them."""
    from pretrain.held_out import check_sets

    check_sets(held_out_sets(recipe, run))


def held_out_sets(recipe: Recipe, run: RunFolder) -> list[Any]:
    """The test split of every corpus, up to the recipe's bytes; a corpus without test documents is left out, aloud."""
    from pretrain.held_out import HeldOut

    roles = {source.name: source.role for source in recipe.sources if source.role != "benchmark"}
    ledger = read_ledger(run.curated / "ledger", ["id", "cluster", "split"])
    ledger = ledger.filter(pc.equal(ledger["split"], "test"))
    cluster = dict(zip(*(ledger[name].to_pylist() for name in ("id", "cluster")), strict=True))
    control_tokens = recipe.shards.control_tokens
    is_pretrained = recipe.train is not None and isinstance(recipe.train.base, str)  # from scratch all ids are known
    sets = []
    for folder in corpora(run):
        name = folder.name
        if not (folder / "test").exists():
            say(f"evaluate     {name} has no test documents: left out")
            continue
        split = ShardSplit.open(folder / "test")
        documents = some_documents(split, recipe.evaluate.bytes_at_most)
        ids = split.ids.take(documents).to_pylist()
        words = count_words(run.curated / "documents" / "test", name, ids)
        clusters = [cluster[i] or i for i in ids]
        role, touched = roles.get(name, "domain"), touched_documents(run, ids)
        of_base = as_the_base_reads(run, name, "test", ids, control_tokens=control_tokens) if is_pretrained else None
        sets.append(HeldOut(name, role, "test", folder / "test", documents, clusters, words, touched, of_base))
    return sets


def touched_documents(run: RunFolder, ids: list[str]) -> npt.NDArray[np.bool_] | None:
    """Which documents share 13 words in a row with training text, as the certificate says; None: there is none."""
    path = run.curated / "certificate.parquet"
    if not path.exists():
        return None
    shares = pq.read_table(path, columns=["id", "containment"], filters=pc.field("containment") > 0)
    return pc.is_in(pa.array(ids, pa.large_string()), shares["id"].combine_chunks()).to_numpy(zero_copy_only=False)


def count_words(folder: Path, corpus: str, ids: list[str]) -> npt.NDArray[np.int64]:
    """Words between white space, as lm-eval counts them, of documents by id."""
    files = [str(path) for path in sorted(folder.glob(f"{corpus}-[0-9]*.parquet"))]
    wanted = ds.field("id").isin(ids)
    table = ds.dataset(files, format="parquet").to_table(columns=["id", "text"], filter=wanted)
    counts = {i: len(SPACES.split(t)) for i, t in zip(*(table[n].to_pylist() for n in ("id", "text")), strict=True)}
    return np.array([counts[i] for i in ids], np.int64)


def _made_from(path: Path) -> dict[str, Any] | None:
    try:
        made: dict[str, Any] | None = json.loads(path.read_text(encoding="utf-8")).get("made_from")
        return made
    except (OSError, ValueError):
        return None
