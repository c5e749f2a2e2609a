"""Presets for a domain: they keep its text where the web's bounds do not, and still remove what is junk there.

Real text and planted junk are measured and judged as a run does it. The shares asserted here are looser than those that
the presets' docstrings state of the whole corpora: a part is enough to see a bound slip.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from itertools import islice
from pathlib import Path

import pytest
from junk import junk

from curate.inputs import list_files, records
from curate.language import identify
from curate.measured import families, measure
from curate.plugins import siblings
from curate.presets import gopher
from curate.presets._moved import moved, raised
from curate.rules import judge, preset
from curate.settings import Curate, Source
from curate.taken import taken
from curate.text import TextBatch

BATCH_CHARACTERS = 4_000_000


def removed(texts: Sequence[str], *names: str) -> dict[str, float]:
    """The share of these texts that each preset removes."""
    rules = {name: preset(name) for name in names}
    counts = dict.fromkeys(names, 0)
    for batch in batches(texts):
        columns, told = measure(batch, families(Curate().measures)), identify(batch)
        for name, its in rules.items():
            counts[name] += len(batch) - judge(columns, its, languages=told.languages).first.null_count
    return {name: count / len(texts) for name, count in counts.items()}


def batches(texts: Iterable[str]) -> Iterator[TextBatch]:
    some: list[str] = []
    size = 0
    for text in texts:
        some.append(text)
        size += len(text)
        if size > BATCH_CHARACTERS:
            yield TextBatch.of(some)
            some, size = [], 0
    if some:
        yield TextBatch.of(some)


def texts_of(shared_data: Path, path: str, at_most: int, text: str | list[str] = "text") -> list[str]:
    source = Source(name="s", path=path, text=text)
    found = (record.text for file in list_files(source, shared_data) for record in records(file, source))
    return list(islice((text for text in found if text and len(text.split()) >= 4), at_most))


@cache
def medical(shared_data: Path) -> Mapping[str, list[str]]:
    both = ["title", "abstract"]
    return {
        "abstracts": texts_of(shared_data, "medical/sr_abstracts/cohen2006*", 6000, both),
        "animal studies": texts_of(shared_data, "medical/sr_abstracts/bannach*", 2000, both),
        "papers": texts_of(shared_data, "medical/elife_jats.tar.gz", 60),
        "questions": texts_of(shared_data, "medical/pubmedqa/ori_pqal.json", 1000, ["QUESTION", "CONTEXTS"]),
    }


@cache
def legal(shared_data: Path) -> Mapping[str, list[str]]:
    return {
        "opinions": texts_of(shared_data, "legal/scotus*", 300),
        "sections": texts_of(shared_data, "legal/dc_code_xml.tar.gz", 2000),
        "statutes": texts_of(shared_data, "legal/gesetze_de_md.tar.gz", 600),
        "articles": texts_of(shared_data, "legal/code_civil_fr.tar.gz", 3000),
        "other sections": texts_of(shared_data, "neardup/dc_code_revisions/docs.jsonl.gz", 7000),
    }


def prose(domain: Mapping[str, Sequence[str]], *names: str) -> list[str]:
    """What damaged junk is made of: every fifth long text of these sources."""
    return [text for name in names for text in domain[name] if len(text) > 900][::5]


@pytest.mark.parametrize("name", siblings("curate.presets"))
def test_every_preset_judges_what_is_measured_by_default(name: str) -> None:
    known = taken(Curate())
    rules = preset(name)
    assert rules
    assert {rule.measure for rule in rules} <= set(known)
    for rule in rules:
        assert (rule.at_least is None) == (rule.too_low is None)
        assert (rule.at_most is None) == (rule.too_high is None)


def test_a_moved_rule_keeps_its_reason_and_tells_who_moved_it() -> None:
    own = next(rule for rule in gopher.RULES if rule.measure == "words")
    there = moved(gopher.RULES, "words", "somebody", at_least=30)
    assert (there.at_least, there.at_most, there.too_low, there.too_high) == (30, None, own.too_low, None)
    assert there.source == "somebody"
    (higher,) = raised(gopher.RULES, ["duplicate_5_gram_character_share"], 0.1, "somebody")
    assert (higher.at_most, higher.too_high) == (0.25, "too_much_in_duplicate_5_grams")


@pytest.mark.real
@pytest.mark.parametrize(("kind", "gopher_takes", "medical_takes"), [("papers", 0.02, 0.0), ("questions", 0.03, 0.002)])
def test_medical_keeps_papers_full_of_figures(
    shared_data: Path, kind: str, gopher_takes: float, medical_takes: float
) -> None:
    found = removed(medical(shared_data)[kind], "gopher", "medical")
    assert found["gopher"] >= gopher_takes
    assert found["medical"] <= medical_takes


@pytest.mark.real
@pytest.mark.parametrize("kind", ["abstracts", "animal studies"])
def test_medical_keeps_whole_abstracts_and_no_bare_titles(shared_data: Path, kind: str) -> None:
    texts = medical(shared_data)[kind]
    abstracts, titles = [t for t in texts if len(t.split()) >= 35], [t for t in texts if len(t.split()) < 25]
    assert removed(abstracts, "medical")["medical"] < 0.003
    assert removed(titles, "medical")["medical"] > 0.99


@pytest.mark.real
@pytest.mark.parametrize(
    ("kind", "gopher_takes", "legal_takes"),
    [
        ("opinions", 0.7, 0.05),  # those that hold their pages twice
        ("sections", 0.4, 0.15),  # the repealed
        ("statutes", 0.35, 0.2),  # titles without a text
        ("articles", 0.45, 0.005),
        ("other sections", 0.2, 0.01),
    ],
)
def test_legal_keeps_the_law(shared_data: Path, kind: str, gopher_takes: float, legal_takes: float) -> None:
    found = removed(legal(shared_data)[kind], "gopher", "legal")
    assert found["gopher"] >= gopher_takes
    assert found["legal"] <= legal_takes


AT_LEAST = {
    "medical": {"link lists": 0.65, "scripts": 0.45, "keywords": 0.85},
    "legal": {},
}


@pytest.mark.real
@pytest.mark.parametrize("name", ["medical", "legal"])
def test_junk_that_no_bound_was_chosen_on_still_leaves(shared_data: Path, name: str) -> None:
    if name == "medical":
        texts = prose(medical(shared_data), "abstracts", "papers", "questions")
    else:
        texts = prose(legal(shared_data), "opinions", "statutes", "articles")
    found = {kind: removed(documents, "gopher", name) for kind, documents in junk(shared_data, texts).items()}
    assert len(found) == 8
    for kind, shares in found.items():
        assert shares[name] >= AT_LEAST[name].get(kind, 0.95), (kind, shares)
    in_all = {which: sum(shares[which] for shares in found.values()) / len(found) for which in ("gopher", name)}
    assert in_all["gopher"] < 0.7 < 0.88 < in_all[name]
