"""The corpora of a run's shards, and what is picked from them: which the stages after curation share."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import xxhash

from curate.shards.corpus import ShardSplit, read_manifest
from curate.shards.fault import Fault
from curate.shards.seal import digest, first_difference, sealed_with
from pipelines.folder import RunFolder
from pipelines.recipe import Recipe
from pretrain.settings import Base


def corpora(run: RunFolder) -> list[Path]:
    """The folders of the shards' corpora, domain first."""
    folders = [path.parent for path in sorted(run.shards.glob("*/manifest.json"))]
    if not folders:
        raise Fault(f"there are no shards in {run.shards}", hint="postgrad curate RECIPE  makes them")
    return sorted(folders, key=lambda folder: (folder.name != "domain", folder.name))


def replay_folders(recipe: Recipe, run: RunFolder) -> dict[str, Path]:
    """The training splits of the general corpora, by name; one that has no training document is not among them."""
    general = {source.name for source in recipe.sources if source.role == "general"}
    there = [folder for folder in corpora(run) if folder.name in general]
    is_elsewhere = recipe.train is not None and recipe.train.shards is not None  # here lies the manifest alone then
    return {
        folder.name: folder / "train"
        for folder in there
        if (folder / "train").is_dir() or (is_elsewhere and "train" in read_manifest(folder)["splits"])
    }


def trained_on(recipe: Recipe, run: RunFolder) -> list[Path]:
    """The splits that a training reads: the domain's, and those replayed. What is only measured is not among them."""
    is_replayed = recipe.train is not None and recipe.train.replay > 0
    return [corpora(run)[0] / "train", *(replay_folders(recipe, run).values() if is_replayed else ())]


def scoring_tokens(vocabulary: int) -> int:
    """Tokens scored at a time: as many as keep their logits under half a GB in fp32, 8,192 at most."""
    return max(256, min(8192, 2**27 // vocabulary))


def require_same_curation(recipe: Recipe, run: RunFolder) -> None:
    """Raise Fault naming the field where the recipe asks for another corpus than the one that is there.

    What the sources' files hold is not looked at: they may be gone, the shards are what counts from here on.
    """
    made = sealed_with(run.curated)
    if made is None:
        raise Fault(f"there is no curated corpus in {run.curated}", hint="postgrad curate RECIPE  makes it")
    sources = {source.name: source.model_dump(mode="json", exclude={"name"}) for source in recipe.sources}
    now = {"seed": recipe.seed, "curate": recipe.curate.model_dump(mode="json"), "sources": sources}
    for source in made["sources"].values():
        source.pop("content")
    if difference := first_difference({name: made[name] for name in now}, now):
        field, was, is_ = difference
        hint = "postgrad curate RECIPE --fresh  makes it again; another name makes another run"
        raise Fault(f"{run.curated} was made with {field} = {was}; the recipe has {is_} now", where=field, hint=hint)
    made = sealed_with(run.curated)
    manifest = read_manifest(run.shards / "domain")
    if manifest["fingerprint"] != made or manifest["tokenizer"]["fingerprint"] != digest(sealed_with(run.tokenizer)):
        raise Fault(
            f"the shards or the tokenizer in {run.path} are of another run of the curation than {run.curated}",
            hint="it was interrupted at its very end: postgrad curate RECIPE --fresh  makes it whole",
        )


def some_documents(split: ShardSplit, bytes_at_most: int) -> npt.NDArray[np.int64]:
    """Row numbers of whole documents, in the order of their ids' hashes, up to so many bytes of text; at least one."""
    order = np.argsort([xxhash.xxh64_intdigest(i.encode()) for i in split.ids.to_pylist()], kind="stable")
    within = np.cumsum(split.n_bytes[order]) <= bytes_at_most
    within[:1] = True
    return np.sort(order[within]).astype(np.int64)


def base_folder(recipe: Recipe, run: RunFolder) -> str:
    """Where the model stands that training began from."""
    assert recipe.train is not None
    return str(run.training / "initial") if isinstance(recipe.train.base, Base) else recipe.train.base
