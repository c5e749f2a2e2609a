"""The learning rate as a pure function of the step: no state to save, none to restore.

    lr
    peak |    .-''-.
         |   /      '-.            warmup: a straight line from 0, never 0 itself
         |  /          '-.         cosine: from the peak to `final` x peak at the last step
    final| /              '-..
         +------------------------ step

Warm up, peak, decay is what Ibrahim et al. 2024 (arXiv 2403.08763) found to match retraining; how long the warmup
lasts makes no difference at the end (Gupta et al. 2023, arXiv 2308.04014).
"""

from __future__ import annotations

import math

from pretrain.settings import Base, Schedule, Train

LEAST_WARMUP = 10  # steps: Adam's second moments need about as many to settle


def warmup_steps(schedule: Schedule, steps: int) -> int:
    """A share of all steps, at least 10 and at most half of them; none where the share is 0.

    >>> warmup_steps(Schedule(warmup=0.01), 5000), warmup_steps(Schedule(warmup=0.01), 200)
    (50, 10)
    >>> warmup_steps(Schedule(warmup=0.01), 6), warmup_steps(Schedule(warmup=0), 200)
    (3, 0)
    """
    if schedule.warmup == 0:
        return 0
    return min(max(round(schedule.warmup * steps), LEAST_WARMUP), steps // 2)


def learning_rate(schedule: Schedule, peak: float, step: int, steps: int) -> float:
    """Of step 0 .. steps-1.

    >>> [round(learning_rate(Schedule(warmup=0.5, final=0.1), 1.0, step, 4), 3) for step in range(4)]
    [0.5, 1.0, 0.55, 0.1]
    """
    warmup = warmup_steps(schedule, steps)
    if step < warmup:
        return peak * (step + 1) / warmup
    share = (step + 1 - warmup) / (steps - warmup)  # of the decay, 1 at the last step
    return peak * (schedule.final + (1 - schedule.final) * (1 + math.cos(math.pi * share)) / 2)


def peak_lr(settings: Train, parameters: int) -> float:
    """What the recipe says, or the default for a model of that size."""
    if settings.optimizer.lr is not None:
        return settings.optimizer.lr
    if isinstance(settings.base, Base):
        return 1e-3
    if parameters <= 100_000_000:
        return 3e-4
    return 1e-4 if parameters <= 3_000_000_000 else 5e-5
