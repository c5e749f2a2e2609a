"""Opening a file: locally or through fsspec, decompressed on the way, never whole in memory.

Damage has one name. Every library breaks in its own way on a file that was cut short or garbled (EOFError,
zlib.error, ZstdError, LZMAError, OSError ...); `Intact` turns all of it into `Damaged`, after everything readable
was handed on. A file that is not what the listing saw is no damage: it stops the run with a Fault that names it.
"""

from __future__ import annotations

import io
import os
import stat
from typing import Any, BinaryIO, cast

from curate.frames import BREAKS, Frames
from curate.records import Damaged, storable
from curate.shards.fault import Fault

COMPRESSIONS = {".gz": "gz", ".zst": "zst", ".bz2": "bz2", ".xz": "xz"}
SMALL_FILE = 1 << 18  # bytes: opened, read and closed at once, for folders of a hundred thousand files
RESUME = "put it back as it was, or run again with it as it is: what is finished is kept"


def open_file(url: str, begin: int = 0, end: int | None = None, n_bytes: int | None = None) -> BinaryIO:
    """A local path or any URL that fsspec knows, for reading bytes; seekable where the store allows it.

    `begin` and `end` bound what is read. `n_bytes`: what a local file held when it was listed, or else a Fault.
    """
    try:
        if "://" not in url:
            file: Any = _opened(url, n_bytes)
            end = n_bytes if end is None else end
        else:
            import fsspec

            file = fsspec.open(url, "rb").open()
        if begin:
            file.seek(begin)
    except OSError as error:
        raise _cannot("open", url, error) from error
    return cast(BinaryIO, Stored(file, url, begin, end))


def small_file(path: str, n_bytes: int) -> bytes:
    """A local file's content, at once."""
    try:
        with _opened(path, n_bytes) as file:
            content = file.read(n_bytes)
    except OSError as error:
        raise _cannot("read", path, error) from error
    if len(content) < n_bytes:
        raise _ends_early(path, len(content), n_bytes)
    return content


def _opened(path: str, n_bytes: int | None) -> io.FileIO:
    """Never a pipe or device, which would be waited for without end; nor a file that changed since it was listed."""
    file = io.FileIO(path, opener=lambda name, flags: os.open(name, flags | getattr(os, "O_NONBLOCK", 0)))
    found = os.fstat(file.fileno())
    what = ""
    if not stat.S_ISREG(found.st_mode):
        what = "a source is no regular file, but a pipe, socket or device"
    elif n_bytes is not None and found.st_size != n_bytes:
        what = f"a source file has {found.st_size:,} bytes, and had {n_bytes:,} when it was listed"
    if what:
        file.close()
        raise Fault(what, where=storable(path), hint=RESUME)
    return file


def _cannot(do: str, url: str, error: OSError) -> Fault:
    return Fault(f"cannot {do} a source file: {error.strerror or error}", where=storable(url), hint=RESUME)


def _ends_early(url: str, at: int, n_bytes: int) -> Fault:
    what = f"a source file ends after {at:,} bytes, and had {n_bytes:,} when it was listed"
    return Fault(what, where=storable(url), hint=RESUME)


def decompressed(stream: BinaryIO, compression: str | None, reason: str = "truncated_compression") -> BinaryIO:
    """The stream's content. Reading raises Damaged(reason) where the compressed data ends early or is garbled."""
    return cast(BinaryIO, Intact(stream if compression is None else Frames(stream, compression), reason))


class Stored(io.RawIOBase):
    """A file where it lies, or a stretch of its bytes. A disk or network that fails is not damage of the data: it
    stops the run instead."""

    def __init__(self, file: Any, url: str, begin: int, end: int | None) -> None:
        self._file, self._url, self._begin, self._end, self._at = file, url, begin, end, begin

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return self._file.seekable()

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        if whence == io.SEEK_SET:
            offset += self._begin
        elif whence == io.SEEK_END and self._end is not None:
            offset, whence = offset + self._end, io.SEEK_SET
        self._at = self._file.seek(offset, whence)
        return self._at - self._begin

    def tell(self) -> int:
        return self._at - self._begin

    def readinto(self, target: memoryview) -> int:  # type: ignore[override]
        wanted = len(target) if self._end is None else max(0, min(len(target), self._end - self._at))
        try:
            n = self._read_into(memoryview(target)[:wanted])
        except OSError as error:
            raise _cannot("read", self._url, error) from error
        if wanted and not n and self._end is not None:
            raise _ends_early(self._url, self._at, self._end)
        self._at += n
        return n

    def _read_into(self, target: memoryview) -> int:
        if isinstance(self._file, io.FileIO):
            return self._file.readinto(target) or 0
        content = self._file.read(len(target))  # not every store's files have readinto
        target[: len(content)] = content
        return len(content)

    def close(self) -> None:
        self._file.close()
        super().close()


class Intact(io.RawIOBase):
    """A stream whose every breakage is `Damaged`, once all that could be read was handed on."""

    def __init__(self, stream: Any, reason: str, at_once: int = 1 << 20) -> None:
        self._stream, self._reason, self._at_once = stream, reason, at_once
        # one step of the decompressor at a time: a longer read that breaks halfway would lose its first half
        self._step = getattr(stream, "read1", None) or stream.read
        self._delivered = 0  # bytes
        self._damage: Damaged | None = None

    def readable(self) -> bool:
        return True

    def readinto(self, target: memoryview) -> int:  # type: ignore[override]
        if self._damage:
            raise self._damage
        try:
            content = self._step(min(len(target), self._at_once)) or b""
        except BREAKS as error:
            what = f"after {self._delivered:,} bytes: {error or type(error).__name__}"
            self._damage = Damaged(self._reason, what)
            raise self._damage from error
        target[: len(content)] = content
        self._delivered += len(content)
        return len(content)

    def read(self, size: int = -1) -> bytes:
        """`size` bytes unless the stream ends or breaks first: then what there was, and the damage at the next call."""
        parts: list[bytes] = []
        while size:
            try:
                content = super().read(1 << 20 if size < 0 else min(size, 1 << 20)) or b""
            except Damaged:
                if not parts:
                    raise
                break
            if not content:
                break
            parts.append(content)
            size -= len(content) if size > 0 else 0
        return b"".join(parts)

    def close(self) -> None:
        self._stream.close()
        super().close()
