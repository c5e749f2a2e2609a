"""Judging again from what was recorded; and classifiers, masks, licences and filters of a recipe."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from datasets import load_from_disk
from small import document, near_copy, small_recipe, write_corpus

from curate.ledger import read_ledger
from curate.shards.fault import Fault
from curate.shards.seal import checksums
from pipelines.curation import curate
from pipelines.folder import RunFolder
from pipelines.recipe import Recipe
from pipelines.run import begin


def outputs(run: RunFolder) -> dict[str, str]:
    """sha256 of what curation made, but for the seals, which tell where it was made from."""
    found = {
        f"{folder.name}/{name}": digest
        for folder in (run.curated, run.shards)
        for name, digest in checksums(folder).items()
    }
    return {name: digest for name, digest in found.items() if not name.endswith("manifest.json")}


def curated_by(recipe: Recipe, runs: Path, **options: bool) -> RunFolder:
    run = begin(recipe, runs, fresh=bool(options))
    curate(recipe, run, **options)
    return run


def curation(folder: Path, **changes: Any) -> dict[str, Any]:
    """The small recipe's curate section with some of it replaced."""
    return small_recipe(folder).curate.model_dump(mode="json") | changes


STRICTER = {"quality": {"rules": {"words": {"at_least": 260}, "mean_word_length": {"at_least": 2, "at_most": 12}}}}


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("away") / "raw"
    folder.mkdir()
    write_corpus(folder)
    return folder


def test_judging_again_gives_what_a_new_run_gives_and_needs_no_raw_text(raw: Path, tmp_path: Path) -> None:
    before = curated_by(small_recipe(raw), tmp_path / "runs")
    changed = small_recipe(raw, curate=curation(raw, **STRICTER))
    anew = curated_by(changed, tmp_path / "anew")
    was = outputs(before)
    raw.rename(raw.with_name("elsewhere"))
    try:
        again = curated_by(changed, tmp_path / "runs", rejudge=True)
    finally:
        raw.with_name("elsewhere").rename(raw)
    assert outputs(again) == outputs(anew) != was
    reasons = Counter(read_ledger(again.curated / "ledger")["reason"].to_pylist())
    assert reasons["too_few_words"] > 20
    curated_by(changed, tmp_path / "runs", rejudge=True)  # as before: nothing to do
    assert outputs(again) == outputs(anew)


def test_what_needs_the_raw_text_is_refused_by_name(raw: Path, tmp_path: Path) -> None:
    curated_by(small_recipe(raw), tmp_path)
    with pytest.raises(Fault, match="clean") as fault:
        curated_by(small_recipe(raw, curate=curation(raw, clean=["encoding"])), tmp_path, rejudge=True)
    assert "without --rejudge" in str(fault.value)
    with pytest.raises(Fault, match="nothing to judge again"):
        curated_by(small_recipe(raw, name="other"), tmp_path, rejudge=True)


def test_a_domain_classifier_scores_all_and_removes_what_is_off_it(tmp_path: Path) -> None:
    write_corpus(tmp_path)
    words = "ship sail harbour captain sea storm rope deck anchor mast crew tide".split()
    with (tmp_path / "sea.jsonl").open("w") as file:
        for i in range(60):
            text = document(f"sea {i}")
            for k, word in enumerate(("patient", "doctor", "blood", "fever", "dose", "heart", "clinic", "nurse")):
                text = text.replace(word, words[(i + k) % len(words)])
            file.write(json.dumps({"text": text, "id": f"s{i}"}) + "\n")
    sources = [source.model_dump(mode="json") for source in small_recipe(tmp_path).sources]
    for source in sources:
        if source["name"] == "web":
            source["path"] = str(tmp_path / "sea.jsonl")
    recipe = small_recipe(
        tmp_path, sources=sources, curate=curation(tmp_path, domain={"seeds": ["notes"], "at_least": 0.5})
    )
    run = curated_by(recipe, tmp_path / "runs")
    ledger = read_ledger(
        run.curated / "ledger", ["source", "domain_score", "dsir_score", "reasons", "fate"]
    ).to_pylist()
    scores = {
        name: [row["domain_score"] for row in ledger if row["source"] == name] for name in ("notes", "web", "pages")
    }
    assert all((score is None) == (row["fate"] == "quarantined") for row in ledger for score in [row["domain_score"]])
    means = {name: sum(filter(None, of)) / sum(one is not None for one in of) for name, of in scores.items()}
    assert means["notes"] > means["web"] + 0.3
    off = {row["source"] for row in ledger if "off_domain" in (row["reasons"] or ())}
    assert off <= {"pages"}  # neither seeds nor general text is judged by it


def test_masks_licences_and_filters_reach_ledger_documents_and_fates(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_corpus(tmp_path)
    notes = [
        {"text": f"{document(f'letter {i}')} Write to jane{i}@example.org about it.", "id": f"m{i}", "terms": "CC0-1.0"}
        for i in range(12)
    ]
    notes.append({"text": near_copy(str(notes[0]["text"])), "id": "copy", "terms": None})
    (tmp_path / "letters.jsonl").write_text("".join(json.dumps(one) + "\n" for one in notes))
    sources = [source.model_dump(mode="json") for source in small_recipe(tmp_path).sources]
    letters = {"name": "letters", "path": str(tmp_path / "letters.jsonl"), "id": "id", "licence": {"field": "terms"}}
    sources.append(letters | {"consent": "research_only"})
    wants = {"pii": {"mask": ["email"]}, "filters": ["filters_of_ours:NoOddWord"]}
    (tmp_path / "filters_of_ours.py").write_text(
        "from datatrove.pipeline.filters.base_filter import BaseFilter\n\n\n"
        "class NoOddWord(BaseFilter):\n    name = 'odd'\n\n"
        "    def filter(self, doc):\n        return (False, 'odd_word') if ' odd ' in doc.text else True\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))  # for the processes that work
    run = curated_by(small_recipe(tmp_path, sources=sources, curate=curation(tmp_path, **wants)), tmp_path / "runs")
    rows = {row["id"]: row for row in read_ledger(run.curated / "ledger").to_pylist()}
    assert rows["letters/m3"]["pii_email"] == 1
    assert (rows["letters/m3"]["licence"], rows["letters/m3"]["consent"]) == ("CC0-1.0", "research_only")
    assert rows["notes/n1"]["licence"] is None
    assert "odd_word" in rows["letters/copy"]["reasons"]
    assert rows["letters/m3"]["bytes_cleaned"] == len("jane3@example.org") - len("[email]")
    kept = [pq.read_table(path).to_pylist() for path in sorted((run.curated / "documents").rglob("*.parquet"))]
    texts = {row["id"]: row for part in kept for row in part}
    assert "[email]" in texts["letters/m3"]["text"]
    assert "@" not in texts["letters/m3"]["text"]
    assert texts["letters/m3"]["licence"] == "CC0-1.0"
    shards = load_from_disk(str(run.shards / "domain" / "train"))
    terms = {row["id"]: (row["licence"], row["consent"]) for row in shards}
    told = {terms[name] for name in terms if name.startswith("letters/m")}
    assert told == {("CC0-1.0", "research_only")}
    assert {terms[name] for name in terms if name.startswith("notes/")} == {("", "")}


def test_a_mixed_source_is_judged_by_its_own_rules(tmp_path: Path) -> None:
    write_corpus(tmp_path)
    sources = [source.model_dump(mode="json") for source in small_recipe(tmp_path).sources]
    sources[1]["quality"] = {"rules": {"words": {"at_least": 100_000, "at_most": None}}}
    run = curated_by(small_recipe(tmp_path, sources=sources), tmp_path / "runs")
    ledger = read_ledger(run.curated / "ledger", ["source", "reason"]).to_pylist()
    assert {row["reason"] for row in ledger if row["source"] == "pages"} == {"too_few_words", "wrong_encoding"}
    assert not any(row["reason"] == "too_few_words" and row["source"] == "web" for row in ledger)
    shutil.rmtree(run.path)
