"""The documents that have a copy, and their names: clusters are called by the id of a member that may lie anywhere.

Their ids stand in one Arrow file that is mapped, in the order of their records, so that writing one unit's decisions
does not mean looking through all the others for the names in them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from curate.dedup.resolve import Resolution
from curate.passes.sifted import Int64s
from curate.split import Float64s, places


@dataclass(frozen=True, slots=True)
class Copies:
    found: Resolution
    ids: pa.ChunkedArray  # (c,) as found.record

    @classmethod
    def named(cls, found: Resolution, ids: Iterable[pa.LargeStringArray], path: Path) -> Copies:
        """`ids`: of found.record in order, some at a time; they go to the file `path`."""
        schema = pa.schema([("id", pa.large_string())])
        with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, schema) as writer:
            for some in ids:
                writer.write_batch(pa.record_batch([some], schema=schema))
        return cls(found, pa.ipc.open_file(pa.memory_map(str(path))).read_all()["id"])

    def between(self, records: slice) -> slice:
        """Which of the copies are among some records."""
        low, high = np.searchsorted(self.found.record, [records.start, records.stop])
        return slice(int(low), int(high))

    def name(self, records: Int64s) -> pa.ChunkedArray:
        """Ids of records that have a copy; null for -1."""
        return self.ids.take(pa.array(np.searchsorted(self.found.record, records), mask=records < 0))

    def places(self, seed: int) -> Float64s:
        """Where each one's cluster stands in the split."""
        own = np.concatenate([np.zeros(0), *(places(chunk, seed) for chunk in self.ids.chunks)])
        return own[np.searchsorted(self.found.record, self.found.cluster)]
