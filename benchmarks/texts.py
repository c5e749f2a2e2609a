"""The text that both sides of a contest get: real where a folder of it is given, else generated from a seed.

    texts(None, 4)                    4 MB of sentences of made-up words among English stop words
    texts(Path("docs.jsonl.gz"), 4)   the field `text` of its lines (.gz and .zst too)
    texts(Path("../shared/data"), 4)  medical text: review abstracts and whole journal articles by turns, half the
                                      bytes from each, so that lengths are mixed as in a real corpus

Reading and generating happen before any clock runs. A list of strings is what every peer starts from.
"""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

STOP = "the be to of and that have with a in on for was were is it this from by at as".split()
SPAM = "Click here to win a prize today and tell the whole of your family that you have won it."


def texts(place: Path | None, mb: float) -> list[str]:
    """Documents of `mb` megabytes of UTF-8 together (the last one may go beyond); fewer where there are not so many."""
    if place is None:
        return list(_up_to(mb * 1e6, synthetic()))
    if place.is_dir():
        return list(_up_to(mb * 1e6, _by_turns(_abstracts(place), _articles(place))))
    return list(_up_to(mb * 1e6, _lines(place)))


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


def _up_to(most: float, documents: Iterator[str]) -> Iterator[str]:
    taken = 0
    for text in documents:
        if taken >= most:
            return
        taken += len(text.encode())
        yield text


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


def _abstracts(data: Path) -> Iterator[str]:
    import pyarrow.parquet as pq

    table = pq.read_table(data / "medical" / "sr_abstracts" / "cohen2006_sr_abstracts.parquet")
    for title, abstract in zip(table["title"].to_pylist(), table["abstract"].to_pylist(), strict=True):
        if abstract:
            yield f"{title}\n\n{abstract}"


def _articles(data: Path) -> Iterator[str]:
    """Paragraphs of JATS articles: enough to have text, not how the package itself reads them."""
    from lxml import etree

    with tarfile.open(data / "medical" / "elife_jats.tar.gz") as tar:
        for member in tar:
            handle = tar.extractfile(member)
            if handle is not None:
                body = etree.parse(handle).find(".//body")
                paragraphs = () if body is None else body.iter("p")
                text = "\n\n".join(" ".join("".join(p.itertext()).split()) for p in paragraphs)
                if text:
                    yield text


def _lines(path: Path) -> Iterator[str]:
    raw = path.read_bytes()
    if path.suffix == ".gz":
        raw = gzip.decompress(raw)
    elif path.suffix == ".zst":
        import zstandard

        raw = zstandard.ZstdDecompressor().stream_reader(raw).read()
    for line in io.StringIO(raw.decode()):
        yield json.loads(line)["text"]
