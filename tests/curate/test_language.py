"""Language: right where it speaks, silent where the model would guess, and independent of the batch."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from curate.language import WINDOW_BYTES, WINDOWS, cut_windows, identify, known_languages, model_file
from curate.shards.fault import Fault
from curate.text import TextBatch

SENTENCES = {
    "en": "The heart pumps blood through the body, and the lungs take in air.",
    "de": "Das Herz pumpt Blut durch den Körper, und die Lunge nimmt Luft auf.",
    "fr": "Le cœur pompe le sang dans tout le corps et les poumons prennent l'air.",
    "es": "El corazón bombea sangre por todo el cuerpo y los pulmones toman aire.",
    "ru": "Сердце качает кровь по всему телу, а лёгкие вдыхают воздух каждую минуту.",
    "zh": "心脏将血液输送到全身，肺部吸入空气，并将氧气带入血液，供全身各个器官使用，从而维持人体的正常生命活动。",
    "ja": "心臓は血液を全身に送り出し、肺は空気を吸い込み、酸素を血液に取り込んで、体のすべての器官に届けています。",
    "th": "หัวใจสูบฉีดเลือดไปทั่วร่างกายและปอดสูดอากาศเข้าไปทุกนาทีเพื่อให้อวัยวะทำงานได้",
    "ar": "يضخ القلب الدم في جميع أنحاء الجسم وتستنشق الرئتان الهواء في كل دقيقة.",
    "hi": "हृदय पूरे शरीर में रक्त पंप करता है और फेफड़े हर मिनट हवा लेते हैं ताकि शरीर जीवित रहे।",
}

# Text that is no language: what a list of each kind is made of
FORMULAE = {
    "doses": "Metformin 500 mg bid, Lisinopril 10 mg qd, Atorvastatin 40 mg qhs, Amlodipine 5 mg qd, ",
    "doses by line": "Warfarin 5 mg\nDigoxin 125 mcg\nFurosemide 40 mg\nSertraline 50 mg\n",
    "drug names": "Metformin, Lisinopril, Atorvastatin, Amlodipine, Metoprolol, Omeprazole, Losartan, ",
    "reactions": "2 KMnO4 + 16 HCl -> 2 KCl + 2 MnCl2 + 5 Cl2 + 8 H2O; C6H12O6 + 6 O2 -> 6 CO2 + 6 H2O; ",
    "chemical names": "2-(4-isobutylphenyl)propanoic acid; (2S,3R)-2-amino-3-hydroxybutanoic acid; ",
    "SMILES": "CC(=O)OC1=CC=CC=C1C(=O)O CN1C=NC2=C1C(=O)N(C(=O)N2C)C CC(C)CC1=CC=C(C=C1)C(C)C(=O)O ",
    "genes": "BRCA1 TP53 EGFR KRAS MYC IL-6 TNF CD4 PTEN AKT1 GAPDH ACTB ",
    "numbers": "12.50 3.14159 0.05 1,024 99.9% 17 42 2010 ",
    "mathematics": r"\frac{a}{b} = \sum_{i=1}^n x_i^2, f(x) = \int_0^1 e^{-x^2} dx, \alpha + \beta \leq \gamma ",
    "journals": "Smith J, Doe A. N Engl J Med 2010;363:1-9. Lopez M, Ito K. Lancet 2011;377:12-18. ",
    "reports": "410 U. S. 113, 152 (1973); 347 U. S. 483, 495 (1954); 5 U. S. C. § 552(a)(4)(B); ",
}


def texts(*some: str | None) -> pa.LargeStringArray:
    return pa.array(some, pa.large_string())


def paragraphs(shared_data: Path) -> dict[str, list[str]]:
    found: dict[str, list[str]] = defaultdict(list)
    with gzip.open(shared_data / "multilingual/xquad_paragraphs.jsonl.gz", "rt") as lines:
        for row in map(json.loads, lines):
            found[row["lang"]].append(row["text"])
    assert len(found) == 12
    return found


def test_sentences_are_given_their_language() -> None:
    found = identify(texts(*SENTENCES.values()))
    assert found.languages.to_pylist() == list(SENTENCES)
    assert found.scores.dtype == found.other_share.dtype == np.float32
    assert (found.scores > 0.5).all()
    assert (found.scores <= 1).all()
    assert (found.other_share == 0).all()


def test_too_few_letters_to_tell_is_no_language() -> None:
    found = identify(texts("x = 1", "", None, "1234567890 " * 50, "Metformin 500 mg", SENTENCES["en"]))
    assert found.languages.to_pylist() == [None] * 5 + ["en"]
    assert found.scores[:5].tolist() == [0.0] * 5


@pytest.mark.parametrize("kind", FORMULAE)
@pytest.mark.parametrize("times", [2, 10, 200])
def test_formulae_lists_and_citations_are_no_language(kind: str, times: int) -> None:
    found = identify(texts(FORMULAE[kind] * times, SENTENCES["en"]))
    assert found.languages.to_pylist() == [None, "en"]
    assert (found.scores[0], found.other_share[0]) == (0, 0)


@pytest.mark.parametrize("kind", FORMULAE)
def test_lists_within_a_text_do_not_hide_its_language(kind: str) -> None:
    found = identify(texts(SENTENCES["de"] * 8 + FORMULAE[kind] * 8, FORMULAE[kind] * 8 + SENTENCES["de"] * 8))
    assert found.languages.to_pylist() == ["de", "de"]
    assert (found.scores > 0.65).all()
    assert (found.other_share == 0).all()


def test_line_breaks_do_not_change_the_answer() -> None:
    one, broken = SENTENCES["en"], SENTENCES["en"].replace(" ", "\n")
    found = identify(texts(one, broken, "\n\n" + one + "\n"))
    assert set(found.languages.to_pylist()) == {"en"}
    assert len(set(found.scores.tolist())) == 1


def test_neither_batch_nor_order_changes_the_answer() -> None:
    some = [*SENTENCES.values(), *(SENTENCES["de"] * 200, "", SENTENCES["fr"] * 9 + SENTENCES["ru"] * 9), *FORMULAE]
    together, backwards = identify(texts(*some)), identify(texts(*some[::-1]))
    assert backwards.languages.to_pylist() == together.languages.to_pylist()[::-1]
    assert backwards.scores[::-1].tolist() == together.scores.tolist()
    assert backwards.other_share[::-1].tolist() == together.other_share.tolist()
    for i, text in enumerate(some):
        alone = identify(texts(text))
        assert alone.languages[0] == together.languages[i]
        assert (alone.scores[0], alone.other_share[0]) == (together.scores[i], together.other_share[i])


def test_a_batch_object_is_taken_too() -> None:
    assert identify(TextBatch.of([SENTENCES["fr"]])).languages.to_pylist() == ["fr"]
    assert identify(texts()).languages.to_pylist() == []
    sliced = texts(SENTENCES["en"], SENTENCES["fr"], SENTENCES["de"]).slice(1, 1)
    assert identify(sliced).languages.to_pylist() == ["fr"]


@pytest.mark.parametrize("length", [0, 1, 5, 100, WINDOW_BYTES, 1000, WINDOWS * WINDOW_BYTES, 5000, 100_000])
def test_windows_cover_a_short_document_and_spread_over_a_long_one(length: int) -> None:
    some = [(sentence * (length // len(sentence) + 1))[:length] for sentence in SENTENCES.values()]
    batch = TextBatch.of([*some, "x" * length, "漢" * length])
    first, begins, ends = cut_windows(batch.data, batch.offsets, WINDOWS, WINDOW_BYTES)
    assert (begins < ends).all()
    assert (ends - begins <= WINDOW_BYTES + 35).all()
    for i in range(len(batch)):
        low, high = batch.offsets[i], batch.offsets[i + 1]
        these = slice(first[i], first[i + 1])
        parts = [batch.data[a:b].tobytes().decode() for a, b in zip(begins[these], ends[these], strict=True)]
        assert len(parts) <= WINDOWS
        if high - low <= WINDOWS * WINDOW_BYTES:
            assert "".join(parts).encode() == batch.data[low:high].tobytes()
        else:
            assert len(parts) == WINDOWS
            assert (begins[these][0], ends[these][-1]) == (low, high)
            assert (begins[these][1:] >= ends[these][:-1]).all()


def test_a_passage_in_another_language_is_flagged() -> None:
    pure = SENTENCES["de"] * 40
    for share, other in ((0.3, "en"), (0.35, "ru"), (0.4, "ja"), (0.3, "ar")):
        n = len(pure.encode()) * share / (1 - share)
        passage = SENTENCES[other] * round(n / len(SENTENCES[other].encode()))
        for place in (0, len(pure) // 2, len(pure)):
            found = identify(texts(pure[:place] + "\n" + passage + "\n" + pure[place:], pure))
            assert found.other_share[1] == 0
            assert found.other_share[0] > 0
            assert found.other_share[0] == pytest.approx(share, abs=0.25)


def test_the_model_comes_with_the_installation() -> None:
    assert model_file().stat().st_size > 900_000
    assert len(known_languages()) == 176
    assert {"en", "de", "zh"} < set(known_languages())


TRAIN = """
import sys
import fasttext_pybind as fasttext

model, arguments = fasttext.fasttext(), fasttext.args()
settings = dict(model=fasttext.model_name.supervised, loss=fasttext.loss_name.softmax, dim=8, epoch=60, minCount=1,
                bucket=50000, minn=2, maxn=4, thread=1, verbose=0, lr=0.3, input=sys.argv[1])
for key, value in settings.items():
    setattr(arguments, key, value)
fasttext.train(model, arguments)
model.saveModel(sys.argv[2])
"""


def test_any_fasttext_model_tells_its_own_labels(tmp_path: Path) -> None:
    labels = {"en": "eng_Latn", "ru": "rus_Cyrl", "hi": "hin_Deva"}
    lines = [f"__label__{label} {SENTENCES[code]}\n" for code, label in labels.items() for _ in range(20)]
    (tmp_path / "text").write_text("".join(lines), encoding="utf-8")
    model = str(tmp_path / "own.bin")
    command = [sys.executable, "-c", TRAIN, str(tmp_path / "text"), model]
    # memory of the matrices must come zeroed from the system: see test_fasttext_model.py
    subprocess.run(command, check=True, env={**os.environ, "MALLOC_MMAP_THRESHOLD_": "65536"})
    assert known_languages(model) == ("eng_Latn", "hin_Deva", "rus_Cyrl")
    found = identify(texts(*(SENTENCES[code] for code in labels), "x"), model)
    assert found.languages.to_pylist() == [*labels.values(), None]


def test_a_model_that_is_none_is_a_fault(tmp_path: Path) -> None:
    (tmp_path / "own.bin").write_text("none")
    with pytest.raises(Fault, match="no supervised fastText model"):
        identify(texts(SENTENCES["en"]), str(tmp_path / "own.bin"))


@pytest.mark.real
def test_translated_paragraphs_are_given_their_language(shared_data: Path) -> None:
    for language, some in paragraphs(shared_data).items():
        found = identify(texts(*some))
        assert np.mean([told == language for told in found.languages.to_pylist()]) >= 0.99, language
        assert np.mean(found.other_share > 0) <= 0.01, language


@pytest.mark.real
def test_sentences_of_real_text_are_rarely_given_another_language(shared_data: Path) -> None:
    for characters, right, silent in ((80, 0.95, 0.1), (160, 0.98, 0.05), (400, 0.99, 0.02)):
        for language, some in paragraphs(shared_data).items():
            pieces = [text[len(text) // 3 :][:characters] for text in some if len(text) > 1.5 * characters]
            if len(pieces) < 50:
                continue
            told = identify(texts(*pieces)).languages.to_pylist()
            spoken = [label == language for label in told if label is not None]
            assert np.mean(spoken) >= right, (language, characters)
            assert 1 - len(spoken) / len(pieces) <= silent, (language, characters)


@pytest.mark.real
def test_paragraphs_of_two_languages_are_flagged_and_of_one_are_not(shared_data: Path) -> None:
    found = paragraphs(shared_data)
    languages = sorted(found)
    mixed, pure = [], []
    for k in range(len(languages)):
        one, other = found[languages[k]], found[languages[(k + 5) % len(languages)]]
        for i in range(0, 200, 10):
            pure.append("\n\n".join(one[i : i + 6]))
            passage = "\n\n".join(other[i : i + 3])
            text = "\n\n".join([*one[i : i + 4], passage, *one[i + 4 : i + 6]])
            if len(passage.encode()) > 0.25 * len(text.encode()):
                mixed.append(text)
    assert len(mixed) > 150
    assert np.mean(identify(texts(*mixed)).other_share > 0) >= 0.99
    assert np.mean(identify(texts(*pure)).other_share > 0) <= 0.01
