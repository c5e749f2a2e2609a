"""A contest: the same work for everyone, turn by turn in one run, and a table that says who took how long.

    work         1,204 documents, 4.0 MB: all Gopher measures and verdicts
    same work    1,204 verdicts, 1,201 equal, 3 differ where meant

    | who                  | median of 3 | from - to       | MB/s | ours is |
    |----------------------|-------------|-----------------|------|---------|
    | ours                 | 0.050 s     | 0.050 - 0.052 s | 80.0 |         |
    | peer                 | 4.00 s      | 3.90 - 4.20 s   | 1.0  | × 80    |

Everyone warms up first, untimed (compilation, caches, imports). Then rounds: in each, everyone has one turn, in an
order that moves on by one place a round, so that a busy spell of the machine hits nobody alone. The median counts.
Where the work is one thread's, the clock is the CPU's, which does not run while others have the core; else it is the
wall's. Where a peer would take too long it has fewer turns, or a part of the same work: its row says so, and speeds are
compared, not seconds.

A program checks that both sides did the same work before it calls `tell`; `Unequal` says they did not, and nothing is
printed as a result.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

LEAST_SECONDS = 0.2  # of a turn
DATA = "JSONL file, or folder such as ../shared/data; else generated text"


class Unequal(Exception):
    """The sides did not do the same work, so their times say nothing."""


@dataclass(frozen=True, slots=True)
class Entrant:
    name: str
    run: Callable[[], float]
    """Does the work; gives the seconds it takes once."""
    warm_up: Callable[[], object]
    at_most: int | None = None
    """Turns. None: as many as there are rounds."""
    part: float | None = None
    """How much of the work it does, in the outcome's unit. None: all."""


@dataclass(frozen=True, slots=True)
class Turns:
    """Of one entrant: the seconds of each round."""

    name: str
    seconds: tuple[float, ...]
    part: float | None = None
    """How much of the work that was, in the outcome's unit. None: all."""

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)


@dataclass(frozen=True, slots=True)
class Outcome:
    work: str
    unit: str
    amount: float
    """Of work, in that unit, the same for everyone."""
    clock: str
    turns: tuple[Turns, ...]
    """Ours first."""
    same_work: str
    notes: tuple[str, ...] = ()

    def speed(self, turns: Turns) -> float:
        """Of an entrant, in the unit per second."""
        return (self.amount if turns.part is None else turns.part) / turns.median


@dataclass(frozen=True, slots=True)
class Table:
    """A result that is no contest: what was found of us alone."""

    title: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...] = ()


Result = Outcome | Table


def cpu_seconds(work: Callable[[], object]) -> float:
    """Of one run of the work: fast work is repeated until a turn is long enough to be timed."""
    begun, runs = time.process_time(), 0
    while runs == 0 or time.process_time() - begun < LEAST_SECONDS:
        work()
        runs += 1
    return (time.process_time() - begun) / runs


def wall_seconds(work: Callable[[], object]) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def hold(entrants: Sequence[Entrant], rounds: int) -> tuple[Turns, ...]:
    """Everyone's seconds, in the order of `entrants`."""
    for entrant in entrants:
        entrant.warm_up()
    seconds: dict[str, list[float]] = {entrant.name: [] for entrant in entrants}
    for number in range(rounds):
        first = number % len(entrants)
        for entrant in (*entrants[first:], *entrants[:first]):
            if entrant.at_most is None or number < entrant.at_most:
                seconds[entrant.name].append(entrant.run())
    return tuple(Turns(entrant.name, tuple(seconds[entrant.name]), entrant.part) for entrant in entrants)


# -- the command line that all programs share


def parser(story: str | None, *, mb: float | None = None, rounds: int = 3) -> argparse.ArgumentParser:
    """`mb`: default size of the text, for programs that take text."""
    asked = argparse.ArgumentParser(description=(story or "").splitlines()[0])
    if mb is not None:
        asked.add_argument("--data", type=Path, help=DATA)
        asked.add_argument("--mb", type=float, default=mb, help="text that everyone works on (default: %(default)s)")
    asked.add_argument("--rounds", type=int, default=rounds, help="turns that each has (default: %(default)s)")
    asked.add_argument("--json", type=Path, help="write the results there too")
    return asked


def tell(given: argparse.Namespace, results: Sequence[Result]) -> None:
    for result in results:
        print(in_words(result))
    print(machine())
    if given.json:
        given.json.write_text(json.dumps([asdict(result) for result in results], indent=1), encoding="utf-8")


def from_json(found: dict[str, Any]) -> Result:
    if "head" in found:
        rows = tuple(tuple(row) for row in found["rows"])
        return Table(found["title"], tuple(found["head"]), rows, tuple(found["notes"]))
    turns = tuple(Turns(one["name"], tuple(one["seconds"]), one.get("part")) for one in found["turns"])
    return Outcome(**{**found, "turns": turns, "notes": tuple(found["notes"])})


def in_words(result: Result) -> str:
    """A result as Markdown."""
    notes = ["", *(f"- {note}" for note in result.notes), ""]
    if isinstance(result, Table):
        return "\n".join([f"**{result.title}**", "", *table(result.head, result.rows), *notes])
    rounds = len(result.turns[0].seconds)
    head = ("who", f"median of {rounds}, {result.clock}", "from - to", f"{result.unit}/s", "ours is")
    said = [f"**{result.work}**", "", f"Same work: {result.same_work}.", ""]
    return "\n".join([*said, *table(head, [_row(result, turns) for turns in result.turns]), *notes])


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    return [f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *rows)]


def _row(outcome: Outcome, turns: Turns) -> tuple[str, ...]:
    ours = outcome.turns[0]
    asides = [f"on {short(turns.part)} {outcome.unit}"] if turns.part is not None else []
    asides += [_times(len(turns.seconds))] if len(turns.seconds) < len(ours.seconds) else []
    name = turns.name + (f" ({', '.join(asides)})" if asides else "")
    span = f"{short(min(turns.seconds))} - {short(max(turns.seconds))} s"
    speed = outcome.speed(turns)
    ratio = "" if turns.name.startswith("ours") else f"× {short(outcome.speed(ours) / speed)}"
    return name, f"{short(turns.median)} s", span, short(speed), ratio


def _times(turns: int) -> str:
    return "once" if turns == 1 else f"{turns} times"


def machine() -> str:
    """Processor, cores, how busy they are, and the versions that matter, in one line."""
    packages = ("numpy", "numba", "pyarrow", "datatrove", "datasketch", "rensa", "datasets", "torch", "transformers")
    found = ", ".join(f"{name} {_version(name)}" for name in packages if _version(name))
    busy = f" (load average {os.getloadavg()[0]:.1f})" if hasattr(os, "getloadavg") else ""
    return f"Machine: {_processor()}, {_cores()} cores{busy}; Python {platform.python_version()}, {found}"


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text(encoding="utf-8").splitlines() if cpuinfo.is_file() else []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.processor() or platform.machine())


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def short(number: float) -> str:
    """Three digits that count: more would be noise.

    >>> short(0.01234), short(5.678), short(1234567)
    ('0.0123', '5.68', '1,230,000')
    """
    if number >= 1000:
        digits = len(str(int(number))) - 3
        return f"{round(number, -digits):,.0f}"
    return f"{number:#.3g}".rstrip(".")
