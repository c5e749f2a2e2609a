"""The text that both sides of a contest get: real where a folder of it is given, else generated from a seed.

    texts(None, 4)                    4 MB of sentences of made-up words among English stop words
    texts(Path("docs.jsonl.gz"), 4)   the field `text` of its lines (.gz and .zst too)
    texts(Path("../shared/data"), 4)  medical text: review abstracts and whole journal articles by turns, half the
                                      bytes from each, so that lengths are mixed as in a real corpus
    every_kind(Path("../shared/data"))  all its English, some 110 MB, by turns: abstracts, sections of articles, court
                                      opinions, statutes, web pages, novels in parts

Reading and generating happen before any clock runs. A list of strings is what every peer starts from. Hundreds of
megabytes are `benchmarks/corpus.py`'s.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import re
import tarfile
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

STOP = "the be to of and that have with a in on for was were is it this from by at as".split()
CHAPTER = 20_000  # characters of a novel that make a document, or a little more
SPAM = "Click here to win a prize today and tell the whole of your family that you have won it."


def texts(place: Path | None, mb: float) -> list[str]:
    """Documents of `mb` megabytes of UTF-8 together (the last one may go beyond); fewer where there are not so many."""
    if place is None:
        return list(up_to(mb * 1e6, synthetic()))
    if place.is_dir():
        return list(up_to(mb * 1e6, _by_turns(_abstracts(place), _articles(place))))
    return list(up_to(mb * 1e6, lines_of(place)))


def every_kind(data: Path) -> Iterator[str]:
    """All English documents of a folder such as ../shared/data, by turns as long as each kind lasts."""
    medical = _abstracts(data), _more_abstracts(data), _sections(data)
    return _by_turns(*medical, _opinions(data), _statutes(data), _pages(data), _novels(data))


def abstracts_and_the_rest(data: Path) -> tuple[Iterator[str], Iterator[str]]:
    """(review abstracts, all English that is none, by turns): text held out, and text of other kinds to train on."""
    return _abstracts(data), _by_turns(_sections(data), _opinions(data), _statutes(data), _pages(data), _novels(data))


def in_batches(documents: list[str], n_bytes: int = 8 << 20) -> Iterator[list[str]]:
    """As readers cut them, nearly."""
    ends = np.cumsum([len(text) for text in documents]) // n_bytes
    cuts = [0, *(np.flatnonzero(np.diff(ends)) + 1).tolist(), len(documents)]
    return (documents[a:b] for a, b in pairwise(cuts))


def n_bytes(documents: list[str]) -> int:
    return sum(len(text.encode()) for text in documents)


def synthetic(seed: int = 1) -> Iterator[str]:
    """Documents without end. One in twenty nearly repeats an earlier one, one in thirty repeats itself."""
    draw = np.random.default_rng(seed)
    made_up = ["".join(chr(97 + c) for c in draw.integers(0, 26, 3 + i % 9)) for i in range(20_000)]
    earlier = [_document(made_up, draw) for _ in range(16)]
    yield from earlier
    while True:
        chance = draw.random()
        if chance < 0.05:
            yield earlier[int(draw.integers(16))] + " The last words of a copy."
        elif chance < 0.08:
            yield "\n".join([SPAM] * 20)
        else:
            earlier[int(draw.integers(16))] = text = _document(made_up, draw)
            yield text


def _document(made_up: list[str], draw: np.random.Generator) -> str:
    """Paragraphs of sentences, log-normally many: some tens of words to some tens of thousands."""
    sentences = int(np.clip(draw.lognormal(2.7, 1.1), 4, 2_000))
    ranks = draw.zipf(1.3, (sentences, 8)) % len(made_up)  # frequent words and rare ones, as in language
    stops = draw.integers(0, len(STOP), (sentences, 8))
    spelled = (
        " ".join(f"{STOP[s]} {made_up[r]}" for s, r in zip(*pair, strict=True)).capitalize() + "."
        for pair in zip(stops, ranks, strict=True)
    )
    return "".join(sentence + ("\n\n" if i % 6 == 5 else " ") for i, sentence in enumerate(spelled)).strip()


def up_to(most: float, documents: Iterator[str]) -> Iterator[str]:
    taken = 0
    for text in documents:
        if taken >= most:
            return
        taken += len(text.encode())
        yield text


def lines_of(path: Path) -> Iterator[str]:
    """The field `text` of JSON lines."""
    return (record["text"] for record in _records(path))


def _records(path: Path) -> Iterator[dict[str, Any]]:
    raw = path.read_bytes()
    if path.suffix == ".gz":
        raw = gzip.decompress(raw)
    elif path.suffix == ".zst":
        import zstandard

        raw = zstandard.ZstdDecompressor().stream_reader(raw).read()
    return map(json.loads, io.StringIO(raw.decode()))


def _by_turns(*kinds: Iterator[str]) -> Iterator[str]:
    """From the kind that has given the fewest characters so far, while it lasts."""
    given = dict.fromkeys(kinds, 0)
    while given:
        kind = min(given, key=lambda one: given[one])
        text = next(kind, None)
        if text is None:
            del given[kind]
        else:
            given[kind] += len(text)
            yield text


# -- the kinds of ../shared/data: enough of each format to have its text, not how the package itself reads it


def _abstracts(data: Path) -> Iterator[str]:
    import pyarrow.parquet as pq

    table = pq.read_table(data / "medical" / "sr_abstracts" / "cohen2006_sr_abstracts.parquet")
    for title, abstract in zip(table["title"].to_pylist(), table["abstract"].to_pylist(), strict=True):
        if abstract:
            yield f"{title}\n\n{abstract}"


def _more_abstracts(data: Path) -> Iterator[str]:
    for name in ("bannach-brown_2019", "nagtegaal_2019"):
        with (data / "medical" / "sr_abstracts" / f"{name}.csv").open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                if row["abstract"]:
                    yield f"{row['title']}\n\n{row['abstract']}"


def _articles(data: Path) -> Iterator[str]:
    """Paragraphs of JATS articles."""
    return (text for body in _bodies(data) if (text := _paragraphs(body)))


def _sections(data: Path) -> Iterator[str]:
    """Those without sections of their own."""
    for body in _bodies(data):
        inmost = (section for section in body.iter("sec") if section.find("sec") is None)
        yield from (text for section in inmost if (text := _paragraphs(section)))


def _bodies(data: Path) -> Iterator[Any]:
    from lxml import etree

    for content in _members(data / "medical" / "elife_jats.tar.gz"):
        body = etree.parse(io.BytesIO(content)).find(".//body")
        if body is not None:
            yield body


def _paragraphs(element: Any) -> str:
    return "\n\n".join(" ".join("".join(p.itertext()).split()) for p in element.iter("p"))


def _opinions(data: Path) -> Iterator[str]:
    """As pdftotext wrote them, its lines and running heads included; a page's end is a line's."""
    for record in _records(data / "legal" / "scotus_ot2009-2011_pdftotext.jsonl.zst"):
        yield record["text"].replace("\f", "\n")


def _statutes(data: Path) -> Iterator[str]:
    """Headings and paragraphs of sections, each behind its number."""
    from lxml import etree

    for content in _members(data / "legal" / "dc_code_xml.tar.gz"):
        section = etree.fromstring(content)
        etree.strip_elements(section, "{*}annotations", "{*}annotation", with_tail=False)
        pieces = [" ".join("".join(one.itertext()).split()) for one in section.iter("{*}num", "{*}heading", "{*}text")]
        text = re.sub(r"(?m)^(\S{1,12})\n", r"\1 ", "\n".join(pieces))
        if text:
            yield text


def _pages(data: Path) -> Iterator[str]:
    """Markdown without its front matter, and web pages of C4."""
    for content in _members(data / "general" / "digitalgov_md.tar.gz"):
        text = content.decode().rpartition("\n---\n")[2].strip()
        if text:
            yield text
    yield from lines_of(data / "general" / "c4_demo.jsonl")


def _novels(data: Path) -> Iterator[str]:
    """In parts, as long as chapters; lines of a paragraph joined."""
    for path in sorted((data / "general" / "novels").glob("*.txt.gz")):
        raw = gzip.decompress(path.read_bytes()).decode("utf-8", "replace")
        between = r"\n\s*\n" if "\n\n" in raw else "\n"
        chapter, size = list[str](), 0
        for paragraph in re.split(between, raw):
            chapter.append(" ".join(paragraph.split()))
            size += len(paragraph)
            if size >= CHAPTER:
                yield "\n\n".join(chapter)
                chapter, size = [], 0
        if chapter:
            yield "\n\n".join(chapter)


def _members(archive: Path) -> Iterator[bytes]:
    with tarfile.open(archive) as tar:
        for member in tar:
            handle = tar.extractfile(member)
            if handle is not None:
                yield handle.read()
