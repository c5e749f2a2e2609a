"""How many bytes of each source make a token: what sizes in tokens are reckoned with before anything is tokenised.

A sample of each source is asked, the documents whose ids hash lowest, so that neither order nor workers change a size.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow.compute as pc

from curate.passes.sifted import Int64s, Sifted
from curate.settings import Source
from curate.text import UInt64s
from curate.tokenizing import Tokenizer
from curate.xxh64 import xxh64

SAMPLED = 200  # documents of a source


def bytes_per_token(sifted: Sifted, sources: Sequence[Source], tokenizer: Tokenizer) -> dict[str, float]:
    """By source. `sources`: of each unit."""
    ratios = {}
    for name in sorted({source.name for source in sources}):
        units = [unit for unit, source in enumerate(sources) if source.name == name]
        n_bytes = n_tokens = 0
        for _, texts in sifted.batches(_sample(sifted, units)):
            tokens, _ = tokenizer.encode(texts)
            n_bytes += int(pc.sum(pc.binary_length(texts)).as_py() or 0)
            n_tokens += len(tokens)
        if n_tokens:
            ratios[name] = n_bytes / n_tokens
    return ratios


def _sample(sifted: Sifted, units: Sequence[int]) -> Int64s:
    """Ascending; of what could be read."""
    hashes: UInt64s = np.zeros(0, np.uint64)
    records = np.zeros(0, np.int64)
    for unit in units:
        for at, rows in sifted.groups(unit, ["id", "reason"]):
            readable = np.flatnonzero(pc.is_null(rows["reason"]).to_numpy())
            hashes = np.concatenate((hashes, xxh64(rows["id"])[readable]))
            records = np.concatenate((records, at.start + readable))
            lowest = np.lexsort((records, hashes))[:SAMPLED]
            hashes, records = hashes[lowest], records[lowest]
    return np.sort(records)
