"""Pages: main text without what stands around it, tables and lists readable, in bounded time, in the page's own words."""

# ruff: noqa: E501 - markup stands in long lines
from __future__ import annotations

import io
import json
import random
import re
from collections import Counter
from pathlib import Path

import pytest

from curate.inputs import list_files, records
from curate.pages.charset import detected_text, page_text
from curate.pages.extraction import main_text, whole_text
from curate.pages.main_part import main_part
from curate.pages.page import MOST_TAGS, TooComplex, parse
from curate.readers.html import Html
from curate.records import Fields, Place, Record
from curate.settings import Source

PROSE = "The nurse came back with warm tea and said that the fever was gone by now."
LONG = f"{PROSE} {PROSE}"


def told(content: str | bytes, **fields: object) -> Record:
    (found,) = Html()(
        io.BytesIO(content.encode() if isinstance(content, str) else content), Place("x"), Fields(**fields)
    )
    return found


# the shape of the text ----------------------------------------------------------------------------------------------

SHAPES = {
    "paragraphs": ("<p>a</p><p>b <b>c</b><i>d</i></p>", "a\n\nb cd"),
    "headings": ("<h1>Dose</h1><p>five</p><h2>When</h2>now", "Dose\n\nfive\n\nWhen\n\nnow"),
    "lists": ("<ul><li>once<li>twice <b>a day</b></ul>after", "- once\n- twice a day\n\nafter"),
    "lists in lists": ("<ol><li>a<ul><li>b</li></ul></li><li><p>c</p><p>d</p></li></ol>", "- a\n  - b\n- c\nd"),
    "definitions": ("<dl><dt>tea</dt><dd>warm</dd></dl>", "tea\n\nwarm"),
    "tables": (
        "<table><caption>Doses</caption><thead><tr><th>drug<th>mg</thead><tr><td>tea<td><p>5</p></table>",
        "Doses\n\ndrug | mg\ntea | 5",
    ),
    "empty cells": ("<table><tr><td>a<td><td>c<tr><td><td></table>", "a | | c"),
    "tables of layout": ("<table><tr><td><h2>Dose</h2><p>five</p></td><td><ul><li>a</ul></td></tr></table>", "Dose\n\nfive\n\n- a"),
    "breaks": ("one<br>two<br><br>three<br>", "one\ntwo\n\nthree"),
    "verbatim": ("<p>see</p><pre>  a = 1\n    b\n</pre>", "see\n\n  a = 1\n    b"),
    "space": ("<p> a\n\t b\u00a0c </p>", "a b\u00a0c"),
    "muted": ("a<script>x()</script><style>p{}</style><!-- c --><svg><text>t</text></svg><noscript>n</noscript> b", "a b"),
    "entities": ("<p>5 &lt; 6 &amp; &eacute; &#8211; &nosuch;</p>", "5 < 6 & é – &nosuch;"),
    "a title is no text": ("<html><head><title>T</title></head><body>a</body></html>", "a"),
    "unclosed": ("<div><p>a<p>b<div>c", "a\n\nb\n\nc"),
    "self-closed": ("<p>a<a id='x'/>b</p><p>c</p>", "ab\n\nc"),
}  # fmt: skip


@pytest.mark.parametrize("shape", SHAPES)
def test_text_keeps_the_shape_that_carries_meaning(shape: str) -> None:
    html, expected = SHAPES[shape]
    assert whole_text(html) == expected


def test_a_page_says_its_title_address_and_language() -> None:
    head = (
        "<html lang='en-GB'><head><title>\n Tea \n time</title><link rel=canonical href='https://a.example/tea'></head>"
    )
    found = told(f"{head}<body><p>{LONG}</p><svg><title>icon</title></svg></body></html>", id="url")
    assert dict(found.meta) == {"title": "Tea time", "url": "https://a.example/tea", "language": "en-GB"}
    assert found.own_id == "https://a.example/tea"
    shared = main_text(f"<meta property='og:title' content='Shared'><title>Tea</title><p>{LONG}</p>")
    assert shared.title == "Shared"


# what is main -------------------------------------------------------------------------------------------------------

BESIDE = [
    "<nav><ul><li><a href=/>Home and garden</a></ul></nav>",
    "<div class='sidebar'><p>Subscribe now to our weekly letter about everything that is not tea.</p></div>",
    "<footer>All rights reserved by somebody who has many rights to reserve.</footer>",
    "<div id=comments><p>I never liked tea, and I am sure that you should not like it either, dear author.</p></div>",
    "<ul><li><a href=a>Ten things about coffee</a><li><a href=b>The history of the cup, in ten parts</a></ul>",
    "<p style='display: none'>Hidden words that nobody sees on this page, however long they look.</p>",
]


@pytest.mark.parametrize("beside", BESIDE)
def test_what_stands_beside_the_main_text_goes(beside: str) -> None:
    story = (
        f"<article><h1>Tea</h1>{f'<p>{LONG}</p>' * 4}{{}}<table><tr><td>dose</td><td>5 mg</td></tr></table></article>"
    )
    expected = "\n\n".join(["Tea", *[LONG] * 4, "dose | 5 mg"])
    assert main_text(f"<html><body>{story.format('')}{beside}</body></html>").text == expected
    assert main_text(f"<html><body>{story.format(beside)}</body></html>").text == expected


def test_a_name_does_not_condemn_what_holds_the_prose() -> None:
    for name in ("sidebar", "comments", "page-footer widget", "hidden"):
        page = f"<body><div class='{name}'>{f'<p>{LONG}</p>' * 4}</div><div class=sidebar>Menu of the day</div></body>"
        assert main_text(page).text == "\n\n".join([LONG] * 4)


def test_a_page_of_scattered_prose_is_read_by_trafilatura_and_comes_in_the_same_shape() -> None:
    parts = "".join(
        f"<section><div><div><h2>Part {k}</h2><p>{k} {LONG}</p><ul><li>tea {k}</ul></div></div></section>"
        for k in range(12)
    )
    page = f"<html><body><main>{parts}</main></body></html>"
    assert main_part(parse(page)).covered < 0.5
    text = main_text(page).text
    assert all(f"{k} {LONG}" in text for k in range(12))
    assert "\n- tea 3" in text


@pytest.mark.real
def test_main_text_agrees_with_labelled_pages(shared_data: Path) -> None:
    folder = shared_data / "html/zyte_article_extraction"
    truth = json.loads((folder / "ground-truth.json").read_text())
    names = sorted(truth)[::4]
    source = Source(name="web", path=[f"html/{name}.html.gz" for name in names])
    scores = []
    for file in list_files(source, folder):
        (record,) = records(file, source)
        ours, theirs = (
            Counter(re.findall(r"\w+", text or ""))
            for text in (record.text, truth[Path(file.path).name.split(".")[0]]["articleBody"])
        )
        scores.append(2 * (ours & theirs).total() / (ours.total() + theirs.total()))
    assert len(scores) == len(names) >= 40
    assert sum(scores) / len(scores) > 0.95


# what is hostile ----------------------------------------------------------------------------------------------------

HUGE = {
    "deep": "<div>" * 200_000 + LONG,
    "deep inline": "<b>" * 200_000 + LONG,
    "deep lists": "<ul><li>" * 100_000 + LONG,
    "deep tables": "<table><tr><td>" * 100_000 + LONG,
    "many tags": "<p>tea <b>x</b>" * 160_000,
    "many links": "<a href=x>tea" * 200_000,
    "many attributes": f"<p {' '.join(f'a{k}=1' for k in range(50_000))}>{LONG}",
    "a long name": f"<p class='{'ad x ' * 500_000}'>{LONG}",
    "a long text": f"<p>{'tea ' * 3_000_000}",
    "a long comment": f"<p>{LONG}<!--{'x' * 5_000_000}",
    "unclosed script": f"<p>{LONG}<script>{'x' * 5_000_000}",
    "many entities": "<p>" + "&amp;" * 1_000_000,
    "brackets": "<" * 400_000,
}  # fmt: skip


@pytest.mark.parametrize("kind", HUGE)
def test_no_page_takes_more_than_time_in_proportion_to_its_length(kind: str) -> None:
    found = told(HUGE[kind])  # what is quadratic would not come back
    assert found.reason in (None, "no_text", "broken_markup")


def test_a_page_of_too_many_tags_is_too_complex_and_one_too_large_is_too_large() -> None:
    assert told("<p>x" * (MOST_TAGS + 1)).reason == "too_complex"
    with pytest.raises(TooComplex):
        main_text("<p>x" * (MOST_TAGS + 1))


def test_no_garbled_page_ends_the_run() -> None:
    draw = random.Random(5)
    marks = ["<", ">", "</", "<p>", "<table>", "</td>", "<li>", "<title>", "<a href=", "<!--", "]]>", "\0", "&#0;", "&#xD800;",
             "\ud800", "<svg>", "</svg>", "<script>", "</body>", "<html>", "é", "\u202e", "<frameset>", "<template>", "<?x", LONG]  # fmt: skip
    kinds = Counter(
        told("".join(draw.choice(marks) for _ in range(draw.randint(1, 60))).encode("utf-8", "surrogatepass")).reason
        for _ in range(3000)
    )
    assert kinds[None] > 100
    assert set(kinds) <= {None, "no_text", "wrong_encoding", "empty_text", "broken_markup"}


# charsets -----------------------------------------------------------------------------------------------------------

CHARSETS = [
    ("utf-8", None, None), ("utf-8", "iso-8859-1", None), ("utf-8", None, "latin1"), ("cp1252", "iso-8859-1", None),
    ("cp1252", None, "windows-1252"), ("utf-16", None, None), ("utf-8-sig", "iso-8859-1", None), ("cp1252", "UTF-8", "iso-8859-1"),
    ("utf-8", None, "utf-16"), ("utf-8", "no such name", "undefined"),
]  # fmt: skip


@pytest.mark.parametrize(("encoding", "told_by_server", "told_by_page"), CHARSETS)
def test_a_page_is_read_in_the_encoding_it_is_in(
    encoding: str, told_by_server: str | None, told_by_page: str | None
) -> None:
    meta = f"<meta charset='{told_by_page}'>" if told_by_page else ""
    page = f"{meta}<p>Übelkeit – “naïve”</p>"
    assert page_text(page.encode(encoding), "utf-8", told_by_server) == page


def test_what_nobody_declares_is_guessed_only_where_asked() -> None:
    page = "<p>Der Arzt prüfte die Übelkeit; größere Mengen Öl lösten sie aus, schön müde wäre er später gegangen.</p>"
    with pytest.raises(UnicodeDecodeError):
        page_text(page.encode("cp1252"), "utf-8")
    assert detected_text(page.encode("cp1252"), "utf-8") == page
    assert page_text(page.encode("cp1252"), "cp1252") == page
