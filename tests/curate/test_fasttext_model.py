"""Our inference of fastText models gives what fastText's own gives: every loss, dense or quantised, any text."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from curate.fasttext_file import read_file
from curate.fasttext_model import FastTextModel
from curate.language import model_file
from curate.shards.fault import Fault

CLOSE = 1e-4
SIGMOID_STEP = 0.008  # fastText's table of sigmoids is that coarse: a sum in another order may meet the next step

# Trained in a process of its own. fastText with one thread leaves most of a matrix as it finds it, so memory must come
# fresh, and zero, from the system: the allocator is told to keep nothing of that size
TRAIN = """
import sys
import fasttext_pybind as fasttext

def train(folder, name, text, loss, **more):
    model, arguments = fasttext.fasttext(), fasttext.args()
    settings = dict(model=fasttext.model_name.supervised, dim=16, epoch=15, minCount=1, bucket=20000, wordNgrams=1,
                    minn=0, maxn=0, thread=1, verbose=0, lr=0.5)
    settings |= {"input": f"{folder}/{text}", "loss": getattr(fasttext.loss_name, loss), **more}
    for key, value in settings.items():
        setattr(arguments, key, value)
    fasttext.train(model, arguments)
    model.saveModel(f"{folder}/{name}.bin")
    return model, settings

def quantize(folder, name, model, settings, cutoff, qnorm, qout):
    model.quantize(settings["input"], qout, cutoff, False, 1, 0.1, 1, 0, 2, qnorm)
    model.saveModel(f"{folder}/{name}.ftz")

folder = sys.argv[1]
train(folder, "softmax", "few.txt", "softmax", wordNgrams=2, minn=2, maxn=4)
train(folder, "words", "few.txt", "softmax", wordNgrams=3)
train(folder, "tree", "few.txt", "hs", minn=1, maxn=5, dim=20)
train(folder, "each", "few.txt", "ova", wordNgrams=2, minn=3, maxn=3)
train(folder, "negative", "few.txt", "ns", minn=3, maxn=6, dim=9)
quantize(folder, "softmax", *train(folder, "s", "few.txt", "softmax", wordNgrams=2, minn=2, maxn=4), 0, False, False)
quantize(folder, "pruned", *train(folder, "p", "few.txt", "softmax", wordNgrams=2, minn=2, maxn=4), 700, True, False)
quantize(folder, "tree", *train(folder, "t", "many.txt", "hs", minn=2, maxn=3, epoch=3), 2000, True, True)
train(folder, "vectors", "few.txt", "softmax", model=fasttext.model_name.skipgram, minn=2, maxn=3)
"""
TRAINED = ("softmax.bin", "words.bin", "tree.bin", "each.bin", "negative.bin", "softmax.ftz", "pruned.ftz", "tree.ftz")

LINES = {
    "en": "The heart pumps blood through the body , and the lungs take in air",
    "de": "Das Herz pumpt Blut durch den Körper , und die Lunge nimmt Luft auf",
    "fr": "Le cœur pompe le sang dans tout le corps et les poumons prennent l’ air",
    "ru": "Сердце качает кровь по всему телу , а лёгкие вдыхают воздух каждую минуту",
    "hi": "हृदय पूरे शरीर में रक्त पंप करता है और फेफड़े हवा लेते हैं",
    "zh": "心脏 将 血液 输送 到 全身 ， 肺部 吸入 空气 ， 并将 氧气 带入 血液",
}
ADVERSARIAL = [
    "",
    "   \t ",
    "\n",
    "\n\nThe heart\r\npumps\vblood\f\f",
    "__label__en the heart",
    "the __label__ heart __label__unheard_of __label__de",
    "x__label__en",
    "_",
    "</s>",
    "the heart </s> das Herz",
    "</s></s> <s> < > <> ><",
    "the\0heart\0",
    "NBSP\u00a0between \u3000 ideographic\u2028line",
    "\ufeff\u200b\u202eReversed\ufffd\ufffe\U0010ffff",
    "a" * 5000,
    "é" * 3001,
    "漢字" * 2000,
    "🫀🫁 💉" * 50,
    "👩‍⚕️" * 200,
    "e\u0301" * 300,
    "the" * 80 + "\u0301" * 400 + " heart",
    " ".join("abcdefgh"[i % 8] for i in range(3000)),
    "the heart " * 1500 + "</s> das Herz",
    "sixteen_bytes_ab sixteen_bytes_abc sixteen_bytes_a eightbyt eightbyte",
    "the\x01heart \x7f \x1f \x1c \x85",
]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of small models of every kind."""
    folder = tmp_path_factory.mktemp("fasttext")
    draw = np.random.default_rng(1)
    few = []
    for i in range(240):
        label = list(LINES)[min(int(draw.exponential(2)), 5)]  # uneven counts make an uneven tree
        words = draw.permutation(LINES[label].split())[: draw.integers(3, 12)]
        few.append(f"__label__{label} " + ("__label__long " if i % 3 == 0 and len(words) > 6 else "") + " ".join(words))
    many = [f"__label__{i % 300} {LINES['en']} {i % 300} {i}" for i in range(900)]
    (folder / "few.txt").write_text("\n".join(few) + "\n", encoding="utf-8")
    (folder / "many.txt").write_text("\n".join(many) + "\n", encoding="utf-8")
    fresh = {**os.environ, "MALLOC_MMAP_THRESHOLD_": "65536"}
    command = [sys.executable, "-c", TRAIN, str(folder)]
    made = subprocess.run(command, capture_output=True, text=True, check=False, env=fresh)
    assert made.returncode == 0, made.stderr
    return folder


def array(some: list[str]) -> pa.LargeStringArray:
    return pa.array(some, pa.large_string())


def random_texts(n: int) -> list[str]:
    """Of every script and width of UTF-8, with spaces, marks and known words between."""
    draw = np.random.default_rng(7)
    known = [word for line in LINES.values() for word in line.split()] + ["</s>x", "__label__", "<", ">"]
    ranges = [(1, 0x7F), (0x80, 0x7FF), (0x800, 0xD7FF), (0xE000, 0xFFFF), (0x10000, 0x10FFFF), (0x20, 0x7E)]
    texts = []
    for _ in range(n):
        parts = []
        for _ in range(draw.integers(0, 12)):
            low, high = ranges[draw.integers(len(ranges))]
            word = "".join(map(chr, draw.integers(low, high + 1, draw.integers(1, 14))))
            parts += [word if draw.random() < 0.5 else known[draw.integers(len(known))], " \n\t"[draw.integers(3)]]
        texts.append("".join(parts))
    return texts


@dataclass(frozen=True)
class Told:
    """What fastText's own binding says."""

    best: list[str | None]
    probabilities: np.ndarray  # (n, labels), in the order given


def told_by_fasttext(path: Path, texts: list[str], labels: tuple[str, ...]) -> Told:
    import fasttext_pybind

    model: Any = fasttext_pybind.fasttext()
    model.loadModel(str(path))
    best: list[str | None] = []
    probabilities = np.zeros((len(texts), len(labels)))
    place = {label: k for k, label in enumerate(labels)}
    for i, text in enumerate(texts):
        found = model.predict(text.replace("\n", " ") + "\n", -1, 0.0, "strict")
        best.append(found[0][1].removeprefix("__label__") if found else None)
        for score, label in found:
            probabilities[i, place[label.removeprefix("__label__")]] = min(score, 1)
    return Told(best, probabilities)


def same(path: Path, texts: list[str], within: float = CLOSE) -> np.ndarray:
    """Holds our answers against fastText's; gives the differences of all probabilities."""
    model = FastTextModel.load(path)
    told = told_by_fasttext(path, texts, model.labels)
    labels, scores = model.predict(array(texts))
    probabilities = model.probabilities(array(texts))
    assert labels.dtype == np.int32
    assert scores.dtype == probabilities.dtype == np.float32
    differences = np.abs(probabilities - told.probabilities)
    for i, best in enumerate(told.best):
        if best is None:
            assert (labels[i], scores[i]) == (-1, 0)
            continue
        ours = told.probabilities[i, labels[i]]
        assert model.labels[labels[i]] == best or ours >= told.probabilities[i].max() - within, texts[i][:80]
        assert scores[i] == probabilities[i, labels[i]] == probabilities[i].max()
    column = model.probability(model.labels[-1], array(texts))
    assert np.array_equal(column, probabilities[:, -1])
    return differences


@pytest.mark.parametrize("name", TRAINED)
def test_every_kind_of_model_gives_what_fasttext_gives(models: Path, name: str) -> None:
    texts = [*LINES.values(), *ADVERSARIAL, *random_texts(1500)]
    coarse = name in ("each.bin", "negative.bin")
    differences = same(models / name, texts, SIGMOID_STEP if coarse else CLOSE)
    if coarse:
        assert differences.max() <= SIGMOID_STEP
        assert np.mean(differences > CLOSE) <= 0.001
    else:
        assert differences.max() <= CLOSE
    labels, _ = FastTextModel.load(models / name).predict(array(texts))
    assert len(set(labels.tolist())) >= 5  # not one answer for everything


def test_models_of_all_kinds_were_read(models: Path) -> None:
    files = {name: read_file(models / name) for name in TRAINED}
    assert {file.loss for file in files.values()} == {1, 2, 3, 4}
    pruned, whole = files["pruned.ftz"], files["softmax.ftz"]
    assert pruned.kept_buckets is not None
    assert 0 < len(pruned.kept_buckets) < whole.buckets
    assert whole.kept_buckets is None
    assert files["words.bin"].most_characters == 0
    assert len(files["tree.ftz"].labels) == 300


def test_lid_176_gives_what_fasttext_gives_on_adversarial_text() -> None:
    assert same(model_file(), [*LINES.values(), *ADVERSARIAL, *random_texts(1500)]).max() <= CLOSE


@pytest.mark.real
def test_lid_176_gives_what_fasttext_gives_in_hundreds_of_languages(shared_data: Path) -> None:
    texts = []
    for name in ("udhr_unicode", "xquad_paragraphs"):
        with gzip.open(shared_data / f"multilingual/{name}.jsonl.gz", "rt") as lines:
            texts += [json.loads(line)["text"][:1500] for line in lines][:: 1 if name == "udhr_unicode" else 6]
    assert len(texts) > 800
    assert same(model_file(), texts).max() <= CLOSE
    labels, _ = FastTextModel.load(model_file()).predict(array(texts))
    assert len(set(labels.tolist())) > 80


def test_the_batch_does_not_change_the_answer(models: Path) -> None:
    texts = [*LINES.values(), *ADVERSARIAL, *random_texts(300)]
    for name in ("softmax.bin", "tree.ftz"):
        model = FastTextModel.load(models / name)
        together = model.probabilities(array(texts))
        backwards = model.probabilities(array(texts[::-1]))[::-1]
        alone = np.concatenate([model.probabilities(array([text])) for text in texts])
        assert np.array_equal(together, backwards)
        assert np.array_equal(together, alone)


def test_nulls_slices_and_no_texts_at_all_are_texts_too(models: Path) -> None:
    model = FastTextModel.load(models / "softmax.bin")
    labels, scores = model.predict(pa.array([LINES["de"], None, "", LINES["ru"]], pa.large_string()))
    assert [model.labels[labels[0]], model.labels[labels[3]]] == ["de", "ru"]
    assert labels[1] == labels[2]
    assert scores[1] == scores[2]
    part = array(list(LINES.values())).slice(1, 2)
    assert [model.labels[k] for k in model.predict(part)[0]] == ["de", "fr"]
    assert model.probabilities(array([])).shape == (0, len(model.labels))


def test_a_model_is_read_once_and_again_when_its_file_changes(models: Path, tmp_path: Path) -> None:
    path = tmp_path / "model.bin"
    path.write_bytes((models / "softmax.bin").read_bytes())
    first = FastTextModel.load(path)
    assert FastTextModel.load(str(path)) is first
    path.unlink()
    path.write_bytes((models / "words.bin").read_bytes())
    assert FastTextModel.load(path) is not first


def test_a_label_is_asked_for_with_or_without_its_prefix(models: Path) -> None:
    model = FastTextModel.load(models / "softmax.bin")
    texts = array(list(LINES.values()))
    assert np.array_equal(model.probability("__label__de", texts), model.probability("de", texts))
    with pytest.raises(Fault, match="no label 'dee'") as told:
        model.probability("dee", texts)
    assert told.value.hint == "did you mean 'de'?"


def test_a_file_that_is_no_supervised_model_is_a_fault(models: Path, tmp_path: Path) -> None:
    with pytest.raises(Fault, match="there is no such"):
        FastTextModel.load(tmp_path / "absent.bin")
    with pytest.raises(Fault, match="word vectors"):
        FastTextModel.load(models / "vectors.bin")
    for k, junk in enumerate((b"", b"x", b"not a model, but a text that is long enough " * 9)):
        path = tmp_path / f"junk-{k}.bin"
        path.write_bytes(junk)
        with pytest.raises(Fault, match="fastText model"):
            FastTextModel.load(path)


@pytest.mark.parametrize("name", ["softmax.bin", "pruned.ftz", "tree.ftz"])
def test_a_model_cut_short_anywhere_is_a_fault(models: Path, tmp_path: Path, name: str) -> None:
    whole = (models / name).read_bytes()
    path = tmp_path / name
    cuts = np.unique(np.concatenate([np.geomspace(1, len(whole) - 1, 60).astype(int), [len(whole) - 1]]))
    for cut in cuts.tolist():
        path.write_bytes(whole[:cut])
        with pytest.raises(Fault):
            read_file(path)


def test_a_model_with_a_wrong_byte_is_a_fault_or_still_a_model(models: Path, tmp_path: Path) -> None:
    whole = (models / "pruned.ftz").read_bytes()
    draw = np.random.default_rng(3)
    refused = 0
    for k, at in enumerate([*range(96), *draw.integers(0, len(whole), 200).tolist()]):
        path = tmp_path / f"{k}.ftz"
        path.write_bytes(whole[:at] + bytes([whole[at] ^ int(draw.integers(1, 256))]) + whole[at + 1 :])
        try:
            model = FastTextModel.load(path)
        except Fault:
            refused += 1
            continue
        labels, _ = model.predict(array(ADVERSARIAL))
        assert (labels < len(model.labels)).all()
    assert 20 < refused < 250
