"""Rules: bounds on measures, with the reason a document leaves for and where the bound comes from.

    measures of 3 documents   words 12, 80, 80    hash_word_ratio 0.3, 0.0, 0.5
    rules                     words at least 50: too_few_words    hash_word_ratio at most 0.1: too_many_hashes
    verdicts   reasons        [too_few_words, too_many_hashes]  []  [too_many_hashes]
               first          too_few_words, null, too_many_hashes
               evidence       "words = 12 < 50", null, "hash_word_ratio = 0.5 > 0.1"

Every rule is judged for every document, so it is known how rules overlap and a bound can move without the text being
read again. Both ends of a bound are allowed; a measure that is not a number (a record without text) fails no rule.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from curate.plugins import nearest_hint, plugin, siblings
from curate.settings import Bound, Language, Quality, SourceQuality
from curate.shards.fault import Fault

ISO_639_3 = {
    "ar": "ara|arb", "bn": "ben", "bo": "bod", "cs": "ces", "da": "dan", "de": "deu", "el": "ell", "en": "eng",
    "es": "spa", "fa": "fas|pes", "fi": "fin", "fr": "fra", "he": "heb", "hi": "hin", "hu": "hun", "id": "ind",
    "it": "ita", "ja": "jpn", "km": "khm", "ko": "kor", "lo": "lao", "my": "mya", "nl": "nld", "no": "nob|nno",
    "pl": "pol", "pt": "por", "ro": "ron", "ru": "rus", "sv": "swe", "th": "tha", "tr": "tur", "uk": "ukr",
    "vi": "vie", "wuu": "wuu", "yue": "yue", "zh": "zho|cmn",
}  # fmt: skip
"""Three-letter codes of languages that rules name by two letters: other models than lid.176 label by these."""

Bools = npt.NDArray[np.bool_]
Strings: TypeAlias = pa.Array | pa.ChunkedArray


@dataclass(frozen=True, slots=True)
class Rule:
    measure: str
    at_least: float | None
    at_most: float | None
    too_low: str | None  # the reason where a value is below at_least
    too_high: str | None  # the reason where a value is above at_most
    source: str  # who set these bounds
    only_languages: tuple[str, ...] = ()  # judged in documents of these languages alone; empty: of any, or none told
    except_languages: tuple[str, ...] = ()  # not judged in documents of these


@dataclass(frozen=True, slots=True)
class Finding:
    """One reason, and which documents give it."""

    reason: str
    failed: Bools  # (n,)
    evidence: Callable[[int], str]  # of a document that failed, by its place


@dataclass(frozen=True, slots=True)
class Verdicts:
    first: pa.StringArray  # (n,) the reason a document leaves for, null where it stays
    reasons: pa.ListArray  # (n,) all of them, in the order of the rules
    evidence: pa.StringArray  # (n,) of the first reason, null where it stays


def preset(names: str | Sequence[str]) -> tuple[Rule, ...]:
    """The rules of curate/presets/<name>.py, of `package.module:NAME`, or of `none`: no rules. Of several presets all
    rules, one that two of them share once."""
    named = [names] if isinstance(names, str) else names
    return tuple(dict.fromkeys(rule for name in named for rule in _preset(name)))


def _preset(name: str) -> tuple[Rule, ...]:
    if name == "none":
        return ()
    if ":" in name:
        return tuple(plugin("curate.presets", name))
    known = ["none", *siblings("curate.presets")]
    if name not in known:
        raise Fault(
            f"there is no preset {name!r}: known are {', '.join(known)}",
            where="curate.quality.preset",
            hint=nearest_hint(name, known) or "your own is named package.module:NAME",
        )
    return tuple(importlib.import_module(f"curate.presets.{name}").RULES)


def rules_for(
    quality: Quality, known: Sequence[str], own: SourceQuality | None = None, source: str = ""
) -> tuple[Rule, ...]:
    """The rules that a recipe judges a source by: its preset, then bounds of the recipe, of languages, of the source,
    each on top of the one before. `known`: the measures that are taken.

    Raises Fault for a measure nobody takes, and for a bound nothing satisfies.
    """
    chosen = quality.preset if own is None or own.preset is None else own.preset
    rules = with_bounds(preset(chosen), quality.rules, known)
    for language, bounds in quality.languages.items():
        rules = _with_bounds_in(rules, language, bounds, known)
    if own is not None:
        rules = with_bounds(rules, own.rules, known, f"sources.{source}.quality.rules")
    if missing := sorted({rule.measure for rule in rules} - set(known)):
        raise Fault(
            f"no family of measures takes {', '.join(missing)}",
            where="curate.quality",
            hint=f"known measures: {', '.join(known)}",
        )
    return rules


def _with_bounds_in(
    rules: tuple[Rule, ...], language: str, bounds: Mapping[str, Bound], known: Sequence[str]
) -> tuple[Rule, ...]:
    """The rules with these bounds in documents of one language, and as they were in all others."""
    where = f"curate.quality.languages.{language}"
    _check(rules, bounds, known, where)
    there = [
        replace(rule, only_languages=(language,), except_languages=())
        for rule in rules
        if rule.measure in bounds and _is_judged_in(rule, language)
    ]
    elsewhere = [
        replace(rule, except_languages=(*rule.except_languages, language))
        if rule.measure in bounds and _is_judged_in(rule, language) and not rule.only_languages
        else rule
        for rule in rules
        if not (rule.measure in bounds and rule.only_languages == (language,))
    ]
    judged = {rule.measure for rule in there}
    new = [Rule(name, None, None, None, None, "", (language,)) for name in bounds if name not in judged]
    return (*elsewhere, *with_bounds((*there, *new), bounds, known, where))


def _is_judged_in(rule: Rule, language: str) -> bool:
    return language not in rule.except_languages and (not rule.only_languages or language in rule.only_languages)


def with_bounds(
    rules: Sequence[Rule],
    bounds: Mapping[str, Bound],
    known: Sequence[str] | None = None,
    where: str = "curate.quality.rules",
) -> tuple[Rule, ...]:
    """The rules with these bounds in place of theirs, by measure: an end that is not given stays as it is, null takes
    it away, an empty bound switches the rule off.

    A measure that no rule judges yet gets one, with the reasons low_<measure> and high_<measure>. `known` names the
    measures that are taken; without it, those of all built-in families.
    """
    _check(rules, bounds, _built_in_measures() if known is None else known, where)
    judged = {rule.measure for rule in rules}
    added = [Rule(name, None, None, None, None, "") for name in bounds if name not in judged]
    changed = [_bounded(rule, bounds[rule.measure]) if rule.measure in bounds else rule for rule in (*rules, *added)]
    return tuple(rule for rule in changed if rule.at_least is not None or rule.at_most is not None)


def _check(rules: Sequence[Rule], bounds: Mapping[str, Bound], known: Sequence[str], section: str) -> None:
    """Faults a recipe can hold: a measure nobody takes, a bound that nothing satisfies."""
    everything = sorted({*known, *(rule.measure for rule in rules)})
    for name, bound in bounds.items():
        where = f"{section}.{name}"
        if name not in everything:
            hint = nearest_hint(name, everything) or f"known measures: {', '.join(everything)}"
            raise Fault(f"there is no measure {name!r}", where=where, hint=hint)
        if bound.at_least is not None and bound.at_most is not None and bound.at_least > bound.at_most:
            raise Fault(
                f"at_least {bound.at_least:g} is above at_most {bound.at_most:g}: nothing would stay",
                where=where,
                hint=f"{name}: {{at_least: {bound.at_most:g}, at_most: {bound.at_least:g}}}",
            )


def _built_in_measures() -> list[str]:
    from curate.measured import measures_of  # brings Numba: not before a recipe asks

    return list(measures_of(siblings("curate.measures")))


def _bounded(rule: Rule, bound: Bound) -> Rule:
    given = bound.model_fields_set
    at_least = bound.at_least if "at_least" in given or not given else rule.at_least
    at_most = bound.at_most if "at_most" in given or not given else rule.at_most
    return replace(
        rule,
        at_least=at_least,
        at_most=at_most,
        too_low=None if at_least is None else rule.too_low or f"low_{rule.measure}",
        too_high=None if at_most is None else rule.too_high or f"high_{rule.measure}",
        source="recipe",
    )


def as_dicts(rules: Sequence[Rule]) -> list[dict[str, Any]]:
    """For the report and for fingerprints."""
    return [
        {
            "measure": rule.measure,
            "at_least": rule.at_least,
            "at_most": rule.at_most,
            "too_low": rule.too_low,
            "too_high": rule.too_high,
            "source": rule.source,
            "only_languages": list(rule.only_languages),
            "except_languages": list(rule.except_languages),
        }
        for rule in rules
    ]


def judge(
    columns: Mapping[str, npt.NDArray[Any]],
    rules: Sequence[Rule],
    before: Sequence[Finding] = (),
    after: Sequence[Finding] = (),
    languages: Strings | None = None,
) -> Verdicts:
    """Holds measures, each (n,), against the rules. Findings of `before` come first in every order, of `after` last.

    `languages` (n,) are the documents' languages, null where not told; without them rules that belong to some languages
    are judged for all.
    """
    found = list(before)
    for rule in rules:
        found += _findings(rule, columns[rule.measure], languages)
    found += after
    n = len(found[0].failed) if found else max((len(column) for column in columns.values()), default=0)
    return _verdicts(found, n)


def language_rule(languages: Strings, scores: Any, settings: Language) -> tuple[Finding, Finding]:
    """language_not_kept: surely another language; language_uncertain: none told, or with too low a score."""
    names = languages.to_pylist()
    values = np.nan_to_num(np.asarray(scores, np.float32))
    # float32 on both sides, as scores are kept: a score of 0.65 reaches 0.65
    certain = _bools(pc.is_valid(languages)) & (values >= np.float32(settings.at_least))
    kept = _is_in(languages, settings.keep)

    def another(i: int) -> str:
        return f"language = {names[i]} ({values[i]:.2f}), kept: {', '.join(settings.keep)}"

    def uncertain(i: int) -> str:
        score = "language not told, score" if names[i] is None else f"score of language {names[i]}"
        return f"{score} = {_told_apart(float(values[i]), settings.at_least)} < {settings.at_least:g}"

    return (
        Finding("language_not_kept", settings.decide & certain & ~kept, another),
        Finding("language_uncertain", settings.decide & ~certain, uncertain),
    )


def _findings(rule: Rule, values: npt.NDArray[Any], languages: Strings | None) -> list[Finding]:
    """One finding per end of the bound. Not-a-number compares false, so it fails neither."""
    concerned = _concerned(rule, len(values), languages)
    found = []
    if rule.at_least is not None:
        evidence = _evidence(rule.measure, values, "<", rule.at_least)
        found.append(Finding(rule.too_low or f"low_{rule.measure}", concerned & (values < rule.at_least), evidence))
    if rule.at_most is not None:
        evidence = _evidence(rule.measure, values, ">", rule.at_most)
        found.append(Finding(rule.too_high or f"high_{rule.measure}", concerned & (values > rule.at_most), evidence))
    return found


def _concerned(rule: Rule, n: int, languages: Strings | None) -> Bools:
    """Which documents the rule judges."""
    concerned = np.ones(n, np.bool_)
    if languages is not None and rule.only_languages:
        concerned &= _is_in(languages, rule.only_languages)
    if languages is not None and rule.except_languages:
        concerned &= ~_is_in(languages, rule.except_languages)
    return concerned


def _is_in(languages: Strings, names: Sequence[str]) -> Bools:
    """Whether a document's language is one of these, by its code or by GlotLID's label of it: en is eng_Latn too."""
    long = "|".join(ISO_639_3[name] for name in names if name in ISO_639_3)
    found = _bools(pc.fill_null(pc.is_in(languages, value_set=pa.array(names, languages.type)), False))
    if not long:
        return found
    return found | _bools(pc.fill_null(pc.match_substring_regex(languages, f"^({long})_"), False))


def _bools(flags: pa.Array | pa.ChunkedArray) -> Bools:
    return np.asarray(flags, np.bool_)


def _evidence(measure: str, values: npt.NDArray[Any], sign: str, bound: float) -> Callable[[int], str]:
    return lambda i: f"{measure} = {_told_apart(float(values[i]), bound)} {sign} {bound:g}"


def _told_apart(value: float, bound: float) -> str:
    """A value in as few digits as still tell it from the bound: 0.1043, but 0.1000002 beside 0.1."""
    for digits in (4, 8, 12):
        if float(f"{value:.{digits}g}") != bound:
            return f"{int(value)}" if value.is_integer() else f"{value:.{digits}g}"
    return repr(value)


def _verdicts(found: Sequence[Finding], n: int) -> Verdicts:
    """Findings by document."""
    failed = np.array([finding.failed for finding in found], np.bool_).reshape(len(found), n)  # (findings, n)
    document, which = np.nonzero(failed.T)  # by document, and within it in the order of findings
    names = pa.array([finding.reason for finding in found], pa.string())
    ends = np.cumsum(failed.sum(axis=0), dtype=np.int32)
    reasons = pa.ListArray.from_arrays(
        pa.array(np.concatenate([[0], ends]), pa.int32()), names.take(pa.array(which, pa.int64()))
    )
    leaving, at = np.unique(document, return_index=True)
    first, evidence = np.full(n, None, object), np.full(n, None, object)
    for i, finding in zip(leaving.tolist(), which[at].tolist(), strict=True):
        first[i], evidence[i] = found[finding].reason, found[finding].evidence(i)
    return Verdicts(pa.array(first, pa.string()), reasons, pa.array(evidence, pa.string()))
