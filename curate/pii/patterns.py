"""What personal data looks like, kind by kind, and what makes sure of it: checksums, ranges, a label before it.

Medical and legal text is full of numbers that are nobody's: doses, statutes, trial registrations, enzyme classes
(EC 3.4.21.4 reads like an address), figures of tables that lost their columns. So a number counts only where its shape
is unmistakable, or its check digits hold, or a word names it. Every pattern rests on a sign that
curate/pii/candidates.py looks for.

    email                   jane.doe@example.org
    phone                   +44 20 7946 0018   (202) 555-0143   tel. 020 7946 0018
    ip                      a global IPv4 or IPv6 address; not 10.0.0.1, which is nobody's, and no section 11.1.2.1
    url_credentials         https://jane:secret@host   ...?api_key=abc123
    national_id             curate/pii/national_numbers.py
    medical_record_number   MRN: 00123456   patient no. 4711-12
    birth_date              DOB 03/04/1961   born on 12 March 1950   geb. 12.3.1950

Read by eye: all 89 findings in 99 MB of medical and legal text, 1.4 MB of web pages and the declaration of human rights
in 388 translations (../shared/data) are what they are called but for two message ids that look like addresses, one
number that ran into the next, and the birth date of an employee whom a court imagined.

Not found: what only a reader knows (names, addresses; Presidio tries), obfuscated addresses (jane at example dot org),
numbers in digits beyond ASCII, and national numbers without their label where the shape is a mere run of digits.
"""

from __future__ import annotations

import ipaddress
import re
from functools import cache

from curate.pii.candidates import ADDRESS, KEY, NUMBER
from curate.pii.national_numbers import national_numbers
from curate.pii.pattern import (
    AFTER_MASK,
    BEFORE_MASK,
    BLANKS,
    ENDS,
    FLAGS,
    HYPHENS,
    NUMBER_WORD,
    SPACE,
    Pattern,
    digits,
    gate_of,
    labelled,
)

# -- addresses

CYRILLIC = "\u0430-\u044f"
LETTER = "A-Z0-9\u00c0-\u024f\u0370-\u052f"  # with Latin, Greek and Cyrillic ones: jürgen@müller.de
# A domain ends alike: `core@shell.The` and `P@10.Recall` are none
TOP = rf"(?:(?-i:[a-z]{{2,24}}|[A-Z]{{2,24}}|[{CYRILLIC}]{{2,24}})|com|org|net|edu|gov|xn--[a-z0-9-]{{2,24}})"
EMAIL = (
    rf"{AFTER_MASK}(?<![{LETTER}_])(?!git@)(?:[{LETTER}_](?:[{LETTER}._%+'-]{{0,62}}[{LETTER}_%+-])?)"
    rf"@(?:[{LETTER}](?:[{LETTER}-]{{0,61}}[{LETTER}])?\.){{1,4}}{TOP}(?![{LETTER}_-])"
)
EMAIL_SHAPE = rf"[{LETTER}_%+-]@[{LETTER}-]+\.[A-Z{CYRILLIC}]"

CREDENTIALS = r"(?<![\w])[a-z][a-z0-9+.-]{1,15}://(?P<value>[!#-.0-9;=?A-Z_~]{1,64}:[!#-.0-;=?A-Z_~]{1,64})@"
KEYS = "[?&](?:amp;)?(?:api_?key|access_?token|auth|token|passw(?:or)?d|pwd|(?:client_?)?secret|signature)="
SECRET, SECRET_SHAPE = rf"{KEYS}(?P<value>[\w.~%+/=-]{{5,999}}[\w~%+/=-])", rf"{KEYS}[\w.~%+/=-]"

# Numbers of sections, versions, enzymes and goods look the same but stay small: of 270 in the German statutes of
# ../shared/data that read as global addresses none has 100 or more in one of its first three places. 93 % of addresses
# have; the others count only after `IP` or in a URL
OCTETS = r"(?:\d{1,3}\.){3}[1-9]\d{0,2}"
IPV4 = (
    rf"(?:(?<![^\s\"'(=:;\[,<>|@])|(?<=//))(?<!version )(?<!section )"
    rf"(?:(?=\d{{3}}|\d+\.\d{{3}}|\d+\.\d+\.\d{{3}})|(?<=//))"
    rf"{OCTETS}(?![^\s\"'):\],;<>|/.?!]|\.[\d\[]){BEFORE_MASK}"
)
IPV4_SHAPE = r"(?:\d{3}\.\d+\.\d+|\d+\.\d{3}\.\d+|\d+\.\d+\.\d{3}|//\d+\.\d+\.\d+)\.[1-9]"
IP_WORDS = "ip(?:v4)?(?:[ -]address(?:es)?|[ -]adresse)?"
IPV6 = rf"{AFTER_MASK}(?<![\w:.])[23][0-9A-F]{{3}}:(?:[0-9A-F]{{0,4}}:){{1,6}}[0-9A-F]{{0,4}}(?![\w:]){BEFORE_MASK}"

# -- telephones

INTERNATIONAL = (  # separated anyhow, or ten digits and more in one, or dotted throughout
    rf"{AFTER_MASK}(?<![\w+])\+(?:"
    rf"[1-9]\d{{0,2}}(?:[{BLANKS}/{HYPHENS}]|(?=\())(?:\(\d{{1,4}}\)[{BLANKS}/{HYPHENS}]?)?\d(?:[{BLANKS}/.{HYPHENS}]?\d){{5,12}}"
    rf"|[1-9]\d{{9,14}}|[1-9]\d{{0,2}}(?:\.\d{{2,4}}){{3,4}}){ENDS}{BEFORE_MASK}"
)
# not with spaces: figures of a table that lost its columns read alike
NORTH_AMERICAN = (
    rf"{AFTER_MASK}(?<![\w.+{HYPHENS}])(?<![\d\]][,/:])(?:1[{BLANKS}.{HYPHENS}])?"
    rf"(?:\([2-9]\d{{2}}\)[{BLANKS}{HYPHENS}]?|[2-9]\d{{2}}[.{HYPHENS}])[2-9]\d{{2}}[.{HYPHENS}]\d{{4}}(?![\w{HYPHENS}]|\.[\d\[]){BEFORE_MASK}"
)
PHONE_WORDS = (
    "tel(?:ephone|efone?|ef[oó]no|efoon|efax)?|phone|fax|t[ée]l(?:[ée]phone)?|puhelin|[тТ]ел(?:ефон)?"
    rf"|(?:mobile|cell){SPACE}?(?:phone|no|number|(?=:))"  # Cell 142 (2010) 123 is a journal
    rf"|(?:call|dial)(?:{SPACE}(?:us|me|him|her))?(?:{SPACE}(?:at|on))?"
)
LABELLED_PHONE = rf"(?:\+ ?)?\(?\d(?:[{BLANKS}()./{HYPHENS}]{{0,2}}\d){{6,14}}"

# -- records and dates

RECORD_WORDS = (
    "mrn|nhi|patientennummer|fallnummer"
    rf"|(?:(?:medical|patient|hospital|health|clinic){SPACE}{{1,3}}record|med\.?{SPACE}?rec|chart|patient(?:en)?|hospital)"
    rf"(?:{SPACE}{{1,3}}(?:identification|identifier))?(?=\.?{SPACE}{{0,3}}{NUMBER_WORD})"
)
RECORD_NUMBER = r"(?-i:[A-Z]{0,3})-?\d(?:[/-]?\d){3,14}"
MONTHS = """
    january february march april may june july august september october november december
    jan feb mar apr jun jul aug sep sept oct nov dec
    januar jänner februar märz mai juni juli oktober dezember okt dez
    janvier février mars avril juin juillet août septembre octobre novembre décembre
    enero febrero marzo abril mayo junio julio agosto septiembre octubre noviembre diciembre
    gennaio febbraio aprile maggio giugno luglio settembre ottobre dicembre
    janeiro fevereiro março maio junho julho setembro outubro novembro dezembro
    januari februari maart mei augustus
""".split()
MONTH = f"(?:{'|'.join(sorted(MONTHS, key=lambda month: (-len(month), month)))})"  # longer ones first
DATE = (
    r"(?:\d{1,2}[./-] ?\d{1,2}[./-] ?(?:\d{4}|\d{2})|\d{4}[./-]\d{1,2}[./-]\d{1,2}"
    rf"|\d{{1,2}}(?:st|nd|rd|th|er|º|\.)?{SPACE}{{1,2}}(?:(?:de|of){SPACE})?{MONTH}\.?,?{SPACE}{{1,2}}(?:de{SPACE})?\d{{4}}"
    rf"|{MONTH}\.?{SPACE}{{1,2}}\d{{1,2}}(?:st|nd|rd|th)?,?{SPACE}{{1,2}}\d{{4}})"
)
DATE_SHAPE = rf"(?:\d{{1,4}}[./-] ?\d|\d{{1,2}}[a-zº.]{{0,3}}{SPACE}+[a-zà-ÿ]|[a-zà-ÿ]{{3,10}}\.?{SPACE}+\d)"
BIRTH_WORDS = (
    rf"d\.?o\.?b|date{SPACE}{{1,3}}of{SPACE}{{1,3}}birth|birth{SPACE}?date|born|geb(?:oren)?|geburts(?:datum|tag)"
    rf"|née?(?:\(e\))?|date{SPACE}de{SPACE}naissance|nacid[oa]|fecha{SPACE}de{SPACE}nacimiento|nascid[oa]"
    rf"|data{SPACE}(?:de|di){SPACE}nasc(?:imento|ita)|nat[oa]{SPACE}il"
)


@cache
def patterns(kinds: tuple[str, ...], signs: int) -> tuple[Pattern, ...]:
    """The patterns of these kinds that rest on one of these signs, in the order in which they claim a stretch."""
    return tuple(pattern for pattern in _all() if pattern.kind in kinds and pattern.sign & signs)


@cache
def gate(kinds: tuple[str, ...], sign: int) -> str:
    """An RE2 expression that every stretch matches in which one of these patterns finds something."""
    return gate_of(patterns(kinds, sign))


@cache
def _all() -> tuple[Pattern, ...]:
    return (
        Pattern("url_credentials", ADDRESS, re.compile(CREDENTIALS, FLAGS), shape="://[^/@ ]+@"),
        Pattern("url_credentials", KEY, re.compile(SECRET, FLAGS), shape=SECRET_SHAPE),
        Pattern("email", ADDRESS, re.compile(EMAIL, FLAGS), shape=EMAIL_SHAPE),
        labelled("birth_date", BIRTH_WORDS, DATE, is_date, DATE_SHAPE),
        labelled("medical_record_number", RECORD_WORDS, RECORD_NUMBER),
        *national_numbers(),
        Pattern("ip", NUMBER, re.compile(IPV4, FLAGS), is_global_address, IPV4_SHAPE),
        labelled("ip", IP_WORDS, OCTETS, is_global_address),
        Pattern("ip", NUMBER, re.compile(IPV6, FLAGS), is_global_address),
        labelled("phone", PHONE_WORDS, LABELLED_PHONE, is_phone),
        Pattern("phone", NUMBER, re.compile(INTERNATIONAL, FLAGS), is_phone),
        Pattern("phone", NUMBER, re.compile(NORTH_AMERICAN, FLAGS), is_phone),
    )


# -- checks


def is_global_address(value: str) -> bool:
    """Only a global one can lead to a person (as datatrove's formatter has it)."""
    try:
        return ipaddress.ip_address(value).is_global
    except ValueError:
        return False


def is_phone(value: str) -> bool:
    """7 to 15 digits (ITU-T E.164), not all the same, and no year in brackets: Cell 142 (2010) 123."""
    of = digits(value)
    return 7 <= len(of) <= 15 and len(set(of)) > 1 and not re.search(r"\((?:19|20)\d\d\)", value)


def is_date(value: str) -> bool:
    """A day of a month in some order, and a year in which somebody may have been born.

    >>> is_date("12.3.1950"), is_date("March 41, 1950"), is_date("1/2/1066")
    (True, False, False)
    """
    parts = re.findall(r"\d+", value)
    year = next((part for part in parts if len(part) == 4), parts[-1])
    parts.remove(year)
    day_and_month = sorted(int(part) for part in parts)
    fits = day_and_month[0] >= 1 and day_and_month[-1] <= 31 and (len(parts) == 1 or day_and_month[0] <= 12)
    return fits and (len(year) == 2 or 1800 <= int(year) < 2100)
