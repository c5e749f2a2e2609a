"""What a path of a recipe stands for: one file, a folder, a glob, on disk or in any store that fsspec knows.

    raw/notes/*.jsonl.zst       matches by name; hidden files only where named
    raw/papers/**/*.xml         ** crosses folders
    raw/papers                  every file below
    s3://bucket/web/*.parquet   any store that fsspec knows
    hub:org/name                a dataset of the Hugging Face hub; hub:org/name/data/*.parquet some of its files

Pipes, sockets and devices are no files. A link to nothing is: one that is missing.
"""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from curate.archives import is_hidden
from curate.records import storable
from curate.shards.fault import Fault

WILDCARDS = re.compile(r"[*?\[]")
HUB = "hf://datasets/"
MISSING = -1  # bytes of a link to nothing


def absolute(path: str, base: Path) -> str:
    if "://" in path:
        return path
    if path.startswith("hub:"):
        return HUB + path.removeprefix("hub:").strip("/")
    return posixpath.normpath(posixpath.join(base.resolve().as_posix(), os.path.expanduser(path)))


def is_pattern(path: str) -> bool:
    return bool(WILDCARDS.search(path)) and not os.path.exists(path)


def files_at(path: str) -> list[tuple[str, int]]:
    """URL and bytes of each file that an absolute path or URL stands for."""
    if is_pattern(path):
        names = re.compile(_regex(path))
        return [one for one in _walk(_root(path), "/." in path, _depth(path)) if names.fullmatch(one[0])]
    if _is_folder(path):
        return list(_walk(path.rstrip("/"), False, None))
    return _one_file(path)


def require_no_links_to_nothing(found: list[tuple[str, int]]) -> None:
    for path, n_bytes in found:
        if n_bytes == MISSING:
            hint = "mend the link, or fetch what it stands for (git annex get, git lfs pull), or take it away"
            raise Fault("a source is a link to nothing", where=storable(path), hint=hint)


def _root(pattern: str) -> str:
    """The folder before the first wildcard; of a file, its folder; of a folder, itself."""
    if is_pattern(pattern):
        return WILDCARDS.split(pattern)[0].rpartition("/")[0]
    return pattern.rstrip("/") if _is_folder(pattern) else pattern.rpartition("/")[0]


def common_root(patterns: list[str]) -> str:
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


def _one_file(path: str) -> list[tuple[str, int]]:
    if "://" in path:
        store, inner = _store(path)
        return [(path, int(store.size(inner) or 0))] if store.exists(inner) else []
    if not os.path.lexists(path):
        return []
    if not os.path.exists(path):
        return [(path, MISSING)]
    if not os.path.isfile(path):
        hint = "copy what it gives into a file"
        raise Fault("a source is no regular file, but a pipe, socket or device", where=storable(path), hint=hint)
    return [(path, os.stat(path).st_size)]


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
    for entry in sorted(_entries(folder), key=lambda one: one.name):
        path = f"{folder.rstrip('/')}/{entry.name}"
        if not shows_hidden and is_hidden(entry.name):
            continue
        if entry.is_symlink() and not os.path.exists(path):  # to itself, too
            yield path, MISSING
        elif entry.is_file():
            yield path, entry.stat().st_size
        elif entry.is_dir():
            yield from _walk_disk(path, shows_hidden, None if depth is None else depth - 1, above | {real})


def _entries(folder: str) -> Any:
    try:
        return os.scandir(folder)
    except OSError as error:
        hint = "make it readable, or leave it out of the source's path"
        raise Fault(f"cannot list a folder: {error.strerror}", where=storable(folder), hint=hint) from error


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
