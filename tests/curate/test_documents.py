"""Documents people write and Arrow tables programs write: each file's text, whole, in order; what holds none is named."""

# ruff: noqa: E501 - markup stands in long lines
from __future__ import annotations

import io
import random
import struct
import zipfile
from contextlib import suppress
from pathlib import Path

import datasets
import docx
import pyarrow as pa
import pyarrow.feather
import pytest

from curate.inputs import list_files, records
from curate.readers.arrow import Arrow
from curate.readers.docx import Docx
from curate.readers.epub import Epub
from curate.readers.pdf import Pdf
from curate.records import Damaged, Fields, Place, Record
from curate.settings import Source

ROWS = [{"id": f"n{k}", "text": f"note {k}", "year": 1990 + k, "tags": ["a"]} for k in range(3000)]


def told(reader: object, content: bytes, **fields: object) -> list[Record]:
    return list(reader(io.BytesIO(content), Place("x"), Fields(**fields)))  # type: ignore[operator]


def until_damage(reader: object, content: bytes) -> tuple[list[Record], Damaged | None]:
    """What a reader delivers, and the damage it ends in."""
    found: list[Record] = []
    try:
        found.extend(iter(reader(io.BytesIO(content), Place("x"), Fields())))  # type: ignore[operator]
    except Damaged as damage:
        return found, damage
    return found, None


def reason(reader: object, content: bytes) -> str | None:
    """Of the one record that a file makes, or the damage that it is."""
    try:
        (found,) = told(reader, content)
    except Damaged as damage:
        return damage.reason
    return found.reason


# Arrow ---------------------------------------------------------------------------------------------------------------


def arrow_bytes(form: str, compression: str | None = None, rows: int = 1000) -> bytes:
    out, table = io.BytesIO(), pa.Table.from_pylist(ROWS)
    options = pa.ipc.IpcWriteOptions(compression=compression)
    new = pa.ipc.new_stream if form == "stream" else pa.ipc.new_file
    with new(out, table.schema, options=options) as writer:
        writer.write_table(table, max_chunksize=rows)
    return out.getvalue()


@pytest.mark.parametrize("compression", [None, "lz4", "zstd"])
@pytest.mark.parametrize("form", ["stream", "file"])
def test_every_form_of_arrow_gives_the_same_rows(form: str, compression: str | None) -> None:
    found = told(Arrow(), arrow_bytes(form, compression), id="id")
    assert [(one.position, one.own_id, one.text, dict(one.meta)) for one in found] == [
        (k, row["id"], row["text"], {"year": row["year"]}) for k, row in enumerate(ROWS)
    ]


def test_feather_and_compressed_arrow_are_read_by_name(tmp_path: Path) -> None:
    pyarrow.feather.write_feather(pa.Table.from_pylist(ROWS), tmp_path / "a.feather")
    (tmp_path / "b.arrow").write_bytes(arrow_bytes("stream"))
    with zipfile.ZipFile(tmp_path / "c.zip", "w") as archive:  # its members come as streams that can't seek
        archive.writestr("c.arrow", arrow_bytes("file"))
    for name in ("a.feather", "b.arrow", "c.zip"):
        source = Source(name="s", path=name)
        found = [one for file in list_files(source, tmp_path) for one in records(file, source)]
        assert [one.text for one in found] == [row["text"] for row in ROWS], name


def test_what_datasets_saves_is_read_as_it_is(tmp_path: Path) -> None:
    both = datasets.DatasetDict({name: datasets.Dataset.from_list(ROWS[:50]) for name in ("train", "test")})
    both.save_to_disk(tmp_path / "saved")
    source = Source(name="s", path="saved/**/*.arrow", id="id")
    found = [one for file in list_files(source, tmp_path) for one in records(file, source)]
    assert [one.text for one in found] == [row["text"] for row in ROWS[:50]] * 2
    assert {one.path.partition("/")[0] for one in found} == {"train", "test"}


@pytest.mark.parametrize("form", ["stream", "file"])
def test_arrow_cut_short_delivers_the_batches_before_the_cut(form: str) -> None:
    content = arrow_bytes(form, rows=100)
    found, damage = until_damage(Arrow(), content[: len(content) * 6 // 10])
    assert damage is not None
    assert damage.reason == "unreadable_file"
    assert 1000 < len(found) < 3000
    assert len(found) % 100 == 0
    assert [one.text for one in found] == [row["text"] for row in ROWS[: len(found)]]


def test_what_is_no_arrow_is_unreadable() -> None:
    draw = random.Random(3)
    for content in (b"", b"ARROW1\0\0", b"ARROW1\0\0 nothing", b"no arrow at all", draw.randbytes(1000), b"\xff" * 100):
        with pytest.raises(Damaged) as caught:
            told(Arrow(), content)
        assert caught.value.reason == "unreadable_file"


# PDF -----------------------------------------------------------------------------------------------------------------


def pdf(pages: list[str], title: str = "Fever") -> bytes:
    """A PDF by hand: one line of Helvetica on each page; no text operator where the line is empty."""
    kids = " ".join(f"{4 + 2 * k} 0 R" for k in range(len(pages)))
    objects = [
        "<< /Type /Catalog /Pages 2 0 R >>",
        f"<< /Type /Pages /Kids [{kids}] /Count {len(pages)} >>",
        "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    ]
    for k, line in enumerate(pages):
        drawn = " ".join(
            f"BT /F1 12 Tf 72 {700 - 14 * n} Td ({part}) Tj ET" for n, part in enumerate(line.split("\n")) if part
        )
        objects.append(
            f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents {5 + 2 * k} 0 R "
            "/Resources << /Font << /F1 3 0 R >> >> >>"
        )
        objects.append(f"<< /Length {len(drawn)} >>\nstream\n{drawn}\nendstream")
    objects.append(f"<< /Title ({title}) /Author (A. Nurse) >>")
    out, offsets = b"%PDF-1.4\n", []
    for number, content in enumerate(objects, 1):
        offsets.append(len(out))
        out += f"{number} 0 obj\n{content}\nendobj\n".encode()
    table = "".join(f"{offset:010} 00000 n \n" for offset in offsets)
    trailer = f"<< /Size {len(objects) + 1} /Root 1 0 R /Info {len(objects)} 0 R >>"
    return (
        out
        + f"xref\n0 {len(objects) + 1}\n0000000000 65535 f \n{table}trailer\n{trailer}\nstartxref\n{len(out)}\n%%EOF".encode()
    )


def test_a_pdf_gives_the_text_of_its_pages_in_order() -> None:
    (found,) = told(Pdf(), pdf(["First page.\nSecond line.", "", "Last page."]))
    assert found.text == "First page.\nSecond line.\f\fLast page."
    assert dict(found.meta) == {"title": "Fever", "author": "A. Nurse", "pages": 3}


def test_a_pdf_without_text_and_one_that_is_none_are_named() -> None:
    assert reason(Pdf(), pdf(["", ""])) == "no_text_layer"
    assert reason(Pdf(), b"%PDF-1.4 nothing more") == "unreadable_file"
    assert reason(Pdf(), b"") == "empty_text"
    whole = pdf(["some text on a page"] * 20)
    cut = [reason(Pdf(), whole[:size]) for size in range(100, len(whole), 97)]
    assert set(cut) <= {None, "unreadable_file", "no_text_layer", "broken_markup"}
    assert "unreadable_file" in cut


def test_a_locked_pdf_is_called_encrypted() -> None:
    locked = pdf(["secret"]).replace(
        b"/Root 1 0 R", b"/Root 1 0 R /ID [<00><00>] /Encrypt << /Filter /Standard /V 1 /R 2 /P -4 /O <" + b"41" * 32
        + b"> /U <" + b"42" * 32 + b"> >>",
    )  # fmt: skip
    assert reason(Pdf(), locked) == "encrypted"


# DOCX ----------------------------------------------------------------------------------------------------------------

W = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'


def packed(parts: dict[str, str | bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    return out.getvalue()


def word(body: str, **more: str) -> bytes:
    return packed({"word/document.xml": f"<w:document {W}><w:body>{body}</w:body></w:document>", **more})


def run(text: str) -> str:
    return f'<w:r><w:t xml:space="preserve">{text}</w:t></w:r>'


def test_word_as_a_program_writes_it() -> None:
    written = docx.Document()
    written.core_properties.title, written.core_properties.author = "On fever", "A. Nurse"
    written.add_heading("Fever", 1)
    written.add_paragraph("Tea helps.").add_run(" It is warm.").bold = True
    for item in ("once", "twice"):
        written.add_paragraph(item, style="List Bullet")
    table = written.add_table(2, 2)
    for number, cell in enumerate(cell for row in table.rows for cell in row.cells):
        cell.text = f"cell {number}"
    written.add_paragraph("After.")
    out = io.BytesIO()
    written.save(out)
    (found,) = told(Docx(), out.getvalue())
    assert found.text == (
        "Fever\n\nTea helps. It is warm.\n\n- once\n- twice\n\ncell 0 | cell 1\ncell 2 | cell 3\n\nAfter."
    )
    assert (found.meta["title"], found.meta["author"]) == ("On fever", "A. Nurse")


def test_word_gives_the_final_version_with_its_notes() -> None:
    body = (
        f"<w:p>{run('Kept ')}<w:ins>{run('put in ')}</w:ins><w:del><w:r><w:delText>taken out</w:delText></w:r></w:del>"
        f"{run('here')}<w:r><w:footnoteReference w:id='2'/></w:r>{run('.')}</w:p>"
        f"<w:p><w:r><w:instrText>PAGE \\* MERGE</w:instrText></w:r>{run('one')}<w:r><w:br/></w:r>{run('two')}"
        f"<w:r><w:tab/></w:r>{run('three')}</w:p>"
        f"<w:sdt><w:sdtPr><w:alias w:val='no'/></w:sdtPr><w:sdtContent><w:p>{run('controlled')}</w:p></w:sdtContent></w:sdt>"
    )
    notes = (
        f"<w:footnotes {W}><w:footnote w:type='separator' w:id='-1'><w:p/></w:footnote>"
        f"<w:footnote w:id='2'><w:p>{run('Says Smith.')}</w:p></w:footnote></w:footnotes>"
    )
    (found,) = told(Docx(), word(body, **{"word/footnotes.xml": notes}))
    assert found.text == "Kept put in here[2].\n\none\n\ntwo three\n\ncontrolled\n\n[2] Says Smith."


DEFECTS = {
    "no zip": (b"no zip", "unreadable_file"),
    "other zip": (packed({"a.txt": "a"}), "unreadable_file"),
    "broken markup": (word("<w:p>"), "broken_markup"),
    "no text": (word("<w:p/>"), "empty_text"),
    "old format": (b"\xd0\xcf\x11\xe0" + b"\0" * 600, "unreadable_file"),
    "password": (b"\xd0\xcf\x11\xe0" + b"\0" * 60 + "EncryptedPackage".encode("utf-16-le"), "encrypted"),
    "cut": (word(f"<w:p>{run('text')}</w:p>")[:-40], "unreadable_file"),
}  # fmt: skip


@pytest.mark.parametrize("defect", DEFECTS)
def test_what_is_no_word_document_is_named(defect: str) -> None:
    content, expected = DEFECTS[defect]
    assert reason(Docx(), content) == expected


def test_a_bomb_within_a_document_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("curate.readers._package.LARGEST_RECORD", 1 << 20)
    bomb = word(f"<w:p>{run('x' * (50 << 20))}</w:p>")
    assert len(bomb) < 1 << 20
    assert reason(Docx(), bomb) == "too_large"
    laughs = "".join(f'<!ENTITY e{n} "{f"&e{n - 1};" * 10 if n else "ha" * 10}">' for n in range(10))
    parts = {
        "word/document.xml": f"<!DOCTYPE d [{laughs}]><w:document {W}><w:body><w:p>{run('a &e9;')}</w:p></w:body></w:document>"
    }
    assert reason(Docx(), packed(parts)) in ("broken_markup", None)  # by libxml2's version


METHODS = (zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)
PARTS = {Docx: "word/document.xml", Epub: "META-INF/container.xml"}


def of_one_part(reader: type, method: int, content: bytes) -> bytes:
    """A zip of the one part that the reader asks for first."""
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", method) as archive:
        archive.writestr("[Content_Types].xml", "<Types/>")
        archive.writestr(PARTS[reader], content)
    return held.getvalue()


@pytest.mark.parametrize("reader", PARTS)
@pytest.mark.parametrize("method", METHODS)
def test_a_garbled_part_is_damage_however_it_is_packed(reader: type, method: int) -> None:
    content = b"<a>" + b"some words " * 500 + b"</a>"
    sound = of_one_part(reader, method, content)
    name = PARTS[reader].encode()
    first = sound.index(name) + len(name)
    for at in range(first, first + 60):
        garbled = sound[:at] + bytes([sound[at] ^ 0xFF]) + sound[at + 1 :]
        with suppress(Damaged):  # and nothing else
            assert all(record.reason for record in reader()(io.BytesIO(garbled), Place("x"), Fields()))


@pytest.mark.parametrize("method", METHODS)
def test_a_bomb_is_bounded_however_it_is_packed(method: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("curate.readers._package.LARGEST_RECORD", 1 << 20)
    bomb = of_one_part(Docx, method, b"<w>" + b"x" * (50 << 20) + b"</w>")
    assert len(bomb) < 1 << 20
    assert reason(Docx(), bomb) == "too_large"


# EPUB ----------------------------------------------------------------------------------------------------------------


def book(chapters: list[tuple[str, str]], spine: str, **more: str) -> bytes:
    items = "".join(
        f'<item id="c{k}" href="{name}" media-type="application/xhtml+xml"/>' for k, (name, _) in enumerate(chapters)
    )
    package = (
        '<package xmlns="http://www.idpf.org/2007/opf" xmlns:dc="http://purl.org/dc/elements/1.1/"><metadata>'
        "<dc:title>On Fever</dc:title><dc:creator>A. Nurse</dc:creator><dc:creator>B. Doctor</dc:creator>"
        "<dc:language>en</dc:language><dc:identifier>isbn:1</dc:identifier></metadata>"
        f'<manifest>{items}<item id="n" href="nav.xhtml" properties="nav" media-type="application/xhtml+xml"/></manifest>'
        f"<spine>{spine}</spine></package>"
    )
    container = (
        '<container xmlns="urn:oasis:names:tc:opendocument:xmlns:container"><rootfiles>'
        '<rootfile full-path="OEBPS/book.opf"/></rootfiles></container>'
    )
    pages = {
        f"OEBPS/{name}".replace(
            "%20", " "
        ): f'<?xml version="1.0"?><html xmlns="http://www.w3.org/1999/xhtml"><head><title/></head><body>{body}</body></html>'
        for name, body in chapters
    }
    return packed(
        {
            "META-INF/container.xml": container,
            "OEBPS/book.opf": package,
            "OEBPS/nav.xhtml": "<p>contents</p>",
            **pages,
            **more,
        }
    )


def refer(*names: str) -> str:
    return "".join(f'<itemref idref="{name}"/>' for name in names)


def test_a_book_is_its_chapters_in_reading_order() -> None:
    chapters = [
        ("z%20last.xhtml", "<h1>Two</h1><p>End<a id='p2'/> of it.</p>"),
        ("a.xhtml", "<h1>One</h1><p>Begin.</p><ul><li>tea</li><li>rest</li></ul><script>no()</script>"),
        ("cover.xhtml", "<p>cover</p>"),
    ]
    spine = refer("n") + '<itemref idref="c2" linear="no"/>' + refer("c1", "c0", "missing")
    (found,) = told(Epub(), book(chapters, spine), id="identifier")
    assert found.text == "One\n\nBegin.\n\n- tea\n- rest\n\nTwo\n\nEnd of it."
    assert found.own_id == "isbn:1"
    assert dict(found.meta) == {
        "title": "On Fever",
        "author": "A. Nurse; B. Doctor",
        "language": "en",
        "identifier": "isbn:1",
    }


def test_a_locked_book_is_called_encrypted_and_one_with_scrambled_fonts_is_read() -> None:
    def rules(name: str) -> dict[str, str]:
        return {
            "META-INF/encryption.xml": f'<encryption xmlns:e="http://www.w3.org/2001/04/xmlenc#"><e:CipherReference URI="{name}"/></encryption>'
        }

    chapters = [("a.xhtml", "<p>Begin.</p>")]
    assert reason(Epub(), book(chapters, refer("c0"), **rules("OEBPS/a.xhtml"))) == "encrypted"
    assert reason(Epub(), book(chapters, refer("c0"), **rules("OEBPS/font.otf"))) is None


def test_what_is_no_book_is_named() -> None:
    assert reason(Epub(), packed({"a.txt": "a"})) == "unreadable_file"
    assert reason(Epub(), b"PK\3\4 nothing") == "unreadable_file"
    assert reason(Epub(), book([("a.xhtml", "")], refer("c0"))) == "empty_text"
    assert reason(Epub(), book([("a.xhtml", "<p>x</p>")], "")) == "empty_text"


@pytest.mark.parametrize(("reader", "content"), [(Docx(), word(f"<w:p>{run('some text')}</w:p>")), (Epub(), book([("a.xhtml", "<p>x</p>")], refer("c0"))), (Pdf(), pdf(["some text"])), (Arrow(), arrow_bytes("file"))], ids=["docx", "epub", "pdf", "arrow"])  # fmt: skip
def test_no_garbled_file_ends_the_run(reader: object, content: bytes) -> None:
    draw, broken = random.Random(11), 0
    for _ in range(150):
        garbled = bytearray(content)
        for _ in range(draw.randint(1, 12)):
            at = draw.randrange(len(garbled))
            garbled[at : at + 4] = struct.pack("<I", draw.getrandbits(32))
        try:
            broken += any(one.reason for one in told(reader, bytes(garbled)))
        except Damaged:
            broken += 1
    assert broken > 20
