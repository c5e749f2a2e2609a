"""The curation stage: raw files to a sealed `curated/` and sealed `shards/`.

    list inputs ▶ sift ▶ judge ▶ decide (duplicates, split, contamination) ▶ shard ▶ ledger ▶ numbers ▶ seal

Each pass leaves a sealed folder in `work/`, named by what went into it, so that an interrupted run goes on and a
changed recipe does again only what the change touches. `curated/` and `shards/` appear whole at the very end.
"""

from __future__ import annotations

import json
import resource
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from curate import rules as rulebook
from curate.engine import Pass, Progress, cores, preload_workers, run_pass
from curate.measured import measures_of
from curate.passes.contaminate import decontaminate
from curate.passes.decide import Corpus, require_held_out
from curate.passes.enter import Enter
from curate.passes.judge import Judge
from curate.passes.place import place_rows
from curate.passes.shard import Shard, ShardPlan, plan_shards
from curate.passes.sift import Sift
from curate.passes.sifted import Sifted
from curate.plugins import own_code
from curate.rules import Rule
from curate.shards.corpus import write_manifest
from curate.shards.fault import Fault
from curate.shards.format import write_split_info
from curate.shards.seal import (
    ENGINE,
    begin,
    code_version,
    digest,
    is_fresh,
    put_in_place,
    refuse_other,
    seal,
    sealed_with,
    whole_folder,
    write_json,
)
from curate.units import Unit
from pipelines.folder import RunFolder
from pipelines.inputs import Inputs
from pipelines.progress import Passes, passes, say
from pipelines.recipe import Recipe
from pipelines.report.numbers import curation_numbers
from pipelines.tokenizer import prepare_tokenizer, tokenizer_origin

SPLITS = ("train", "validation", "test")
DOMAIN = "domain"
CHANGED = "give the recipe another name, or add --fresh to make it again"
OVER_REMOVAL = 0.01  # of the training documents; AI2 backs off at a tenth of that


def curation_fingerprint(recipe: Recipe, contents: Mapping[str, str]) -> dict[str, Any]:
    """What `curated/` and `shards/` follow from: settings, content of the sources' files, tokenizer, code."""
    return {
        "seed": recipe.seed,
        "sources": {
            source.name: source.model_dump(mode="json", exclude={"name"}) | {"content": contents.get(source.name)}
            for source in sorted(recipe.sources, key=lambda source: source.name)
        },
        "curate": recipe.curate.model_dump(mode="json"),
        "shards": recipe.shards.model_dump(mode="json") | {"origin": tokenizer_origin(recipe)},
        "own_code": own_code(
            [
                *(source.format or "" for source in recipe.sources),
                *recipe.curate.clean,
                *recipe.curate.measures,
                recipe.curate.quality.preset,
            ]
        ),
        "code": code_version("curate"),
    }


def curate(recipe: Recipe, run: RunFolder, *, fresh: bool = False) -> None:
    """Make `curated/` and `shards/` unless they are there, made from just this.

    Raises Fault where the folders there were made from something else, unless `fresh`.
    """
    inputs = Inputs.find(recipe)
    fingerprint = curation_fingerprint(recipe, inputs.contents())
    if is_fresh(run.curated, fingerprint):
        say(f"curated      as before: {run.curated}")
        return
    if not fresh:
        refuse_other(run.curated, fingerprint, CHANGED)
    with run.in_use(), passes() as bars:
        _Curation(recipe, run, inputs, fingerprint, bars).run()


@dataclass(slots=True)
class _Curation:
    recipe: Recipe
    run_folder: RunFolder
    inputs: Inputs
    fingerprint: dict[str, Any]
    bars: Passes

    def run(self) -> None:
        preload_workers()
        units = self.inputs.units()
        sifted = self._sift(units)
        judged = self._judge(sifted, units)
        decided = self._decide(sifted, judged, units)
        tokenizer = prepare_tokenizer(self.recipe, self.run_folder, sifted, decided)
        self._finish(sifted, decided, units, tokenizer)

    # -- the passes

    def _sift(self, units: Sequence[Unit]) -> Sifted:
        settings, seed = self.recipe.curate, self.recipe.seed
        plan = {
            "sources": {name: _but_role(source) for name, source in self._sources(benchmark=False).items()},
            "clean": settings.clean,
            "measures": settings.measures,
            "sketch": [settings.duplicates.shingle_words, settings.duplicates.bands * settings.duplicates.rows, seed],
            "own_code": self.fingerprint["own_code"],
            "code": self.fingerprint["code"],
        }
        folder = self._pass("sifted", plan, lambda at: Sift(at, units, settings, seed))
        return Sifted.open(folder, len(units))

    def _judge(self, sifted: Sifted, units: Sequence[Unit]) -> Path:
        rules, language = recipe_rules(self.recipe), self.recipe.curate.language
        plan = {
            "sifted": digest(sealed_with(sifted.folder)),
            "rules": rulebook.as_dicts(rules),
            "language": language.model_dump(mode="json"),
        }
        return self._pass("judged", plan, lambda at: Judge(at, sifted.folder, len(units), rules, language))

    def _decide(self, sifted: Sifted, judged: Path, units: Sequence[Unit]) -> Path:
        settings = self.recipe.curate
        plan = {
            "judged": digest(sealed_with(judged)),
            "duplicates": settings.duplicates.model_dump(mode="json"),
            "contamination": settings.contamination.model_dump(mode="json"),
            "split": settings.split.model_dump(mode="json"),
            "roles": {name: source["role"] for name, source in self._sources(benchmark=False).items()},
            "benchmarks": self._sources(benchmark=True),
            "seed": self.recipe.seed,
        }
        folder = self.run_folder.work / "decided"
        if is_fresh(folder, plan):
            return folder
        with whole_folder(folder, plan) as at:
            corpus = Corpus.load(sifted, judged, units)
            with self._timed("dedup", corpus.amount(corpus.survivors)):
                corpus.drop_duplicates(settings.duplicates)
            corpus.assign_splits(settings.split, self.recipe.seed)
            with self._timed("decontaminate", corpus.amount(corpus.kept)):
                benchmarks = self.inputs.units(benchmark=True)
                found = decontaminate(corpus, benchmarks, settings, at, self._workers, self.bars)
            require_held_out(corpus, settings.split)
            write_json(at / "contamination.json", found)
            warn_of_over_removal(found)
            corpus.write(at)
        return folder

    def _finish(self, sifted: Sifted, decided: Path, units: Sequence[Unit], tokenizer: Path) -> None:
        """Write shards, documents, ledger and numbers beside their places, then rename them in."""
        plan = {
            "decided": digest(sealed_with(decided)),
            "tokenizer": digest(sealed_with(tokenizer)),
            "run": self.fingerprint,
        }
        made = self.run_folder.work / "made"
        at = begin(made, plan, goes_on=True)
        if (at / ENGINE).exists() and not (at / "shards").exists():  # killed between the two renames below
            shutil.rmtree(at)
            at = begin(made, plan)
        shards = self._plan_shards(sifted, decided)
        self._run(Shard(at, shards, sifted, decided, tokenizer))
        self._seal_shards(at, shards, tokenizer)
        place_rows(at / "shards", shards, sifted, at / "placed")
        measures = list(measures_of(self.recipe.curate.measures))
        removed = self.recipe.curate.removed
        self._run(Enter(at, sifted.folder, decided, at / "placed", len(units), measures, removed))
        found = json.loads((decided / "contamination.json").read_text(encoding="utf-8"))
        numbers = curation_numbers(at, rulebook.as_dicts(recipe_rules(self.recipe)), found)
        write_json(at / "curated" / "report.json", numbers)
        seal(at / "curated", self.fingerprint)
        # curated last: where it stands, the shards stand
        put_in_place(at / "shards", self.run_folder.shards)
        put_in_place(at / "curated", self.run_folder.curated)
        shutil.rmtree(at)

    def _plan_shards(self, sifted: Sifted, decided: Path) -> list[ShardPlan]:
        columns = pa.table({n: sifted.column(n, decided) for n in ("source", "split")})
        sides = np.array(columns["split"].to_pylist(), object)
        n_bytes = sifted.column("n_bytes").to_numpy()
        corpora: dict[str, list[str]] = {}
        for source, _ in self.inputs.files:
            if source.role != "benchmark":
                corpora.setdefault(DOMAIN if source.role == DOMAIN else source.name, []).append(source.name)
        names = np.array(columns["source"].to_pylist(), object)
        plans = []
        for corpus, members in sorted(corpora.items()):
            for split in SPLITS:
                records = np.flatnonzero(np.isin(names, members) & (sides == split))
                plans += plan_shards(corpus, split, records, n_bytes[records], self.recipe.shards.shard_mb * 1e6)
        return plans

    def _seal_shards(self, at: Path, plans: Sequence[ShardPlan], tokenizer: Path) -> None:
        for split in sorted({(plan.corpus, plan.split) for plan in plans}):
            write_split_info(at / "shards" / split[0] / split[1], split[1])
        for corpus in sorted({plan.corpus for plan in plans}):
            folder = at / "shards" / corpus
            write_manifest(
                folder, fingerprint=self.fingerprint, tokenizer={"fingerprint": digest(sealed_with(tokenizer))}
            )

    def _sources(self, *, benchmark: bool) -> dict[str, dict[str, Any]]:
        """What the fingerprint says of the sources that are benchmarks, or of the others."""
        every: dict[str, dict[str, Any]] = self.fingerprint["sources"]
        return {name: source for name, source in every.items() if (source["role"] == "benchmark") == benchmark}

    # -- running

    @property
    def _workers(self) -> int:
        return cores(self.recipe.engine.workers)

    def _pass(self, name: str, plan: dict[str, Any], make: Callable[[Path], Pass]) -> Path:
        folder = self.run_folder.work / name
        if not is_fresh(folder, plan):
            with whole_folder(folder, plan, goes_on=True) as at:
                self._run(make(at))
        return folder

    def _run(self, step: Pass) -> None:
        begun = time.monotonic()
        done = run_pass(step, self._workers, self.bars)
        self._tell(step.name, done, time.monotonic() - begun)

    @contextmanager
    def _timed(self, name: str, amount: tuple[int, int]) -> Iterator[None]:
        """A step that runs in this process, over so many documents and bytes."""
        begun = time.monotonic()
        yield
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        self._tell(name, Progress(*amount, peak_bytes=peak), time.monotonic() - begun)

    def _tell(self, name: str, done: Progress, seconds: float) -> None:
        self.bars.close(name, done, seconds)
        self.run_folder.log(
            stage=name,
            documents=done.documents,
            bytes=done.n_bytes,
            seconds=round(seconds, 3),
            peak_bytes=done.peak_bytes,
        )


def _but_role(source: Mapping[str, Any]) -> dict[str, Any]:
    """A source as the sift sees it: what its text is for does not matter there."""
    return {name: value for name, value in source.items() if name != "role"}


def warn_of_over_removal(found: dict[str, Any]) -> None:
    """Aloud where decontamination takes much: then it meets phrases of the genre rather than leaks."""
    for name, one in found.items():
        share = one["removed"] / max(1, one["training_documents"])
        if share > OVER_REMOVAL:
            say(
                f"warning: {share:.1%} of the training documents share {one['ngram_words']} words with {name} text and "
                f"leave. If the report shows set phrases, lower curate.contamination.common_in ({one['common_in']})"
            )


def recipe_rules(recipe: Recipe) -> tuple[Rule, ...]:
    """The rules a recipe judges by: its preset with its own bounds."""
    quality = recipe.curate.quality
    known = list(measures_of(recipe.curate.measures))
    rules = rulebook.with_bounds(rulebook.preset(quality.preset), quality.rules, known)
    missing = [rule.measure for rule in rules if rule.measure not in known]
    if missing:
        raise Fault(
            f"no family of measures takes {', '.join(missing)}",
            where="curate.quality",
            hint=f"known measures: {', '.join(known)}",
        )
    return rules
