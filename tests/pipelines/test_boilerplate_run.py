"""Laws of a whole run in which boilerplate is cut: nothing is lost untold, and everything later sees what remains."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow.dataset as ds
import pytest
from datasets import load_from_disk
from small import document, small_recipe

from curate.ledger import read_ledger
from curate.shards.seal import checksums
from pipelines.curation import curate
from pipelines.folder import RunFolder
from pipelines.recipe import Recipe
from pipelines.report.page import write_page
from pipelines.run import begin

HEADER = "This record is of the hospital and is not to be shown to others, for it was made in the care of a patient."
FOOTER = "All that is said in this record was said to the best of our knowledge, and it may be that it is wrong by now."
NOTICE = "The law of the land has it that who finds this record on the way home is to bring it to the next hospital."


def _notes() -> dict[str, str]:
    """Most in a frame that is the same words in other dress; one is nothing else; two differ in the frame alone."""
    notes = {}
    for i in range(60):
        header = HEADER.upper() if i % 2 else f"  {HEADER}"
        notes[f"n{i:02d}"] = f"{header}\n{document(f'note {i}', 10)}\n{document(f'more {i}', 3)}\n\n{FOOTER}\n{NOTICE}"
    notes["nothing-else"] = f"{NOTICE}\n{FOOTER}\n\n{HEADER}\n"
    notes["bare"] = f"{document('note 7', 10)}\n{document('more 7', 3)}"
    return notes


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("raw")
    web = {f"w{i}": f"{HEADER}\n{document(f'web {i}', 10)}" for i in range(12)}  # too few to be boilerplate here
    rules = {f"r{i}": document(f"rule {i}", 9) for i in range(5)}
    for name, texts in {"notes": _notes(), "web": web, "rules": rules}.items():
        lines = [json.dumps({"id": own, "text": text}) for own, text in texts.items()]
        (folder / f"{name}.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (folder / "exam.jsonl").write_text(json.dumps({"text": document("question", 2)}) + "\n", encoding="utf-8")
    return folder


def _recipe(raw: Path, action: str, workers: int = 1) -> Recipe:
    roles = {"notes": "domain", "web": "general", "rules": "control", "exam": "benchmark"}
    sources = [{"name": n, "path": str(raw / f"{n}.jsonl"), "id": "id", "role": role} for n, role in roles.items()]
    settings = small_recipe(raw).curate.model_dump(mode="json")
    settings["duplicates"]["boilerplate"] = {"documents": 20, "action": action}
    return small_recipe(raw, sources=sources, curate=settings, engine={"workers": workers})


def _curated(recipe: Recipe, runs: Path, **options: bool) -> RunFolder:
    run = begin(recipe, runs, fresh=bool(options))
    curate(recipe, run, **options)
    return run


@pytest.fixture(scope="module")
def trimmed(raw: Path, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    return _curated(_recipe(raw, "remove"), tmp_path_factory.mktemp("runs"))


def _rows(run: RunFolder) -> dict[str, dict[str, Any]]:
    return {row["id"]: row for row in read_ledger(run.curated / "ledger").to_pylist()}


def _outputs(run: RunFolder) -> dict[str, str]:
    found = {f"{f.name}/{name}": sha for f in (run.curated, run.shards) for name, sha in checksums(f).items()}
    return {name: sha for name, sha in found.items() if not name.endswith("manifest.json")}


def _texts(run: RunFolder, folder: str) -> dict[str, str]:
    table = ds.dataset(sorted(map(str, (run.curated / folder).rglob("*.parquet")))).to_table(columns=["id", "text"])
    return dict(zip(table["id"].to_pylist(), table["text"].to_pylist(), strict=True))


def test_every_record_and_every_byte_of_it_is_accounted_for(trimmed: RunFolder, raw: Path) -> None:
    read = {}
    for name in ("notes", "web", "rules"):
        for line in (raw / f"{name}.jsonl").read_text(encoding="utf-8").splitlines():
            read[f"{name}/{json.loads(line)['id']}"] = json.loads(line)["text"]
    rows = _rows(trimmed)
    assert set(rows) == set(read)
    for name, row in rows.items():
        assert row["n_bytes"] + row["bytes_cleaned"] + row["bytes_trimmed"] == len(read[name].encode()), name
        assert (row["reason"] is None) == (row["fate"] == "kept")
    assert sum(row["bytes_trimmed"] > 0 for row in rows.values()) == 60
    left = rows["notes/nothing-else"]
    assert (left["fate"], left["stage"], left["reason"]) == ("removed", "boilerplate", "only_boilerplate")
    assert _texts(trimmed, "removed")["notes/nothing-else"] == read["notes/nothing-else"]


def test_dedup_documents_and_shards_see_what_remains(trimmed: RunFolder) -> None:
    rows, texts = _rows(trimmed), _texts(trimmed, "documents")
    pair = {rows["notes/n07"]["reason"], rows["notes/bare"]["reason"]}
    assert pair == {None, "exact_duplicate"}  # alike without their frame
    kept = {name: row for name, row in rows.items() if row["fate"] == "kept"}
    assert set(texts) == set(kept)
    for name, text in texts.items():
        assert len(text.encode()) == kept[name]["n_bytes"]
        assert len(text) == kept[name]["n_chars"]
        framed = any(line.lower() in text.lower() for line in (HEADER, FOOTER, NOTICE))
        assert framed == name.startswith("web/")
    shards = {row["id"]: row["n_bytes"] for row in load_from_disk(str(trimmed.shards / "domain" / "train"))}
    assert shards == {name: row["n_bytes"] for name, row in kept.items() if row["shard"] in _domain_train(kept)}
    assert len(shards) > 40


def _domain_train(kept: dict[str, dict[str, Any]]) -> set[str]:
    return {row["shard"] for row in kept.values() if row["role"] == "domain" and row["split"] == "train"}


def test_the_report_says_what_was_cut(trimmed: RunFolder) -> None:
    numbers = json.loads((trimmed.curated / "report.json").read_text(encoding="utf-8"))
    found = numbers["boilerplate"]
    notes = next(row for row in found["by_source"] if row["source"] == "notes")
    cut = sum(row["bytes_trimmed"] for row in _rows(trimmed).values())
    assert notes | {"bytes": 0} == {
        "source": "notes", "documents": 62, "bound": 20, "passages": 3, "bytes": 0,
        "touched": 60, "bytes_cut": cut, "left": 1,
    }  # fmt: skip
    assert {row["text"].lower() for row in found["shown"]} == {line.lower() for line in (HEADER, FOOTER, NOTICE)}
    assert {row["documents"] for row in found["shown"]} == {61}
    source = next(row for row in numbers["sources"] if row["source"] == "notes")
    assert source["trimmed_bytes"] == cut
    page = write_page(trimmed.path).read_text(encoding="utf-8")
    assert 'id="boilerplate"' in page
    assert "More than boilerplate" in page


def test_neither_workers_nor_judging_again_change_a_byte(raw: Path, trimmed: RunFolder, tmp_path: Path) -> None:
    two = _curated(_recipe(raw, "remove", workers=2), tmp_path / "two")
    assert _outputs(two) == _outputs(trimmed)
    again = _curated(_recipe(raw, "count"), tmp_path / "again")
    assert all(row["bytes_trimmed"] == 0 for row in _rows(again).values())
    assert _rows(again)["notes/nothing-else"]["fate"] == "kept"
    again = _curated(_recipe(raw, "remove"), tmp_path / "again", rejudge=True)
    assert _outputs(again) == _outputs(trimmed)
