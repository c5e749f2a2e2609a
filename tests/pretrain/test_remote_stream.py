"""A stream of shards at a URL: the batches of local ones, from a cache that never overflows, fetched before they are
wanted."""

from __future__ import annotations

import json
import pickle
import threading
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from object_store import Watched, empty_store
from test_stream import L, joined, random_documents, same, write_corpus

from curate.shards.fault import Fault
from curate.shards.remote import put_corpus
from curate.shards.store import Patience, Store
from pretrain.packers.best_fit import BestFit
from pretrain.provenance import of_document
from pretrain.read_ahead import Cache
from pretrain.rows import PADDING
from pretrain.shuffle_windows import order_in_windows, packed_in_windows, room_of_each, windows_of
from pretrain.stream import Corpus, Stream

FILES = 8


def never(seconds: float) -> None:
    raise AssertionError("nothing to wait for")


IMPATIENT = Patience(pause=never)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("shards")
    return {
        "domain": write_corpus(folder / "domain", random_documents(400, 1), files=FILES),
        "web": write_corpus(folder / "web", random_documents(40, 2), files=2),
    }


@pytest.fixture
def store(folders: dict[str, Path]) -> Iterator[type[Watched]]:
    watched = empty_store()
    for name, folder in folders.items():
        put_corpus(folder.parent, Store.at(f"watched://bucket/{name}"))
    watched.opened.clear()
    yield watched
    watched.gate.set()


def corpora_of(folders: dict[str, Path], at: str | None) -> list[Corpus]:
    shares = {"domain": 0.0, "web": 0.2}
    return [Corpus(name, folders[name], share, at and f"{at}/{name}") for name, share in shares.items()]


def local(folders: dict[str, Path], **changed: Any) -> Stream:
    settings = {"sequence_length": L, "rows_per_step": 8, "seed": 1, "epochs": 2.5, **changed}
    return Stream.open(corpora_of(folders, None), **settings)


def remote(folders: dict[str, Path], place: Path, n_bytes: int = 10**9, **changed: Any) -> Stream:
    cache = Cache(place, n_bytes, changed.pop("patience", IMPATIENT))
    settings = {"sequence_length": L, "rows_per_step": 8, "seed": 1, "epochs": 2.5, **changed}
    return Stream.open(corpora_of(folders, "watched://bucket"), cache=cache, **settings)


def sizes(folder: Path) -> list[int]:
    return [path.stat().st_size for path in sorted(folder.glob("*.arrow"))]


def a_small_cache(folders: dict[str, Path]) -> int:
    """Room for the replay and four of the domain's eight files: windows of two."""
    return sum(sizes(folders["web"])) + 4 * max(sizes(folders["domain"])) + 3


def batches(stream: Stream, first: int = 0) -> list[Any]:
    return [stream.batch(step) for step in range(first, stream.steps)]


# ---- the same stream


def test_batches_are_those_of_local_shards_to_the_bit(
    folders: dict[str, Path], store: type[Watched], tmp_path: Path
) -> None:
    here, there = local(folders), remote(folders, tmp_path)
    assert there.identity == here.identity
    assert same(joined(batches(there)), joined(batches(here)))
    assert there.ledger() == here.ledger()
    fetched = [name for name in store.opened if name.endswith(".arrow")]
    assert len(fetched) == FILES + 2
    assert all(store.opened[name] == 1 for name in fetched)  # once, over all epochs
    there.close()


def test_opening_reads_no_token(folders: dict[str, Path], store: type[Watched], tmp_path: Path) -> None:
    stream = remote(folders, tmp_path)
    assert stream.rows > 100
    assert not [name for name in store.opened if name.endswith(".arrow")]
    assert not tmp_path.joinpath("any").exists()


def test_a_local_state_goes_on_from_a_url_and_back(
    folders: dict[str, Path], store: type[Watched], tmp_path: Path
) -> None:
    here, there = local(folders), remote(folders, tmp_path)
    for step in range(0, here.steps, 7):
        assert there.check(json.loads(json.dumps(here.state(step)))) == here.check(there.state(step)) == step * 8
    assert same(joined(batches(there, 9)), joined(batches(here, 9)))
    there.close()


def test_rows_are_the_same_in_any_order_of_asking(
    folders: dict[str, Path], store: type[Watched], tmp_path: Path
) -> None:
    whole = batches(remote(folders, tmp_path / "a", a_small_cache(folders)))
    stream = remote(folders, tmp_path / "b", a_small_cache(folders))
    for step in np.random.default_rng(3).permutation(stream.steps).tolist():
        assert same(joined([stream.batch(step)]), joined([whole[step]]))
    stream.close()


def test_a_stream_travels_to_another_process(folders: dict[str, Path], store: type[Watched], tmp_path: Path) -> None:
    stream = remote(folders, tmp_path, a_small_cache(folders))
    before = joined(batches(stream))
    again = pickle.loads(pickle.dumps(stream))
    stream.close()
    assert same(joined(batches(again)), before)
    again.close()


def test_several_threads_may_ask_at_once(folders: dict[str, Path], store: type[Watched], tmp_path: Path) -> None:
    here = batches(remote(folders, tmp_path / "a", a_small_cache(folders)))
    stream = remote(folders, tmp_path / "b", a_small_cache(folders))
    found: dict[int, Any] = {}

    def take(first: int) -> None:
        for step in range(first, stream.steps, 3):
            found[step] = stream.batch(step)

    threads = [threading.Thread(target=take, args=(first,)) for first in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert same(joined([found[step] for step in range(stream.steps)]), joined(here))
    stream.close()


def test_two_ranks_may_share_a_cache(folders: dict[str, Path], store: type[Watched], tmp_path: Path) -> None:
    bound = a_small_cache(folders)
    whole = batches(remote(folders, tmp_path / "alone", bound))
    ranks = [remote(folders, tmp_path / "shared", bound) for _ in range(2)]
    for step in range(len(whole)):
        parts = [stream.batch(step, 4 * rank, 4) for rank, stream in enumerate(ranks)]
        assert same(joined(parts), joined([whole[step]]))
    assert sum(one.read_ahead.fetched for one in ranks if one.read_ahead) < 2 * (2 + 3 * FILES)
    for stream in ranks:
        stream.close()


# ---- a cache smaller than the corpus


def test_the_cache_never_holds_more_than_its_bound(
    folders: dict[str, Path], store: type[Watched], tmp_path: Path
) -> None:
    bound = a_small_cache(folders)
    held = []

    def look(name: str) -> None:  # room is made before a file is asked for, by the thread that asks
        if name.endswith(".arrow"):
            held.append(sum(sizes(tmp_path)) + len(store.store[name].getvalue()))

    store.before_opening = staticmethod(look)
    stream = remote(folders, tmp_path, bound)
    assert stream.read_ahead is not None
    for step in range(stream.steps):
        stream.batch(step)
        stream.read_ahead.settle()
        assert sum(sizes(tmp_path)) <= bound
    assert max(held) <= bound < sum(sizes(folders["domain"]))
    assert stream.read_ahead.fetched > FILES + 2  # files were taken away and came again
    assert stream.read_ahead.fetched <= 2 + 3 * FILES  # but each once an epoch at most
    stream.close()


def test_every_token_of_an_epoch_comes_once_in_windows_too(
    folders: dict[str, Path], store: type[Watched], tmp_path: Path
) -> None:
    stream = remote(folders, tmp_path, a_small_cache(folders), epochs=2)
    assert stream.corpora[0].windows is not None
    assert len(stream.corpora[0].windows) > 3
    split = local(folders).corpora[0].split
    both = [pieces_of(stream, epoch) for epoch in range(2)]
    assert both[0] != both[1]
    for pieces in both:
        assert sum(length for _, _, length in pieces) == split.n_tokens
        assert sorted(pieces) == sorted(both[0])
    totals = stream.ledger()["corpora"]["domain"]
    assert [one["trained"] for one in totals["epochs"]] == [split.n_tokens] * 2
    stream.close()


def pieces_of(stream: Stream, epoch: int) -> list[tuple[int, int, int]]:
    plan = stream.corpora[0].plan
    found = []
    for row in stream.order(stream.corpora[0], epoch).tolist():
        for at in range(plan.row_first[row], plan.row_first[row + 1]):
            found.append((int(plan.document[at]), int(plan.start[at]), int(plan.length[at])))
    return found


def test_windows_are_gone_through_one_after_the_other_in_an_order_of_each_epoch(
    folders: dict[str, Path], store: type[Watched], tmp_path: Path
) -> None:
    stream = remote(folders, tmp_path, a_small_cache(folders), epochs=3)
    packed = stream.corpora[0]
    assert packed.windows is not None
    window_of = np.searchsorted(packed.windows, np.arange(len(packed.plan)), side="right") - 1
    orders = [window_of[stream.order(packed, epoch)] for epoch in range(3)]
    turns = [order[np.flatnonzero(np.diff(order, prepend=-1))].tolist() for order in orders]
    assert all(sorted(one) == list(range(len(packed.windows) - 1)) for one in turns)  # none is left and come back to
    assert len({tuple(one) for one in turns}) > 1
    rows = [stream.order(packed, epoch)[orders[epoch] == 0].tolist() for epoch in range(3)]
    assert len({tuple(one) for one in rows}) == 3  # rows of a window are shuffled anew too
    assert all(sorted(one) == list(range(packed.windows[0], packed.windows[1])) for one in rows)


def test_a_document_is_found_where_it_was_trained_in_windows_too(
    folders: dict[str, Path], store: type[Watched], tmp_path: Path
) -> None:
    stream = remote(folders, tmp_path, a_small_cache(folders))
    for document in (0, 3, 399):
        found = of_document(stream, "domain", document)
        assert found
        for piece in found:
            batch = stream.batch(piece.step, piece.row, 1)
            at = np.flatnonzero((batch.segment_document == document) & (batch.segment_corpus == 0))
            assert piece.start in batch.segment_start[at]
    stream.close()


def test_another_cache_that_makes_another_order_is_refused_by_name(
    folders: dict[str, Path], store: type[Watched], tmp_path: Path
) -> None:
    small, whole = remote(folders, tmp_path, a_small_cache(folders)), local(folders)
    with pytest.raises(Fault, match=r"corpora\.domain\.windows"):
        whole.check(small.state(3))
    assert small.check(remote(folders, tmp_path, a_small_cache(folders)).state(3)) == 24


def test_resume_gives_the_same_tail_and_uses_what_is_in_the_cache(
    folders: dict[str, Path], store: type[Watched], tmp_path: Path
) -> None:
    bound = a_small_cache(folders)
    first = remote(folders, tmp_path, bound)
    whole = batches(first)
    first.close()
    for step in range(1, first.steps, 11):
        again = remote(folders, tmp_path, bound)
        tail = batches(again, again.check(first.state(step)) // 8)
        assert same(joined(tail), joined(whole[step:]))
        assert sum(sizes(tmp_path)) <= bound
        again.close()
    before = remote(folders, tmp_path / "whole")
    before.batch(0)
    assert before.read_ahead is not None
    before.read_ahead.settle()
    before.close()
    store.opened.clear()
    (tmp_path / "whole" / ("0" * 64 + ".arrow")).write_bytes(b"of other shards")
    again = remote(folders, tmp_path / "whole")
    batches(again)
    assert not [name for name in store.opened if name.endswith(".arrow")]
    assert len(sizes(tmp_path / "whole")) == FILES + 2  # what nobody knows is cleared away
    again.close()


def test_a_cache_that_cannot_hold_two_files_of_a_corpus_says_so(
    folders: dict[str, Path], store: type[Watched], tmp_path: Path
) -> None:
    with pytest.raises(Fault, match="files have up to"):
        remote(folders, tmp_path, max(sizes(folders["domain"])))


def test_rows_that_need_more_than_the_cache_holds_say_so(
    folders: dict[str, Path], store: type[Watched], tmp_path: Path
) -> None:
    stream = remote(folders, tmp_path, a_small_cache(folders), rows_per_step=2000)
    with pytest.raises(Fault, match="more than the cache holds"):
        stream.batch(0)
    assert len(stream.batch(0, 0, 4).input_ids) == 4 * L
    stream.close()


# ---- read-ahead


def test_the_trainer_waits_for_its_first_files_only(
    folders: dict[str, Path], store: type[Watched], tmp_path: Path
) -> None:
    stream = remote(folders, tmp_path, a_small_cache(folders))
    ahead = stream.read_ahead
    assert ahead is not None
    stream.batch(0)
    assert ahead.waited == 1
    for step in range(1, stream.steps):
        ahead.settle()  # the store may be slow, but the trainer is slower
        stream.batch(step)
    assert ahead.waited == 1
    assert ahead.fetched > FILES + 2
    stream.close()


def test_files_come_in_the_order_in_which_they_are_wanted(
    folders: dict[str, Path], store: type[Watched], tmp_path: Path
) -> None:
    stream = remote(folders, tmp_path, a_small_cache(folders), epochs=1)
    wanted: list[str] = []
    for step in range(stream.steps):
        for row in range(stream.rows_in(step)):
            batch = stream.batch(step, row, 1)
            for corpus, document in zip(batch.segment_corpus.tolist(), batch.segment_document.tolist(), strict=True):
                if corpus != PADDING:
                    split = stream.corpora[corpus].split
                    name = split.files[int(split.files_of(np.array([document]))[0])].name
                    wanted.append(f"watched://bucket/{stream.corpora[corpus].name}/{name}")
    stream.close()
    store.opened.clear()
    again = remote(folders, tmp_path / "again", a_small_cache(folders), epochs=1)
    assert again.read_ahead is not None
    for step in range(again.steps):
        again.batch(step)
        again.read_ahead.settle()
    came = [name for name in store.opened if name.endswith(".arrow")]
    first_wanted = list(dict.fromkeys(wanted))
    assert len(came) == FILES + 2
    place = {name: at for at, name in enumerate(first_wanted)}
    # the first batch asks for all of its files at once; after that the walk's order is exact
    assert [place[name] for name in came[4:]] == sorted(place[name] for name in came[4:])
    again.close()


def test_the_trainer_waits_while_the_store_does(folders: dict[str, Path], store: type[Watched], tmp_path: Path) -> None:
    stream = remote(folders, tmp_path)
    store.gate.clear()
    done = threading.Event()
    trainer = threading.Thread(target=lambda: (stream.batch(0), done.set()))
    trainer.start()
    assert not done.is_set()
    store.gate.set()
    trainer.join()
    assert done.is_set()
    stream.close()


def test_files_of_later_rows_come_while_the_trainer_works(
    folders: dict[str, Path], store: type[Watched], tmp_path: Path
) -> None:
    stream = remote(folders, tmp_path)
    assert stream.read_ahead is not None
    stream.batch(0, 0, 1)
    stream.read_ahead.settle()
    assert len(sizes(tmp_path)) == FILES + 2  # though one row touches a few files only
    store.gate.clear()  # nothing more can come
    batches(stream)
    assert stream.read_ahead.waited == 1
    stream.close()


# ---- what goes wrong


def test_a_file_that_was_written_over_stops_the_training_with_its_name(
    folders: dict[str, Path], store: type[Watched], tmp_path: Path
) -> None:
    stream = remote(folders, tmp_path)
    place = Store.at("watched://bucket/domain")
    name = "train/data-00003-of-00008.arrow"
    content = place.read(name)
    place.files.pipe_file(f"{place.root}/{name}", content[:-20] + bytes(20))
    with pytest.raises(Fault, match="not the one its manifest speaks of") as found:
        batches(stream)
    assert found.value.where == f"watched://bucket/domain/{name}"
    with pytest.raises(Fault):  # and again, never a batch without it
        batches(stream)
    stream.close()


def test_shards_of_another_run_at_the_url_are_refused(
    folders: dict[str, Path], store: type[Watched], tmp_path: Path
) -> None:
    other = write_corpus(tmp_path / "domain", random_documents(400, 9), files=FILES)
    put_corpus(other.parent, Store.at("watched://other/domain"))
    with pytest.raises(Fault, match="not those of"):
        Stream.open(
            [Corpus("domain", folders["domain"], url="watched://other/domain")],
            sequence_length=L,
            rows_per_step=8,
            seed=1,
            cache=Cache(tmp_path / "cache", 10**9),
        )


def test_hiccups_of_the_network_change_nothing(folders: dict[str, Path], store: type[Watched], tmp_path: Path) -> None:
    broken: set[str] = set()
    told: list[str] = []

    def break_once(name: str) -> None:
        if name.endswith(".arrow") and name not in broken:
            broken.add(name)
            raise ConnectionResetError("by peer")

    store.before_opening = staticmethod(break_once)
    patience = Patience(pauses=(0.1,), pause=lambda _: None, report=told.append)
    stream = remote(folders, tmp_path, patience=patience)
    assert same(joined(batches(stream)), joined(batches(local(folders))))
    assert len(told) == len(broken) == FILES + 2
    stream.close()


def test_a_store_that_stays_away_is_a_fault(folders: dict[str, Path], store: type[Watched], tmp_path: Path) -> None:
    def away(name: str) -> None:
        if name.endswith(".arrow"):
            raise ConnectionError("no route to host")

    store.before_opening = staticmethod(away)
    patience = Patience(pauses=(1, 2), pause=lambda _: None, report=lambda _: None)
    stream = remote(folders, tmp_path, patience=patience)
    with pytest.raises(Fault, match="no route to host"):
        stream.batch(0)
    stream.close()


# ---- windows, as arithmetic


@given(st.lists(st.integers(1, 50), min_size=1, max_size=40), st.integers(0, 9), st.integers(100, 2000))
def test_windows_hold_every_file_once_and_two_of_them_fit(file_bytes: list[int], seed: int, room: int) -> None:
    windows = windows_of("a", file_bytes, room, seed)
    assert sorted(file for window in windows for file in window) == list(range(len(file_bytes)))
    largest = sorted(sum(file_bytes[file] for file in window) for window in windows)
    assert sum(largest[-2:]) <= room
    assert (len(windows) == 1) == (sum(file_bytes) <= room)
    assert windows == windows_of("a", file_bytes, room, seed)


@given(st.lists(st.tuples(st.integers(1, 40), st.integers(1, 4)), min_size=4, max_size=30), st.integers(0, 9))
def test_a_window_holds_each_document_of_its_files_as_often_as_it_weighs(
    documents: list[tuple[int, int]], seed: int
) -> None:
    lengths, weights = (np.array(one) for one in zip(*documents, strict=True))
    file_first = np.array([0, 1, 3, len(lengths)])
    split: Any = SimpleNamespace(file_first=file_first, lengths=lengths.astype(np.int32), weights=weights)
    windows = windows_of("a", [1, 1, 1], 2, seed)
    assert len(windows) == 3
    packed = packed_in_windows(BestFit(), "a", split, windows, L)
    assert packed.windows is not None
    found = np.zeros(len(lengths), np.int64)
    for window, (first, last) in zip(windows, pairwise(packed.windows), strict=True):
        mine = slice(packed.plan.row_first[first], packed.plan.row_first[last])
        files = np.searchsorted(file_first, packed.plan.document[mine], side="right") - 1
        assert set(files.tolist()) == set(window)
        np.add.at(found, packed.plan.document[mine], packed.plan.length[mine])
    assert found.tolist() == (lengths * weights).tolist()
    order = order_in_windows(seed, "a", 0, packed.windows)
    assert sorted(order.tolist()) == list(range(len(packed.plan)))


@given(st.lists(st.integers(0, 100), min_size=1, max_size=6), st.integers(0, 400))
def test_the_room_is_shared_out_and_small_corpora_get_all_they_need(needed: list[int], room: int) -> None:
    rooms = room_of_each(needed, room)
    assert sum(rooms) <= room
    assert all(got <= wanted for got, wanted in zip(rooms, needed, strict=True))
    if sum(needed) <= room:
        assert rooms == needed
    for got, wanted in zip(rooms, needed, strict=True):
        assert got == wanted or got >= room // len(needed)
