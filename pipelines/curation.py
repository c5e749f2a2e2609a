"""The curation stage: raw files to a sealed `curated/` and sealed `shards/`.

    list inputs ▶ sift ▶ judge ▶ trim ▶ decide (duplicates, split, contamination) ▶ shard ▶ ledger ▶ numbers ▶ seal

Each pass leaves a sealed folder in `work/`, named by what went into it, so that an interrupted run goes on and a
changed recipe does again only what the change touches. `curated/` and `shards/` appear whole at the very end.
"""

from __future__ import annotations

import resource
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any

from curate.classify.domain import Trained, told_from, train_domain
from curate.dedup.shingles import ShingleRecipe
from curate.engine import Pass, Progress, Where, cores, ready, run_pass
from curate.engines.jobs import SlurmJobs
from curate.memory import give_back
from curate.passes.certify import certify
from curate.passes.contaminate import decontaminate, require_text
from curate.passes.decide import Corpus, require_held_out
from curate.passes.enter import Enter
from curate.passes.judge import Judge
from curate.passes.parts import ShardPlan, plan_corpora
from curate.passes.plant import plant
from curate.passes.repeated import EDITS, find_repeated
from curate.passes.score import Score
from curate.passes.shard import Shard, join_shards
from curate.passes.sift import Sift, permutations
from curate.passes.sifted import Sifted
from curate.passes.token_sizes import bytes_per_token
from curate.passes.trim import trim, trimmed
from curate.pii.find import kinds
from curate.rulebook import Rulebook, as_json, rulebook
from curate.settings import Source, TrainTokenizer
from curate.shards.corpus import write_manifest
from curate.shards.format import TERMS, WEIGHT, write_split_info
from curate.shards.seal import (
    ENGINE,
    begin,
    digest,
    is_fresh,
    put_in_place,
    refuse_other,
    seal,
    sealed_with,
    sha256,
    whole_folder,
    write_json,
)
from curate.split import TRAIN
from curate.taken import scored_measures, sifted_measures
from curate.tokenizing import Tokenizer
from pipelines.curated import gather
from pipelines.folder import RunFolder
from pipelines.inputs import Inputs
from pipelines.made_from import as_read, curation_fingerprint, language_models
from pipelines.progress import Passes, passes, say
from pipelines.recipe import Recipe
from pipelines.recorded import Recorded, record_sources, recorded_sources
from pipelines.token_policy import token_policy
from pipelines.tokenizer import given_tokenizer, prepare_tokenizer

SPLITS = ("train", "validation", "test")
DOMAIN = "domain"
CHANGED = "give the recipe another name, or add --fresh to make it again"
OVER_REMOVAL = 0.01  # of the training documents; the report's alarm goes off at a tenth of that


def curate(recipe: Recipe, run: RunFolder, *, fresh: bool = False, rejudge: bool = False) -> None:
    """Make `curated/` and `shards/` unless they are there, made from just this.

    `rejudge`: from what the first pass recorded, without looking at the raw text again; what is there is replaced.
    Raises Fault where the folders there were made from something else, unless `fresh` or `rejudge`; where `rejudge`
    would need the raw text, with the field that does.
    """
    inputs = Recorded.of(run) if rejudge else Inputs.find(recipe)
    fingerprint = curation_fingerprint(recipe, inputs.contents())
    if is_fresh(run.curated, fingerprint):
        say(f"curated      as before: {run.curated}")
        return
    if not fresh and not rejudge:
        refuse_other(run.curated, fingerprint, CHANGED)
    with run.in_use(), ready(engine_of(recipe)), passes() as bars:
        _Curation(recipe, run, inputs, fingerprint, bars).run()


@contextmanager
def sifted_texts(recipe: Recipe, run: RunFolder) -> Iterator[tuple[Sifted, list[Source]]]:
    """What the first pass leaves of the sources, made where it is not there, and the source of each of its units."""
    inputs = Inputs.find(recipe)
    fingerprint = curation_fingerprint(recipe, inputs.contents())
    with run.in_use(), ready(engine_of(recipe)), passes() as bars:
        making = _Curation(recipe, run, inputs, fingerprint, bars)
        sifted = making._sift(benchmark=False)
        yield sifted, [making._by_name[name] for name in recorded_sources(sifted.folder)]


@dataclass(slots=True)
class _Curation:
    recipe: Recipe
    run_folder: RunFolder
    inputs: Inputs | Recorded
    fingerprint: dict[str, Any]
    bars: Passes

    def run(self) -> None:
        sifted, benchmarks = self._sift(benchmark=False), self._sift(benchmark=True)
        require_text(benchmarks, recorded_sources(benchmarks.folder))
        sources = recorded_sources(sifted.folder)
        units = [self._by_name[name] for name in sources]
        book, scored = self._score(sifted, units)
        judged = self._judge(sifted, scored, sources, book)
        sifted, judged = self._trim(sifted, judged, sources)
        decided = self._decide(sifted, scored, judged, units, benchmarks)
        sifted = sifted.edited(decided / EDITS)
        self._certify(sifted, decided)
        tokenizer = prepare_tokenizer(self.recipe, self.run_folder, sifted, decided)
        self._finish(sifted, scored, decided, tokenizer, book)

    @property
    def _by_name(self) -> dict[str, Source]:
        return {source.name: source for source in self.recipe.sources}

    # -- the passes

    def _sift(self, *, benchmark: bool) -> Sifted:
        """The records of all sources, or of all benchmarks, read, cleaned, measured and sketched."""
        settings, seed = self.recipe.curate, self.recipe.seed
        plan = {
            "sources": {name: as_read(source) for name, source in self._sources(benchmark=benchmark).items()},
            "clean": settings.clean,
            "measures": settings.measures,
            "filters": settings.filters,
            "language": {path: self.fingerprint["models"][path] for path in language_models(self.recipe)},
            "pii": {"count": kinds(settings.pii), "mask": settings.pii.mask, "presidio": settings.pii.presidio},
            "sketch": [*astuple(ShingleRecipe.of(settings.duplicates)), permutations(settings), seed],
            "own_code": self.fingerprint["own_code"],
            "code": self.fingerprint["code"],
        }
        name = "benchmarks" if benchmark else "sift"
        folder = self.run_folder.work / ("benchmarks" if benchmark else "sifted")
        if isinstance(self.inputs, Recorded):
            recorded = sealed_with(folder) or {}
            if recorded.get("code") != plan["code"]:
                say("warning: what is judged was measured by another version of the code; measures are as they were")
            plan["code"] = recorded.get("code")
            refuse_other(folder, plan, "the raw text is needed for this: run without --rejudge, and with --fresh")
        elif not is_fresh(folder, plan):
            units = self.inputs.units(benchmark=benchmark)
            with whole_folder(folder, plan, goes_on=True) as at:
                record_sources(at, [unit.source.name for unit in units])
                self._run(Sift(at, units, settings, seed, name))
        return Sifted.open(folder, len(recorded_sources(folder)))

    def _score(self, sifted: Sifted, units: Sequence[Source]) -> tuple[Rulebook, Path | None]:
        """The rules of every source; and the classifiers' scores, where the recipe has any."""
        settings, sources = self.recipe.curate, self.recipe.sources
        if settings.domain is None and not settings.classifiers:
            return rulebook(settings, sources), None
        trained = self._train(sifted, units) if settings.domain and settings.domain.seeds else None
        domain, classifiers = settings.domain, settings.classifiers
        given = domain.model if domain else None
        model = trained.model if trained else Path(given) if given else None
        label = domain.label if domain and given else "domain"
        plan = {
            "sifted": digest(sealed_with(sifted.folder)),
            "domain": trained and [sha256(trained.model), sha256(trained.weights)],
            "model": given and [self.fingerprint["models"][given], label],
            "classifiers": {
                name: [self.fingerprint["models"][one.model], one.label] for name, one in classifiers.items()
            },
        }
        weights = trained.weights if trained else None
        scored = self._pass(
            "scored", plan, lambda at: Score(at, sifted.folder, sifted.units, classifiers, model, label, weights)
        )
        return rulebook(settings, sources, self._threshold(trained)), scored

    def _train(self, sifted: Sifted, units: Sequence[Source]) -> Trained:
        """The domain's classifier; what is decided by its scores does not make it another."""
        settings = self.recipe.curate.domain
        assert settings is not None
        plan = {
            "sifted": digest(sealed_with(sifted.folder)),
            "seeds": settings.seeds,
            "against": told_from(settings, units),
            "precision": settings.precision,
            "at_least": settings.at_least,
            "seed": self.recipe.seed,
        }
        folder = self.run_folder.work / "domain"
        if not is_fresh(folder, plan):
            begun = time.monotonic()
            with whole_folder(folder, plan) as at:
                card = train_domain(sifted, units, settings, self.recipe.seed, at).card
            documents = sum(one["documents"] for one in card["training"].values())
            n_bytes = sum(one["bytes"] for one in card["training"].values())
            self._tell("classifier", Progress(documents, n_bytes), time.monotonic() - begun)
        return Trained.open(folder)

    def _threshold(self, trained: Trained | None) -> float | None:
        if trained is not None:
            return trained.threshold
        return self.recipe.curate.domain.at_least if self.recipe.curate.domain else None

    def _judge(self, sifted: Sifted, scored: Path | None, sources: Sequence[str], book: Rulebook) -> Path:
        plan = {
            "sifted": digest(sealed_with(sifted.folder)),
            "scored": scored and digest(sealed_with(scored)),
            "rules": as_json(book),
        }
        return self._pass("judged", plan, lambda at: Judge(at, sifted.folder, scored, sources, book))

    def _trim(self, sifted: Sifted, judged: Path, sources: Sequence[str]) -> tuple[Sifted, Path]:
        """(texts, verdicts) after boilerplate was counted, and cut where the recipe says so."""
        duplicates = self.recipe.curate.duplicates
        plan = {
            "judged": digest(sealed_with(judged)),
            "boilerplate": duplicates.boilerplate.model_dump(mode="json"),
        }
        folder = self.run_folder.work / "trimmed"
        if not is_fresh(folder, plan):
            with whole_folder(folder, plan, goes_on=True) as at:
                trim(at, sifted, judged, sources, duplicates, self.recipe.seed, self._run)
        return trimmed(sifted, judged, folder)

    def _decide(
        self, sifted: Sifted, scored: Path | None, judged: Path, units: Sequence[Source], benchmarks: Sifted
    ) -> Path:
        settings, ratios = self.recipe.curate, self._bytes_per_token(sifted, units)
        plan = {
            "judged": digest(sealed_with(judged)),
            "edits": [digest(sealed_with(folder.parent)) for folder in sifted.edits],
            "duplicates": settings.duplicates.model_dump(mode="json"),
            "published": self.fingerprint["published"],
            "contamination": settings.contamination.model_dump(mode="json"),
            "split": settings.split.model_dump(mode="json"),
            "bytes_per_token": ratios,
            "roles": {name: source["role"] for name, source in self._sources(benchmark=False).items()},
            "benchmarks": digest(sealed_with(benchmarks.folder)),
            "seed": self.recipe.seed,
        }
        folder = self.run_folder.work / "decided"
        if is_fresh(folder, plan):
            return folder
        with whole_folder(folder, plan) as at:
            corpus = Corpus.load(sifted, judged, units)
            with self._timed("dedup", corpus.amount(corpus.survivors)):
                corpus.drop_published(settings.duplicates, self.recipe.seed)
                corpus.drop_duplicates(settings.duplicates, scored)
            write_json(at / "planted.json", plant(corpus, settings.duplicates, self.recipe.seed))
            told = corpus.assign_splits(settings.split, self.recipe.seed, ratios)
            with self._timed("decontaminate", corpus.amount(corpus.kept)):
                found = decontaminate(corpus, benchmarks, settings.contamination, at, self._where, self.bars)
            if settings.duplicates.spans.action != "ignore":
                with self._timed("spans", corpus.amount(corpus.side == TRAIN)):
                    find_repeated(corpus, settings.duplicates, self.recipe.seed, at, self._where, self.bars)
            require_held_out(corpus, settings.split)
            write_json(at / "copies.json", corpus.copies.numbers(corpus.kept) if corpus.copies else {})
            write_json(at / "contamination.json", found)
            write_json(at / "split.json", {"settings": settings.split.model_dump(mode="json"), "told": told})
            warn_of_over_removal(found)
            corpus.write(at)
        return folder

    def _bytes_per_token(self, sifted: Sifted, units: Sequence[Source]) -> dict[str, float]:
        """By source, where sizes are of tokens and there is a tokenizer to ask already."""
        if self.recipe.curate.split.sizes != "tokens" or isinstance(self.recipe.shards.tokenizer, TrainTokenizer):
            return {}
        return bytes_per_token(sifted, units, Tokenizer.load(given_tokenizer(self.recipe)))

    def _certify(self, sifted: Sifted, decided: Path) -> None:
        """What held-out text shares with training text, of the texts as they will be trained on."""
        plan, folder = {"decided": digest(sealed_with(decided))}, self.run_folder.work / "certified"
        if not is_fresh(folder, plan):
            with whole_folder(folder, plan) as at:
                certify(sifted, decided, self.recipe.curate, at, self._run)

    def _finish(self, sifted: Sifted, scored: Path | None, decided: Path, tokenizer: Path, book: Rulebook) -> None:
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
        shards = plan_corpora(sifted, decided, self._corpora(), self.recipe.shards.shard_mb * 1e6)
        terms = [name for name in TERMS if any(getattr(source, name) is not None for source in self.recipe.sources)]
        terms += [WEIGHT] if self.recipe.curate.duplicates.rehydrate else []
        self._run(Shard(at, shards, sifted, decided, tokenizer, terms))
        join_shards(at, shards)
        self._seal_shards(at, shards, tokenizer)
        measures = [*sifted_measures(self.recipe.curate), *scored_measures(self.recipe.curate)]
        self._run(Enter(at, sifted, scored, decided, shards, measures, self.recipe.curate.removed))
        policy = self._policy(tokenizer)
        gather(at, self.run_folder.work, self.recipe.curate, book, tokenizer, self._corpora(), policy)
        seal(at / "curated", self.fingerprint)
        # curated last: where it stands, the shards stand
        put_in_place(at / "shards", self.run_folder.shards)
        put_in_place(at / "curated", self.run_folder.curated)
        shutil.rmtree(at)

    def _policy(self, tokenizer: Path) -> dict[str, Any]:
        base = self.recipe.train.base if self.recipe.train else None
        policy = token_policy(Tokenizer.load(tokenizer), base if isinstance(base, str) else None)
        for difference in policy["differences"]:
            say(f"warning: {difference}")
        return policy

    def _corpora(self) -> dict[str, list[str]]:
        """The names of each corpus' sources."""
        corpora: dict[str, list[str]] = {}
        for source in self.recipe.sources:
            if source.role != "benchmark":
                corpora.setdefault(DOMAIN if source.role == DOMAIN else source.name, []).append(source.name)
        return corpora

    def _seal_shards(self, at: Path, plan: ShardPlan, tokenizer: Path) -> None:
        for corpus, split in plan.splits:
            write_split_info(at / "shards" / corpus / split, split)
        for corpus in sorted({corpus for corpus, _ in plan.splits}):
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
    def _where(self) -> Where:
        return engine_of(self.recipe)

    def _pass(self, name: str, plan: dict[str, Any], make: Callable[[Path], Pass]) -> Path:
        folder = self.run_folder.work / name
        if not is_fresh(folder, plan):
            with whole_folder(folder, plan, goes_on=True) as at:
                self._run(make(at))
        return folder

    def _run(self, step: Pass) -> None:
        if step.tasks == 0:
            return
        give_back()  # what deciding took: the workers want it now
        begun = time.monotonic()
        done = run_pass(step, self._where, self.bars)
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


def engine_of(recipe: Recipe) -> Where:
    engine = recipe.engine
    workers = cores(engine.workers) if engine.kind == "local" or engine.workers != "auto" else None
    return Where(engine.kind, workers, engine.address, SlurmJobs(**engine.slurm.model_dump()))


def warn_of_over_removal(found: dict[str, Any]) -> None:
    """Aloud where decontamination takes much: then it meets phrases of the genre rather than leaks."""
    for name, one in found.items():
        share = sum(rule["removed"] for rule in one["rules"]) / max(1, one["training_documents"])
        if share > OVER_REMOVAL:
            words = " or ".join(str(rule["words"]) for rule in one["rules"])
            say(
                f"warning: {share:.1%} of the training documents share runs of {words} words with {name} text and "
                f"leave. If the report shows set phrases, lower curate.contamination.common_in ({one['common_in']})"
            )
