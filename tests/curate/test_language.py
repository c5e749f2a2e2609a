"""Language: right where it speaks, silent where the model would guess, and independent of the batch."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from curate.language import detect, model_file

SENTENCES = {
    "en": "The heart pumps blood through the body, and the lungs take in air.",
    "de": "Das Herz pumpt Blut durch den Körper, und die Lunge nimmt Luft auf.",
    "fr": "Le cœur pompe le sang dans tout le corps et les poumons prennent l'air.",
    "es": "El corazón bombea sangre por todo el cuerpo y los pulmones toman aire.",
    "ru": "Сердце качает кровь по всему телу, а лёгкие вдыхают воздух каждую минуту.",
    "zh": "心脏将血液输送到全身，肺部吸入空气，并将氧气带入血液，供全身各个器官使用，从而维持人体的正常生命活动。",
    "ar": "يضخ القلب الدم في جميع أنحاء الجسم وتستنشق الرئتان الهواء في كل دقيقة.",
}


def texts(*some: str | None) -> pa.LargeStringArray:
    return pa.array(some, pa.large_string())


def test_sentences_are_given_their_language() -> None:
    languages, scores = detect(texts(*SENTENCES.values()))
    assert languages.to_pylist() == list(SENTENCES)
    assert scores.dtype == np.float32
    assert (scores > 0.5).all()
    assert (scores <= 1).all()


def test_too_few_letters_to_tell_is_no_language() -> None:
    languages, scores = detect(texts("x = 1", "", None, "1234567890 " * 50, "Metformin 500 mg", SENTENCES["en"]))
    assert languages.to_pylist() == [None] * 5 + ["en"]
    assert scores[:5].tolist() == [0.0] * 5


def test_line_breaks_do_not_change_the_answer() -> None:
    one, broken = SENTENCES["en"], SENTENCES["en"].replace(" ", "\n")
    languages, scores = detect(texts(one, broken, "\n\n" + one + "\n"))
    assert set(languages.to_pylist()) == {"en"}
    assert len(set(scores.tolist())) == 1


def test_the_batch_does_not_change_the_answer() -> None:
    some = [*SENTENCES.values(), SENTENCES["de"] * 200]
    together, scores = detect(texts(*some))
    for i, text in enumerate(some):
        alone, score = detect(texts(text))
        assert alone[0] == together[i]
        assert score[0] == scores[i]


def test_a_long_document_is_read_at_its_start_middle_and_end() -> None:
    mixed = SENTENCES["de"] * 20 + SENTENCES["en"] * 20
    _, (pure, half) = detect(texts(SENTENCES["de"] * 40, mixed))
    assert half < pure


def test_a_batch_object_is_taken_too() -> None:
    class Batch:
        array = texts(SENTENCES["fr"])

    assert detect(Batch())[0].to_pylist() == ["fr"]
    assert detect(texts())[0].to_pylist() == []


def test_the_model_comes_with_the_installation() -> None:
    assert model_file().stat().st_size > 900_000


@pytest.mark.real
def test_translated_paragraphs_are_given_their_language(shared_data: Path) -> None:
    with gzip.open(shared_data / "multilingual/xquad_paragraphs.jsonl.gz", "rt") as lines:
        rows = [json.loads(line) for line in lines][::4]
    languages, _ = detect(texts(*(row["text"] for row in rows)))
    right = [ours == row["lang"] for ours, row in zip(languages.to_pylist(), rows, strict=True)]
    assert len({row["lang"] for row in rows}) == 12
    assert np.mean(right) >= 0.98
