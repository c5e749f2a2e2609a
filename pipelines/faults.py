"""What is wrong with a recipe, in words: every fault at once, with its field, its value and the nearest valid name.

Three kinds. What pydantic finds field by field (`in_words`); fields that are fine each and wrong together
(`contradictions`); names that nothing stands behind, such as a cleaner nobody wrote (pipelines/names.py). The last two
look at the recipe as it was written, so that they are told beside a misspelled field and not one run later.
"""

from __future__ import annotations

import types
import typing
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ValidationError

from curate.plugins import nearest_hint
from curate.settings import Role
from pipelines.names import at, listed, listed_one

# -- fields that are fine each and wrong together


def contradictions(recipe: Mapping[str, Any]) -> Iterator[str]:
    """`recipe` holds what was written; what has the wrong type is passed over, since that is a fault of its own."""
    sources = [source for source in listed(recipe.get("sources")) if isinstance(source, Mapping)]
    names = [str(source["name"]) for source in sources if "name" in source]
    for name in sorted({name for name in names if names.count(name) > 1}):
        yield f"sources: the name {name!r} stands twice; ids start with it, so it must be unique"
    roles = [source.get("role", "domain") for source in sources]
    knows_all = bool(roles) and all(role in typing.get_args(Role) for role in roles)
    if knows_all and "domain" not in roles:
        yield "sources: none has role: domain, so there is no corpus to build"
    yield from _of_domain(at(recipe, "curate", "domain"), dict(zip(names, roles, strict=False)))
    yield from _of_keep(listed_one(at(recipe, "curate", "duplicates", "keep")), list(dict.fromkeys(names)))
    yield from _of_split(at(recipe, "curate", "split", "by"), dict(zip(names, roles, strict=False)))
    yield from _of_training(recipe, has_general="general" in roles or not knows_all)


def _of_domain(domain: object, roles: Mapping[str, str]) -> Iterator[str]:
    """Seeds and what they are told from are names of sources."""
    for field in ("seeds", "against"):
        for place, name in enumerate(listed(at(domain, field))):
            if str(name) not in roles:
                hint = nearest_hint(str(name), list(roles)) or f"sources: {', '.join(roles)}"
                yield f"curate.domain.{field}.{place} = {name!r}: there is no such source; {hint}"
    if listed(at(domain, "seeds")) and not listed(at(domain, "against")) and "general" not in roles.values():
        yield "curate.domain.seeds: there is nothing to tell them from: name sources in curate.domain.against"


def _of_keep(policies: Sequence[object], names: list[str]) -> Iterator[str]:
    """Sources whose copies stay first are sources."""
    for policy in policies:
        for name in listed(at(policy, "sources")):
            if str(name) not in names:
                hint = nearest_hint(str(name), names) or f"sources: {', '.join(names)}"
                yield f"curate.duplicates.keep.sources = {name!r}: there is no such source; {hint}"


def _of_split(by: object, roles: Mapping[str, str]) -> Iterator[str]:
    """Sources that are held out are sources, each on one side, and something of the domain is left."""
    held_out: dict[str, str] = {}
    for field in ("validation_sources", "test_sources"):
        for place, one in enumerate(listed(at(by, field))):
            name, where = str(one), f"curate.split.by.{field}.{place} = {str(one)!r}"
            if name not in roles:
                hint = nearest_hint(name, list(roles)) or f"sources: {', '.join(roles)}"
                yield f"{where}: there is no such source; {hint}"
            elif roles[name] in ("benchmark", "control"):
                yield f"{where}: a {roles[name]} source is never trained on; name domain or general sources"
            elif held_out.setdefault(name, field) != field:
                yield f"{where}: stands in {held_out[name]} too; a source has one side"
    domain = {name for name, role in roles.items() if role == "domain"}
    if domain and domain <= set(held_out):
        yield "curate.split.by: every domain source is held out, so there is nothing to train on"


def _of_training(recipe: Mapping[str, Any], has_general: bool) -> Iterator[str]:
    tokenizer = at(recipe, "shards", "tokenizer")
    extends_base = isinstance(tokenizer, Mapping) and "extend" in tokenizer and tokenizer["extend"] is None
    if extends_base and not isinstance(at(recipe, "train", "base"), str):
        yield "shards.tokenizer.extend: null is the base model's own tokenizer, and train.base names none; name one"
    has_tokenizer = tokenizer is not None
    train = recipe.get("train")
    if not isinstance(train, Mapping):
        if not has_tokenizer:
            yield "shards.tokenizer: needed without train.base: a folder, a hub name, or {vocabulary: 4096}"
        return
    replay = train.get("replay")
    if isinstance(replay, int | float) and replay > 0 and not has_general:
        yield f"train.replay = {replay}: should be general text, and no source has role: general"
    base = train.get("base")
    if isinstance(base, Mapping):
        if not has_tokenizer:
            yield "shards.tokenizer: needed to train from scratch: a folder, a hub name, or {vocabulary: 4096}"
        yield from _of_scratch(base.get("scratch"))


def _of_scratch(fields: object) -> Iterator[str]:
    """What can be told of a model's fields without transformers, which takes seconds to import."""
    if isinstance(fields, Mapping):
        for name, usual in (("hidden_size", 256), ("num_hidden_layers", 6)):
            if not isinstance(fields.get(name), int) or fields[name] < 1:
                yield f"train.base.scratch.{name}: a model from random weights needs it, for example {name}: {usual}"
        for name in sorted({"vocab_size", "bos_token_id", "eos_token_id", "pad_token_id"} & set(fields)):
            yield f"train.base.scratch.{name} = {_value(fields[name])}: comes from the tokenizer; remove it"


# -- what pydantic finds


def in_words(error: ValidationError, model: type[BaseModel]) -> list[str]:
    """`curate.split.tset = 0.1: no such field; did you mean 'test'?`, one line per place; faults of no place aside."""
    by_place: dict[tuple[object, ...], list[Any]] = {}
    for one in error.errors(include_url=False):
        place = tuple(part for part in one["loc"] if not _names_a_type(part))
        if place:
            by_place.setdefault(place, []).append(one)
    # a union complains once for every branch: the branch that got further down says what is really wrong
    deepest = [p for p in by_place if not any(len(other) > len(p) and other[: len(p)] == p for other in by_place)]
    return [_explain(place, by_place[place], model) for place in deepest]


def _explain(place: tuple[object, ...], errors: Sequence[Any], model: type[BaseModel]) -> str:
    field, value = ".".join(map(str, place)), errors[0]["input"]
    if errors[0]["type"] == "missing":
        return f"{field}: is missing"
    if errors[0]["type"] == "extra_forbidden":
        known = _fieldsat(place[:-1], model)
        return f"{field} = {_value(value)}: no such field; {nearest_hint(str(place[-1]), known) or _it_has(known)}"
    wants = " or ".join(dict.fromkeys(map(_message, errors))).replace(" or should be ", " or ")
    return f"{field} = {_value(value)}: {wants}{_quoting(value, errors)}"


def _message(error: Any) -> str:
    if error["type"] == "literal_error":
        choices = [choice.strip("' ") for choice in error["ctx"]["expected"].replace(" or ", ",").split(",")]
        near = nearest_hint(str(error["input"]), choices)
        return f"should be {' or '.join(choices)}" + (f"; {near}" if near else "")
    message = error["msg"].removeprefix("Value error, ").removeprefix("Input ")
    message = message.partition(", unable to parse")[0].partition(" or instance of")[0].replace("dictionary", "mapping")
    return str(message[:1].lower() + message[1:])


def _quoting(value: object, errors: Sequence[Any]) -> str:
    """YAML 1.1 reads no, yes, on and off as truth values: the language `no` arrives as False."""
    wants_text = any(error["type"] == "string_type" for error in errors)
    return (
        f"; YAML reads no, yes, on and off as {value}: put it in quotes"
        if wants_text and isinstance(value, bool)
        else ""
    )


def _it_has(known: list[str]) -> str:
    return f"it has {', '.join(known)}" if known else "nothing has fields here"


_TYPES = {"str", "int", "Base", "TrainTokenizer", "ExtendTokenizer", "FieldOf", "ByGroup", "ByTime", "BySource"}
_TYPES |= {"BestOf", "Earliest", "SourcesFirst"}


def _names_a_type(part: object) -> bool:
    """pydantic puts the branch of a union it tried into the location; a reader of the recipe has no use for it."""
    return isinstance(part, str) and (part in _TYPES or "[" in part or part.startswith("constrained-"))


def _value(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _fieldsat(place: Sequence[object], root: type[BaseModel]) -> list[str]:
    """The field names valid at a place of the recipe."""
    models: list[Any] = [root]
    is_key = False  # the next part is a key of a mapping or an index of a list, not a field
    for part in place:
        if is_key or not models:
            is_key = False
            continue
        fields = [model.model_fields[part] for model in models if part in model.model_fields]
        is_key = any(typing.get_origin(field.annotation) in (dict, list) for field in fields)
        models = [model for field in fields for model in _models_in(field.annotation)]
    return sorted({name for model in models for name in model.model_fields})


def _models_in(annotation: Any) -> list[Any]:
    """The model classes inside an annotation such as `list[Source]`, `Train | None` or `ByGroup | ByTime`."""
    if isinstance(annotation, type) and not isinstance(annotation, types.GenericAlias):
        return [annotation] if issubclass(annotation, BaseModel) else []
    return [model for argument in typing.get_args(annotation) for model in _models_in(argument)]
