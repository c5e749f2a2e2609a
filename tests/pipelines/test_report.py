"""The page's laws: its numbers add up, and no document can make it run, load or look like anything."""

from __future__ import annotations

import base64
import doctest
import hashlib
import json
import re
import shutil
from pathlib import Path
from typing import Any

import lxml.html
import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
from fabricate import HOSTILE, RULES, fabricate

from curate.shards.fault import Fault
from pipelines.report import differences, drawings, formats, page
from pipelines.report.differences import side_by_side
from pipelines.report.histograms import histogram
from pipelines.report.numbers import EXAMPLES, curation_numbers
from pipelines.report.page import PANELS, embedded, write_page

INDEXES = {
    "held_out": {"indexed_documents": 103, "indexed_ngrams": 20_000, "ngram_words": 13, "common_in": 10}
    | {"too_short_to_index": 2, "common_ngrams": 1, "common_phrases": [{"phrase": HOSTILE, "training_documents": 44}]}
}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = fabricate(tmp_path_factory.mktemp("runs") / "made-up")
    numbers = curation_numbers(run, RULES, INDEXES)
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


def test_failed_only_this_counts_documents_with_no_other_reason(numbers: dict[str, Any], rows: list[Any]) -> None:
    for rule in numbers["rules"]:
        assert rule["failed"] == sum(rule["reason"] in row["reasons"] for row in rows)
        assert rule["alone"] == sum(row["reasons"] == [rule["reason"]] for row in rows)
    assert any(0 < rule["alone"] < rule["failed"] for rule in numbers["rules"])


def test_a_histogram_holds_every_measured_document_once(numbers: dict[str, Any], rows: list[Any]) -> None:
    for measure in numbers["measures"]:
        bars = sum(map(sum, (measure["kept"], measure["failed"], measure["other"])))
        assert bars + measure["below"] + measure["above"] == measure["measured"]
        assert measure["measured"] == sum(row[measure["measure"]] is not None for row in rows)
    assert {measure["scale"] for measure in numbers["measures"]} == {"log", "linear", "counts"}


@pytest.mark.parametrize("values", [[], [np.nan], [3.0], [3.0] * 9, [0.0, 1e9], [-5.0, 5.0], [0.1, 0.2], [1.0, np.inf]])
def test_a_histogram_of_few_or_odd_values_has_rising_edges(values: list[float]) -> None:
    array = np.array(values)
    given = histogram(array, np.ones(len(array), bool), np.zeros(len(array), bool), 2.0, None)
    assert given["measured"] == int(np.isfinite(array).sum())
    if given["measured"]:
        assert np.all(np.diff(given["edges"]) > 0)
        assert sum(given["kept"]) + given["below"] + given["above"] == given["measured"]


def test_the_bound_of_a_share_stands_in_the_chart_though_all_documents_are_alike() -> None:
    none = np.zeros(9, bool)
    for values in ([0.0] * 9, [1.0] * 9):
        given = histogram(np.array(values), ~none, none, None, 0.3)
        assert given["edges"][0] <= min(0.3, *values) < max(0.3, *values) <= given["edges"][-1]
        assert (given["scale"], given["below"], given["above"]) == ("linear", 0, 0)


def test_a_rule_for_one_language_refuses_nothing_in_another(run: Path, rows: list[Any]) -> None:
    german = [{**RULES[0], "only_languages": ["de"]}]
    words = curation_numbers(run, german)["measures"][0]
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
    assert curation_numbers(other, RULES, INDEXES) == numbers


def test_a_run_without_a_ledger_is_a_fault_with_a_hint(tmp_path: Path) -> None:
    with pytest.raises(Fault, match="no ledger") as caught:
        curation_numbers(tmp_path, RULES)
    assert "postgrad curate" in caught.value.hint


# ---- the page


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


@pytest.mark.parametrize("module", [formats, drawings, differences, page])
def test_examples_in_docstrings_hold(module: Any) -> None:
    tried = doctest.testmod(module)
    assert tried.failed == 0
    assert tried.attempted > 0
