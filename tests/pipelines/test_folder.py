"""A run folder is worked in by one process at a time."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from curate.shards.fault import Fault
from pipelines.folder import RunFolder

HOLD = """
import sys
from pathlib import Path
from pipelines.folder import RunFolder
with RunFolder(Path(sys.argv[1])).in_use():
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_second_process_is_refused_and_a_dead_one_forgotten(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": os.getcwd()}
    command = [sys.executable, "-c", HOLD, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        with pytest.raises(Fault, match="another process is at work"), RunFolder(tmp_path).in_use():
            pass
        other.kill()
    with RunFolder(tmp_path).in_use():
        pass
