"""Checkpoints that are whole or not there, and the newest whole one found again.

    checkpoints/step-000500/
      model.safetensors   fp32 master weights (tied weights once)
      optimizer.pt        AdamW's moments, loadable with weights_only
      state.json          step, position in the stream, the settings it belongs to, sha256 of the two files above

A checkpoint is written beside its place and renamed, so a kill leaves the one before it. A disk can still damage what
was written: `newest_whole` goes by the sha256 and falls back to the next older one. The learning rate and the dropout
masks are functions of seed and step, so there is nothing else to keep.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_model, save_model
from torch import nn

from curate.shards.fault import Fault

_FILES = ("model.safetensors", "optimizer.pt")


@dataclass(frozen=True, slots=True)
class State:
    """What a checkpoint knows beside weights and moments."""

    step: int
    """Optimizer steps done."""
    stream: dict[str, Any]
    """The stream's own account of where it stands and what it reads."""
    run: dict[str, Any]
    """Settings and seed, flat: a checkpoint of another run is not resumed."""


def save_checkpoint(folder: Path, state: State, model: nn.Module, optimizer: torch.optim.Optimizer, keep: int) -> Path:
    """Write folder/step-NNNNNN and drop all but the newest `keep`."""
    place = folder / f"step-{state.step:06d}"
    beside = folder / f".{place.name}.unfinished"
    shutil.rmtree(beside, ignore_errors=True)
    beside.mkdir(parents=True)
    save_model(model, str(beside / "model.safetensors"))
    torch.save(optimizer.state_dict(), beside / "optimizer.pt")
    files = {name: _sha256(beside / name) for name in _FILES}
    account = {"step": state.step, "stream": state.stream, "run": state.run, "files": files}
    (beside / "state.json").write_text(json.dumps(account, indent=1), encoding="utf-8")
    for path in beside.iterdir():
        _onto_disk(path)
    shutil.rmtree(place, ignore_errors=True)
    beside.rename(place)
    _onto_disk(folder)
    for old in checkpoints(folder)[keep:]:
        shutil.rmtree(old)
    return place


def load_checkpoint(place: Path, model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    """Put weights and moments of `place` into model and optimizer, on whatever device they are."""
    load_model(model, str(place / "model.safetensors"))
    optimizer.load_state_dict(torch.load(place / "optimizer.pt", weights_only=True, map_location="cpu"))


def checkpoints(folder: Path) -> list[Path]:
    """Newest first; unfinished ones don't count."""
    found = [path for path in folder.glob("step-*") if path.is_dir() and path.name[5:].isdigit()]
    return sorted(found, key=lambda path: int(path.name[5:]), reverse=True)


def newest_whole(folder: Path) -> tuple[Path, State] | None:
    """The newest checkpoint whose files are what its state.json says; None where there is none."""
    for place in checkpoints(folder):
        state = _whole(place)
        if state is not None:
            return place, state
    return None


def check_same_run(saved: dict[str, Any], asked: dict[str, Any]) -> None:
    """Raises Fault naming the settings that differ between a checkpoint and the run that wants to go on from it."""
    differ = sorted(name for name in saved.keys() | asked.keys() if saved.get(name) != asked.get(name))
    if differ:
        changes = "; ".join(f"{name} was {saved.get(name)}, is {asked.get(name)}" for name in differ)
        raise Fault(
            f"the checkpoint belongs to other settings: {changes}",
            where=differ[0],
            hint="set them back to resume, or give the run another name",
        )


def _whole(place: Path) -> State | None:
    try:
        account = json.loads((place / "state.json").read_text(encoding="utf-8"))
        if all(_sha256(place / name) == account["files"][name] for name in _FILES):
            return State(account["step"], account["stream"], account["run"])
    except (OSError, ValueError, KeyError):
        pass
    return None


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _onto_disk(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
