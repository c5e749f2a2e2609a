"""Every benchmark runs through on a tiny input, so that none of them rots. No speed is asserted anywhere."""

from __future__ import annotations

import importlib
import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
TINY = {
    "measuring": "--mb 0.1",
    "minhash_signatures": "--mb 0.05",
    "curation": "--mb 0.15 --workers 1 --more 0.15",
    "packing": "--documents 3000 --tokens 60000 --row 256 --rounds 2",
    "training": "--mb 0.3 --tokens 1500 --row 128 --step-tokens 512 --hidden 32 --layers 1 --at-once 4 --threads 1",
}


@pytest.fixture(autouse=True)
def _from_the_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT))  # benchmarks are no installed package


@pytest.mark.parametrize("program", TINY)
def test_each_benchmark_runs_through(
    program: str, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.import_module("benchmarks.contest"), "LEAST_SECONDS", 0)
    words = ["--rounds", "1", *TINY[program].split(), "--json", str(tmp_path / "found.json")]
    importlib.import_module(f"benchmarks.{program}").main(words)
    outcomes = json.loads((tmp_path / "found.json").read_text())
    assert outcomes
    for outcome in outcomes:
        first, *peers = outcome["turns"]
        assert first["name"].startswith("ours")
        assert outcome["amount"] > 0
        assert outcome["same_work"]
        assert peers or "alone" in outcome["work"]
        assert all(seconds > 0 for turns in outcome["turns"] for seconds in turns["seconds"])
    printed = capfd.readouterr().out
    assert "ours is" in printed
    assert "Machine: " in printed


def test_the_page_names_every_program_and_has_a_place_for_its_result() -> None:
    table = importlib.import_module("benchmarks.all").SIZES
    assert set(table) == set(TINY)
    page = (ROOT / "benchmarks" / "README.md").read_text()
    files = {path.name for path in (ROOT / "benchmarks").glob("*.py")} - {"__init__.py", "all.py"}
    assert {name for name in files if f"`{name}`" not in page} == set()
    for program in table:
        assert len(re.findall(f"<!-- {program} -->\n.*?\n<!-- end of {program} -->", page, re.DOTALL)) == 1


def test_a_result_replaces_only_what_stands_between_its_marks() -> None:
    put = importlib.import_module("benchmarks.all").put
    page = "a\n<!-- x -->\nold\n<!-- end of x -->\nb\n<!-- y -->\nother\n<!-- end of y -->\n"
    changed = put(page, "x", r"new \1 table")
    assert changed == page.replace("old", r"new \1 table")
    with pytest.raises(SystemExit, match="0 places for z"):
        put(page, "z", "new")


def test_sides_that_did_other_work_are_never_compared() -> None:
    contest, measuring = (importlib.import_module(f"benchmarks.{name}") for name in ("contest", "measuring"))
    stays: list[str | None] = [None] * 200
    assert "200 equal" in measuring.check(stays, stays, 200)
    assert "198 equal" in measuring.check(stays, ["slip"] * 2 + stays[2:], 200)
    with pytest.raises(contest.Unequal, match="3 of 200 verdicts differ"):
        measuring.check(stays, ["slip"] * 3 + stays[3:], 200)
