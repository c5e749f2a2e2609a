"""Memory of `postgrad curate` as the input grows: all processes together, stage by stage.

    python -m benchmarks.memory --data ../shared/data --gb 0.5 1 2 5 --keep found.jsonl

For each size a corpus of that many bytes of text (benchmarks/corpus.py) is written as .jsonl.zst and curated with
everything on. Five times a second the proportional set size of the command and of every process below it is read from
/proc/*/smaps_rollup and added up: pages that processes share count once, pages of files they look into count too. A
sample belongs to the stage that stages.jsonl names next. Sizes that stand in `--keep` are not run again, so that large
ones can have a call of their own. Linux only.

What is said at the end: the largest peak over the smallest, and bytes per document beyond the constant, from the
smallest and the largest size.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from subprocess import PIPE, Popen

from benchmarks.contest import DATA, Table, parser, short, tell
from benchmarks.corpus import documents
from benchmarks.curation import ROOT, prepare, stages, train, write_recipe

EVERY = 0.2  # seconds
AFTER = "the rest"  # of a run, behind the last stage that it names


@dataclass(slots=True)
class Found:
    """Of one size."""

    gb: float
    documents: int = 0
    seconds: float = 0
    stages: dict[str, tuple[int, int]] = field(default_factory=dict)
    """Largest sum of bytes in each stage: all pages, and those of no file."""
    largest_process: int = 0
    """Resident bytes, by the run's own account."""

    @property
    def peak(self) -> int:
        return max(pages for pages, _ in self.stages.values())

    @property
    def peak_of_no_file(self) -> int:
        return max(pages for _, pages in self.stages.values())


def main(line: list[str] | None = None) -> None:
    asked = parser(__doc__)
    asked.add_argument("--data", type=Path, help=DATA)
    asked.add_argument("--gb", type=float, nargs="+", default=[0.01, 0.02], help="sizes, 10^9 bytes of text each")
    asked.add_argument("--keep", type=Path, help="file of found sizes, read and added to")
    asked.add_argument("--workers", type=int, default=len(os.sched_getaffinity(0)), help="default: all cores")
    given = asked.parse_args(line)
    found = {one.gb: one for one in _kept(given.keep)}
    for gb in given.gb:
        if gb not in found:
            found[gb] = measure(given.data, gb, given.workers)
            if given.keep:
                with given.keep.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(asdict(found[gb])) + "\n")
    tell(given, [by_size(list(found.values())), by_stage(list(found.values()))])


def _kept(path: Path | None) -> Iterator[Found]:
    if path and path.exists():
        yield from (Found(**json.loads(line)) for line in path.read_text(encoding="utf-8").splitlines())


def measure(data: Path | None, gb: float, workers: int) -> Found:
    with tempfile.TemporaryDirectory() as at:
        folder = Path(at)
        train(folder, documents(data, min(4, gb * 1e3)))
        work = prepare(folder, "raw", documents(data, gb * 1e3), workers, data is None)
        recipe, begun = write_recipe(work), time.perf_counter()
        words = [sys.executable, "-m", "pipelines", "curate", str(recipe), "--runs", str(folder / "runs")]
        with Popen(words, cwd=ROOT, stdout=PIPE, stderr=PIPE, text=True) as run, _watched(run.pid, work.run) as peaks:
            _, talk = run.communicate()
        seconds = time.perf_counter() - begun
        if run.returncode:
            raise SystemExit(f"curate ended with {run.returncode}:\n{talk[-5_000:]}")
        named = stages(work.run)
        shutil.rmtree(work.run)
    largest = max(int(stage.get("peak_bytes", 0)) for stage in named)
    order = [str(stage["stage"]) for stage in named] + [AFTER]
    by_name: dict[str, tuple[int, int]] = {}
    for number, (pages, of_no_file) in sorted(peaks.items()):
        name = order[min(number, len(order) - 1)]
        before = by_name.get(name, (0, 0))
        by_name[name] = max(before[0], pages), max(before[1], of_no_file)
    return Found(gb, work.documents, seconds, by_name, largest)


# -- watching


@contextmanager
def _watched(pid: int, run: Path) -> Iterator[dict[int, tuple[int, int]]]:
    """Largest (pages, pages of no file) in bytes, by how many stages were over."""
    peaks: dict[int, tuple[int, int]] = defaultdict(lambda: (0, 0))
    over = threading.Event()

    def watch() -> None:
        while not over.wait(EVERY):
            done = _lines(run / "stages.jsonl")
            pages, of_no_file = tree_bytes(pid)
            before = peaks[done]
            peaks[done] = max(before[0], pages), max(before[1], of_no_file)

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield peaks
    finally:
        over.set()
        watcher.join()


def _lines(path: Path) -> int:
    try:
        return path.read_bytes().count(b"\n")
    except FileNotFoundError:
        return 0


def tree_bytes(pid: int) -> tuple[int, int]:
    """Proportional set size of a process and all below it: (all pages, those of no file)."""
    below: dict[int, list[int]] = defaultdict(list)
    for entry in os.scandir("/proc"):
        if entry.name.isdigit() and (parent := _parent(entry.name)):
            below[parent].append(int(entry.name))
    pages, of_no_file, waiting = 0, 0, [pid]
    while waiting:
        one = waiting.pop()
        waiting += below[one]
        told = _rollup(one)
        pages += told.get("Pss", 0)
        of_no_file += told.get("Pss_Anon", 0) + told.get("Pss_Shmem", 0)
    return pages, of_no_file


def _parent(pid: str) -> int | None:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:  # it ended
        return None
    return int(stat.rpartition(")")[2].split()[1])  # the name in brackets may hold spaces


def _rollup(pid: int) -> dict[str, int]:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
    except OSError:
        return {}
    return {name: int(rest.split()[0]) * 1024 for name, _, rest in (line.partition(":") for line in lines)}


# -- tables


def by_size(found: Sequence[Found]) -> Table:
    found = sorted(found, key=lambda one: one.gb)
    least, most = found[0], found[-1]
    rows = [
        (f"{one.gb:g} GB", f"{one.documents:,}", f"{one.seconds:.0f} s", _mb(one.peak), _mb(one.peak_of_no_file),
         _mb(one.largest_process))
        for one in found
    ]  # fmt: skip
    spread = max(one.peak for one in found) / min(one.peak for one in found)
    notes = [f"Largest peak over smallest: {spread:.2f}."]
    if most.documents > least.documents:
        more = (most.peak - least.peak) / (most.documents - least.documents)
        notes.append(f"Beyond the constant, from {least.gb:g} to {most.gb:g} GB: {more:.0f} bytes a document.")
    head = ("text", "documents", "took", "peak, all processes", "of it in no file", "largest process")
    return Table("Memory of a curation, everything on, alone", head, tuple(rows), tuple(notes))


def by_stage(found: Sequence[Found]) -> Table:
    found = sorted(found, key=lambda one: one.gb)
    names = list(dict.fromkeys(name for one in found for name in one.stages))
    rows = [(name, *(_mb(one.stages[name][0]) if name in one.stages else "" for one in found)) for name in names]
    note = "MB of all processes together. A stage shorter than a fifth of a second may have had no sample."
    return Table("Peak by stage, alone", ("stage", *(f"{one.gb:g} GB" for one in found)), tuple(rows), (note,))


def _mb(n_bytes: int) -> str:
    return f"{short(n_bytes / 1e6)} MB"


if __name__ == "__main__":
    main()
