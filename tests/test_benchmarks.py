"""Every benchmark runs through on a tiny input, so that none of them rots. No speed is asserted anywhere."""

from __future__ import annotations

import dataclasses
import importlib
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

ROOT = Path(__file__).parent.parent
TINY = {
    "measuring": "--mb 0.1 --part 0.05",
    "html_extraction": "--pages 3",
    "minhash_signatures": "--mb 0.1 --part 0.05",
    "near_duplicates": "",
    "planted_leaks": "--plants 3",
    "languages": "--mb 0.05",
    "curation": "--mb 0.15 --workers 1 --more 0.15",
    "stages": "--mb 0.15 --workers 1",
    "memory": "--gb 0.0002 --workers 1",
    "dedup_scale": "--million 0.01 --crowded",
    "packing": "--documents 3000 --row 256 --rounds 2",
    "reading": "--tokens 60000 --row 256",
    "opening": "--million 0.03 0.1 --row 256",
    "tokenising": "--mb 0.1",
    "extending": "--mb 0.1",
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
    results = json.loads((tmp_path / "found.json").read_text())
    assert results
    for result in results:
        if "head" in result:
            assert_is_a_table(result)
        else:
            assert_is_a_contest(result)
    printed = capfd.readouterr().out
    assert "| --- |" in printed
    assert "Machine: " in printed


def assert_is_a_contest(outcome: dict[str, Any]) -> None:
    first, *peers = outcome["turns"]
    assert first["name"].startswith("ours")
    assert outcome["amount"] > 0
    assert outcome["same_work"]
    assert peers or "alone" in outcome["work"]
    assert all(seconds > 0 for turns in outcome["turns"] for seconds in turns["seconds"])


def assert_is_a_table(table: dict[str, Any]) -> None:
    first, *others = table["rows"]
    assert "alone" in table["title"] or (first[0] == "ours" and others)
    assert {len(row) for row in table["rows"]} == {len(table["head"])}


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


def test_a_part_of_the_work_is_compared_by_its_speed() -> None:
    contest = importlib.import_module("benchmarks.contest")
    turns = (contest.Turns("ours", (2.0, 1.0, 3.0)), contest.Turns("peer", (5.0,), part=10.0))
    outcome = contest.Outcome("work", "MB", 100.0, "CPU", turns, "equal")
    row = contest.in_words(outcome).splitlines()[7]
    assert row == "| peer (on 10.0 MB, once) | 5.00 s | 5.00 - 5.00 s | 2.00 | × 25.0 |"  # 50 MB/s to 2
    assert contest.from_json(json.loads(json.dumps(dataclasses.asdict(outcome)))) == outcome


def test_who_has_fewer_turns_stops_after_them() -> None:
    contest = importlib.import_module("benchmarks.contest")
    took = iter(range(1, 100))
    entrants = [
        contest.Entrant("ours", lambda: next(took), lambda: None),
        contest.Entrant("peer", lambda: next(took), lambda: None, at_most=1),
    ]
    assert [len(turns.seconds) for turns in contest.hold(entrants, 3)] == [3, 1]


# -- the corpus


def test_the_corpus_is_the_same_every_time_and_as_large_as_asked_for() -> None:
    corpus = importlib.import_module("benchmarks.corpus")
    once, again = (list(corpus.documents(None, 0.3)) for _ in range(2))
    assert once == again
    assert 0.3e6 <= sum(len(text.encode()) for text in once) < 0.5e6


def test_other_words_keep_length_and_lines_and_no_long_run_of_words() -> None:
    corpus, texts = (importlib.import_module(f"benchmarks.{name}") for name in ("corpus", "texts"))
    real = [*islice(texts.synthetic(), 40), "Épée à la 3ᵉ page.\n\n- Ïles", "", "No"]
    array = pa.array(real, pa.large_string())
    vocabulary = corpus.Vocabulary.of([array])
    one, other = (corpus.in_other_words(array, vocabulary, seed).to_pylist() for seed in (1, 2))
    assert one != other
    for before, *versions in zip(real, one, other, strict=True):
        for after in versions:
            assert re.sub(r"\w+", "", before) == re.sub(r"\w+", "", after)  # what is no word stays
        for a, b in ((before, versions[0]), (before, versions[1]), versions):
            assert not runs(a, 13) & runs(b, 13)
    lengths = [sum(map(len, texts)) for texts in (real, one, other)]
    assert max(lengths) < 1.1 * min(lengths)


def runs(text: str, n: int) -> set[tuple[str, ...]]:
    words = re.findall(r"\w+", text.lower())
    return {tuple(words[i : i + n]) for i in range(len(words) - n + 1)}


def test_copies_are_planted_at_the_stated_rate_and_are_near() -> None:
    corpus, texts = (importlib.import_module(f"benchmarks.{name}") for name in ("corpus", "texts"))
    fresh = [f"{number} {text}" for number, text in enumerate(islice(texts.synthetic(), 2_000))]
    every = list(corpus._with_copies(iter(fresh), np.random.default_rng(1)))
    assert len(fresh) * 1.05 < len(every) < len(fresh) * 1.11
    assert len(every) - len(set(every)) > len(fresh) * 0.01  # equal ones
    for text in fresh[:50]:
        a, b = runs(text, 5), runs(corpus.nearly(text), 5)
        assert a != b
        if len(a) > 60:
            assert len(a & b) / len(a | b) > 0.8


@pytest.mark.real
def test_the_real_corpus_has_every_kind(shared_data: Path) -> None:
    kinds = importlib.import_module("benchmarks.texts").every_kind(shared_data)
    some = "\n".join(islice(kinds, 400))
    for word in ("patients", "petitioner", "Mayor", "website", "lady"):
        assert word in some


# -- watching


def test_memory_of_a_process_and_its_children_is_added_up() -> None:
    memory = importlib.import_module("benchmarks.memory")
    before = memory.tree_bytes(os.getpid())
    script = "import sys; held = bytearray(b'x' * 200_000_000); print(1, flush=True); sys.stdin.read()"
    with subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.readline()
        after = memory.tree_bytes(os.getpid())
        child.kill()
    assert all(b - a > 190_000_000 for a, b in zip(before, after, strict=True))


def test_time_of_what_a_part_calls_is_not_its_own() -> None:
    watch = importlib.import_module("benchmarks.stages").Stopwatch()

    def inner() -> Iterator[int]:
        busy(0.02)
        yield 1

    outer = watch.around("outer", lambda: (busy(0.01), list(watch.around("inner", inner)())))
    with watch.timing("all else", of="pass"):
        outer()
    seconds = watch.stop()
    assert seconds["pass", "inner"] >= 0.02
    assert 0.01 <= seconds["pass", "outer"] < seconds["pass", "inner"]


def busy(seconds: float) -> None:
    until = time.process_time() + seconds
    while time.process_time() < until:
        pass
