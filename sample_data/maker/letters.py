"""Letters whose records name a licence and a consent, some with personal data that must be masked.

Nobody's: numbers of the National Health Service that begin with 999 are for tests, telephone numbers are those that
Ofcom keeps for drama, addresses end in .example, the rest is made up.
"""

from __future__ import annotations

from dataclasses import replace

from maker.corpus import Document, handwritten
from maker.plants import Planter
from maker.records import Record

PLAIN = 20  # letters without anything planted
TERMS = (("CC-BY-4.0", "research_only"), ("CC0-1.0", "any_use"), ("CC-BY-NC-4.0", "research_only"))

# kind of personal data, as the ledger names it; the value; the sentence
PERSONAL = (
    ("email", "m.birkwood@surgery.example", "Please send the next results to {} before the holidays."),
    ("email", "ward7.clerk@stonehithe.example", "A copy went to {}, as the family had asked."),
    ("phone", "+44 7700 900461", "The son can be reached on his mobile, {}, after six."),
    ("phone", "01632 960118", "For an earlier date tel. {} and ask for the diary."),
    ("national_id", "999 123 4578", "NHS number {} was checked against the wristband."),
    ("national_id", "999 065 4328", "The wristband and the letter both show NHS no. {} in print."),
    ("medical_record_number", "STN-0048821", "Please quote MRN {} in every answer to this letter."),
    ("medical_record_number", "730-22914", "Filed under patient number {} in the archive."),
    ("birth_date", "4 March 1951", "Date of birth: {}, confirmed by the daughter."),
    ("birth_date", "17/09/1938", "Born {} in Upper Sedge, the youngest of nine."),
)
# what looks like personal data and is none
NOBODYS = (
    "The assay measures EC 3.4.21.4 and was run twice, in 1998 and again in 2011.",
    "See section 11.1.2.1 of the protocol, or the table of pages 0120 to 0180.",
)


def plant_letters(garden: Planter) -> None:
    for number in range(PLAIN):
        garden.clean["letters"].append(_letter(f"letters-{number}", garden.document("note"), number))
    for number, (kind, value, sentence) in enumerate(PERSONAL):
        record = _letter(garden.key("personal"), garden.document("note"), number, sentence.format(value))
        holds = sentence.format(f"[{kind}]")
        ledger = {f"pii_{kind}": 1, "licence": record.more["licence"], "consent": record.more["consent"]}
        garden.plant("letters", record, plant="personal_data", text_holds=holds, text_lacks=(value,), ledger=ledger)
    for number, sentence in enumerate(NOBODYS):
        record = _letter(garden.key("nobodys"), garden.document("note"), number, sentence)
        garden.plant("letters", record, plant="looks_personal", text_holds=sentence)
    for number, document in enumerate(one for one in handwritten("formats") if one.kind == "mixed"):
        fate = {"fate": "removed", "stage": "judge", "reasons": ("mixed_languages",)}
        garden.plant("letters", _letter(garden.key("mixed"), document, number), plant="mixed_languages", **fate)
    for number, kind in enumerate(("recipe", "travel", "match")):
        fate = {"fate": "removed", "stage": "judge", "reasons": ("off_domain",)}
        garden.plant("letters", _letter(garden.key("off"), garden.document(kind), number), plant="off_domain", **fate)


def _letter(key: str, document: Document, number: int, sentence: str = "") -> Record:
    licence, consent = TERMS[number % len(TERMS)]
    text = f"{document.text} {sentence}" if sentence else document.text
    return Record(key, replace(document, text=text), more={"licence": licence, "consent": consent})
