"""How one preset rests on others: their rules as they are, or with a bound moved. The reasons stay the same."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from curate.rules import Rule


def kept(rules: Iterable[Rule], *measures: str) -> tuple[Rule, ...]:
    """The rules on these measures, unchanged."""
    return tuple(rule for rule in rules if rule.measure in measures)


def moved(
    rules: Iterable[Rule], measure: str, by: str, *, at_least: float | None = None, at_most: float | None = None
) -> Rule:
    """The rule on this measure with these bounds in place of both of its own. `by`: who set them."""
    (rule,) = kept(rules, measure)
    return replace(
        rule,
        at_least=at_least,
        at_most=at_most,
        too_low=None if at_least is None else rule.too_low,
        too_high=None if at_most is None else rule.too_high,
        source=by,
    )


def raised(rules: Iterable[Rule], measures: Iterable[str], more: float, by: str) -> tuple[Rule, ...]:
    """The rules on these measures, each with its upper bound so much higher."""
    found = (rule for rule in rules if rule.measure in set(measures) and rule.at_most is not None)
    return tuple(replace(rule, at_most=round((rule.at_most or 0) + more, 4), source=by) for rule in found)
