"""Passes through datatrove's executor: every task done once, none forgotten, faults reach the user as they were."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from curate.engine import Pass, Progress, Tally, cores, how_far, run_pass
from curate.shards.fault import Fault

TASKS = 5


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
        if (self.broken / f"kill-{rank}").exists():
            os.kill(os.getpid(), signal.SIGKILL)
        with (self.folder / f"done-{rank}").open("a") as file:
            file.write("x")
        tally.add(documents=1, n_bytes=1)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "broken").mkdir()
    (tmp_path / "made").mkdir()
    return tmp_path


def quiet(name: str, done: Progress, tasks: int) -> None:
    pass


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
    done = run_pass(Counting(place / "made"), workers, quiet)
    assert times_done(place) == ONCE
    assert (done.documents, done.tasks) == (10 + TASKS, TASKS)


def test_a_task_that_was_killed_is_done_again(place: Path) -> None:
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


@pytest.mark.parametrize("task", [0, TASKS - 1])  # the last one: no other result wakes the process that waits
def test_a_worker_that_is_killed_is_missed_and_its_task_done_again(place: Path, task: int) -> None:
    (place / "broken" / f"kill-{task}").touch()
    with pytest.raises(Fault, match=f"task {task} of pass 'count' was killed") as fault:
        run_pass(Counting(place / "made"), 2, quiet)
    assert "engine.workers" in fault.value.hint
    (place / "broken" / f"kill-{task}").unlink()
    assert run_pass(Counting(place / "made"), 2, quiet).tasks == TASKS
    assert times_done(place) == ONCE
