"""Laws of checkpoints: whole or not there, the newest whole one is found, and what comes back is what went in."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from curate.shards.fault import Fault
from pretrain.checkpoints import (
    State,
    check_same_run,
    checkpoints,
    load_checkpoint,
    newest_whole,
    save_checkpoint,
)
from pretrain.settings import Optimizer
from pretrain.train import make_optimizer

RUN = {"seed": 1, "train.epochs": None}


def trained(model: Any) -> torch.optim.Optimizer:
    optimizer = make_optimizer(model, Optimizer())
    model(input_ids=torch.arange(12)[None], labels=torch.arange(12)[None]).loss.backward()
    optimizer.step()
    return optimizer


def save(folder: Path, model: Any, steps: list[int], keep: int = 9) -> None:
    optimizer = trained(model)
    for step in steps:
        save_checkpoint(folder, State(step, {"row": step * 4}, RUN), model, optimizer, keep)


def test_what_comes_back_is_what_went_in(tiny_llama: Callable[..., Any], tmp_path: Path) -> None:
    model, other = tiny_llama(), tiny_llama(seed=1)
    optimizer, other_optimizer = trained(model), trained(other)
    save_checkpoint(tmp_path, State(3, {"row": 12}, RUN), model, optimizer, keep=1)
    found = newest_whole(tmp_path)
    assert found is not None
    assert found[1] == State(3, {"row": 12}, RUN)
    load_checkpoint(found[0], other, other_optimizer)
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), other.parameters(), strict=True))
    assert other.lm_head.weight is other.model.embed_tokens.weight  # still tied
    ours, theirs = (o.state_dict()["state"] for o in (optimizer, other_optimizer))
    assert ours
    assert all(torch.equal(ours[i][name], theirs[i][name]) for i in ours for name in ours[i])


def test_only_the_newest_stay(tiny_llama: Callable[..., Any], tmp_path: Path) -> None:
    save(tmp_path, tiny_llama(), [2, 4, 10, 1_000_000], keep=2)
    assert [path.name for path in checkpoints(tmp_path)] == ["step-1000000", "step-000010"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["step-000010", "step-1000000"]


DAMAGE: dict[str, Callable[[Path], object]] = {
    "cut weights": lambda place: (place / "model.safetensors").write_bytes(b"short"),
    "a flipped bit": lambda place: flip(place / "optimizer.pt"),
    "a missing file": lambda place: (place / "optimizer.pt").unlink(),
    "no state": lambda place: (place / "state.json").unlink(),
    "torn state": lambda place: (place / "state.json").write_text('{"step": 4, '),
    "foreign state": lambda place: (place / "state.json").write_text(json.dumps({"step": 4})),
}


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_one_is_passed_over(tiny_llama: Callable[..., Any], tmp_path: Path, damage: str) -> None:
    save(tmp_path, tiny_llama(), [2, 4])
    DAMAGE[damage](tmp_path / "step-000004")
    found = newest_whole(tmp_path)
    assert found is not None
    assert found[0].name == "step-000002"
    DAMAGE[damage](tmp_path / "step-000002")
    assert newest_whole(tmp_path) is None


def test_an_unfinished_one_does_not_count(tiny_llama: Callable[..., Any], tmp_path: Path) -> None:
    save(tmp_path, tiny_llama(), [2])
    (tmp_path / "step-000002").rename(tmp_path / ".step-000002.unfinished")
    assert newest_whole(tmp_path) is None
    save(tmp_path, tiny_llama(), [2])  # and is not in the way
    assert newest_whole(tmp_path) is not None


def test_a_folder_that_is_not_there_holds_none(tmp_path: Path) -> None:
    assert newest_whole(tmp_path / "nowhere") is None


def test_another_run_is_named_by_what_differs() -> None:
    check_same_run(RUN, dict(RUN))
    with pytest.raises(Fault, match=r"train\.epochs was None, is 2\.0") as caught:
        check_same_run(RUN, {**RUN, "train.epochs": 2.0})
    assert caught.value.where == "train.epochs"
