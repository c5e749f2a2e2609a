"""What an audit says of a rule is what a count over the ledger gives; its samples stand on both sides of the bound."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from small import small_recipe
from typer.testing import CliRunner

from curate.ledger import read_ledger
from curate.rulebook import SourceRules, as_json
from curate.rules import Rule, judge, preset
from curate.settings import Language
from curate.shards.fault import Fault
from pipelines import audit as auditing
from pipelines.audit import Asked, audit
from pipelines.cli import app
from pipelines.folder import RunFolder
from pipelines.report import ledger as report_ledger
from pipelines.report.limits import limits_of
from pipelines.rule_excerpts import Excerpts

RULES = (
    Rule("words", 50, 150, "too_few_words", "too_many_words", "test"),
    Rule("alphabetic_word_share", 0.8, None, "too_few_words_with_letters", None, "test", except_languages=("de",)),
    Rule("alphabetic_word_share", 0.5, None, "too_few_words_with_letters", None, "test", ("de",)),
    Rule("duplicate_line_share", None, 0.3, None, "too_many_duplicate_lines", "test"),
)
NOTES = (*RULES[1:], Rule("words", 20, None, "too_few_words", None, "recipe"))
LINE = "Fever of 39.5 degrees, seen by j.doe@example.org on the ward.\n"


def write_run(folder: Path, *, texts: bool = True, rows: int = 3000) -> RunFolder:
    """A ledger of random measures in two files, judged by `judge`; every eighth record could not be read."""
    rng = np.random.default_rng(5)
    source = rng.choice(["notes", "papers"], rows)
    table: dict[str, Any] = {
        "id": [f"{name}/{i}" for i, name in enumerate(source)],
        "source": source,
        "language": np.array(["en", "de", None], object)[rng.choice(3, rows, p=[0.6, 0.3, 0.1])],
        "n_bytes": rng.integers(100, 2000, rows),
        "words": rng.integers(0, 200, rows).astype(float),
        "alphabetic_word_share": rng.random(rows),
        "duplicate_line_share": np.round(rng.random(rows), 2),
    }
    unread = np.arange(rows) % 8 == 0
    for name in ("words", "alphabetic_word_share", "duplicate_line_share"):
        table[name][unread] = np.nan
    reasons: list[list[str]] = [[] for _ in range(rows)]
    for name, rules in (("notes", NOTES), ("papers", RULES)):
        here = np.flatnonzero((source == name) & ~unread)
        columns = {one: table[one][here] for one in {rule.measure for rule in rules}}
        told = judge(columns, rules, languages=pa.array(table["language"][here], pa.string()))
        for place, its in zip(here.tolist(), told.reasons.to_pylist(), strict=True):
            reasons[place] = its
    for place in np.flatnonzero(~unread)[::50].tolist():
        reasons[place] = ["language_not_kept", *reasons[place]]
    fates = ["quarantined" if bad else "removed" if its else "kept" for bad, its in zip(unread, reasons, strict=True)]
    table |= {
        "fate": fates,
        "stage": ["read" if fate == "quarantined" else "judge" if fate == "removed" else None for fate in fates],
        "reasons": [["broken_json"] if bad else its for bad, its in zip(unread, reasons, strict=True)],
    }
    run = RunFolder(folder)
    run.write_recipe(small_recipe(folder))
    _write(run, pa.table(table), texts)
    return run


def _write(run: RunFolder, table: pa.Table, texts: bool) -> None:
    values = {name: pa.array(table[name].to_numpy(zero_copy_only=False), from_pandas=True) for name in MEASURES}
    for name, column in values.items():
        table = table.set_column(table.column_names.index(name), name, column)
    ledger = run.curated / "ledger"
    ledger.mkdir(parents=True)
    for part, at in enumerate((0, 1700)):
        pq.write_table(table.slice(at, (1700, None)[part]), ledger / f"part-{part}.parquet", row_group_size=500)
    book = {
        name: SourceRules(rules, Language(keep=["en", "de"])) for name, rules in (("notes", NOTES), ("papers", RULES))
    }
    told = {"rules": [limit.numbers() for limit in limits_of(as_json(book))]}
    (run.curated / "report.json").write_text(json.dumps(told))
    if texts:
        kept = table.filter(pa.compute.not_equal(table["fate"], "quarantined"))["id"]
        (run.curated / "removed").mkdir()
        stored = pa.table({"id": kept, "text": [f"{LINE * 30}Of {id}." for id in kept.to_pylist()]})
        pq.write_table(stored, run.curated / "removed" / "part-0.parquet")


MEASURES = ("words", "alphabetic_word_share", "duplicate_line_share")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    return write_run(tmp_path_factory.mktemp("audited") / "run")


def found(run: RunFolder, *, presets: Sequence[str] = (), **asked: Any) -> dict[str, Any]:
    audit(run, Asked(presets=tuple(presets), **asked))
    told: dict[str, Any] = json.loads((run.path / "audit.json").read_text())
    return told


def by_source(told: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {source["source"]: source for source in told["sources"]}


def ledger(run: RunFolder) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = read_ledger(run.curated / "ledger").to_pylist()
    return [row for row in rows if row["fate"] != "quarantined"]


def test_every_count_is_the_ledgers(run: RunFolder) -> None:
    for name, source in by_source(found(run)).items():
        rows = [row for row in ledger(run) if row["source"] == name]
        assert source["documents"] == len(rows) > 1000
        assert source["removed"] == sum(row["fate"] == "removed" for row in rows)
        assert source["removed_bytes"] == sum(row["n_bytes"] for row in rows if row["fate"] == "removed")
        reasons = {reason for row in rows for reason in row["reasons"]}
        assert {rule["reason"] for rule in source["rules"] if rule["failed"]} == reasons
        for reason in reasons:
            rules = [rule for rule in source["rules"] if rule["reason"] == reason]
            failing = [row for row in rows if reason in row["reasons"]]
            alone = [row for row in failing if row["reasons"] == [reason]]
            assert sum(rule["failed"] for rule in rules) == len(failing)
            assert sum(rule["alone"] for rule in rules) == len(alone) > 0
            assert sum(rule["bytes_alone"] for rule in rules) == sum(row["n_bytes"] for row in alone)
            if len(rules) == 1:
                for shared in rules[0]["shared"]:
                    assert shared["documents"] == sum(shared["reason"] in row["reasons"] for row in failing) > 0


def test_one_reason_with_two_bounds_is_one_rule_to_others(run: RunFolder) -> None:
    rules = [rule for rule in by_source(found(run))["papers"]["rules"] if rule["measure"] == "alphabetic_word_share"]
    assert sorted((rule["value"], bool(rule["only_languages"])) for rule in rules) == [(0.5, True), (0.8, False)]
    assert all(rule["alone"] > 0 for rule in rules)
    assert sum(rule["judged"] for rule in rules) == by_source(found(run))["papers"]["documents"]


def test_samples_stand_on_both_sides_nearest_first(run: RunFolder) -> None:
    rows = {row["id"]: row for row in ledger(run)}
    seen = 0
    for name, source in by_source(found(run, samples=4)).items():
        for rule in source["rules"]:
            if rule["measure"] != "words":
                continue
            lower = rule["bound"] == "at_least"
            for side, samples in rule["samples"].items():
                assert len(samples) == 4
                distances = [abs(sample["value"] - rule["value"]) for sample in samples if not sample["also_others"]]
                assert distances == sorted(distances)
                for sample in samples:
                    row = rows[sample["id"]]
                    assert row["source"] == name
                    assert row["words"] == sample["value"]
                    assert ((sample["value"] < rule["value"]) == lower) == (side == "failed")
                    assert sample["also_others"] == bool(set(row["reasons"]) - {rule["reason"]})
                    seen += 1
    assert seen >= 16


def test_the_bound_of_one_percent_would_remove_one_percent(run: RunFolder) -> None:
    rows = ledger(run)
    for name, source in by_source(found(run)).items():
        for rule in source["rules"]:
            if rule["measure"] in ("words", "duplicate_line_share"):
                values = np.array([row[rule["measure"]] for row in rows if row["source"] == name])
                beyond = values < rule["one_percent"] if rule["bound"] == "at_least" else values > rule["one_percent"]
                assert beyond.mean() <= 0.01
                assert rule["quantiles"]["p50"] == pytest.approx(np.quantile(values, 0.5))


def test_a_preset_is_audited_that_the_run_was_not_judged_by(run: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(auditing, "preset", lambda names: tuple(r for r in preset(names) if r.measure in MEASURES))
    rows = ledger(run)
    for name, source in by_source(found(run, presets=["gopher"])).items():
        words = [row["words"] for row in rows if row["source"] == name]
        rules = {rule["reason"]: rule for rule in source["rules"]}
        assert rules["too_few_words"]["failed"] == sum(value < 50 for value in words) > 100
        assert rules["too_many_words"]["failed"] == 0
        assert "language_not_kept" not in rules


def test_it_does_not_matter_in_which_pieces_the_ledger_goes_by(run: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = found(run)
    monkeypatch.setattr(report_ledger, "ROWS", 130)
    assert found(run) == whole


def test_more_documents_do_not_take_more_memory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("pipelines.rule_tallies.SAMPLE", 100)
    run = write_run(tmp_path / "run", texts=False)
    limits = auditing._limits(run.path, ())
    for tally in auditing._tallies(run.path, limits, Asked()).values():
        assert tally.documents > 1000
        assert all(len(tally._values(place)) <= 100 for place in range(len(tally.limits)))


def test_texts_that_were_not_stored_are_said_to_be_missing(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", texts=False, rows=400)
    told = found(run)
    samples = [one for s in told["sources"] for rule in s["rules"] for one in rule["samples"]["failed"]]
    assert samples
    assert all(sample["excerpt"] is None for sample in samples)
    assert "its text was not stored" in (run.path / "audit.md").read_text()


def test_excerpts_hold_no_personal_data(run: RunFolder) -> None:
    told = found(run)
    excerpts = [one["excerpt"] for s in told["sources"] for rule in s["rules"] for one in rule["samples"]["failed"]]
    assert excerpts
    assert all("[email]" in excerpt for excerpt in excerpts)
    assert "example.org" not in (run.path / "audit.md").read_text()


def test_only_what_was_asked_for_is_told(run: RunFolder) -> None:
    told = found(run, sources=("notes",), rules=("words",), samples=0)
    assert [source["source"] for source in told["sources"]] == ["notes"]
    assert {rule["measure"] for rule in told["sources"][0]["rules"]} == {"words"}
    assert all(not side for rule in told["sources"][0]["rules"] for side in rule["samples"].values())


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        (Asked(sources=("note",)), "did you mean 'notes'?"),
        (Asked(rules=("too_few_word",)), "did you mean 'too_few_words'?"),
        (Asked(presets=("fineweb",)), "did not measure fineweb_"),
        (Asked(presets=("gofer",)), "did you mean 'gopher'?"),
    ],
)
def test_what_the_run_has_not_is_a_clear_fault(run: RunFolder, asked: Asked, says: str) -> None:
    with pytest.raises(Fault) as fault:
        audit(run, asked)
    assert says in str(fault.value)


def test_the_command_prints_a_table_and_ends_with_the_path(run: RunFolder) -> None:
    ended = CliRunner().invoke(app, ["audit", str(run.path), "--source", "papers", "--samples", "1"])
    assert ended.exit_code == 0, ended.output
    lines = ended.stdout.splitlines()
    assert lines[-1] == str(run.path / "audit.md")
    assert any(line.startswith("papers: 1,") for line in lines)
    assert any(line.split()[:2] == ["too_many_duplicate_lines", "duplicate_line_share"] for line in lines)


def test_a_real_run_is_audited_as_it_was_judged(curated: RunFolder) -> None:
    told = by_source(found(curated))
    assert set(told) == {"notes", "pages", "web", "rules"}
    assert told["notes"]["removed"] == sum(
        row["stage"] == "judge" for row in ledger(curated) if row["source"] == "notes"
    )
    short = next(rule for rule in told["notes"]["rules"] if rule["reason"] == "too_few_words")
    assert [sample["id"] for sample in short["samples"]["failed"]] == ["notes/short"]
    assert short["samples"]["failed"][0]["excerpt"] == "too short"


def test_an_excerpt_shows_where_the_rule_looks() -> None:
    excerpts = Excerpts(["gopher_quality", "gopher_repetition"])
    rng = random.Random(3)
    words = "the patient was seen on the ward and went home with a letter to the doctor".split()
    prose = "\n".join(" ".join(rng.choices(words, k=12)) for _ in range(60))
    figures = "12 14 15 16 18 120 11 1 2 3\n" * 12
    text = f"{prose}\n{figures}{prose}"
    assert "12 14 15" in excerpts.of(text, "alphabetic_word_share", True)
    assert excerpts.of(text, "words", True) == text[:400]
    assert excerpts.of(text, "duplicate_line_character_share", False).startswith("12 times: 12 14 15")
    assert excerpts.of("a b c d e f g. " * 5, "duplicate_5_gram_character_share", False).startswith("5 times: ")
    assert excerpts.of("", "alphabetic_word_share", True) == ""
