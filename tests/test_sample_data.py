"""The sample of its own: the generator gives the committed files, and expected.json speaks of records that are there.

What a run makes of the sample is tested elsewhere; here nothing of ours but the generator is imported.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections import Counter, defaultdict
from pathlib import Path
from random import Random
from typing import Any

import pytest
import yaml

SAMPLE = Path(__file__).resolve().parents[1] / "sample_data"
sys.path.insert(0, str(SAMPLE))

from make_sample import planted_garden  # noqa: E402
from maker import files  # noqa: E402
from maker.corpus import WORD, Press, handwritten, word_runs  # noqa: E402
from maker.grammar import Rule, Writer  # noqa: E402
from maker.letters import PERSONAL  # noqa: E402
from maker.twins import EXACT, LEAST_LIKENESS, NEAR, likeness  # noqa: E402

STAGES = {"kept": {None, "contamination"}, "removed": {"judge", "dedup", "contamination"}, "quarantined": {"read"}}
MUST_BE_PLANTED = {
    "exact_duplicate_same", "exact_duplicate_respaced", "exact_duplicate_lower_case", "near_duplicate_edited",
    "near_duplicate_reordered", "near_duplicate_truncated", "near_duplicate_wrapped", "foreign_language", "spam",
    "menu", "cookie_banner", "mojibake", "wrong_encoding", "broken_json", "not_an_object", "missing_text",
    "truncated_gzip",
    "broken_markup", "no_text", "unknown_format", "empty_text", "one_word", "quotes_another", "quoted_by_another",
    "benchmark_leak", "pii", "script", "zero_width", "control_character", "windows_lines", "superscript_and_micro",
    "repeated_id", "pdf_file", "scanned_pdf", "docx_file", "epub_file", "web_page", "not_a_page", "dose_table",
    "personal_data", "looks_personal", "mixed_languages", "off_domain",
}  # fmt: skip


@pytest.fixture(scope="module")
def expected() -> dict[str, Any]:
    return json.loads((SAMPLE / "expected.json").read_text("utf-8"))


@pytest.fixture(scope="module")
def clean() -> list[str]:
    """The hand-written documents that are not planted for their faults."""
    subjects = ("medical", "general", "control", "formats")
    return [document.text for subject in subjects for document in handwritten(subject)]


def test_the_generator_makes_the_committed_files() -> None:
    run = subprocess.run(
        [sys.executable, SAMPLE / "make_sample.py", "--check"], capture_output=True, text=True, timeout=120, check=False
    )
    assert run.returncode == 0, run.stderr


def test_the_sample_stays_small() -> None:
    stored = [path for path in SAMPLE.rglob("*") if path.is_file() and path.suffix != ".pyc"]
    assert sum(path.stat().st_size for path in stored) < 4_000_000


def test_no_file_that_is_not_text_is_large() -> None:
    bound = [path for name in ("handbooks", "web", "formulary") for path in (SAMPLE / "medical" / name).iterdir()]
    assert len(bound) == 8
    assert max(path.stat().st_size for path in bound) < 20_000


def test_every_kind_of_defect_is_planted(expected: dict[str, Any]) -> None:
    planted = Counter(one["plant"] for one in expected["planted"])
    assert planted.keys() >= MUST_BE_PLANTED
    assert planted["quotes_another"] == planted["quoted_by_another"] >= 40
    assert planted["benchmark_leak"] >= 5


def test_a_record_is_planted_once(expected: dict[str, Any]) -> None:
    places = Counter((one["source"], one["path"], one["position"]) for one in expected["planted"])
    assert places.most_common(1)[0][1] == 1


def test_fates_have_their_stages_and_reasons(expected: dict[str, Any]) -> None:
    for one in expected["planted"]:
        assert one["stage"] in STAGES[one["fate"]], one
        assert one["reason"] or one["stage"] in (None, "judge"), one
        assert one["stage"] != "contamination" or one["fate"] == "removed" or one["if_held_out"], one


def test_one_of_twins_stays(expected: dict[str, Any]) -> None:
    fates = {place(one): one["fate"] for one in expected["planted"]}
    twins = [one for one in expected["planted"] if "twins" in one]
    assert len(twins) > 100
    for one in twins:
        cluster = [one, *one["twins"]]
        assert sorted(fates[place(twin)] for twin in cluster) == ["kept", "removed"]
        assert fates[place(one["stays"])] == "kept"


def test_what_may_be_held_out_points_both_ways(expected: dict[str, Any]) -> None:
    halves = [one for one in expected["planted"] if "if_held_out" in one]
    forth = {place(one): place(one["if_held_out"]) for one in halves}
    assert len(halves) >= 80
    assert all(forth[other] == one for one, other in forth.items())


def test_positions_lie_inside_their_files(expected: dict[str, Any]) -> None:
    folders = {"notes": "medical/notes", "everyday": "general/everyday"}
    lines: dict[tuple[str, str], int] = {}
    for source, folder in folders.items():
        for path in sorted((SAMPLE / folder).iterdir()):
            held = files.contents(path.name, path.read_bytes())
            lines[source, path.name] = (held[0] if isinstance(held, tuple) else held).count(b"\n")
    seen = 0
    for one in expected["planted"]:
        if one["source"] in folders and one["plant"] != "truncated_gzip":
            assert one["position"] < lines[one["source"], one["path"]], one
            seen += 1
    assert seen > 200
    assert sum(lines.values()) + 1 == expected["records"]["notes"] + expected["records"]["everyday"]  # 1: cut off


def place(one: dict[str, Any]) -> tuple[str, str, int]:
    return one["source"], one["path"], one["position"]


def test_the_read_me_names_every_source(expected: dict[str, Any]) -> None:
    block = re.search(r"```yaml\n(.*?)```", (SAMPLE / "README.md").read_text("utf-8"), re.S)
    assert block is not None
    sources = {source["name"]: source for source in yaml.safe_load(block[1])["sources"]}
    assert sources.keys() == {*expected["records"], "exam"}
    for source in sources.values():
        assert list(SAMPLE.glob(source["path"])), source


def test_hand_written_documents_share_no_run_of_13_words(clean: list[str]) -> None:
    held: dict[int, set[int]] = defaultdict(set)
    for number, text in enumerate(clean):
        for run in word_runs(text, 13):
            held[run].add(number)
    assert len(held) > 10_000
    assert all(len(numbers) == 1 for numbers in held.values())


def test_no_13_words_stand_in_two_documents_but_by_design() -> None:
    garden = planted_garden([question.text for question in handwritten("exam")])
    meant = {
        frozenset({one.key, other})
        for one in garden.expected
        for other in (*one.twins, *([one.if_held_out] if one.if_held_out else []))
    }
    leaves = {one.key for one in garden.expected if one.stage in ("read", "judge")}
    held: dict[int, set[str]] = defaultdict(set)
    for records in (*garden.clean.values(), *garden.planted.values()):
        for record in records:
            if record.document is not None and record.key not in leaves:
                for run in word_runs(record.document.text, 13):
                    held[run].add(record.key)
    shared = {frozenset(keys) for keys in held.values() if len(keys) > 1}
    assert len(shared) > 100
    assert shared <= meant


def test_the_press_never_repeats_13_words_or_depends_on_the_process() -> None:
    kinds = ("note", "abstract", "leaflet", "recipe", "regulation")
    first, second = Press(Random(3)), Press(Random(3))
    texts = [first.print(kind).text for kind in kinds for _ in range(12)]
    assert texts == [second.print(kind).text for kind in kinds for _ in range(12)]
    runs = [run for text in texts for run in set(word_runs(text, 13))]
    assert len(runs) == len(set(runs)) > 5_000


@pytest.mark.parametrize("how", sorted(NEAR))
def test_near_duplicates_are_near_but_not_equal(how: str) -> None:
    press = Press(Random(5))
    for _ in range(10):
        text = press.print("note", 230).text
        assert LEAST_LIKENESS <= likeness(text, NEAR[how](text, press.rng)) < 1


@pytest.mark.parametrize("how", sorted(EXACT))
def test_exact_duplicates_have_the_same_words(how: str) -> None:
    text = "First of all, Wait.\n\nThen call."
    copy = EXACT[how](text, Random(0))
    assert WORD.findall(copy.casefold()) == WORD.findall(text.casefold())
    assert len(copy) <= len(text)


def test_every_kind_of_personal_data_that_is_planted_is_nobodys(expected: dict[str, Any]) -> None:
    kinds = Counter(kind for kind, _, _ in PERSONAL)
    assert kinds == dict.fromkeys(("email", "phone", "national_id", "medical_record_number", "birth_date"), 2)
    values = {value for _, value, _ in PERSONAL}
    assert all(value.endswith(".example") for value in values if "@" in value)
    planted = [one for one in expected["planted"] if one["plant"] == "personal_data"]
    assert {value for one in planted for value in one["text_lacks"]} == values
    assert {one["ledger"]["consent"] for one in planted} == {"research_only", "any_use"}


def test_a_grammar_expands_choices_numbers_articles_and_memory() -> None:
    plan = "{who} saw {a beast} [at dusk|at dusk] for {3..3} days. ¶ {who} kept {2.50..2.50} kg, {10..10/5} g."
    rules = {
        "plan": Rule((plan,)),
        "who": Rule(("anna", "ben", "cara"), once=True),
        "beast": Rule(("owl",)),
    }
    text = Writer(rules, Random(1)).write("plan")
    name = text.split()[0]
    assert name in {"Anna", "Ben", "Cara"}
    assert text == f"{name} saw an owl at dusk for 3 days.\n\n{name.lower()} kept 2.50 kg, 10 g."


def test_the_cut_gzip_gives_its_first_lines_and_no_end() -> None:
    content = b"".join(b'{"line": %d}\n' % number for number in range(9))
    whole = len(content) - len(b'{"line": 8}\n')
    text, is_whole = files.contents("x.gz", files.cut_gzip(content, whole))
    assert text == content[:whole]
    assert not is_whole
