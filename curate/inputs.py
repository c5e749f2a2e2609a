"""A recipe's source to the list of its files, and a file to batches of raw records.

`list_files` expands folders, globs and URLs into files, sorted by their path below the source's root (the longest
folder all its paths have in common before any wildcard), so that neither the file system's order nor the machine
shows. `read` opens one, decompresses it, walks it if it is an archive, and lets the reader of its format do the
rest. Damage ends a file with one quarantined record; it never ends the run.

    raw/notes/*.jsonl.zst       matches by name; hidden files only where named
    raw/papers/**/*.xml         ** crosses folders
    raw/papers                  every file below whose name tells its format
    s3://bucket/web/*.parquet   any store that fsspec knows
"""

from __future__ import annotations

import io
import os
import posixpath
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast

import pyarrow as pa

from curate.archives import Member, is_hidden, members
from curate.plugins import plugin
from curate.records import Damaged, Fields, Place, Record, batches, quarantined, storable
from curate.settings import Source
from curate.shards.fault import Fault
from curate.streams import COMPRESSIONS, decompressed, open_file

FORMATS = {
    ".jsonl": "jsonl", ".ndjson": "jsonl", ".json": "json", ".parquet": "parquet", ".csv": "csv", ".tsv": "csv",
    ".txt": "text", ".md": "markdown", ".markdown": "markdown", ".html": "html", ".htm": "html", ".xhtml": "html",
    ".xml": "xml", ".nxml": "xml", ".cnxml": "xml",
}  # fmt: skip
ARCHIVES = {
    ".tar": "tar", ".tar.gz": "tar.gz", ".tgz": "tar.gz", ".tar.zst": "tar.zst", ".tar.bz2": "tar.bz2",
    ".tbz2": "tar.bz2", ".tar.xz": "tar.xz", ".txz": "tar.xz", ".zip": "zip",
}  # fmt: skip
WILDCARDS = re.compile(r"[*?\[]")


@dataclass(frozen=True, slots=True)
class InputFile:
    source: str
    url: str  # where it lies: a local path, or a URL
    path: str  # below the source's root, with forward slashes: what ids are made of
    n_bytes: int  # on disk
    format: str | None  # None: an archive whose members say, or a name that says nothing
    compression: str | None
    archive: str | None


def format_of(name: str) -> tuple[str | None, str | None, str | None]:
    """Format, compression and archive kind, as far as the name tells.

    >>> format_of("notes.jsonl.zst"), format_of("papers.tar.gz"), format_of("README")
    (('jsonl', 'zst', None), (None, None, 'tar.gz'), (None, None, None))
    """
    lower = name.lower()
    for suffix, archive in ARCHIVES.items():
        if lower.endswith(suffix):
            return None, None, archive
    stem, suffix = posixpath.splitext(lower)
    if suffix in COMPRESSIONS:
        return FORMATS.get(posixpath.splitext(stem)[1]), COMPRESSIONS[suffix], None
    return FORMATS.get(suffix), None, None


# listing -------------------------------------------------------------------------------------------------------------


def list_files(source: Source, base: Path) -> list[InputFile]:
    """Every file of a source, sorted by path below its root. Relative paths count from `base`."""
    _check_encoding(source)
    given = [source.path] if isinstance(source.path, str) else list(source.path)
    patterns = [_absolute(one, base) for one in given]
    found: dict[str, InputFile] = {}
    root = _common_root(patterns)
    for pattern, as_given in zip(patterns, given, strict=True):
        matches = _matches(pattern, source, as_given)
        for url, n_bytes in matches:
            path = url[len(root) :].lstrip("/") if url.startswith(root) else url
            found[url] = _input_file(source, url, path, n_bytes)
    return sorted(found.values(), key=lambda file: file.path)


def _absolute(path: str, base: Path) -> str:
    if "://" in path:
        return path
    return posixpath.normpath(posixpath.join(base.resolve().as_posix(), os.path.expanduser(path)))


def _is_pattern(path: str) -> bool:
    return bool(WILDCARDS.search(path)) and not os.path.exists(path)


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


def _root(pattern: str) -> str:
    """The folder before the first wildcard; of a file, its folder; of a folder, itself."""
    if _is_pattern(pattern):
        return WILDCARDS.split(pattern)[0].rpartition("/")[0]
    return pattern.rstrip("/") if _is_folder(pattern) else pattern.rpartition("/")[0]


def _common_root(patterns: list[str]) -> str:
    shared = []
    for parts in zip(*(_root(pattern).split("/") for pattern in patterns), strict=False):
        if len(set(parts)) > 1:
            break
        shared.append(parts[0])
    return "/".join(shared)


def _is_folder(path: str) -> bool:
    if "://" not in path:
        return os.path.isdir(path)
    store, inner = _store(path)
    return bool(store.isdir(inner))


def _store(url: str) -> tuple[Any, str]:
    """The file system of a path or URL, and the path within it."""
    import fsspec

    try:
        store, inner = fsspec.core.url_to_fs(url)
    except (ImportError, ValueError) as error:  # a store whose library is not installed, or none that fsspec knows
        hint = "install what the store needs (pip install s3fs, gcsfs, adlfs ...), or check the spelling"
        raise Fault(f"cannot open the store: {error}", where=url, hint=hint) from error
    return store, inner


def _matches(pattern: str, source: Source, as_given: str) -> list[tuple[str, int]]:
    """URL and bytes of each file a path stands for. Raises Fault where it stands for none that can be read."""
    where = f"sources.{source.name}.path"
    if _is_pattern(pattern):
        names = re.compile(_regex(pattern))
        shows_hidden = "/." in pattern
        every = [one for one in _walk(_root(pattern), shows_hidden, _depth(pattern)) if names.fullmatch(one[0])]
    elif _is_folder(pattern):
        every = list(_walk(pattern.rstrip("/"), False, None))
    else:
        every = _one_file(pattern, where, as_given)
    if not every:
        raise Fault(
            f"no file matches {as_given!r}",
            where=where,
            hint=f"paths count from where the command runs; looked at {pattern}",
        )
    known = [one for one in every if source.format or any(format_of(one[0])[part] for part in (0, 2))]
    if not known:
        raise Fault(
            f"no format is known for {as_given!r}: found {posixpath.basename(sorted(every)[0][0])}",
            where=where,
            hint=f"say format: text (or jsonl, csv, xml ...), or name files {' '.join(FORMATS)}",
        )
    # a folder means the files that can be read; a pattern means all it matches, and what is unreadable is quarantined
    return every if _is_pattern(pattern) else known


def _one_file(path: str, where: str, as_given: str) -> list[tuple[str, int]]:
    store, inner = _store(path)
    if not store.exists(inner):
        raise Fault(f"there is no file or folder {as_given!r}", where=where, hint=f"looked at {path}")
    return [(path, int(store.size(inner) or 0))]


def _depth(pattern: str) -> int | None:
    """How many folders below its root a pattern can reach; None: any."""
    rest = pattern[len(_root(pattern)) :]
    return None if "**" in rest else rest.count("/")


def _walk(root: str, shows_hidden: bool, depth: int | None) -> Iterator[tuple[str, int]]:
    if "://" in root:
        yield from _walk_store(root, shows_hidden, depth)
    else:
        yield from _walk_disk(root, shows_hidden, depth, frozenset())


def _walk_disk(folder: str, shows_hidden: bool, depth: int | None, above: frozenset[str]) -> Iterator[tuple[str, int]]:
    """Files below a folder, through links too, but never into a folder that lies above itself."""
    real = os.path.realpath(folder)
    if real in above or depth == 0 or not os.path.isdir(folder):
        return
    for entry in sorted(os.scandir(folder), key=lambda one: one.name):
        path = f"{folder.rstrip('/')}/{entry.name}"
        if is_hidden(entry.name) and not shows_hidden:
            continue
        if entry.is_dir():
            yield from _walk_disk(path, shows_hidden, None if depth is None else depth - 1, above | {real})
        elif entry.is_file():
            yield path, entry.stat().st_size


def _walk_store(root: str, shows_hidden: bool, depth: int | None) -> Iterator[tuple[str, int]]:
    store, inner = _store(root)
    for name, details in sorted(store.find(inner, maxdepth=depth, detail=True).items()):
        below = name[len(inner) :].lstrip("/")
        if shows_hidden or not is_hidden(below):
            yield f"{root.rstrip('/')}/{below}", int(details.get("size") or 0)


def _regex(pattern: str) -> str:
    """A glob as a regular expression: * and ? stay within a folder, **/ crosses any number of them."""
    out, rest = "", pattern
    while rest:
        if rest.startswith("**/"):
            out, rest = out + "(?:[^/]+/)*", rest[3:]
        elif rest.startswith("**"):
            out, rest = out + ".*", rest[2:]
        elif match := re.match(r"\[(!?)([^\]/]+)\]", rest):
            out += f"[{'^' if match[1] else ''}{match[2]}]".replace("\\", "\\\\")
            rest = rest[match.end() :]
        else:
            out += {"*": "[^/]*", "?": "[^/]"}.get(rest[0]) or re.escape(rest[0])
            rest = rest[1:]
    return out


# reading -------------------------------------------------------------------------------------------------------------


def read(file: InputFile, source: Source, batch_bytes: int = 8 << 20) -> Iterator[pa.RecordBatch]:
    """The raw records of a file, in order, as batches of curate.records.RAW."""
    yield from batches(records(file, source), batch_bytes)


def records(file: InputFile, source: Source) -> Iterator[Record]:
    """The raw records of a file, or of every member of an archive, in order."""
    text = (source.text,) if isinstance(source.text, str) else tuple(source.text)
    fields = Fields(text, source.id, source.encoding)
    with open_file(file.url) as stream:
        if file.archive:
            yield from _archived(stream, file, source, fields)
        else:
            yield from _read_one(stream, file.path, file.format, file.compression, file.n_bytes, fields)


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
    yield from _read_one(member.stream, path, format, compression, member.n_bytes, fields)


def _read_one(
    stream: BinaryIO, path: str, format: str | None, compression: str | None, n_bytes: int, fields: Fields
) -> Iterator[Record]:
    """The records of one stream; where it breaks, the rest of it as one quarantined record."""
    place, position = Place(path), 0
    if format is None:
        known = format_of(path)[2]
        evidence = f"{posixpath.basename(path)}: {'an archive within an archive' if known else 'no known format'}"
        yield quarantined(place, 0, "unknown_format", evidence, n_bytes)
        return
    try:
        for record in plugin("curate.readers", format)()(_open(stream, compression), place, fields):
            yield record
            position = record.position + 1
    except Damaged as damage:
        yield quarantined(place, position, damage.reason, damage.evidence, 0 if position else n_bytes)


def _open(stream: BinaryIO, compression: str | None) -> BinaryIO:
    content = stream if compression is None else decompressed(stream, compression)
    return cast(BinaryIO, io.BufferedReader(cast(io.RawIOBase, content), buffer_size=1 << 20))
