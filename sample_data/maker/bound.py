"""Documents bound as people send them: PDF with a text layer, PDF of a scan, DOCX, EPUB, each written by hand.

The text is the light Markdown of `texts/`: `# heading`, `- item`, `| cell | cell |`, anything else a paragraph. Nothing
here is compressed but by zip, so that the bytes are the same on every machine.
"""

from __future__ import annotations

import html
import re
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from maker import files
from maker.corpus import Document


@dataclass(frozen=True, slots=True)
class Block:
    kind: str  # heading, paragraph, item, row
    text: str
    cells: tuple[str, ...] = ()


def blocks(text: str) -> Iterator[Block]:
    for part in text.split("\n\n"):
        for line in part.split("\n"):
            if line.startswith("# "):
                yield Block("heading", line[2:])
            elif line.startswith("- "):
                yield Block("item", line[2:])
            elif line.startswith("|"):
                yield Block("row", line, tuple(cell.strip() for cell in line.strip("|").split("|")))
            else:
                yield Block("paragraph", line)


# PDF ------------------------------------------------------------------------------------------------------------------

LINE, LINES = 84, 46  # characters to a line, lines to a page


def pdf(document: Document) -> bytes:
    """Pages of lines, as print shops make them: a line ends where the page is full, not where a sentence is."""
    lines = [document.title, ""]
    for part in document.text.split("\n\n"):
        lines += [*textwrap.wrap(part, LINE, break_on_hyphens=False), ""]
    pages = [_page(lines[at : at + LINES]) for at in range(0, len(lines), LINES)]
    font = b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>"
    return _pdf_file([(page, b"/Font << /F1 %d 0 R >>") for page in pages], font)


def scanned(document: Document) -> bytes:
    """A picture of a page and no letter of text: what a copying machine sends by mail."""
    width, height = 48, 68
    pixels = b"".join(bytes([0xFF]) * 6 if row % 4 else bytes([0x80, 0, 0x3F, 0, 0, 0xFF]) for row in range(height))
    image = b"<< /Type /XObject /Subtype /Image /Width %d /Height %d /ColorSpace /DeviceGray /BitsPerComponent 1" % (
        width,
        height,
    )
    drawn = b"q 480 0 0 680 57 80 cm /Im1 Do Q"
    return _pdf_file([(drawn, b"/XObject << /Im1 %d 0 R >>")], image + _stream(pixels, b""))


def _page(lines: Sequence[str]) -> bytes:
    shown = [re.sub(r"([\\()])", r"\\\1", line) for line in lines]
    text = "\n".join(f"({line}) Tj T*" for line in shown)
    return f"BT /F1 11 Tf 15 TL 60 780 Td\n{text}\nET".encode("cp1252")


def _pdf_file(pages: Sequence[tuple[bytes, bytes]], shared: bytes) -> bytes:
    """Objects: 1 catalogue, 2 pages, 3 what all pages use, then each page and its content."""
    numbers = range(4, 4 + 2 * len(pages), 2)
    kids = b" ".join(b"%d 0 R" % number for number in numbers)
    objects = [b"<< /Type /Catalog /Pages 2 0 R >>", b"<< /Type /Pages /Kids [%s] /Count %d >>" % (kids, len(pages))]
    objects.append(shared)
    for number, (content, resources) in zip(numbers, pages, strict=True):
        page = b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Resources << %s >> /Contents %d 0 R >>"
        objects += [page % (resources % 3, number + 1), _stream(content)]
    out, places = b"%PDF-1.4\n", []
    for number, body in enumerate(objects, start=1):
        places.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    end = b"trailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (len(objects) + 1, len(out))
    return out + b"xref\n0 %d\n0000000000 65535 f \n%s" % (len(objects) + 1, table) + end


def _stream(content: bytes, opening: bytes = b"<<") -> bytes:
    return opening + b" /Length %d >>\nstream\n%s\nendstream" % (len(content), content)


# DOCX -----------------------------------------------------------------------------------------------------------------

WORD = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
PACKAGE = "http://schemas.openxmlformats.org/package/2006"
STYLES = {"heading": "Heading1", "item": "ListBullet"}
XML = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'


def docx(document: Document) -> bytes:
    """Headings and lists by their styles, tables as tables."""
    body, row = "", False
    for block in (Block("heading", document.title), *blocks(document.text)):
        if row != (block.kind == "row"):
            body += "</w:tbl>" if row else "<w:tbl>" if block.kind == "row" else ""
            row = not row
        if block.kind == "row":
            body += "<w:tr>" + "".join(f"<w:tc>{_paragraph(cell)}</w:tc>" for cell in block.cells) + "</w:tr>"
        else:
            body += _paragraph(block.text, STYLES.get(block.kind))
    types = (
        ("/word/document.xml", "application/vnd.openxmlformats-officedocument.wordprocessingml.document.main+xml"),
        ("/docProps/core.xml", "application/vnd.openxmlformats-package.core-properties+xml"),
    )
    listed = "".join(f'<Override PartName="{name}" ContentType="{kind}"/>' for name, kind in types)
    plain = '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
    core = f"{PACKAGE}/relationships/metadata/core-properties"
    parts = {
        "[Content_Types].xml": f'<Types xmlns="{PACKAGE}/content-types">{plain}{listed}</Types>',
        "_rels/.rels": f'<Relationships xmlns="{PACKAGE}/relationships">'
        f'<Relationship Id="r1" Type="{OFFICE}/officeDocument" Target="word/document.xml"/>'
        f'<Relationship Id="r2" Type="{core}" Target="docProps/core.xml"/></Relationships>',
        "word/document.xml": f'<w:document xmlns:w="{WORD}"><w:body>{body}<w:sectPr/></w:body></w:document>',
        "docProps/core.xml": f'<cp:coreProperties xmlns:cp="{PACKAGE}/metadata/core-properties" '
        f'xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:title>{_escaped(document.title)}</dc:title>'
        "<dc:creator>Ward 7</dc:creator></cp:coreProperties>",
    }
    return files.zipped([(name, (XML + text).encode()) for name, text in parts.items()])


def _paragraph(text: str, style: str | None = None) -> str:
    properties = f'<w:pPr><w:pStyle w:val="{style}"/></w:pPr>' if style else ""
    return f'<w:p>{properties}<w:r><w:t xml:space="preserve">{_escaped(text)}</w:t></w:r></w:p>'


# EPUB -----------------------------------------------------------------------------------------------------------------


def epub(document: Document) -> bytes:
    """A chapter for each heading. The manifest names them backwards: their order is the spine's."""
    chapters = [f"# {part}" for part in re.split(r"^# ", document.text, flags=re.M)[1:]]
    names = [f"chapter-{number}" for number in range(1, len(chapters) + 1)]
    items = "".join(
        f'<item id="{name}" href="{name}.xhtml" media-type="application/xhtml+xml"/>' for name in reversed(names)
    )
    spine = "".join(f'<itemref idref="{name}"/>' for name in names)
    package = f"""<package xmlns="http://www.idpf.org/2007/opf" version="3.0" unique-identifier="id">
<metadata xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:identifier id="id">ward-handbook</dc:identifier>
<dc:title>{_escaped(document.title)}</dc:title><dc:creator>Ward 7</dc:creator><dc:language>en</dc:language></metadata>
<manifest><item id="nav" href="nav.xhtml" properties="nav" media-type="application/xhtml+xml"/>{items}</manifest>
<spine><itemref idref="nav"/>{spine}</spine></package>"""
    container = """<container xmlns="urn:oasis:names:tc:opendocument:xmlns:container" version="1.0"><rootfiles>
<rootfile full-path="OEBPS/book.opf" media-type="application/oebps-package+xml"/></rootfiles></container>"""
    links = "".join(f'<li><a href="{name}.xhtml">{name}</a></li>' for name in names)
    parts = {
        "META-INF/container.xml": container,
        "OEBPS/book.opf": package,
        "OEBPS/nav.xhtml": _xhtml("Contents", f"<nav><ol>{links}</ol></nav>"),
        **{f"OEBPS/{name}.xhtml": _chapter(text) for name, text in zip(names, chapters, strict=True)},
    }
    members = [(name, (XML + text).encode()) for name, text in parts.items()]
    return files.zipped([("mimetype", b"application/epub+zip"), *members])


def _chapter(text: str) -> str:
    tags = {"heading": "h1", "paragraph": "p"}
    body = "\n".join(f"<{tags[one.kind]}>{_escaped(one.text)}</{tags[one.kind]}>" for one in blocks(text) if one.text)
    return _xhtml("Chapter", body)


def _xhtml(title: str, body: str) -> str:
    head = f'<html xmlns="http://www.w3.org/1999/xhtml"><head><title>{title}</title></head>'
    return f"{head}\n<body>\n{body}\n</body></html>"


def _escaped(text: str) -> str:
    return html.escape(text, quote=False)
