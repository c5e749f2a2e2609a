"""The bytes of a page to characters, as its maker meant them, strictly: nothing is ever replaced.

A byte order mark wins; then what the server said; then the page's own <meta>; then UTF-8; then what the recipe
declares. One slip is so common that it has a rule: servers say ISO-8859-1 of whatever they send, so a page of that
name that is valid UTF-8 is UTF-8 (Latin text practically never is). Labels mean what browsers read behind them: WHATWG
Encoding Standard, section 4.2.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from curate.decoding import MARKS, decode

META = re.compile(rb"<meta[^>]{0,200}?charset\s*=\s*[\"']?\s*([A-Za-z0-9_.:-]+)", re.IGNORECASE)
HEAD_BYTES = 4096  # where a <meta> must stand to count
AS_BROWSERS_DO = {
    "iso-8859-1": "cp1252", "latin1": "cp1252", "latin-1": "cp1252", "ascii": "cp1252", "us-ascii": "cp1252",
    "windows-1252": "cp1252", "iso-8859-9": "cp1254", "gb2312": "gb18030", "gbk": "gb18030", "shift_jis": "cp932",
    "shift-jis": "cp932", "sjis": "cp932", "x-sjis": "cp932", "euc-kr": "cp949", "ks_c_5601-1987": "cp949",
    "tis-620": "cp874", "windows-874": "cp874", "big5": "big5hkscs",
}  # fmt: skip


def page_text(content: bytes, declared: str, told: str | None = None) -> str:
    """The characters of a page. `told`: the charset that came with it. Raises UnicodeDecodeError."""
    if any(content.startswith(mark) for mark, _ in MARKS):
        return decode(content, declared)
    for encoding in _candidates(content, told):
        try:
            return content.decode(encoding)
        except (UnicodeError, LookupError):  # not only of decoding: a page may name Python's codec `undefined`
            continue
    return content.decode(AS_BROWSERS_DO.get(declared.lower(), declared))


def detected_text(content: bytes, declared: str, told: str | None = None) -> str:
    """As page_text, and where that fails in the encoding that the bytes look like: for pages nobody vouches for."""
    try:
        return page_text(content, declared, told)
    except UnicodeDecodeError:
        from charset_normalizer import from_bytes  # slow, and rarely needed

        guess = from_bytes(content[: 1 << 16]).best()
        if guess is None or guess.encoding in ("utf_8", "ascii"):
            raise
        return content.decode(guess.encoding)


def _candidates(content: bytes, told: str | None) -> Iterator[str]:
    match = META.search(content[:HEAD_BYTES])
    for label in (told, match[1].decode() if match else None):
        name = (label or "").strip("\"' ").lower()
        encoding = AS_BROWSERS_DO.get(name, name)
        if encoding == "cp1252":
            yield "utf-8"
        # a page that can be read for its <meta> is not in the UTF-16 some of them claim
        if encoding and (label is told or not encoding.startswith("utf-16")):
            yield encoding
    yield "utf-8"
