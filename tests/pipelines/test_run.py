"""The laws of a whole run: the folder it leaves, the same result through every door, and what its user sees."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import datasets
import pytest
from outcomes import ROOT, metrics, only_curated, postgrad, write_recipe
from small import TRAIN, small_recipe

from curate.shards.fault import Fault
from curate.shards.seal import checksums
from pipelines import recipe as recipes
from pipelines.folder import RunFolder
from pipelines.run import headline
from pipelines.run import run as whole_run

SAME = ("curated", "shards", "tokenizer", "training/model", "training/initial")


def test_the_run_folder_is_that_of_the_design(trained: RunFolder, corpus: Path) -> None:
    assert recipes.load(str(trained.recipe_file)) == small_recipe(corpus, train=TRAIN)
    for pattern in (
        "curated/ledger/*.parquet",
        "curated/documents/train/*.parquet",
        "curated/documents/validation/*.parquet",
        "curated/documents/test/*.parquet",
        "curated/removed/*.parquet",
        "curated/report.json",
        "shards/domain/manifest.json",
        "shards/web/manifest.json",
        "shards/rules/manifest.json",
        "shards/domain/train/data-*.arrow",
        "shards/domain/train/dataset_info.json",
        "shards/domain/train/state.json",
        "training/metrics.jsonl",
        "training/tensorboard/*",
        "training/checkpoints/step-*",
        "training/model/config.json",
        "training/model/model.safetensors",
        "training/model/README.md",
        "evaluation.json",
        "report.html",
    ):
        assert list(trained.path.glob(pattern)), pattern
    assert not list(trained.path.rglob("*.partial"))
    assert not list(trained.path.rglob("*.unfinished"))
    assert set(datasets.load_from_disk(str(trained.shards / "domain" / "train")).column_names) == {
        "input_ids",
        "id",
        "source",
        "n_bytes",
    }


def test_every_sealed_folder_holds_what_its_manifest_says(trained: RunFolder) -> None:
    folders = [trained.curated, trained.tokenizer, trained.training, *trained.shards.iterdir()]
    assert len(folders) == 6
    for folder in folders:
        assert json.loads((folder / "manifest.json").read_text())["files"] == checksums(folder)


def test_the_independent_check_of_a_run_passes(trained: RunFolder) -> None:
    check = ROOT.parent / "shared" / "check_run.py"
    if not check.is_file():
        pytest.skip(f"needs {check.name} beside the checkout, which is absent")
    done = subprocess.run(
        [sys.executable, str(check), str(trained.path), "gain"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_command_and_python_give_the_same_and_stdout_is_for_data(
    trained: RunFolder, corpus: Path, tmp_path: Path
) -> None:
    file = write_recipe(small_recipe(corpus, train=TRAIN), tmp_path)
    done = postgrad("run", str(file), at=tmp_path)
    assert done.returncode == 0, done.stderr
    other = RunFolder(tmp_path / "runs" / "small")
    for part in SAME:
        assert checksums(other.path / part) == checksums(trained.path / part), part
    assert metrics(other) == metrics(trained)
    assert json.loads(other.evaluation.read_text()) == json.loads(trained.evaluation.read_text())
    for name in ("recipe.yaml", "evaluation-documents.parquet", "training/token_ledger.json"):
        assert (other.path / name).read_bytes() == (trained.path / name).read_bytes(), name

    assert done.stdout == f"{headline(trained)}\nruns/small/report.html\n"
    told = [line.split()[0].rstrip(":") for line in done.stderr.splitlines()]
    curation = "sift benchmarks judge boilerplate dedup decontaminate spans trace certify tokenizer shard ledger"
    ours = [*curation.split(), "training", "train", "trained", "evaluated"]
    assert set(told) <= {*ours, "warning"}, done.stderr  # libraries are quiet
    assert set(ours) <= set(told)
    assert "\x1b" not in done.stderr
    assert "\r" not in done.stderr


def test_a_whole_run_over_a_finished_one_does_nothing_again(
    trained: RunFolder, corpus: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {path: path.stat().st_mtime_ns for path in trained.path.rglob("*") if path.is_file()}
    assert whole_run(small_recipe(corpus, train=TRAIN), runs=trained.path.parent) == trained
    now = {path: path.stat().st_mtime_ns for path in trained.path.rglob("*") if path.is_file()}
    touched = {path.name for path in now if now[path] != before.get(path)}
    assert touched <= {"recipe.yaml", "report.html"}
    assert [line.split()[0] for line in capsys.readouterr().err.splitlines()] == ["curated", "trained", "evaluated"]


def test_a_held_out_set_too_small_ends_a_run_before_the_training(
    trained: RunFolder, corpus: Path, tmp_path: Path
) -> None:
    run = only_curated(trained, tmp_path)
    with pytest.raises(Fault, match="clusters are the least") as fault:
        whole_run(small_recipe(corpus, train=TRAIN, evaluate={"bytes_at_most": 1000}), runs=run.path.parent)
    assert "evaluate.bytes_at_most" in fault.value.hint
    assert not run.training.exists()


def test_the_headline_says_documents_in_and_kept_and_before_and_after(trained: RunFolder) -> None:
    lines = headline(trained).splitlines()
    counts = re.fullmatch(r"documents +([\d,]+) in -> ([\d,]+) kept, ([\d,]+) removed, ([\d,]+) quarantined", lines[0])
    assert counts is not None
    records, *fates = (int(count.replace(",", "")) for count in counts.groups())
    assert records == sum(fates) == 328
    sets = json.loads(trained.evaluation.read_text())["sets"]
    number = r"([+-]?\d+\.\d{4})"
    shape = (
        rf"(\S+) +{number} -> {number} bits per byte \({number}, 95 % \[{number}, {number}\]\) on held-out (\w+) text"
    )
    found = [re.fullmatch(shape, line) for line in lines[1:-1]]
    assert [match[1] for match in found if match] == list(sets) == ["domain", "rules", "web"]
    for match, one in zip(found, sets.values(), strict=True):
        assert match is not None
        change = one["change"]
        stated = [
            one["before"]["bits_per_byte"],
            one["after"]["bits_per_byte"],
            change["bits_per_byte"],
            *change["ci95"],
        ]
        assert [float(text) for text in match.groups()[1:-1]] == [round(value, 4) for value in stated]
        assert match[7] == one["role"]
    assert lines[-1].startswith("Gain on the domain")


def test_every_stage_states_its_time_and_peak_memory(trained: RunFolder) -> None:
    lines = [json.loads(line) for line in (trained.path / "stages.jsonl").read_text().splitlines()]
    assert {"sift", "judge", "dedup", "decontaminate", "shard", "ledger", "train", "evaluate"} <= {
        line["stage"] for line in lines
    }
    assert all(line["seconds"] >= 0 and line["peak_bytes"] > 10**7 for line in lines)


def test_a_run_without_a_train_section_ends_with_the_shards_and_a_page(corpus: Path, curated: RunFolder) -> None:
    assert whole_run(small_recipe(corpus), runs=curated.path.parent) == curated
    assert not curated.training.exists()
    assert not curated.evaluation.exists()
    assert curated.report.exists()
    assert headline(curated).count("\n") == 0
