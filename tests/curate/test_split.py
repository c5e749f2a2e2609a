"""Laws of the split: what belongs together stands together, sizes are met, and what need not move stays."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable
from math import sqrt
from pathlib import Path
from typing import Any

import hypothesis
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from sifted_units import Doc, write_units

import curate.dedup.partitions
from curate.dates import moment
from curate.dedup.resolve import Resolution
from curate.passes.copies import Copies
from curate.passes.repeats import find_repeats
from curate.passes.sides import assign_sides
from curate.passes.ties import Whole
from curate.settings import ByGroup, BySource, ByTime, Role, Source, Split
from curate.shards.fault import Fault
from curate.split import SIDES, TEST, TRAIN, VALIDATION, Sides, assign, deal, places

IDS = pa.array([f"notes/{i}" for i in range(20_000)])


def _sides(ids: pa.Array, seed: int, validation: float, test: float) -> Sides:
    return assign(places(ids, seed), validation, test)


def test_a_side_is_a_function_of_cluster_seed_and_fractions_alone() -> None:
    whole = _sides(IDS, 1, 0.1, 0.1)
    some = np.arange(0, len(IDS), 7)[::-1]
    assert (_sides(IDS.take(pa.array(some)), 1, 0.1, 0.1) == whole[some]).all()
    assert (_sides(IDS, 2, 0.1, 0.1) != whole).any()


@pytest.mark.parametrize(("validation", "test"), [(0.02, 0.02), (0.3, 0.05), (0.0, 0.5), (0.0, 0.0)])
def test_fractions_are_right_within_binomial_bounds(validation: float, test: float) -> None:
    counts = Counter(_sides(IDS, 3, validation, test).tolist())
    for side, share in ((TRAIN, 1 - validation - test), (VALIDATION, validation), (TEST, test)):
        assert abs(counts[side] - share * len(IDS)) <= 4 * sqrt(len(IDS) * share * (1 - share))


def test_wider_validation_takes_from_training_only() -> None:
    narrow, wide = _sides(IDS, 1, 0.05, 0.05), _sides(IDS, 1, 0.2, 0.05)
    moved = {(SIDES[a], SIDES[b]) for a, b in zip(narrow, wide, strict=True) if a != b}
    assert moved == {("train", "validation")}


def test_places_do_not_change_between_versions() -> None:
    # a corpus published with one version keeps its held-out side with the next
    assert places(pa.array(["notes/1", "papers/é"]), 1).tolist() == [0.8579598723698894, 0.16879347706960168]


# -- the deal


@hypothesis.settings(deadline=None)  # the first call compiles
@given(
    st.lists(st.tuples(st.integers(0, 12), st.integers(0, 2), st.integers(1, 9)), max_size=60),
    st.lists(st.integers(0, 40), min_size=6, max_size=6),
)
def test_the_deal_meets_every_size_within_one_cluster(documents: list[tuple[int, int, int]], sizes: list[int]) -> None:
    documents.sort(key=lambda one: one[0])
    cluster, stratum, amount = np.array(documents, np.int64).reshape(-1, 3).T
    need = np.zeros((4, 3), np.int64)
    need[[VALIDATION, TEST]] = np.array(sizes).reshape(2, 3)
    wanted = need.copy()
    sides = deal(cluster, stratum, amount, need)
    assert all(len(set(sides[cluster == one].tolist())) == 1 for one in set(cluster.tolist()))
    for side in (VALIDATION, TEST):
        for one in range(3):
            its = [int(amount[(cluster == c) & (stratum == one)].sum()) for c in set(cluster[sides == side].tolist())]
            assert wanted[side, one] - need[side, one] == sum(its)
            assert sum(its) < wanted[side, one] + max([*its, 1])
            if need[side, one] > 0:  # short of its size: nothing that is trained on would have fitted
                for c in set(cluster[sides == TRAIN].tolist()):
                    touches = stratum[cluster == c]
                    assert one not in touches or (need[side, touches] <= 0).any()


# -- a whole corpus


@pytest.fixture
def corpus(tmp_path: Path) -> _Made:
    return _Made(tmp_path)


class _Made:
    """Two domain sources, a general one and a control, with clusters inside and across them, groups and dates."""

    def __init__(self, folder: Path, seed: int = 1, documents: int = 160) -> None:
        draw = np.random.default_rng(seed)
        self.folder, self.trials = folder, 0
        self.roles: dict[str, Role] = {"notes": "domain", "papers": "domain", "web": "general", "law": "control"}
        self.docs: dict[str, list[Doc]] = {}
        for place, name in enumerate(self.roles):
            n = documents // 4 if place else documents
            self.docs[name] = [
                Doc(f"{i:03d}", "x" * int(draw.integers(10, 400)), meta=self._meta(draw, name)) for i in range(n)
            ]
        ids = [f"{name}/{doc.id}" for name, docs in self.docs.items() for doc in docs]
        self.clusters = [sorted(ids[i] for i in draw.choice(len(ids), 3, replace=False)) for _ in range(documents // 8)]

    def _meta(self, draw: np.random.Generator, name: str) -> str:
        fields: dict[str, Any] = {"patient": {"id": int(draw.integers(0, 60))}}
        if draw.random() < 0.2:
            fields = {}
        if name != "web" and draw.random() < 0.9:
            fields["date"] = f"{int(draw.integers(1990, 2024))}-{int(draw.integers(1, 13)):02d}"
        return json.dumps(fields)

    def together(self) -> dict[str, str]:
        """Cluster by id, named by its lowest; clusters that share a member are one."""
        parent = {i: i for cluster in self.clusters for i in cluster}
        for cluster in self.clusters:
            roots = {parent[i] for i in cluster}
            parent = {i: min(roots) if root in roots else root for i, root in parent.items()}
        return {i: min(j for j, other in parent.items() if other == root) for i, root in parent.items()}

    def split(self, settings: Split, *, cuts: int = 2, backwards: bool = False, **tokens: Any) -> dict[str, str | None]:
        """Side by id; of each cluster the lowest two ids stay."""
        self.trials += 1
        folder = self.folder / str(self.trials)
        units = []
        for name, docs in self.docs.items():
            ordered = docs[::-1] if backwards else docs
            units += [(name, ordered[k::cuts]) for k in range(cuts)]
        sifted, _ = write_units(folder, units, 7 if cuts == 2 else 40)
        scratch = folder / "scratch"
        scratch.mkdir()
        ids = [f"{name}/{doc.id}" for name, docs in units for doc in docs]
        sources = [Source(name=name, path=name, role=self.roles[name]) for name, _ in units]
        copies, kept = self._copies(ids, scratch)
        whole = Whole(sifted, find_repeats(sifted, scratch), sources, kept, copies, scratch)
        sides, self.told = assign_sides(whole, settings, 1, **tokens)
        return {i: SIDES[side] for i, side in zip(ids, sides.tolist(), strict=True)}

    def _copies(self, ids: list[str], scratch: Path) -> tuple[Copies, np.ndarray]:
        together, number = self.together(), {name: at for at, name in enumerate(ids)}
        record = np.array(sorted(number[name] for name in together), np.int64)
        names = [ids[at] for at in record.tolist()]
        members = defaultdict(list)
        for name in names:
            members[together[name]].append(name)
        stays = np.array([name in sorted(members[together[name]])[:2] for name in names], np.bool_)
        none = np.zeros(len(names))
        found = Resolution(
            record=record,
            cluster=np.array([number[together[name]] for name in names], np.int64),
            duplicate_of=np.where(stays, -1, 0),
            similarity=none.astype(np.float32),
            level=np.where(stays, 0, 1).astype(np.uint8),
        )
        kept = np.ones(len(ids), np.bool_)
        kept[record[~stays]] = False
        return Copies.named(found, [pa.array(names, pa.large_string())], scratch / "copies.arrow"), kept

    def doc(self, name: str) -> Doc:
        source, _, own = name.partition("/")
        return next(doc for doc in self.docs[source] if doc.id == own)

    def field(self, name: str, *path: str) -> Any:
        value = json.loads(self.doc(name).meta or "{}")
        for part in path:
            value = value.get(part) if isinstance(value, dict) else None
        return value


def _of(sides: dict[str, str | None], *sources: str) -> Counter[str | None]:
    return Counter(side for name, side in sides.items() if name.partition("/")[0] in sources)


def _one_side(sides: dict[str, str | None], together: Iterable[Iterable[str]]) -> int:
    """Asserts that each set of ids that stay has one side; returns how many have more than one id."""
    several = 0
    for names in together:
        stand = [sides[name] for name in names if sides[name] is not None]
        assert len(set(stand)) <= 1
        several += len(stand) > 1
    return several


def _sets(of: dict[str, Any]) -> list[list[str]]:
    found = defaultdict(list)
    for name, key in of.items():
        if key is not None:
            found[key].append(name)
    return list(found.values())


EVERY = [
    Split(validation=0.1, test=0.2),
    Split(validation=0.1, test=0.2, stratified=True),
    Split(validation=5, test=0.2, stratified=True),
    Split(validation=10, test=25),
    Split(validation=200, test=0.2, sizes="tokens"),
    Split(validation=0.1, test=0.2, by=ByGroup(group="patient.id")),
    Split(validation=10, test=20, by=ByGroup(group="patient.id")),
    Split(validation=0.1, test=0.2, by=ByTime(time="date")),
    Split(validation=0.1, test=0.2, by=ByTime(time="date", test_from=2015)),
    Split(validation=0.1, test=0.2, by=ByTime(time="date", validation_from="2010-06", test_from=2015)),
    Split(validation=0.1, test=0.2, by=BySource(test_sources=["papers"])),
    Split(validation=0.1, test=0.2, by=BySource(test_sources=["papers"], validation_sources=["web"])),
]


@pytest.mark.parametrize("settings", EVERY, ids=str)
def test_a_cluster_stands_whole_and_control_text_is_never_trained_on(corpus: _Made, settings: Split) -> None:
    sides = corpus.split(settings)
    together = corpus.together()
    assert _one_side(sides, _sets(together)) > 5
    assert _of(sides, "law").keys() <= {"test", None}
    tied = {together[name] for name in together if name.startswith("law/") and sides[name]}
    assert any(sides[name] == "test" for name in together if together[name] in tied and name.startswith("notes/"))
    assert {side for side in sides.values() if side} == {"train", "validation", "test"}


@pytest.mark.parametrize("settings", EVERY, ids=str)
def test_neither_order_nor_units_nor_partitions_change_a_side(
    corpus: _Made, settings: Split, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = corpus.split(settings)
    monkeypatch.setattr(curate.dedup.partitions, "ENTRIES_HELD", 16)
    assert corpus.split(settings, cuts=1, backwards=True) == expected
    assert corpus.split(settings, cuts=5) == expected


def test_groups_stand_whole_also_where_a_copy_that_left_ties_them(corpus: _Made) -> None:
    sides = corpus.split(Split(validation=0.1, test=0.2, by=ByGroup(group="patient.id")))
    group = {name: corpus.field(name, "patient", "id") for name in sides}
    assert _one_side(sides, _sets(group)) > 20
    assert corpus.told["without_field"] == sum(group[name] is None for name in sides if sides[name])
    together = corpus.together()
    through = 0
    for names in _sets(together):  # the groups of all copies, those that left included
        tied = [name for name in sides if group[name] is not None and group[name] in {group[one] for one in names}]
        through += any(sides[name] is None for name in names)
        _one_side(sides, [[*names, *tied]])
    assert through > 5


def test_a_group_that_grows_stays_where_it_is(tmp_path: Path) -> None:
    made = _Made(tmp_path)
    made.clusters = []
    settings = Split(validation=0.1, test=0.2, by=ByGroup(group="patient.id"))
    before = made.split(settings)
    more = [Doc(f"+{i}", "x", meta=json.dumps({"patient": {"id": str(i)}})) for i in range(60)]  # "7" is 7
    made.docs["papers"] = [*more, *made.docs["papers"]]
    after = made.split(settings)
    assert {name: after[name] for name in before if not name.startswith("law/")} == {
        name: side for name, side in before.items() if not name.startswith("law/")
    }


def test_by_default_a_cluster_stands_where_the_hash_of_its_id_does(corpus: _Made) -> None:
    sides, together = corpus.split(Split(validation=0.1, test=0.2)), corpus.together()
    names = [together.get(name, name) for name in sides]
    drawn = [SIDES[side] for side in _sides(pa.array(names), 1, 0.1, 0.2).tolist()]
    control = {together.get(name, name) for name, side in sides.items() if name.startswith("law/") and side}
    expected = ["test" if name in control else side for name, side in zip(names, drawn, strict=True)]
    assert [side or would for side, would in zip(sides.values(), expected, strict=True)] == expected


def test_documents_that_join_move_no_others_by_default(tmp_path: Path) -> None:
    made, settings = _Made(tmp_path), Split(validation=0.1, test=0.2)
    before = made.split(settings)
    made.docs["notes"] += [Doc(f"new{i}", "y") for i in range(300)]
    after = made.split(settings)
    assert {name: after[name] for name in before} == before
    assert sum(after[name] == "test" for name in after.keys() - before.keys()) > 20


def test_numbers_are_met_within_one_cluster_by_the_domain_and_each_general_source(corpus: _Made) -> None:
    sides = corpus.split(Split(validation=7, test=15))
    for sources in (("notes", "papers"), ("web",)):
        counts = _of(sides, *sources)
        assert counts["train"] > 0
        assert 7 <= counts["validation"] <= 8
        assert 15 <= counts["test"] <= 16


@pytest.mark.parametrize(("validation", "test"), [(0.1, 0.2), (9, 0.15), (12, 30)])
def test_stratified_gives_every_source_its_share(corpus: _Made, validation: float, test: float) -> None:
    sides = corpus.split(Split(validation=validation, test=test, stratified=True))
    domain = sum(n for side, n in _of(sides, "notes", "papers").items() if side)
    for name in ("notes", "papers"):
        counts = _of(sides, name)
        kept = sum(n for side, n in counts.items() if side)
        for side, size in (("validation", validation), ("test", test)):
            share = size if size < 1 else size / domain
            assert abs(counts[side] - share * kept) <= 2  # rounding, and one cluster of two


def test_tokens_are_reckoned_by_source(corpus: _Made) -> None:
    ratios = {"notes": 2.0, "papers": 8.0}
    sides = corpus.split(Split(validation=300, test=0.2, sizes="tokens"), bytes_per_token=ratios)

    def tokens(*of: str | None) -> int:
        held = [n for n in sides if sides[n] in of and n.partition("/")[0] in ratios]
        return sum(max(1, round(len(corpus.doc(n).text) / ratios[n.partition("/")[0]])) for n in held)

    largest = 2 * 200  # a cluster of two notes of 400 bytes
    assert 300 <= tokens("validation") < 300 + largest
    every = tokens("train", "validation", "test")
    assert 0.2 * every - 1 <= tokens("test") < 0.2 * every + largest


def _earliest(corpus: _Made, sides: dict[str, str | None]) -> dict[str, int | None]:
    """When the cluster of each was first seen; None where a member has no date."""
    together = corpus.together()
    members = defaultdict(list)
    for name in sides:
        members[together.get(name, name)].append(moment(corpus.field(name, "date")))
    without = {key for key, found in members.items() if any(one is None for one in found)}
    return {
        name: None if (key := together.get(name, name)) in without else min(one or 0 for one in members[key])
        for name in sides
    }


def test_the_latest_text_is_held_out(tmp_path: Path) -> None:
    made = _Made(tmp_path)
    made.roles = dict.fromkeys(made.roles, "domain")
    sides = made.split(Split(validation=0.1, test=0.2, by=ByTime(time="date")))
    when = _earliest(made, sides)
    times: dict[str | None, list[int]] = defaultdict(list)
    for name, side in sides.items():
        if when[name] is None:
            assert side in ("train", None)
        elif side:
            times[side].append(when[name] or 0)
    assert max(times["train"]) <= min(times["validation"]) <= max(times["validation"]) <= min(times["test"])
    kept = sum(side is not None for side in sides.values())
    assert abs(sum(side == "test" for side in sides.values()) - 0.2 * kept) <= 2
    assert made.told["without_field"] == sum(made.field(n, "date") is None for n in sides if sides[n]) > 0
    copied = [
        n
        for n in made.together()
        if sides[n] == "train" and (moment(made.field(n, "date")) or 0) > max(times["validation"])
    ]
    assert copied  # new by its own date, and trained on, for an older copy was public before


def test_dates_part_the_sides(corpus: _Made) -> None:
    by = ByTime(time="date", validation_from="2010-06", test_from=2015)
    sides = corpus.split(Split(validation=0.1, test=0.2, by=by))
    when, together = _earliest(corpus, sides), corpus.together()
    with_control = {together[name] for name in together if name.startswith("law/") and sides[name]}
    seen = Counter[str | None]()
    for name, side in sides.items():
        if side and not name.startswith(("law/", "web/")) and together.get(name) not in with_control:
            if any(other.startswith("web/") for other in together if together[other] == together.get(name)):
                continue
            told, first = when[name], moment("2010-06") or 0
            expected = "train" if told is None or told < first else "validation"
            expected = "test" if told is not None and told >= (moment(2015) or 0) else expected
            assert side == expected
            seen[side] += 1
    assert min(seen.values()) > 10
    assert corpus.told["dealt_by_cluster"] == ["web"]  # without any date, and still there is some to forget
    assert {"train", "validation", "test"} <= _of(sides, "web").keys()


def test_sources_are_left_out_whole(corpus: _Made) -> None:
    sides = corpus.split(Split(validation=0.1, test=0.2, by=BySource(test_sources=["papers"])))
    assert _of(sides, "papers").keys() <= {"test", None}
    together = corpus.together()
    held_out = {together[n] for n in together if n.startswith(("papers/", "law/")) and sides[n]}
    expected = {name: "test" if together.get(name) in held_out else "train" for name in sides}
    of_web = {together[n] for n in together if n.startswith("web/")}
    for name, side in sides.items():
        if name.startswith("notes/") and side and together.get(name) not in of_web:
            assert side == expected[name]
    assert _of(sides, "notes")["test"] > 0 < _of(sides, "web")["test"]


def test_a_group_field_in_no_record_is_a_fault(corpus: _Made) -> None:
    with pytest.raises(Fault, match=r"no record has the field 'patient\.di'"):
        corpus.split(Split(by=ByGroup(group="patient.di")))


@pytest.mark.parametrize(
    ("given_split", "said"),
    [
        ({"validation": 0.5, "test": 0.5}, "leave nothing to train on"),
        ({"test": 1.5}, "whole number"),
        ({"by": {"time": "date", "test_from": "spring"}}, "is no date"),
        ({"by": {"time": "date", "validation_from": 2019}}, "validation_from without test_from"),
        ({"by": {"time": "date", "validation_from": 2019, "test_from": 2018}}, "should be before"),
        ({"by": {"test_sources": []}}, "name test_sources"),
        ({"by": {"grup": "x"}}, "group"),
        ({"by": "groups"}, "cluster"),
    ],
)
def test_what_makes_no_sense_is_said(given_split: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        Split.model_validate(given_split)
