"""From a step to its documents and back, by command."""

from __future__ import annotations

import json
import re

import pytest
from typer.testing import CliRunner

from curate.ledger import read_ledger
from curate.shards.fault import Fault
from pipelines.cli import app
from pipelines.explain import explain
from pipelines.explain_training import explain_step
from pipelines.folder import RunFolder


def test_a_step_names_its_documents_and_these_name_the_step(trained: RunFolder) -> None:
    told = explain_step(trained, 3)
    line = next(json.loads(one) for one in (trained.training / "metrics.jsonl").read_text().splitlines()[2:])
    assert f"loss {line['loss']:.5g}" in told
    kept = {
        row["id"]
        for row in read_ledger(trained.curated / "ledger", ["id", "split"]).to_pylist()
        if row["split"] == "train"
    }
    documents = re.findall(r"^(?:row \d+|) +(\S+/\S+)  (?:all|tokens)", told, re.MULTILINE)
    assert documents
    assert set(documents) <= kept
    for one in documents[:3]:
        assert re.search(r"^(trained)? +step 3, row \d+: tokens", explain(trained.path, one), re.MULTILINE)


def test_the_tokens_of_the_documents_are_those_that_the_metrics_counted(trained: RunFolder) -> None:
    lines = [json.loads(one) for one in (trained.training / "metrics.jsonl").read_text().splitlines()]
    counted = {line["step"]: line["tokens"] for line in lines if "loss" in line}
    for step in (1, max(counted)):
        parts = re.findall(r"^  (?:domain|web): ([\d,]+) tokens?$", explain_step(trained, step), re.MULTILINE)
        assert sum(int(part.replace(",", "")) for part in parts) == counted[step]


def test_one_row_of_a_step_is_a_part_of_it(trained: RunFolder) -> None:
    whole, row = explain_step(trained, 2), explain_step(trained, 2, 1)
    assert set(row.splitlines()[4:]) <= set(whole.splitlines())
    assert "row 1" in row
    assert "row 0" not in row


def test_a_step_that_was_never_made_is_a_fault(trained: RunFolder, curated: RunFolder) -> None:
    with pytest.raises(Fault, match="there is no step 9999"):
        explain_step(trained, 9999)
    with pytest.raises(Fault, match="has no row 99"):
        explain_step(trained, 1, 99)
    with pytest.raises(Fault, match="nothing was trained"):
        explain_step(curated, 1)


def test_the_command_takes_a_document_or_a_step(trained: RunFolder) -> None:
    done = CliRunner().invoke(app, ["explain", str(trained.path), "--step", "1", "--row", "0"])
    assert done.exit_code == 0
    assert "row 0" in done.stdout
    assert done.stdout.rstrip().endswith("metrics.jsonl")
