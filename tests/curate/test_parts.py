"""Laws of the shard pass: how a corpus is cut changes no byte of a shard, and every document has its place."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sifted_units import Doc, sources, write_units

from curate.engine import Tally
from curate.ledger import read_ledger
from curate.passes import parts
from curate.passes.decide import Corpus
from curate.passes.enter import Enter
from curate.passes.parts import ShardPlan, plan_corpora
from curate.passes.shard import Shard, join_shards
from curate.passes.sifted import Sifted
from curate.settings import Duplicates, Split
from curate.shards.format import TokenBatch, write_shard_file
from curate.shards.join import join_streams
from curate.train_tokenizer import train_tokenizer

CORPORA = {"domain": ["notes", "papers"], "web": ["web"]}


def _text(seed: int) -> str:
    draw = np.random.default_rng(seed)
    return " ".join(f"w{i}" for i in draw.integers(0, 900, int(draw.integers(3, 90))))


@pytest.fixture(scope="module")
def decided(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Sifted]:
    """Units of two corpora, those of one corpus apart from each other; some documents leave."""
    folder = tmp_path_factory.mktemp("decided")
    units, number = [], 0
    for source, n in (("notes", 60), ("notes", 0), ("papers", 45), ("web", 50), ("web", 30)):
        docs = [Doc(f"d{number + i}", _text(number + i), is_removed=(number + i) % 9 == 4) for i in range(n)]
        units.append((source, docs))
        number += n
    sifted, judged = write_units(folder, units)
    corpus = Corpus.load(sifted, judged, sources(*(name for name, _ in units)))
    corpus.drop_duplicates(Duplicates())
    corpus.assign_splits(Split(validation=0.2, test=0.1), 1)
    (folder / "decided").mkdir()
    corpus.write(folder / "decided")
    train_tokenizer([_text(i) for i in range(20)], 300, folder / "tokenizer")
    return folder, sifted


def _shards(at: Path, folder: Path, sifted: Sifted, shard_bytes: float) -> ShardPlan:
    plan = plan_corpora(sifted, folder / "decided", CORPORA, shard_bytes)
    step = Shard(at, plan, sifted, folder / "decided", folder / "tokenizer")
    for rank in reversed(range(step.tasks)):
        step.unit(rank, Tally(at / "tally"))
    join_shards(at, plan)
    join_shards(at, plan)  # as after a crash
    assert not list(at.glob("parts/*.arrow"))
    return plan


def _shas(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_the_size_of_parts_changes_no_byte_of_a_shard(
    decided: tuple[Path, Sifted], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, sifted = decided
    n_parts = []
    for name, part_bytes in (("one", 1 << 30), ("many", 700)):
        (tmp_path / name).mkdir()
        monkeypatch.setattr(parts, "PART_BYTES", part_bytes)
        n_parts.append(len(_shards(tmp_path / name, folder, sifted, 2000).parts))
    whole, cut = _shas(tmp_path / "one" / "shards"), _shas(tmp_path / "many" / "shards")
    assert whole == cut
    assert n_parts[0] == len(whole) > 6 < n_parts[1] // 2
    texts = [
        sorted(
            row["id"]
            for path in (tmp_path / name / "curated").rglob("*.parquet")
            for row in pq.read_table(path).to_pylist()
        )
        for name in ("one", "many")
    ]
    assert texts[0] == texts[1]


def test_every_kept_document_stands_where_the_ledger_says(
    decided: tuple[Path, Sifted], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, sifted = decided
    monkeypatch.setattr(parts, "PART_BYTES", 700)
    plan = _shards(tmp_path, folder, sifted, 2000)
    step = Enter(tmp_path, sifted, None, folder / "decided", plan, [], "all")
    for rank in range(step.tasks):
        step.unit(rank, Tally(tmp_path / "tally"))
    ledger = read_ledger(tmp_path / "curated" / "ledger").to_pylist()
    assert [row["position"] for row in ledger] == [0] * len(sifted)
    shards = {}
    for path in (tmp_path / "shards").rglob("*.arrow"):
        with pa.memory_map(str(path)) as file:
            shards[path.relative_to(tmp_path / "shards").as_posix()] = pa.ipc.open_stream(file).read_all().to_pylist()
    kept = [row for row in ledger if row["fate"] == "kept"]
    for row in kept:
        there = shards[row["shard"]][row["row"]]
        assert (there["id"], len(there["input_ids"]), there["n_bytes"]) == (row["id"], row["tokens"], row["n_bytes"])
        assert row["shard"].startswith(f"{'web' if row['source'] == 'web' else 'domain'}/{row['split']}/")
    assert len(kept) == sum(map(len, shards.values())) > 100
    assert all(row["shard"] is row["row"] is row["tokens"] is None for row in ledger if row["fate"] != "kept")
    removed = pq.read_table(sorted((tmp_path / "curated" / "removed").glob("*.parquet"))[0]).to_pylist()
    assert [row["id"] for row in removed] == [f"notes/d{i}" for i in range(60) if i % 9 == 4]
    assert removed[0]["text"] == _text(4)


def test_joined_streams_are_what_one_writer_writes(tmp_path: Path) -> None:
    def batch(first: int, n: int) -> TokenBatch:
        tokens = np.arange(first, first + 2 * n).astype(np.uint32)
        ids = [str(i) for i in range(first, first + n)]
        return TokenBatch(tokens, np.arange(n + 1) * 2, ids, ["s"] * n, np.ones(n, np.int64))

    pieces = [[batch(0, 3), batch(3, 1)], [], [batch(4, 5)]]
    for number, batches in enumerate(pieces):
        write_shard_file(tmp_path / f"{number}.arrow", batches, pa.uint16())
    write_shard_file(tmp_path / "whole.arrow", [one for piece in pieces for one in piece], pa.uint16())
    join_streams([tmp_path / f"{number}.arrow" for number in range(3)], tmp_path / "joined" / "x.arrow")
    assert (tmp_path / "joined" / "x.arrow").read_bytes() == (tmp_path / "whole.arrow").read_bytes()
