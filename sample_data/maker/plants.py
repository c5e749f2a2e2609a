"""The planted defects: each function plants one kind, as records for the files and the fate that a run must give them.

`Planter` holds what is there so far. Originals are clean documents that stand in no other plant, so that fates do not
interfere; whatever is new is printed by the same press as the clean text.
"""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any

from maker import twins
from maker.corpus import WORD, Document, Press, handwritten
from maker.records import Expected, Record

LANGUAGE = ("language_not_kept", "language_uncertain")
ANY_JUDGE_REASON = None
LEAST_TWIN_WORDS = 225  # a near-duplicate must be long enough for a small change to stay small
PASSAGE_WORDS = (60, 90)  # of a quoted passage: well over the 13 that contamination looks at


@dataclass(slots=True)
class Planter:
    """Clean records by source, and what was planted among them."""

    rng: Random
    press: Press
    clean: dict[str, list[Record]]
    planted: dict[str, list[Record]] = field(default_factory=lambda: defaultdict(list))
    expected: list[Expected] = field(default_factory=list)
    used: set[str] = field(default_factory=set)

    def original(self, source: str, at_least_words: int = 60) -> Record:
        """A clean record of the source that stands in no plant yet. Handwritten ones are left alone."""
        for record in self.clean[source]:
            if record.key in self.used or record.key.startswith("hand"):
                continue
            assert record.document is not None
            if len(WORD.findall(record.document.text)) >= at_least_words:
                self.used.add(record.key)
                return record
        raise LookupError(f"no unused original of {at_least_words} words in {source}")

    def plant(self, source: str, record: Record, **fate: Any) -> Record:
        self.planted[source].append(record)
        self.expected.append(Expected(record.key, **fate))
        return record

    def key(self, plant: str) -> str:
        return f"{plant}-{sum(len(records) for records in self.planted.values())}"

    def document(self, kind: str, at_least_words: int = 90) -> Document:
        return self.press.print(kind, at_least_words)

    def removed(self, source: str, plant: str, document: Document, reasons: tuple[str, ...] | None) -> None:
        self.plant(
            source, Record(self.key(plant), document), plant=plant, fate="removed", stage="judge", reasons=reasons
        )

    def quarantined(self, source: str, plant: str, record: Record, *reasons: str) -> None:
        self.plant(source, record, plant=plant, fate="quarantined", stage="read", reasons=reasons)


# duplicates -----------------------------------------------------------------------------------------------------------

# (source of the original, source of the copy, kind of copy, how many)
EXACT = (
    ("notes", "notes", "same", 4), ("notes", "notes", "respaced", 3), ("notes", "notes", "lower_case", 3),
    ("abstracts", "notes", "same", 3), ("notes", "abstracts", "same", 3), ("notes", "leaflets", "respaced", 2),
    ("leaflets", "notes", "same", 2), ("monographs", "notes", "same", 2), ("guidelines", "notes", "respaced", 2),
    ("answers", "notes", "respaced", 2), ("abstracts", "abstracts", "same", 2), ("everyday", "everyday", "same", 3),
    ("everyday", "everyday", "lower_case", 2), ("stories", "everyday", "respaced", 2),
)  # fmt: skip
NEAR = (
    ("notes", "notes", "edited", 5), ("notes", "notes", "reordered", 5), ("notes", "notes", "truncated", 5),
    ("notes", "notes", "wrapped", 5), ("notes", "leaflets", "truncated", 2), ("notes", "monographs", "wrapped", 2),
    ("notes", "abstracts", "edited", 3), ("monographs", "notes", "reordered", 2),
    ("monographs", "notes", "truncated", 3), ("guidelines", "notes", "truncated", 2),
    ("everyday", "everyday", "edited", 2), ("everyday", "everyday", "truncated", 3),
    ("everyday", "everyday", "reordered", 2), ("everyday", "everyday", "wrapped", 2),
)  # fmt: skip
HEADED = ("guidelines", "stories", "articles")  # formats whose text opens with the title


def plant_duplicates(garden: Planter) -> None:
    for original, copy, how, number in EXACT:
        for _ in range(number):
            plant_copy(garden, original, copy, how, "exact_duplicate", at_least_words=90)
    for original, copy, how, number in NEAR:
        for _ in range(number):
            plant_copy(garden, original, copy, how, "near_duplicate", at_least_words=LEAST_TWIN_WORDS)


def plant_copy(garden: Planter, source: str, target: str, how: str, reason: str, at_least_words: int) -> None:
    original = garden.original(source, at_least_words)
    assert original.document is not None
    change = {**twins.EXACT, **twins.NEAR}[how]
    text = original.document.text
    if source in HEADED:
        text = ("# " if source != "articles" else "") + f"{original.document.title}\n\n{text}"
    copied = replace(original.document, text=change(text, garden.rng))
    likeness = twins.likeness(text, copied.text)
    assert likeness == 1 if reason == "exact_duplicate" else twins.LEAST_LIKENESS <= likeness < 1, (how, likeness)
    plant = f"{reason}_{how}"
    copy = Record(garden.key(plant), copied)
    fate = {"fate": "removed", "stage": "dedup", "reasons": (reason,)}
    garden.plant(target, copy, plant=plant, twins=(original.key,), **fate)
    garden.expected.append(Expected(original.key, f"{plant}_original", twins=(copy.key,), **fate))


# text that does not belong --------------------------------------------------------------------------------------------


def plant_strangers(garden: Planter) -> None:
    """Foreign languages, spam, menus, cookie banners, single words."""
    documents = handwritten("planted")
    homes = {"notes": "medical", "everyday": "general"}
    foreign = [document for document in documents if document.kind == "foreign"]
    for at, document in enumerate(foreign):
        source = "notes" if at < 10 else "everyday"
        garden.removed(source, "foreign_language", replace(document, kind=homes[source]), LANGUAGE)
    for kind, plant, sources in (
        ("spam", "spam", ("notes", "everyday")),
        ("menus", "menu", ("notes", "leaflets", "everyday")),
        ("cookies", "cookie_banner", ("abstracts", "notes", "everyday")),
    ):
        reasons = ANY_JUDGE_REASON if kind == "spam" else (*LANGUAGE, "too_few_words")
        for at, document in enumerate(one for one in documents if one.kind == kind):
            garden.removed(sources[at % len(sources)], plant, document, reasons)
    for at, word in enumerate(("Aspirin", "Normal.", "n/a", "See")):
        document = Document("note", "Untitled", word, 2015)
        garden.removed("notes" if at % 2 else "leaflets", "one_word", document, (*LANGUAGE, "too_few_words"))
    script = "<script>alert('removed')</script> Loading, please wait."
    document = Document("note", "Loading", script, 2015)
    garden.removed("notes", "script", document, (*LANGUAGE, "too_few_words"))


# records that cannot be read ------------------------------------------------------------------------------------------

BROKEN_LINES = (
    b'{"note_id": "N-lost-1", "title": "Cut off", "body": "The patient was seen in',
    b'{"note_id": "N-lost-2", "body": "Unescaped "quote" inside"}',
    b"note_id=N-lost-3; body=not JSON at all",
    b'{"note_id": "N-lost-4", "body": "Two records"} {"note_id": "N-lost-5", "body": "on one line"}',
)


def plant_unreadable(garden: Planter) -> None:
    for line in BROKEN_LINES:
        garden.quarantined("notes", "broken_json", Record(garden.key("broken"), raw=line), "broken_json")
    for line in (b'["a", "list"]', b'"only a string"'):
        garden.quarantined("notes", "not_an_object", Record(garden.key("list"), raw=line), "not_an_object")
    line = '{"note_id": "N-latin", "body": "Gewichtszunahme und Müdigkeit"}'.encode("latin-1")
    garden.quarantined("notes", "wrong_encoding", Record(garden.key("latin"), raw=line), "wrong_encoding")
    text = "Präparat für Säuglinge: 5 µg täglich, nach ärztlicher Rücksprache, nüchtern.".encode("latin-1")
    record = Record(garden.key("latin"), raw=text, file="monographs-latin.txt")
    garden.quarantined("monographs", "wrong_encoding", record, "wrong_encoding")
    for source in ("notes", "everyday"):
        record = Record(garden.key("missing"), garden.document("note" if source == "notes" else "letter"), text=None)
        garden.quarantined(source, "missing_text", record, "missing_text")
    record = Record(garden.key("missing"), garden.document("abstract"), text=None)
    garden.quarantined("abstracts", "missing_text", record, "missing_text", "empty_text")
    for source, text in (("notes", ""), ("notes", " \n\t "), ("leaflets", ""), ("abstracts", "  ")):
        record = Record(garden.key("empty"), Document("note", "Nothing", "", 2016), text=text)
        garden.quarantined(source, "empty_text", record, "empty_text", "missing_text")
    article = '<?xml version="1.0"?>\n<article><front><article-meta><title-group><article-title>Cut</front></article'
    for number, text in enumerate((article, "<article><body><p>Tags <b>that</p> cross</b> & break")):
        record = Record(garden.key("markup"), raw=text.encode(), file=f"broken-{number}.xml")
        garden.quarantined("articles", "broken_markup", record, "broken_markup")
    blank = b"<!DOCTYPE html><html><head><title></title></head><body><script>var x = 1;</script></body></html>"
    garden.quarantined("pages", "no_text", Record("no-text", raw=blank, file="blank.html"), "no_text", "empty_text")
    scan = Record("scan", raw=bytes(range(256)) * 4, file="leaflet-scan.tif")
    garden.quarantined("monographs", "unknown_format", scan, "unknown_format")


def plant_cut_gzip(garden: Planter) -> None:
    """Five notes, of which the first four can be read: the last was lost with the end of the file."""
    for at in range(4):
        record = Record(f"ward-{at}", garden.document("note"), file="ward.jsonl.gz")
        garden.plant("notes", record, plant="before_the_cut")
    lost = Record("ward-4", raw=b'{"body": "lost"}' + b" " * 40, file="ward.jsonl.gz")
    garden.quarantined("notes", "truncated_gzip", lost, "truncated_compression", "truncated_gzip")


# kept, with something in them -----------------------------------------------------------------------------------------

PII = (
    "For questions write to {first}.{last}@hospital.example or ring 01632 960{n:03d}.",
    "Record number {n:03d}-45-{n:04d}; next of kin: {last}, mobile +44 7700 900{n:03d}.",
    "The letter went to 14 Mill Lane, and a copy to {last}{n}@mail.example.",
    "Login from 192.0.2.{n} was noted; insurance number QQ {n:03d} 456 C.",
)
FREE_IN_CP1252 = (b"\x81", b"\x8d", b"\x8f", b"\x90", b"\x9d")
MARKED = {  # words that show whether the repair worked, and the sentence they stand in
    "patient’s wife agreed": "“Naïve”, sagte Frau Müller – 5 µg; the patient’s wife agreed.",
    "Señora Núñez": "Señora Núñez wasn’t sure – “mañana”, she said, “or never”.",
    "Ångström": "The café’s owner, Mr Ångström, offered “half a crêpe” – we declined.",
    "jalapeño": "Don’t add the jalapeño – it’s “très piquant”, as René put it.",
    "Königsstraße": "The Königsstraße was closed – “für immer”, wrote our aunt’s friend.",
}


def plant_curiosities(garden: Planter) -> None:
    """PII, markup, broken encodings, invisible characters, Windows line ends: the document itself is good."""
    for at in range(8):
        sentence = PII[at % 4].format(first="ada", last="harrowby", n=17 + 9 * at)
        altered(garden, "everyday" if at > 5 else "notes", "pii", lambda text, added=sentence: f"{text} {added}")
    for source in ("notes", "everyday"):
        added = "The form replied <script>alert('kept')</script>; we reported it."
        altered(garden, source, "script", lambda text, added=added: f"{text} {added}", "<script>alert('kept')</script>")
    for at, (holds, added) in enumerate(MARKED.items()):
        source = "notes" if at < 3 else "everyday"
        altered(garden, source, "mojibake", lambda text, added=added: garbled(f"{text} {added}"), holds)
    for mark in ("\u200b", "\ufeff", "\u2060"):
        hidden = f"The dose{mark} was not{mark}changed after all."
        holds = "The dose was not"
        altered(garden, "notes", "zero_width", lambda text, added=hidden: f"{text} {added}", holds)
    for mark in ("\x07", "\x1b", "\x02"):
        hidden = f"A bell{mark} rang twice{mark} in the ward."
        holds = "rang twice in the ward"
        altered(garden, "notes", "control_character", lambda text, added=hidden: f"{text} {added}", holds)
    for _ in range(2):
        altered(garden, "notes", "windows_lines", lambda text: text.replace("\n", "\r\n"))
    for added in ("Titre 3 × 10⁶ per mL; dose 25 µg.", "There were 4 × 10⁶ cells, and 12 µmol/L remained."):
        altered(garden, "notes", "superscript_and_micro", lambda text, added=added: f"{text} {added}", added)


def altered(garden: Planter, source: str, plant: str, change: Any, text_holds: str | None = None) -> None:
    document = garden.document("letter" if source == "everyday" else "note", 110)
    record = Record(garden.key(plant), replace(document, text=change(document.text)))
    garden.plant(source, record, plant=plant, text_holds=text_holds)


def garbled(text: str) -> str:
    """UTF-8 read as Windows-1252, the commonest accident of all."""
    text = re.sub(r"[^\x00-\xff’“”–]", "", text)
    # the five bytes that Windows-1252 leaves free come through as control characters, as browsers do it
    return "".join(byte.decode("cp1252" if byte not in FREE_IN_CP1252 else "latin-1") for byte in single_bytes(text))


def single_bytes(text: str) -> list[bytes]:
    return [bytes([byte]) for byte in text.encode()]


def plant_twice_named(garden: Planter) -> None:
    """Two different notes under one id: the second, in order of path and position, gets `#2`."""
    for number, file in enumerate(("2021.jsonl.zst", "2022.jsonl.zst"), start=1):
        record = Record(f"twice-{number}", garden.document("note"), file=file, own_id="N-TWICE")
        garden.plant("notes", record, plant="repeated_id")


# leaks ----------------------------------------------------------------------------------------------------------------

# (source of the quoted document, source of the quoting one, kind of the quoting one, how many)
QUOTES = (
    ("notes", "notes", "note", 14), ("abstracts", "notes", "note", 8), ("notes", "abstracts", "note", 6),
    ("articles", "notes", "note", 6), ("leaflets", "leaflets", "leaflet", 4), ("everyday", "everyday", "story", 8),
)  # fmt: skip


def plant_quotes(garden: Planter) -> None:
    """Whichever of the two is held out, the other must not be trained on. Both in training: both stay."""
    for source, target, kind, number in QUOTES:
        for _ in range(number):
            quoted = garden.original(source, 130)
            assert quoted.document is not None
            passage = passage_of(quoted.document.text, garden.rng)
            host = garden.document(kind, 120)
            copy = Record(garden.key("quotes"), replace(host, text=inserted(host.text, passage)))
            assert copy.document is not None
            assert twins.likeness(quoted.document.text, copy.document.text) < 0.5
            fate = {"stage": "contamination", "reasons": ("held_out_overlap",)}
            garden.plant(target, copy, plant="quotes_another", if_held_out=quoted.key, **fate)
            garden.expected.append(Expected(quoted.key, "quoted_by_another", if_held_out=copy.key, **fate))


def passage_of(text: str, rng: Random) -> str:
    """60 to 90 words that follow one another inside the text."""
    words = text.split()
    length = rng.randint(*PASSAGE_WORDS)
    start = rng.randrange(5, len(words) - length - 4)
    return " ".join(words[start : start + length])


def inserted(text: str, passage: str) -> str:
    paragraphs = text.split("\n\n")
    return "\n\n".join([paragraphs[0], f"An earlier report reads: {passage}.", *paragraphs[1:]])


def plant_benchmark_leaks(garden: Planter, questions: list[str]) -> None:
    for at, question in enumerate(questions[:6]):
        host = garden.document("answer" if at % 2 else "note", 120)
        record = Record(garden.key("exam"), replace(host, text=inserted(host.text, question)))
        fate = {"fate": "removed", "stage": "contamination", "reasons": ("benchmark_overlap",)}
        garden.plant("notes", record, plant="benchmark_leak", **fate)


def plant_all(garden: Planter, questions: list[str]) -> None:
    plant_duplicates(garden)
    plant_quotes(garden)
    plant_strangers(garden)
    plant_unreadable(garden)
    plant_cut_gzip(garden)
    plant_curiosities(garden)
    plant_twice_named(garden)
    plant_benchmark_leaks(garden, questions)
