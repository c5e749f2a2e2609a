"""XML of no dialect we know: all its text by block.

What a block is shows in the tree: an element that stands between words is part of their line; one that stands among
elements is a block. A few names that mean the same nearly everywhere help: paragraphs and lines are blocks even
between words, numbers and labels stand before what they number (`(a) The court may ...`).
"""

from __future__ import annotations

from curate.dialects.mathml import math
from curate.dialects.prose import Dialect, Element, Extract, Prose, child, flat, lowered, raised, table, walk


def extract(root: Element) -> Extract:
    """All text below the root; the TEI header, which is about the text, gives its title and is left out."""
    prose = Prose(ANY)
    walk(root, prose)
    title = child(root, "teiHeader", "fileDesc", "titleStmt", "title")
    return Extract(prose.text(), meta={} if title is None else {"title": flat(title, ANY)})


ANY = Dialect(
    blocks=frozenset({
        "p", "para", "paragraph", "div", "section", "item", "li", "list", "l", "lg", "tr", "row", "head", "heading",
        "title", "blockquote",
    }),
    dropped=frozenset({
        "teiHeader", "script", "style",
    }),
    kinds={"num": "label", "prefix": "label", "label": "label", "enum": "label",
           "item": "item", "li": "item", "l": "verse"},
    hands={"table": table, "sup": raised, "sub": lowered, "math": math},
    by_structure=True,
)  # fmt: skip
