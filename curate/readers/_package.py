"""A document that is a zip of XML parts (DOCX, EPUB), read part by part within one budget.

A few kilobytes of zip can hold gigabytes of zeros: what all parts together unpack to is bounded, whatever the zip says
of their sizes.
"""

from __future__ import annotations

import io
import struct
import zipfile
from typing import Any, BinaryIO

from lxml import etree

from curate.archives import ENCRYPTED, zip_content
from curate.decoding import whole
from curate.records import LARGEST_RECORD, Damaged

OLD_OFFICE = b"\xd0\xcf\x11\xe0"  # a compound file: Word before 2007, or any OOXML with a password
NO_ZIP = (zipfile.BadZipFile, OSError, EOFError, NotImplementedError, struct.error, ValueError)


class Package:
    """The parts of a zip by name. Raises Damaged where it is none, is locked, or holds more than fits."""

    def __init__(self, stream: BinaryIO, kind: str) -> None:
        content = whole(stream)
        self.n_bytes, self._kind, self._left = len(content), kind, LARGEST_RECORD
        if content.startswith(OLD_OFFICE):
            is_locked = "EncryptedPackage".encode("utf-16-le") in content
            raise Damaged("encrypted" if is_locked else "unreadable_file", f"{kind}: a compound file, no zip")
        try:
            self._zip = zipfile.ZipFile(io.BytesIO(content))
        except NO_ZIP as error:
            raise Damaged("unreadable_file", f"{kind}: {error}") from error

    def part(self, name: str) -> bytes | None:
        """The bytes of a part; None where there is none of that name."""
        try:
            entry = self._zip.getinfo(name)
        except KeyError:
            return None
        if entry.flag_bits & ENCRYPTED:
            raise Damaged("encrypted", f"{self._kind}: {name}")
        content = whole(zip_content(self._zip, entry, "unreadable_file"), self._left)
        self._left -= len(content)
        return content

    def tree(self, name: str) -> Any:
        """The root element of an XML part; None where there is none of that name."""
        content = self.part(name)
        if content is None:
            return None
        try:
            return etree.fromstring(content, strict_parser())
        except etree.XMLSyntaxError as error:
            raise Damaged("broken_markup", f"{self._kind}: {name}: {error}") from error


def strict_parser() -> etree.XMLParser:
    """A parser that takes nothing from outside the file, expands nothing, and keeps libxml2's bounds."""
    return etree.XMLParser(
        resolve_entities=False,
        no_network=True,
        load_dtd=False,
        huge_tree=False,
        recover=False,
        remove_comments=True,
        remove_pis=True,
    )
