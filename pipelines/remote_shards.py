"""Shards of a run at a URL: putting them there, training on them from there, and naming their documents.

    postgrad export RUN s3://bucket/x --to shards      every corpus, as it is, with an index per split
    --set train.shards=s3://bucket/x                   trains on those; curated/, tokenizer/ and the manifests stay here

Held-out splits are read from the run folder, which may lack shards/<corpus>/train: then the ledger names documents.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from curate.shards.corpus import ShardSplit
from curate.shards.remote import RemoteSplit, put_corpus
from curate.shards.store import Patience, Store
from pipelines.folder import RunFolder
from pipelines.progress import say

if TYPE_CHECKING:
    from pretrain.read_ahead import Cache
    from pretrain.rows import Packed
    from pretrain.settings import Train
    from pretrain.stream import Corpus, Stream


def put_shards(corpora: Sequence[Path], out: str) -> str:
    """Every file of the corpora below a URL, each read back; where they lie."""
    for folder in corpora:
        n_bytes = put_corpus(folder, Store.at(f"{out.rstrip('/')}/{folder.name}", Patience(report=say)))
        say(f"exported     {folder.name}: {n_bytes:,} bytes, read back and equal")
    say(f"             --set train.shards={out}")
    return out


def where_they_lie(corpora: Sequence[Corpus], settings: Train) -> list[Corpus]:
    """The corpora of a stream, at the recipe's URL where it has one."""
    if settings.shards is None:
        return list(corpora)
    return [replace(corpus, url=f"{settings.shards.rstrip('/')}/{corpus.name}") for corpus in corpora]


def cache_of(run: RunFolder, settings: Train) -> Cache | None:
    """Where copies of remote files lie; None where all shards are the run's own."""
    if settings.shards is None:
        return None
    from pretrain.read_ahead import Cache

    return Cache(run.work / "shard_cache", round(settings.cache_gb * 1e9), Patience(report=say))


def let_go(stream: Stream) -> None:
    """End the read-ahead, where there is one, and tell whether the store kept up."""
    stream.close()
    if (ahead := stream.read_ahead) is not None:
        say(f"fetched      {ahead.fetched:,} shard files; the training waited for them {ahead.waited:,} times")


def ids_of(run: RunFolder, packed: Packed, documents: Sequence[int]) -> dict[int, str]:
    """The ids of documents of a corpus' training split, by their rows in it."""
    if isinstance(packed.split, ShardSplit):
        return {document: packed.split.ids[document].as_py() for document in documents}
    import pyarrow.dataset as ds

    split, found = packed.split, dict[int, str]()
    ledger = ds.dataset(sorted(map(str, (run.curated / "ledger").glob("*.parquet"))), format="parquet")
    files = split.files_of(np.asarray(documents, np.int64))
    for file in np.unique(files).tolist():
        first = int(split.file_first[file])
        rows = [document - first for document, its in zip(documents, files.tolist(), strict=True) if its == file]
        here = (ds.field("shard") == f"{packed.name}/{split.files[file].name}") & ds.field("row").isin(rows)
        table = ledger.to_table(columns=["id", "row"], filter=here)
        found |= {first + row: id for id, row in zip(*table.to_pydict().values(), strict=True)}
    return found


def document_at(split: ShardSplit | RemoteSplit, id: str, file_name: str, row: int) -> int:
    """The row in a whole split of the document that stands in `row` of one of its files."""
    if isinstance(split, RemoteSplit):
        names = [Path(file.name).name for file in split.files]
        return int(split.file_first[names.index(file_name)]) + row
    import pyarrow as pa
    import pyarrow.compute as pc

    return int(pc.index(split.ids, pa.scalar(id, split.ids.type)).as_py())
