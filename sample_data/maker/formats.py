"""What stands in the formats that hold more than text: bound files, a crawl, a saved dataset.

Their texts are hand-written, apart from the formulary's tables. Planting draws nothing from the garden's own dice, so
that the files of the other sources stay as they are.
"""

from __future__ import annotations

from maker import bound, crawl
from maker.corpus import Document, handwritten
from maker.plants import Planter
from maker.records import Record

SITE = "https://clinic.marrick.example"
ENTRIES = 14  # of the formulary

# handbook: its file, what its text must hold when it has been read, and what it must not
BINDINGS = (
    ("gloves.pdf", "loose stools of unknown cause", "\N{REPLACEMENT CHARACTER}"),
    ("leaving-hospital.docx", "Wound | red, warm, or with a smell | ring the surgical ward", "<w:"),
    ("ward-handbook.epub", "Chapter two: handing over\n\nSay the sickest first.", "chapter-1"),
)
PAGES = (  # address, and what its text must hold; None: it is not of the domain
    ("/asthma", "Yellow | 50 to 79 % | double the brown one, blue one every four hours"),
    ("/stitches", "Draw round the red part with a ballpoint pen"),
    ("/canteen", None),
)


def plant_formats(garden: Planter) -> None:
    texts: dict[str, list[Document]] = {}
    for document in handwritten("formats"):
        assert garden.press.is_fresh(f"{document.title}\n{document.text}"), f"said before: {document.title}"
        texts.setdefault(document.kind, []).append(document)
    plant_handbooks(garden, texts["handbooks"])
    plant_web(garden, texts["web"])
    for number in range(ENTRIES):
        record = Record(f"dose-{number}", garden.document("dose_table"))
        garden.plant("formulary", record, plant="dose_table", text_holds="Age; weight; by mouth; by vein; daily")


def plant_handbooks(garden: Planter, documents: list[Document]) -> None:
    for document, (file, holds, lacks) in zip(documents, BINDINGS, strict=True):
        plant = f"{file.rpartition('.')[2]}_file"
        garden.plant(
            "handbooks", Record(plant, document, file=file), plant=plant, text_holds=holds, text_lacks=(lacks,)
        )
    scan = Record("scan-of-a-form", raw=bound.scanned(documents[0]), file="consent-form-scan.pdf")
    garden.quarantined("handbooks", "scanned_pdf", scan, "no_text_layer")


def plant_web(garden: Planter, documents: list[Document]) -> None:
    for document, (path, holds) in zip(documents, PAGES, strict=True):
        record = Record(f"web{path}", document, own_id=SITE + path)
        if holds is None:
            fate = {"fate": "removed", "stage": "judge", "reasons": ("off_domain",)}
            garden.plant("web", record, plant="off_domain", **fate)
        else:
            garden.plant("web", record, plant="web_page", text_holds=holds, text_lacks=crawl.BOILERPLATE)
    gone = crawl.answer("404 Not Found", "text/html", b"<html><body><h1>Not found</h1></body></html>")
    image = crawl.answer("200 OK", "image/gif", b"GIF89a\x01\x00\x01\x00\x00\x00\x00;")
    for path, answer in (("/old-page", gone), ("/logo.gif", image)):
        record = Record(f"web{path}", raw=answer, own_id=SITE + path)
        garden.quarantined("web", "not_a_page", record, "not_a_page")
