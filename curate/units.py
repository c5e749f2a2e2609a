"""Units of work: which input files, or parts of them, a task reads. A function of the input alone, never of the number
of workers.

    a.jsonl 80 MB, b.jsonl 10 MB, c.jsonl.zst 5 MB   ▶   [a, bytes 0-32 MB] [a, 32-64] [a, 64-80; b] [c]
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import pyarrow as pa

from curate.inputs import InputFile, records
from curate.records import batches
from curate.settings import Source

UNIT_BYTES = 32 << 20
"""Bytes a unit aims at: small enough to keep workers busy, large enough that a task's overhead does not show."""
MOST_FILES = 8192
"""Of a unit: a folder of very many tiny files keeps all workers busy, too."""
COMPRESSES_TO = 1 / 4
"""Share of its size that text takes once compressed (0.28: medical JSONL, zstandard): a compressed file is that much
more work than its bytes say."""


@dataclass(frozen=True, slots=True)
class Unit:
    source: Source
    files: tuple[InputFile, ...]


def plan_units(sources: Iterable[tuple[Source, list[InputFile]]], unit_bytes: int = UNIT_BYTES) -> list[Unit]:
    """Consecutive files (or parts of files) of a source together until they reach `unit_bytes`; sources in the order
    of their names."""
    units = []
    for source, files in sorted(sources, key=lambda pair: pair[0].name):
        group: list[InputFile] = []
        size = 0.0
        for file in files:
            work = file.part_bytes / (COMPRESSES_TO if file.compression or file.archive else 1)
            if group and (size + work > unit_bytes or len(group) == MOST_FILES):
                units.append(Unit(source, tuple(group)))
                group, size = [], 0.0
            group.append(file)
            size += work
        if group:
            units.append(Unit(source, tuple(group)))
    return units


def read_unit(unit: Unit, batch_bytes: int = 8 << 20) -> Iterator[pa.RecordBatch]:
    """The raw records of a unit, in order. Batches run across files: small files share one."""
    found = itertools.chain.from_iterable(records(file, unit.source) for file in unit.files)
    yield from batches(found, batch_bytes)
