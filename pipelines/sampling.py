"""A look at the beginning of a recipe's files: how many documents, bytes of text and tokens the whole will hold.

From each source some files, spread evenly over the list; of each its first bytes, read by the reader that the run will
use. What they held per byte on disk, times the bytes on disk, is the estimate. A file that fits into the look is read
whole; of a longer one the record that the cut went through doesn't count.

    file on disk   ████████░░░░░░░░░░░░░░   read 4 MB of 11 MB: 900 documents, so some 2,475 in all
"""

from __future__ import annotations

import tempfile
import zipfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from curate.inputs import InputFile, records
from curate.records import Record
from curate.settings import Source
from curate.streams import open_file
from curate.tokenizing import Tokenizer

LOOK_BYTES = 4 << 20  # on disk, of a source
LEAST_BYTES = 1 << 18  # of a file: a block of bzip2 is up to 900 kB of text
LOOK_TEXT = 16 << 20  # of text in one file whose format can only be read whole
LOOK_FILES = 64  # of a source
WHOLE = {"text", "markdown", "html", "xml", "json"}  # formats where a cut anywhere spoils the whole file


@dataclass(frozen=True, slots=True)
class Look:
    """What the read part of a source held, and what follows for the whole of it."""

    source: Source
    files: int
    n_bytes: int
    """On disk, all files."""
    read_bytes: int
    """On disk, as much as was read."""
    read_documents: int
    read_text: int
    """UTF-8 bytes of text in what was read."""
    unread: int
    """Records in what was read that have no text."""
    unread_reason: str | None
    """The commonest one."""
    read_tokens: int | None
    """None where no tokenizer could be asked."""

    @property
    def factor(self) -> float:
        return self.n_bytes / self.read_bytes if self.read_bytes else 0.0

    @property
    def documents(self) -> int:
        return round(self.read_documents * self.factor)

    @property
    def text(self) -> int:
        return round(self.read_text * self.factor)

    @property
    def bytes_per_token(self) -> float | None:
        return self.read_text / self.read_tokens if self.read_tokens else None

    @property
    def is_whole(self) -> bool:
        return self.read_bytes >= self.n_bytes


def look(source: Source, files: Sequence[InputFile], tokenizer: Tokenizer | None) -> Look:
    """Read a bounded part of a source."""
    chosen = _spread(files)
    read_bytes, texts, unread = 0, list[str](), Counter[str]()
    for file in chosen:
        part, found = _beginning(file, source, max(LEAST_BYTES, LOOK_BYTES // len(chosen)))
        read_bytes += part
        texts += [record.text for record in found if record.text is not None]
        unread.update(record.reason or "unread" for record in found if record.text is None)
    return Look(
        source=source,
        files=len(files),
        n_bytes=sum(file.n_bytes for file in files),
        read_bytes=read_bytes,
        read_documents=len(texts),
        read_text=sum(len(text.encode("utf-8", "replace")) for text in texts),
        unread=unread.total(),
        unread_reason=unread.most_common(1)[0][0] if unread else None,
        read_tokens=_tokens(texts, tokenizer) if tokenizer else None,
    )


def _spread(files: Sequence[InputFile]) -> list[InputFile]:
    """At most LOOK_FILES of them, evenly over the list, first and last included."""
    if len(files) <= LOOK_FILES:
        return list(files)
    return [files[round(place * (len(files) - 1) / (LOOK_FILES - 1))] for place in range(LOOK_FILES)]


def _beginning(file: InputFile, source: Source, most: int) -> tuple[int, list[Record]]:
    """(bytes on disk that were read, the records in them)."""
    if file.n_bytes <= most:
        return file.n_bytes, list(records(file, source))
    if file.format == "parquet":
        return _of_parquet(file, source)
    if file.archive == "zip":
        return _of_zip(file, source, most)
    if file.format in WHOLE:
        return _of_whole(file, source)
    return _of_cut(file, source, most)


def _until_enough(file: InputFile, source: Source, text_bytes: int) -> list[Record]:
    found, size = [], 0
    for record in records(file, source):
        found.append(record)
        size += record.n_bytes
        if size >= text_bytes:
            break
    return found


def _of_parquet(file: InputFile, source: Source) -> tuple[int, list[Record]]:
    """Its own footer says how many rows there are."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with open_file(file.url) as stream:
            rows = pq.ParquetFile(stream).metadata.num_rows
    except (pa.ArrowException, OSError):  # damaged: the reader says so too, as its one record
        return file.n_bytes, list(records(file, source))
    found = _until_enough(file, source, LOOK_BYTES)
    return round(file.n_bytes * len(found) / max(rows, 1)), found


def _of_zip(file: InputFile, source: Source, most: int) -> tuple[int, list[Record]]:
    """Members up to the one where enough was read; its directory says what each takes on disk."""
    found = _until_enough(file, source, most)
    last = found[-1].path.partition("!")[2] if found else ""
    taken = 0
    try:
        with open_file(file.url) as stream, zipfile.ZipFile(stream) as archive:
            for member in archive.infolist():
                taken += member.compress_size
                if member.filename == last:
                    break
    except (zipfile.BadZipFile, OSError, ValueError):  # no directory to ask: their text has to do
        taken = sum(record.n_bytes for record in found)
    return max(1, min(taken, file.n_bytes)), found


def _of_whole(file: InputFile, source: Source) -> tuple[int, list[Record]]:
    """One large document, or an array of many that is read from its start: taken to be text throughout."""
    found = _until_enough(file, source, LOOK_TEXT)
    size = sum(record.n_bytes for record in found)
    return (file.n_bytes if size < LOOK_TEXT else min(size, file.n_bytes)), found


def _of_cut(file: InputFile, source: Source, most: int) -> tuple[int, list[Record]]:
    """The first bytes as a file of their own; what the cut went through is the last record, and left out."""
    with tempfile.TemporaryDirectory() as folder:
        part = Path(folder) / "part"
        with open_file(file.url) as stream:
            part.write_bytes(stream.read(most))
        found = list(records(replace(file, url=str(part), n_bytes=most), source))
    return most, found[:-1]


def _tokens(texts: list[str], tokenizer: Tokenizer) -> int:
    import pyarrow as pa

    ids, _ = tokenizer.encode(pa.array(texts, pa.large_string()))
    return len(ids)
