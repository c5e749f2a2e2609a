"""Stored plans: the same rows as planned ones, made anew whenever they would not be, never a reason to fail."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from test_stream import joined, random_documents, same, stream_of, write_corpus

from curate.shards.fault import Fault
from pretrain import plans
from pretrain.packers.best_fit import BestFit
from pretrain.packers.concatenate import Concatenate
from pretrain.plans import ARRAYS, StoredPlan, plan_fingerprint
from pretrain.rows import Packer, Plan
from pretrain.stream import Corpus, Stream

L = 16


@pytest.fixture
def corpora(tmp_path: Path) -> list[Corpus]:
    return [
        Corpus("domain", write_corpus(tmp_path / "domain", random_documents(80, 1))),
        Corpus("web", write_corpus(tmp_path / "web", random_documents(30, 2)), share=0.2),
    ]


@pytest.fixture
def packed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The corpora that were packed, not mapped, one after the other."""
    names: list[str] = []
    make = plans.make

    def noting(packer: Packer, name: str, *rest: object) -> Plan:
        names.append(name)
        return make(packer, name, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(plans, "make", noting)
    return names


def all_rows(stream: Stream) -> dict[str, np.ndarray]:
    return joined([stream.batch(step) for step in range(stream.steps)])


def test_a_stored_plan_gives_the_rows_of_a_plan_in_memory(
    corpora: list[Corpus], tmp_path: Path, packed: list[str]
) -> None:
    in_memory = stream_of(corpora)
    packed.clear()
    first, again = (stream_of(corpora, plans=tmp_path / "plans") for _ in range(2))
    assert packed == ["domain", "web"], "the second time nothing is packed"
    for stream in (first, again):
        assert all(isinstance(one.plan, StoredPlan) for one in stream.corpora)
        assert same(all_rows(stream), all_rows(in_memory))
        assert stream.identity == in_memory.identity, "where a plan lies is no part of what is trained"
        assert stream.ledger() == in_memory.ledger()


def test_a_stored_plan_is_mapped_and_a_few_integers_per_document(corpora: list[Corpus], tmp_path: Path) -> None:
    stream = stream_of(corpora, plans=tmp_path / "plans")
    for one in stream.corpora:
        held = [getattr(one.plan, name) for name in ARRAYS]
        assert all(isinstance(array.base, np.memmap) for array in held)
        assert sum(array.nbytes for array in held) == 12 * len(one.plan.document) + 8 * (len(one.plan) + 1)


@dataclass(frozen=True, slots=True)
class Reversed:
    """A packer of somebody's own, with a setting."""

    reverse: bool = True

    def plan(self, lengths: np.ndarray, row_length: int) -> Plan:
        plan = Concatenate().plan(lengths[::-1] if self.reverse else lengths, row_length)
        document = len(lengths) - 1 - plan.document if self.reverse else plan.document
        return Plan(row_length, plan.row_first, document, plan.start, plan.length)


@pytest.mark.parametrize(
    "changed", ["shards", "row length", "packer", "settings of the packer", "code", "weights"], ids=lambda name: name
)
def test_a_plan_of_something_else_is_made_anew(
    changed: str, corpora: list[Corpus], tmp_path: Path, packed: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: dict[str, object] = {"plans": tmp_path / "plans", "packer": Reversed()}
    stream_of(corpora, **asked)
    packed.clear()
    stream_of(corpora, **asked)
    assert not packed, "unchanged, it is used again"
    if changed == "shards":
        write_corpus(tmp_path / "web", random_documents(30, 3))
    elif changed == "weights":
        from test_weights import write_weighed

        write_weighed(tmp_path / "web", random_documents(30, 2), np.full(30, 2, np.uint8))
    elif changed == "code":
        monkeypatch.setattr(plans, "code_version", lambda _: "other code")
    else:
        asked |= {
            "row length": {"sequence_length": 32},
            "packer": {"packer": BestFit()},
            "settings of the packer": {"packer": Reversed(reverse=False)},
        }[changed]
    stream = stream_of(corpora, **asked)
    assert packed == (["web"] if changed in ("shards", "weights") else ["domain", "web"])
    assert same(all_rows(stream), all_rows(stream_of(corpora, **(asked | {"plans": None}))))
    packed.clear()
    stream_of(corpora, **asked)
    assert not packed, "and stored in the other's place"


@pytest.mark.parametrize("name", [f"{name}.npy" for name in ARRAYS] + ["manifest.json"])
@pytest.mark.parametrize("damage", ["a bit", "cut", "gone"])
def test_a_damaged_plan_is_made_anew(
    name: str, damage: str, corpora: list[Corpus], tmp_path: Path, packed: list[str]
) -> None:
    whole = all_rows(stream_of(corpora[:1], plans=tmp_path / "plans"))
    packed.clear()
    path = tmp_path / "plans" / f"domain-{L}-BestFit" / name
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 16
    if damage == "gone":
        path.unlink()
    else:
        path.write_bytes(content if damage == "a bit" else content[: len(content) // 2])
    assert same(all_rows(stream_of(corpora[:1], plans=tmp_path / "plans")), whole)
    assert packed == ["domain"]
    stream_of(corpora[:1], plans=tmp_path / "plans")
    assert packed == ["domain"], "what was damaged is whole again"


def test_where_nothing_can_be_written_the_plan_stays_in_memory(corpora: list[Corpus], tmp_path: Path) -> None:
    (tmp_path / "plans").write_text("a file where the folder should be")
    stream = stream_of(corpora, plans=tmp_path / "plans")
    assert not any(isinstance(one.plan, StoredPlan) for one in stream.corpora)
    assert same(all_rows(stream), all_rows(stream_of(corpora)))


def test_a_packer_whose_code_nobody_can_tell_is_not_stored(corpora: list[Corpus], tmp_path: Path) -> None:
    typed_in: dict[str, type] = {}
    exec("class Typed:\n    def plan(self, lengths, row_length): return pack(lengths, row_length)",
         {"__name__": "a session", "pack": BestFit().plan}, typed_in)  # fmt: skip
    stream = stream_of(corpora, plans=tmp_path / "plans", packer=typed_in["Typed"]())
    assert plan_fingerprint(typed_in["Typed"](), stream.corpora[0].split, "", L) is None
    assert not (tmp_path / "plans").exists()
    assert stream.rows > 0


def test_a_stored_plan_travels_as_its_place(corpora: list[Corpus], tmp_path: Path) -> None:
    stream = stream_of(corpora, plans=tmp_path / "plans")
    letter = pickle.dumps(stream.corpora[0].plan)
    assert len(letter) < 1_500
    there = pickle.loads(pickle.dumps(stream))
    assert all(isinstance(one.plan, StoredPlan) for one in there.corpora)
    assert same(all_rows(there), all_rows(stream))
    manifest = tmp_path / "plans" / f"domain-{L}-BestFit" / "manifest.json"
    manifest.write_text(json.dumps({**json.loads(manifest.read_text()), "fingerprint": {}}))
    with pytest.raises(Fault, match="changed while it was in use"):
        pickle.loads(letter)


def test_nothing_is_left_beside_a_stored_plan(corpora: list[Corpus], tmp_path: Path) -> None:
    for length in (L, 2 * L, L):
        stream_of(corpora, plans=tmp_path / "plans", sequence_length=length)
    names = {path.name for path in (tmp_path / "plans").iterdir()}
    assert names == {f"{name}-{length}-BestFit" for name in ("domain", "web") for length in (L, 2 * L)}


def test_a_plan_without_rows_is_no_hindrance(corpora: list[Corpus], tmp_path: Path) -> None:
    empty = Corpus("web", write_corpus(tmp_path / "empty", []))
    for _ in range(2):
        stream = stream_of([corpora[0], empty], plans=tmp_path / "plans")
        assert len(stream.corpora[1].plan) == 0


def test_opening_a_stream_does_not_import_pandas(corpora: list[Corpus], tmp_path: Path) -> None:
    """pyarrow's to_numpy would: a third of a second of every start, and 40 MB."""
    program = (
        "import sys; from pathlib import Path; from pretrain.stream import Corpus, Stream\n"
        f"stream = Stream.open([Corpus('domain', Path({str(corpora[0].folder)!r}))], sequence_length={L}, "
        f"rows_per_step=2, seed=1, plans=Path({str(tmp_path / 'plans')!r}))\n"
        "assert stream.batch(0).n_targets > 0\n"
        "print('pandas' in sys.modules)"
    )
    root = Path(__file__).parents[2]
    ended = subprocess.run([sys.executable, "-c", program], cwd=root, capture_output=True, text=True, check=True)
    assert ended.stdout == "False\n"
