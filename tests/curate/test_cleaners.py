"""Cleaners change what is broken and nothing else, account for every byte, and are done after one pass."""

from __future__ import annotations

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.cleaning import clean, load

NAMES = ["encoding", "line_endings", "invisible"]
CHANGED = {
    "encoding": [
        ("The cafÃ© isnâ€™t open.", "The café isn’t open."),
        ("Viá»‡t Nam", "Việt Nam"),
        ("She said \x93yes\x94", "She said “yes”"),
        ("wait\x85", "wait…"),
        ("BehÃ§et and 35 Å² of surface", "Behçet and 35 Å² of surface"),
    ],
    "line_endings": [
        ("a\r\nb\rc\nd", "a\nb\nc\nd"),
        ("a\u2028b\u2029c\x85d", "a\nb\nc\nd"),
        ("page one\fpage two\vend", "page one\npage two\nend"),
    ],
    "invisible": [
        ("\ufeffword", "word"),
        ("hy\u00adphen\u00adated", "hyphenated"),
        ("zero\u200bwidth\u2060joined", "zerowidthjoined"),
        ("a\x00b\x07c\x1b[0m\x7fd\x9b", "abc[0md"),
        ("\u202aleft\u202c \u200emark\u2066x\u2069", "left markx"),
        ("not\u200djoined\u200chere", "notjoinedhere"),
        ("plain\U000e0041tag", "plaintag"),
    ],
}
UNTOUCHED = [
    "10⁶ cells/µl, 5 µg, H₂O, Å, Å², 3.2 Å³ and −200 Å² (ﬁg. ½) “curly” ‘quotes’ … – — ﬂ",
    "é composed, e\u0301 decomposed, \u212b and ｆｕｌｌ width",
    "R&amp;D &lt;b&gt; &eacute;",
    "tab\tand\nline",
    "no-break\u00a0space, thin\u2009space",
    "می\u200cخواهم, क्\u200dष, ශ්\u200dරී, ന്\u200d",  # joiners that shape letters, also at a word's end
    "👩\u200d⚕️ 👨\u200d👩\u200d👧 🏴\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f ❤️\u200d🔥",
    "ᠮᠣᠩᠭᠣᠯ\u180eᠠ",
    "Ą Ų žodžių lietuvių kalba, À LA CARTE, ÅNGSTRÖM, naïve façade",
    "<script>alert(1)</script>",
]


def cleaned(text: str, *names: str) -> str:
    (out,) = clean(pa.array([text], pa.large_string()), load(names or NAMES))[0].to_pylist()
    return out


@pytest.mark.parametrize(("name", "broken", "mended"), [(name, *pair) for name in NAMES for pair in CHANGED[name]])
def test_a_cleaner_mends_its_own_subject(name: str, broken: str, mended: str) -> None:
    assert cleaned(broken, name) == mended
    assert cleaned(mended, name) == mended


@pytest.mark.parametrize("text", UNTOUCHED)
def test_text_that_is_not_broken_stays_as_it_is(text: str) -> None:
    assert cleaned(text) == text


def test_cleaners_account_for_the_bytes_they_take() -> None:
    texts = [pair[0] for name in NAMES for pair in CHANGED[name]] + UNTOUCHED + [None, ""]
    before = pa.array(texts, pa.large_string())
    after, taken = clean(before, load(NAMES))
    assert list(taken) == NAMES
    assert all(counts.any() for counts in taken.values())
    for i, (old, new) in enumerate(zip(texts, after.to_pylist(), strict=True)):
        if old is None:
            assert new is None
        size = [len((text or "").encode()) for text in (old, new)]
        assert size[0] - size[1] == sum(int(counts[i]) for counts in taken.values())


def test_a_slice_of_a_batch_is_cleaned_like_the_batch() -> None:
    texts = pa.array([pair[0] for name in NAMES for pair in CHANGED[name]], pa.large_string())
    whole, taken = clean(texts, load(NAMES))
    part, part_taken = clean(texts[3:7], load(NAMES))
    assert part.to_pylist() == whole.to_pylist()[3:7]
    assert part_taken["invisible"].tolist() == taken["invisible"].tolist()[3:7]


def test_a_cleaner_of_ones_own_is_named_by_module() -> None:
    assert cleaned("abc", f"{__name__}:Upper") == "ABC"


class Upper:
    def __call__(self, text: str) -> str:
        return text.upper()


ODD = st.text(
    st.sampled_from("aZé Ãâ€™Å²Â\u00a0\x85\x93\r\n\f\u200b\u200c\u200d\u180e\ufe0f\u00adक्بم👩⚕\U000e0067🏴\u2028\ufeff")
)


@settings(max_examples=400, deadline=None)
@given(st.one_of(ODD, st.text()))
def test_cleaning_twice_is_cleaning_once(text: str) -> None:
    text = text.encode("utf-8", "ignore").decode()
    for name in NAMES:
        once = cleaned(text, name)
        assert cleaned(once, name) == once


@settings(max_examples=400, deadline=None)
@given(st.one_of(ODD, st.text()))
def test_what_the_search_passes_over_the_cleaner_would_not_change(text: str) -> None:
    text = text.encode("utf-8", "ignore").decode()
    for name, cleaner in load(NAMES).items():
        assert cleaned(text, name) == cleaner(text)
