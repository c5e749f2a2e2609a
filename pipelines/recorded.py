"""What the first pass recorded of the raw text: enough to judge again when the raw text is out of reach.

`work/sifted` and `work/benchmarks` hold every record with its text, measures and sketches. Beside them stands which
source each unit came from, and in their seals what the sources' files held.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from curate.shards.fault import Fault
from curate.shards.seal import sealed_with, write_json
from pipelines.folder import RunFolder

SOURCES = "sources.json"


def record_sources(folder: Path, names: Sequence[str]) -> None:
    """The name of each unit's source."""
    write_json(folder / SOURCES, list(names))


def recorded_sources(folder: Path) -> list[str]:
    return list(json.loads((folder / SOURCES).read_text(encoding="utf-8")))


@dataclass(frozen=True, slots=True)
class Recorded:
    """Stands for the inputs where they are not to be looked at."""

    digests: dict[str, str]

    @classmethod
    def of(cls, run: RunFolder) -> Recorded:
        """Raises Fault where the run holds no record."""
        digests: dict[str, str] = {}
        for name in ("sifted", "benchmarks"):
            sealed = sealed_with(run.work / name)
            if sealed is None:
                raise Fault(
                    f"nothing to judge again: {run.work / name} is not there",
                    where=str(run.path),
                    hint="curate once without --rejudge; it keeps what it measured in the run's work/ folder",
                )
            digests |= {source: one["content"] for source, one in sealed["sources"].items()}
        return cls(digests)

    def contents(self) -> dict[str, str]:
        """As Inputs.contents: a digest of the files of every source, as they were."""
        return dict(self.digests)
