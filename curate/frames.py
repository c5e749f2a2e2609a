"""Decompression, a bounded piece at a time: gzip, zstandard, bzip2, xz, as many frames as follow one another.

A decompression bomb is a few megabytes that inflate to terabytes. Decompressors are asked for a bounded amount at a
time; zstandard's can't be, so it is given so little at a time that it could make no more than LARGEST_RECORD of it.
"""

from __future__ import annotations

import bz2
import lzma
import zipfile
import zlib
from collections.abc import Callable
from typing import Any, BinaryIO

import zstandard

BREAKS = (EOFError, OSError, zlib.error, lzma.LZMAError, zipfile.BadZipFile, zstandard.ZstdError)
PIECE = 1 << 14  # compressed bytes given at a time to a decompressor whose output can be bounded
ZSTD_PIECE = (
    1 << 12
)  # 4 bytes of zstandard make 128 kB at most (a block of one value: RFC 8878 3.1.1.2), so this 128 MB
MOST_MEMORY = 1 << 31  # bytes of a window or dictionary, as `zstd --long=31` makes them
AT_ONCE = 1 << 18  # bytes gathered before they are handed on


class _Deflate:
    """zlib's decompressor with the manners of bz2's and lzma's: what did not fit is kept here."""

    def __init__(self, header: int) -> None:
        self._inflate = zlib.decompressobj(header)

    def decompress(self, data: bytes | memoryview, max_length: int) -> bytes:
        return self._inflate.decompress(data or self._inflate.unconsumed_tail, max_length)

    @property
    def needs_input(self) -> bool:
        return not self._inflate.unconsumed_tail

    @property
    def eof(self) -> bool:
        return self._inflate.eof

    @property
    def unused_data(self) -> bytes:
        return self._inflate.unused_data


class _Zstandard:
    """Of a piece of a frame, everything at once. The library's own reader does not say when a frame is cut short."""

    needs_input = True

    def __init__(self) -> None:
        self._frame = zstandard.ZstdDecompressor(max_window_size=MOST_MEMORY).decompressobj()

    def decompress(self, data: bytes | memoryview, max_length: int) -> bytes:
        return self._frame.decompress(data)

    @property
    def eof(self) -> bool:
        return self._frame.eof

    @property
    def unused_data(self) -> bytes:
        return self._frame.unused_data


FRAMES: dict[str, tuple[Callable[[], Any], int]] = {
    "gz": (lambda: _Deflate(31), PIECE),  # 31: with gzip's header and checksum
    "bz2": (bz2.BZ2Decompressor, PIECE),
    "xz": (lambda: lzma.LZMADecompressor(memlimit=MOST_MEMORY), PIECE),
    "zst": (_Zstandard, ZSTD_PIECE),
}


class Frames:
    """The content of compressed frames one after another, zeros between them aside: `cat a.gz b.gz` is both files."""

    def __init__(self, stream: BinaryIO, compression: str) -> None:
        self._stream = stream
        self._new, self._step = FRAMES[compression]
        self._frame: Any = None  # None: between two
        self._block, self._at = memoryview(b""), 0  # compressed bytes read, how many of them are used
        self._content = memoryview(b"")  # decompressed and not handed on
        self._begun = False
        self._trouble: BaseException | None = None

    def read1(self, size: int) -> bytes:
        """At most `size` bytes; b"" at the end. What came before a break is handed on before the break is raised."""
        if not self._content:
            self._content = memoryview(self._gathered())
        content, self._content = self._content[:size], self._content[size:]
        return bytes(content)

    def close(self) -> None:
        self._stream.close()

    def _gathered(self) -> bytes:
        if self._trouble:
            raise self._trouble
        parts: list[bytes] = []
        size = 0
        try:
            while size < AT_ONCE and (part := self._part()):
                parts.append(part)
                size += len(part)
        except BREAKS as error:
            if not parts:
                raise
            self._trouble = error
        return b"".join(parts) if len(parts) > 1 else parts[0] if parts else b""

    def _part(self) -> bytes:
        """What the next piece of compressed data holds; b"" only at the end of the last frame."""
        while True:
            if self._frame is None:
                if not self._next_frame():
                    return b""
                self._frame = self._new()
            piece = self._piece() if self._frame.needs_input else b""
            content: bytes = self._frame.decompress(piece, AT_ONCE)
            if self._frame.eof:
                self._at -= len(self._frame.unused_data)
                self._frame = None
            elif not content and not piece and self._frame.needs_input:
                raise EOFError("the compressed data ends before its end marker")
            if content:
                return content

    def _next_frame(self) -> bool:
        """Whether another frame begins here, behind zeros that a tape or `xz` may have padded the last one with."""
        while self._fill():
            if self._block[self._at]:
                self._begun = True
                return True
            padding = bytes(self._block[self._at : self._at + 4096])
            self._at += len(padding) - len(padding.lstrip(b"\0"))
        if not self._begun:
            raise EOFError("there is no compressed data in it")
        return False

    def _piece(self) -> memoryview:
        self._fill()
        piece = self._block[self._at : self._at + self._step]
        self._at += len(piece)
        return piece

    def _fill(self) -> bool:
        if self._at == len(self._block):
            self._block, self._at = memoryview(self._stream.read(1 << 20) or b""), 0
        return len(self._block) > 0
