"""The records of a WARC file (ISO 28500), one after another from a stream, and the HTTP answer within one.

    WARC/1.0
    WARC-Type: response
    Content-Length: 412

    HTTP/1.1 200 OK ...                   412 bytes, an empty line twice, the next record

Written out because it is little, and because what breaks must show exactly: warcio takes a header that was cut short
for a whole one, and FastWARC leaves the chunks of a chunked transfer in the page.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import BinaryIO

from curate.records import Damaged

LONGEST_LINE = 1 << 16  # bytes of a header line
MOST_LINES = 1000  # of a header
LARGEST_HEAD = 1 << 17  # bytes of an HTTP header


@dataclass(frozen=True, slots=True)
class WarcRecord:
    headers: Mapping[str, str]  # names in lower case
    body: bytes | None  # None: of a kind that was not asked for, or its length is unknown
    is_cropped: bool = False  # the body is longer than was asked for

    @property
    def kind(self) -> str:
        return self.headers.get("warc-type", "").lower()


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    headers: Mapping[str, str]  # names in lower case
    payload: bytes


def warc_records(stream: BinaryIO, kinds: frozenset[str], at_most: int) -> Iterator[WarcRecord]:
    """All records in order; of the given kinds the first `at_most` bytes. Damaged where the file breaks off."""
    known = 0
    while line := stream.readline(LONGEST_LINE):
        if not line.startswith(b"WARC/"):  # empty, or left over from a record that understated its length
            if not known and line.strip():
                raise Damaged("unreadable_file", f"warc: no record at its start: {line[:60]!r}")
            continue
        headers = _headers(stream)
        stated = headers.get("content-length", "")
        known += 1
        if not stated.isdecimal() or len(stated) > 15:
            yield WarcRecord(headers, None)  # the next record is found by its first line
            continue
        length = int(stated)
        body = _body(stream, length, at_most if headers.get("warc-type", "").lower() in kinds else 0)
        yield WarcRecord(headers, body, is_cropped=length > at_most)


def _headers(stream: BinaryIO) -> dict[str, str]:
    found: dict[str, str] = {}
    name = ""
    for _ in range(MOST_LINES):
        line = stream.readline(LONGEST_LINE)
        if not line.endswith(b"\n"):
            break
        if not line.strip():
            return found
        text = line.decode("utf-8", "replace").rstrip()
        if text[0] in " \t" and name:  # a value may go on in the next line
            found[name] += f" {text.strip()}"
            continue
        name, _, value = text.partition(":")
        name = name.strip().lower()
        found.setdefault(name, value.strip())
    raise Damaged("truncated_archive", "warc: the file ends within a record's header")


def _body(stream: BinaryIO, length: int, wanted: int) -> bytes:
    """The first `wanted` of `length` bytes; the rest is passed over."""
    parts: list[bytes] = []
    left = length
    while left:
        piece = stream.read(min(left, 1 << 20))
        if not piece:
            raise Damaged("truncated_archive", f"warc: the file ends {left:,} bytes before its last record does")
        if length - left < wanted:
            parts.append(piece[: wanted - (length - left)])
        left -= len(piece)
    return b"".join(parts)


def answer(body: bytes, at_most: int) -> Answer | None:
    """The HTTP answer in a record's body, its transfer undone, up to `at_most` bytes; None where it holds none."""
    if not body.startswith(b"HTTP/"):
        return None
    ends = [
        end for mark in (b"\r\n\r\n", b"\n\n") if (end := body.find(mark, 0, LARGEST_HEAD) + len(mark)) >= len(mark)
    ]
    if not ends:
        return None
    first, *lines = body[: min(ends)].decode("latin-1").splitlines()
    words = first.split(None, 2)
    status = int(words[1]) if len(words) > 1 and words[1].isdecimal() and len(words[1]) == 3 else 0
    headers: dict[str, str] = {}
    for line in lines:
        name, _, value = line.partition(":")
        headers.setdefault(name.strip().lower(), value.strip())
    payload = body[min(ends) :]
    if "chunked" in headers.get("transfer-encoding", "").lower():
        payload = _joined(payload)
    return Answer(status, headers, _unpacked(payload, headers.get("content-encoding", "").lower(), at_most))


def _joined(payload: bytes) -> bytes:
    """The chunks of a transfer put together; as it is where it is none after all, as crawlers often stored it."""
    parts: list[bytes] = []
    at = 0
    while True:
        end = payload.find(b"\n", at, at + 1000)
        size = payload[at:end].partition(b";")[0].strip() if end >= 0 else b""
        try:
            n = int(size, 16) if size and not size.startswith((b"+", b"-")) else -1
        except ValueError:
            n = -1
        if n < 0:
            return b"".join(parts) if parts else payload
        if n == 0:
            return b"".join(parts)
        parts.append(payload[end + 1 : end + 1 + n])
        at = end + 1 + n
        at += 2 if payload[at : at + 2] == b"\r\n" else 1


def _unpacked(payload: bytes, encoding: str, at_most: int) -> bytes:
    """Without its content encoding, up to a byte more than `at_most`; as it is where it is not packed after all."""
    if encoding in ("gzip", "x-gzip", "deflate"):
        for window in (47, -15):  # gzip or zlib by their first bytes; or bare deflate, which some servers send
            try:
                return zlib.decompressobj(window).decompress(payload, at_most + 1)
            except zlib.error:
                continue
    if encoding == "zstd":
        import zstandard

        try:
            return zstandard.ZstdDecompressor(max_window_size=1 << 27).stream_reader(payload).read(at_most + 1)
        except zstandard.ZstdError:
            return payload
    return payload
