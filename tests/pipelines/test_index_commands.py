"""`postgrad index` and `duplicates.against`: this month's crawl against what was published, without its text."""

from __future__ import annotations

import json
import shutil
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from small import document, small_recipe

from curate.ledger import read_ledger
from curate.shards.fault import Fault
from pipelines import cli
from pipelines import recipe as recipes
from pipelines.curation import curate
from pipelines.explain import explain
from pipelines.folder import RunFolder
from pipelines.recipe import Recipe


@dataclass(frozen=True)
class Answer:
    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.out.splitlines()]


@pytest.fixture
def index(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Callable[..., Answer]:
    """Runs `postgrad index ...` within this process, in a folder of its own."""
    monkeypatch.chdir(tmp_path)

    def call(*arguments: object) -> Answer:
        monkeypatch.setattr(sys, "argv", ["postgrad", "index", *map(str, arguments)])
        capsys.readouterr()
        code = 0
        try:
            cli.main()
        except SystemExit as end:
            code = int(end.code or 0)
        said = capsys.readouterr()
        return Answer(code, said.out, said.err)

    return call


Index = Callable[..., Answer]


def write(path: Path, records: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(one) + "\n" for one in records), encoding="utf-8")
    return path


def notes(*numbers: int) -> list[dict[str, Any]]:
    return [{"id": f"n{i}", "body": document(f"note {i}")} for i in numbers]


def like(text: str, at: int = 50) -> str:
    """One word changed of a hundred or more: a Jaccard above 0.9."""
    words = text.split()
    return " ".join([*words[:at], "odd", *words[at + 1 :]])


def test_files_are_indexed_grown_and_asked(index: Index, tmp_path: Path) -> None:
    write(tmp_path / "january.jsonl", notes(*range(30)))
    write(tmp_path / "february.jsonl", notes(*range(25, 50)))
    fields = ("--id", "id", "--text", "body")
    built = index("build", "published", "january.jsonl", *fields)
    assert (built.code, built.out) == (0, "published\n")
    assert "30 documents entered; 30 in all" in built.err
    added = index("add", "published", "february.jsonl", *fields)
    assert "20 documents entered, 5 were there already; 50 in all" in added.err
    crawl = [
        {"id": "upper", "body": document("note 3").upper()},
        {"id": "near", "body": like(document("note 40"))},
        {"id": "new", "body": document("another")},
        {"id": "empty", "body": " "},
    ]
    write(tmp_path / "crawl.jsonl", crawl)
    for each in ("january.jsonl", "february.jsonl"):
        (tmp_path / each).unlink()  # nobody reads the published text again
    asked = index("query", "published", "crawl.jsonl", *fields)
    exact, near = asked.lines
    assert exact == {"id": "upper", "match": "n3", "level": "exact", "similarity": 1.0}
    assert (near["id"], near["match"], near["level"]) == ("near", "n40", "near")
    assert near["similarity"] >= 0.8
    assert near["error"] == pytest.approx((near["similarity"] * (1 - near["similarity"]) / 112) ** 0.5, abs=1e-3)
    assert "2 of 3 documents are among the 50 of published" in asked.err
    assert "1 records could not be read or hold no text" in asked.err
    assert index("query", "published", "crawl.jsonl", *fields, "--at-least", 1).lines == [exact]
    unnamed = index("query", "published", "crawl.jsonl", "--text", "body").lines
    assert [one["id"] for one in unnamed] == ["crawl.jsonl#0", "crawl.jsonl#1"]


def test_all_prints_every_match_and_exact_sets_leave_no_error(index: Index, tmp_path: Path) -> None:
    twice = [*notes(1), {"id": "again", "body": document("note 1")}]
    write(tmp_path / "published.jsonl", twice)
    write(tmp_path / "crawl.jsonl", [{"id": "near", "body": like(document("note 1"))}])
    fields = ("--id", "id", "--text", "body")
    assert index("build", "sets", "published.jsonl", *fields, "--exact").code == 0
    assert [one["match"] for one in index("query", "sets", "crawl.jsonl", *fields).lines] == ["again"]
    every = index("query", "sets", "crawl.jsonl", *fields, "--all").lines
    assert [one["match"] for one in every] == ["again", "n1"]
    assert "error" not in every[0]


def test_an_index_is_exported_and_checked(index: Index, tmp_path: Path) -> None:
    write(tmp_path / "published.jsonl", notes(*range(20)))
    index("build", "published", "published.jsonl", "--id", "id", "--text", "body", "--bands", 10, "--rows", 6)
    exported = index("export", "published", "lsh.pickle")
    assert (exported.code, exported.out) == (0, "lsh.pickle\n")
    assert (tmp_path / "lsh.pickle").stat().st_size > 0
    about = json.loads(index("check", "published").out)
    assert about["sketches"] | {"hashes": ""} == {
        "scheme": "affine32", "seed": 1, "bands": 10, "rows": 6, "shingle": {"words": 5}, "hashes": "",
    }  # fmt: skip
    place = tmp_path / "published" / "segment-00000" / "signatures.npy"
    content = bytearray(place.read_bytes())
    content[-1] ^= 1
    place.write_bytes(content)
    damaged = index("check", "published")
    assert damaged.code == 2
    assert "signatures.npy" in damaged.err


def test_a_run_of_another_recipe_is_refused(index: Index, curated: RunFolder, tmp_path: Path) -> None:
    assert index("build", "published", curated.path).code == 0
    write(tmp_path / "published.jsonl", notes(1))
    for flag, value, field in (("--seed", 5, "seed"), ("--rows", 4, "rows"), ("--shingle-words", 3, "shingle.words")):
        other = f"other{flag}"
        assert index("build", other, "published.jsonl", "--text", "body", flag, value).code == 0
        refused = index("add", other, curated.path)
        assert refused.code == 2
        assert f"the index {other} was made with {field} = {value}, {curated.path} has " in refused.err
        assert "hint: " in refused.err
    again = index("add", "published", curated.path)
    assert " 0 documents entered" in f" {again.err}"


def next_month(folder: Path, published: RunFolder) -> Path:
    """Some new text, and copies of what was published: of training text and of held-out text, equal and edited."""
    stored = read_ledger(published.curated / "ledger", ["id", "source", "split"]).to_pylist()
    train, test = (
        [
            row["id"]
            for row in stored
            if row["split"] == split and row["source"] == "notes" and "quotes" not in row["id"]
        ]
        for split in ("train", "test")
    )
    texts = {f"notes/{one['id']}": one["text"] for one in note_records()}
    fresh = [{"id": f"f{i}", "text": document(f"fresh {i}")} for i in range(60)]
    copies = [{"id": f"same-{name}", "text": texts[name].replace(". ", ".\n")} for name in [*train[:4], *test[:3]]]
    near = [{"id": f"near-{name}", "text": like(texts[name])} for name in train[4:12]]
    near += [{"id": f"near2-{name}", "text": like(texts[name], 90)} for name in train[4:6]]  # two copies of one text
    write(folder / "crawl.jsonl", [*fresh, *copies, *near])
    write(folder / "control.jsonl", [{"id": "r", "text": texts[train[0]]}])
    return folder


def note_records() -> list[dict[str, Any]]:
    return [{"text": document(f"note {i}", 8 + i % 9), "id": f"n{i}"} for i in range(150)]


def recipe_of(folder: Path, name: str, **duplicates: Any) -> Recipe:
    sources = [
        {"name": "crawl", "path": str(folder / "crawl.jsonl"), "id": "id"},
        {"name": "control", "path": str(folder / "control.jsonl"), "id": "id", "role": "control"},
    ]
    settings = small_recipe(folder).curate.model_dump(mode="json", exclude_unset=True) | {"duplicates": duplicates}
    return small_recipe(folder, name, sources=sources, curate=settings)


def test_copies_of_published_text_leave_with_their_names(index: Index, curated: RunFolder, tmp_path: Path) -> None:
    published = RunFolder(Path(shutil.copytree(curated.path, tmp_path / "runs" / "january")))
    next_month(tmp_path, published)
    assert index("build", "index", published.path, "--exact").code == 0
    assert index("build", "estimates", published.path).code == 0
    published.path.rename(tmp_path / "runs" / "away")
    for against in (["index"], ["estimates"], ["estimates", "index"]):
        run = RunFolder(tmp_path / "runs" / f"february-{'-'.join(against)}")
        curate(recipe_of(tmp_path, run.path.name, against=against), run)
        rows = read_ledger(run.curated / "ledger").to_pylist()
        assert Counter(row["fate"] for row in rows).total() == len(rows) == 60 + 7 + 10 + 1  # in = kept + left
        left = {row["id"]: row for row in rows if row["reason"] == "published_duplicate"}
        assert {row["stage"] for row in left.values()} == {"dedup"}
        assert all(
            row["fate"] == "removed" and row["split"] is None and row["cluster"] is None for row in left.values()
        )
        same = {name: row for name, row in left.items() if "same-" in name}
        assert len(same) == 7
        for name, row in left.items():
            assert row["duplicate_of"] == name.partition("-")[2]
            assert row["duplicate_of"] in row["evidence"]
            assert f"published in {against[0] if len(against) == 1 else ''}" in row["evidence"]
        assert {row["similarity"] for row in same.values()} == {1.0}
        near = [row for name, row in left.items() if "near" in name]
        assert len(near) == 10
        assert all(0.8 <= row["similarity"] < 1 for row in near)
        control = next(row for row in rows if row["id"] == "control/r")
        assert (control["fate"], control["split"]) == ("kept", "test")
        report = json.loads((run.curated / "report.json").read_text())
        steps = {step["step"]: step["documents"] for step in report["funnel"]["steps"]}
        assert steps["published"] == 78 - 17
        assert report["duplicates"]["shown"] == []
        story = explain(run.path, next(iter(same)))
        assert f"matched {next(iter(same.values()))['duplicate_of']}, which is published, similarity 1.000" in story
    without = RunFolder(tmp_path / "runs" / "without")
    curate(recipe_of(tmp_path, "without"), without)
    reasons = {row["reason"] for row in read_ledger(without.curated / "ledger").to_pylist()}
    assert "published_duplicate" not in reasons
    assert "near_duplicate" in reasons  # near and near2, which both leave for the published one otherwise


def test_an_index_that_has_grown_makes_another_corpus(index: Index, curated: RunFolder, tmp_path: Path) -> None:
    next_month(tmp_path, curated)
    assert index("build", "index", curated.path).code == 0
    recipe, run = recipe_of(tmp_path, "february", against=["index"]), RunFolder(tmp_path / "runs" / "february")
    curate(recipe, run)
    write(tmp_path / "more.jsonl", [{"id": "f3", "text": document("fresh 3")}])
    assert index("add", "index", "more.jsonl", "--id", "id").code == 0
    with pytest.raises(Fault) as stale:
        curate(recipe, run)
    assert stale.value.where == "published.index"
    curate(recipe, run, fresh=True)
    left = {row["id"]: row for row in read_ledger(run.curated / "ledger").to_pylist() if row["fate"] == "removed"}
    assert left["crawl/f3"]["duplicate_of"] == "f3"


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"against": ["nowhere"]}, "curate.duplicates.against.0 = 'nowhere': there is no index nowhere"),
        ({"against": ["index", "raw.jsonl"]}, "curate.duplicates.against.1 = 'raw.jsonl': raw.jsonl is not an index"),
        ({"against": ["index"], "rows": 4}, "the index index was made with rows = 8, this recipe has 4"),
        ({"against": ["index"], "shingle_words": 6}, "made with shingle.words = 5, this recipe has 6"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_an_index_is_told_before_any_work(
    index: Index, tmp_path: Path, given: dict[str, Any], says: str
) -> None:
    write(tmp_path / "raw.jsonl", note_records())
    assert index("build", "index", "raw.jsonl").code == 0
    with pytest.raises(Fault) as fault:
        recipe_of(tmp_path, "february", **given)
    assert says in str(fault.value)
    recipe_of(tmp_path, "february", against=["index"])
    with pytest.raises(Fault, match="seed = 1, this recipe has 2"):
        recipes.check(recipe_of(tmp_path, "february", against=["index"]).model_dump() | {"seed": 2}, "a test")
