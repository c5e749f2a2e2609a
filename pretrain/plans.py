"""Packing plans on disk: made once, mapped ever after, so that a run starts and resumes without packing.

    <plans>/<corpus>-<row length>-<packer>/      the folder work/plans of a run, beside the sealed shards
        row_first.npy                            8 bytes a row
        document.npy  start.npy  length.npy      4 bytes each a piece: about three integers a document
        manifest.json                            what the plan was made from, and the sha256 of the files

A plan is a function of the documents' lengths and weights (both stand in the shards, so their digest names them), the
row length and the packer's code. All that is its fingerprint: a plan of another fingerprint, or one whose files are
not what the manifest says, is made anew and takes its place. The folder appears whole. Where nothing can be written,
and for a packer whose source nobody can tell, the plan lives in memory: that costs time, nothing else.

A stored plan is memory-mapped: it takes no memory of the process, and the pages are shared by all ranks and loader
workers of a machine. To another process it travels as its place and fingerprint.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from curate.shards.corpus import ShardSplit
from curate.shards.fault import Fault
from curate.shards.remote import RemoteSplit
from curate.shards.seal import code_version, is_fresh, is_intact, put_in_place, seal, sha256
from pretrain.rows import Packed, Packer, Plan, as_often

Split = ShardSplit | RemoteSplit
ARRAYS = ("row_first", "document", "start", "length")


@dataclass(frozen=True, slots=True, eq=False)
class StoredPlan(Plan):
    """A plan whose arrays are maps of the files in `folder`."""

    folder: Path
    fingerprint: dict[str, Any]

    def __reduce__(self) -> tuple[Callable[..., Plan], tuple[Path, dict[str, Any]]]:
        return _reopened, (self.folder, self.fingerprint)


def pack(packer: Packer, name: str, split: Split, digest: str, row_length: int, plans: Path | None) -> Packed:
    """A corpus with the plan of its rows, from `plans` where it lies there. `digest` names what is in the shards."""
    fingerprint = None if plans is None else plan_fingerprint(packer, split, digest, row_length)
    if plans is None or fingerprint is None:
        plan = make(packer, name, split, row_length)
    else:
        folder = plans / f"{name}-{row_length}-{type(packer).__name__}"
        # a plan without rows counts as none: it is made anew, for nothing
        plan = stored(folder, fingerprint) or _made_and_stored(packer, name, split, folder, fingerprint)
    return Packed(name, split, plan, plan.row_tokens)


def make(packer: Packer, name: str, split: Split, row_length: int) -> Plan:
    """Each document stands in the rows as often as it weighs."""
    document = None if split.weights is None else as_often(split.weights)
    lengths = split.lengths if document is None else split.lengths[document]
    plan = packer.plan(lengths, row_length)
    n_tokens = int(lengths.sum(dtype=np.int64))
    assert plan.n_tokens == n_tokens, f"{type(packer).__name__} lost or doubled tokens of {name}"
    return plan if document is None else replace(plan, document=document[plan.document])


def _made_and_stored(packer: Packer, name: str, split: Split, folder: Path, fingerprint: dict[str, Any]) -> Plan:
    made = make(packer, name, split, fingerprint["row_length"])
    with suppress(OSError):  # a full or read-only disk, or another rank that was faster
        store(made, folder, fingerprint)
    return stored(folder, fingerprint) or made


def plan_fingerprint(packer: Packer, split: Split, digest: str, row_length: int) -> dict[str, Any] | None:
    """All that a plan depends on; None where the packer's code cannot be told."""
    source = getattr(sys.modules.get(type(packer).__module__), "__file__", None)
    if source is None:
        return None
    return {
        "shards": digest,
        "documents": len(split),  # with the tokens, a guard against shards that are not what their manifest says
        "tokens": split.n_tokens,
        "row_length": row_length,
        "packer": f"{type(packer).__module__}:{type(packer).__name__}",
        "packer_settings": repr(packer.__getstate__()),
        "packer_code": sha256(Path(source)),
        "code": code_version("pretrain"),
    }


def store(plan: Plan, folder: Path, fingerprint: dict[str, Any]) -> None:
    """Write the plan to `folder`, whole, in place of what is there."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix=".", dir=folder.parent) as beside:
        written = Path(beside) / folder.name
        written.mkdir()
        for name in ARRAYS:
            np.save(written / f"{name}.npy", getattr(plan, name))
        seal(written, fingerprint)
        put_in_place(written, folder)


def stored(folder: Path, fingerprint: dict[str, Any]) -> Plan | None:
    """The plan in `folder`, mapped; None where there is none, one of something else, or a damaged one."""
    try:
        if not (is_fresh(folder, fingerprint) and is_intact(folder)):
            return None
        arrays = {name: _mapped(folder / f"{name}.npy") for name in ARRAYS}
        return StoredPlan(fingerprint["row_length"], **arrays, folder=folder, fingerprint=fingerprint)
    except OSError:  # another rank is just putting its own there
        return None


def _mapped(path: Path) -> np.ndarray:
    # copy-on-write: nobody writes, but to numba it is the type of an array in memory, so that one kernel serves both
    return np.asarray(np.load(path, mmap_mode="c"))


def _reopened(folder: Path, fingerprint: dict[str, Any]) -> Plan:
    plan = stored(folder, fingerprint)
    if plan is None:
        raise Fault("the packing plan changed while it was in use", where=str(folder), hint="start the run again")
    return plan
