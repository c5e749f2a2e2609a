"""Markdown: one document per file. Front matter (YAML between ---, TOML between +++) becomes meta; the rest is
untouched.

The front matter's title is the document's first line in all but form, so it is set before a body that has no
heading of its own at the top.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, BinaryIO

from curate.decoding import decode, trouble, whole
from curate.records import Fields, Place, Record, document, quarantined

FRONT_MATTER = re.compile(
    r"\A\s*(?P<mark>---|\+\+\+)[ \t]*\r?\n(?P<inner>.*?)^(?P=mark)[ \t]*(?:\r?\n|\Z)", re.DOTALL | re.MULTILINE
)
SIMPLE_FIELD = re.compile(r"^([A-Za-z_][\w-]*)[ \t]*[:=][ \t]*(\S.*?)[ \t]*$", re.M)


class Markdown:
    def __call__(self, stream: BinaryIO, place: Place, fields: Fields) -> Iterator[Record]:
        content = whole(stream)
        try:
            text = decode(content, fields.encoding)
        except UnicodeDecodeError as error:
            yield quarantined(place, 0, "wrong_encoding", trouble(error), len(content))
            return
        meta, body = split_front_matter(text)
        own_id = meta.get(fields.id or "")
        yield document(place, 0, _titled(meta, body), own_id=own_id, meta=meta, raw_bytes=len(content))


def split_front_matter(text: str) -> tuple[dict[str, Any], str]:
    """(fields, body). Without front matter the body is the text itself.

    >>> split_front_matter("---\\ntitle: Fever\\n---\\nWarm.")
    ({'title': 'Fever'}, 'Warm.')
    """
    match = FRONT_MATTER.match(text)
    if not match:
        return {}, text
    fields = _toml(match["inner"]) if match["mark"] == "+++" else _yaml(match["inner"])
    if not fields and match["inner"].strip():
        return {}, text  # two rulers with prose between them
    return fields, text[match.end() :]


def _yaml(inner: str) -> dict[str, Any]:
    import yaml

    try:
        fields = yaml.load(inner, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except Exception:  # dates such as 2020-02-31, tags such as `!!int x`: PyYAML fails on them in many ways
        return _simple(inner)
    return {str(name): value for name, value in fields.items()} if isinstance(fields, Mapping) else {}


def _toml(inner: str) -> dict[str, Any]:
    import tomllib

    try:
        return tomllib.loads(inner)
    except tomllib.TOMLDecodeError:
        return _simple(inner)


def _simple(inner: str) -> dict[str, Any]:
    """Front matter that its own grammar refuses is mostly one unquoted colon: take it line by line."""
    return {name: value.strip("\"'") for name, value in SIMPLE_FIELD.findall(inner)}


def _titled(meta: Mapping[str, Any], body: str) -> str:
    title = next((value for name, value in meta.items() if name.lower() == "title"), None)
    if not isinstance(title, str) or not title.strip() or not body.strip() or body.lstrip().startswith("# "):
        return body
    return f"# {title.strip()}\n\n{body.lstrip()}"
