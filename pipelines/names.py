"""Names in a recipe that nothing stands behind: formats, cleaners, measures, presets, languages, filters, models.

They are looked up in the recipe as it was written, so that they are told beside a misspelled field and not one run
later. What has the wrong type is passed over: pydantic tells it, field by field.
"""

from __future__ import annotations

import typing
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from curate.plugins import nearest_hint, plugin
from curate.settings import Bound, Curate, Duplicates
from curate.shards.fault import Fault


def unknown_names(recipe: Mapping[str, Any]) -> Iterator[str]:
    """One line per name, with its field, its value and the nearest valid name."""
    sources = listed(recipe.get("sources"))
    for place, source in enumerate(sources):
        yield from _fault(f"sources.{place}.format", at(source, "format"), lambda name: plugin("curate.readers", name))
    for place, name in enumerate(listed(at(recipe, "curate", "clean", default=Curate().clean))):
        yield from _fault(f"curate.clean.{place}", name, lambda name: plugin("curate.cleaners", name))
    yield from _fault("train.packer", at(recipe, "train", "packer"), lambda name: plugin("pretrain.packers", name))
    yield from _of_models(recipe)
    yield from _of_indexes(recipe)
    yield from _of_languages("curate.language", at(recipe, "curate", "language"))
    for place, source in enumerate(sources):
        yield from _of_languages(f"sources.{place}.language", at(source, "language"))
    yield from _of_filters(listed(at(recipe, "curate", "filters")))
    families = listed(at(recipe, "curate", "measures", default=Curate().measures))
    if not all(isinstance(name, str) for name in families):
        return  # told already, field by field
    wrong = list(_of_measures(families))
    yield from wrong
    if not wrong:  # a family that is not known may have any measure
        yield from _of_rules(recipe, families)


def _of_models(recipe: Mapping[str, Any]) -> Iterator[str]:
    """Files of fastText models, by every field that names one."""
    curate = at(recipe, "curate")
    classifiers = at(curate, "classifiers", default={})
    named = {
        "curate.language.model": at(curate, "language", "model"),
        "curate.domain.model": at(curate, "domain", "model"),
        **{
            f"curate.classifiers.{name}.model": at(one, "model")
            for name, one in (classifiers.items() if isinstance(classifiers, Mapping) else ())
        },
    }
    for field, path in named.items():
        if isinstance(path, str) and not Path(path).is_file():
            yield f"{field} = {path!r}: there is no such file; it takes the path of a fastText .bin or .ftz model"


def _of_indexes(recipe: Mapping[str, Any]) -> Iterator[str]:
    """Indexes of published corpora: each must be one, and made by the sketches of this recipe."""
    try:
        settings = Duplicates.model_validate(at(recipe, "curate", "duplicates", default={}))
        seed = int(at(recipe, "seed", default=1))
    except (ValidationError, TypeError, ValueError):
        return  # told already, field by field
    for place, path in enumerate(settings.against):
        from curate.passes.published import require_indexes

        try:
            require_indexes(settings.model_copy(update={"against": [path]}), seed)
        except Fault as fault:
            yield _line(f"curate.duplicates.against.{place}", path, fault)


def _of_languages(field: str, settings: object) -> Iterator[str]:
    from curate.language import known_languages

    model = at(settings, "model")
    if isinstance(model, str) and not Path(model).is_file():
        return
    for place, code in enumerate(listed(at(settings, "keep", default=[]))):
        known = known_languages(model) if isinstance(model, str) else known_languages()
        if isinstance(code, str) and code not in known:
            hint = nearest_hint(code, list(known)) or f"it tells languages by codes such as {', '.join(known[:4])}"
            yield f"{field}.keep.{place} = {code!r}: the language model tells no such language; {hint}"


def _of_filters(specs: list[Any]) -> Iterator[str]:
    from curate.filters import check_filters

    for place, spec in enumerate(specs):
        if isinstance(spec, str) or (isinstance(spec, Mapping) and all(isinstance(a, Mapping) for a in spec.values())):
            try:
                check_filters([spec])
            except Fault as fault:
                yield _line(f"curate.filters.{place}", spec, fault)


def _of_measures(families: list[Any]) -> Iterator[str]:
    from curate.measured import measures_of

    wrong = [
        fault
        for place, name in enumerate(families)
        for fault in _fault(f"curate.measures.{place}", name, lambda name: measures_of([name]))
    ]
    if not wrong:
        try:
            measures_of(families)
        except Fault as fault:  # two families may share a measure
            yield _line("curate.measures", families, fault)
    yield from wrong


def _of_rules(recipe: Mapping[str, Any], families: list[str]) -> Iterator[str]:
    """Presets, and the measures that bounds are set on: of the recipe, of languages, of sources."""
    from curate.taken import RECORDED, taken

    known = list(taken(_as_far_as_valid(recipe, families)))
    quality = at(recipe, "curate", "quality", default={})
    preset = at(quality, "preset", default=Curate().quality.preset)
    yield from _of_preset("curate.quality.preset", preset, at(quality, "rules"), known)
    yield from _of_bounds("curate.quality.rules", at(quality, "rules"), known)
    yield from _of_keep(recipe, [*known, *RECORDED])
    languages = at(quality, "languages")
    for language, bounds in languages.items() if isinstance(languages, Mapping) else ():
        yield from _of_bounds(f"curate.quality.languages.{language}", bounds, known)
    for place, source in enumerate(listed(recipe.get("sources"))):
        own = at(source, "quality")
        where = f"sources.{place}.quality"
        if at(own, "preset") is not None:
            yield from _of_preset(f"{where}.preset", at(own, "preset"), at(own, "rules"), known)
        yield from _of_bounds(f"{where}.rules", at(own, "rules"), known)


def _of_keep(recipe: Mapping[str, Any], known: list[str]) -> Iterator[str]:
    """Measures that copies are preferred by."""
    for policy in listed_one(at(recipe, "curate", "duplicates", "keep")):
        name = at(policy, "measure")
        if isinstance(name, str) and name not in known:
            hint = nearest_hint(name, known) or "name a measure of the families in curate.measures, or a classifier"
            yield f"curate.duplicates.keep.measure = {name!r}: nothing measures it; {hint}"


def _as_far_as_valid(recipe: Mapping[str, Any], families: list[str]) -> Curate:
    """What the recipe takes measures by; the defaults for a part that is not valid, which is told already."""
    curate = at(recipe, "curate")
    found = Curate(measures=families)
    for name in ("domain", "classifiers", "pii"):
        try:
            given = Curate.model_validate({name: at(curate, name)} if at(curate, name) is not None else {})
        except ValidationError:
            continue
        found = found.model_copy(update={name: getattr(given, name)})
    return found


def _of_preset(field: str, given: object, bounds: object, known: list[str]) -> Iterator[str]:
    from curate import rules as rulebook

    for name in [given] if isinstance(given, str) else listed(given):
        wrong = list(_fault(field, name, rulebook.preset))
        yield from wrong
        if wrong or not isinstance(name, str):
            continue
        bounded = set(bounds) if isinstance(bounds, Mapping) else set()
        missing = sorted({rule.measure for rule in rulebook.preset(name)} - bounded - set(known))
        if missing:
            some = ", ".join(missing[:3]) + (f" and {len(missing) - 3} more" if len(missing) > 3 else "")
            yield f"{field} = {name!r}: judges {some}, which no family in curate.measures takes"


def _of_bounds(field: str, given: object, known: list[str]) -> Iterator[str]:
    from curate import rules as rulebook

    bounds = {str(key): bound for key, bound in given.items()} if isinstance(given, Mapping) else {}
    for measure, bound in bounds.items():
        try:
            valid = Bound.model_validate(bound)
        except ValidationError:
            continue  # told already, field by field
        try:
            rulebook.with_bounds((), {measure: valid}, known)
        except Fault as fault:
            yield _line(f"{field}.{measure}", bound, fault)


def _fault(field: str, value: object, check: typing.Callable[[Any], object]) -> Iterator[str]:
    """What `check` has against a name; nothing where the value is not even one: told already, field by field."""
    if isinstance(value, str):
        try:
            check(value)
        except Fault as fault:
            yield _line(field, value, fault)


def _line(field: str, value: object, fault: Fault) -> str:
    text = repr(value)
    shown = text if len(text) <= 60 else text[:57] + "..."
    return f"{field} = {shown}: {fault.what}" + (f"; {fault.hint}" if fault.hint else "")


def listed(value: object) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else []


def listed_one(value: object) -> list[Any]:
    """A field that takes one thing or a list of them."""
    return listed(value) or [value]


def at(data: object, *path: str, default: object = None) -> Any:
    """The value at a place of nested mappings, the default where there is none."""
    for name in path:
        if not isinstance(data, Mapping) or name not in data:
            return default
        data = data[name]
    return data
