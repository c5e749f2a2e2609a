"""Laws of the schedule: it rises, it falls, it ends where it says, and it depends on nothing but the step."""

from __future__ import annotations

import doctest
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pretrain import schedules
from pretrain.schedules import learning_rate, peak_lr, warmup_steps
from pretrain.settings import Schedule, Train


def test_the_examples_hold() -> None:
    assert doctest.testmod(schedules).attempted > 0
    assert doctest.testmod(schedules).failed == 0


@given(steps=st.integers(1, 500), warmup=st.floats(0, 0.99), final=st.floats(0, 1))
def test_it_rises_to_the_peak_then_falls_to_the_end(steps: int, warmup: float, final: float) -> None:
    schedule = Schedule(warmup=warmup, final=final)
    rates = [learning_rate(schedule, 2.0, step, steps) for step in range(steps)]
    top = warmup_steps(schedule, steps)
    assert top <= steps // 2
    assert all(a < b for a, b in itertools.pairwise(rates[:top]))
    assert all(a >= b for a, b in itertools.pairwise(rates[top:]))
    assert max(rates) <= 2.0
    assert min(rates[:top], default=1) > 0
    if top:
        assert rates[top - 1] == 2.0
    assert rates[-1] == pytest.approx(2.0 * final, abs=1e-12)


@pytest.mark.parametrize(
    ("share", "steps", "expected"), [(0.01, 10_000, 100), (0.01, 100, 10), (0.5, 100, 50), (0.9, 100, 50), (0.0, 9, 0)]
)
def test_warmup_is_at_least_ten_steps_and_at_most_half(share: float, steps: int, expected: int) -> None:
    assert warmup_steps(Schedule(warmup=share), steps) == expected


@pytest.mark.parametrize(
    ("base", "lr", "parameters", "expected"),
    [
        ({"scratch": {}}, None, 10**9, 1e-3),
        ("gpt2", None, 10**8, 3e-4),
        ("gpt2", None, 10**9, 1e-4),
        ("gpt2", None, 7 * 10**9, 5e-5),
        ("gpt2", 2e-5, 10**8, 2e-5),
    ],
)
def test_the_peak_is_the_recipes_or_follows_the_size(
    base: object, lr: float | None, parameters: int, expected: float
) -> None:
    assert peak_lr(Train.model_validate({"base": base, "optimizer": {"lr": lr}}), parameters) == expected
