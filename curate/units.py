"""Units of work: which input files a task reads. A function of the input alone, never of the number of workers."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from curate.inputs import InputFile
from curate.settings import Source

UNIT_BYTES = 64 << 20
"""Bytes on disk a unit aims at: small enough to keep workers busy, large enough that a task's overhead does not
show."""


@dataclass(frozen=True, slots=True)
class Unit:
    source: Source
    files: tuple[InputFile, ...]


def plan_units(sources: Iterable[tuple[Source, list[InputFile]]], unit_bytes: int = UNIT_BYTES) -> list[Unit]:
    """Consecutive files of a source together until they reach `unit_bytes`; sources in the order of their names."""
    units = []
    for source, files in sorted(sources, key=lambda pair: pair[0].name):
        group: list[InputFile] = []
        size = 0
        for file in files:
            if group and size + file.n_bytes > unit_bytes:
                units.append(Unit(source, tuple(group)))
                group, size = [], 0
            group.append(file)
            size += file.n_bytes
        if group:
            units.append(Unit(source, tuple(group)))
    return units
