"""Passes on a Slurm cluster: datatrove's Slurm executor, and somebody who waits for it.

    this process ─sbatch▶ task array; each job: launch_pickled_pipeline ─▶ _run_for_rank ─▶ marker, or failed/00003
         └─ looks for markers, failures and the job itself (squeue) until every task has its marker

Every node must see the run folder under the same path, and run the same Python environment. Interrupting this process
leaves the jobs alone: the same command finds them by `jobs.json` and waits on. Nothing is submitted twice.
"""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from datatrove.executor.slurm import SlurmPipelineExecutor
from datatrove.pipeline.base import PipelineStep

from curate.engines.jobs import SlurmJobs
from curate.engines.task import lost, raise_trouble, trouble
from curate.shards.fault import Fault

FAILED = "failed"
JOBS = "jobs.json"
LOOKS_GONE = 3  # times squeue must not know the job before it counts as over: a marker may arrive late over NFS


class SlurmExecutor(SlurmPipelineExecutor):
    def __init__(self, step: PipelineStep, tasks: int, workers: int, folder: Path, jobs: SlurmJobs) -> None:
        super().__init__(
            pipeline=[step],
            tasks=tasks,
            workers=workers,
            logging_dir=str(folder),
            slurm_logs_folder=str(folder / "slurm_logs"),
            time=jobs.time,
            partition=jobs.partition,
            mem_per_cpu_gb=jobs.mem_gb,
            tasks_per_job=jobs.tasks_per_job,
            sbatch_args=dict(jobs.options),
            env_command=jobs.setup,
            job_name=f"postgrad-{step.name}",
            qos="",  # the cluster's own unless the options name one
            with_srun=False,
            job_id_retriever=_job_id,
        )
        self.folder, self.longest_wait = folder, jobs.longest_wait

    # -- where jobs are submitted

    def submit_and_wait(self) -> None:
        """Have every task done that has no marker. Raises what a task raised, or Fault naming the log of one lost."""
        try:
            with _slurm_faults(str(self.folder / "launch_script.slurm")):
                if not self._is_under_way():
                    self._submit()
                self._wait()
        except KeyboardInterrupt:
            if jobs := self._jobs():
                told = f"the Slurm jobs go on: scancel {' '.join(jobs)}  ends them, the same command waits for them"
                print(told, file=sys.stderr)
            raise

    def _submit(self) -> None:
        for left in (self.folder / FAILED).glob("*"):
            left.unlink()
        (self.folder / JOBS).unlink(missing_ok=True)
        if self.get_incomplete_ranks():
            self.launch_job()

    def launch_merge_stats(self) -> None:
        """Called when all jobs are submitted. datatrove would submit one more here, only to add up statistics."""

    def get_launch_file_contents(self, sbatch_args: dict[str, Any], run_script: str) -> str:
        """With the Python that runs here: `launch_pickled_pipeline` need not be on the PATH of the nodes."""
        program = shlex.quote(str(self.folder / "executor.pik"))
        launch = f"{shlex.quote(sys.executable)} -m datatrove.tools.launch_pickled_pipeline {program}"
        text: str = super().get_launch_file_contents(sbatch_args, launch)
        return text

    @property
    def job_id(self) -> str | None:
        """The last job submitted; datatrove makes the next one wait for it where an array is too long for one."""
        return self._jobs()[-1] if self._jobs() else None

    @job_id.setter
    def job_id(self, job: str | int | None) -> None:
        if isinstance(job, str):  # -1 and None stand for no job
            (self.folder / JOBS).write_text(json.dumps([*self._jobs(), job]))

    def _jobs(self) -> list[str]:
        try:
            jobs: list[str] = json.loads((self.folder / JOBS).read_text())
            return jobs
        except (OSError, ValueError, AttributeError):  # before the folder has a name
            return []

    def _is_under_way(self) -> bool:
        return any(_in_queue(job) for job in self._jobs())

    def _wait(self) -> None:
        pause, gone = 0.05, 0
        while ranks := self.get_incomplete_ranks():
            self._raise_failures()
            gone = 0 if self._is_under_way() else gone + 1
            if gone == LOOKS_GONE:
                raise self._lost(ranks)
            time.sleep(pause)
            pause = min(self.longest_wait, 2 * pause)

    def _raise_failures(self) -> None:
        """The first task that failed, if any has; the rest of its array is called off."""
        for note in sorted((self.folder / FAILED).glob("*[0-9]")):
            subprocess.run(["scancel", *self._jobs()], capture_output=True, check=False)
            raise_trouble(note.read_bytes())

    def _lost(self, ranks: Sequence[int]) -> Fault:
        hint = "see its log: more memory is  --set engine.slurm.mem_gb=..., more time  --set engine.slurm.time=..."
        how = f"is gone, and {len(ranks)} of {self.tasks} tasks are not done"
        return lost(self.pipeline[0], ranks[0], how, f"{hint}; the same command goes on from here", self._log(ranks[0]))

    def _log(self, rank: int) -> str:
        """The newest log of the job that had a task; their folder where there is none."""
        folder = self.folder / "slurm_logs"
        try:
            submitted: list[int] = json.loads((self.folder / "ranks_to_run.json").read_text())
            job = submitted.index(rank) // self.tasks_per_job % self.max_array_size
        except (OSError, ValueError):
            return str(folder)
        logs = sorted(folder.glob(f"*_{job}.out"), key=lambda log: log.stat().st_mtime)
        return str(logs[-1] if logs else folder)

    # -- on a node

    def _run_for_rank(self, rank: int, local_rank: int = 0, node_rank: int = -1) -> Any:
        try:
            return super()._run_for_rank(rank, local_rank, node_rank)
        except Exception as error:
            note = self.folder / FAILED / f"{rank:05d}"
            note.parent.mkdir(parents=True, exist_ok=True)
            beside = note.with_suffix(".tmp")
            beside.write_bytes(trouble(error))
            beside.replace(note)
            raise


def _job_id(answer: str) -> str:
    """
    >>> _job_id("Submitted batch job 4711 on cluster blue")
    '4711'
    """
    found = re.search(r"\d+", answer)
    if found is None:
        raise Fault(f"sbatch names no job: {answer!r}", where="engine.slurm")
    return found[0]


def _in_queue(job: str) -> bool:
    """Whether Slurm still has work to do for a job. A controller that does not answer has not lost its jobs."""
    answer = subprocess.run(
        ["squeue", "--noheader", "--jobs", job, "--format", "%T"], capture_output=True, text=True, check=False
    )
    return bool(answer.stdout.strip()) or (answer.returncode != 0 and "Invalid job id" not in answer.stderr)


@contextmanager
def _slurm_faults(script: str) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as error:
        if error.filename not in ("sbatch", "squeue", "scancel"):
            raise
        hint = "run the command where jobs are submitted, or say  --set engine.kind=local"
        raise Fault(f"there is no {error.filename} here", where="engine.kind", hint=hint) from None
    except subprocess.CalledProcessError as error:
        hint = "what it says stands above; engine.slurm has partition, time, mem_gb and options"
        raise Fault(f"sbatch refuses the job (exit code {error.returncode})", where=script, hint=hint) from None
