"""datatrove documents as Arrow tables and back, nothing lost: what lets our kernels stand in a datatrove pipeline.

    Document(text, id, metadata={"year": 1998, "tags": ["a"]}, media=[...])  ◀─▶  id, text, metadata, media (JSON)

Integers of any size, nested metadata, non-finite numbers and media with their bytes come back equal; tuples come back
as lists, as from datatrove's own writers. Half of a surrogate pair is no character: in a text it becomes U+FFFD.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from curate.shards.fault import Fault

if TYPE_CHECKING:
    from datatrove.data import Document

DOCUMENTS = pa.schema(
    [
        ("id", pa.large_string()),
        ("text", pa.large_string()),
        ("metadata", pa.large_string()),  # a JSON object
        ("media", pa.large_string()),  # a JSON list; null: none
    ]
)
SURROGATES = re.compile("[\ud800-\udfff]")
BATCH_BYTES = 8 << 20  # of text: what the kernels take at a time
BATCH_DOCUMENTS = 1 << 14


def table_of(documents: Sequence[Document]) -> pa.Table:
    """Raises Fault for metadata that JSON cannot hold, naming the document."""
    columns = {
        "id": [one.id for one in documents],
        "text": texts_of(documents),
        "metadata": [_json(one.metadata, one.id) for one in documents],
        "media": [_json([_plain_media(m) for m in one.media], one.id) if one.media else None for one in documents],
    }
    return pa.table([pa.array(columns[field.name], field.type) for field in DOCUMENTS], schema=DOCUMENTS)


def documents_of(table: pa.Table) -> Iterator[Document]:
    from datatrove.data import Document, Media

    for row in table.select(DOCUMENTS.names).to_pylist():
        media = [Media(**_with_bytes(one)) for one in json.loads(row["media"] or "[]")]
        yield Document(text=row["text"], id=row["id"], media=media, metadata=json.loads(row["metadata"]))


def in_batches(documents: Iterable[Document]) -> Iterator[list[Document]]:
    """Documents in order, some megabytes of text at a time; a larger one alone."""
    held: list[Document] = []
    size = 0
    for document in documents:
        n_bytes = len(document.text) if document.text.isascii() else len(document.text.encode("utf-8", "replace"))
        if held and (size + n_bytes > BATCH_BYTES or len(held) == BATCH_DOCUMENTS):
            yield held
            held, size = [], 0
        held.append(document)
        size += n_bytes
    if held:
        yield held


def texts_of(documents: Sequence[Document]) -> pa.LargeStringArray:
    texts = [one.text for one in documents]
    try:
        return pa.array(texts, pa.large_string())
    except UnicodeEncodeError:
        return pa.array([SURROGATES.sub("\ufffd", text) for text in texts], pa.large_string())


def _json(value: object, document: str) -> str:
    try:
        _require_text_keys(value)
        return json.dumps(value)  # as ASCII: a lone surrogate of a name survives so
    except (TypeError, ValueError, RecursionError) as error:
        raise Fault(
            f"the metadata of a document cannot be written as JSON: {error}",
            where=document,
            hint="turn it into numbers, text, lists and mappings by text in a step before",
        ) from error


def _require_text_keys(value: object) -> None:
    """json would turn other keys into text and say nothing."""
    if isinstance(value, dict):
        if wrong := [key for key in value if not isinstance(key, str)]:
            raise TypeError(f"{wrong[0]!r} is a key, and no text")
        for one in value.values():
            _require_text_keys(one)
    elif isinstance(value, list | tuple):
        for one in value:
            _require_text_keys(one)


def _plain_media(media: Any) -> dict[str, Any]:
    fields = asdict(media)
    if fields["media_bytes"] is not None:
        fields["media_bytes"] = base64.b64encode(fields["media_bytes"]).decode()
    return fields


def _with_bytes(fields: dict[str, Any]) -> dict[str, Any]:
    if fields["media_bytes"] is not None:
        fields["media_bytes"] = base64.b64decode(fields["media_bytes"])
    return fields
