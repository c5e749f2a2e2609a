"""What HTML's elements mean for the text of a page, one small number each."""

from __future__ import annotations

INLINE, LINK, BREAK, CONTAINER, PARAGRAPH, HEADING, ITEM, LIST, CELL, ROW, TABLE, VERBATIM, ASIDE = range(13)
FIRST_BLOCK = CONTAINER  # from here on an element stands on lines of its own

KINDS: dict[int, str] = {
    LINK: "a",
    BREAK: "br wbr",
    CONTAINER: "address article body center dd details div dl fieldset figcaption header hgroup hr main optgroup"
    " section summary",
    PARAGRAPH: "p blockquote dt caption legend",
    HEADING: "h1 h2 h3 h4 h5 h6",
    ITEM: "li",
    LIST: "ul ol dir menu",
    CELL: "td th",
    ROW: "tr",
    TABLE: "table",
    VERBATIM: "pre listing xmp plaintext",
    # by their meaning beside the main text; kept only where most of the page's prose stands in them
    ASIDE: "nav footer aside form figure dialog",
}
KIND: dict[str, int] = {name: kind for kind, names in KINDS.items() for name in names.split()}

# no text of the page, whatever stands in them
MUTE = frozenset(
    "script style noscript svg iframe frameset button select input textarea template object embed applet canvas video"
    " audio map datalist progress meter".split()
)
