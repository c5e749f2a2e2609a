"""Passes on a Ray cluster: datatrove's Ray executor with plain Ray tasks in place of its actors.

    driver ─▶ Ray task attempt(program, rank) on any node, each node sees the run folder ─▶ None or trouble

Of `RayPipelineExecutor` this keeps the pickled pipeline, `_run_for_rank` with its logs and statistics, and the
completion markers. Its own loop starts a placement group, an actor and a forked process for every job: seconds each,
every import and kernel loaded anew, and where the system kills the forked process the actor waits for it for ever. A
Ray task runs in a process that Ray uses again, and its death is seen.

Nothing is asked of the cluster but a core per task: a request for memory that no node has would wait for ever.
"""

from __future__ import annotations

import logging
import os
import socket
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from datatrove.executor.base import PipelineExecutor
from datatrove.executor.ray import RayPipelineExecutor

from curate.engines.task import attempt, await_last_run, lost, raise_trouble, write_program
from curate.shards.fault import Fault

RETRIES = 2  # of a task whose process or node died: it may have been the node's fault
_OBJECTS_BYTES = 100 << 20  # a path goes out and None comes back: Ray's own default is a third of the memory
_HINT = "the same command goes on from here; a task that wants more memory than a node has needs larger nodes"


class RayExecutor(RayPipelineExecutor):
    def run(self) -> None:
        folder = Path(self.logging_dir.path)
        await_last_run(folder)
        if ranks := self.get_incomplete_ranks():
            self._share_out(ranks, write_program(self, folder))

    def _share_out(self, ranks: Sequence[int], program: str) -> None:
        """Keep as many tasks under way as the recipe allows. Raises the first trouble."""
        import ray

        task = ray.remote(num_cpus=1, max_retries=RETRIES)(attempt)
        waiting, running = deque(ranks), dict[Any, int]()
        try:
            while waiting or running:
                while waiting and len(running) < self.workers:
                    rank = waiting.popleft()
                    running[task.remote(program, rank)] = rank
                for ref in ray.wait(list(running))[0]:
                    self._take(ref, running.pop(ref))
        finally:
            # What waits its turn finds no program and ends. What runs dies with the connection, or finishes: calling a
            # task off just as it ends brings down this whole process (seen with Ray 2.60).
            Path(program).unlink(missing_ok=True)

    def _take(self, ref: Any, rank: int) -> None:
        import ray
        from ray.exceptions import RayError

        try:
            raw = ray.get(ref)
        except RayError as error:
            how = f"was lost {RETRIES + 1} times ({type(error).__name__}), most likely killed for want of memory"
            raise lost(self.pipeline[0], rank, how, _HINT) from None
        if raw is not None:
            raise_trouble(raw)

    def _run_for_rank(self, rank: int, local_rank: int = 1, node_rank: int = -1) -> Any:
        # the base's writes its log where the markers are; Ray's writes below /tmp first, where two runs share a file
        return PipelineExecutor._run_for_rank(self, rank, local_rank, node_rank)


@contextmanager
def cluster(address: str | None, workers: int | None) -> Iterator[None]:
    """Be connected to a cluster while the block runs: the one at `address`, or one of this machine alone.

    A connection that is there already is used and left as it is.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # it would tell its makers, over the network
    try:
        import ray
    except ImportError:
        hint = "pip install 'postgrad[ray]', or say  --set engine.kind=local"
        raise Fault("Ray is not installed", where="engine.kind", hint=hint) from None
    if ray.is_initialized():
        yield
        return
    try:
        if address:
            _reach(address)
            ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
        else:
            ray.init(
                address="local",
                num_cpus=workers,
                object_store_memory=_OBJECTS_BYTES,
                include_dashboard=False,
                log_to_driver=False,
                logging_level=logging.ERROR,
            )
    except (OSError, ValueError, RuntimeError) as error:
        hint = "ray status  shows whether a cluster runs there; address: null starts one on this machine"
        raise Fault(f"no Ray cluster answers: {error}", where=f"engine.address = {address}", hint=hint) from None
    try:
        yield
    finally:
        ray.shutdown()


def _reach(address: str) -> None:
    """Raises OSError where nothing listens: Ray itself tries for minutes, and then ends the process."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if host and port.isdigit():
        socket.create_connection((host.strip("[]"), int(port)), timeout=10).close()
