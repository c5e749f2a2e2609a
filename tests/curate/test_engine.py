"""Passes in processes of this machine: every task done once, none forgotten, trouble reaches the user as it was."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from working import STEPS, UNITS, Working, made, new_place, order, quiet

from curate.engine import Pass, Progress, Tally, Where, cores, how_far, run_pass
from curate.shards.fault import Fault

TASKS = 5
HERE = Path(__file__).parent


class Counting(Pass):
    """Notes every time a unit is done; fails at the units that a file in `broken` names."""

    name = "count"

    def __init__(self, folder: Path, tasks: int = TASKS) -> None:
        super().__init__(folder, tasks)
        self.broken = folder.parent / "broken"

    def unit(self, rank: int, tally: Tally) -> None:
        tally.add(documents=rank, n_bytes=10 * rank)
        if (self.broken / str(rank)).exists():
            raise Fault(f"unit {rank} is broken", where=f"file-{rank}", hint="mend it")
        if (self.broken / f"bug-{rank}").exists():
            raise ZeroDivisionError("a bug of ours")
        with (self.folder / f"done-{rank}").open("a") as file:
            file.write("x")
        tally.add(documents=1, n_bytes=1)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "broken").mkdir()
    return new_place(tmp_path)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What the working pass makes when nothing happens to it."""
    place = new_place(tmp_path_factory.mktemp("undisturbed"))
    run_pass(Working(place / "made"), 2, quiet)
    assert len(made(place)) == UNITS
    return made(place)


def times_done(place: Path) -> dict[str, int]:
    return {path.name: len(path.read_text()) for path in sorted((place / "made").glob("done-*"))}


ONCE = {f"done-{rank}": 1 for rank in range(TASKS)}


@pytest.mark.parametrize("workers", [1, 2, 16])
def test_every_task_is_done_once_and_the_tallies_sum(place: Path, workers: int) -> None:
    done = run_pass(Counting(place / "made"), workers, quiet)
    assert times_done(place) == ONCE
    assert (done.documents, done.n_bytes, done.tasks) == (0 + 1 + 2 + 3 + 4 + TASKS, 100 + TASKS, TASKS)
    assert done.peak_bytes > 1 << 20


@pytest.mark.parametrize("workers", [1, 2])
def test_a_fault_in_a_worker_reaches_the_user_as_the_same_fault(place: Path, workers: int) -> None:
    (place / "broken" / "3").touch()
    with pytest.raises(Fault) as caught:
        run_pass(Counting(place / "made"), workers, quiet)
    assert (caught.value.what, caught.value.where, caught.value.hint) == ("unit 3 is broken", "file-3", "mend it")


@pytest.mark.parametrize("workers", [1, 2])
def test_a_bug_in_a_worker_is_not_taken_for_a_fault_of_the_users(place: Path, workers: int) -> None:
    (place / "broken" / "bug-1").touch()
    with pytest.raises(ZeroDivisionError, match="a bug of ours"):
        run_pass(Counting(place / "made"), workers, quiet)


@pytest.mark.parametrize("workers", [1, 2])
def test_only_the_tasks_that_did_not_end_are_done_again(place: Path, workers: int) -> None:
    (place / "broken" / "3").touch()
    with pytest.raises(Fault):
        run_pass(Counting(place / "made"), workers, quiet)
    before = times_done(place)
    assert "done-3" not in before
    assert before
    (place / "broken" / "3").unlink()
    done = run_pass(Counting(place / "made"), Where("local", workers), quiet)
    assert times_done(place) == ONCE
    assert (done.documents, done.tasks) == (10 + TASKS, TASKS)


def test_a_task_without_its_marker_is_done_again(place: Path) -> None:
    run_pass(Counting(place / "made"), 1, quiet)
    markers = sorted((place / "made").rglob("completions/*"))
    assert len(markers) == TASKS
    markers[2].unlink()  # a killed task has written what it has written, and no marker
    run_pass(Counting(place / "made"), 1, quiet)
    assert times_done(place) == {**ONCE, "done-2": 2}


def test_progress_is_reported_to_its_end(place: Path) -> None:
    seen: list[tuple[str, int, int]] = []
    run_pass(Counting(place / "made"), 1, lambda name, done, tasks: seen.append((name, done.tasks, tasks)))
    assert seen[-1] == ("count", TASKS, TASKS)


def test_a_pass_of_no_tasks_does_nothing(place: Path) -> None:
    assert run_pass(Counting(place / "made", tasks=0), 2, quiet) == Progress()
    assert times_done(place) == {}


def test_a_tally_that_is_being_written_is_passed_over(place: Path) -> None:
    step = Counting(place / "made")
    run_pass(step, 1, quiet)
    (step.engine / "tally" / "00000").write_bytes(b"half")
    assert how_far(step.engine).documents == 10 + TASKS - 1


def test_worker_counts() -> None:
    assert cores(3) == 3
    assert cores("auto") >= 1


# -- killed


@pytest.mark.parametrize("task", [0, UNITS - 1])  # the last one: no other result wakes the process that waits
@pytest.mark.parametrize("workers", [1, 2])
def test_a_worker_that_is_killed_is_missed_and_its_task_done_again(
    place: Path, undisturbed: dict[str, str], task: int, workers: int
) -> None:
    order(place, task, 2, "die")
    with pytest.raises(Fault, match=rf"task {task} of pass 'work' was killed.*want of memory") as fault:
        run_pass(Working(place / "made"), workers, quiet)
    assert "engine.workers" in fault.value.hint
    assert fault.value.where == f"raw/part-{task}.jsonl"
    assert run_pass(Working(place / "made"), workers, quiet).tasks == UNITS
    assert made(place) == undisturbed


def test_a_worker_that_crashes_is_told_from_one_that_was_killed(place: Path) -> None:
    order(place, 1, 0, "crash")
    with pytest.raises(Fault, match=r"crashed \(SIGSEGV\)"):
        run_pass(Working(place / "made"), 2, quiet)


def test_kill_9_at_any_moment_of_any_task_changes_no_byte(place: Path, undisturbed: dict[str, str]) -> None:
    moments = [(rank, step) for rank in range(UNITS) for step in range(STEPS + 1)]
    random.Random(7).shuffle(moments)
    kills = 0
    for rank, step in moments:
        order(place, rank, step, "die")
        if any((place / "made").rglob(f"completions/{rank:05d}")):
            (place / "made" / f"unit-{rank}.parquet").unlink()  # done in an earlier turn: have it done anew
            next((place / "made").rglob(f"completions/{rank:05d}")).unlink()
        try:
            run_pass(Working(place / "made"), 2, quiet)
        except Fault as fault:
            kills += "was killed" in fault.what
    assert kills >= 20
    assert run_pass(Working(place / "made"), 2, quiet).tasks == UNITS
    assert made(place) == undisturbed
    assert not list((place / "made").glob(".unit*"))


# -- the process that waits is ended, in a program of its own

PROGRAM = """
import os, sys
sys.path[:0] = [{here!r}, {root!r}]
from multiprocessing import forkserver
from pathlib import Path
from working import Working, quiet
from curate.engine import Pass, run_pass
import curate.engines.local as local

local.start_server = lambda: forkserver.set_forkserver_preload([])  # these workers need none of what it brings
place = Path({place!r})
(place / "orders" / "parent").write_text(str(os.getpid()))
{more}
"""


def start(place: Path, more: str = "run_pass(Working(place / 'made'), 2, quiet)") -> subprocess.Popen[str]:
    program = PROGRAM.format(here=str(HERE), root=str(HERE.parent.parent), place=str(place), more=textwrap.dedent(more))
    (place / "program.py").write_text(program)
    command = [sys.executable, str(place / "program.py")]
    # its own session, so that a signal to the group is what a terminal sends
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True)


def end_of(program: subprocess.Popen[str]) -> str:
    """What it said. Every process it started holds the pipe too: that it ends means that none of them is left."""
    return program.communicate(timeout=60)[1]


@pytest.mark.parametrize(("rank", "step"), [(0, 0), (1, 3), (2, 1), (3, STEPS), (4, 2)])
def test_workers_die_with_the_process_that_was_killed_and_a_rerun_goes_on(
    place: Path, undisturbed: dict[str, str], rank: int, step: int
) -> None:
    order(place, rank, step, "orphan")
    program = start(place)
    run = end_of(program)
    assert program.returncode == -signal.SIGKILL
    assert "Traceback" not in run
    assert not any((place / "made").rglob(f"completions/{rank:05d}"))
    assert run_pass(Working(place / "made"), 2, quiet).tasks == UNITS
    assert made(place) == undisturbed


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_and_sigterm_leave_no_process_behind_and_a_rerun_goes_on(
    place: Path, undisturbed: dict[str, str], ending: signal.Signals
) -> None:
    os.mkfifo(place / "at-work")
    order(place, 1, 1, f"wait {place / 'at-work'}")
    program = start(place)
    with (place / "at-work").open() as at_work:  # opens when the task does
        os.killpg(program.pid, ending)
        assert at_work.read() == ""  # ends when the task's process does
    said = end_of(program)
    assert program.returncode == -ending
    assert said.count("Traceback") == (1 if ending == signal.SIGINT else 0)  # the command line keeps that one to itself
    assert run_pass(Working(place / "made"), 2, quiet).tasks == UNITS
    assert made(place) == undisturbed


def test_a_bug_of_ours_shows_the_traceback_of_its_task_once(place: Path) -> None:
    for rank in range(UNITS):
        order(place, rank, 0, "bug")
    said = end_of(start(place))
    assert said.count("working.py") == 2  # the unit and what it called
    assert said.count("raise ZeroDivisionError") == 1
    assert said.rstrip().splitlines()[-1].startswith("ZeroDivisionError: a bug of ours in task")


def test_a_pass_may_be_defined_in_a_script_that_guards_nothing(place: Path) -> None:
    script = """
        HELLO = "hello"
        def greet(rank):
            return f"{HELLO} {rank}"
        class Mine(Pass):
            name = "mine"
            def unit(self, rank, tally):
                (self.folder / f"done-{rank}").write_text(greet(rank))
        with (place / "times").open("a") as times:
            times.write("x")
        run_pass(Mine(place / "made", 3), 2, quiet)
    """
    program = start(place, script)
    assert end_of(program) == ""
    assert program.returncode == 0
    assert [(place / "made" / f"done-{rank}").read_text() for rank in range(3)] == ["hello 0", "hello 1", "hello 2"]
    assert (place / "times").read_text() == "x"  # workers that import their caller would run it again


# -- the machine fails


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full, a disk that is always full")
def test_a_full_disk_is_a_fault_and_the_run_goes_on_once_there_is_room(
    place: Path, undisturbed: dict[str, str]
) -> None:
    order(place, 2, 1, "fill")
    with pytest.raises(Fault, match="the disk is full: No space left on device") as fault:
        run_pass(Working(place / "made"), 2, quiet)
    assert "make room" in fault.value.hint
    run_pass(Working(place / "made"), 2, quiet)
    assert made(place) == undisturbed


def test_a_disk_that_fills_under_the_engines_own_files_is_the_same_fault(
    place: Path, undisturbed: dict[str, str]
) -> None:
    limit = """
        import resource
        from curate.shards.fault import Fault
        Path(place / "made" / "_engine").mkdir()
        resource.setrlimit(resource.RLIMIT_FSIZE, (10, 10))
        try:
            run_pass(Working(place / "made"), 2, quiet)
        except Fault as fault:
            sys.exit(str(fault))
    """
    said = end_of(start(place, limit))
    assert "a file grew larger than the system allows" in said
    assert "hint: make room" in said
    assert "Traceback" not in said
    run_pass(Working(place / "made"), 2, quiet)
    assert made(place) == undisturbed


def test_an_input_that_went_away_is_a_fault_that_names_it(place: Path, undisturbed: dict[str, str]) -> None:
    gone = place / "raw.jsonl"
    order(place, 3, 0, f"read {gone}")
    with pytest.raises(Fault, match="a file went away") as fault:
        run_pass(Working(place / "made"), 2, quiet)
    assert fault.value.where == str(gone)
    run_pass(Working(place / "made"), 2, quiet)
    assert made(place) == undisturbed
