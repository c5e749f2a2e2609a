"""What a recipe's sources point at: files, units of work, and a digest of every file's content.

A local file is read once before the run, for its digest. While it passes by, the line breaks of a big file of lines
are counted, so that its parts can be read apart and still number their lines as the whole file does.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import fsspec
import xxhash

from curate.inputs import InputFile, list_files
from curate.records import Span
from curate.settings import Source
from curate.shards.seal import digest
from curate.spans import LineSpans, container_spans, splits_at_lines
from curate.streams import SMALL_FILE, open_file, small_file
from curate.units import UNIT_BYTES, Unit, plan_units
from pipelines.recipe import Recipe

BLOCK = 1 << 20  # bytes read at a time: hashed and counted while they are in the processor's cache


@dataclass(frozen=True, slots=True)
class Seen:
    """A file that was read once."""

    content: str  # its digest
    spans: tuple[Span, ...]  # its parts; none where it is read whole


@dataclass(frozen=True, slots=True)
class Inputs:
    """What the recipe's sources point at."""

    files: tuple[tuple[Source, list[InputFile]], ...]
    unit_bytes: int = UNIT_BYTES
    seen: dict[tuple[str, str], Seen] = field(default_factory=dict, repr=False, compare=False)  # by source and path

    @classmethod
    def find(cls, recipe: Recipe) -> Inputs:
        return cls(tuple((source, list_files(source, Path.cwd())) for source in recipe.sources))

    def units(self, *, benchmark: bool = False) -> list[Unit]:
        chosen = [(source, files) for source, files in self.files if (source.role == "benchmark") == benchmark]
        return plan_units(
            ((source, [part for file in files for part in self._parts(file, source)]) for source, files in chosen),
            self.unit_bytes,
        )

    def contents(self) -> dict[str, str]:
        """A digest of every file, by source: a renamed, added or edited file is another input."""
        return {
            source.name: digest([[file.path, file.n_bytes, self._look(file, source).content] for file in files])
            for source, files in self.files
        }

    def _parts(self, file: InputFile, source: Source) -> Iterator[InputFile]:
        """The file, or the parts of a big one, one after another."""
        spans = self._look(file, source).spans if file.n_bytes > self.unit_bytes else ()
        yield from (replace(file, span=span) for span in spans) if spans else (file,)

    def _look(self, file: InputFile, source: Source) -> Seen:
        key = (file.source, file.url)
        if key not in self.seen:
            self.seen[key] = look(file, source.encoding, self.unit_bytes)
        return self.seen[key]


def look(file: InputFile, encoding: str, unit_bytes: int = UNIT_BYTES) -> Seen:
    """The digest of a file's content (of an object in a store, what the store says of it), and its parts."""
    is_big = file.n_bytes > unit_bytes and not file.compression and not file.archive
    if not file.is_local:
        store, path = fsspec.core.url_to_fs(file.url)
        return Seen(str(store.ukey(path)), _container_spans(file, unit_bytes) if is_big else ())
    if file.n_bytes <= SMALL_FILE and not is_big:
        return Seen(xxhash.xxh3_128_hexdigest(small_file(file.url, file.n_bytes)), ())
    running = xxhash.xxh3_128()
    lines: LineSpans | None = None
    buffer = memoryview(bytearray(BLOCK))
    with open_file(file.url, n_bytes=file.n_bytes) as stream:
        n = stream.readinto(buffer)  # type: ignore[attr-defined]
        if is_big and splits_at_lines(file.format, encoding, bytes(buffer[: min(n, 4)])):
            lines = LineSpans(unit_bytes)
        while n:
            running.update(buffer[:n])
            if lines:
                lines.feed(buffer[:n])
            n = stream.readinto(buffer)  # type: ignore[attr-defined]
    if lines:
        return Seen(running.hexdigest(), tuple(lines.spans()))
    return Seen(running.hexdigest(), _container_spans(file, unit_bytes) if is_big else ())


def _container_spans(file: InputFile, unit_bytes: int) -> tuple[Span, ...]:
    with open_file(file.url) as stream:
        return tuple(container_spans(stream, file.format, unit_bytes))
