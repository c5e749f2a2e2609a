"""Parts of a shard file, written by many workers, made one file without touching what is in them.

An Arrow stream is a schema message, record batch messages and an end mark. None refers to another's place, so streams
of one schema join by copying the messages: the bytes are those that a single writer would have written.

    schema · batch · batch · end      schema · batch · end      ─▶      schema · batch · batch · batch · end
"""

from __future__ import annotations

import os
import shutil
import struct
from collections.abc import Sequence
from pathlib import Path

from curate.shards.format import END_OF_STREAM

_MESSAGE = struct.Struct("<iI")  # continuation mark -1, bytes of the metadata that follows


def join_streams(parts: Sequence[Path], path: Path) -> None:
    """Make `parts`, in order, the stream `path`. The file appears whole; a lone part is moved there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if len(parts) == 1:
        os.replace(parts[0], path)
        return
    beside = path.with_name(f".{path.name}.tmp")
    with beside.open("wb") as whole:
        for number, part in enumerate(parts):
            with part.open("rb") as stream:
                schema = _schema(stream.read(_MESSAGE.size))
                stream.seek(schema if number else 0)
                shutil.copyfileobj(stream, whole, 1 << 20)
            if number < len(parts) - 1:
                whole.seek(-len(END_OF_STREAM), os.SEEK_CUR)  # the next part writes over the end mark
    os.replace(beside, path)


def _schema(head: bytes) -> int:
    """Bytes of the schema message: a head, and metadata without a body."""
    mark, metadata = _MESSAGE.unpack(head)
    assert mark == -1
    return _MESSAGE.size + int(metadata)
