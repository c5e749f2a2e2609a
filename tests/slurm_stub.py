"""A Slurm of one machine: `sbatch` that runs the task array it is given, task after task, and what else is asked.

It reads what a real one reads, the `#SBATCH` lines of the script and the options beside it, sets what a real one sets
(SLURM_ARRAY_TASK_ID, SLURM_NODELIST ...), and writes each task's output where `--output` says. What was asked of it
stands in `asked`, one line per command.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

SBATCH = """
import os, re, subprocess, sys
from pathlib import Path

here = Path(__file__).parent
(here / "asked").open("a").write("sbatch " + " ".join(sys.argv[1:-1]) + "\\n")
if (here / "refuse").exists():
    sys.exit("sbatch: error: invalid partition specified")
script = Path(sys.argv[-1]).read_text()
directives = [line.removeprefix("#SBATCH --") for line in script.splitlines() if line.startswith("#SBATCH --")]
options = dict(directive.partition("=")[::2] for directive in directives)
exported = dict(pair.split("=") for arg in sys.argv if arg.startswith("--export=ALL,") for pair in arg[13:].split(","))
first, last = re.match(r"(\\d+)-(\\d+)", options["array"]).groups()
kept = here / "script.sh"
kept.write_text(script)
job = "4711"
print("Submitted batch job " + job)
for task in range(int(first), int(last) + 1):
    if (here / "lose").exists() and task == int((here / "lose").read_text()):
        continue  # a node that went away
    names = {"SLURM_ARRAY_TASK_ID": str(task), "SLURM_JOB_ID": job, "SLURM_NODELIST": "node1"}
    with open(options["output"].replace("%A", job).replace("%a", str(task)), "w") as log:
        env = {**os.environ, **exported, **names}
        subprocess.run(["bash", str(kept)], env=env, stdout=log, stderr=subprocess.STDOUT, check=False)
"""
SQUEUE = """
import sys
from pathlib import Path

here = Path(__file__).parent
(here / "asked").open("a").write("squeue " + " ".join(sys.argv[1:]) + "\\n")
looks = here / "looks"  # a job that is seen so many times yet
left = int(looks.read_text()) if looks.exists() else 0
if left:
    looks.write_text(str(left - 1))
    print("RUNNING")
elif left == 0 and not looks.exists():
    sys.exit("slurm_load_jobs error: Invalid job id specified")
"""
SCANCEL = """
import sys
from pathlib import Path

(Path(__file__).parent / "asked").open("a").write("scancel " + " ".join(sys.argv[1:]) + "\\n")
"""
SCONTROL = "import sys\nprint(sys.argv[-1])\n"  # show hostnames


def install(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put the commands on the PATH; the folder takes the files that steer them and notes what they were asked."""
    folder.mkdir()
    for name, program in {"sbatch": SBATCH, "squeue": SQUEUE, "scancel": SCANCEL, "scontrol": SCONTROL}.items():
        command = folder / name
        command.write_text(f"#!{sys.executable}\n{program}")
        command.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    return folder
