"""Archives, member by member in their own order, without unpacking to disk.

tar is read as a stream; zip through its directory at the end, or, where the end is missing, front to back as far as
it goes. Damage (`Damaged`, reason truncated_archive) comes after every member that could be read.
"""

from __future__ import annotations

import io
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, cast

from curate.frames import PIECE
from curate.records import Damaged
from curate.streams import Intact, decompressed

DAMAGE = "truncated_archive"
LARGEST_HEADER = 1 << 20  # bytes of a tar's extended header (long names, attributes): a hostile one claims gigabytes


@dataclass(frozen=True, slots=True)
class Member:
    name: str
    n_bytes: int  # uncompressed, as the archive states it
    stream: BinaryIO
    trouble: str = ""  # why its content can't be had, where it can't


def members(stream: BinaryIO, archive: str) -> Iterator[Member]:
    """The files of an archive `tar`, `tar.gz`, `tar.zst`, `tar.bz2`, `tar.xz` or `zip`. Read each before the next."""
    if archive == "zip":
        yield from _zip_members(stream)
    else:
        _, _, compression = archive.partition(".")
        yield from _tar_members(decompressed(stream, compression or None, DAMAGE))


def is_hidden(name: str) -> bool:
    """Files that systems leave behind (.DS_Store, __MACOSX): no one's documents."""
    return any(part.startswith(".") or part == "__MACOSX" for part in name.split("/") if part not in (".", ".."))


# tar -----------------------------------------------------------------------------------------------------------------


class _Header(tarfile.TarInfo):
    """tarfile takes a broken header for the end of the archive; only two blocks of zeros are its end."""

    @classmethod
    def fromtarfile(cls, archive: tarfile.TarFile) -> _Header:
        try:
            return super().fromtarfile(archive)
        except tarfile.EOFHeaderError:  # type: ignore[attr-defined]
            raise
        except tarfile.HeaderError as error:
            raise Damaged(DAMAGE, f"tar header at byte {archive.offset:,}: {error}") from error


def _tar_members(stream: BinaryIO) -> Iterator[Member]:
    try:
        forward = _Forward(stream)
        with tarfile.open(fileobj=cast(BinaryIO, forward), mode="r:", tarinfo=_Header) as archive:
            for member in archive:
                archive.members = []  # type: ignore[attr-defined]  # it would keep every header ever read
                if is_hidden(member.name):
                    continue
                if member.islnk() or member.issparse():
                    trouble = "a hard link to another member" if member.islnk() else "stored as a sparse file"
                    yield Member(member.name, member.size, io.BytesIO(), trouble)
                elif member.isfile():
                    forward.seek(member.offset_data)
                    yield Member(member.name, member.size, cast(BinaryIO, _TarContent(forward, member.size)))
    except tarfile.TarError as error:
        raise Damaged(DAMAGE, f"tar: {error}") from error


class _Forward(io.RawIOBase):
    """A stream in which tarfile may seek, which it only ever does forwards when members are read in order.

    Its own stream mode reads in blocks and loses what it holds of the last one when the data breaks off.
    """

    def __init__(self, stream: BinaryIO) -> None:
        self._stream, self._at = stream, 0

    def read(self, size: int = -1) -> bytes:
        if not 0 <= size <= LARGEST_HEADER:
            raise Damaged(DAMAGE, f"tar header at byte {self._at:,} claims {size:,} bytes")
        content = self._stream.read(size)
        self._at += len(content)
        return content

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        assert whence == io.SEEK_SET, "tarfile seeks from the start"
        assert offset >= self._at, "tarfile went back in a stream"
        while self._at < offset and self.read(min(offset - self._at, 1 << 20)):
            pass
        return self._at


class _TarContent(io.RawIOBase):
    """A member's bytes. One cut short is `Damaged` here, where its reader can still hand on what it has."""

    def __init__(self, stream: _Forward, n_bytes: int) -> None:
        self._stream, self._left = stream, n_bytes

    def readable(self) -> bool:
        return True

    def readinto(self, target: memoryview) -> int:  # type: ignore[override]
        wanted = min(len(target), self._left, LARGEST_HEADER)
        content = self._stream.read(wanted)
        if wanted and not content:
            raise Damaged(DAMAGE, "tar: the archive ends within this member")
        self._left -= len(content)
        target[: len(content)] = content
        return len(content)


# zip -----------------------------------------------------------------------------------------------------------------


def _zip_members(stream: BinaryIO) -> Iterator[Member]:
    seekable = stream if stream.seekable() else io.BytesIO(stream.read())
    try:
        archive = zipfile.ZipFile(seekable)
    except (zipfile.BadZipFile, OSError, ValueError) as error:
        seekable.seek(0)
        yield from _salvaged(seekable)
        raise Damaged(DAMAGE, f"zip: {error}") from error
    with archive:
        for entry in archive.infolist():
            if entry.is_dir() or is_hidden(entry.filename):
                continue
            if entry.flag_bits & ENCRYPTED:
                yield Member(entry.filename, entry.file_size, io.BytesIO(), "encrypted")
            else:
                yield Member(entry.filename, entry.file_size, zip_content(archive, entry))


def zip_content(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, reason: str = DAMAGE) -> BinaryIO:
    """A member, or a stream that breaks at once: a locked or garbled member does not take its neighbours with it."""
    try:
        # zipfile bounds what inflate makes, not what bz2 and lzma make: 4 kB of bz2 are 80 MB of zeros at most
        at_once = 1 << 20 if entry.compress_type in (STORED, DEFLATED) else 1 << 12
        return cast(BinaryIO, Intact(archive.open(entry), reason, at_once))
    except (zipfile.BadZipFile, OSError, RuntimeError, ValueError, struct.error, EOFError) as error:
        return cast(BinaryIO, _Broken(reason, f"zip: {error}"))


class _Broken(io.RawIOBase):
    def __init__(self, reason: str, evidence: str) -> None:
        self._reason, self._evidence = reason, evidence

    def readable(self) -> bool:
        return True

    def readinto(self, target: memoryview) -> int:  # type: ignore[override]
        raise Damaged(self._reason, self._evidence)


LOCAL_HEADER = struct.Struct("<4s5H3I2H")  # PKWARE APPNOTE 4.3.7
STORED, DEFLATED = 0, 8
ENCRYPTED = 0x1  # bit 0 of a member's flags: PKWARE APPNOTE 4.4.4


def _salvaged(stream: BinaryIO) -> Iterator[Member]:
    """The members of a zip without its directory, from the headers that stand before each. Stops at the first doubt."""
    while len(header := stream.read(LOCAL_HEADER.size)) == LOCAL_HEADER.size:
        mark, _, flags, method, _, _, _, packed, size, name_bytes, extra_bytes = LOCAL_HEADER.unpack(header)
        sized_later = bool(flags & 8)  # sizes stand behind the data: only deflate says itself where it ends
        if mark != b"PK\3\4" or flags & 1 or method not in (STORED, DEFLATED) or (sized_later and method == STORED):
            return
        name = stream.read(name_bytes).decode("utf-8" if flags & 0x800 else "cp437", "replace")
        stream.read(extra_bytes)
        content = _Salvaged(stream, method, None if sized_later else packed)
        if not name.endswith("/") and not is_hidden(name):
            yield Member(name, size, cast(BinaryIO, content))
        while content.read(PIECE):  # what the reader left
            pass
        if sized_later:  # crc, packed size, size; the mark before them is optional
            stream.seek(12 if stream.read(4) == b"PK\7\10" else 8, io.SEEK_CUR)


class _Salvaged(io.RawIOBase):
    """The data behind a local header. Leaves the stream right behind it."""

    def __init__(self, stream: BinaryIO, method: int, packed: int | None) -> None:
        self._stream, self._left = stream, packed  # bytes; None: until deflate ends
        self._inflate = zlib.decompressobj(-15) if method == DEFLATED else None
        self._pending = b""

    def readable(self) -> bool:
        return True

    def readinto(self, target: memoryview) -> int:  # type: ignore[override]
        while not self._pending and not self._is_over():
            piece = self._stream.read(PIECE if self._left is None else min(PIECE, self._left))
            if not piece:
                raise Damaged(DAMAGE, "zip: the archive ends within this member")
            self._left = None if self._left is None else self._left - len(piece)
            self._pending = self._unpack(piece)
        n = min(len(target), len(self._pending))
        target[:n], self._pending = self._pending[:n], self._pending[n:]
        return n

    def _is_over(self) -> bool:
        return self._left == 0 or (self._inflate is not None and self._inflate.eof)

    def _unpack(self, piece: bytes) -> bytes:
        if self._inflate is None:
            return piece
        try:
            content = self._inflate.decompress(piece)
        except zlib.error as error:
            raise Damaged(DAMAGE, f"zip: {error}") from error
        if self._inflate.eof and self._left is None:
            self._stream.seek(-len(self._inflate.unused_data), io.SEEK_CUR)
        return content
