"""WARC: every answer of a server is one record, a page or the reason why it is none; what breaks off is named."""

# ruff: noqa: E501 - pages stand in long lines
from __future__ import annotations

import gzip
import io
from pathlib import Path

import pytest
from warcio.archiveiterator import ArchiveIterator
from warcio.statusandheaders import StatusAndHeaders
from warcio.warcwriter import WARCWriter

from curate.inputs import list_files, records
from curate.readers._warc_records import answer as http
from curate.readers._warc_records import warc_records
from curate.readers.warc import Warc
from curate.records import Damaged, Fields, Place, Record
from curate.settings import Source

PROSE = "The nurse came back with warm tea and said that the fever was gone by now. " * 3
PAGE = f"<html><head><title>Tea</title></head><body><nav><a href='/'>Home</a></nav><p>{PROSE}</p></body></html>"


def answer(
    writer: WARCWriter, url: str, body: bytes, headers: list[tuple[str, str]], status: str = "200 OK", kind: str = "response"
) -> None:  # fmt: skip
    http = StatusAndHeaders(status, headers, protocol="HTTP/1.1")
    writer.write_record(
        writer.create_warc_record(url, kind, payload=io.BytesIO(body), http_headers=http, warc_headers_dict={"WARC-Date": "2024-04-25T16:24:44Z"})
    )  # fmt: skip


def crawl(packed: bool = False) -> bytes:
    """A crawl with one record of each fate, each preceded by its request."""
    out = io.BytesIO()
    writer = WARCWriter(out, gzip=packed)
    writer.write_record(writer.create_warcinfo_record("crawl.warc", {"software": "test"}))
    html, chunks = [("Content-Type", "text/html; charset=utf-8")], b"%x\r\n%s\r\n0\r\n\r\n" % (len(PAGE), PAGE.encode())
    for url, body, headers, status in [
        ("https://a.example/tea", PAGE.encode(), html, "200 OK"),
        ("https://a.example/chunked", chunks, [*html, ("Transfer-Encoding", "chunked")], "200 OK"),
        ("https://a.example/packed", gzip.compress(PAGE.encode()), [*html, ("Content-Encoding", "gzip")], "200 OK"),
        ("https://a.example/latin", f"<p>café {PROSE}".encode("latin-1"), [("Content-Type", "text/html; charset=ISO-8859-1")], "200 OK"),
        ("https://a.example/slip", f"<p>café {PROSE}".encode(), [("Content-Type", "text/html; charset=ISO-8859-1")], "200 OK"),
        ("https://a.example/meta", f"<meta charset=windows-1251><p>чай {PROSE}".encode("cp1251"), [("Content-Type", "text/html")], "200 OK"),
        ("https://a.example/guess", f"<p>Der Arzt prüfte die Übelkeit; größere Mengen Öl lösten sie auß. {PROSE}".encode("cp1252"), [("Content-Type", "text/html")], "200 OK"),
        ("https://a.example/notes.txt", b"plain notes", [("Content-Type", "text/plain")], "200 OK"),
        ("https://a.example/untyped", PAGE.encode(), [], "200 OK"),
        ("https://a.example/gone", PAGE.encode(), html, "404 Not Found"),
        ("https://a.example/moved", b"", [*html, ("Location", "/tea")], "301 Moved Permanently"),
        ("https://a.example/x.png", b"\x89PNG", [("Content-Type", "image/png")], "200 OK"),
        ("https://a.example/empty", b"", html, "200 OK"),
    ]:  # fmt: skip
        request = StatusAndHeaders("GET / HTTP/1.1", [("Host", "a.example")], is_http_request=True)
        writer.write_record(writer.create_warc_record(url, "request", http_headers=request))
        answer(writer, url, body, headers, status)
    writer.write_record(writer.create_revisit_record("https://a.example/tea", "sha1:X", "https://a.example/tea", "2024-01-01T00:00:00Z"))  # fmt: skip
    writer.write_record(writer.create_warc_record("metadata://a.example/log", "resource", payload=io.BytesIO(b"log"), warc_content_type="text/plain"))  # fmt: skip
    writer.write_record(writer.create_warc_record("https://a.example/wet", "conversion", payload=io.BytesIO(PROSE.encode()), warc_content_type="text/plain"))  # fmt: skip
    return out.getvalue()


def told(content: bytes, **fields: object) -> list[Record]:
    return list(Warc()(io.BytesIO(content), Place("x.warc"), Fields(**fields)))


def test_every_answer_is_one_record_and_nothing_else_is() -> None:
    found = told(crawl())
    fates = [
        (str(one.meta.get("url") or (one.evidence or "").split(" ")[-1]).rpartition("/")[2], one.reason)
        for one in found
    ]
    assert fates == [
        ("tea", None), ("chunked", None), ("packed", None), ("latin", None), ("slip", None), ("meta", None),
        ("guess", None), ("notes.txt", None), ("untyped", None), ("gone", "not_a_page"), ("moved", "not_a_page"),
        ("x.png", "not_a_page"), ("''", "empty_text"), ("wet", None),
    ]  # fmt: skip
    assert [one.position for one in found] == [*range(2, 28, 2), 29]  # requests, revisit and log are counted, not told


def test_a_page_is_its_main_text_however_it_was_sent() -> None:
    by_name = {str(one.meta["url"]).rpartition("/")[2]: one for one in told(crawl()) if one.text}
    for name in ("tea", "chunked", "packed", "untyped"):
        assert by_name[name].text == PROSE.strip()
        assert by_name[name].meta["title"] == "Tea"
    assert dict(by_name["tea"].meta) == {
        "title": "Tea", "url": "https://a.example/tea", "date": "2024-04-25T16:24:44Z", "content_type": "text/html",
    }  # fmt: skip
    assert by_name["notes.txt"].text == "plain notes"
    assert by_name["wet"].text == PROSE


@pytest.mark.parametrize(
    ("name", "word"), [("latin", "café"), ("slip", "café"), ("meta", "чай"), ("guess", "Übelkeit")]
)
def test_the_charset_is_the_servers_then_the_pages_then_what_it_looks_like(name: str, word: str) -> None:
    (found,) = [one for one in told(crawl()) if one.meta.get("url") == f"https://a.example/{name}"]
    assert word in (found.text or "")


def test_an_id_may_be_the_url() -> None:
    assert told(crawl(), id="url")[0].own_id == "https://a.example/tea"


def test_a_packed_crawl_gives_the_same_records(tmp_path: Path) -> None:
    (tmp_path / "a.warc").write_bytes(crawl())
    (tmp_path / "b.warc.gz").write_bytes(crawl(packed=True))
    plain, packed = (
        [(one.position, one.text, one.reason) for file in list_files(source, tmp_path) for one in records(file, source)]
        for source in (Source(name="s", path=name) for name in ("a.warc", "b.warc.gz"))
    )
    assert plain == packed
    assert len(plain) == 14


def test_a_crawl_cut_short_delivers_what_came_before() -> None:
    content = crawl()
    good, cuts = told(content), 0
    for cut in range(1000, len(content), 331):
        found: list[Record] = []
        try:
            for one in Warc()(io.BytesIO(content[:cut]), Place("x.warc"), Fields()):
                found.append(one)
        except Damaged as damage:
            cuts += damage.reason == "truncated_archive"
        assert found == good[: len(found)]
    assert cuts > 5


def test_what_is_no_crawl_is_unreadable_and_garbage_between_records_costs_none() -> None:
    with pytest.raises(Damaged) as caught:
        told(b"no crawl at all\n" * 10)
    assert caught.value.reason == "unreadable_file"
    assert told(b"") == []
    content, good = crawl(), [one.text for one in told(crawl())]
    at = content.index(b"WARC/1.0\r\n", len(content) // 2)
    assert [one.text for one in told(content[:at] + b"garbage\r\n\r\n" + content[at:])] == good
    (number,) = [k for k, one in enumerate(told(content)) if one.meta.get("url") == "https://a.example/chunked"]
    start = content.rindex(b"Content-Length: ", 0, content.index(b"Transfer-Encoding"))
    found = told(content[:start] + b"Content-Length: x" + content[start + 17 :])
    assert [one.text for k, one in enumerate(found) if k != number] == good[:number] + good[number + 1 :]
    assert found[number].reason == "broken_record"


def test_a_page_that_unpacks_to_more_than_a_page_is_too_large_and_costs_little() -> None:
    out = io.BytesIO()
    packed = gzip.compress(b"<p>" + b"word " * 20_000_000, 1)
    answer(
        WARCWriter(out, gzip=False),
        "https://a.example/bomb",
        packed,
        [("Content-Type", "text/html"), ("Content-Encoding", "gzip")],
    )
    assert [one.reason for one in told(out.getvalue())] == ["too_large"]


@pytest.mark.parametrize("name", ["chunked", "packed", "tea"])
def test_transfers_are_undone_as_warcio_undoes_them(name: str) -> None:
    theirs = {
        one.rec_headers.get_header("WARC-Target-URI"): one.content_stream().read()
        for one in ArchiveIterator(io.BytesIO(crawl()))
        if one.rec_type == "response"
    }
    ours = {
        one.headers["warc-target-uri"]: http(one.body or b"", 1 << 20)
        for one in warc_records(io.BytesIO(crawl()), frozenset({"response"}), 1 << 20)
        if one.kind == "response"
    }
    assert set(ours) == set(theirs)
    found = ours[f"https://a.example/{name}"]
    assert found is not None
    assert found.payload == theirs[f"https://a.example/{name}"] == PAGE.encode()


@pytest.mark.real
def test_real_crawls_are_read_whole(shared_data: Path) -> None:
    source = Source(name="w", path="html/warc/*.warc.gz")
    found = [one for file in list_files(source, shared_data) for one in records(file, source)]
    assert len(found) == 37
    assert all(one.text and one.meta["url"].startswith("https://") for one in found)
    assert sum(len(one.text or "") for one in found) > 100_000
