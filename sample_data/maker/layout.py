"""Sources, their folders and formats: takes each source's records, gives files and the place of every record."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from maker import bound, crawl, files
from maker.corpus import Document
from maker.records import Place, Record

Files = dict[str, bytes]  # by path below sample_data
Write = Callable[["Source", Sequence[Record]], tuple[Files, dict[str, Place]]]
NEWEST = 10  # of a hundred notes, how many stand in the newest, plain file


@dataclass(frozen=True, slots=True)
class Source:
    """A source of a recipe: its name, folder, the prefix of its own ids, and how its records are written."""

    name: str
    folder: str
    prefix: str | None
    write: Write

    def own_id(self, number: int) -> str | None:
        return None if self.prefix is None else f"{self.prefix}-{number:04d}"

    def place(self, record: Record, own_id: str | None, path: str, position: int, text: str | None) -> Place:
        known = None if own_id is None or record.raw is not None else f"{self.name}/{own_id}"
        return Place(self.name, known, path, position, len(text or ""))


def fields(document: Document, own_id: str | None, text_field: str, id_field: str) -> dict[str, Any]:
    return {
        id_field: own_id,
        "title": document.title,
        "year": document.year,
        "kind": document.kind,
        text_field: document.text,
    }


def numbered(source: Source, records: Sequence[Record]) -> list[tuple[Record, str | None]]:
    return [(record, record.own_id or source.own_id(at)) for at, record in enumerate(records, start=1)]


def text_of(record: Record) -> Any:
    if record.text is not ...:
        return record.text
    return record.document.text if record.document else None


# records with fields --------------------------------------------------------------------------------------------------


def json_lines(
    shelves: Sequence[tuple[str, int]],
    id_field: str,
    text_field: str,
    crlf: str = "",
    cut: str = "",
    cut_after: int = 0,
) -> Write:
    """Records over files by share. `crlf`: the file with Windows line ends; `cut`: the gzip that breaks off."""

    def write(source: Source, records: Sequence[Record]) -> tuple[Files, dict[str, Place]]:
        stored: Files = {}
        places: dict[str, Place] = {}
        deal = itertools.cycle([name for name, share in shelves for _ in range(share)])
        shelf: dict[str, list[tuple[Record, str | None]]] = {name: [] for name, _ in shelves}
        for record, own_id in numbered(source, records):
            shelf[record.file or next(deal)].append((record, own_id))
        for name, held in shelf.items():
            if name == cut:
                held.sort(key=lambda one: one[0].document is None)  # what is lost stands at the end
            lines: list[Any] = []
            for position, (record, own_id) in enumerate(held):
                lines.append(json_line(record, own_id, text_field, id_field))
                places[record.key] = source.place(record, own_id, name, position, text_of(record))
            newline = "\r\n" if name == crlf else "\n"
            content = files.jsonl(lines, newline)
            whole = len(files.jsonl(lines[:-1], newline)) if name == cut else None
            stored[f"{source.folder}/{name}"] = packed(name, content, whole)
        return stored, places

    return write


def json_line(record: Record, own_id: str | None, text_field: str, id_field: str) -> Any:
    if record.document is None:
        return record.raw
    line = fields(record.document, own_id, text_field, id_field) | record.more
    if record.text is None:
        del line[text_field]
    elif record.text is not ...:
        line[text_field] = record.text
    return line


def packed(name: str, content: bytes, whole: int | None = None) -> bytes:
    if whole is not None:
        return files.cut_gzip(content, whole)
    if name.endswith(".gz"):
        return files.gzipped(content)
    return files.zstd(content) if name.endswith(".zst") else content


def table(
    name: str, id_field: str, text_field: str, encode: Callable[[Sequence[str], Sequence[Sequence[Any]]], bytes]
) -> Write:
    """All records as rows of one CSV or Parquet file."""

    def write(source: Source, records: Sequence[Record]) -> tuple[Files, dict[str, Place]]:
        rows, places = [], {}
        for position, (record, own_id) in enumerate(numbered(source, records)):
            assert record.document is not None
            row = fields(record.document, own_id, text_field, id_field) | {text_field: text_of(record)}
            rows.append(tuple(row.values()))
            places[record.key] = source.place(record, own_id, name, position, text_of(record))
        columns = (id_field, "title", "year", "kind", text_field)
        return {f"{source.folder}/{name}": encode(columns, rows)}, places

    return write


def answers(source: Source, records: Sequence[Record]) -> tuple[Files, dict[str, Place]]:
    """Questions and answers as one JSON array; their text stands in two fields."""
    rows, places = [], {}
    for position, (record, own_id) in enumerate(numbered(source, records)):
        assert record.document is not None
        asked, _, reply = record.document.text.partition("\n\n")
        rows.append({"answer_id": own_id, "year": record.document.year, "asked": asked, "reply": reply})
        places[record.key] = source.place(record, own_id, "answers.json.gz", position, record.document.text)
    body = b"[\n" + b",\n".join(files.jsonl([row]).rstrip(b"\n") for row in rows) + b"\n]\n"
    return {f"{source.folder}/answers.json.gz": files.gzipped(body)}, places


def dataset(source: Source, records: Sequence[Record]) -> tuple[Files, dict[str, Place]]:
    """All records as one saved dataset."""
    rows, places = [], {}
    for position, (record, own_id) in enumerate(numbered(source, records)):
        assert record.document is not None
        rows.append((own_id, record.document.title, record.document.text))
        places[record.key] = source.place(record, own_id, "data-00000-of-00001.arrow", position, text_of(record))
    held = files.dataset(("entry_id", "title", "text"), rows)
    return {f"{source.folder}/{name}": content for name, content in held.items()}, places


# a file for each document ---------------------------------------------------------------------------------------------


def loose(encode: Callable[[Document, str], bytes], ending: str, archive: str = "") -> Write:
    """Each record a file, in a folder or as the member of an archive."""

    def write(source: Source, records: Sequence[Record]) -> tuple[Files, dict[str, Place]]:
        members, places = [], {}
        for number, (record, own_id) in enumerate(numbered(source, records), start=1):
            name = record.file or f"{source.name}-{number:04d}{ending}"
            content = record.raw if record.document is None else encode(record.document, own_id or "")
            assert content is not None
            inside = f"{source.name}/{name}" if archive else name
            members.append((inside, content))
            path = f"{archive}!{inside}" if archive else name
            text = content.decode("utf-8", "replace") if ending in (".md", ".txt") else text_of(record)
            places[record.key] = source.place(record, own_id, path, 0, text)
        if not archive:
            return {f"{source.folder}/{name}": content for name, content in members}, places
        pack = files.zipped if archive.endswith(".zip") else files.tarred
        return {f"{source.folder}/{archive}": pack(members)}, places

    return write


BINDINGS = {".pdf": bound.pdf, ".docx": bound.docx, ".epub": bound.epub}


def handbooks(source: Source, records: Sequence[Record]) -> tuple[Files, dict[str, Place]]:
    """Each record a file, bound as the ending of its name says."""
    stored, places = {}, {}
    for record in records:
        assert record.file is not None
        ending = record.file[record.file.rindex(".") :]
        content = BINDINGS[ending](record.document) if record.document else record.raw
        assert content is not None
        stored[f"{source.folder}/{record.file}"] = content
        places[record.key] = source.place(record, None, record.file, 0, text_of(record))
    return stored, places


def crawled(source: Source, records: Sequence[Record]) -> tuple[Files, dict[str, Place]]:
    """One crawl: a record about itself, then an answer for each record, which goes by its address."""
    parts, places = [crawl.warc(0, "warcinfo", b"software: the sample's own\r\n")], {}
    for position, record in enumerate(records, start=1):
        page = crawl.answer("200 OK", "text/html", crawl.page(record.document)) if record.document else record.raw
        assert page is not None
        parts.append(crawl.warc(position, "response", page, record.own_id))
        places[record.key] = source.place(record, record.own_id, "clinic.warc.gz", position, text_of(record))
    return {f"{source.folder}/clinic.warc.gz": b"".join(map(files.gzipped, parts))}, places


def plain(document: Document, own_id: str) -> bytes:
    return document.text.encode()


def heading(document: Document, own_id: str) -> bytes:
    return files.markdown(document)


def page(document: Document, own_id: str) -> bytes:
    return files.web_page(document)


SOURCES = {
    source.name: source
    for source in (
        Source(
            "notes",
            "medical/notes",
            "N",
            json_lines(
                (("2021.jsonl.zst", 45), ("2022.jsonl.zst", 45), ("2023.jsonl", NEWEST), ("ward.jsonl.gz", 0)),
                "note_id",
                "body",
                crlf="2023.jsonl",
                cut="ward.jsonl.gz",
            ),
        ),
        Source(
            "abstracts",
            "medical/abstracts",
            "A",
            table("abstracts.parquet", "abstract_id", "abstract", files.parquet),
        ),
        Source("leaflets", "medical/leaflets", "L", table("leaflets.csv", "leaflet_id", "text", files.csv_table)),
        Source("guidelines", "medical/guidelines", None, loose(heading, ".md")),
        Source("monographs", "medical/monographs", None, loose(plain, ".txt", "monographs.zip")),
        Source("articles", "medical/articles", "art", loose(files.jats, ".xml", "articles.tar.gz")),
        Source("pages", "medical/pages", None, loose(page, ".html")),
        Source("answers", "medical/answers", "Q", answers),
        Source(
            "everyday",
            "general/everyday",
            "E",
            json_lines((("first.jsonl.gz", 1), ("second.jsonl.zst", 1)), "id", "text"),
        ),
        Source("stories", "general/stories", None, loose(heading, ".md")),
        Source(
            "regulations",
            "control/regulations",
            "R",
            table("regulations.csv", "rule_id", "text", files.csv_table),
        ),
        Source("handbooks", "medical/handbooks", None, handbooks),
        Source("web", "medical/web", None, crawled),
        Source("formulary", "medical/formulary", "F", dataset),
        Source("letters", "medical/letters", "C", json_lines((("letters.jsonl", 1),), "letter_id", "text")),
    )
}
