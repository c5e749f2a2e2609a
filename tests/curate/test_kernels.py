"""Warming up loads every kernel of the sift pass, so that a forked worker begins with its work."""

from __future__ import annotations

import json
import platform
import subprocess
import sys
from pathlib import Path

SCRIPT = """
import json, os, resource, sys
import numpy as np
import pyarrow as pa
from numba.core.dispatcher import Dispatcher

import curate.passes.sift as sift
from curate.kernels import warm_up
from curate.plugins import siblings
from curate.records import Place, batches, document
from curate.settings import Curate, Source

def loaded():
    modules = [module for name, module in sorted(sys.modules.items()) if name.startswith("curate")]
    kernels = {id(one): one for module in modules for one in vars(module).values() if isinstance(one, Dispatcher)}
    return {f"{one.py_func.__module__}.{one.py_func.__name__}": len(one.signatures) for one in kernels.values()}

warm_up()
before = loaded()
settings = Curate(measures=siblings("curate.measures"))
sifter = sift.Sifter(settings, Source(name="other", path="-"), 1)
texts = ["", "one", "été 39°C\\n\\n" * 400, "x " * 5000, "漢字" * 900, "\\u2028…#\\r\\n" * 90, "write to a@b.org"]
for raw in batches([document(Place("-"), i, text) for i, text in enumerate(texts)]):
    rows = sifter.sift(raw)
threads = {open(f"/proc/self/task/{task}/comm").read().strip() for task in os.listdir("/proc/self/task")}
print(json.dumps({"before": before, "after": loaded(), "rows": len(rows), "threads": sorted(threads)}))
"""


def test_after_warming_up_no_kernel_is_left_to_load() -> None:
    root = Path(__file__).parents[2]
    answer = subprocess.run([sys.executable, "-c", SCRIPT], cwd=root, capture_output=True, text=True, timeout=170)
    assert answer.returncode == 0, answer.stderr[-2000:]
    told = json.loads(answer.stdout)
    assert told["rows"] == 7
    used = {name for name, signatures in told["after"].items() if signatures}
    assert {"curate.words.find_words", "curate.dedup.minhash.permuted_minima", "curate.dedup.exact._keys"} <= used
    later = {name: n for name, n in told["after"].items() if n != told["before"].get(name)}
    assert later == {}


def test_freed_memory_is_kept_and_used_again() -> None:
    script = """
import resource
import numpy as np
from curate.memory import keep_memory
keep_memory()
def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    arrays = [np.ones(1 << 20) for _ in range(4)]  # 8 MB each
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
faults()
print(faults())
"""
    answer = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=100)
    if platform.libc_ver()[0] == "glibc":
        assert int(answer.stdout) < 1000  # of the 8192 pages that the arrays fill
