"""A record with fields, whatever file it came from, to text, id and meta: as the recipe's `text:` and `id:` say."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from curate.records import Fields, Place, Record, document, quarantined, shown

ABSENT = object()


def record_of(
    row: Mapping[str, Any], place: Place, position: int, fields: Fields, raw_bytes: int, key: str | None = None
) -> Record:
    """The record that a row of fields makes. `key`: its name where the file maps names to rows."""
    own_id = key if fields.id is None else field_of(row, fields.id)
    own_id = None if own_id is ABSENT else own_id
    text, missing = _joined(row, fields)
    if text is None:
        return quarantined(place, position, "missing_text", missing, raw_bytes, own_id)
    meta = {name: value for name, value in row.items() if name not in fields.used}
    return document(place, position, text, own_id=own_id, meta=meta, raw_bytes=raw_bytes)


def _joined(row: Mapping[str, Any], fields: Fields) -> tuple[str | None, str]:
    """The fields that hold text, joined by a blank line; or None, and what stands in their places."""
    first = row.get(fields.text[0])
    if len(fields.text) == 1 and isinstance(first, str):  # nearly always
        return first, ""
    found = [(name, field_of(row, name)) for name in fields.text]
    parts = [part for _, value in found if (part := _text_of(value)) is not None]
    if not parts:
        return None, "; ".join(f"field {name!r} {_found(value, row)}" for name, value in found)
    return "\n\n".join(part for part in parts if part.strip()) if len(parts) > 1 else parts[0], ""


def field_of(row: Mapping[str, Any], name: str) -> Any:
    """The field of that name; dots go into nested objects where no field has the whole name. ABSENT where none is."""
    if name in row:
        return row[name]
    first, dot, rest = name.partition(".")
    inner = row.get(first)
    return field_of(inner, rest) if dot and isinstance(inner, Mapping) else ABSENT


def _text_of(value: Any) -> str | None:
    """A string, or a list of strings as its lines."""
    if isinstance(value, str):
        return value
    if isinstance(value, (list, tuple)) and value and all(isinstance(item, str) for item in value):
        return "\n".join(value)
    return None


def _found(value: Any, row: Mapping[str, Any]) -> str:
    if value is ABSENT:
        return f"is not among {', '.join(map(str, row)) or 'no fields'}"
    return "is null" if value is None else f"holds {type(value).__name__} {shown(value)}"
