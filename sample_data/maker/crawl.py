"""A small crawl as WARC (ISO 28500): what servers answered, header and all, each record compressed by itself.

The pages have what real ones have around their text: menu, cookie notice, related links, footer.
"""

from __future__ import annotations

import html
from itertools import groupby
from uuid import UUID

from maker.bound import Block, blocks
from maker.corpus import Document

DATE = "2024-03-07T05:12:00Z"
TAGS = {"heading": "h2", "paragraph": "p", "item": "li"}
BOILERPLATE = ("We use cookies", "Subscribe to our newsletter", "More from the clinic")  # words that must not stay


def warc(number: int, kind: str, body: bytes, url: str | None = None) -> bytes:
    """One record. Its id is its number: the same on every machine."""
    content = "application/http; msgtype=response" if kind == "response" else "application/warc-fields"
    head = ["WARC/1.1", f"WARC-Type: {kind}", f"WARC-Record-ID: <urn:uuid:{UUID(int=number)}>", f"WARC-Date: {DATE}"]
    if url is not None:
        head.append(f"WARC-Target-URI: {url}")
    head += [f"Content-Type: {content}", f"Content-Length: {len(body)}", "", ""]
    return "\r\n".join(head).encode() + body + b"\r\n\r\n"


def answer(status: str, content_type: str, payload: bytes) -> bytes:
    head = f"HTTP/1.1 {status}\r\nContent-Type: {content_type}\r\nContent-Length: {len(payload)}\r\n\r\n"
    return head.encode() + payload


def page(document: Document) -> bytes:
    title = html.escape(document.title)
    cookies, letter, more = BOILERPLATE
    links = "".join(f'<li><a href="/{name}">{name}</a></li>' for name in ("Home", "Appointments", "Doctors", "Parking"))
    related = "".join(f'<li><a href="/{name}">{name}</a></li>' for name in ("Hay fever", "Colds", "Flu jabs"))
    return f"""<!DOCTYPE html>
<html lang="en">
<head><meta charset="utf-8"><title>{title} - Marrick Clinic</title><script>window.track = true;</script></head>
<body>
<div class="cookie-banner"><p>{cookies} to make this site better. <button>Accept all</button></p></div>
<header><nav><ul>{links}</ul></nav></header>
<main><article><h1>{title}</h1>
{_body(document.text)}
</article></main>
<aside class="related"><h3>{more}</h3><ul>{related}</ul></aside>
<footer><p>{letter}. Marrick Clinic, 2 Harbour Road.</p></footer>
</body>
</html>
""".encode()


def _body(text: str) -> str:
    out = []
    for kind, held in groupby(blocks(text), key=lambda block: block.kind):
        of_kind = [_markup(block) for block in held if block.text]
        around = {"row": "table", "item": "ul"}.get(kind)
        out += [f"<{around}>", *of_kind, f"</{around}>"] if around else of_kind
    return "\n".join(out)


def _markup(block: Block) -> str:
    if block.kind == "row":
        return "<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in block.cells) + "</tr>"
    return f"<{TAGS[block.kind]}>{html.escape(block.text)}</{TAGS[block.kind]}>"
