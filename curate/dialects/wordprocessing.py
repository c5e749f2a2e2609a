"""WordprocessingML, the XML within DOCX: paragraphs, headings, list items, tables and notes of the final version.

What tracked changes took out goes, what they put in stays. Field codes, drawings' coordinates and the older twin of
everything that is stored twice go too. A note's number stands in brackets where it is called and before the note.
"""

from __future__ import annotations

from curate.dialects.prose import Dialect, Element, Prose, child, flat, inside, local_name, walk

SEPARATORS = frozenset({"separator", "continuationSeparator", "continuationNotice"})  # notes that are lines


def extract(body: Element, notes: list[tuple[str, Element]]) -> str:
    """The text of a document's body, and behind it the notes: (mark before the number, root of their part)."""
    prose = Prose(WORD)
    walk(body, prose)
    for mark, root in notes:
        for note in root:
            if local_name(note) in ("footnote", "endnote") and _attribute(note, "type") not in SEPARATORS:
                prose.end()
                prose.add(f"[{mark}{_attribute(note, 'id')}] ")
                prose.add(flat(note, WORD))
                prose.end()
    return prose.text()


def _attribute(element: Element, name: str) -> str | None:
    """By its local name: strict and transitional files differ in namespaces."""
    return next((str(value) for key, value in element.attrib.items() if key.rpartition("}")[2] == name), None)


def _paragraph(element: Element, prose: Prose) -> None:
    outer = prose.kind
    prose.end()
    if prose.kind == "paragraph" and _is_item(element):
        prose.kind = "item"
        prose.add("- ")
    inside(element, prose)
    prose.end()
    prose.kind = outer


def _is_item(paragraph: Element) -> bool:
    number = child(paragraph, "pPr", "numPr", "numId")
    if number is not None:
        return _attribute(number, "val") != "0"  # 0 takes away what the style gives
    style = child(paragraph, "pPr", "pStyle")
    return style is not None and (_attribute(style, "val") or "").startswith(("List", "liste"))


def _table(element: Element, prose: Prose) -> None:
    prose.end()
    outer, prose.kind = prose.kind, "row"
    for row in _below(element, "tr"):
        cells = [flat(cell, WORD) for cell in _below(row, "tc")]
        if any(cells):
            prose.add(" | ".join(cells))
            prose.end()
    prose.kind = outer


def _below(element: Element, name: str) -> list[Element]:
    """Children of that name, also within what wraps content controls and insertions around them."""
    found: list[Element] = []
    for one in element:
        here = local_name(one)
        if here == name:
            found.append(one)
        elif here in ("sdt", "sdtContent", "ins", "customXml", "moveTo"):
            found += _below(one, name)
    return found


def _break(element: Element, prose: Prose) -> None:
    prose.end()


def _space(element: Element, prose: Prose) -> None:
    prose.add(" ")


def _hyphen(element: Element, prose: Prose) -> None:
    prose.add("\u2011")


def _called(element: Element, prose: Prose) -> None:
    mark = "" if local_name(element) == "footnoteReference" else "e"
    prose.add(f"[{mark}{_attribute(element, 'id')}]")


def _drawing(element: Element, prose: Prose) -> None:
    """Of a drawing only the text boxes."""
    for box in element.iter("{*}txbxContent"):
        inside(box, prose)


WORD = Dialect(
    blocks=frozenset({"sdt", "altChunk"}),
    dropped=frozenset({
        "Fallback", "annotationRef", "comment", "del", "delInstrText", "delText", "docPartObj", "endnoteRef", "fldData",
        "footnoteRef", "instrText", "moveFrom", "object", "pPr", "rPr", "rubyPr", "rt", "sdtEndPr", "sdtPr", "sectPr",
        "tblGrid", "tblPr", "tcPr", "trPr",
    }),
    hands={
        "p": _paragraph, "tbl": _table, "br": _break, "cr": _break, "tab": _space, "noBreakHyphen": _hyphen,
        "footnoteReference": _called, "endnoteReference": _called, "drawing": _drawing, "pict": _drawing,
    },
)  # fmt: skip
