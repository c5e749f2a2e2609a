"""Laws of the recall loop: it finds what was planted, leaves the rest, stops, and comes out the same."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import zstandard

from curate.classify.held_out import HeldOut
from curate.classify.recall import Recalled, Round, Search, pool_share, recall
from curate.classify.texts import Texts
from tests.curate.classified import MEDICINE, SEA, SHARED, abstracts, in_memory, text, texts, web_and_novels

LAW = "court statute appeal clause plaintiff verdict tort judge contract ruling".split()
NEAR = "hormone enzyme vaccine antibody insulin glucose".split()


def pool_of(n_sea: int, n_planted: int, n_law: int = 60) -> Texts:
    """Seafaring, law that nobody spoke of, and planted medicine: half with words that the seeds lack among theirs."""
    ids = [f"sea/{i}" for i in range(n_sea)] + [f"law/{i}" for i in range(n_law)]
    kinds = [SEA] * n_sea + [LAW] * n_law
    ids += [f"planted/{i}" for i in range(n_planted)]
    kinds += [MEDICINE if i % 2 else MEDICINE[:4] + NEAR for i in range(n_planted)]
    return Texts.of(ids, [text(kind, one) for kind, one in zip(kinds, ids, strict=True)])


def search(folder: Path, pool: Texts) -> Search:
    return Search.of(texts("notes", MEDICINE, 80), texts("web", SEA, 80), pool, folder, 1, 0.95)


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> tuple[Texts, Recalled]:
    pool = pool_of(200, 60)
    return pool, recall(search(tmp_path_factory.mktemp("recall"), pool))


def test_planted_documents_are_found_and_others_are_left(found: tuple[Texts, Recalled]) -> None:
    pool, result = found
    names = pool.name(result.numbers)
    planted = sum(name.startswith("planted/") for name in names)
    assert planted >= 0.9 * 60
    assert planted >= 0.9 * len(names)


def test_the_loop_stops_and_its_table_adds_up(found: tuple[Texts, Recalled]) -> None:
    _, result = found
    assert result.stopped == "little_gain"
    assert result.rounds[-1].gain < 0.02
    assert all(one.gain >= 0.02 for one in result.rounds[:-1])
    assert [one.number for one in result.rounds] == list(range(1, len(result.rounds) + 1))
    assert np.cumsum([one.added for one in result.rounds]).tolist() == [one.accepted for one in result.rounds]
    for one in result.rounds:
        assert (result.round_of == one.number).sum() == one.added
        assert (result.scores[result.round_of == one.number] >= one.held_out.threshold).all()
        assert one.held_out.recall > 0.9  # of the first seeds: no drift


def test_two_searches_find_the_same(found: tuple[Texts, Recalled], tmp_path: Path) -> None:
    pool, result = found
    told: list[Round] = []
    again = recall(search(tmp_path, pool), tell=told.append)
    assert tuple(told) == again.rounds == result.rounds
    assert again.numbers.tolist() == result.numbers.tolist()
    assert again.scores.tolist() == result.scores.tolist()


def test_a_pool_without_the_domain_gives_next_to_nothing(tmp_path: Path) -> None:
    result = recall(search(tmp_path, pool_of(200, 0)), most_rounds=3)
    assert len(result.numbers) <= 3


def test_the_loop_ends_after_the_rounds_it_is_given(tmp_path: Path) -> None:
    result = recall(search(tmp_path, pool_of(60, 20)), most_rounds=1)
    assert (len(result.rounds), result.stopped) == (1, "most_rounds")


def test_where_no_threshold_keeps_the_precision_nothing_is_taken(tmp_path: Path) -> None:
    alike = Search.of(
        texts("notes", SHARED, 80), texts("web", SHARED, 80), texts("pool", SHARED, 80), tmp_path, 1, 0.98
    )
    result = recall(alike)
    assert result.stopped == "precision_not_reached"
    assert len(result.numbers) == 0


def test_an_empty_pool_is_searched_in_vain(tmp_path: Path) -> None:
    result = recall(search(tmp_path, Texts.of([], [])))
    assert (result.stopped, len(result.numbers)) == ("little_gain", 0)


def test_the_pools_share_is_what_it_was_drawn_with_but_no_more_than_half() -> None:
    rng = np.random.default_rng(1)
    domain, other = rng.normal(0.7, 0.2, 2000), rng.normal(0.3, 0.2, 2000)
    for share in (0.03, 0.3, 0.9):
        n = int(20_000 * share)
        found = np.concatenate([rng.normal(0.7, 0.2, n), rng.normal(0.3, 0.2, 20_000 - n)])
        assert pool_share(HeldOut(domain, other), found, 0.5) == pytest.approx(min(share, 0.5), abs=0.03)
    assert pool_share(HeldOut(domain, other), np.zeros(10), 0.5) == 0.1  # one document


@pytest.mark.real
def test_nine_in_ten_medical_abstracts_are_found_in_a_pool_with_text_nobody_spoke_of(
    shared_data: Path, tmp_path: Path
) -> None:
    medical, general = abstracts(shared_data), web_and_novels(shared_data)
    lines = (shared_data / "general/quality_labels/dclm_majority_a.jsonl").read_text("utf-8").splitlines()
    with zstandard.open(shared_data / "legal/scotus_ot2009-2011_pdftotext.jsonl.zst", "rt", encoding="utf-8") as file:
        courts = [str(json.loads(line)["text"])[:5000] for line in file]
    unheard = [(f"unheard/{i}", one) for i, one in enumerate([*courts, *(json.loads(line)["text"] for line in lines)])]
    pool = in_memory(medical[1000:1100] + general[::2] + unheard)
    one = recall(Search.of(in_memory(medical[:1000]), in_memory(general[1::2]), pool, tmp_path, 1, 0.95), most_rounds=4)
    found, planted = set(pool.name(one.numbers)), {name for name, _ in medical[1000:1100]}
    assert len(pool) > 800
    assert len(found & planted) >= 0.9 * len(planted)
    # of the eleven others that were taken five are web pages about medicine: 0.94 of what was taken is right
    assert len(found & planted) >= 0.85 * len(found)
