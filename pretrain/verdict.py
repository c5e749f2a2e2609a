"""What the numbers say, in plain words, and nothing that they don't.

In come the changes of bits per byte on domain, general and control text; out comes an object for evaluation.json with
a word for the domain (`gain`, `none`, `loss`), a word for the forgetting (`none`, `within`, `beyond`, `not measured`)
and a text that a manager can read. The rules:

- domain: `gain` if the whole 95 % interval lies below zero, `loss` if it lies above, `none` otherwise. No gain shown
  isn't no gain: the text says what size of change the set could have shown.
- forgetting: the relative rise of bits per byte over *all general sets pooled by their bytes*: `beyond` if it exceeds
  the tolerance, else `none` if its interval reaches zero (without one: if it didn't rise), else `within`. Where the
  interval stands on both sides of the tolerance, the text says so; the general set that rose most is named beside,
  and cannot hide in the pool.
- touched: where more than half of a gain comes from documents that share 13 words in a row with training text (the
  certificate says which), the text says so, and what the change is without them.
- control: reported beside. A domain gain whose control gained half as much is said to be no gain of the domain alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pretrain.statistics import Change


@dataclass(frozen=True, slots=True)
class Outcome:
    before: float
    """Bits per byte before."""
    change: Change

    @property
    def after(self) -> float:
        return self.before + self.change.bits_per_byte

    @property
    def relative(self) -> float:
        """The change as a share of what it was: 0.01 is 1 % more bits per byte."""
        return self.change.bits_per_byte / self.before

    @property
    def relative_ci95(self) -> list[float] | None:
        return [end / self.before for end in self.change.ci95] if self.change.ci95 else None

    def direction(self) -> str:
        """`down` or `up` where the whole interval is, `unclear` otherwise."""
        low, high = self.change.ci95 or (-1.0, 1.0)
        return "down" if high < 0 else "up" if low > 0 else "unclear"


@dataclass(frozen=True, slots=True)
class Touched:
    """The domain documents that share 13 words in a row with training text."""

    of_change: float
    """Their part of the change in nats; beyond 1 where all others changed the other way."""
    of_bytes: float
    clean: Outcome | None
    """All others; None where there are none."""


def verdict(
    domain: Outcome,
    general: Outcome | None,
    control: Outcome | None,
    *,
    touched: Touched | None = None,
    tolerance: float,
    general_sets: Mapping[str, Outcome] | None = None,
) -> dict[str, Any]:
    """The verdict object. `general` and `control` pool all sets of their role; `general_sets` are the parts by name."""
    domain_word = {"down": "gain", "up": "loss", "unclear": "none"}[domain.direction()]
    forgetting_word = _forgetting(general, tolerance)
    sentences = [
        _headline(domain_word, forgetting_word),
        _domain_sentence(domain_word, domain),
        _touched_sentence(domain_word, touched),
        _general_sentence(forgetting_word, general, tolerance),
        _worst_sentence(general_sets or {}, tolerance),
        _control_sentence(domain_word, domain, control),
    ]
    return {
        "domain": domain_word,
        "forgetting": forgetting_word,
        "headline": sentences[0],
        "text": " ".join(sentence for sentence in sentences if sentence),
        "forgetting_tolerance": tolerance,
        "changes": {
            role: _numbers(outcome)
            for role, outcome in (("domain", domain), ("general", general), ("control", control))
            if outcome is not None
        },
    }


def _forgetting(general: Outcome | None, tolerance: float) -> str:
    if general is None:
        return "not measured"
    if general.relative > tolerance:
        return "beyond"
    shows_rise = general.direction() == "up" if general.change.ci95 else general.relative > 0
    return "within" if shows_rise else "none"


def _headline(domain_word: str, forgetting_word: str) -> str:
    if domain_word == "gain" and forgetting_word == "beyond":
        return "Gain on the domain, bought with forgetting beyond tolerance."
    head = {"gain": "Gain on the domain", "none": "No gain shown on the domain", "loss": "Worse on the domain"}
    tail = {
        "none": ", no forgetting shown.",
        "within": ", forgetting within tolerance.",
        "beyond": ", and forgetting beyond tolerance.",
        "not measured": "; forgetting was not measured.",
    }[forgetting_word]
    return head[domain_word] + tail


def _domain_sentence(word: str, domain: Outcome) -> str:
    sentence = (
        f"Held-out domain text takes {domain.after:.4f} bits per byte, {domain.before:.4f} before: "
        f"{_signed(domain.change.bits_per_byte)} ({_percent(domain.relative)}; {_interval(domain.change)})."
    )
    if word == "none" and domain.change.detectable is not None:
        sentence += f" This set can show a change of {domain.change.detectable:.4f} or more."
    return sentence


def _touched_sentence(word: str, touched: Touched | None) -> str:
    if word != "gain" or touched is None or touched.of_change <= 0.5:
        return ""
    part = "More than all" if touched.of_change > 1 else f"{100 * touched.of_change:.0f} %"
    sentence = (
        f"{part} of that gain comes from documents that share 13 words in a row with training text, "
        f"{100 * touched.of_bytes:.0f} % of the bytes"
    )
    if touched.clean is None:
        return f"{sentence}."
    change = touched.clean.change
    return f"{sentence}; without them the change is {_signed(change.bits_per_byte)} ({_interval(change)})."


def _general_sentence(word: str, general: Outcome | None, tolerance: float) -> str:
    if general is None:
        return ""
    sentence = (
        f"Bits per byte of general text changed by {_percent(general.relative)} ({_relative_interval(general)}), "
        f"the tolerance is {100 * tolerance:g} %"
    )
    if general.relative_ci95 is None:
        return f"{sentence}; there are too few documents to be sure of it."
    low, high = general.relative_ci95
    if low <= tolerance < high:
        sentence += "; the interval reaches " + ("back within it" if word == "beyond" else "beyond it")
    return f"{sentence}."


def _worst_sentence(general_sets: Mapping[str, Outcome], tolerance: float) -> str:
    if len(general_sets) < 2:
        return ""
    name, worst = max(sorted(general_sets.items()), key=lambda item: item[1].relative)
    against = ", beyond the tolerance" if worst.relative > tolerance else ""
    return f"The general set with the largest change is {name} with {_percent(worst.relative)}{against}."


def _control_sentence(domain_word: str, domain: Outcome, control: Outcome | None) -> str:
    if control is None:
        return ""
    sentence = f"Control text changed by {_signed(control.change.bits_per_byte)} ({_interval(control.change)})."
    if domain_word != "gain" or control.direction() != "down":
        return sentence
    share = control.relative / domain.relative
    if share >= 0.5:
        sentence += f" That is {100 * share:.0f} % of the domain's relative gain: the gain isn't the domain's alone."
    return sentence


def _numbers(outcome: Outcome) -> dict[str, Any]:
    return {
        "before": outcome.before,
        "after": outcome.after,
        "relative": outcome.relative,
        "relative_ci95": outcome.relative_ci95,
    } | outcome.change.as_json()


def _interval(change: Change) -> str:
    if change.ci95 is None:
        return f"no interval, {change.units} units"
    low, high = change.ci95
    return f"95 % interval {_signed(low)} to {_signed(high)}, {change.units:,} units"


def _relative_interval(outcome: Outcome) -> str:
    if outcome.relative_ci95 is None:
        return _interval(outcome.change)
    low, high = outcome.relative_ci95
    return f"95 % interval {_percent(low)} to {_percent(high)}, {outcome.change.units:,} units"


def _signed(value: float) -> str:
    # a true minus sign, and no "-0.0000"
    return f"{0.0 if round(value, 4) == 0 else value:+.4f}".replace("-", "−").replace("+0.0000", "0.0000")


def _percent(share: float) -> str:
    return f"{0.0 if round(share, 4) == 0 else 100 * share:+.2f} %".replace("-", "−").replace("+0.00", "0.00")
