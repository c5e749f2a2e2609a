"""XML: articles become readable text; markup, references and numbers of citations go, words stay."""

# ruff: noqa: E501 - markup stands in long lines
from __future__ import annotations

import io
import re
from pathlib import Path

import pytest

from curate.dialects.wikitext import plain
from curate.inputs import list_files, records
from curate.readers.xml import Xml
from curate.records import Damaged, Fields, Place, Record
from curate.settings import Source

JATS = """<?xml version="1.0"?>
<!DOCTYPE article PUBLIC "-//NLM//DTD JATS" "JATS-archivearticle1.dtd">
<article xmlns:xlink="http://www.w3.org/1999/xlink" xmlns:mml="http://www.w3.org/1998/Math/MathML"><front>
<journal-meta><journal-title-group><journal-title>J Heart</journal-title></journal-title-group></journal-meta>
<article-meta><article-id pub-id-type="pmid">123</article-id><article-id pub-id-type="doi">10.1/x</article-id>
<title-group><article-title>Effects of <italic>B. subtilis</italic></article-title></title-group>
<contrib-group><contrib><name><surname>Nobody</surname></name></contrib></contrib-group>
<pub-date><year>2014</year></pub-date>
<permissions><copyright-statement>All rights</copyright-statement>
<license xlink:href="http://creativecommons.org/licenses/by/4.0/"><license-p>Free to share.</license-p></license></permissions>
<abstract><p>We counted.</p><p><bold>DOI:</bold> <ext-link>http://dx.doi.org/10.1/x.001</ext-link></p></abstract>
<abstract abstract-type="graphical"><p>Picture.</p></abstract></article-meta></front>
<body><sec><label>1</label><title>Results</title>
<p>Counts fell to 10<sup>&#x2212;6</sup> of H<sub>2</sub>O and V<sub>max</sub> rose, as shown [<xref ref-type="bibr">12</xref>,
<xref ref-type="bibr">13</xref>], before<sup><xref ref-type="bibr">4</xref>&#8211;<xref ref-type="bibr">6</xref></sup>, and (see
<xref ref-type="bibr">7</xref>) by (<xref ref-type="bibr">Smith et al., 2010</xref>) (<xref ref-type="fig">Figure 1A</xref>).
Ca<sup>2+</sup>, 10<sup>5.5</sup>, 1<sup>st</sup>, &alpha;-helix<xref ref-type="fn">*</xref>.
Let <inline-formula><mml:math><mml:msup><mml:mi>x</mml:mi><mml:mn>2</mml:mn></mml:msup><mml:mo>=</mml:mo><mml:mfrac><mml:mi>a</mml:mi>
<mml:mrow><mml:mi>b</mml:mi><mml:mo>+</mml:mo><mml:mn>1</mml:mn></mml:mrow></mml:mfrac></mml:math></inline-formula> hold.
<list><list-item><label>a.</label><p>first</p></list-item><list-item><p>second</p></list-item></list> After.</p>
<fig><object-id>10.1/x.002</object-id><label>Figure 1.</label><caption><title>A plate.</title><p>Shown twice.</p></caption>
<graphic xlink:href="f1.tif"/></fig>
<table-wrap><label>Table 1.</label><caption><title>Doses</title></caption><table><thead><tr><th>drug</th><th>mg</th></tr></thead>
<tbody><tr><td>A<sup>2</sup></td><td>5</td></tr></tbody></table><table-wrap-foot><fn><p>Foot.</p></fn></table-wrap-foot></table-wrap>
</sec></body>
<back><ack><p>Thanks.</p></ack><ref-list><ref><mixed-citation>Smith 2010</mixed-citation></ref></ref-list></back>
<sub-article><front-stub/><body><p>Decision letter.</p></body></sub-article></article>"""

JATS_TEXT = """Effects of B. subtilis

We counted.

1 Results

Counts fell to 10⁻⁶ of H₂O and Vmax rose, as shown, before, and by (Smith et al., 2010) (Figure 1A). Ca²⁺, 10^5.5, 1st, \
α-helix. Let x²=a/(b+1) hold.

a. first
second

After.

Figure 1. A plate.

Shown twice.

Table 1. Doses

drug | mg
A² | 5"""

CNXML = """<document xmlns="http://cnx.rice.edu/cnxml"><title>The Heart</title>
<metadata xmlns:md="http://cnx.rice.edu/mdml"><md:content-id>m46</md:content-id><md:license url="http://by/4.0"/>
<md:abstract><list><item>Explain the heart.</item></list></md:abstract></metadata>
<content><para id="p">The <term>heart</term> pumps<link target-id="x"/>.<note><title>Tip</title><para>Rest.</para></note></para>
<figure><media alt="x"><image src="h.png"/></media><caption>A heart</caption></figure></content>
<glossary><definition><term>atrium</term><meaning>upper chamber</meaning></definition></glossary></document>"""

LAW = """<section xmlns="https://code.example/lib"><num>16-1001</num><heading>Definitions.</heading>
<text>In this part, the <cite>term</cite>:</text><para><num>(1)</num><para><num>(A)</num><text>Court means a court.</text></para></para>
</section>"""


def extracted(content: str | bytes, **fields: object) -> list[Record]:
    content = content if isinstance(content, bytes) else content.encode()
    return list(Xml()(io.BytesIO(content), Place("x.xml"), Fields(**fields)))


def test_a_journal_article_becomes_readable_text() -> None:
    (found,) = extracted(JATS)
    assert found.text == JATS_TEXT
    assert found.own_id == "123"
    assert dict(found.meta) == {
        "title": "Effects of B. subtilis",
        "journal": "J Heart",
        "year": "2014",
        "license": "http://creativecommons.org/licenses/by/4.0/",
        "doi": "10.1/x",
        "pmid": "123",
    }
    assert extracted(JATS, id="doi")[0].own_id == "10.1/x"


def test_namespaces_do_not_matter_and_a_file_may_hold_several_articles() -> None:
    spaced = JATS[JATS.index("<article") :].replace("<article xmlns", '<article xmlns="http://jats.nlm.nih.gov" xmlns')
    spaced = spaced.replace("&alpha;", "α")
    found = extracted(f"<set><!-- two -->{spaced}{spaced}</set>")
    assert [(record.position, record.text) for record in found] == [(0, JATS_TEXT), (1, JATS_TEXT)]


def test_a_textbook_module_becomes_readable_text() -> None:
    (found,) = extracted(CNXML)
    assert found.text == (
        "The Heart\n\nExplain the heart.\n\nThe heart pumps.\n\nTip\n\nRest.\n\nA heart\n\natrium: upper chamber"
    )
    assert found.own_id == "m46"
    assert dict(found.meta) == {"title": "The Heart", "license": "http://by/4.0"}


def test_any_other_xml_gives_all_its_text_by_block() -> None:
    (found,) = extracted(LAW)
    assert found.text == "16-1001 Definitions.\n\nIn this part, the term:\n\n(1) (A) Court means a court."


def test_nothing_outside_the_file_is_read_and_nothing_expands(tmp_path: Path) -> None:
    (tmp_path / "secret.txt").write_text("SECRET")
    outside = f'<!DOCTYPE a [<!ENTITY x SYSTEM "file://{tmp_path}/secret.txt">]><a>safe &x; text</a>'
    (found,) = extracted(outside)
    assert found.text == "safe text"
    bomb = "<!DOCTYPE a [" + "".join(
        f'<!ENTITY e{n} "{f"&e{n - 1};" * 10 if n else "ha" * 10}">' for n in range(10)
    ) + "]><a>b &e9;</a>"  # fmt: skip
    (found,) = extracted(bomb)
    assert found.text in ("b", None)


@pytest.mark.parametrize("depth", [100, 10_000])
def test_depth_is_bounded(depth: int) -> None:
    (found,) = extracted("<a>" * depth + "text" + "</a>" * depth)
    assert found.reason == (None if depth == 100 else "broken_markup")


WIKI = """<mediawiki xmlns="http://www.mediawiki.org/xml/export-0.10/" xml:lang="de"><siteinfo><dbname>dewiki</dbname><namespaces>
<namespace key="0" /><namespace key="6">Datei</namespace><namespace key="14">Kategorie</namespace></namespaces></siteinfo>
<page><title>Tee</title><ns>0</ns><id>7</id><revision><id>99</id><timestamp>2016-04-22T10:19:33Z</timestamp><model>wikitext</model>
<text>{{Infobox|a=b}}'''Tee''' ist ein [[Getränk|Trunk]].&lt;ref&gt;Smith {{cite|x}}&lt;/ref&gt; [[Datei:x.png|mini|ein [[Bild]]]]
[[Kategorie:Heilmittel]]</text></revision></page>
<page><title>Thee</title><ns>0</ns><id>8</id><redirect title="Tee" /><revision><text>#WEITERLEITUNG [[Tee]]</text></revision></page>
<page><title>Vorlage:X</title><ns>10</ns><id>9</id><revision><text>x</text></revision></page>
<page><title>x.js</title><ns>0</ns><id>10</id><revision><model>javascript</model><text>x</text></revision></page>
<page><title>Leer</title><ns>0</ns><id>11</id><revision><text /></revision></page></mediawiki>"""


def test_a_wiki_dump_gives_a_record_a_page() -> None:
    found = extracted(WIKI)
    assert [(one.position, one.own_id, one.reason) for one in found] == [
        (0, "7", None), (1, "8", "redirect"), (2, "9", "not_an_article"), (3, "10", "not_an_article"), (4, "11", "empty_text"),
    ]  # fmt: skip
    assert found[0].text == "Tee\n\nTee ist ein Trunk."
    assert dict(found[0].meta) == {
        "title": "Tee",
        "timestamp": "2016-04-22T10:19:33Z",
        "wiki": "dewiki",
        "language": "de",
    }
    assert found[1].evidence == "Thee -> Tee"
    assert extracted(WIKI, id="title")[0].own_id == "Tee"


def test_a_wiki_dump_is_read_as_a_stream_and_delivers_what_came_before_a_break() -> None:
    head, page = WIKI[: WIKI.index("<page>")], WIKI[WIKI.index("<page>") : WIKI.index("</page>") + 7]
    many = (head + page * 5000).encode()
    served: list[int] = []

    class Counted(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            served.append(super().tell())
            return super().read(size)

    records_of = Xml()(Counted(many), Place("x.xml"), Fields())
    next(records_of)
    assert max(served) < len(many) // 10
    found = [one for _, one in zip(range(4998), records_of, strict=False)]
    assert {one.text for one in found} == {"Tee\n\nTee ist ein Trunk."}
    for rest in ("<page><title>", "</broken>"):
        broken = Xml()(io.BytesIO((head + page * 10 + rest).encode()), Place("x.xml"), Fields())
        assert len([next(broken) for _ in range(10)]) == 10
        with pytest.raises(Damaged) as caught:
            next(broken)
        assert caught.value.reason == "broken_markup"


WIKITEXT = {
    "'''Bold''' and ''italic'' [[a|b]] [[c]]s [[#d|e]] [[:Category:f]].": "Bold and italic b cs e Category:f.",
    "a<ref name=x/> b<ref>{{cite|[[c]]}}</ref><!-- d --> e": "a b e",
    "{{a|{{b|c}}|d}}Text {{lang|la|ad hoc}} {{convert|5|km|mi}} {{nowrap|x {{nbsp}} y}} {{frac|1|2}}": "Text ad hoc 5 km x y 1/2",
    "{{unclosed [[link]] text": "{{unclosed link text",
    "text }} and ]] stay": "text }} and ]] stay",
    "== Heading ==\ntext\n=== Empty ===\n== References ==\n{{reflist}}": "Heading\n\ntext",
    "* one\n** two\n# three\n: indented\n; term": "- one\n  - two\n- three\nindented\nterm",
    "before\n{| class=x\n|+ Doses\n! drug !! mg\n|-\n| style=\"a:b\" | tea || 5\n|-\n| rest\n| 0\n|}\nafter": "before\n\nDoses\ndrug | mg\ntea | 5\nrest | 0\n\nafter",
    "[[File:x.png|thumb|a [[b]] c]]Text [http://x.y z w] [http://x.y] &amp; &nbsp;5&lt;6": "Text z w & \u00a05<6",
    "let <math>a_{b_{c}} < \\frac{{x}}{2}</math> hold<br>there <nowiki>[[not]]</nowiki>": "let a_{b_{c}} < \\frac{{x}}{2} hold\nthere [[not]]",
    "A (IPA: {{IPAc|x}}; {{y}}) word ({{z}}) here": "A (IPA:) word here",
    "one\ntwo\n\n\n\nthree": "one\ntwo\n\nthree",
}  # fmt: skip


@pytest.mark.parametrize("markup", WIKITEXT)
def test_wikitext_becomes_plain_text(markup: str) -> None:
    assert plain(markup) == WIKITEXT[markup]


@pytest.mark.parametrize(
    "piece",
    [
        "{{",
        "[[",
        "<ref>",
        "<!--",
        "{|\n",
        "'",
        "[http://x ",
        "= ",
        "( ",
        "<ref ",
        "|a=b ",
        "&",
        ": ",
        "{{a|",
        "\n|-\n",
        "<math>",
        "]]",
        "__A",
    ],
)
def test_wikitext_takes_time_in_proportion_to_its_length(piece: str) -> None:
    assert len(plain(piece * 60_000)) <= len(piece) * 60_000 + 1  # what is quadratic would not come back


@pytest.mark.real
def test_real_wiki_pages_lose_markup_and_keep_words(shared_data: Path) -> None:
    source = Source(name="wiki", path="general/enwiki*.bz2", format="xml")
    (file,) = list_files(source, shared_data)
    found = list(records(file, source))
    assert len(found) == 206
    assert sum(one.reason == "redirect" for one in found) == 100
    texts = [one.text or "" for one in found if one.reason is None]
    assert len(texts) == 106
    assert sum(len(text) for text in texts) > 2_500_000
    assert not re.search(r"\[\[|\]\]|<ref|'''|thumb\|", "".join(texts))
    assert sum(text.count("{{") + text.count("}}") for text in texts) < 40  # of formulas, and of markup that is broken


@pytest.mark.real
def test_real_articles_keep_words_and_lose_markup(shared_data: Path) -> None:
    source = Source(name="elife", path="medical/elife_jats.tar.gz")
    (file,) = list_files(source, shared_data)
    found = []
    for record in records(file, source):
        found.append(record)
        if len(found) == 40:
            break
    assert {record.reason for record in found} == {None}
    assert len({record.own_id for record in found}) == 40
    for record in found:
        text = record.text or ""
        assert text.startswith(record.meta["title"])
        assert "\ue000" not in text
        assert "http://dx.doi.org/10.7554/eLife" not in text
        assert "All rights reserved" not in text
    assert sum(len(record.text or "") for record in found) > 1_000_000


@pytest.mark.real
def test_real_sections_of_law_start_with_number_and_heading(shared_data: Path) -> None:
    source = Source(name="law", path="legal/dc_code_xml.tar.gz")
    (file,) = list_files(source, shared_data)
    found = list(records(file, source))
    assert len(found) == 6824
    assert {record.reason for record in found} == {None}
    text = next(record.text for record in found if record.path.endswith("sections/16-1002.xml"))
    assert text.startswith("16-1002 Complaint of criminal conduct.\n\nA petitioner has a right to seek relief")
