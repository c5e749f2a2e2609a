"""The recall command's body: what it finds in a source, what it leaves on disk, what it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from curate.passes.sifted import Sifted
from curate.settings import Source
from curate.shards.fault import Fault
from pipelines.folder import RunFolder
from pipelines.recall import recall
from pipelines.recipe import Recipe
from tests.curate.classified import MEDICINE, SEA, sifted, text


def recipe_of(sources: list[Source], seeds: list[str] | None = None) -> Recipe:
    given = {
        "name": "found",
        "sources": [source.model_dump() for source in sources],
        "curate": {"domain": {"seeds": seeds}} if seeds else {},
        "shards": {"tokenizer": {"vocabulary": 300}},
    }
    return Recipe.model_validate(given)


@pytest.fixture
def run(tmp_path: Path) -> tuple[RunFolder, Sifted, list[Source]]:
    planted = [text(MEDICINE, f"planted {i}") for i in range(30)]
    files, sources = sifted(
        tmp_path / "sifted",
        [
            ("crawl", "domain", [text(SEA, f"crawl {i}") for i in range(150)] + planted),
            ("notes", "domain", [text(MEDICINE, i) for i in range(80)]),
            ("web", "general", [text(SEA, i) for i in range(80)]),
        ],
    )
    return RunFolder(tmp_path / "run"), files, sources


def test_planted_documents_are_found_and_written_with_their_rounds(
    run: tuple[RunFolder, Sifted, list[Source]], capsys: pytest.CaptureFixture[str]
) -> None:
    place, files, sources = run
    recipe = recipe_of(sources, ["notes"])
    folder = recall(recipe, place, files, sources, "crawl")
    rows = pq.read_table(folder / "accepted.parquet").to_pylist()
    planted = {f"crawl/0-{i}" for i in range(150, 180)}
    assert len(planted & {row["id"] for row in rows}) >= 27
    assert len({row["id"] for row in rows} - planted) <= 3
    told = json.loads((folder / "rounds.json").read_text())
    assert told["rounds"][-1]["accepted"] == len(rows)
    assert {row["round"] for row in rows} <= {one["number"] for one in told["rounds"]}
    assert "held-out precision" in capsys.readouterr().err
    before = (folder / "manifest.json").read_bytes()
    assert recall(recipe, place, files, sources, "crawl") == folder
    assert "as before" in capsys.readouterr().err
    assert (folder / "manifest.json").read_bytes() == before


def test_a_pool_that_is_also_general_text_is_told_from_the_other_general_text(
    run: tuple[RunFolder, Sifted, list[Source]],
) -> None:
    place, files, sources = run
    general = [one.model_copy(update={"role": "general"}) if one.name == "crawl" else one for one in sources]
    folder = recall(recipe_of(general, ["notes"]), place, files, general, "crawl")
    assert json.loads((folder / "manifest.json").read_text())["fingerprint"]["against"] == ["web"]
    assert len(pq.read_table(folder / "accepted.parquet")) >= 25


@pytest.mark.parametrize(
    ("pool", "what"), [("crawls", "there is no source 'crawls' to search"), ("notes", "'notes' is a seed source")]
)
def test_a_pool_that_cannot_be_searched_is_a_fault(
    run: tuple[RunFolder, Sifted, list[Source]], pool: str, what: str
) -> None:
    place, files, sources = run
    with pytest.raises(Fault, match=what):
        recall(recipe_of(sources, ["notes"]), place, files, sources, pool)


def test_without_seeds_there_is_nothing_to_search_for(run: tuple[RunFolder, Sifted, list[Source]]) -> None:
    place, files, sources = run
    with pytest.raises(Fault, match="names no seeds") as fault:
        recall(recipe_of(sources), place, files, sources, "crawl")
    assert "curate.domain" in fault.value.hint
