"""Opening a file: locally or through fsspec, decompressed on the way, never whole in memory.

Damage has one name. Every library breaks in its own way on a file that was cut short or garbled (EOFError,
zlib.error, ZstdError, LZMAError, OSError ...); `Intact` turns all of it into `Damaged`, after everything readable
was handed on.
"""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import zipfile
import zlib
from pathlib import Path
from typing import BinaryIO, cast

import zstandard

from curate.records import Damaged
from curate.shards.fault import Fault

COMPRESSIONS = {".gz": "gz", ".zst": "zst", ".bz2": "bz2", ".xz": "xz"}
BREAKS = (EOFError, OSError, zlib.error, lzma.LZMAError, zipfile.BadZipFile, zstandard.ZstdError)
PIECE = 1 << 14  # compressed bytes read at a time: what one garbled byte can take with it


def open_file(url: str) -> BinaryIO:
    """A local path or any URL that fsspec knows, for reading bytes; seekable where the store allows it."""
    try:
        if "://" not in url:
            return cast(BinaryIO, Stored(Path(url).open("rb"), url))
        import fsspec

        return cast(BinaryIO, Stored(fsspec.open(url, "rb").open(), url))
    except OSError as error:
        raise Fault(f"cannot open a source file: {error}", where=url) from error


def decompressed(stream: BinaryIO, compression: str | None, reason: str = "truncated_compression") -> BinaryIO:
    """The stream's content. Reading raises Damaged(reason) where the compressed data ends early or is garbled."""
    if compression is None:
        return cast(BinaryIO, Intact(stream, reason))
    if compression == "gz":
        return cast(BinaryIO, Intact(cast(BinaryIO, gzip.GzipFile(fileobj=stream)), reason))
    if compression == "bz2":
        return cast(BinaryIO, Intact(cast(BinaryIO, bz2.BZ2File(stream)), reason))
    if compression == "xz":
        return cast(BinaryIO, Intact(cast(BinaryIO, lzma.LZMAFile(stream)), reason))
    return cast(BinaryIO, Intact(Zstandard(stream), reason))


class Stored(io.RawIOBase):
    """A file where it lies. A disk or network that fails is not damage of the data: it stops the run instead."""

    def __init__(self, file: BinaryIO, url: str) -> None:
        self._file, self._url = file, url

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return self._file.seekable()

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def readinto(self, target: memoryview) -> int:  # type: ignore[override]
        try:
            content = self._file.read(len(target))
        except OSError as error:
            hint = "run again: what is done is kept"
            raise Fault(f"cannot read a source file: {error}", where=self._url, hint=hint) from error
        target[: len(content)] = content
        return len(content)

    def close(self) -> None:
        self._file.close()
        super().close()


class Zstandard(io.RawIOBase):
    """Zstandard frames one after another; unlike the library's reader it says when the last one is cut short."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._frame = zstandard.ZstdDecompressor(max_window_size=1 << 31).decompressobj()
        self._compressed = self._pending = b""
        self._within_frame = False

    def readable(self) -> bool:
        return True

    def readinto(self, target: memoryview) -> int:  # type: ignore[override]
        while not self._pending:
            if self._frame.eof:
                self._compressed = self._frame.unused_data
                self._frame = zstandard.ZstdDecompressor(max_window_size=1 << 31).decompressobj()
                self._within_frame = False
            self._compressed = self._compressed or self._stream.read(PIECE)
            if not self._compressed:
                if self._within_frame:
                    raise EOFError("zstandard frame ends before its end marker")
                return 0
            self._within_frame = True
            self._pending, self._compressed = self._frame.decompress(self._compressed), b""
        n = min(len(target), len(self._pending))
        target[:n], self._pending = self._pending[:n], self._pending[n:]
        return n


class Intact(io.RawIOBase):
    """A stream whose every breakage is `Damaged`, once all that could be read was handed on."""

    def __init__(self, stream: BinaryIO | io.RawIOBase, reason: str) -> None:
        self._stream, self._reason = stream, reason
        # one step of the decompressor at a time: a longer read that breaks halfway would lose its first half
        self._step = getattr(stream, "read1", stream.read)
        self._delivered = 0  # bytes
        self._damage: Damaged | None = None

    def readable(self) -> bool:
        return True

    def readinto(self, target: memoryview) -> int:  # type: ignore[override]
        if self._damage:
            raise self._damage
        try:
            content = self._step(len(target)) or b""
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
