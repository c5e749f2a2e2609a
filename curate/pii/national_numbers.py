"""National identity, tax and insurance numbers: their shapes by country, and the check digits that make sure of them.

Check digits alone are weak: one number in 10 to 97 passes by chance, and medical text is full of numbers. So a number
counts without a word before it only where its shape is unmistakable too (letters at fixed places, groups that nothing
else has, a date of birth inside); all others need their label. The arithmetic is python-stdnum's.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable
from functools import cache

from curate.pii.candidates import NUMBER
from curate.pii.pattern import (
    AFTER_MASK,
    BEFORE_MASK,
    BLANK,
    BLANKS,
    DASH,
    HYPHENS,
    SPACE,
    Pattern,
    digits,
    labelled,
)

SHAPED = {
    "us.ssn": rf"\d{{3}}{DASH}\d{{2}}{DASH}\d{{4}}",
    "es.dni": r"\d{8}-?[A-HJ-NP-TV-Z]",
    "es.nie": r"[XYZ]-?\d{7}-?[A-HJ-NP-TV-Z]",
    "it.codicefiscale": r"[A-Z]{6}\d{2}[A-EHLMPRST]\d{2}[A-Z]\d{3}[A-Z]",
    "fr.nir": rf"[1278]{BLANK}\d{{2}}{BLANK}\d{{2}}{BLANK}\d[\dAB]{BLANK}\d{{3}}{BLANK}\d{{3}}{BLANK}\d{{2}}",
    "mx.curp": r"[A-Z]{4}\d{6}[HM][A-Z]{5}[A-Z0-9]\d",
    "fi.hetu": r"\d{6}[-+A]\d{3}[0-9A-FHJ-NPR-Y]",
    "br.cpf": rf"\d{{3}}\.\d{{3}}\.\d{{3}}{DASH}\d{{2}}",
    "cl.rut": rf"\d{{1,2}}\.\d{{3}}\.\d{{3}}{DASH}[\dK]",
    "cn.ric": r"\d{17}[\dX]",
    "kr.rrn": rf"\d{{6}}{DASH}\d{{7}}",
    "be.nn": rf"\d{{2}}\.\d{{2}}\.\d{{2}}{DASH}\d{{3}}\.\d{{2}}",
    "ch.ssn": r"756\.\d{4}\.\d{4}\.\d{2}",
    "cz.rc": r"\d{6}/\d{4}",
    "se.personnummer": r"(?:19|20)\d{6}-\d{4}",
}
"""By module of stdnum. What stands beside must be no part of a longer number, a decimal, a DOI or a gene's variant."""

LABELLED = {
    "us.ssn": (rf"ssn|social{SPACE}{{1,3}}security", rf"\d{{3}}{BLANK}?\d{{2}}{BLANK}?\d{{4}}"),
    "gb.nhs": ("nhs", rf"\d{{3}}[{BLANKS}{HYPHENS}]?\d{{3}}[{BLANKS}{HYPHENS}]?\d{{4}}"),
    "fr.nir": (rf"nir|insee|sécu|sécurité{SPACE}sociale", r"[1278]\d{4}[\dAB]\d{9}|[1278]\d{4}[\dAB]\d{7} \d{2}"),
    "in_.aadhaar": ("aadhaar|aadhar", rf"\d{{4}}{BLANK}?\d{{4}}{BLANK}?\d{{4}}"),
    "se.personnummer": ("personnummer", r"(?:19|20)?\d{6}[-+]?\d{4}"),
    "no.fodselsnummer": ("f[oø]dselsnummer", rf"\d{{6}}{BLANK}?\d{{5}}"),
    "dk.cpr": ("cpr", rf"\d{{6}}{DASH}?\d{{4}}"),
    "nl.bsn": ("bsn|burgerservicenummer", r"\d{4}\.?\d{2}\.?\d{3}"),
    "pl.pesel": ("pesel", r"\d{11}"),
    "ca.sin": (
        rf"sin|social{SPACE}{{1,3}}insurance",
        rf"\d{{3}}[{BLANKS}{HYPHENS}]?\d{{3}}[{BLANKS}{HYPHENS}]?\d{{3}}",
    ),
    "de.idnr": (
        rf"steuer-?id(?:entifikationsnummer|nr)?|idnr|steuerliche{SPACE}identifikationsnummer",
        rf"\d{{2}}{BLANK}?\d{{3}}{BLANK}?\d{{3}}{BLANK}?\d{{3}}",
    ),
    "tr.tckimlik": (rf"tckn|(?:t\.?c\.?{SPACE}?)?kimlik", r"\d{11}"),
    "ro.cnp": ("cnp", r"\d{13}"),
    "bg.egn": ("egn", r"\d{10}"),
    "hr.oib": ("oib", r"\d{11}"),
    "gr.amka": ("amka", r"\d{11}"),
    "ie.pps": ("ppsn?", r"\d{7}[A-W][A-IW]?"),
    "pt.nif": ("nif|contribuinte", rf"\d{{3}}{BLANK}?\d{{3}}{BLANK}?\d{{3}}"),
    "za.idnr": ("identity", r"\d{13}"),
}
"""By module of stdnum: (labels, the number's shape)."""

# prefixes and suffix that are given out: HMRC, National Insurance Manual NIM39110; it has no check digit
NINO = r"(?!BG|GB|KN|NK|NT|TN|ZZ)[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z] ?\d{2} ?\d{2} ?\d{2} ?[A-D]"
MEDICARE_WEIGHTS = (1, 3, 7, 9, 1, 3, 7, 9)  # of the first eight digits of an Australian card; the ninth is the check


def national_numbers() -> tuple[Pattern, ...]:
    before = rf"{AFTER_MASK}(?<![\w.{HYPHENS}])(?<![\d\]][,/:])"
    after = rf"(?![\w>{HYPHENS}])(?![/.,][\d\[]){BEFORE_MASK}"
    nino, medicare = rf"nino|national{SPACE}{{1,3}}insurance", rf"[2-6]\d{{3}}{BLANK}?\d{{5}}{BLANK}?\d"
    return (
        *(
            Pattern("national_id", NUMBER, re.compile(before + shape + after, re.ASCII), _checked(module))
            for module, shape in SHAPED.items()
        ),
        *(labelled("national_id", label, shape, _checked(module)) for module, (label, shape) in LABELLED.items()),
        labelled("national_id", "medicare", medicare, is_medicare_number),
        labelled("national_id", nino, NINO),
    )


def _checked(module: str) -> Callable[[str], bool]:
    return lambda value: _check(module)(_plain(value))


def _plain(value: str) -> str:
    """With the hyphens and spaces that stdnum knows."""
    return re.sub(BLANK, " ", re.sub(DASH, "-", value))


@cache
def _check(module: str) -> Callable[[str], bool]:
    is_valid: Callable[[str], bool] = importlib.import_module(f"stdnum.{module}").is_valid
    return is_valid


def is_medicare_number(value: str) -> bool:
    """
    >>> is_medicare_number("2123 45670 1"), is_medicare_number("2123 45671 1")
    (True, False)
    """
    of = [int(digit) for digit in digits(value)]
    return sum(a * b for a, b in zip(MEDICARE_WEIGHTS, of, strict=False)) % 10 == of[8]
