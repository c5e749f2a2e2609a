"""Bytes to text, strictly: a byte that is not valid in the encoding is a finding, never a question mark.

A byte order mark wins over what the recipe declares. Encodings in which a line break is not the byte 0x0A (UTF-16,
UTF-32) are rewritten to UTF-8 on the way in, so that line-based readers need to know only one kind of line.
"""

from __future__ import annotations

import codecs
import io
from collections.abc import Iterator
from typing import BinaryIO

from curate.records import LARGEST_RECORD, Damaged

MOST_SKIPPED = 1 << 30  # bytes of a line that is too long, within compressed data: then the file is given up

# the longer first: UTF-32's little-endian mark begins with UTF-16's
MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)


def whole(stream: BinaryIO, at_most: int = LARGEST_RECORD) -> bytes:
    """Everything in the stream. Damaged(too_large) beyond `at_most` bytes; any damage brings along what came before."""
    parts: list[bytes] = []
    step, left = getattr(stream, "read1", stream.read), at_most
    try:
        while piece := step(1 << 20):
            parts.append(piece)
            left -= len(piece)
            if left < 0:
                raise Damaged("too_large", f"more than {at_most:,} bytes in one document")
    except Damaged as damage:
        damage.before = b"".join(parts)
        raise
    return b"".join(parts)


def decode(content: bytes, encoding: str) -> str:
    """The text of a file: by its byte order mark, else in the declared encoding. Raises UnicodeDecodeError."""
    for mark, marked in MARKS:
        if content.startswith(mark):
            return content[len(mark) :].decode(marked)
    return content.decode(encoding)


def trouble(error: UnicodeDecodeError) -> str:
    """What is wrong, where, and the bytes around it.

    >>> try: b"caf\\xe9 noir".decode("utf-8")
    ... except UnicodeDecodeError as error: trouble(error)
    "not utf-8: invalid continuation byte 0xe9 at byte 3: b'caf\\\\xe9 noir'"
    """
    around = error.object[max(0, error.start - 20) : error.start + 20]
    return f"not {error.encoding}: {error.reason} 0x{error.object[error.start]:02x} at byte {error.start}: {around!r}"


def line_stream(stream: BinaryIO, encoding: str, *, is_start: bool = True) -> tuple[io.BufferedReader, str]:
    """The stream without its byte order mark, and the encoding of its lines; UTF-16 and UTF-32 arrive as UTF-8.

    Only the start of a file has a mark: not `is_start`, and the same bytes are a character.
    """
    buffered = stream if isinstance(stream, io.BufferedReader) else io.BufferedReader(Readable(stream), 1 << 20)
    for mark, marked in MARKS if is_start else ():
        if buffered.peek(len(mark)).startswith(mark):
            buffered.read(len(mark))
            encoding = marked
            break
    if "\n".encode(encoding) == b"\n":
        return buffered, encoding
    return io.BufferedReader(_AsUtf8(buffered, encoding), buffer_size=1 << 20), "utf-8"


def lines_of(stream: io.BufferedReader) -> Iterator[bytes]:
    """Lines of at most LARGEST_RECORD + 1 bytes; the rest of a longer one, quarantined all the same, is skipped.

    Where the stream may be a decompression bomb, and a line that long most likely is one, only so much is skipped.
    """
    while line := stream.readline(LARGEST_RECORD + 1):
        yield line
        if len(line) > LARGEST_RECORD and not line.endswith(b"\n"):
            left = None if stream.seekable() else MOST_SKIPPED
            while (rest := stream.readline(1 << 20)) and not rest.endswith(b"\n"):
                left = None if left is None else left - len(rest)
                if left is not None and left < 0:
                    raise Damaged("too_large", f"a line of more than {LARGEST_RECORD + MOST_SKIPPED:,} bytes")


class Readable(io.RawIOBase):
    """Anything with `read(n)` as a raw stream, so that a buffer can be laid over it."""

    def __init__(self, stream: BinaryIO) -> None:
        self._step = getattr(stream, "read1", stream.read)

    def readable(self) -> bool:
        return True

    def readinto(self, target: memoryview) -> int:  # type: ignore[override]
        content = self._step(len(target))
        target[: len(content)] = content
        return len(content)


class _AsUtf8(io.RawIOBase):
    """Text in a wide encoding, rewritten to UTF-8 piece by piece. Damaged(wrong_encoding) where it is not valid."""

    def __init__(self, stream: io.BufferedReader, encoding: str) -> None:
        self._stream, self._encoding = stream, encoding
        self._decoder = codecs.getincrementaldecoder(encoding)()
        self._pending = b""

    def readable(self) -> bool:
        return True

    def readinto(self, target: memoryview) -> int:  # type: ignore[override]
        while not self._pending:
            piece = self._stream.read1(1 << 16)
            try:
                self._pending = self._decoder.decode(piece, final=not piece).encode()
            except UnicodeError as error:
                raise Damaged("wrong_encoding", f"not {self._encoding}: {error}") from error
            if not piece:
                break
        n = min(len(target), len(self._pending))
        target[:n], self._pending = self._pending[:n], self._pending[n:]
        return n
