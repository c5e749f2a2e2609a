"""Documents to bytes, format by format, and back to what can be compared.

Compressed bytes may differ between versions of zlib, zstandard and pyarrow, so two files count as equal when their
contents do: `contents` undoes the packing. Nothing here depends on the clock.
"""

from __future__ import annotations

import csv
import gzip
import html
import io
import json
import tarfile
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import zstandard
from maker.corpus import Document

EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest date a zip can hold


def jsonl(records: Sequence[dict[str, Any] | bytes], newline: str = "\n") -> bytes:
    """One JSON object to a line; bytes stand as they are."""
    lines = [
        record if isinstance(record, bytes) else json.dumps(record, ensure_ascii=False).encode() for record in records
    ]
    return b"".join(line + newline.encode() for line in lines)


def csv_table(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> bytes:
    page = io.StringIO()
    writer = csv.writer(page, lineterminator="\n")
    writer.writerows([columns, *rows])
    return page.getvalue().encode()


def parquet(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> bytes:
    table = pa.table({name: [row[at] for row in rows] for at, name in enumerate(columns)})
    page = io.BytesIO()
    pq.write_table(table, page, compression="zstd", row_group_size=128)
    return page.getvalue()


def dataset(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> dict[str, bytes]:
    """The files of a folder as `datasets` saves one: an Arrow stream, and two files that describe it."""
    table = pa.table({name: [row[at] for row in rows] for at, name in enumerate(columns)})
    page = io.BytesIO()
    with pa.ipc.new_stream(page, table.schema) as writer:
        writer.write_table(table)
    features = {name: {"dtype": str(table.schema.field(name).type), "_type": "Value"} for name in columns}
    name = "data-00000-of-00001.arrow"
    state = {"_data_files": [{"filename": name}], "_fingerprint": "sample", "_format_type": None, "_split": None}
    state |= {"_format_columns": None, "_format_kwargs": {}, "_output_all_columns": False}
    described = {"dataset_info.json": {"features": features}, "state.json": state}
    return {name: page.getvalue(), **{key: json.dumps(one, indent=1).encode() for key, one in described.items()}}


def markdown(document: Document) -> bytes:
    return f"# {document.title}\n\n{document.text}\n".encode()


def web_page(document: Document) -> bytes:
    """A page as content systems write it: the text sits between a menu and a footer."""
    paragraphs = "\n".join(f"      <p>{html.escape(one)}</p>" for one in document.text.split("\n\n"))
    title = html.escape(document.title)
    return f"""<!DOCTYPE html>
<html lang="en">
<head><meta charset="utf-8"><title>{title}</title><style>nav li {{ display: inline }}</style></head>
<body>
  <nav>
    <ul><li><a href="/">Home</a></li><li><a href="/wards">Wards</a></li><li><a href="/find">Find us</a></li></ul>
  </nav>
  <main>
    <article>
      <h1>{title}</h1>
{paragraphs}
    </article>
  </main>
  <footer><p>Page {document.year}</p><p><a href="/legal">Legal</a> <a href="/cookies">Cookies</a></p></footer>
</body>
</html>
""".encode()


SECTIONS = ("Introduction", "Methods", "Results", "Discussion")


def jats(document: Document, own_id: str) -> bytes:
    """An article as journals archive it: the first paragraph is the abstract, the rest are its sections."""
    abstract, *rest = document.text.split("\n\n")
    body = "".join(
        f"\n    <sec><title>{SECTIONS[min(at, 3)]}</title><p>{html.escape(one, quote=False)}</p></sec>"
        for at, one in enumerate(rest, start=1)
    )
    return f"""<?xml version="1.0" encoding="UTF-8"?>
<article article-type="research-article" xml:lang="en">
  <front>
    <journal-meta><journal-title-group><journal-title>Sample Annals</journal-title></journal-title-group></journal-meta>
    <article-meta>
      <article-id pub-id-type="publisher-id">{own_id}</article-id>
      <title-group><article-title>{html.escape(document.title, quote=False)}</article-title></title-group>
      <pub-date><year>{document.year}</year></pub-date>
      <abstract><p>{html.escape(abstract, quote=False)}</p></abstract>
    </article-meta>
  </front>
  <body>{body}
  </body>
  <back>
    <ref-list><ref id="r1"><mixed-citation>Sample Annals {document.year - 4}; 3: 1-9.</mixed-citation></ref></ref-list>
  </back>
</article>
""".encode()


def zipped(members: Sequence[tuple[str, bytes]]) -> bytes:
    page = io.BytesIO()
    with zipfile.ZipFile(page, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members:
            # EPUB wants this first member as it stands
            how = zipfile.ZIP_STORED if name == "mimetype" else zipfile.ZIP_DEFLATED
            archive.writestr(zipfile.ZipInfo(name, EPOCH), content, how)
    return page.getvalue()


def tarred(members: Sequence[tuple[str, bytes]]) -> bytes:
    page = io.BytesIO()
    with tarfile.open(fileobj=page, mode="w") as archive:
        for name, content in members:
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return gzipped(page.getvalue())


def gzipped(content: bytes) -> bytes:
    return gzip.compress(content, 9, mtime=0)


def zstd(content: bytes) -> bytes:
    return zstandard.ZstdCompressor(level=19, write_checksum=True).compress(content)


def cut_gzip(content: bytes, whole_bytes: int) -> bytes:
    """A gzip file that broke off in transfer: the first `whole_bytes` can be read and little of what follows."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    head = packer.compress(content[:whole_bytes]) + packer.flush(zlib.Z_FULL_FLUSH)
    tail = packer.compress(content[whole_bytes:]) + packer.flush()
    return head + tail[: len(tail) // 3]


def contents(name: str, stored: bytes) -> Any:
    """What a file says, whatever packed it: equal for two files that hold the same."""
    if name.endswith(".tar.gz"):
        with tarfile.open(fileobj=io.BytesIO(stored)) as archive:
            return [(entry.name, archive.extractfile(entry).read()) for entry in archive]  # type: ignore[union-attr]
    if name.endswith(".warc.gz"):
        return gzip.decompress(stored)
    if name.endswith(".gz"):
        unpacker = zlib.decompressobj(31)
        text = unpacker.decompress(stored)
        return text[: text.rfind(b"\n") + 1], unpacker.eof  # of a cut file, the whole lines
    if name.endswith(".zst"):
        return zstandard.ZstdDecompressor().decompress(stored)
    if name.endswith((".zip", ".docx", ".epub")):
        with zipfile.ZipFile(io.BytesIO(stored)) as archive:
            return [(entry, archive.read(entry)) for entry in archive.namelist()]
    if name.endswith(".parquet"):
        return pq.read_table(io.BytesIO(stored)).to_pylist()
    if name.endswith(".arrow"):
        return pa.ipc.open_stream(stored).read_all().to_pylist()
    return stored


def stored_files(folder: Path) -> list[str]:
    """Every file of the sample below a folder, as paths with forward slashes."""
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
