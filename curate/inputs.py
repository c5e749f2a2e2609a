"""A recipe's source to the list of its files, and a file to batches of raw records.

`list_files` expands folders, globs and URLs into files, sorted by their path below the source's root (the longest
folder all its paths have in common before any wildcard), so that neither the file system's order nor the machine
shows. `read` opens one, decompresses it, walks it if it is an archive, and lets the reader of its format do the
rest. Damage ends a file with one quarantined record; it never ends the run.
"""

from __future__ import annotations

import io
import posixpath
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from pathlib import Path
from typing import Any, BinaryIO, cast

import pyarrow as pa

from curate.archives import Member, members
from curate.paths import HUB, absolute, common_root, files_at, is_pattern, require_no_links_to_nothing
from curate.plugins import plugin
from curate.records import Damaged, Fields, Place, Record, Span, batches, quarantined, storable
from curate.settings import Source
from curate.shards.fault import Fault
from curate.spans import LINES
from curate.streams import COMPRESSIONS, SMALL_FILE, decompressed, open_file, small_file

FORMATS = {
    ".jsonl": "jsonl", ".ndjson": "jsonl", ".json": "json", ".parquet": "parquet", ".csv": "csv", ".tsv": "csv",
    ".txt": "text", ".md": "markdown", ".markdown": "markdown", ".html": "html", ".htm": "html", ".xhtml": "html",
    ".xml": "xml", ".nxml": "xml", ".cnxml": "xml", ".warc": "warc", ".arrow": "arrow", ".feather": "arrow",
    ".pdf": "pdf", ".docx": "docx", ".epub": "epub",
}  # fmt: skip
ARCHIVES = {
    ".tar": "tar", ".tar.gz": "tar.gz", ".tgz": "tar.gz", ".tar.zst": "tar.zst", ".tar.bz2": "tar.bz2",
    ".tbz2": "tar.bz2", ".tar.xz": "tar.xz", ".txz": "tar.xz", ".zip": "zip",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class InputFile:
    source: str
    url: str  # where it lies: a local path, or a URL
    path: str  # below the source's root, with forward slashes: what ids are made of
    n_bytes: int  # on disk, the whole file
    format: str | None  # None: an archive whose members say, or a name that says nothing
    compression: str | None
    archive: str | None
    span: Span | None = None  # the part of it that is meant; None: all

    @property
    def part_bytes(self) -> int:
        """On disk, of what is meant."""
        return self.span.n_bytes if self.span else self.n_bytes

    @property
    def is_local(self) -> bool:
        return "://" not in self.url


def format_of(name: str) -> tuple[str | None, str | None, str | None]:
    """Format, compression and archive kind, as far as the name tells.

    >>> format_of("notes.jsonl.zst"), format_of("papers.tar.gz"), format_of("README")
    (('jsonl', 'zst', None), (None, None, 'tar.gz'), (None, None, None))
    """
    endings = name.rpartition("/")[2].lower().lstrip(".").rsplit(".", 2)[1:]
    return _format_of_endings(".".join(["x", *endings]))


@lru_cache(maxsize=1 << 12)
def _format_of_endings(lower: str) -> tuple[str | None, str | None, str | None]:
    for suffix, archive in ARCHIVES.items():
        if lower.endswith(suffix):
            return None, None, archive
    stem, suffix = posixpath.splitext(lower)
    if suffix in COMPRESSIONS:
        return FORMATS.get(_plain(posixpath.splitext(stem)[1])), COMPRESSIONS[suffix], None
    return FORMATS.get(_plain(suffix)), None, None


def _plain(suffix: str) -> str:
    """Wikipedia's dumps name their range of pages behind the suffix: .xml-p10p30302."""
    return re.sub(r"-p\d+p\d+\S*$", "", suffix)


# listing -------------------------------------------------------------------------------------------------------------


def list_files(source: Source, base: Path) -> list[InputFile]:
    """Every file of a source, sorted by path below its root. Relative paths count from `base`."""
    _check_encoding(source)
    given = [source.path] if isinstance(source.path, str) else list(source.path)
    patterns = [absolute(one, base) for one in given]
    found: dict[str, InputFile] = {}
    root = common_root(patterns)
    for pattern, as_given in zip(patterns, given, strict=True):
        for url, n_bytes in _matches(pattern, source, as_given):
            path = url[len(root) :].lstrip("/") if url.startswith(root) else url
            found[url] = _input_file(source, url, path, n_bytes)
    return sorted(found.values(), key=lambda file: (file.path, file.url))


def _check_encoding(source: Source) -> None:
    try:
        b"a".decode(source.encoding)
    except UnicodeDecodeError:
        pass  # UTF-16 needs a second byte
    except (LookupError, UnicodeError) as error:
        raise Fault(
            f"no such text encoding: {source.encoding!r}",
            where=f"sources.{source.name}.encoding",
            hint="utf-8, cp1252, latin-1, utf-16, gb18030, shift_jis ... are known",
        ) from error


def _input_file(source: Source, url: str, path: str, n_bytes: int) -> InputFile:
    format, compression, archive = format_of(path)
    path = storable(path)  # a name may hold bytes that are no text
    return InputFile(source.name, url, path, n_bytes, source.format or format, compression, archive)


def _matches(pattern: str, source: Source, as_given: str) -> list[tuple[str, int]]:
    """URL and bytes of each file a path stands for. Raises Fault where it stands for none that can be read."""
    where = f"sources.{source.name}.path"
    every = files_at(pattern)
    if not every:
        is_one = not (is_pattern(pattern) or pattern.endswith("/"))
        what = f"there is no file or folder {as_given!r}" if is_one else f"no file matches {as_given!r}"
        hint = f"paths count from where the command runs; looked at {storable(pattern)}"
        raise Fault(what, where=where, hint=hint)
    known = [one for one in every if source.format or any(format_of(one[0])[part] for part in (0, 2))]
    if not known:
        raise Fault(
            f"no format is known for {as_given!r}: found {posixpath.basename(sorted(every)[0][0])}",
            where=where,
            hint=f"say format: text (or jsonl, csv, xml ...), or name files {' '.join(FORMATS)}",
        )
    # a folder means the files that can be read; a pattern means all it matches, and what is unreadable is quarantined
    chosen = every if is_pattern(pattern) else _data_files(known, is_on_hub=pattern.startswith(HUB))
    require_no_links_to_nothing(chosen)
    return chosen


def _data_files(files: list[tuple[str, int]], is_on_hub: bool) -> list[tuple[str, int]]:
    """Without what describes a dataset beside its data: `datasets` writes JSON next to Arrow, the hub has a card."""
    saved = {posixpath.dirname(url) for url, _ in files if url.endswith(".arrow")}
    if not saved and not is_on_hub:
        return files
    notes = {"dataset_info.json", "state.json", "dataset_dict.json", "dataset_infos.json"}

    def describes(url: str) -> bool:
        folder, name = posixpath.split(url)
        beside_data = is_on_hub or folder in saved or any(posixpath.dirname(one) == folder for one in saved)
        is_cache = name.startswith("cache-") and name.endswith(".arrow")
        return (beside_data and name in notes) or is_cache or (is_on_hub and name.lower() == "readme.md")

    return [one for one in files if not describes(one[0])]


# reading -------------------------------------------------------------------------------------------------------------


def read(file: InputFile, source: Source, batch_bytes: int = 8 << 20) -> Iterator[pa.RecordBatch]:
    """The raw records of a file, in order, as batches of curate.records.RAW."""
    yield from batches(records(file, source), batch_bytes)


def records(file: InputFile, source: Source) -> Iterator[Record]:
    """The raw records of a file, of its span, or of every member of an archive, in order."""
    fields = fields_of(source)
    with _opened(file) as stream:
        if file.archive:
            yield from _archived(stream, file, source, fields)
        else:
            if file.span and file.span.encoding:
                fields = replace(fields, encoding=file.span.encoding)
            place = Place(file.path, file.span)
            yield from _read_one(stream, place, file.format, file.compression, file.part_bytes, fields)


def _opened(file: InputFile) -> BinaryIO:
    if file.is_local and file.n_bytes <= SMALL_FILE and not (file.archive or file.span):
        return io.BytesIO(small_file(file.url, file.n_bytes))
    begin, end = (file.span.begin, file.span.end) if file.span and file.format in LINES else (0, None)
    return open_file(file.url, begin, end, file.n_bytes if file.is_local else None)


def fields_of(source: Source) -> Fields:
    text = (source.text,) if isinstance(source.text, str) else tuple(source.text)
    return Fields(text, source.id, source.encoding)


def _archived(stream: BinaryIO, file: InputFile, source: Source, fields: Fields) -> Iterator[Record]:
    assert file.archive is not None
    last: Record | None = None
    try:
        for member in members(stream, file.archive):
            for last in _member_records(member, f"{file.path}!{storable(member.name)}", source, fields):
                yield last
    except Damaged as damage:
        if last and last.reason == damage.reason:  # the member that the archive broke off in says it already
            return
        yield quarantined(Place(file.path), 0, damage.reason, damage.evidence, file.n_bytes)


def _member_records(member: Member, path: str, source: Source, fields: Fields) -> Iterator[Record]:
    if member.trouble:
        yield quarantined(Place(path), 0, "unsupported_member", member.trouble, member.n_bytes)
        return
    format, compression, archive = format_of(member.name)
    format = None if archive else source.format or format
    yield from _read_one(member.stream, Place(path), format, compression, member.n_bytes, fields)


def _read_one(
    stream: BinaryIO, place: Place, format: str | None, compression: str | None, n_bytes: int, fields: Fields
) -> Iterator[Record]:
    """The records of one stream; where it breaks, the rest of it as one quarantined record."""
    position = place.first
    if format is None:
        known = format_of(place.path)[2]
        what = "an archive within an archive" if known else "no known format"
        yield quarantined(place, position, "unknown_format", f"{posixpath.basename(place.path)}: {what}", n_bytes)
        return
    try:
        for record in _reader(format)(_open(stream, compression, n_bytes), place, fields):
            yield record
            position = record.position + 1
    except Damaged as damage:
        taken = position > place.first
        yield quarantined(place, position, damage.reason, damage.evidence, 0 if taken else n_bytes)


@cache
def _reader(format: str) -> Any:
    """Readers have no state, so one of each is enough for a hundred thousand files."""
    return plugin("curate.readers", format)()


def _open(stream: BinaryIO, compression: str | None, n_bytes: int) -> BinaryIO:
    content = stream if compression is None else decompressed(stream, compression)
    buffer_size = 1 << 20 if compression else min(max(n_bytes, 1 << 13), 1 << 20)
    return cast(BinaryIO, io.BufferedReader(cast(io.RawIOBase, content), buffer_size=buffer_size))
