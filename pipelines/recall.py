"""`postgrad recall RECIPE --pool SOURCE`: documents of a source that are of the domain, found in rounds.

The seeds and what they are told from are those of the recipe's `curate.domain`; texts are those that curation's first
pass left, so that ids are the ledger's and what was cleaned there is clean here. What is found:

    recall/<pool>/accepted.parquet     id, score, round
                  rounds.json          what every round took, and its held-out figures
                  model-{0,1}.bin      the last round's two classifiers
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import pyarrow as pa

from curate.classify.domain import told_from
from curate.classify.recall import LEAST_GAIN, MOST_ROUNDS, Recalled, Round, Search
from curate.classify.recall import recall as find
from curate.classify.texts import Texts
from curate.passes.sift import TableWriter
from curate.passes.sifted import Sifted
from curate.plugins import nearest_hint
from curate.settings import Domain, Source
from curate.shards.fault import Fault
from curate.shards.seal import code_version, digest, is_fresh, sealed_with, whole_folder, write_json
from pipelines.folder import RunFolder
from pipelines.progress import say
from pipelines.recipe import Recipe

ACCEPTED = pa.schema([("id", pa.large_string()), ("score", pa.float64()), ("round", pa.int64())])


def recall(
    recipe: Recipe,
    run: RunFolder,
    sifted: Sifted,
    sources: Sequence[Source],
    pool: str,
    *,
    precision: float | None = None,
    most_rounds: int = MOST_ROUNDS,
) -> Path:
    """The folder with what was found; made again only where something it follows from has changed.

    `sources`: of each unit of `sifted`. `precision`: within the pool; None: the recipe's.
    """
    settings = _settings(recipe, pool)
    asked = precision if precision is not None else settings.precision
    against = told_from(settings, sources)
    # what is searched should not be an example of what is not searched for
    against = [name for name in against if name != pool] or against
    plan = {
        "sifted": digest(sealed_with(sifted.folder)),
        "pool": pool,
        "seeds": list(settings.seeds),
        "against": against,
        "precision": asked,
        "most_rounds": most_rounds,
        "least_gain": LEAST_GAIN,
        "seed": recipe.seed,
        "code": code_version("curate"),
    }
    folder = run.path / "recall" / pool
    if is_fresh(folder, plan):
        say(f"recall       as before: {folder}")
        return folder
    source_of = [source.name for source in sources]
    seeds, others, searched = (
        Texts.of_sources(sifted, source_of, names) for names in (settings.seeds, against, [pool])
    )
    with whole_folder(folder, plan) as at:
        search = Search.of(seeds, others, searched, at, recipe.seed, asked)
        found = find(search, most_rounds=most_rounds, tell=_say_round)
        _write(at, found, searched)
    say(f"recall       {len(found.numbers):,} of {len(searched):,} documents of {pool}: {_ENDS[found.stopped]}")
    return folder


def _settings(recipe: Recipe, pool: str) -> Domain:
    """The recipe's classifier. Raises Fault where it names no seeds, or the pool is no source to search."""
    settings = recipe.curate.domain
    if settings is None or not settings.seeds:
        raise Fault(
            "the recipe names no seeds to learn the domain from",
            where="curate.domain",
            hint=f"--set 'curate.domain={{seeds: [{recipe.sources[0].name}]}}'",
        )
    names = [source.name for source in recipe.sources if source.role != "benchmark"]
    if pool not in names:
        raise Fault(
            f"there is no source {pool!r} to search: the recipe has {', '.join(names)}",
            where="--pool",
            hint=nearest_hint(pool, names) or f"add to sources: {{name: {pool}, path: ..., role: domain}}",
        )
    if pool in settings.seeds:
        raise Fault(f"{pool!r} is a seed source: all of it is the domain", where="--pool", hint="name another source")
    return settings


def _say_round(one: Round) -> None:
    held = one.held_out
    say(
        f"round {one.number:<6} {one.added:>9,} added  {one.accepted:>9,} in all  gain {one.gain:6.1%}  held-out "
        f"precision {held.precision:.3f}  recall {held.recall:.3f}  at {held.threshold:.3f}"
    )


_ENDS = {
    "little_gain": f"a round added less than {LEAST_GAIN:.0%}",
    "most_rounds": "as many rounds as were allowed",
    "precision_not_reached": "no threshold keeps the precision on held-out seeds any more",
}


def _write(folder: Path, found: Recalled, pool: Texts) -> None:
    ids = pool.name(found.numbers)
    with TableWriter(folder / "accepted.parquet", ACCEPTED) as writer:
        writer.write(pa.table([pa.array(ids, pa.large_string()), found.scores, found.round_of], schema=ACCEPTED))
    write_json(folder / "rounds.json", {"stopped": found.stopped, "rounds": [asdict(one) for one in found.rounds]})
