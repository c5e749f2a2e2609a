"""A folder in any store that fsspec knows (s3://, gs://, a disk ...), read and written whole files at a time.

A network has hiccups: what may pass is tried again, after pauses that double, and told. What won't pass (no such file,
no permission, no room on the disk) is a Fault at once, and so is anything that outlasts the last pause. What arrives is
held against its sha256: one more try in case the journey spoilt it, then it is not the file of the manifest.
"""

from __future__ import annotations

import errno
import hashlib
import os
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from curate.shards.fault import Fault

PAUSES = (1.0, 2.0, 4.0, 8.0, 16.0)  # seconds: a store that is away for half a minute ends no training
BLOCK = 1 << 22  # bytes read at a time
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Patience:
    """What is done about a hiccup. Tests pause no time at all."""

    pauses: tuple[float, ...] = PAUSES
    pause: Callable[[float], object] = time.sleep
    report: Callable[[str], object] = warnings.warn


@dataclass(frozen=True, slots=True)
class Store:
    """Files by their names below `url`."""

    url: str
    files: Any  # fsspec's AbstractFileSystem
    root: str
    patience: Patience

    @staticmethod
    def at(url: str, patience: Patience | None = None) -> Store:
        import fsspec

        try:
            files, root = fsspec.core.url_to_fs(url)
        except (ImportError, ValueError) as error:
            hint = "install what the store needs (pip install s3fs, gcsfs, adlfs ...), or check the spelling"
            raise Fault(f"cannot open the store: {error}", where=url, hint=hint) from error
        return Store(url.rstrip("/"), files, root.rstrip("/"), patience or Patience())

    def where(self, name: str) -> str:
        return f"{self.url}/{name}"

    def read(self, name: str) -> bytes:
        """The whole of a small file."""
        return self._patiently(lambda: bytes(self.files.cat_file(self._path(name))), name, "read")

    def read_sealed(self, name: str, sha256: str) -> bytes:
        """The same, of a file whose checksum is known."""

        def read() -> bytes:
            content = bytes(self.files.cat_file(self._path(name)))
            _require_same(hashlib.sha256(content).hexdigest(), sha256)
            return content

        return self._patiently(read, name, "read")

    def fetch(self, name: str, to: Path, sha256: str) -> None:
        """Copy a file onto this machine."""
        self._patiently(lambda: _require_same(self._copied(name, to), sha256), name, "fetch")

    def put(self, path: Path, name: str, sha256: str) -> None:
        """Copy a file of this machine into the store, and read it back."""

        def put() -> None:
            self.files.makedirs(self._path(name).rpartition("/")[0], exist_ok=True)
            self.files.put_file(str(path), self._path(name))
            _require_same(self._copied(name, None), sha256)

        self._patiently(put, name, "write")

    def _path(self, name: str) -> str:
        return f"{self.root}/{name}"

    def _copied(self, name: str, to: Path | None) -> str:
        """Read a file to its end; its sha256."""
        total = hashlib.sha256()
        with self.files.open(self._path(name), "rb") as source, open(to or os.devnull, "wb") as sink:
            while block := source.read(BLOCK):
                total.update(block)
                sink.write(block)
        return total.hexdigest()

    def _patiently(self, do: Callable[[], T], name: str, what: str) -> T:
        pauses, spoilt = iter(self.patience.pauses), 0
        while True:
            try:
                return do()
            except _OtherContent as error:
                spoilt += 1
                if spoilt > 1:
                    raise Fault(
                        "a file in the store is not the one its manifest speaks of: its sha256 differs",
                        where=self.where(name),
                        hint="was it written over? Put the shards there again:  postgrad export RUN URL --to shards",
                    ) from error
            except Exception as error:
                pause = next(pauses, None) if _may_pass(error) else None
                if pause is None:
                    raise self._gave_up(error, name, what) from error
                told = f"{type(error).__name__}: {error}"
                self.patience.report(f"cannot {what} {self.where(name)} ({told}): again in {pause:g} s")
                self.patience.pause(pause)

    def _gave_up(self, error: Exception, name: str, what: str) -> Exception:
        if isinstance(error, FileNotFoundError):
            return Fault("there is no such file in the store", where=self.where(name), hint="check the URL")
        if not (isinstance(error, OSError) or _may_pass(error)):
            return error  # our own mistake: its traceback says where
        told = f"{type(error).__name__}: {error}"
        hint = "check the network, the credentials and the room on the disk; then go on with --resume"
        return Fault(f"cannot {what} a file of the store: {told}", where=self.where(name), hint=hint)


class _OtherContent(Exception):
    """What arrived is not what was announced."""


def _require_same(found: str, wanted: str) -> None:
    if found != wanted:
        raise _OtherContent(f"sha256 is {found}, not {wanted}")


def _may_pass(error: Exception) -> bool:
    """Whether a second try makes sense. Stores have exceptions of their own; Python's other ones are our mistakes."""
    if isinstance(error, OSError):
        hopeless = (FileNotFoundError, PermissionError, IsADirectoryError, NotADirectoryError)
        return not isinstance(error, hopeless) and error.errno not in (errno.ENOSPC, errno.EDQUOT)
    return isinstance(error, EOFError) or type(error).__module__ != "builtins"
