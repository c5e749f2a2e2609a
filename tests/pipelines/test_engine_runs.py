"""A whole curation on every engine, and ended in every way: the bytes stay those of the run that nothing happened to.

`curated` (conftest) is that run. Ray runs for real, on a cluster of this machine that the run starts and ends; Slurm by
its submission (tests/slurm_stub.py). What is interrupted is the command line, in a process of its own: when all that it
started is gone, its stderr ends.
"""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import slurm_stub
from small import small_recipe

from curate.engine import Progress
from curate.shards.fault import Fault
from curate.shards.seal import checksums
from pipelines import recipe as recipes
from pipelines.curation import curate
from pipelines.folder import RunFolder
from pipelines.inputs import Inputs
from pipelines.progress import Passes
from pipelines.run import begin

ROOT = Path(__file__).parent.parent.parent
PARTS = ("curated", "shards", "tokenizer")


def outputs(run: RunFolder) -> dict[str, str]:
    return {f"{part}/{name}": sha for part in PARTS for name, sha in checksums(run.path / part).items()}


def rerun(corpus: Path, runs: Path) -> RunFolder:
    """The same recipe in this process, to its end."""
    recipe = small_recipe(corpus)
    run = begin(recipe, runs)
    curate(recipe, run)
    return run


@contextmanager
def command(corpus: Path, runs: Path, prepare: Callable[[], None] | None = None) -> Iterator[subprocess.Popen[str]]:
    """`postgrad curate` with two workers."""
    file = runs / "small.yaml"
    runs.mkdir(exist_ok=True)
    file.write_text(recipes.dump(small_recipe(corpus)), encoding="utf-8")
    line = [sys.executable, "-m", "pipelines", "curate", str(file), "--runs", str(runs), "--set", "engine.workers=2"]
    program = subprocess.Popen(
        line,
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=prepare,
    )
    try:
        yield program
    finally:
        if program.poll() is None:
            os.killpg(program.pid, signal.SIGKILL)


# -- engines


def test_ray_gives_the_same_bytes(curated: RunFolder, corpus: Path, tmp_path: Path) -> None:
    ray = pytest.importorskip("ray", reason="Ray is not installed: pip install 'postgrad[ray]'")
    recipe = small_recipe(corpus, engine={"kind": "ray", "workers": 2})
    run = begin(recipe, tmp_path)
    curate(recipe, run)
    assert outputs(run) == outputs(curated)
    assert not ray.is_initialized()  # the cluster ended with the run


def test_slurm_gives_the_same_bytes(
    curated: RunFolder, corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slurm = slurm_stub.install(tmp_path / "slurm", monkeypatch)
    recipe = small_recipe(corpus, engine={"kind": "slurm", "slurm": {"tasks_per_job": 1000}})
    run = begin(recipe, tmp_path)
    curate(recipe, run)
    assert outputs(run) == outputs(curated)
    assert (slurm / "asked").read_text().count("sbatch") >= 4  # an array per pass


# -- interruptions


@pytest.mark.parametrize(
    ("passes_before", "ending", "code"),
    [(0, "kill -9 a worker", 2), (1, signal.SIGKILL, -9), (2, signal.SIGINT, 130), (3, signal.SIGTERM, -15)],
)
def test_a_run_ended_in_any_way_and_run_again_makes_the_same_bytes(
    curated: RunFolder, corpus: Path, tmp_path: Path, passes_before: int, ending: str | signal.Signals, code: int
) -> None:
    with command(corpus, tmp_path) as program:
        assert program.stderr is not None
        for _ in range(passes_before):
            assert program.stderr.readline()  # a line as each pass ends
        if isinstance(ending, str):
            kill_a_worker(program.pid, tmp_path / "small")
        else:
            os.kill(program.pid, ending)
        said = program.communicate(timeout=100)[1]  # ends with the last of its processes
    assert program.returncode == code, said
    assert "Traceback" not in said
    assert not (tmp_path / "small" / "curated").exists()
    if isinstance(ending, str):
        assert "was killed, most likely by the system for want of memory" in said
        assert "engine.workers=1" in said
    assert outputs(rerun(corpus, tmp_path)) == outputs(curated)


def kill_a_worker(pid: int, run: Path) -> None:
    """Find a process that works on a task, by the task's note which it holds open, and kill it before it is done."""
    if not Path("/proc/self/fd").exists():
        pytest.skip("needs /proc to find a worker")
    while Path(f"/proc/{pid}").exists():
        for process in (int(one.name) for one in Path("/proc").glob("[0-9]*")):
            if _works_on(process, run):
                os.kill(process, signal.SIGSTOP)
                if _works_on(process, run):  # still, and it stays so
                    os.kill(process, signal.SIGKILL)
                    return
                os.kill(process, signal.SIGCONT)
    pytest.fail("the command ended before a worker was found")


def _works_on(process: int, run: Path) -> bool:
    try:
        names = [os.readlink(link) for link in Path(f"/proc/{process}/fd").iterdir()]
    except OSError:  # it ended, or is somebody else's
        return False
    return any(name.startswith(str(run)) and "/working/" in name for name in names)


DIE_BEFORE = """
    import os, signal, sys
    from pathlib import Path
    sys.path.insert(0, {tests!r})
    from small import small_recipe
    from pipelines.curation import curate
    from pipelines.run import begin

    calls, replace = 0, os.replace
    def replace_or_die(*places):
        global calls
        calls += 1
        if calls == {at}:
            os.kill(os.getpid(), signal.SIGKILL)
        replace(*places)
    os.replace = replace_or_die
    recipe = small_recipe(Path({corpus!r}))
    curate(recipe, begin(recipe, Path({runs!r})))
"""


@pytest.fixture(scope="module")
def appearances(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> int:
    """How often a run puts a file or folder in its place, workers aside: everything appears by os.replace."""
    calls, replace = 0, os.replace

    def counted(*places: Path) -> None:
        nonlocal calls
        calls += 1
        replace(*places)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "replace", counted)
        rerun(corpus, tmp_path_factory.mktemp("counted"))
    return calls


@pytest.mark.parametrize("place", [0.1, 0.4, 0.7, "last but one", "last"])
def test_a_run_killed_just_before_something_appears_makes_the_same_bytes(
    curated: RunFolder, corpus: Path, tmp_path: Path, appearances: int, place: float | str
) -> None:
    last = {"last": appearances, "last but one": appearances - 1}
    at = last[place] if isinstance(place, str) else round(place * appearances)
    program = textwrap.dedent(DIE_BEFORE).format(
        tests=str(Path(__file__).parent), at=at, corpus=str(corpus), runs=str(tmp_path)
    )
    killed = subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=False)
    assert killed.returncode == -signal.SIGKILL
    assert outputs(rerun(corpus, tmp_path)) == outputs(curated)


# -- the machine fails


def test_a_full_disk_is_one_clear_message_and_the_run_goes_on(curated: RunFolder, corpus: Path, tmp_path: Path) -> None:
    def small_files() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (30_000, 30_000))

    with command(corpus, tmp_path, small_files) as program:
        said = program.communicate(timeout=100)[1]
    assert program.returncode == 2, said
    assert "error: a file grew larger than the system allows" in said
    assert "hint: make room; the same command goes on from here" in said
    assert "Traceback" not in said
    assert outputs(rerun(corpus, tmp_path)) == outputs(curated)


def test_an_input_that_vanishes_is_one_clear_message_and_the_run_goes_on(
    curated: RunFolder, corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page, away, contents = corpus / "pages" / "page-07.txt", tmp_path / "away", Inputs.contents

    def look_and_lose(inputs: Inputs) -> dict[str, str]:
        found = contents(inputs)
        page.rename(away)
        return found

    with monkeypatch.context() as patch:
        patch.setattr(Inputs, "contents", look_and_lose)
        with pytest.raises(Fault, match="No such file") as fault:
            rerun(corpus, tmp_path)
    away.rename(page)
    assert fault.value.where == str(page)
    assert not (tmp_path / "small" / "curated").exists()
    assert outputs(rerun(corpus, tmp_path)) == outputs(curated)


# -- what is said meanwhile


def test_a_long_pass_tells_how_far_it_is_where_nobody_watches(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 0.0
    monkeypatch.setattr("pipelines.progress.time.monotonic", lambda: now)
    report = Passes(None)
    for now in range(301):
        report("sift", Progress(documents=10 * now, n_bytes=1000 * now, tasks=now // 60), 7)
    lines = capsys.readouterr().err.splitlines()
    assert [line.split()[1] for line in lines] == ["1", "2", "3", "4", "5"]
    assert lines[0].split("  ")[-2:] == ["600 documents", "60.0 kB"]
