"""A recipe: one YAML file that says what goes in, what stays, what is trained and how it is measured.

It is checked whole before a byte is read: every fault at once, each with its field, its value and the nearest valid
name. `extends:` starts from a shipped recipe or another file, `--set section.field=value` overrides, and the resolved
recipe with every default spelled out goes into the run folder.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import Field, ValidationError, model_validator
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue

from curate.plugins import nearest_hint
from curate.settings import Curate, Language, Name, Settings, Shards, Source
from curate.shards.fault import Fault
from pipelines.faults import contradictions, in_words
from pipelines.names import unknown_names
from pretrain.settings import Evaluate, Train, count


class Slurm(Settings):
    partition: str = "cpu"
    """Partition that tasks are submitted to."""
    time: str = "04:00:00"
    """Longest a task may take, as sbatch writes it."""
    mem_gb: int = Field(4, ge=1)
    """Memory of a task."""
    tasks_per_job: int = Field(1, ge=1)
    """Tasks that one job of the array does, one after another."""
    options: dict[str, str | int] = Field(default_factory=dict)
    """Further sbatch options by name: {account: proj42, qos: normal}."""
    setup: str = ""
    """Shell lines that run before each task: module load, activating an environment."""


class Engine(Settings):
    kind: Literal["local", "ray", "slurm"] = "local"
    """Where the passes of curation run, through datatrove's executors: processes of this machine, a Ray cluster, a
    Slurm cluster whose nodes all see the run folder. Every kind gives the same bytes."""
    workers: Literal["auto"] | Annotated[int, Field(ge=1)] = "auto"
    """Tasks at a time; auto: one per core (local), all the cluster gives (ray, slurm). No output depends on it."""
    address: str | None = None
    """Of a Ray cluster: auto, or ray://host:10001. null: a cluster of this machine alone."""
    slurm: Slurm = Slurm()


class Recipe(Settings):
    name: Name
    """Names the run folder: runs/<name>."""
    seed: int = Field(1, ge=0)
    """The only seed: split, row order, initial weights and resampling derive theirs from it by name."""
    sources: list[Source] = Field(min_length=1)
    curate: Curate = Curate()
    shards: Shards = Shards()
    train: Train | None = None
    """Without it the run ends with the shards."""
    evaluate: Evaluate = Evaluate()
    engine: Engine = Engine()

    @model_validator(mode="after")
    def _fits_together(self) -> Recipe:
        faults = list(contradictions(self.model_dump(exclude_unset=True)))
        if faults:
            raise ValueError("; ".join(faults))
        return self

    @classmethod
    def model_json_schema(cls, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """What an editor checks a recipe file against: as it may be written, before `extends` has filled it in."""
        return super().model_json_schema(*args, **{"schema_generator": _AsWritten, **kwargs})


class _AsWritten(GenerateJsonSchema):
    """JSON Schema of what people write where it is more than what arrives: counts like 2B, `keep: all`, `extends`."""

    def function_before_schema(self, schema: Any) -> JsonSchemaValue:
        inner = super().function_before_schema(schema)
        if schema["function"]["function"] is count:
            return {"anyOf": [inner, {"type": "string", "pattern": r"^\s*[\d_]+(\.\d+)?\s*[kMB]?\s*$"}]}
        return inner

    def model_schema(self, schema: Any) -> JsonSchemaValue:
        written = super().model_schema(schema)
        fields = written.get("properties", {})
        if schema["cls"] is Language:
            fields["keep"] = {"anyOf": [{"const": "all"}, fields["keep"]]}
        if schema["cls"] is Recipe:
            fields["extends"] = {"type": "string", "description": "A shipped recipe or a file to start from."}
        if schema["cls"] in (Recipe, Train):
            written.pop("required", None)  # what is required may stand in the recipe that is extended
        return written


# -- loading


def load(where: str, overrides: Sequence[str] = ()) -> Recipe:
    """Read, extend, override, check. `where` is a file or the name of a shipped recipe.

    Raises Fault listing every fault of the recipe at once.
    """
    data = _extended(where, [])
    for override in overrides:
        _set(data, override)
    return check(data, where)


def check(data: Mapping[str, Any], where: str) -> Recipe:
    """The recipe, with what its defaults come to. Raises Fault listing every fault at once."""
    lines: list[str] = []
    try:
        recipe = Recipe.model_validate(data)
    except ValidationError as error:
        lines += in_words(error, Recipe)
    lines += [*unknown_names(data), *contradictions(data)]
    if lines:
        what = "\n".join(
            [f"{len(lines)} fault{'s' * (len(lines) != 1)} in the recipe:", *(f"  - {line}" for line in lines)]
        )
        raise Fault(what, where=where, hint="postgrad schema prints every field; postgrad recipes lists examples")
    return _resolved(recipe)


def _resolved(recipe: Recipe) -> Recipe:
    """Without general text there is no replay: the default says so, rather than promise 5 % of nothing."""
    has_general = any(source.role == "general" for source in recipe.sources)
    if recipe.train is None or has_general or recipe.train.replay == 0:
        return recipe
    return recipe.model_copy(update={"train": recipe.train.model_copy(update={"replay": 0.0})})


def shipped() -> dict[str, Path]:
    """The recipes that come with the package, by name."""
    folder = Path(str(resources.files("pipelines") / "recipes"))
    return {path.stem: path for path in sorted(folder.glob("*.yaml"))}


def dump(recipe: Recipe) -> str:
    """The resolved recipe as YAML, every default spelled out."""
    return yaml.safe_dump(recipe.model_dump(mode="json"), sort_keys=False, allow_unicode=True, width=120)


def _extended(where: str, seen: list[str]) -> dict[str, Any]:
    if where in seen:
        raise Fault(f"recipes extend each other in a circle: {' -> '.join([*seen, where])}", where=where)
    data = _read(where)
    parent = data.pop("extends", None)
    if parent is None:
        return data
    beside = Path(where).parent / str(parent)
    return _merge(_extended(str(beside) if beside.is_file() else str(parent), [*seen, where]), data)


def _read(where: str) -> dict[str, Any]:
    path = Path(where)
    if not path.is_file():
        if where not in shipped():
            hint = nearest_hint(where, list(shipped())) or f"shipped recipes: {', '.join(shipped())}"
            raise Fault(f"there is no recipe {where!r}: neither a file nor a shipped recipe", hint=hint)
        path = shipped()[where]
    data = _yaml(path.read_bytes(), str(path))
    if not isinstance(data, dict):
        held = "nothing" if data is None else f"a {type(data).__name__}, not fields"
        raise Fault(f"the recipe holds {held}", where=str(path), hint="begin with  name: my-run")
    return data


class _Strict(yaml.SafeLoader):
    """YAML as it stands, where PyYAML lets the later of two equal fields win in silence."""

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key, _ in (pair for pair in node.value if isinstance(pair[0], yaml.ScalarNode)):
            if key.value in seen:
                raise yaml.MarkedYAMLError(problem=f"the field {key.value!r} stands twice", problem_mark=key.start_mark)
            seen.add(key.value)
        return dict(super().construct_mapping(node, deep=deep))


def _yaml(content: str | bytes, where: str) -> Any:
    try:
        return yaml.load(content, _Strict)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        mark, problem = getattr(error, "problem_mark", None), getattr(error, "problem", None)
        line = f":{mark.line + 1}" if mark else ""
        hint = "indent with spaces, write  field: value  with a space after the colon, quote text that holds : or #"
        raise Fault(f"the recipe is not valid YAML: {problem or error}", where=f"{where}{line}", hint=hint) from None


def _merge(below: Any, above: Any) -> Any:
    """Mappings merge, anything else is replaced."""
    if isinstance(below, dict) and isinstance(above, dict):
        return {**below, **{key: _merge(below.get(key), value) for key, value in above.items()}}
    return above


def _set(data: dict[str, Any], override: str) -> None:
    """`sources.0.path=raw` too: a number names an entry of a list."""
    field, equals, text = override.partition("=")
    if not equals or not all(field.split(".")):
        raise Fault(f"--set {override!r} is not section.field=value", hint="--set train.epochs=2")
    *sections, last = field.split(".")
    place: Any = data
    for section in sections:
        key = _key(place, section, override)
        if isinstance(place, dict) and place.get(key) is None:
            place[key] = {}
        place = place[key]
    place[_key(place, last, override)] = _yaml(text, f"--set {override}")


def _key(place: Any, name: str, override: str) -> str | int:
    """The name as a key of a mapping or an index of a list. Raises Fault where the place is neither or is too short."""
    where = override.partition("=")[0]
    if isinstance(place, dict):
        return name
    if not isinstance(place, list):
        raise Fault(f"--set {override!r}: there are no fields in {_short(place)}, so no {name!r}", where=where)
    if not name.isdigit() or int(name) >= len(place):
        entries = ", ".join(map(str, range(len(place)))) or "none, it is empty"
        raise Fault(f"--set {override!r}: {name!r} is no entry of a list; entries: {entries}", where=where)
    return int(name)


def _short(value: object) -> str:
    return repr(value) if len(repr(value)) <= 60 else repr(value)[:57] + "..."
