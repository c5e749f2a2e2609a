"""Junk with known labels, to hold a preset against: what it must still remove once its bounds have moved.

    menus, link lists, scripts      real: cut out of the web pages in html/zyte_article_extraction
    scans, spaced letters           real prose of the domain, damaged as a bad scanner and a bad PDF do
    keywords, tables, repeats       generated: keyword spam, rows of figures without prose, one passage over and over

The bounds were chosen with the first hundred pages and other draws in view. What is drawn here is from the pages after
those and from seeds of its own, and every run of a test meets the same documents.
"""

from __future__ import annotations

import gzip
import random
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from lxml import html

EACH = 80
"""Documents of each kind, at most."""
SEEN = 100
"""Pages that the bounds were chosen on."""
LOOK_ALIKE = dict(zip("aeiloszbgtnmhcrud", "@c1|05285+ri~nm^(v([", strict=False))
SIGNS = "|~^¦¬•*}{\\_»"


def junk(shared_data: Path, prose: Sequence[str]) -> dict[str, list[str]]:
    """Documents by kind. `prose`: texts of the domain, which the damaged kinds are made of."""
    pages = list(_pages(shared_data))
    return {
        "menus": _cut_out(pages, _menu),
        "link lists": _cut_out(pages, _links),
        "scripts": _cut_out(pages, _script),
        "scans": _drawn("scan", lambda rng: _scanned(rng, _excerpt(rng, prose))),
        "spaced letters": _drawn("spaced", lambda rng: " ".join(_excerpt(rng, prose))),
        "keywords": _drawn("keyword", lambda rng: _keywords(rng, prose)),
        "tables": _drawn("table", _table),
        "repeats": _drawn("repeat", lambda rng: "\n\n".join([_excerpt(rng, prose)[:400]] * rng.randint(4, 12))),
    }


def _pages(shared_data: Path) -> Iterator[html.HtmlElement]:
    for path in sorted((shared_data / "html/zyte_article_extraction/html").glob("*.html.gz"))[SEEN:]:
        yield html.fromstring(gzip.decompress(path.read_bytes()))


def _cut_out(pages: Sequence[html.HtmlElement], text_of: Callable[[html.HtmlElement], str]) -> list[str]:
    found = dict.fromkeys(text_of(page) for page in pages)
    return [text for text in found if len(text) > 200][:EACH]


def _drawn(kind: str, make: Callable[[random.Random], str]) -> list[str]:
    return [make(random.Random(f"{kind} unseen {i}")) for i in range(EACH)]


def _menu(page: html.HtmlElement) -> str:
    """The texts of links, a line each, as a crude extraction leaves them of navigation, header and footer."""
    texts = (" ".join(link.text_content().split()) for link in page.iter("a"))
    return "\n".join(text for text in texts if 0 < len(text) <= 40)


def _links(page: html.HtmlElement) -> str:
    links = ((" ".join(link.text_content().split()), link.get("href")) for link in page.iter("a"))
    return "\n".join(f"{text}: {to}" for text, to in links if text and to and to.startswith("http"))


def _script(page: html.HtmlElement) -> str:
    return "\n".join(script.text for script in page.iter("script") if script.text)[:20_000]


def _excerpt(rng: random.Random, prose: Sequence[str]) -> str:
    """Some 800 to 3,000 characters of a document."""
    text = rng.choice(prose)
    at = rng.randrange(max(1, len(text) - 3000))
    return text[at : at + rng.randint(800, 3000)]


def _scanned(rng: random.Random, text: str) -> str:
    """One character in six misread, cut off by a space, or turned into a sign."""
    return "".join(_misread(rng, character) if rng.random() < 1 / 6 else character for character in text)


def _misread(rng: random.Random, character: str) -> str:
    if character.isspace():
        return character
    return rng.choice([LOOK_ALIKE.get(character.lower(), rng.choice(SIGNS)), f"{character} ", rng.choice(SIGNS)])


def _keywords(rng: random.Random, prose: Sequence[str]) -> str:
    """Words of the domain without grammar, some over and over: `buy`, `online` and their like between them."""
    words = re.findall(r"\w{4,}", rng.choice(prose))[:4000]
    topic = rng.sample(words, min(6, len(words)))
    sold = ["buy", "cheap", "online", "best", "price", "free", "discount"]
    phrases = (f"{rng.choice(sold)} {rng.choice(topic)} {rng.choice([*topic, *words])}" for _ in range(80))
    return ", ".join(phrases)


def _table(rng: random.Random) -> str:
    """Rows of figures under a head of a few words."""
    columns = rng.randint(3, 8)
    rows = ["  ".join(rng.choice(["Total", "Mean", "SD", "n", "Year", "Amount", "95% CI"]) for _ in range(columns))]
    rows += ["  ".join(_figure(rng) for _ in range(columns)) for _ in range(rng.randint(12, 60))]
    return "\n".join(rows)


def _figure(rng: random.Random) -> str:
    value = rng.uniform(0, 1000)
    return rng.choice([f"{value:.1f}", f"{value:.0f}", f"({value / 1000:.3f})", f"{value:.2f}±{value / 9:.2f}", "-"])
