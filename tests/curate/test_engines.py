"""Passes on Ray and on Slurm: the same bytes as here, the same faults, nothing lost where a process or node is.

Ray runs for real: a cluster of two nodes' processes on this machine, one core each. Slurm runs by its submission: a
stub `sbatch` reads the script that is generated and does the task array (tests/slurm_stub.py).
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import slurm_stub
from working import STEPS, UNITS, Nodes, Working, made, new_place, order, quiet

from curate.engine import Where, ready, run_pass
from curate.engines.jobs import SlurmJobs
from curate.shards.fault import Fault

LOCAL = Where("local", workers=2)
SLURM = Where("slurm", slurm=SlurmJobs(tasks_per_job=2, longest_wait=0.1))


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return new_place(tmp_path / "a place")


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    place = new_place(tmp_path_factory.mktemp("undisturbed"))
    run_pass(Working(place / "made"), LOCAL, quiet)
    assert len(made(place)) == UNITS
    return made(place)


@pytest.fixture(scope="module")
def ray_nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Where]:
    """A cluster of two nodes; whatever becomes of the tests, its processes end with them."""
    pytest.importorskip("ray", reason="Ray is not installed: pip install 'postgrad[ray]'")
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    os.environ["PYTHONPATH"] = os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])
    from ray.cluster_utils import Cluster

    small = {"num_cpus": 1, "object_store_memory": 80 << 20, "include_dashboard": False}
    cluster = Cluster(initialize_head=True, head_node_args=small)
    try:
        cluster.add_node(num_cpus=1, object_store_memory=80 << 20)
        cluster.wait_for_nodes(timeout=60)
        where = Where("ray", workers=4, address=cluster.address)
        with ready(where):
            yield where
    finally:
        cluster.shutdown()


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")]))
    return slurm_stub.install(tmp_path / "slurm", monkeypatch)


# -- Ray


def test_ray_makes_the_same_bytes(place: Path, ray_nodes: Where, undisturbed: dict[str, str]) -> None:
    done = run_pass(Working(place / "made"), ray_nodes, quiet)
    assert made(place) == undisturbed
    assert (done.tasks, done.documents) == (UNITS, 50 * STEPS * UNITS)


def test_both_nodes_of_the_ray_cluster_work(place: Path, ray_nodes: Where) -> None:
    import ray

    assert len(ray.nodes()) == 2
    run_pass(Nodes(place / "made", 30), ray_nodes, quiet)
    assert len({(place / "made" / f"node-of-{rank}").read_text() for rank in range(30)}) == 2


def test_a_ray_worker_that_is_killed_is_replaced_and_its_task_done_again(
    place: Path, ray_nodes: Where, undisturbed: dict[str, str]
) -> None:
    for rank, step in [(0, 1), (2, STEPS), (4, 0)]:
        order(place, rank, step, "die")
    run_pass(Working(place / "made"), ray_nodes, quiet)
    assert not list((place / "orders").iterdir())  # each of them died once
    assert made(place) == undisturbed


def test_a_task_that_kills_every_ray_worker_is_a_fault(place: Path, ray_nodes: Where) -> None:
    for step in range(STEPS):
        order(place, 3, step, "die")
    with pytest.raises(Fault, match="task 3 of pass 'work' was lost 3 times") as fault:
        run_pass(Working(place / "made"), ray_nodes, quiet)
    assert fault.value.where == "raw/part-3.jsonl"


def test_a_fault_comes_back_from_ray_as_it_was_and_the_run_goes_on(
    place: Path, ray_nodes: Where, undisturbed: dict[str, str]
) -> None:
    order(place, 1, 1, f"read {place / 'gone'}")
    with pytest.raises(Fault, match="a file went away") as fault:
        run_pass(Working(place / "made"), ray_nodes, quiet)
    assert fault.value.where == str(place / "gone")
    run_pass(Working(place / "made"), ray_nodes, quiet)
    assert made(place) == undisturbed


def test_a_bug_comes_back_from_ray_with_the_traceback_of_its_task(place: Path, ray_nodes: Where) -> None:
    order(place, 2, 0, "bug")
    with pytest.raises(ZeroDivisionError, match="in task 2") as bug:
        run_pass(Working(place / "made"), ray_nodes, quiet)
    assert str(bug.value.__cause__).count("raise ZeroDivisionError") == 1


def test_ray_workers_die_with_the_process_that_was_killed_and_any_engine_goes_on(
    place: Path, undisturbed: dict[str, str]
) -> None:
    pytest.importorskip("ray", reason="Ray is not installed: pip install 'postgrad[ray]'")
    os.mkfifo(place / "at-work")
    order(place, 1, 1, f"wait {place / 'at-work'}")
    code = f"""
from pathlib import Path
from working import Working, quiet
from curate.engine import Where, run_pass
run_pass(Working(Path({str(place / "made")!r})), Where("ray", workers=2), quiet)
"""
    paths = os.pathsep.join([str(Path(__file__).parent), os.getcwd()])
    program = subprocess.Popen([sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": paths})
    with (place / "at-work").open() as at_work:  # opens when the task is at work
        program.kill()
        run_pass(Working(place / "made"), LOCAL, quiet)  # at once: it waits for the task that is still at work
        assert at_work.read() == ""  # which is gone
    assert program.wait() == -signal.SIGKILL
    assert made(place) == undisturbed


def test_an_address_where_no_ray_cluster_is_is_a_fault(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ray = pytest.importorskip("ray", reason="Ray is not installed: pip install 'postgrad[ray]'")
    monkeypatch.setattr(ray, "is_initialized", lambda: False)  # as in a process of its own
    for address in ("127.0.0.1:1", "ray://127.0.0.1:1"):
        with pytest.raises(Fault, match="no Ray cluster answers") as fault:
            run_pass(Working(place / "made"), Where("ray", address=address), quiet)
        assert fault.value.where == f"engine.address = {address}"


def test_ray_that_is_not_installed_is_a_fault(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(Fault, match="Ray is not installed") as fault:
        run_pass(Working(place / "made"), Where("ray"), quiet)
    assert "postgrad[ray]" in fault.value.hint


# -- Slurm


def test_slurm_makes_the_same_bytes(place: Path, slurm: Path, undisturbed: dict[str, str]) -> None:
    jobs = SlurmJobs("big", "00:10:00", mem_gb=3, tasks_per_job=2, options={"account": "proj42"}, setup="module load x")
    done = run_pass(Working(place / "made"), Where("slurm", workers=7, slurm=jobs), quiet)
    assert made(place) == undisturbed
    assert (done.tasks, done.documents) == (UNITS, 50 * STEPS * UNITS)
    script = (slurm / "script.sh").read_text()
    asked = dict(re.findall(r"^#SBATCH --([\w-]+)=(.*)$", script, re.M))
    assert asked["array"] == "0-2%7"  # 5 tasks, 2 a job
    assert (asked["partition"], asked["time"], asked["mem-per-cpu"], asked["account"]) == (
        "big",
        "00:10:00",
        "3G",
        "proj42",
    )
    assert "module load x" in script
    assert (slurm / "asked").read_text().count("sbatch") == 1  # nothing beside the array


def test_faults_and_bugs_come_back_from_slurm_as_they_were(
    place: Path, slurm: Path, undisturbed: dict[str, str]
) -> None:
    order(place, 1, 1, f"read {place / 'gone'}")
    with pytest.raises(Fault, match="a file went away") as fault:
        run_pass(Working(place / "made"), SLURM, quiet)
    assert fault.value.where == str(place / "gone")
    assert "scancel 4711" in (slurm / "asked").read_text()
    order(place, 0, 0, "bug")
    for marker in (place / "made").rglob("completions/00000"):
        marker.unlink()
    with pytest.raises(ZeroDivisionError, match="in task 0") as bug:
        run_pass(Working(place / "made"), SLURM, quiet)
    assert str(bug.value.__cause__).count("raise ZeroDivisionError") == 1
    run_pass(Working(place / "made"), SLURM, quiet)
    assert made(place) == undisturbed


def test_a_slurm_task_that_was_killed_is_a_fault_naming_its_log(
    place: Path, slurm: Path, undisturbed: dict[str, str]
) -> None:
    order(place, 2, 1, "die")
    with pytest.raises(Fault, match="task 2 of pass 'work' is gone, and 2 of 5 tasks are not done") as fault:
        run_pass(Working(place / "made"), SLURM, quiet)
    log = Path(fault.value.where.partition(", log ")[2])
    assert log.name == "4711_1.out"
    assert "Killed" in log.read_text()
    assert "mem_gb" in fault.value.hint
    run_pass(Working(place / "made"), SLURM, quiet)
    assert made(place) == undisturbed


def test_a_node_that_went_away_is_a_fault_and_only_its_tasks_are_submitted_again(
    place: Path, slurm: Path, undisturbed: dict[str, str]
) -> None:
    (slurm / "lose").write_text("1")
    with pytest.raises(Fault, match="2 of 5 tasks are not done"):
        run_pass(Working(place / "made"), SLURM, quiet)
    (slurm / "lose").unlink()
    run_pass(Working(place / "made"), SLURM, quiet)
    assert "array=0-0" in (slurm / "script.sh").read_text()
    assert made(place) == undisturbed


def test_an_interrupted_wait_leaves_the_jobs_and_the_same_command_finds_them_again(
    place: Path, slurm: Path, undisturbed: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    (slurm / "lose").write_text("1")  # stands for a job that is not done yet
    (slurm / "looks").write_text("1000")
    with pytest.raises(KeyboardInterrupt):
        run_pass(Working(place / "made"), SLURM, _interrupt_once_it_waits(slurm))
    assert "scancel 4711" in capsys.readouterr().err
    (slurm / "looks").write_text("4")
    with pytest.raises(Fault, match="2 of 5 tasks are not done"):
        run_pass(Working(place / "made"), SLURM, quiet)
    asked = (slurm / "asked").read_text()
    assert asked.count("sbatch") == 1  # it waited for the job that was there
    assert "scancel" not in asked


def _interrupt_once_it_waits(slurm: Path):  # type: ignore[no-untyped-def]
    """A report that sends Ctrl-C when squeue was asked a few times."""

    def report(*_: object) -> None:
        asked = slurm / "asked"
        if threading.current_thread() is not threading.main_thread() and asked.read_text().count("squeue") > 2:
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

    return report


@pytest.mark.parametrize("what", ["refused", "absent"])
def test_a_submission_that_fails_is_a_fault(
    place: Path, slurm: Path, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if what == "refused":
        (slurm / "refuse").touch()
    else:
        monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(Fault, match="sbatch") as fault:
        run_pass(Working(place / "made"), SLURM, quiet)
    assert "engine" in fault.value.hint
