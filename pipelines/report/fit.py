"""What the tokens panel says of the tokenizer: texts of the training split, some of every source, held against it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from curate.fertility import SourceText, fertility
from curate.literal_tokens import literal_tokens
from curate.tokenizing import Tokenizer
from pipelines.report.shown import without_personal_data

BYTES_OF_A_CORPUS = 4 << 20  # looked at
GROUPS_AT_MOST = 24  # row groups, spread evenly over its files


def tokenizer_fit(run: Path, tokenizer: Path, corpora: Mapping[str, Sequence[str]], presidio: bool) -> dict[str, Any]:
    """`run` holds curated/documents. `corpora`: the names of each corpus' sources; those of `domain` have the terms."""
    sampled = [one for corpus in sorted(corpora) for one in samples(run / "curated" / "documents" / "train", corpus)]
    loaded = Tokenizer.load(tokenizer)
    found = fertility(loaded, sampled, set(corpora.get("domain", ())))
    found["literal"] = literal_tokens(loaded, ((one.source, one.texts) for one in sampled))
    masked = without_personal_data([one["term"] for one in found["terms"]], presidio)
    found["terms"] = [one for one, term in zip(found["terms"], masked, strict=True) if one["term"] == term]
    return found


def samples(folder: Path, corpus: str) -> Iterator[SourceText]:
    """Texts of each source of a corpus, whole row groups from all over it."""
    places = [
        (path, group)
        for path in sorted(folder.glob(f"{corpus}-[0-9]*.parquet"))
        for group in range(pq.read_metadata(path).num_row_groups)
    ]
    chosen = (
        dict.fromkeys(places[len(places) * part // GROUPS_AT_MOST] for part in range(GROUPS_AT_MOST)) if places else {}
    )
    room = BYTES_OF_A_CORPUS // max(1, len(chosen))
    tables = []
    for path, group in chosen:
        with pq.ParquetFile(path) as file:
            rows = file.read_row_group(group, columns=["id", "source", "text"])
        fits = pc.less_equal(pc.cumulative_sum(pc.binary_length(rows["text"])), room).to_numpy()
        fits[:1] = True  # a document, however long
        tables.append(rows.filter(pa.array(fits)))
    if tables:
        together = pa.concat_tables(tables)
        for source in sorted(together["source"].unique().to_pylist()):
            rows = together.filter(pc.equal(together["source"], source))
            yield SourceText(source, *(rows[name].combine_chunks() for name in ("id", "text")))
