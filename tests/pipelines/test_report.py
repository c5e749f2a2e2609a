"""The page's laws: its numbers add up, and no document can make it run, load or look like anything."""

from __future__ import annotations

import base64
import doctest
import hashlib
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import lxml.html
import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
from fabricate import BOOK, CARD, FILTER, HOSTILE, RULES, fabricate

from curate.settings import Curate
from curate.shards.fault import Fault
from pipelines.report import charts, differences, drawings, formats, ledger, page, tallies
from pipelines.report.differences import side_by_side
from pipelines.report.facts import EXAMPLES, Sample
from pipelines.report.histograms import Axis, Bars
from pipelines.report.ledger import Names, chunks
from pipelines.report.numbers import curation_numbers
from pipelines.report.page import PANELS, embedded, write_page

INDEXES = {
    "held_out": {"indexed_documents": 103, "too_short_to_index": 2, "common_in": 10, "training_documents": 19_000}
    | {"by_source": {"notes": 18_000, "papers": 1_000}}
    | {
        "rules": [
            {"rule": "shared_run", "words": 13, "at_least": None, "indexed_ngrams": 20_000, "found": 14, "removed": 14}
            | {"removed_by_source": {"notes": 2, "papers": 12}, "common_ngrams": 1}
            | {"common_phrases": [{"phrase": HOSTILE, "training_documents": 44}]}
        ]
    }
}
BOILERPLATE = {
    "unit": "line",
    "action": "remove",
    "words": 4,
    "by_source": [
        {"source": "web", "documents": 100, "bound": 20, "passages": 1, "bytes": 4_000}
        | {"touched": 41, "bytes_cut": 4_000, "left": 2}
    ],
    "shown": [{"text": HOSTILE, "source": "web", "documents": 43, "bytes": 4_000}],
}
SPANS = {
    "words": 40,
    "action": "remove",
    "by_source": [
        {"source": "papers", "documents": 90, "bytes": 50_000, "documents_with_spans": 31, "spans": 36}
        | {"span_words": 2_000, "span_bytes": 12_000, "documents_cut": 30, "bytes_cut": 11_000, "documents_left": 1}
    ],
    "lengths": [{"words_from": 40, "spans": 35}, {"words_from": 80, "spans": 1}],
    "most_repeated": [{"text": HOSTILE, "words": 61, "documents": 30, "examples": ["papers/1", "papers/5"]}],
}
SETTINGS = Curate.model_validate(
    {"pii": {"count": ["phone", "ip"], "drop": ["email"]}, "filters": [FILTER], "measures": ["gopher_quality"]}
)
Rows = list[dict[str, Any]]
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = fabricate(tmp_path_factory.mktemp("runs") / "made-up")
    numbers = curation_numbers(run, BOOK, INDEXES, domain=CARD, settings=SETTINGS)
    numbers["boilerplate"] = BOILERPLATE
    numbers["spans"] = SPANS
    (run / "curated" / "report.json").write_text(json.dumps(numbers, allow_nan=False))
    write_page(run)
    return run


@pytest.fixture(scope="module")
def numbers(run: Path) -> dict[str, Any]:
    return json.loads((run / "curated" / "report.json").read_text())


@pytest.fixture(scope="module")
def rows(run: Path) -> list[dict[str, Any]]:
    return ds.dataset(run / "curated" / "ledger").to_table().to_pylist()


@pytest.fixture(scope="module")
def document(run: Path) -> Any:
    return lxml.html.fromstring((run / "report.html").read_text(encoding="utf-8"))


# ---- numbers


def test_kept_and_removed_and_quarantined_are_all_records_of_every_source(
    numbers: dict[str, Any], rows: list[Any]
) -> None:
    assert sum(numbers["fates"].values()) == numbers["records"] == len(rows)
    for source in numbers["sources"]:
        assert source["kept"] + source["removed"] + source["quarantined"] == source["records"]
        for fate in ("kept", "removed", "quarantined"):
            assert source[fate] == sum(row["source"] == source["source"] and row["fate"] == fate for row in rows) > 0


def test_the_funnel_loses_exactly_what_was_removed_and_ends_with_what_was_kept(
    numbers: dict[str, Any], rows: list[Any]
) -> None:
    steps = [step["documents"] for step in numbers["funnel"]["steps"]]
    assert steps == sorted(steps, reverse=True)
    assert len(set(steps)) == len(steps), "every gate of the made-up run takes something"
    assert steps[0] == len(rows)
    assert steps[-1] == numbers["fates"]["kept"]
    for step in numbers["funnel"]["steps"]:
        assert sum(step["by_source"].values()) == step["documents"]
    splits = numbers["funnel"]["splits"]
    assert sum(split["documents"] for split in splits.values()) == steps[-1]
    assert splits["train"]["tokens"] == sum(row["tokens"] or 0 for row in rows if row["split"] == "train")


def test_removals_by_source_and_reason_are_all_that_was_removed(numbers: dict[str, Any], rows: list[Any]) -> None:
    assert sum(row["documents"] for row in numbers["removals"]) == numbers["fates"]["removed"]
    for removal in numbers["removals"]:
        its = [row for row in rows if row["source"] == removal["source"] and row["reason"] == removal["reason"]]
        assert removal["documents"] == len(its)
        assert 1 <= len(removal["examples"]) == min(EXAMPLES, len(its))
        assert {example["id"] for example in removal["examples"]} <= {row["id"] for row in its}
        assert all(example["excerpt"] for example in removal["examples"])


def test_failed_only_this_counts_documents_with_no_other_reason(numbers: dict[str, Any], rows: Rows) -> None:
    for rule in numbers["rules"]:
        its = [row for row in rows if row["source"] in (rule["sources"] or BOOK) and rule["reason"] in row["reasons"]]
        assert rule["failed"] == len(its)
        assert rule["alone"] == sum(row["reasons"] == [rule["reason"]] for row in its)
        assert sum(one["failed"] for one in rule["by_source"].values()) == rule["failed"]
        assert sum(one["alone"] for one in rule["by_source"].values()) == rule["alone"]
    assert any(0 < rule["alone"] < rule["failed"] for rule in numbers["rules"])


def test_a_bound_of_one_source_is_told_from_that_of_the_others(numbers: dict[str, Any], rows: Rows) -> None:
    words = [rule for rule in numbers["rules"] if (rule["measure"], rule["bound"]) == ("words", "at_least")]
    assert [(rule["value"], rule["sources"]) for rule in words] == [
        (50, ["notes", "papers", "web"]),
        (30, ["statutes"]),
    ]
    for rule in words:
        assert rule["failed"] == sum(
            row["source"] in rule["sources"] and row["words"] is not None and row["words"] < rule["value"]
            for row in rows
        )
        assert rule["failed"]
    everywhere = [rule for rule in numbers["rules"] if rule["measure"] == "stop_words"]
    assert [rule["sources"] for rule in everywhere] == [[]]
    assert next(one for one in numbers["measures"] if one["measure"] == "words")["bounds"][0]["sources"]


def test_the_documents_shown_near_a_bound_are_the_nearest_on_each_side(numbers: dict[str, Any], rows: Rows) -> None:
    rule = next(rule for rule in numbers["rules"] if rule["measure"] == "words" and "notes" in rule["by_source"])
    taken = [row for row in rows if row["source"] == "notes" and row["words"] is not None]
    near = rule["by_source"]["notes"]["near"]
    for passes in (True, False):
        side = sorted(abs(row["words"] - 50) for row in taken if (row["words"] >= 50) == passes)
        assert sorted(abs(one["value"] - 50) for one in near if one["passes"] == passes) == side[:2]
    assert [one["value"] for one in near] == sorted(one["value"] for one in near)
    assert all(one["excerpt"] for one in near)


def test_reasons_that_meet_are_counted_in_pairs(numbers: dict[str, Any], rows: Rows) -> None:
    judged = [row for row in rows if row["stage"] == "judge"]
    reasons = numbers["overlaps"]["reasons"]
    assert set(reasons) == {reason for row in judged for reason in row["reasons"]}
    for one, counts in zip(reasons, numbers["overlaps"]["documents"], strict=True):
        assert counts == [sum({one, other} <= set(row["reasons"]) for row in judged) for other in reasons]
    assert any(n for place, counts in enumerate(numbers["overlaps"]["documents"]) for n in counts[:place])
    for reason in numbers["reasons"]:
        assert reason["alone"] == sum(row["reasons"] == [reason["reason"]] for row in judged)


def test_a_filters_reasons_are_told_from_those_of_rules(numbers: dict[str, Any], rows: Rows) -> None:
    given_by = {row["reason"]: row["given_by"] for row in numbers["reasons"]}
    assert set(given_by.values()) == {"rule", "language", "filter"}
    assert [reason for reason, by in given_by.items() if by == "filter"] == ["gopher_too_many_bullets"]
    assert numbers["filters"] == [FILTER]
    filtered = next(row for row in numbers["reasons"] if row["given_by"] == "filter")
    assert filtered["failed"] == sum("gopher_too_many_bullets" in row["reasons"] for row in rows) > 0


def test_what_came_in_is_what_was_cleaned_quarantined_removed_and_kept(numbers: dict[str, Any], rows: Rows) -> None:
    for source in numbers["sources"]:
        its = [row for row in rows if row["source"] == source["source"]]
        fates = ("kept", "removed", "quarantined")
        cut = source["cleaned_bytes"] + source["trimmed_bytes"]
        assert source["bytes_in"] == cut + sum(source[f"{fate}_bytes"] for fate in fates)
        assert source["bytes_in"] == sum(row["n_bytes"] + row["bytes_cleaned"] + row["bytes_trimmed"] for row in its)
        assert source["cleaned_bytes"] > 0
        assert source["trimmed_bytes"] > 0


def test_licences_and_consent_are_of_all_that_is_kept(numbers: dict[str, Any], rows: Rows) -> None:
    kept = [row for row in rows if row["fate"] == "kept"]
    assert {(row["licence"], row["consent"]) for row in numbers["licences"]} == {
        ("CC-BY-4.0", None), ("CC0-1.0", None), (HOSTILE, None), (None, "research_only")
    }  # fmt: skip
    for key, column in (("bytes", "n_bytes"), ("tokens", "tokens")):
        assert sum(row[key] for row in numbers["licences"]) == sum(row[column] for row in kept)
    assert sum(row["documents"] for row in numbers["licences"]) == len(kept)


def test_more_licences_than_can_be_told_apart_are_counted_together(
    run: Path, rows: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledger, "MOST_NAMES", 30)
    names = Names()
    many = pa.array([f"licence {number % 80}" for number in range(200)])
    told = [names.name("licence", code) for code in names.codes("licence", many).tolist()]
    assert len(set(told)) == 31
    assert told.count(ledger.OTHER) == sum(number % 80 >= 30 for number in range(200))


def test_personal_data_is_counted_by_kind_and_source(numbers: dict[str, Any], rows: Rows) -> None:
    assert {row["kind"]: row["treatment"] for row in numbers["personal"]["by_kind"]} == {
        "email": "dropped",
        "phone": "counted",
        "ip": "counted",
    }
    for one in numbers["personal"]["by_kind"]:
        its = [row for row in rows if row["source"] == one["source"] and (row[f"pii_{one['kind']}"] or 0) > 0]
        assert one["documents"] == len(its)
        assert one["spans"] == sum(row[f"pii_{one['kind']}"] for row in its)
        assert one["kept_documents"] == sum(row["fate"] == "kept" for row in its)
    affected = {row["source"]: row["affected"] for row in numbers["personal"]["affected"]}
    assert sum(affected.values()) == sum(bool(row["pii_email"] or row["pii_phone"]) for row in rows) > 0


def test_no_personal_data_of_a_document_is_in_the_report_or_on_the_page(run: Path, numbers: dict[str, Any]) -> None:
    stored = ds.dataset(sorted(map(str, run.glob("curated/*/**/*.parquet")))).to_table(columns=["id"])
    assert len(stored)
    for path in (run / "curated" / "report.json", run / "report.html"):
        text = path.read_text(encoding="utf-8")
        assert "clinic.example.org" not in text
        assert "901820" not in text
        assert "[email]" in text, "or none of the texts that hold one was shown"
        assert "[phone]" in text


def test_languages_by_source_count_abstentions_and_mixed_texts(numbers: dict[str, Any], rows: Rows) -> None:
    for one in numbers["language"]["by_source"]:
        its = [row for row in rows if row["source"] == one["source"] and row["fate"] != "quarantined"]
        assert one["documents"] == len(its)
        assert one["abstained"] == sum(row["language"] is None for row in its)
        assert one["mixed"] == sum(row["other_language_share"] > 0 for row in its)
        assert one["mean_score"] == pytest.approx(np.mean([row["language_score"] for row in its]))
        assert one["other_share"] == pytest.approx(np.mean([row["other_language_share"] for row in its]))
    assert any(one["mixed"] for one in numbers["language"]["by_source"])
    assert numbers["language"]["scores"]["measured"] == sum(row["language_score"] is not None for row in rows)
    uncertain = numbers["language"]["rules"][0]
    assert uncertain["failed"] == sum("language_uncertain" in row["reasons"] for row in rows) > 0


def test_domain_scores_are_counted_against_the_threshold_of_the_card(numbers: dict[str, Any], rows: Rows) -> None:
    assert numbers["domain"]["card"] == CARD
    for one in numbers["domain"]["by_source"]:
        scores = [
            row["domain_score"] for row in rows if row["source"] == one["source"] and row["domain_score"] is not None
        ]
        assert one["scored"] == len(scores)
        assert one["above"] == sum(score >= CARD["threshold"] for score in scores)
    off_domain = next(rule for rule in numbers["rules"] if rule["reason"] == "off_domain")
    assert off_domain["sources"] == ["papers"]
    assert off_domain["failed"] > 0


def test_a_histogram_holds_every_measured_document_once(numbers: dict[str, Any], rows: list[Any]) -> None:
    for measure in numbers["measures"]:
        bars = sum(map(sum, (measure["kept"], measure["failed"], measure["other"])))
        assert bars + measure["below"] + measure["above"] == measure["measured"]
        assert measure["measured"] == sum(row[measure["measure"]] is not None for row in rows)
    assert {measure["scale"] for measure in numbers["measures"]} == {"log", "linear", "counts"}


def histogram(values: Any, bounds: list[float]) -> dict[str, Any]:
    array = np.array(values, np.float64)
    bars = Bars(Axis.through(array, bounds))
    bars.add(array, np.ones(len(array), bool))
    return bars.numbers()


@pytest.mark.parametrize("values", [[], [np.nan], [3.0], [3.0] * 9, [0.0, 1e9], [-5.0, 5.0], [0.1, 0.2], [1.0, np.inf]])
def test_a_histogram_of_few_or_odd_values_has_rising_edges(values: list[float]) -> None:
    given = histogram(values, [2.0])
    assert given["measured"] == int(np.isfinite(values).sum())
    if given["measured"]:
        assert np.all(np.diff(given["edges"]) > 0)
        assert sum(given["kept"]) + given["below"] + given["above"] == given["measured"]


def test_the_bound_of_a_share_stands_in_the_chart_though_all_documents_are_alike() -> None:
    for values in ([0.0] * 9, [1.0] * 9):
        given = histogram(values, [0.3])
        assert given["edges"][0] <= min(0.3, *values) < max(0.3, *values) <= given["edges"][-1]
        assert (given["scale"], given["below"], given["above"]) == ("linear", 0, 0)


def test_bars_are_numpys_histogram_whatever_the_scale() -> None:
    rng = np.random.default_rng(5)
    scales = set()
    for values in (rng.lognormal(5, 2, 5000), rng.random(5000), rng.integers(0, 30, 5000).astype(float)):
        axis = Axis.through(values[:500], [1.0])
        on_edges = np.concatenate([values, axis.edges, np.nextafter(axis.edges, -np.inf), [-1e300, 1e300]])
        bars = Bars(axis)
        for part in np.array_split(on_edges, 7):
            bars.add(part, np.ones(len(part), bool))
        given = bars.numbers()
        assert given["kept"] == np.histogram(on_edges, axis.edges)[0].tolist()
        assert (given["below"], given["above"]) == ((on_edges < axis.edges[0]).sum(), (on_edges > axis.edges[-1]).sum())
        scales.add(axis.scale)
    assert scales == {"log", "linear", "counts"}


def test_a_measure_that_no_document_of_the_sample_has_is_still_counted() -> None:
    bars = Bars(Axis.through(np.array([np.nan])))
    bars.add(np.array([0.5, 7.0, np.nan]), np.ones(3, bool))
    given = bars.numbers()
    assert (given["measured"], sum(given["kept"]), given["above"], given["quantiles"]) == (2, 1, 1, [])


def test_a_sample_is_the_documents_of_lowest_hash_however_they_come(run: Path) -> None:
    hashes, values = {}, {}
    for size in (8, 10_000):
        sample = Sample(["words"], at_most=size)
        for chunk in chunks(run, ["id", "words"], Names()):
            for start in range(0, len(chunk), 13):
                part = ledger.Chunk(start, chunk.table.slice(start, 13), chunk.names)
                sample.add(part, part.hashes("id"))
            hashes[size] = chunk.hashes("id")
            values[size] = chunk.values("words")
        lowest = np.argsort(hashes[size])[:size]
        given = sample.values("words")
        assert sorted(given[np.isfinite(given)]) == sorted(v for v in values[size][lowest] if np.isfinite(v))


def test_a_rule_for_one_language_refuses_nothing_in_another(run: Path, rows: list[Any]) -> None:
    german = [{**RULES[0], "only_languages": ["de"]}]
    words = curation_numbers(run, german)["measures"][0]
    assert words["measure"] == "words"
    failing = [row for row in rows if row["words"] is not None and row["words"] < 50]
    expected = sum(row["language"] == "de" and row["fate"] != "kept" for row in failing)
    assert 0 < expected < len(failing)
    assert sum(words["failed"]) <= expected <= sum(words["failed"]) + words["below"] + words["above"]


def test_no_cluster_stands_on_both_sides_and_one_that_does_is_counted(run: Path, tmp_path: Path) -> None:
    assert curation_numbers(run, RULES)["splits"]["crossing_clusters"] == 0
    broken = tmp_path / "broken"
    shutil.copytree(run, broken)
    path = broken / "curated" / "ledger" / "00001.parquet"
    table = pq.read_table(path)
    rows = table.to_pylist()
    for split in ("train", "test"):
        next(row for row in rows if row["split"] == split)["cluster"] = "notes/0000"
    pq.write_table(pa.Table.from_pylist(rows, schema=table.schema), path)
    numbers = curation_numbers(broken, RULES)
    assert numbers["splits"]["crossing_clusters"] == 1
    (broken / "curated" / "report.json").write_text(json.dumps(numbers))
    assert "the held-out result cannot be trusted" in write_page(broken).read_text()


def test_the_largest_clusters_are_shown_with_both_texts(numbers: dict[str, Any], rows: list[Any]) -> None:
    duplicates = numbers["duplicates"]
    sizes: dict[str, int] = {}
    for row in rows:
        if row["cluster"]:
            sizes[row["cluster"]] = sizes.get(row["cluster"], 0) + 1
    assert duplicates["clusters"] == len([size for size in sizes.values() if size > 1]) > 0
    assert duplicates["shown"][0]["size"] == max(sizes.values())
    assert all(match["left"] and match["right"] for match in duplicates["shown"])
    assert sum(duplicates["similarity"]["documents"]) == duplicates["near"] > 0


def test_the_numbers_do_not_depend_on_how_the_ledger_is_cut_into_files(
    run: Path, numbers: dict[str, Any], tmp_path: Path
) -> None:
    other = tmp_path / "made-up"
    shutil.copytree(run / "curated", other / "curated")
    table = ds.dataset(run / "curated" / "ledger").to_table()
    shutil.rmtree(other / "curated" / "ledger")
    (other / "curated" / "ledger").mkdir()
    for part, start in enumerate(range(0, len(table), 77)):
        pq.write_table(table.slice(start, 77), other / "curated" / "ledger" / f"{part:05d}.parquet", row_group_size=10)
    made = curation_numbers(other, BOOK, INDEXES, domain=CARD, settings=SETTINGS)
    assert json.loads(json.dumps(made)) == {name: numbers[name] for name in made}


def test_a_run_without_a_ledger_is_a_fault_with_a_hint(tmp_path: Path) -> None:
    with pytest.raises(Fault, match="no ledger") as caught:
        curation_numbers(tmp_path, RULES)
    assert "postgrad curate" in caught.value.hint


LEDGER_OF_MANY = """
import sys
from pathlib import Path
import numpy as np, pyarrow as pa, pyarrow.parquet as pq
folder, rows, measures = Path(sys.argv[1]), int(sys.argv[2]), [f"measure_{n}" for n in range(24)]
folder.mkdir(parents=True)
rng, many = np.random.default_rng(3), 1 << 15
failing = rng.random(many) < 0.2
table = {"source": np.where(rng.random(many) < 0.5, "one", "two"), "fate": np.where(failing, "removed", "kept")}
table |= {"stage": pa.array(np.where(failing, "judge", ""), mask=~failing), "split": ["train"] * many}
table |= {"reason": pa.array(np.where(failing, "low", ""), mask=~failing), "tokens": rng.integers(0, 99, many)}
table |= {"reasons": pa.array([["low"] if one else [] for one in failing]), "n_bytes": rng.integers(0, 9999, many)}
table |= {"language": ["en"] * many, "cluster": pa.nulls(many, pa.string()), "evidence": pa.nulls(many, pa.string())}
table |= {"duplicate_of": pa.nulls(many, pa.string()), "similarity": pa.nulls(many, pa.float32())}
table |= {"path": pa.nulls(many, pa.string()), "position": np.arange(many), "role": ["domain"] * many}
table |= {"language_score": rng.random(many, np.float32)} | {name: rng.random(many) for name in measures}
table["measure_0"] = np.where(failing, 0.1, 0.9)
writer = None
for first in range(0, rows, many):
    ids = pa.array([f"one/{number:09d}" for number in range(first, first + many)])
    part = pa.table({"id": ids, **table})
    writer = writer or pq.ParquetWriter(folder / "00000.parquet", part.schema)
    writer.write_table(part.slice(0, min(many, rows - first)))
writer.close()
"""
PEAK_OF_NUMBERS = """
import json, sys
from pathlib import Path
from pipelines.report.numbers import curation_numbers
from pipelines.report.shown import without_personal_data
rule = {"measure": "measure_0", "at_least": 0.5, "at_most": None, "too_low": "low", "too_high": None, "source": "here"}
peak = lambda: int(next(line for line in open("/proc/self/status") if line.startswith("VmHWM")).split()[1]) * 1024
without_personal_data(["x"])
before = peak()
numbers = curation_numbers(Path(sys.argv[1]), [rule])
print(json.dumps({"records": numbers["records"], "failed": numbers["rules"][0]["failed"], "bytes": peak() - before}))
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is read from /proc")
def test_memory_does_not_follow_the_number_of_records(tmp_path: Path) -> None:
    """A million rows of 24 measures are 192 MB of numbers alone."""
    told = {}
    for rows in (1 << 17, 1 << 20):
        folder = tmp_path / str(rows)
        for program, given in ((LEDGER_OF_MANY, folder / "curated" / "ledger"), (PEAK_OF_NUMBERS, folder)):
            command = [sys.executable, "-c", program, str(given), str(rows)]
            done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
        told[rows] = json.loads(done.stdout)
        assert told[rows]["records"] == rows
        assert 0.19 * rows < told[rows]["failed"] < 0.21 * rows
    assert told[1 << 20]["bytes"] < told[1 << 17]["bytes"] + 80_000_000


# ---- the page


def test_too_much_taken_by_decontamination_is_an_alarm_on_the_page(document: Any) -> None:
    (section,) = document.xpath("//section[@id='contamination']")
    (row,) = section.xpath(".//tr[td/strong[@class='alarm']]")
    cells = [cell.text_content() for cell in row]
    assert cells[:5] == ["held-out text", "a run of 13 words", "papers", "1,000", "12"]
    assert cells[5].endswith("alarm")
    assert "Decontamination took more than 0.1" in section.text_content()


def test_every_section_is_there_with_an_anchor_in_the_navigation(document: Any) -> None:
    ids = [section.get("id") for section in document.xpath("//section")]
    assert ids == list(PANELS)
    assert [link.get("href") for link in document.xpath("//nav//a")] == [f"#{id}" for id in ids]
    assert len(document.xpath("//*[@id]/@id")) == len(set(document.xpath("//*[@id]/@id")))


def test_hostile_text_shows_and_does_not_run(run: Path, document: Any) -> None:
    source = (run / "report.html").read_text(encoding="utf-8")
    running = document.xpath("//script[not(@type)]")
    assert len(running) == len(document.xpath("//script[@src]")) + 2 == 2, "the library and ours, nothing else"
    assert {script.get("type") for script in document.xpath("//script")} == {None, "application/json"}
    assert not [name for element in document.iter() for name in getattr(element, "attrib", ()) if name.startswith("on")]
    assert not document.xpath("//*[@style]"), "the policy forbids style attributes"
    assert not document.xpath("//img | //iframe | //object | //embed | //link | //base | //form | //svg//script")
    assert all(href.startswith("#") for href in document.xpath("//*/@href"))
    assert len(document.xpath("//style")) == 2
    shown = document.xpath("//blockquote")
    assert any("<script>alert(1)</script>" in quote.text_content() for quote in shown), "or nothing hostile was shown"
    assert any("{{ 7*7 }}" in quote.text_content() for quote in shown), "a template in a text is text"
    assert source.count("<script") == source.count("</script>")


def test_only_the_blocks_named_by_hash_may_run(document: Any) -> None:
    policy = document.xpath("//meta[@http-equiv='Content-Security-Policy']/@content")[0]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    for kind in ("script", "style"):
        allowed = re.search(rf"{kind}-src ([^;]*)", policy)
        assert allowed
        blocks = [block.text for block in document.xpath(f"//{kind}[not(@type)]")]
        digests = [base64.b64encode(hashlib.sha256(block.encode()).digest()).decode() for block in blocks]
        assert allowed[1].split() == [f"'sha256-{digest}'" for digest in digests]


def test_data_for_the_charts_survives_the_embedding(document: Any) -> None:
    charts = [json.loads(script.text) for script in document.xpath("//script[@type='application/json']")]
    assert {chart["kind"] for chart in charts} == {"histogram", "lines"}
    for dangerous in (HOSTILE, "</script>", "<!--", "\u2028", "&lt;"):
        text = str(embedded({"text": dangerous}))
        assert json.loads(text) == {"text": dangerous}
        assert not re.search("[<>&\u2028]", text)


def test_the_page_is_small_and_loads_nothing(run: Path) -> None:
    source = (run / "report.html").read_text(encoding="utf-8")
    assert 10_000 < len(source) < 5_000_000
    head = source.split("</head>")[0]
    assert 'href="http' not in head
    assert 'src="http' not in source
    assert "url(" not in head
    assert "@import" not in head


def test_the_same_run_gives_the_same_page(run: Path) -> None:
    before = (run / "report.html").read_bytes()
    assert write_page(run).read_bytes() == before


def test_the_headline_has_the_numbers_of_the_evaluation(document: Any) -> None:
    text = " ".join(document.get_element_by_id("headline").text_content().split())
    assert "2.213 → 2.026" in text
    assert "−0.2051 to −0.1702" in text
    assert text.count("Gain on the domain") == 1


def test_a_run_that_is_only_curated_has_a_page_that_says_what_is_missing(tmp_path: Path) -> None:
    run = fabricate(tmp_path / "curated-only", trained=False)
    (run / "curated" / "report.json").write_text(json.dumps(curation_numbers(run, RULES)))
    made = lxml.html.fromstring(write_page(run).read_text())
    ids = [section.get("id") for section in made.xpath("//section")]
    assert "funnel" in ids
    assert "result" not in ids
    left_out = made.get_element_by_id("left-out").text_content()
    assert "Training" in left_out
    assert "has not been evaluated" in left_out


NEW_KEYS = ("reasons", "overlaps", "filters", "language", "personal", "licences", "domain", "boilerplate", "spans")


def test_a_report_of_before_rules_differed_by_source_still_has_a_page(run: Path, tmp_path: Path) -> None:
    old = tmp_path / "old"
    shutil.copytree(run, old)
    numbers = json.loads((old / "curated" / "report.json").read_text())
    for key in NEW_KEYS:
        del numbers[key]
    for source in numbers["sources"]:
        for key in ("bytes_in", "cleaned_bytes", "removed_bytes", "quarantined_bytes"):
            del source[key]
    for rule in numbers["rules"]:
        del rule["by_source"], rule["sources"]
    for measure in numbers["measures"]:
        bounds = {bound["bound"]: bound["value"] for bound in measure.pop("bounds")}
        measure |= {"at_least": bounds.get("at_least"), "at_most": bounds.get("at_most")}
    (old / "curated" / "report.json").write_text(json.dumps(numbers))
    made = lxml.html.fromstring(write_page(old).read_text())
    ids = [section.get("id") for section in made.xpath("//section")]
    assert set(PANELS) - set(ids) == {"domain", "personal", "licences", "boilerplate", "spans"}
    charts_drawn = [json.loads(script.text) for script in made.xpath("//script[@type='application/json']")]
    assert any(chart.get("bounds") for chart in charts_drawn), "bounds of old are drawn"


def test_repeated_passages_are_shown_with_their_share_and_what_became_of_them(document: Any) -> None:
    section = document.get_element_by_id("spans")
    words = " ".join(section.text_content().replace("\u00a0", " ").split())
    assert "31 training documents of 90 share a passage of 40 words or more" in words
    assert "36 passages, 24.0 % of the bytes" in words
    assert "was cut from the others" in words
    by_source, lengths, listed = section.xpath(".//tbody")
    assert [cell.text_content() for cell in by_source.xpath(".//tr/*")][-3:] == ["30", "11.0 kB", "1"]
    assert [row.xpath(".//th")[0].text_content() for row in lengths.xpath(".//tr")] == ["40 to 79", "80 or more"]
    assert HOSTILE.split()[0] in listed.text_content()


def test_boilerplate_is_shown_with_where_it_stands_and_what_became_of_it(document: Any) -> None:
    section = document.get_element_by_id("boilerplate")
    words = " ".join(section.text_content().split())
    assert "1 line of 4 words or more stands in many documents" in words
    assert "They were cut, and the documents stay" in words
    first, listed = section.xpath(".//tbody")
    assert [cell.text_content() for cell in first.xpath(".//td")] == ["100", "20", "1", "4.00 kB", "41", "4.00 kB", "2"]
    assert " ".join(listed.xpath(".//td")[0].text_content().split()) == " ".join(HOSTILE.split())


def test_reasons_that_meet_stand_in_a_table_with_as_many_rows_as_columns(document: Any) -> None:
    table = document.xpath("//table[@class='meet']")[0]
    rows = table.xpath(".//tbody/tr")
    assert 2 < len(rows) <= 12
    assert all(len(row.xpath("./td")) == len(rows) + 1 for row in rows)


def test_what_a_measure_means_stands_beside_its_chart(document: Any) -> None:
    figures = document.get_element_by_id("measures").xpath(".//figure")
    captions = [figure.xpath("string(figcaption)") for figure in figures]
    assert any(caption.startswith("words") and "(words)" in caption for caption in captions)
    words = next(caption for caption in captions if caption.startswith("words"))
    assert "at least 30, of statutes" in words


def test_an_empty_run_folder_still_gets_a_page(tmp_path: Path) -> None:
    made = lxml.html.fromstring(write_page(tmp_path).read_text())
    assert [section.get("id") for section in made.xpath("//section")] == ["left-out"]


def test_a_set_too_small_for_an_interval_is_shown_without_one(run: Path, tmp_path: Path) -> None:
    small = tmp_path / "small"
    shutil.copytree(run, small)
    evaluation = json.loads((small / "evaluation.json").read_text())
    for one in (*evaluation["sets"].values(), *evaluation["verdict"]["changes"].values()):
        (one.get("change") or one)["ci95"] = None
    (small / "evaluation.json").write_text(json.dumps(evaluation))
    text = lxml.html.fromstring(write_page(small).read_text()).text_content()
    assert "too few documents for an interval" in text


def test_a_torn_last_line_of_the_metrics_is_left_out(run: Path, tmp_path: Path) -> None:
    torn = tmp_path / "torn"
    shutil.copytree(run, torn)
    with (torn / "training" / "metrics.jsonl").open("a") as file:
        file.write('{"step": 301, "lo')
    assert write_page(torn).exists()


def test_the_tokens_seen_are_those_of_all_steps(document: Any) -> None:
    assert document.xpath("string(//dt[.='tokens seen']/following-sibling::dd)") == f"{300 * 65536:,}"


# ---- parts


def test_differences_are_marked_on_both_sides_and_nothing_is_lost() -> None:
    left = " ".join(f"w{n}" for n in range(400))
    right = left.replace("w100 ", "changed ").replace(" w110", "")
    one, two = side_by_side(left, right)
    assert one.skipped == two.skipped == 60
    assert [text.split() for text, differs in one.parts if differs] == [["w100"], ["w110"]]
    assert [text.strip() for text, differs in two.parts if differs] == ["changed"]
    for side, text in ((one, left), (two, right)):
        assert "".join(part for part, _ in side.parts) in text
        assert side.skipped + len("".join(part for part, _ in side.parts).split()) + side.rest == len(text.split())


def test_what_a_truncated_copy_lacks_is_shown() -> None:
    whole = " ".join(f"w{n}" for n in range(250))
    one, two = side_by_side(whole, whole.rpartition(" ")[0])
    assert one.skipped == two.skipped > 0
    assert [text.strip() for text, differs in one.parts if differs] == ["w249"]
    assert not any(differs for _, differs in two.parts)


@pytest.mark.parametrize("texts", [("", ""), ("a", ""), ("same text", "same text"), (HOSTILE, HOSTILE + " x")])
def test_odd_pairs_can_be_compared(texts: tuple[str, str]) -> None:
    _, two = side_by_side(*texts)
    assert "".join(part for part, _ in two.parts).split() == texts[1].split()


@pytest.mark.parametrize("module", [formats, drawings, differences, page, charts, tallies])
def test_examples_in_docstrings_hold(module: Any) -> None:
    tried = doctest.testmod(module)
    assert tried.failed == 0
    assert tried.attempted > 0
