"""What the jobs of a pass ask of a Slurm cluster; apart from what submits them, which imports much."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class SlurmJobs:
    """What the jobs of a pass ask of the cluster. The recipe's `engine.slurm`."""

    partition: str = "cpu"
    time: str = "04:00:00"
    mem_gb: int = 4
    tasks_per_job: int = 1
    options: Mapping[str, str | int] = field(default_factory=dict)
    setup: str = ""
    longest_wait: float = 10
    """Seconds between two looks. The first looks come sooner: small passes are done in seconds."""
