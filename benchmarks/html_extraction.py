"""Main text of web pages: ours beside trafilatura's (as it comes, and fast) and resiliparse's, against labelled pages.

    python -m benchmarks.html_extraction --data ../shared/data

The labelled pages are those of the article extraction benchmark (scrapinghub): 181 news and blog pages with the text
that a person marked. Two scores: its own, over runs of four words (a page counts its share of right, surplus and
missing runs; precision, recall and F1 of the sums), and F1 over words, mean of the pages. Without labelled pages a
few are made up, which shows that the program runs and nothing else. Everyone gets characters, one thread each.
"""

from __future__ import annotations

import gzip
import json
import logging
import random
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from benchmarks.contest import Entrant, Outcome, Unequal, cpu_seconds, hold, parser, tell
from curate.pages.extraction import main_text
from curate.pages.main_part import main_part
from curate.pages.page import parse
from curate.pages.writing import write

WORDS = re.compile(r"\w+")
RUN = 4  # words of a run: article-extraction-benchmark, evaluate.py

Page = tuple[str, str]  # HTML, and the text that a person marked
Extract = Callable[[str], str]


def main(line: list[str] | None = None) -> None:
    asked = parser(__doc__)
    asked.add_argument("--data", type=Path, help="folder with html/zyte_article_extraction in it; else made-up pages")
    asked.add_argument("--pages", type=int, help="so many of them (default: all)")
    given = asked.parse_args(line)
    pages = (labelled(given.data) if given.data else made_up(20))[: given.pages]
    entrants, scores = [], []
    for name, extract in contenders().items():
        entrants.append(_entrant(name, extract, pages))
        scores.append(f"{name}: {score([(extract(html), truth) for html, truth in pages])}")
    megabytes = sum(len(html.encode()) for html, _ in pages) / 1e6
    outcome = Outcome(
        work=f"{len(pages):,} pages, {megabytes:.1f} MB of HTML: main text",
        unit="MB",
        amount=megabytes,
        clock="CPU",
        turns=hold(entrants, given.rounds),
        same_work=_same_work(pages),
        notes=tuple(scores),
    )
    tell(given, [outcome])


def contenders() -> dict[str, Extract]:
    found: dict[str, Extract] = {
        "ours, trafilatura where unsure": lambda html: main_text(html).text,
        "ours alone": ours_alone,
    }
    import trafilatura

    logging.getLogger("trafilatura").setLevel(logging.CRITICAL)

    def theirs(html: str, **how: bool) -> str:
        return getattr(trafilatura.bare_extraction(html, include_comments=False, **how), "text", None) or ""

    found["trafilatura, fast"] = lambda html: theirs(html, fast=True)
    found["trafilatura"] = lambda html: theirs(html)
    found["trafilatura, with its metadata"] = lambda html: theirs(html, with_metadata=True)
    try:
        from resiliparse.extract.html2text import extract_plain_text

        found["resiliparse"] = lambda html: extract_plain_text(html, main_content=True, alt_texts=False)
    except ImportError:
        pass
    return found


def ours_alone(html: str) -> str:
    page = parse(html)
    return write(page, main_part(page))


def _entrant(name: str, extract: Extract, pages: list[Page]) -> Entrant:
    def work() -> None:
        for html, _ in pages:
            extract(html)

    return Entrant(name, lambda: cpu_seconds(work), lambda: extract(pages[0][0]))


def _same_work(pages: list[Page]) -> str:
    """Raises Unequal where ours leaves pages without text, which would be fast."""
    empty = sum(not main_text(html).text.strip() for html, _ in pages)
    if empty > len(pages) // 20:
        raise Unequal(f"{empty} of {len(pages)} pages gave no text")
    return f"every page's main text from its characters; {empty} without text by ours"


def score(pairs: list[tuple[str, str]]) -> str:
    """Of (found, marked) texts."""
    right = surplus = missing = words = 0.0
    for found, marked in pairs:
        ours, truth = _runs(found), _runs(marked)
        hits, more, less = (ours & truth).total(), (ours - truth).total(), (truth - ours).total()
        whole = (hits + more + less) or 1
        right, surplus, missing = right + hits / whole, surplus + more / whole, missing + less / whole
        ours, truth = Counter(WORDS.findall(found)), Counter(WORDS.findall(marked))
        words += 2 * (ours & truth).total() / ((ours.total() + truth.total()) or 1)
    precision, recall = right / ((right + surplus) or 1), right / ((right + missing) or 1)
    f1 = 2 * precision * recall / ((precision + recall) or 1)
    of_runs = f"F1 {f1:.3f} (precision {precision:.3f}, recall {recall:.3f}) of runs of {RUN} words"
    return f"{of_runs}, {words / len(pairs):.3f} of words"


def _runs(text: str) -> Counter[tuple[str, ...]]:
    words = WORDS.findall(text)
    length = min(RUN, len(words))
    return Counter(tuple(words[at : at + length]) for at in range(len(words) - length + 1)) if words else Counter()


def labelled(data: Path) -> list[Page]:
    folder = data / "html" / "zyte_article_extraction"
    truth = json.loads((folder / "ground-truth.json").read_text(encoding="utf-8"))
    found = []
    for name in sorted(truth):
        html = gzip.decompress((folder / "html" / f"{name}.html.gz").read_bytes()).decode("utf-8", "replace")
        found.append((html, truth[name]["articleBody"]))
    return found


def made_up(n: int) -> list[Page]:
    draw = random.Random(1)
    words = "the nurse came back with warm tea and said that fever was gone by now or so it seemed to all of us".split()
    pages = []
    for _ in range(n):
        paragraphs = [" ".join(draw.choices(words, k=draw.randint(20, 80))) + "." for _ in range(draw.randint(3, 12))]
        story = "".join(f"<p>{paragraph}</p>" for paragraph in paragraphs)
        menu = "".join(f"<li><a href=/{word}>{word}</a></li>" for word in words)
        pages.append(
            (f"<html><body><nav><ul>{menu}</ul></nav><article>{story}</article></body></html>", "\n".join(paragraphs))
        )
    return pages


if __name__ == "__main__":
    main()
