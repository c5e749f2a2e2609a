"""Measures of domain text: one table of what counts and what does not for each, and laws that hold for any text."""

from __future__ import annotations

import gzip
import tarfile
from pathlib import Path

import numpy as np
import plain
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.measures._domain_marks import citation_end
from curate.measures.domain_text import DomainText
from curate.text import TextBatch
from curate.traits import traits


def measure(texts: list[str]) -> list[dict[str, float]]:
    columns = DomainText()(TextBatch.of(texts))
    return [{name: float(column[i]) for name, column in columns.items()} for i in range(len(texts))]


def counted(text: str, name: str) -> float:
    """The share times what it is a share of."""
    lines = [line.strip() for line in text.split("\n") if line.strip()]
    of = {
        "word_share": len(plain.words(text)),
        "line_share": len(lines),
        "letter_share": sum(map(str.isalpha, text)),
    }
    whole = next((n for ending, n in of.items() if name.endswith(ending)), sum(map(len, lines)))
    return round(measure([text])[0][name] * whole, 6)


COUNTED = [
    ("digit_character_share", "5 mg, 39.5 °C, x², ٣٤, １", 8),
    ("upper_case_letter_share", "ABc Éa 漢", 3),
    ("quantity_word_share", "5 mg/kg/day and 39.5 °C or 10ml, 3 weeks of cold", 9),  # 5 mg kg day 39 5 10ml 3 weeks
    ("quantity_word_share", "5 µg, 7\u00a0mmol, 3 МГ and ٣ doses; kg alone", 6),
    ("quantity_word_share", "naïve2 x and 12345678901 y", 2),
    ("citation_share", "As shown [12] and [3, 5–7], [see 3], [], [a1].", 4 + 8),
    ("citation_share", "So (Smith et al., 2010), Roe (1973a), (n = 20), (May 2010) (12345)", 20 + 7 + 10),
    ("citation_share", "(in (1973) too) (Smith, 2010; Jones, 2011) (see 1400)", 6 + 26),
    ("citation_share", "nach § 12a Abs. 3, §§ 433, 434 und § dort", 5 + 6),
    ("citation_share", "Roe v. Wade, 410 U.S. 113; 35 L. Ed. 2d 147; 5 Apples 7", 12 + 16),
    ("formula_share", "x ≤ 5 and α = 1, not αυτό nor | or ~", 3),
    ("formula_share", "H2O and C6H12O6, not B12, IL6 or COVID19; 10⁻³", 3 + 7 + 2),
    ("list_line_share", "- one\n• two\n1. three\n2.1) four\n(iv) five\nb) six\n三、七\n① 八\n– nine\n* ten", 10),
    ("list_line_share", "one\n-two\n1.5 mg\n2010 was\n(see it) x\nhence) so\n— He said\n12345678. x", 0),
    ("table_line_share", "a | b | c\nHb\t13.5\nName     Dose\nnone | of\nthem  here", 3),
    ("odd_word_share", "T h e y are mod1fied, strngthns and wi|l; a b c, p53, cyp1a2, rhythms, NSTEMI", 4 + 1 + 1 + 1),
    ("odd_word_share", "Б о л ь и слово A B C", 5),  # the fifth is the word "and"
    ("odd_word_share", "schwach, strength, https, wprst", 0),
    ("replacement_character_share", "caf\ufffd na\ufffdve", 2),
    ("hyphenated_line_share", "Fever is com-\nmon and\u2010\nso on -\nin pre-\n\nterm and post-\nTerm", 2),
    ("broken_line_share", "Fever is\ncommon.\nAnd so on,\nyes\nNo\n\nand it\nends:\nhere (so)\nit is”\nit is", 4),
    ("page_header_line_share", "Page 1 of 12\na\nPage 2 of 12\nb\nPage 10 of 12\n***\n***\n***\n1\n2\n3", 3),
]  # fmt: skip


@pytest.mark.parametrize(("name", "text", "count"), COUNTED)
def test_what_counts_and_what_does_not(name: str, text: str, count: float) -> None:
    assert counted(text, name) == count


def test_every_measure_is_described_taken_and_tried() -> None:
    columns = DomainText()(TextBatch.of([text for _, text, _ in COUNTED]))
    assert list(columns) == [m.name for m in DomainText.measures]
    assert {name for name, _, _ in COUNTED} == set(columns)
    assert all(column.max() > 0 for column in columns.values())


def test_the_example_of_the_docstring() -> None:
    values = measure(["1. Give 5 mg/kg [12].\n2. Water (H2O) is com-\nmon; cf. 410 U.S. 113 (1973)."])[0]
    assert {name: round(value, 6) for name, value in values.items() if value} == {
        name: round(value, 6)
        for name, value in {
            "digit_character_share": 16 / 72,
            "upper_case_letter_share": 6 / 27,
            "quantity_word_share": 10 / 18,
            "citation_share": 22 / 72,
            "formula_share": 3 / 72,
            "list_line_share": 2 / 3,
            "hyphenated_line_share": 1 / 3,
        }.items()
    }


def test_a_document_without_text_measures_zero() -> None:
    for values in measure(["", "\n \n", "\t"]):
        assert set(values.values()) == {0.0}


def test_scripts_without_case_are_not_broken() -> None:
    values = measure(["发热有许多\n原因\nไข้มีหลาย\nสาเหตุ\nबुखार के\nकई कारण"])[0]
    assert values["broken_line_share"] == values["odd_word_share"] == 0


TEXTS = st.lists(
    st.sampled_from(
        [text for _, text, _ in COUNTED] + ["(", "[", "§ ", "\n", " ", "1", "-", "é", "漢", "U.S. ", "α", "|"]
    )
    | st.text(max_size=4),
    max_size=12,
).map("".join)


@settings(deadline=None, max_examples=300)
@given(st.lists(TEXTS, max_size=4))
def test_shares_are_shares_and_the_same_in_any_batch(texts: list[str]) -> None:
    found = measure(texts)
    assert all(0 <= value <= 1 for values in found for value in values.values())
    assert found == [measure([text])[0] for text in texts]
    bare = ["\n".join(line.strip() for line in text.split("\n")) for text in texts]
    assert measure(bare) == found, "white space at the ends of lines changes nothing"


@settings(deadline=None)
@given(TEXTS)
def test_digits_upper_case_and_replacements_are_pythons(text: str) -> None:
    values = measure([text])[0]
    lines = "".join(line.strip() for line in text.split("\n"))
    assert values["digit_character_share"] == sum(map(str.isdigit, text)) / max(len(lines), 1)
    assert values["upper_case_letter_share"] == sum(map(str.isupper, text)) / max(sum(map(str.isalpha, text)), 1)
    assert values["replacement_character_share"] == text.count("\ufffd") / max(len(lines), 1)


@settings(deadline=None)
@given(TEXTS.filter(lambda text: text))
def test_a_citation_ends_in_its_line(text: str) -> None:
    raw = np.frombuffer(text.encode(), np.uint8)
    for at in [k for k in range(len(raw)) if raw[k] in (0x28, 0x5B) or raw[k : k + 2].tobytes() == b"\xc2\xa7"]:
        until = citation_end(raw, at, len(raw), traits())
        assert until == 0 or at + 2 < until <= len(raw)
        raw[:until].tobytes().decode()


@pytest.mark.real
def test_law_medicine_and_novels_are_told_apart(shared_data: Path) -> None:
    def members(name: str, step: int, most: int) -> list[str]:
        with tarfile.open(shared_data / name) as tar:
            files = [member for member in tar if member.isfile()][::step][:most]
            return [tar.extractfile(member).read().decode(errors="ignore")[:50_000] for member in files]  # type: ignore[union-attr]

    statutes = members("legal/gesetze_de_md.tar.gz", 20, 25)
    files = sorted((shared_data / "general" / "novels").glob("*.txt.gz"))
    novels = [gzip.decompress(path.read_bytes()).decode(errors="ignore")[:50_000] for path in files]
    assert len(statutes) > 20
    assert len(novels) > 20
    law, prose = DomainText()(TextBatch.of(statutes)), DomainText()(TextBatch.of(novels))
    for name in ("citation_share", "digit_character_share", "list_line_share"):
        assert np.median(law[name]) > 3 * np.median(prose[name]), name
    assert np.median(prose["odd_word_share"]) < 1e-4
