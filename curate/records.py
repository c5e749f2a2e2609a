"""Raw records: what a reader hands on, one for every record it meets, readable or not.

A reader (curate/readers) turns a stream of bytes into `Record`s. Each has a place (path and position), and either
text or a reason why there is none: a bad record is never an exception and never silence, it is a row of the ledger
with the reason and an excerpt as evidence. `batches` packs records into Arrow record batches of a few megabytes,
the unit that every later pass works on.

    Record("a.jsonl", 0, own_id="7", text="Aspirin ...", meta={"year": 1998}, n_bytes=11)
    Record("a.jsonl", 1, reason="broken_json", evidence="Expecting value: column 9: {\\"text\\": }", n_bytes=9)
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson
import pyarrow as pa

RAW = pa.schema(
    [
        ("path", pa.string()),  # below the source's root; members of an archive as archive.tar.gz!inner/name.xml
        ("position", pa.int64()),  # of the record within that path, from 0
        ("own_id", pa.string()),  # null: the record has none
        ("text", pa.large_string()),  # null: quarantined
        ("meta", pa.string()),  # JSON object of the record's other scalar fields; null: none
        ("reason", pa.string()),  # of the quarantine; null: readable
        ("evidence", pa.string()),  # of the quarantine: a short excerpt or message
        ("n_bytes", pa.int64()),  # of the text in UTF-8; where there is none, of the raw record as found
    ]
)

# Bytes: a line, file or field beyond this is no document. The largest books and court files are under 50 MB; at 128 MB
# a record and its copies (bytes, parsed, Arrow) still fit a worker's share of memory, and no compressed piece that
# curate.frames unpacks at once can inflate to more.
LARGEST_RECORD = 128 << 20
EVIDENCE_CHARS = 200
MOST_RECORDS = 1 << 16  # of a batch: many tiny records must end one too
PART_BYTES = 1 << 19  # of text that is held as Python objects: as much as stays in a processor's cache


@dataclass(frozen=True, slots=True)
class Span:
    """A part of a file that is read by itself: bytes of a file of lines, from where a line begins; row groups of
    Parquet."""

    begin: int
    end: int  # exclusive
    first: int  # position, in the whole file, of the first record that can stand in it; 0: the file's beginning
    n_bytes: int  # on disk
    encoding: str | None = None  # what the file's byte order mark says, which a later part does not see


@dataclass(frozen=True, slots=True)
class Place:
    """Where a stream comes from: named in every record read from it."""

    path: str
    span: Span | None = None  # None: the whole file

    @property
    def first(self) -> int:
        """Position of the stream's first record."""
        return self.span.first if self.span else 0


@dataclass(frozen=True, slots=True)
class Fields:
    """What the recipe says about a source's records: where the text and the id are, and the encoding of text files."""

    text: tuple[str, ...] = ("text",)
    id: str | None = None
    encoding: str = "utf-8"
    used: frozenset[str] = field(init=False, repr=False, compare=False)  # fields of a row that do not become meta

    def __post_init__(self) -> None:
        names = (*self.text, *([self.id] if self.id else []))
        object.__setattr__(self, "used", frozenset(name.split(".")[0] for name in names))


@dataclass(frozen=True, slots=True)
class Record:
    path: str
    position: int
    own_id: str | None = None
    text: str | None = None
    meta: Mapping[str, Any] = field(default_factory=dict)
    reason: str | None = None
    evidence: str | None = None
    n_bytes: int = 0


class Damaged(Exception):
    """A stream ends or breaks here: what came before stands, what is left of the file is one quarantined record."""

    def __init__(self, reason: str, evidence: str) -> None:
        super().__init__(evidence)
        self.reason, self.evidence = reason, evidence
        self.before = b""  # what a reader of whole files had got hold of


def document(
    place: Place,
    position: int,
    text: object,
    *,
    own_id: object = None,
    meta: Mapping[str, Any] | None = None,
    raw_bytes: int = 0,
) -> Record:
    """A record of this text, or its quarantine where the text cannot be stored or says nothing."""
    if not isinstance(text, str):
        return quarantined(place, position, "missing_text", f"holds {_kind(text)} instead of text", raw_bytes, own_id)
    if not text or text.isspace():
        return quarantined(place, position, "empty_text", repr(text), raw_bytes, own_id)
    try:
        utf8: str | bytes = text if text.isascii() else text.encode()
    except UnicodeEncodeError as error:
        what = f"lone surrogate U+{ord(text[error.start]):04X} at character {error.start}"
        return quarantined(place, position, "wrong_encoding", what, raw_bytes, own_id)
    n_bytes = len(utf8)
    if (b"\0" in utf8) if isinstance(utf8, bytes) else ("\0" in utf8):  # binary, or UTF-16 read as bytes
        nul = text.index("\0")
        what = f"NUL at character {nul}: {text[max(0, nul - 20) : nul + 20]!r}"
        return quarantined(place, position, "wrong_encoding", what, raw_bytes, own_id)
    if n_bytes > LARGEST_RECORD:
        return quarantined(place, position, "too_large", f"{n_bytes:,} bytes of text", raw_bytes or n_bytes, own_id)
    return Record(place.path, position, _own_id(own_id), text, _scalars(meta or {}), n_bytes=n_bytes)


def quarantined(
    place: Place, position: int, reason: str, evidence: object, n_bytes: int, own_id: object = None
) -> Record:
    """The row of a record that cannot be read. `n_bytes`: of the raw record, as found."""
    excerpt = storable(str(evidence)[:EVIDENCE_CHARS])[:EVIDENCE_CHARS]
    return Record(place.path, position, _own_id(own_id), reason=reason, evidence=excerpt, n_bytes=n_bytes)


def batches(records: Iterable[Record], batch_bytes: int = 8 << 20) -> Iterator[pa.RecordBatch]:
    """Packs records, in order, into batches of at most `batch_bytes` of text; a larger document stands alone."""
    parts: list[pa.RecordBatch] = []  # of the batch under way
    held: list[Record] = []  # and what is not in them yet
    n_records = n_bytes = held_bytes = 0
    for record in records:
        size = record.n_bytes if record.text is not None else 0
        if n_records and (n_bytes + size > batch_bytes or n_records == MOST_RECORDS):
            yield _joined([*parts, _batch(held)])
            parts, held = [], []
            n_records = n_bytes = held_bytes = 0
        if held_bytes > PART_BYTES:
            parts.append(_batch(held))
            held, held_bytes = [], 0
        held.append(record)
        n_records, n_bytes, held_bytes = n_records + 1, n_bytes + size, held_bytes + size
    if n_records:
        yield _joined([*parts, _batch(held)])


def _joined(parts: list[pa.RecordBatch]) -> pa.RecordBatch:
    if len(parts) == 1:
        return parts[0]
    return pa.Table.from_batches(parts).combine_chunks().to_batches()[0]


def shown(value: object) -> str:
    """A value as evidence; one that is nested too deeply for Python to write down is said to be so."""
    try:
        return repr(value)
    except RecursionError:
        return f"a {type(value).__name__} nested very deeply"


def storable(text: str) -> str:
    """The text with lone surrogates and NULs written out, so that it can stand in any file."""
    if text.isascii() and "\0" not in text:
        return text
    return text.replace("\0", "\\x00").encode("utf-8", "backslashreplace").decode()


def _batch(records: list[Record]) -> pa.RecordBatch:
    columns = {
        "path": [record.path for record in records],
        "position": [record.position for record in records],
        "own_id": [record.own_id for record in records],
        "text": [record.text for record in records],
        "meta": [_json(record.meta) for record in records],
        "reason": [record.reason for record in records],
        "evidence": [record.evidence for record in records],
        "n_bytes": [record.n_bytes for record in records],
    }
    return pa.RecordBatch.from_arrays([pa.array(columns[one.name], one.type) for one in RAW], schema=RAW)


def _json(meta: Mapping[str, Any]) -> str | None:
    """A flat JSON object; orjson writes it, and Python's json what orjson refuses (lone surrogates, 65-bit numbers)."""
    if not meta:
        return None
    try:
        return orjson.dumps(meta, default=str, option=orjson.OPT_PASSTHROUGH_DATETIME).decode()
    except TypeError:
        plain = {storable(name): storable(value) if isinstance(value, str) else value for name, value in meta.items()}
        return json.dumps(plain, ensure_ascii=False, default=lambda value: storable(str(value)), separators=(",", ":"))


def _scalars(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Fields that fit a flat JSON object: nested ones, binary ones, nulls and NaN stay behind."""
    return {str(name): value for name, value in fields.items() if value.__class__ is str or _is_scalar(value)}


def _is_scalar(value: Any) -> bool:
    if value is None or isinstance(value, (dict, list, tuple, set, bytes)):
        return False
    return not (isinstance(value, float) and not math.isfinite(value))


def _own_id(value: object) -> str | None:
    """The id as text. Values that cannot name a record (null, empty, nested) count as none."""
    if value is None or isinstance(value, (bool, dict, list, bytes)) or value == "":
        return None
    return storable(str(value))


def _kind(value: object) -> str:
    if value is None:
        return "null"
    return f"{type(value).__name__} {shown(value)}"
