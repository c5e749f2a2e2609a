"""Two kinds of toy text, and a first pass's files over them: what the laws of the classifiers are tried on."""

from __future__ import annotations

import gzip
import json
import random
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from curate.classify.texts import Texts
from curate.dedup.exact import exact_keys
from curate.passes.sift import unit_file
from curate.passes.sifted import Sifted
from curate.settings import Role, Source
from curate.text import TextBatch

SHARED = "the of and to in that was with for on as by had from this were which".split()
MEDICINE = "fever dose patient trial renal cardiac lesion therapy serum tumour biopsy placebo".split()
SEA = "sail harbour captain wave anchor mast voyage island storm rope deck tide".split()


def text(kind: Sequence[str], seed: object, words: int = 60, share: float = 0.3) -> str:
    """Words that all text shares, and `share` of its kind's own."""
    rng = random.Random(str(seed))
    return " ".join(rng.choice(kind) if rng.random() < share else rng.choice(SHARED) for _ in range(words))


def texts(name: str, kind: Sequence[str], n: int, **how: float) -> Texts:
    ids = [f"{name}/{i}" for i in range(n)]
    return Texts.of(ids, [text(kind, one, **how) for one in ids])  # type: ignore[arg-type]


def sifted(folder: Path, units: Sequence[tuple[str, Role, Sequence[str | None]]]) -> tuple[Sifted, list[Source]]:
    """The columns of a first pass that classifiers read. A text that is None was quarantined."""
    folder.mkdir(parents=True, exist_ok=True)
    sources = []
    for rank, (name, role, found) in enumerate(units):
        sources.append(Source(name=name, path="anywhere", role=role))
        keys = exact_keys(TextBatch.of([one or "" for one in found]))
        columns = {
            "id": pa.array([f"{name}/{rank}-{i}" for i in range(len(found))], pa.large_string()),
            "reason": pa.array([None if one is not None else "broken_json" for one in found], pa.string()),
            "n_bytes": pa.array([len((one or "").encode()) for one in found], pa.int64()),
            "key_high": pa.array(keys[:, 0]),
            "key_low": pa.array(keys[:, 1]),
            "text": pa.array(found, pa.large_string()),
        }
        pq.write_table(pa.table(columns), unit_file(folder, rank), row_group_size=16)
    return Sifted.open(folder, len(units)), sources


def in_memory(named: Sequence[tuple[str, str]]) -> Texts:
    return Texts.of([name for name, _ in named], [one for _, one in named])


def abstracts(shared_data: Path) -> list[tuple[str, str]]:
    """(id, title and abstract) of medical papers, each once, in an order without topics."""
    rows = pq.read_table(shared_data / "medical/sr_abstracts/cohen2006_sr_abstracts.parquet").to_pylist()
    found = {row["pubmedID"]: f"{row['title']}\n\n{row['abstract']}" for row in rows if row["abstract"]}
    return sorted(found.items(), key=lambda pair: pair[0][::-1])


def web_and_novels(shared_data: Path) -> list[tuple[str, str]]:
    """(id, text) of C4's pages, and of pages of ten novels."""
    lines = (shared_data / "general/c4_demo.jsonl").read_text("utf-8").splitlines()
    found = [(f"c4/{i}", str(json.loads(line)["text"])) for i, line in enumerate(lines)]
    for path in sorted((shared_data / "general/novels").glob("*.txt.gz"))[:10]:
        book = gzip.decompress(path.read_bytes()).decode("utf-8", "replace")
        found += [(f"{path.name}/{at}", book[at : at + 3000]) for at in range(20_000, 80_000, 3000)]
    return found
