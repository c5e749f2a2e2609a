"""A folder appears whole or not at all.

It is written beside its place, sealed with a manifest (the fingerprint of what went in, the sha256 of every file) and
renamed. A folder whose fingerprint matches is used again; one that differs is named with the field that changed.

    with whole_folder(run / "curated", fingerprint) as folder:
        ...  # a crash here leaves only .curated.partial, which the next run goes on with or clears
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import orjson

from curate.shards.fault import Fault

MANIFEST = "manifest.json"
ENGINE = "_engine"  # logs and completion markers inside a folder in the making: never part of what is sealed
_PLAN = "_fingerprint.json"
_ABSENT = object()  # a field that one of two fingerprints does not have: not the same as one that is null

Fingerprint = Mapping[str, Any]


@contextmanager
def whole_folder(path: Path, fingerprint: Fingerprint, *, goes_on: bool = False) -> Iterator[Path]:
    """Give a folder to write into; when the block ends without an exception, seal it and put it at `path`.

    With `goes_on`, what an interrupted run with the same fingerprint left is kept in the folder: for passes whose files
    appear atomically, one by one. An existing folder at `path` is replaced in one rename.
    """
    partial = begin(path, fingerprint, goes_on=goes_on)
    yield partial
    end(partial)
    seal(partial, fingerprint)
    put_in_place(partial, path)


def begin(path: Path, fingerprint: Fingerprint, *, goes_on: bool = False) -> Path:
    """The folder beside `path` to write into."""
    partial = path.with_name(f".{path.name}.partial")
    if partial.exists() and not (goes_on and _read(partial / _PLAN) == _plain(fingerprint)):
        shutil.rmtree(partial)
    partial.mkdir(parents=True, exist_ok=True)
    write_json(partial / _PLAN, _plain(fingerprint))
    return partial


def end(partial: Path) -> None:
    """Clear away what only the making needed."""
    shutil.rmtree(partial / ENGINE, ignore_errors=True)
    (partial / _PLAN).unlink()


def seal(folder: Path, fingerprint: Fingerprint) -> None:
    """Write the manifest, adding to one that the writer of the folder has begun."""
    manifest = _read(folder / MANIFEST) or {}
    write_json(folder / MANIFEST, {**manifest, "fingerprint": _plain(fingerprint), "files": checksums(folder)})


def put_in_place(partial: Path, path: Path) -> None:
    """Rename, moving an old folder out of the way first: a reader sees the old one, nothing, or the new one."""
    old = path.with_name(f".{path.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if path.exists():
        os.replace(path, old)
    path.parent.mkdir(parents=True, exist_ok=True)
    os.replace(partial, path)
    shutil.rmtree(old, ignore_errors=True)


def is_fresh(path: Path, fingerprint: Fingerprint) -> bool:
    """Whether the sealed folder at `path` was made from just this. False also where there is none."""
    return sealed_with(path) == _plain(fingerprint)


def sealed_with(path: Path) -> dict[str, Any] | None:
    """The fingerprint a folder was sealed with, None where there is no sealed folder."""
    manifest = _read(path / MANIFEST)
    return manifest.get("fingerprint") if manifest else None


def is_intact(path: Path) -> bool:
    """Whether the files of a sealed folder are those that its manifest lists. Reads them all."""
    manifest = _read(path / MANIFEST)
    return manifest is not None and manifest.get("files") == checksums(path)


def refuse_other(path: Path, fingerprint: Fingerprint, hint: str) -> None:
    """Raise Fault naming the first field that differs, if `path` was sealed with another fingerprint."""
    there = sealed_with(path)
    if there is not None and (difference := first_difference(there, _plain(fingerprint))):
        field, was, is_ = difference
        raise Fault(f"{path} was made with {field} = {was}; it would be {is_} now", where=field, hint=hint)


def first_difference(was: Any, is_: Any, field: str = "") -> tuple[str, str, str] | None:
    """(dotted field, old, new) of the first place two fingerprints differ, in the order of the names.

    >>> first_difference({"split": {"test": 0.1}}, {"split": {"test": 0.2}})
    ('split.test', '0.1', '0.2')
    """
    if isinstance(was, dict) and isinstance(is_, dict):
        for name in sorted({*was, *is_}):
            found = first_difference(was.get(name, _ABSENT), is_.get(name, _ABSENT), f"{field}.{name}".lstrip("."))
            if found:
                return found
        return None
    return None if was == is_ else (field, _short(was), _short(is_))


def checksums(folder: Path) -> dict[str, str]:
    """sha256 of every file below, by relative path; the manifest itself aside."""
    files = sorted(p for p in folder.rglob("*") if p.is_file() and p != folder / MANIFEST)
    return {p.relative_to(folder).as_posix(): sha256(p) for p in files}


def sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def digest(value: Any) -> str:
    """A short name for any JSON value: equal values, equal names."""
    return hashlib.sha256(json.dumps(_plain(value), sort_keys=True).encode()).hexdigest()[:16]


@cache
def code_version(package: str) -> str:
    """Digest of a package's own source: another version of the code makes another folder."""
    import importlib

    root = Path(next(iter(importlib.import_module(package).__path__)))
    total = hashlib.sha256()
    for path in sorted(root.rglob("*.py")):
        total.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes())
    return total.hexdigest()[:16]


def write_json(path: Path, value: Any) -> None:
    """Appears whole; keys in the order given."""
    beside = path.with_name(f".{path.name}.tmp")
    beside.write_bytes(_indented(value))
    os.replace(beside, path)


def _indented(value: Any) -> bytes:
    """By orjson: json's own encoder is plain Python where it indents, and took half a second of a small curation."""
    try:
        return orjson.dumps(value, option=orjson.OPT_INDENT_2 | orjson.OPT_NON_STR_KEYS | orjson.OPT_APPEND_NEWLINE)
    except TypeError:  # an integer beyond 64 bits
        return (json.dumps(value, indent=2, ensure_ascii=False) + "\n").encode()


def _read(path: Path) -> dict[str, Any] | None:
    try:
        loaded: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return loaded
    except (OSError, ValueError):
        return None


def _plain(value: Any) -> Any:
    """As JSON gives it back, so that tuples and lists compare equal."""
    return json.loads(json.dumps(value, default=str))


def _short(value: Any) -> str:
    if value is _ABSENT:
        return "nothing"
    text = json.dumps(value)
    return text if len(text) <= 80 else text[:77] + "..."
