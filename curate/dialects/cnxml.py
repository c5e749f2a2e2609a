"""CNXML, the textbooks' XML of OpenStax (Connexions): title, abstract, then the content."""

from __future__ import annotations

from curate.dialects.mathml import math
from curate.dialects.prose import (
    Dialect,
    Element,
    Extract,
    Prose,
    child,
    flat,
    inside,
    local_name,
    lowered,
    raised,
    table,
    walk,
)


def is_module(element: Element) -> bool:
    """A <document> that has <content>: whatever version of the namespace it declares."""
    return local_name(element) == "document" and child(element, "content") is not None


def extract(module: Element) -> Extract:
    """The text of a module, its content id and title."""
    about = child(module, "metadata")
    title = child(module, "title")
    abstract, own_id, licence = (
        child(about, name) if about is not None else None for name in ("abstract", "content-id", "license")
    )
    prose = Prose(CNXML)
    for element in (title, abstract, child(module, "content"), child(module, "glossary")):
        if element is not None:
            walk(element, prose)
    meta = {
        "title": None if title is None else flat(title, CNXML),
        "license": None if licence is None else licence.get("url") or flat(licence, CNXML),
    }
    return Extract(prose.text(), None if own_id is None else flat(own_id, CNXML), meta)


def _meaning(element: Element, prose: Prose) -> None:
    prose.add(": ")
    inside(element, prose, True)


CNXML = Dialect(
    blocks=frozenset({
        "abstract", "caption", "code", "commentary", "content", "definition", "equation", "example", "exercise",
        "figure", "glossary", "injected-exercise", "item", "label", "list", "note", "para", "problem", "proof",
        "quote", "rule", "section", "solution", "statement", "subfigure", "title",
    }),
    dropped=frozenset({
        "metadata", "media", "image", "iframe", "footnote", "object", "video", "audio", "flash",
    }),
    kinds={"item": "item", "label": "label"},
    hands={"meaning": _meaning, "sup": raised, "sub": lowered, "math": math, "table": table},
)  # fmt: skip
