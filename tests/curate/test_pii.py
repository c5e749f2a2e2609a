"""Personal data: what is found and what is not, kind by kind, and the laws of counting and masking."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pyarrow as pa
import pyarrow.compute
import pyarrow.json
import pyarrow.parquet as pq
import pytest
from hypothesis import example, given
from hypothesis import settings as effort
from hypothesis import strategies as st

from curate.pii import candidates as signs
from curate.pii import presidio
from curate.pii.candidates import candidates
from curate.pii.find import Span, claimed, find, kinds, pii_measures
from curate.pii.pattern import gate_of
from curate.pii.patterns import patterns
from curate.settings import PII_KINDS, Pii
from curate.shards.fault import Fault
from curate.text import TextBatch

KINDS = PII_KINDS[:-2]  # those that patterns find
MASK_ALL = Pii(mask=list(KINDS))

FOUND = {
    "email": [
        "jane.doe@example.org",
        "O'Brien+trial@clinic.nhs.uk",
        "JANE@EXAMPLE.COM",
        "jürgen.müller@klinik-köln.de",
        "иван@почта.рф",
        "_list_x@sub.domain.example.museum",
        "a@b.co",
    ],
    "phone": [
        "+44 20 7946 0018",
        "+442079460018",
        "+1 (617) 555-0191",
        "+32 (0)2 720 53 51",
        "+1.212.555.0143",
        "(202) 555-0143",
        "1-800-555-0199",
        "202.555.0143",
        "202\u2011555\u20110143",
        "+49\u00a0381\u00a04563\u00a0601",
    ],
    "ip": ["8.8.187.8", "203.119.4.17", "2606:4700:4700::1111", "2a00:1450:4001:81b::200e", "142.250.74.36"],
    "url_credentials": [],  # part of a URL: below
    "national_id": [
        "536-90-4399",  # United States
        "54362315K",  # Spain
        "X2482300W",
        "RCCMNL83S18D969H",  # Italy
        "2 95 10 99 126 111 93",  # France
        "BOXW310820HNERXN09",  # Mexico
        "131052-308T",  # Finland
        "390.533.447-05",  # Brazil
        "12.531.909-2",  # Chile
        "360426199101010071",  # China
        "971013-9019902",  # South Korea
        "85.07.30-033.28",  # Belgium
        "756.9217.0769.85",  # Switzerland
        "710319/2745",  # Czechia
        "19880320-0016",  # Sweden
    ],
    "medical_record_number": [],  # these need their labels: below
    "birth_date": [],
}
"""Found by their shape alone."""

NAMED = {
    "phone": [
        "Tel: {020 7946 0018}",
        "Telephone (office): {555-0143}",
        "phone number is {0800 123 4567}",
        "Fax\u00a0{0 18 88 68 45-34 44}",
        "Tél. {01 23 45 67 89}",
        "Тел. {8 495 123-45-67}",
        "please call us at {910.538.0115}",
        "cell phone no. {555 0143}",
    ],
    "ip": ["IP {8.8.4.4}", "IP address: {8.8.8.8}", "see http://{8.8.8.8}:8080/x", "from IPv4 {1.1.1.1}"],
    "url_credentials": [
        "ftp://{jane:secret}@example.org/data",
        "postgres://{admin:x-9!}@db.example.org:5432",
        "https://example.org/v1?api_key={a53f435643de32}.",
        "/search?q=fever&token={abc123DEF456}&n=2",
        "https://example.org/?x=1&amp;access_token={eyJhbGciOi.J9}",
    ],
    "national_id": [
        "SSN {536904399}",
        "NHS number: {943 476 5919}",
        "NI: no. NINO {JG 10 37 59 A}",
        "National Insurance no. {JG103759A}",
        "PESEL {44051401359}",
        "BSN: {111222333}",
        "CPR {211062-5629}",
        "personnummer {880320-0016}",
        "fødselsnummer {15108695088}",
        "social insurance number {123-456-782}",
        "Medicare no. {2123 45670 1}",
        "Steuer-ID {36 574 261 809}",
        "Steueridentifikationsnummer: {36574261809}",
        "Aadhaar {2341 2341 2346}",
        "T.C. Kimlik No: {17291716060}",
        "CNP {1630615123457}",
        "EGN {7523169263}",
        "OIB: {33392005961}",
        "AMKA {01013099997}",
        "PPS {6433435F}",
        "NIF {501 964 843}",
        "identity number {7503305044089}",
        "NIR {295109912611193}",
    ],
    "medical_record_number": [
        "MRN: {00123456}",
        "MRN#{4711-12}",
        "Medical Record Number {E1234567}",
        "patient no. {4711-12}",
        "Patient ID: {20110042}",
        "hospital number {H-123456}",
        "Fallnummer {2010/04711}",
        "NHI: {ABC1234}",
        "patient identification number is {1234567}",
    ],
    "birth_date": [
        "DOB {03/04/1961}",
        "D.O.B.: {3-4-61}",
        "date of birth (dd/mm/yyyy): {03/04/1961}",
        "born on {12 March 1950}",
        "born on the {12th of March 1950}",
        "was born {March 8, 1903}",
        "geb. am {12.3.1950}",
        "née le {1er août 1950}",
        "nacido el {12 de marzo de 1950}",
        "birthdate={1950-03-12}",
        "nata il {12 maggio 1950}",
        "born ({12 March 1950})",
    ],
}
"""Found because a word, or a URL, says so; the braces are around what counts."""

NEAR_MISSES = {
    "email": [
        "Fe3O4@SiO2.The core",
        "P@10.Recall rose",
        "follow @WHO.int",
        "git@github.com:org/name",
        "Au@Pt nanoparticles",
        "x@localhost",
        "photos/12345@N00/",
        "n = 12 @ 5.5 mg",
    ],
    "phone": [
        "NCT00123456 and ISRCTN12345678",
        "doi:10.1016/0140-6736(93)91234-5",
        "10.1093/415-555-2671",
        "PMID: 12345678",
        "ISBN 978-0-306-40615-7",
        "CAS 7732-18-5",
        "Cell 142 (2010) 123-134",
        "Cell 2010;142:1234567",
        "pH 7.4, 250 300 4000 cells",
        "557 U. S. 404, 2010-2011",
        "345 F.3d 824, 829-831",
        "42 U.S.C. 1395-1396",
        "charge +1.23456789 eV",
        "+0.1234567 to +0.2345678",
        "0.213-0.555-0.1234",
        "2001-2005 and 2006-2010",
        "call 1 of 12 in 2010",
        "GM02525 and Tel Aviv 2010",
    ],
    "ip": [
        "EC 3.4.21.4 and 1.14.11.29",
        "(EC 3.4.24.11)",
        "section 11.1.2.1",
        "§§5.15.1.7 and 5.15.1.8",
        "version 101.5.0.5",
        "10.0.0.1 and 192.168.100.2",
        "1.2.840.113619.2.55",
        "12:30:45 on 01:02:03",
        "20.30.21.70",
        "chr12:119900361-119900931",
        "BCR::ABL1 and std::add",
        "256.300.1.2",
    ],
    "url_credentials": [
        "https://example.org/path?q=fever",
        "http://example.org:8080/a@b",
        "mailto:x at y",
        "?token=abc",
        "see https://example.org/?page=123456789",
        "ratio a://b",
    ],
    "national_id": [
        "536-90-439",
        "666-12-3456",  # never given out
        "54362315A",  # Spain: letter of another number
        "g.54362315K>G",  # a variant's place, and its letter happens to fit
        "RCCMNL83S18D969A",
        "2 95 10 99 126 111 94",
        "295109912611193",  # right, and like any number of fifteen digits
        "390.533.447-06",
        "360426199101010072",
        "756.9217.0769.84",
        "710319/2746",
        "0.360426199101010071",
        "2008 2009 2010",
        "10.1000/536-90-4399",
        "NHS 943 476 5918",
        "Medicare paid 2123 45671 1",
        "Aadhaar 2341 2341 2345",
        "PESEL 44051401358",
        "NINO BG 10 37 59 A",
        "grant 098051/Z/12/Z, 201012/1235",
    ],
    "medical_record_number": [
        "patients (n = 1234)",
        "one patient in 2010",
        "hospital stay at 1997-1998 values",
        "Record 12049, n. 13",
        "patient number 12",
        "Rejectable Record. Section 9-516",
        "number of patients: 12345",
        "patient no longer 2010",
        "chart 12345",
    ],
    "birth_date": [
        "12 March 1950",
        "children born in 1998",
        "born between 1948 and 1993",
        "born 32-36 weeks",
        "By Birth or Consent 97 (2005)",
        "birth weight 3.2.1950",
        "born on 41.13.1950",
        "born on March 41, 1950",
        "stillborn 12 March 1950",
        "preterm birth 12/2010",
    ],
}
"""Near misses of medical and legal text, kind by kind: nothing of that kind."""


def spans(text: str, settings: Pii = MASK_ALL) -> list[tuple[str, str]]:
    """(kind, what was found), in the order of the text."""
    batch = TextBatch.of([text])
    found, _ = find(batch, settings)
    return [(one.kind, batch.data[one.start : one.end].tobytes().decode()) for one in found.spans]


def in_whole(text: str) -> list[tuple[str, int, int]]:
    """What the patterns find in the whole text, without candidates and gates."""
    every = patterns(KINDS, sum(signs.SIGNS))
    found = more = claimed(text, 0, len(text), every)
    while more:  # what masks uncover
        shown, at = [], 0
        for kind, low, high in found:
            shown += [*((one, i) for i, one in enumerate(text[at:low], at)), *((one, -1) for one in f"[{kind}]")]
            at = high
        shown += [(one, i) for i, one in enumerate(text[at:], at)]
        masked = "".join(one for one, _ in shown)
        more = [
            (kind, shown[low][1], shown[high - 1][1] + 1) for kind, low, high in claimed(masked, 0, len(masked), every)
        ]
        found = sorted([*found, *more], key=lambda one: one[1])
    return found


def through_candidates(text: str) -> list[tuple[str, int, int]]:
    found, _ = find(TextBatch.of([text]), Pii())
    raw = text.encode()
    return [(one.kind, len(raw[: one.start].decode()), len(raw[: one.end].decode())) for one in found.spans]


@pytest.mark.parametrize(("kind", "value"), [(kind, value) for kind, values in FOUND.items() for value in values])
@pytest.mark.parametrize("around", ["{}", "Write to {}.", "({})", "x,\n{}\ty", "Größe – {}, 発熱"])
def test_what_has_an_unmistakable_shape_is_found_wherever_it_stands(kind: str, value: str, around: str) -> None:
    assert spans(around.format(value)) == [(kind, value)]


@pytest.mark.parametrize(("kind", "text"), [(kind, text) for kind, texts in NAMED.items() for text in texts])
@pytest.mark.parametrize("around", ["{}", "Details: {}.", "über 発熱 {}\nnext line"])
def test_what_a_word_names_is_found(kind: str, text: str, around: str) -> None:
    value = re.search(r"\{(.+)\}", text)[1]  # type: ignore[index]
    assert (kind, value) in spans(around.replace("{}", text.replace("{", "").replace("}", "")))


def test_values_that_need_their_label_are_not_found_without() -> None:
    for kind in ("medical_record_number", "birth_date", "national_id"):
        for text in NAMED[kind]:
            value = re.search(r"\{(.+)\}", text)[1]  # type: ignore[index]
            assert spans(f"about {value} of them") == [], value


@pytest.mark.parametrize(("kind", "text"), [(kind, text) for kind, texts in NEAR_MISSES.items() for text in texts])
@pytest.mark.parametrize("around", ["{}", "In the trial, {}, as before.", "({})"])
def test_near_misses_of_medical_and_legal_text_are_not_found(kind: str, text: str, around: str) -> None:
    assert [one for one in spans(around.format(text)) if one[0] == kind] == []


def test_every_kind_has_five_that_are_found_and_five_that_are_not() -> None:
    for kind in KINDS:
        assert len(FOUND[kind]) + len(NAMED.get(kind, [])) >= 5
        assert len(NEAR_MISSES[kind]) >= 5


def test_no_pattern_is_longer_than_the_stretch_its_sign_is_given() -> None:
    room = {
        signs.ADDRESS: 2 * signs.LONGEST_ADDRESS,
        signs.KEY: signs.LONGEST_KEY,
        signs.LABEL: signs.LONGEST_AFTER_LABEL,
    }
    checked = 0
    for pattern in patterns(KINDS, sum(signs.SIGNS)):
        if pattern.sign in room:
            longest = re._parser.parse(pattern.expression.pattern, pattern.expression.flags).getwidth()[1]  # type: ignore[attr-defined]
            assert longest <= room[pattern.sign], (pattern.kind, longest)
            checked += 1
    assert checked > 20


def test_the_gate_opens_wherever_a_pattern_finds_something() -> None:
    texts = [value for values in FOUND.values() for value in values]
    texts += [text.replace("{", "").replace("}", "") for values in NAMED.values() for text in values]
    for pattern in patterns(KINDS, sum(signs.SIGNS)):
        matched = [text for text in texts if pattern.expression.search(text)]
        assert matched, pattern.expression.pattern
        opens = pa.compute.match_substring_regex(pa.array(matched), gate_of([pattern]))
        assert opens.to_pylist() == [True] * len(matched), pattern.expression.pattern


PIECES = st.sampled_from(
    [
        *(value for values in FOUND.values() for value in values),
        *(text.replace("{", "").replace("}", "") for values in NAMED.values() for text in values),
        *(text for texts in NEAR_MISSES.values() for text in texts),
        *(f"[{kind}]" for kind in KINDS),
        *signs.LABELS,
        *" \n\t.,:;-/()[]@+?&=#'\"",
        *("\u00a0", "\u2013", "é", "ü", "発熱", "😀", "0", "12", "1234567", "A", "x", "://", "e\u0302"),
    ]
)
TEXTS = st.lists(PIECES, max_size=12).map("".join)


@effort(max_examples=400, deadline=None)
@given(TEXTS)
def test_whatever_the_patterns_find_in_a_whole_text_is_found_through_the_candidates(text: str) -> None:
    assert through_candidates(text) == in_whole(text)


@effort(max_examples=200, deadline=None)
@given(st.lists(TEXTS, max_size=5))
@example(["+32 (0)2 720 53 51.jane.doe@example.org"])  # what ran together, a mask takes apart
@example(["(202) 555-0143Тел. 8 495 123-45-67", "jane.doe@example.orgversion 101.5.0.5"])
@example(["+32 (0)2 720 53 51.jane.doe@example.org"])  # the address claims the number's end, not all of it
def test_masks_replace_spans_and_nothing_else_and_leave_nothing_to_find(texts: list[str]) -> None:
    batch = TextBatch.of(texts)
    found, masked = find(batch, MASK_ALL)
    expected = []
    for document, text in enumerate(texts):
        raw, at = b"", int(batch.offsets[document])
        for one in [one for one in found.spans if one.document == document]:
            assert at <= one.start < one.end <= batch.offsets[document + 1]  # in order, apart, in one document
            raw += batch.data[at : one.start].tobytes() + f"[{one.kind}]".encode()
            at = one.end
        expected.append((raw + batch.data[at : batch.offsets[document + 1]].tobytes()).decode())
        assert text or not raw
    assert masked.array.to_pylist() == expected
    again, same = find(masked, MASK_ALL)
    assert again.spans == []
    assert same is masked


def test_only_what_is_asked_for_is_counted_and_only_what_is_to_be_masked_is_masked() -> None:
    batch = TextBatch.of(["", "jane@example.org, +44 20 7946 0018", "jane@example.org jo@example.org 8.8.187.8"])
    settings = Pii(count=["email"], mask=["phone"])
    found, masked = find(batch, settings)
    assert {name: values.tolist() for name, values in found.counts().items()} == {
        "pii_email": [0, 1, 2],
        "pii_phone": [0, 1, 0],
    }
    assert masked.array.to_pylist() == ["", "jane@example.org, [phone]", "jane@example.org jo@example.org 8.8.187.8"]
    assert [measure.name for measure in pii_measures(settings)] == ["pii_email", "pii_phone"]
    assert kinds(Pii(count=[], mask=[])) == ()
    assert find(batch, Pii(count=[]))[1] is batch


def test_a_stretch_counts_once_for_the_first_pattern_that_claims_it() -> None:
    assert spans("https://jane:secret@203.119.4.17/x") == [("url_credentials", "jane:secret"), ("ip", "203.119.4.17")]
    assert spans("Tel. +44 20 7946 0018") == [("phone", "+44 20 7946 0018")]
    assert spans("SSN 536-90-4399") == [("national_id", "536-90-4399")]


def test_counts_are_of_slices_of_a_table_too() -> None:
    array = pa.array(["a@b.org", "発熱 x", "tel. 020 7946 0018", "no"], pa.large_string()).slice(1, 2)
    found, masked = find(TextBatch(array), MASK_ALL)
    assert found.counts()["pii_phone"].tolist() == [0, 1]
    assert found.counts()["pii_email"].tolist() == [0, 0]
    assert masked.array.to_pylist() == ["発熱 x", "tel. [phone]"]


def test_one_endless_word_of_signs_costs_bounded_work() -> None:
    start, end, _ = candidates(TextBatch.of(["a@" * 100_000, "9" * 200_000, "?k=" * 50_000, "::" * 50_000]))
    assert (end - start).sum() < 4_000_000
    assert len(start) < 20


def test_a_directory_of_numbers_is_one_stretch_and_every_number_is_found() -> None:
    text = "Größe\n" + "".join(f"{200 + i % 700:03d}-555-{i % 10_000:04d}, jane{i}@example.org " for i in range(20_000))
    found, masked = find(TextBatch.of([text]), MASK_ALL)
    assert {name: int(n[0]) for name, n in found.counts().items() if n[0]} == {"pii_email": 20_000, "pii_phone": 20_000}
    assert masked.array[0].as_py() == "Größe\n" + "[phone], [email] " * 20_000


@pytest.mark.real
@pytest.mark.parametrize(
    ("files", "text", "least"),
    [
        ("medical/sr_abstracts/cohen2006_sr_abstracts.parquet", "abstract", 0),
        ("general/c4_demo.jsonl", "text", 9),
        ("general/quality_labels/dclm_majority_a.jsonl", "text", 9),
        ("multilingual/udhr_unicode.jsonl.gz", "text", 1),
    ],
)
def test_real_text_gives_the_same_with_and_without_candidates(
    shared_data: Path, files: str, text: str, least: int
) -> None:
    path = shared_data / files
    rows = pq.read_table(path) if path.suffix == ".parquet" else pa.json.read_json(_opened(path))
    texts = [one for one in rows[text].to_pylist() if one][:400:2]
    batch = TextBatch.of(texts)
    found, _ = find(batch, Pii())
    expected = []
    for document, one in enumerate(texts):
        first = int(batch.offsets[document])
        for kind, low, high in in_whole(one):
            expected.append(Span(kind, document, first + len(one[:low].encode()), first + len(one[:high].encode())))
    assert found.spans == expected
    assert len(expected) >= least


def _opened(path: Path) -> pa.NativeFile:
    return pa.input_stream(str(path), compression="gzip" if path.suffix == ".gz" else None)


# Presidio -----------------------------------------------------------------------------------------------------------


class FakeEngine:
    """Finds `Jane Doe` and e-mail addresses, as Presidio's analyzer would say it."""

    def analyze(self, text: str, language: str, entities: list[str], score_threshold: float) -> list[SimpleNamespace]:
        assert language == "en"
        assert score_threshold == presidio.LEAST_SCORE
        expressions = {"PERSON": "Jane Doe", "EMAIL_ADDRESS": r"\S+@\S+"}
        return [
            SimpleNamespace(entity_type=name, start=match.start(), end=match.end())
            for name, expression in expressions.items()
            if name in entities
            for match in re.finditer(expression, text)
        ]


def test_presidio_adds_names_and_never_a_second_count(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = ModuleType("presidio_analyzer")
    fake.AnalyzerEngine = FakeEngine  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "presidio_analyzer", fake)
    presidio.analyzer.cache_clear()
    settings = Pii(count=["person", "email"], mask=["person"], presidio=True)
    found, masked = find(TextBatch.of(["Größe: Jane Doe, jane@example.org", "nobody"]), settings)
    presidio.analyzer.cache_clear()
    assert {name: values.tolist() for name, values in found.counts().items()} == {
        "pii_email": [1, 0],
        "pii_person": [1, 0],
    }
    assert masked.array.to_pylist() == ["Größe: [person], jane@example.org", "nobody"]


def test_presidio_that_is_not_installed_is_a_fault_with_a_hint(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "presidio_analyzer", None)
    presidio.analyzer.cache_clear()
    with pytest.raises(Fault, match="not installed") as raised:
        find(TextBatch.of(["x"]), Pii(presidio=True))
    assert "pip install presidio-analyzer" in raised.value.hint
