"""A run whose tokenizer extends another: how it is made, what the model's new embeddings begin as, and held-out text as
the base reads it.

    runs/<name>/tokenizer/             the extended one
                         extension.json    of each new id, the ids it stands for
                         base/             the one that was extended

The base model knows no new id, so it is scored on tokens of its own tokenizer: bits per byte are of the same bytes.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from curate.extend_tokenizer import EXTENSION, extend_tokenizer
from curate.passes.parts import sides_of
from curate.passes.sifted import Sifted
from curate.settings import ExtendTokenizer
from curate.shards.fault import Fault
from curate.shards.seal import write_json
from curate.split import TRAIN
from curate.tokenizing import Tokenizer
from curate.xxh64 import xxh64
from pipelines.folder import RunFolder
from pipelines.progress import say

Records = npt.NDArray[np.int64]

BASE = "base"
CONFIG = "tokenizer_config.json"
GENERAL = ("PreTrainedTokenizerFast", "TokenizersBackend")


def extend(
    folder: Path, settings: ExtendTokenizer, sifted: Sifted, decided: Path, domain: Sequence[str], seed: int
) -> None:
    """Extend the tokenizer that was copied into `folder`. `domain`: the names of the sources it learns from."""
    say(f"tokenizer    appending up to {settings.by:,} tokens by continued BPE")
    shutil.copytree(folder, folder / BASE)
    chosen = sample(sifted, sifted.beside(decided), domain, settings.sample_mb * 1e6, seed)
    made = extend_tokenizer((texts for _, texts in sifted.batches(chosen)), folder, settings.by)
    if not made.merges:
        raise Fault(
            f"no two tokens stand beside each other twice in {len(chosen):,} training documents: nothing to append",
            where="shards.tokenizer.extend",
            hint="leave shards.tokenizer out: the base model's own is used",
        )
    if len(made.merges) < settings.by:
        say(f"warning: {len(made.merges):,} tokens were appended, not {settings.by:,}: no other pair stands twice")
    _take_the_file_as_it_stands(folder)


def sample(sifted: Sifted, decided: Sifted, domain: Sequence[str], sample_bytes: float, seed: int) -> Records:
    """Record numbers, ascending, of training documents of these sources: about so many bytes, chosen by their ids."""
    total = sum(int(n_bytes.sum()) for _, n_bytes, _ in _training(sifted, decided, domain))
    share = min(1.0, sample_bytes / max(1, total))
    chosen = [np.zeros(0, np.int64)]
    for records, _, ids in _training(sifted, decided, domain):
        chosen.append(records[(xxh64(ids, f"{seed} extends ") >> np.uint64(11)) < share * 2**53])
    return np.concatenate(chosen)


def _training(
    sifted: Sifted, decided: Sifted, domain: Sequence[str]
) -> Iterator[tuple[Records, npt.NDArray[np.int64], pa.ChunkedArray]]:
    """(record numbers, bytes, ids) of training documents, by row group."""
    sizes, told = sifted.every(["n_bytes"]), decided.every(["split", "source", "id"])
    for (records, size), (_, rows) in zip(sizes, told, strict=True):
        is_domain = pc.is_in(rows["source"], pa.array(domain, rows["source"].type)).to_numpy()
        at = np.flatnonzero((sides_of(rows["split"]) == TRAIN) & is_domain)
        yield records.start + at, size["n_bytes"].to_numpy()[at], rows["id"].take(pa.array(at))


def _take_the_file_as_it_stands(folder: Path) -> None:
    """Some of transformers' classes build the pipeline anew; the general one reads tokenizer.json, where all is."""
    held = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    if held.get("tokenizer_class") not in GENERAL:
        write_json(folder / CONFIG, held | {"tokenizer_class": GENERAL[0]})


def pieces_of(tokenizer: Path) -> dict[int, list[int]] | None:
    """Of each new id, the ids whose mean its embeddings begin as; None: the tokenizer extends no other."""
    path = tokenizer / EXTENSION
    if not path.is_file():
        return None
    held = json.loads(path.read_text(encoding="utf-8"))["pieces"]
    return {int(token): list(ids) for token, ids in held.items()}


@dataclass(frozen=True, slots=True)
class Encoded:
    """Documents as a tokenizer gives them, with the face that scoring reads of a shard split. n documents."""

    ids: npt.NDArray[np.uint32]
    offsets: npt.NDArray[np.int64]  # (n + 1,)
    n_bytes: npt.NDArray[np.int64]  # (n,)

    @property
    def lengths(self) -> npt.NDArray[np.int64]:
        return np.diff(self.offsets)

    def tokens(self, document: int, start: int, stop: int) -> npt.NDArray[np.uint32]:
        first, last = self.offsets[document : document + 2].tolist()
        return self.ids[first:last][start:stop]


def as_the_base_reads(
    run: RunFolder, corpus: str, split: str, ids: Sequence[str], *, control_tokens: bool
) -> Encoded | None:
    """Held-out documents in the order of `ids`; None where the base has the run's own tokenizer. `control_tokens`: as
    the recipe's shards have it."""
    if pieces_of(run.tokenizer) is None:
        return None
    files = [str(path) for path in sorted((run.curated / "documents" / split).glob(f"{corpus}-[0-9]*.parquet"))]
    rows = ds.dataset(files, format="parquet").to_table(columns=["id", "text"], filter=ds.field("id").isin(list(ids)))
    order = pc.index_in(pa.array(ids, rows["id"].type), rows["id"].combine_chunks())
    texts = rows["text"].take(order).combine_chunks().cast(pa.large_string())
    encoded, offsets = Tokenizer.load(run.tokenizer / BASE, control_tokens=control_tokens).encode(texts)
    return Encoded(encoded, offsets, pc.binary_length(texts).to_numpy().astype(np.int64))
