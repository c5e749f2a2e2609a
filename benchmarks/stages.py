"""Where the time of `postgrad curate` goes: by stage, by part of each pass, by function of the process in charge.

    python -m benchmarks.stages --data ../shared/data --mb 200

Three runs over the same .jsonl.zst, everything on:

    by stage      the command as it is; seconds of the wall as the run itself says (stages.jsonl), and what no stage
                  claims: starting, listing, sealing, the report's numbers
    by part       every pass in one process, one unit after another, with a clock around the parts: CPU seconds that are
                  each part's own, what it calls aside. Threads of libraries count
    by function   the process in charge while others do the passes: Python functions by their own time

The first says what a user waits for, the second what a core is busy with, the third what parallel work waits for.
"""

from __future__ import annotations

import cProfile
import importlib
import os
import pstats
import shutil
import sys
import tempfile
import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any

from benchmarks.contest import Table, parser, short, tell, wall_seconds
from benchmarks.corpus import documents
from benchmarks.curation import Work, ours, prepare, stages, train, write_recipe

# What is timed: (part, module, name). A name may be a class's method or cached property.
PARTS = (
    ("read from disk, decompress", "curate.frames", "Frames.read1"),
    ("JSON", "orjson", "loads"),
    ("records to batches", "curate.units", "read_unit"),
    ("clean", "curate.cleaning", "clean"),
    ("words", "curate.text", "TextBatch.words"),
    ("lines", "curate.text", "TextBatch.lines"),
    ("measures: gopher_quality", "curate.measures.gopher_quality", "GopherQuality.__call__"),
    ("measures: gopher_repetition", "curate.measures.gopher_repetition", "GopherRepetition.__call__"),
    ("measures: c4", "curate.measures.c4", "C4.__call__"),
    ("measures: fineweb", "curate.measures.fineweb", "Fineweb.__call__"),
    ("measures: refinedweb", "curate.measures.refinedweb", "Refinedweb.__call__"),
    ("measures: domain_text", "curate.measures.domain_text", "DomainText.__call__"),
    ("language", "curate.language", "identify"),
    ("personal data", "curate.pii.find", "find"),
    ("exact keys", "curate.dedup.exact", "exact_keys"),
    ("MinHash signatures", "curate.dedup.minhash", "signatures"),
    ("write Parquet", "curate.passes.sift", "TableWriter.write"),
    ("read Parquet", "pyarrow.parquet", "ParquetFile.read_row_group"),
    ("rules", "curate.rules", "judge"),
    ("load the corpus", "curate.passes.decide", "Corpus.load"),
    ("duplicates", "curate.passes.decide", "Corpus.drop_duplicates"),
    ("splits", "curate.passes.decide", "Corpus.assign_splits"),
    ("n-gram index", "curate.passes.contaminate", "build_index"),
    ("n-gram scan", "curate.ngram_index", "NgramIndex.scan"),
    ("contamination: shared runs", "curate.contamination", "SharedRun.scan"),
    ("contamination: containment", "curate.contamination", "Containment.scan"),
    ("contamination: forms of writing", "curate.written_forms", "as_one_form"),
    ("boilerplate", "curate.passes.passages", "find_boilerplate"),
    ("boilerplate: passages", "curate.boilerplate", "Passages.of"),
    ("repeated spans", "curate.passes.repeated", "find_repeated"),
    ("repeated spans: anchors", "curate.dedup.anchors", "anchors"),
    ("certificate", "curate.passes.certify", "certify"),
    ("write decisions", "curate.passes.decide", "Corpus.write"),
    ("tokenise", "curate.tokenizing", "Tokenizer.encode"),
    ("write shards", "curate.passes.shard", "write_shard_file"),
    ("join shards", "curate.passes.shard", "join_shards"),
    ("the report's numbers", "pipelines.curated", "gather"),
    ("seal", "curate.shards.seal", "seal"),
)
IN_CHARGE = "in charge"
REST = "all else"
FUNCTIONS = 15


def main(line: list[str] | None = None) -> None:
    asked = parser(__doc__, mb=4)
    asked.add_argument("--workers", type=int, default=len(os.sched_getaffinity(0)), help="default: all cores")
    given = asked.parse_args(line)
    with tempfile.TemporaryDirectory() as at:
        folder = Path(at)
        train(folder, documents(given.data, given.mb))
        small = prepare(folder, "small", islice(documents(given.data, 1), 200), given.workers, given.data is None)
        work = prepare(folder, "raw", documents(given.data, given.mb), given.workers, given.data is None)
        ours(small)  # compiles what is not compiled yet
        tell(given, [by_stage(work), by_function(work), by_part(work)])


# -- by stage


def by_stage(work: Work) -> Table:
    wall, mb = wall_seconds(lambda: ours(work)), work.n_bytes / 1e6
    named = [(str(stage["stage"]), float(stage["seconds"])) for stage in stages(work.run)]
    named.append(("no stage: starting, sealing, numbers", wall - sum(seconds for _, seconds in named)))
    rows = [
        (name, f"{short(seconds)} s", short(mb / seconds), f"{seconds / wall:.1%}")
        for name, seconds in [*named, ("all", wall)]
    ]
    title = f"By stage, alone: {work.documents:,} documents, {mb:.1f} MB, {work.workers} workers, wall"
    return Table(title, ("stage", "seconds", "MB/s of raw text", "share"), tuple(rows))


# -- by function


def by_function(work: Work) -> Table:
    profile = cProfile.Profile(time.process_time)
    begun = time.process_time()
    with _quiet():
        profile.enable()
        _curated(work)
        profile.disable()
    spent = time.process_time() - begun
    found = [
        (own, calls, _place(*function))
        for function, (_, calls, own, _, _) in pstats.Stats(profile).stats.items()  # type: ignore[attr-defined]
    ]
    rows = [(place, f"{calls:,}", f"{own:.3f} s") for own, calls, place in sorted(found, reverse=True)[:FUNCTIONS]]
    title = f"By function, alone: the process in charge, {short(spent)} s of CPU"
    note = "Each function's own time under Python's profiler, which makes calls dearer; its imports count."
    return Table(title, ("function", "calls", "own CPU"), tuple(rows), (note,))


def _place(file: str, line: int, name: str) -> str:
    """Where a function stands, as short as it can be told apart."""
    parts = Path(file).parts
    for folder in ("curate", "pipelines", "site-packages"):
        if folder in parts:
            return f"{'/'.join(parts[parts.index(folder) + (folder == 'site-packages') :])}:{line} {name}"
    return name if file == "~" else f"{Path(file).name}:{line} {name}"


def _curated(work: Work) -> None:
    from pipelines.curation import curate
    from pipelines.recipe import load
    from pipelines.run import begin

    shutil.rmtree(work.run, ignore_errors=True)
    recipe = load(str(write_recipe(work)))
    curate(recipe, begin(recipe, work.folder / "runs"))


# -- by part


class Stopwatch:
    """CPU seconds by (pass, part), each without what it calls that is timed itself."""

    def __init__(self) -> None:
        self.seconds: dict[tuple[str, str], float] = defaultdict(float)
        self._running = [(IN_CHARGE, REST)]
        self._since = time.process_time()

    @contextmanager
    def timing(self, part: str, of: str | None = None) -> Iterator[None]:
        """`of`: the pass that begins. None: the one that is running."""
        self._book()
        self._running.append((of or self._running[-1][0], part))
        try:
            yield
        finally:
            self._book()
            self._running.pop()

    def _book(self) -> None:
        now = time.process_time()
        self.seconds[self._running[-1]] += now - self._since
        self._since = now

    def stop(self) -> dict[tuple[str, str], float]:
        self._book()
        return dict(self.seconds)

    def around(self, part: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, timed; of a generator, every step."""

        def timed(*args: Any, **named: Any) -> Any:
            with self.timing(part):
                result = function(*args, **named)
            return self._stepwise(part, result) if isinstance(result, Iterator) else result

        return timed

    def _stepwise(self, part: str, steps: Iterator[Any]) -> Iterator[Any]:
        over = object()
        while True:
            with self.timing(part):
                step = next(steps, over)
            if step is over:
                return
            yield step


def by_part(work: Work) -> Table:
    watch, mb = Stopwatch(), work.n_bytes / 1e6
    with _quiet(), _timed(watch), _in_one_process(watch):
        watch.seconds.clear()
        _curated(work)
    spent = watch.stop()
    whole = sum(spent.values())
    rows = []
    for name in dict.fromkeys(of for of, _ in spent):
        parts = sorted(((s, part) for (of, part), s in spent.items() if of == name), reverse=True)
        of_pass = sum(seconds for seconds, _ in parts)
        rows.append(
            (f"**{name}**", "", f"**{short(of_pass)} s**", f"**{short(mb / of_pass)}**", _share(of_pass, whole))
        )
        rows += [("", part, f"{short(s)} s", short(mb / s), _share(s, whole)) for s, part in parts if s / whole > 1e-3]
    title = f"By part, alone: {mb:.1f} MB through one process, {short(whole)} s of CPU"
    note = "Parts below 0.1 % are not listed."
    return Table(title, ("pass", "part", "own CPU", "MB/s of raw text", "share"), tuple(rows), (note,))


def _share(seconds: float, whole: float) -> str:
    return f"{seconds / whole:.1%}"


@contextmanager
def _timed(watch: Stopwatch) -> Iterator[None]:
    """Every part's function replaced by a timed one, wherever a module holds it, while the block runs."""
    importlib.import_module("pipelines.curation")  # holds what it calls by name
    undo: list[tuple[Any, str, Any]] = []
    for part, module, name in PARTS:
        owner: Any = importlib.import_module(module)
        *outer, last = name.split(".")
        for one in outer:
            owner = getattr(owner, one)
        before = owner.__dict__[last]
        undo += _replaced(owner, last, before, _around(watch, part, before, last), everywhere=not outer)
    try:
        yield
    finally:
        for owner, name, before in reversed(undo):
            setattr(owner, name, before)


def _around(watch: Stopwatch, part: str, before: Any, name: str) -> Any:
    if isinstance(before, cached_property):
        after = cached_property(watch.around(part, before.func))
        after.attrname = name
        return after
    if isinstance(before, classmethod):
        return classmethod(watch.around(part, before.__func__))
    return watch.around(part, before)


def _replaced(owner: Any, name: str, before: Any, after: Any, *, everywhere: bool) -> list[tuple[Any, str, Any]]:
    """(owner, name, what it held) of all that held it. `everywhere`: also modules that imported it by name."""
    holders = [owner]
    if everywhere:
        ours = [m for at, m in sys.modules.items() if at.partition(".")[0] in ("curate", "pipelines")]
        holders += [m for m in ours if m is not owner and m.__dict__.get(name) is before]
    for holder in holders:
        setattr(holder, name, after)
    return [(holder, name, before) for holder in holders]


@contextmanager
def _in_one_process(watch: Stopwatch) -> Iterator[None]:
    """Passes done here, one unit after another."""
    from curate import engine

    def run_pass(step: Any, *_: object) -> Any:
        for rank in range(step.tasks):
            with watch.timing(REST, of=step.name):
                deque(step.run(rank=rank), maxlen=0)
        return engine.how_far(step.engine)

    before = engine.run_pass
    undo = _replaced(engine, "run_pass", before, run_pass, everywhere=True)
    try:
        yield
    finally:
        for owner, name, held in undo:
            setattr(owner, name, held)


@contextmanager
def _quiet() -> Iterator[None]:
    """Nothing on stderr, of this process and those it starts: progress bars talk there."""
    was, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(was, 2)
        os.close(was)
        os.close(nowhere)


if __name__ == "__main__":
    main()
