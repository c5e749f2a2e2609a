"""A recipe is checked whole before a byte is read, and says every fault at once."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from curate.shards.fault import Fault
from pipelines import recipe as recipes
from pipelines.recipe import Recipe, check, load, shipped

MEDICAL = {"name": "med", "sources": [{"name": "notes", "path": "notes.jsonl"}], "train": {"base": "a/model"}}


def recipe(**sections: Any) -> dict[str, Any]:
    return {**MEDICAL, **sections}


def faults(data: dict[str, Any]) -> list[str]:
    """The lines of the fault that a recipe raises."""
    with pytest.raises(Fault) as caught:
        check(data, "a test")
    assert caught.value.hint
    lines = caught.value.what.splitlines()
    assert lines[0].startswith(str(len(lines) - 1))
    return [line.removeprefix("  - ") for line in lines[1:]]


def write(folder: Path, name: str, text: str) -> str:
    (folder / name).write_text(text, encoding="utf-8")
    return str(folder / name)


# -- faults


def test_every_fault_is_said_at_once_with_field_value_and_nearest_name() -> None:
    found = faults(
        {
            "nam": "med",
            "sources": [
                {"name": "notes", "path": 3, "role": "domian"},
                {"name": "notes", "path": "x", "encodign": "latin-1"},
            ],
            "curate": {"clean": ["encodng"], "quality": {"preset": "gophr"}, "split": {"tset": 0.1}},
            "train": {"base": "m", "tokens": "2Q", "sequence_lenght": 512},
            "engine": {"workers": 0},
        }
    )
    for field, value, near in [
        ("name", "", "is missing"),
        ("nam", "'med'", "did you mean 'name'?"),
        ("sources.0.path", "3", "string or a valid list"),
        ("sources.0.role", "'domian'", "did you mean 'domain'?"),
        ("sources.1.encodign", "'latin-1'", "did you mean 'encoding'?"),
        ("sources", "'notes'", "stands twice"),
        ("curate.clean.0", "'encodng'", "did you mean 'encoding'?"),
        ("curate.quality.preset", "'gophr'", "did you mean 'gopher'?"),
        ("curate.split.tset", "0.1", "did you mean 'test'?"),
        ("train.tokens", "'2Q'", "write 400k, 1M or 2B"),
        ("train.sequence_lenght", "512", "did you mean 'sequence_length'?"),
        ("engine.workers", "0", "auto or greater than or equal to 1"),
    ]:
        mine = [line for line in found if re.match(rf"{re.escape(field)}( =|:)", line)]
        assert len(mine) == 1, (field, found)
        assert value in mine[0]
        assert near in mine[0]
    assert len(found) == 12


@pytest.mark.parametrize(
    ("sections", "says"),
    [
        ({"sources": [{"name": "web", "path": "w", "role": "general"}]}, "none has role: domain"),
        ({"sources": [{"name": "domain", "path": "w"}]}, "the name 'domain' is taken"),
        ({"sources": []}, "sources = []"),
        ({"sources": [{"name": "a", "path": []}]}, "sources.0.path = []: is empty"),
        ({"sources": [{"name": "a", "path": "w", "text": ""}]}, "sources.0.text = '': is empty"),
        ({"sources": [{"name": "a", "path": "w", "format": "jsnl"}]}, "did you mean 'jsonl'?"),
        ({"train": {"base": "m", "replay": 0.1}}, "train.replay = 0.1: should be general text"),
        ({"train": {"base": "m", "epochs": 1, "tokens": "1M"}}, "give epochs or tokens, not both"),
        ({"train": {"base": {"scratch": {"num_hidden_layers": 2}}}}, "train.base.scratch.hidden_size"),
        ({"train": {"base": {"scratch": {"vocab_size": 9}}}}, "vocab_size = 9: comes from the tokenizer"),
        ({"train": {"base": {"scratch": {}}}}, "shards.tokenizer: needed to train from scratch"),
        ({"train": {"base": "m", "packer": "best_fti"}}, "train.packer = 'best_fti': there is no"),
        ({"train": None}, "shards.tokenizer: needed without train.base"),
        ({"curate": {"measures": ["gopher_qualty"]}}, "did you mean 'gopher_quality'?"),
        ({"curate": {"measures": ["gopher_quality"]}}, "which no family in curate.measures takes"),
        ({"curate": {"measures": ["gopher_quality", "gopher_quality"]}}, "two families take a measure called"),
        ({"curate": {"clean": ["my.package:Cleaner"]}}, "cannot load 'my.package:Cleaner'"),
        ({"curate": {"quality": {"rules": {"wrods": {"at_least": 3}}}}}, "did you mean 'words'?"),
        ({"curate": {"quality": {"rules": {"words": {"at_least": 9, "at_most": 2}}}}}, "nothing would stay"),
        ({"curate": {"quality": {"rules": {"words": {"atleast": 9}}}}}, "did you mean 'at_least'?"),
        ({"curate": {"clean": [{"encoding": 1}, [[1]]]}}, "curate.clean.1 = [[1]]: should be a valid string"),
        ({"curate": {"language": {"keep": [False]}}}, "put it in quotes"),
        ({"curate": {"split": {"validation": 0.5, "test": 0.5}}}, "leave nothing to train on"),
        ({"shards": {"tokenizer": {"vocabulary": 3}}}, "shards.tokenizer.vocabulary = 3"),
        ({"shards": {"tokenizer": ""}}, "is empty"),
        ({"engine": {"workers": "many"}}, "auto or a valid integer"),
        ({"engine": {"workers": -2}}, "engine.workers = -2"),
        ({"engine": {"kind": "locl"}}, "engine.kind = 'locl'"),
    ],
)
def test_each_fault_is_told_in_words(sections: dict[str, Any], says: str) -> None:
    assert any(says in line for line in faults(recipe(**sections)))


def test_unknown_names_are_told_beside_other_faults() -> None:
    quality = {"preset": "gopher", "rules": {"wrods": {"at_least": 3}, "mean_word_lenght": {"at_most": 9}}}
    found = faults(recipe(curate={"clean": ["encodng"], "quality": quality}, seed=-1))
    assert [line.split(" = ")[0] for line in found] == [
        "seed",
        "curate.clean.0",
        "curate.quality.rules.wrods",
        "curate.quality.rules.mean_word_lenght",
    ]


@pytest.mark.parametrize("junk", [None, 3, "text", [], {}, [1], {"a": 1}, True])
def test_no_value_of_any_section_makes_the_check_itself_fail(junk: object) -> None:
    complaints = 0
    for section, field in Recipe.model_fields.items():
        inner = getattr(type(field.default), "model_fields", {})
        for change in [{section: junk}, *({section: {name: junk}} for name in inner)]:
            try:
                check(recipe(**change), "a test")
            except Fault:
                complaints += 1
    assert complaints > 10


# -- loading


def test_counts_are_written_as_people_write_them() -> None:
    train = {"base": "m", "tokens": "2B", "batch_tokens": "400k", "micro_batch_tokens": "1_024"}
    loaded = check(recipe(train=train), "a test").train
    assert loaded is not None
    assert (loaded.tokens, loaded.batch_tokens, loaded.micro_batch_tokens) == (2_000_000_000, 400_000, 1024)


def test_a_recipe_extends_a_file_beside_it_and_its_sections_merge(tmp_path: Path) -> None:
    write(tmp_path, "base.yaml", yaml.safe_dump(recipe(curate={"split": {"test": 0.1, "validation": 0.1}})))
    where = write(tmp_path, "mine.yaml", "extends: base.yaml\nname: mine\ncurate: {split: {test: 0.3}}\n")
    loaded = load(where)
    assert (loaded.name, loaded.curate.split.test, loaded.curate.split.validation) == ("mine", 0.3, 0.1)
    assert loaded.sources == check(MEDICAL, "a test").sources


def test_a_recipe_extends_a_shipped_one(tmp_path: Path) -> None:
    name = sorted(shipped())[0]
    loaded = load(write(tmp_path, "mine.yaml", f"extends: {name}\nname: mine\n"))
    assert loaded.model_dump(exclude={"name"}) == load(name).model_dump(exclude={"name"})


def test_lists_are_replaced_whole_where_a_recipe_extends(tmp_path: Path) -> None:
    write(tmp_path, "base.yaml", yaml.safe_dump(MEDICAL))
    where = write(tmp_path, "mine.yaml", "extends: base.yaml\nsources: [{name: other, path: b}]\n")
    assert [source.name for source in load(where).sources] == ["other"]


def test_recipes_that_extend_each_other_are_told_the_circle(tmp_path: Path) -> None:
    one = write(tmp_path, "one.yaml", "extends: two.yaml\n")
    write(tmp_path, "two.yaml", "extends: one.yaml\n")
    with pytest.raises(Fault, match=r"circle: .*one\.yaml -> .*two\.yaml -> .*one\.yaml"):
        load(one)


def test_overrides_reach_every_field(tmp_path: Path) -> None:
    where = write(tmp_path, "r.yaml", yaml.safe_dump(MEDICAL))
    loaded = load(
        where,
        [
            "train.tokens=2B",
            "curate.language.keep=[en, de]",
            "sources.0.path=elsewhere",
            "curate.quality.rules.words.at_least=30",
            "train.optimizer.lr=1e-4",
        ],
    )
    assert loaded.train is not None
    assert (loaded.train.tokens, loaded.train.optimizer.lr) == (2_000_000_000, 1e-4)
    assert (loaded.curate.language.keep, loaded.sources[0].path) == (["en", "de"], "elsewhere")
    assert loaded.curate.quality.rules["words"].at_least == 30


@pytest.mark.parametrize(
    ("override", "says"),
    [
        ("train.epochs", "is not section.field=value"),
        ("=3", "is not section.field=value"),
        ("train..epochs=3", "is not section.field=value"),
        ("train.epoch=3", "did you mean 'epochs'?"),
        ("name.first=a", "there are no fields in 'med'"),
        ("sources.7.path=a", "'7' is no entry"),
        ("sources.notes.path=a", "'notes' is no entry"),
        ("sources.3={}", "'3' is no entry"),
        ("train.epochs=[", "not valid YAML"),
    ],
)
def test_a_wrong_override_is_a_fault(tmp_path: Path, override: str, says: str) -> None:
    where = write(tmp_path, "r.yaml", yaml.safe_dump(MEDICAL))
    with pytest.raises(Fault) as caught:
        load(where, [override])
    assert says in str(caught.value)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("name: a\n\tsources: 3\n", "not valid YAML"),
        ("name: 'a\n", "not valid YAML"),
        ("- a list\n", "a list, not fields"),
        ("", "holds nothing"),
        ("name: a\nname: b\n", "the field 'name' stands twice"),
        ("name: a\ncurate: {split: {test: 0.1, test: 0.2}}\n", "the field 'test' stands twice"),
    ],
)
def test_a_file_that_is_no_recipe_is_a_fault_with_its_line(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(Fault, match=says) as caught:
        load(write(tmp_path, "r.yaml", text))
    assert "r.yaml" in caught.value.where
    if "YAML" in says or "twice" in says:
        assert re.search(r"r\.yaml:\d+$", caught.value.where)


def test_a_recipe_that_is_not_there_names_the_nearest_shipped_one() -> None:
    name = sorted(shipped())[0]
    with pytest.raises(Fault, match="neither a file nor a shipped recipe") as caught:
        load(name[:-1])
    assert repr(name) in caught.value.hint


# -- what is resolved


@pytest.mark.parametrize(
    "sections",
    [
        {},
        {"train": {"base": "m", "tokens": "400k"}},
        {"train": None, "shards": {"tokenizer": {"vocabulary": 500}}},
        {"curate": {"language": {"keep": "all"}, "quality": {"preset": "none", "rules": {"words": {"at_least": 3}}}}},
        {
            "sources": [
                {"name": "a", "path": ["x", "y"], "text": ["t", "b"]},
                {"name": "g", "path": "g", "role": "general"},
            ]
        },
    ],
)
def test_a_resolved_recipe_loads_to_itself(tmp_path: Path, sections: dict[str, Any]) -> None:
    resolved = check(recipe(**sections), "a test")
    text = recipes.dump(resolved)
    assert load(write(tmp_path, "resolved.yaml", text)) == resolved
    assert recipes.dump(load(str(tmp_path / "resolved.yaml"))) == text


def test_a_resolved_recipe_spells_out_every_default() -> None:
    resolved = yaml.safe_load(recipes.dump(check(MEDICAL, "a test")))
    assert set(resolved) == set(Recipe.model_fields)
    assert resolved["curate"]["duplicates"]["bands"] == 14
    assert resolved["train"]["optimizer"]["betas"] == [0.9, 0.95]


def test_without_general_text_the_resolved_recipe_replays_nothing() -> None:
    alone = check(MEDICAL, "a test").train
    beside = check(recipe(sources=[*MEDICAL["sources"], {"name": "w", "path": "w", "role": "general"}]), "a test").train
    assert alone is not None
    assert beside is not None
    assert (alone.replay, beside.replay) == (0.0, 0.05)


# -- what is shipped, and the schema


@pytest.mark.parametrize("name", sorted(shipped()))
def test_a_shipped_recipe_loads_and_begins_with_what_it_is_for(name: str) -> None:
    assert load(name).name
    first = shipped()[name].read_text(encoding="utf-8").partition("\n")[0]
    assert re.match(r"# \w.{15,}", first)


def test_the_schema_accepts_what_loads_and_refuses_what_does_not() -> None:
    schema = Recipe.model_json_schema()
    written = [yaml.safe_load(path.read_text(encoding="utf-8")) for path in shipped().values()]
    written += [yaml.safe_load(recipes.dump(load(name))) for name in shipped()]
    written += [
        recipe(train={"base": "m", "tokens": "2B"}),
        recipe(curate={"language": {"keep": "all"}}),
        {"extends": "x"},
    ]
    assert len(written) >= 5
    for data in written:
        assert complaints(data, schema, schema) == []
    for data in (
        recipe(nam="x"),
        recipe(seed="one"),
        recipe(sources=[{"name": "a"}]),
        recipe(sources=[{"name": "a", "path": "b", "role": "domian"}]),
        recipe(train={"base": "m", "tokens": "2Q"}),
        recipe(curate={"split": {"tset": 0.1}}),
    ):
        assert complaints(data, schema, schema)


def complaints(value: Any, schema: dict[str, Any], root: dict[str, Any], place: str = "") -> list[str]:
    """What a reader of JSON Schema has against a value: the part of the standard that the schema uses."""
    if "$ref" in schema:
        return complaints(value, root["$defs"][schema["$ref"].rpartition("/")[2]], root, place)
    found = []
    if "anyOf" in schema and all(complaints(value, branch, root, place) for branch in schema["anyOf"]):
        found.append(f"{place}: {value!r} fits no branch")
    if "type" in schema and not isinstance(value, KINDS[schema["type"]]):
        return [*found, f"{place}: {value!r} is no {schema['type']}"]
    if ("const" in schema and value != schema["const"]) or value not in schema.get("enum", [value]):
        found.append(f"{place}: {value!r} is not the one")
    if isinstance(value, str) and not re.search(schema.get("pattern", ""), value):
        found.append(f"{place}: {value!r} does not match")
    if isinstance(value, dict):
        fields = schema.get("properties", {})
        found += [f"{place}.{name}: missing" for name in schema.get("required", []) if name not in value]
        for name, inner in value.items():
            rest = schema.get("additionalProperties", True)
            if name in fields or isinstance(rest, dict):
                found += complaints(inner, fields.get(name, rest), root, f"{place}.{name}")
            elif rest is False:
                found.append(f"{place}.{name}: unknown")
    if isinstance(value, list) and "items" in schema:
        found += [one for inner in value for one in complaints(inner, schema["items"], root, f"{place}[]")]
    return found


KINDS: dict[str, Any] = {
    "object": dict, "array": list, "string": str, "boolean": bool, "null": type(None), "integer": int,
    "number": (int, float),
}  # fmt: skip
