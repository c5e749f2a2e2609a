"""A text tokenised by pieces has the ids of the text in one go, whatever the tokenizer and whatever the text."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import tokenizers
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import models, normalizers, pre_tokenizers, processors, trainers

import curate.long_texts
import curate.tokenizing
from curate.long_texts import Seams
from curate.tokenizing import Tokenizer
from curate.train_tokenizer import train_tokenizer

SENTENCES = [
    "The left ventricle pumps blood into the aorta at 120/80 mmHg. ",
    "Beta blockers don't raise heart rate; 37.5 mg twice daily, µg/mL and 10⁶ cells.\n",
    "El corazón late unas 100000 veces al día (véase la tabla 3).   Segundo párrafo:\n\n",
    "心臓は血液を送り出す。血圧は百二十、脈拍は六十である。",
    "\t- one\n\t- two   \r\n-----\n",
]
WORDS = " ".join(SENTENCES * 3)
PROSE = "".join(SENTENCES[i % 3] + f"{i * 7919} " for i in range(400))
TEXTS = {
    "prose": PROSE,
    "every script": "".join(SENTENCES[(i * i + i // 7) % 5] for i in range(500)),
    "no blanks": "".join(SENTENCES[3] for _ in range(500)),
    "one letter": "a" * 30_000,
    "one letter amid prose": PROSE[:9_000] + "a" * 9_000 + PROSE[:9_000],
    "blanks amid prose": PROSE[:9_000] + " " * 9_000 + PROSE[:9_000] + "\n" * 5_000 + PROSE[:5_000],
    "special tokens": "".join(f"</s><s> {SENTENCES[i % 3]}|||MAIL|||" for i in range(400)),
    "combining marks": "".join(f"cafe\u0301 ha\u0301 {SENTENCES[i % 3]}" for i in range(400)),
}


def byte_level(folder: Path) -> None:
    train_tokenizer(iter([WORDS]), 500, folder)


def sentencepiece_style(folder: Path) -> None:
    """No pre-tokenizer: a text is one word for the model."""
    made = tokenizers.Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    made.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    made.pre_tokenizer = pre_tokenizers.Metaspace()
    alphabet = sorted({*"abcdefghijklmnopqrstuvwxyz▁.,;:()"})
    special = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256))]
    trainer = trainers.BpeTrainer(
        vocab_size=700, special_tokens=special, initial_alphabet=alphabet, limit_alphabet=60, show_progress=False
    )
    made.train_from_iterator([WORDS] * 2, trainer)
    held = json.loads(made.to_str())
    held["pre_tokenizer"] = None
    held["added_tokens"] = [one for one in held["added_tokens"] if one["id"] < 3]
    made = tokenizers.Tokenizer.from_str(json.dumps(held))
    made.add_tokens(["|||MAIL|||"])
    made.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    made.save(str(folder / "tokenizer.json"))


def unigram(folder: Path) -> None:
    made = tokenizers.Tokenizer(models.Unigram())
    made.normalizer = normalizers.NFKC()
    made.pre_tokenizer = pre_tokenizers.Metaspace()
    trainer = trainers.UnigramTrainer(
        vocab_size=300, special_tokens=["<unk>", "</s>"], unk_token="<unk>", show_progress=False
    )
    made.train_from_iterator([WORDS] * 2, trainer)
    made.save(str(folder / "tokenizer.json"))


def word_piece(folder: Path) -> None:
    made = tokenizers.Tokenizer(models.WordPiece(unk_token="[UNK]"))
    made.normalizer = normalizers.BertNormalizer()
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    trainer = trainers.WordPieceTrainer(vocab_size=300, special_tokens=["[UNK]", "[CLS]", "[SEP]"], show_progress=False)
    made.train_from_iterator([WORDS] * 2, trainer)
    made.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 1), ("[SEP]", 2)]
    )
    made.save(str(folder / "tokenizer.json"))


KINDS = [byte_level, sentencepiece_style, unigram, word_piece]


@pytest.fixture(scope="module", params=KINDS, ids=[kind.__name__ for kind in KINDS])
def tokenizer(request, tmp_path_factory) -> Tokenizer:
    folder = tmp_path_factory.mktemp("tokenizer")
    request.param(folder)
    return Tokenizer.load(folder)


@pytest.fixture(autouse=True, scope="module")
def small_pieces():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(curate.long_texts, "PIECE_BYTES", 3_000)
        patch.setattr(curate.long_texts, "SEARCHED", 1_000)
        patch.setattr(curate.long_texts, "SIDE", 150)
        patch.setattr(curate.tokenizing, "LONG_BYTES", 4_000)
        yield


def in_one_go(tokenizer: Tokenizer, text: str) -> list[int]:
    ids = tokenizer.backend.encode(text).ids
    return ids if ids and ids[-1] == tokenizer.eos else [*ids, tokenizer.eos]


def pieces_of(tokenizer: Tokenizer, text: str) -> list[np.ndarray]:
    def bare(texts: list[str]) -> list[np.ndarray]:
        found = tokenizer.backend.encode_batch_fast(texts, add_special_tokens=False)
        return [np.array(one.ids, np.uint32) for one in found]

    return Seams(tokenizer.backend, bare).pieces(memoryview(text.encode()))


@pytest.mark.filterwarnings("ignore:fastokens")
@pytest.mark.parametrize("name", TEXTS)
def test_ids_by_pieces_are_those_of_the_whole_text(tokenizer: Tokenizer, name: str) -> None:
    short = ["x", "", SENTENCES[0]]
    texts = [short[0], TEXTS[name], short[1], TEXTS[name][:20_000], short[2]]
    ids, offsets = tokenizer.encode(pa.array(texts, pa.large_string()), np.uint16)
    assert ids.dtype == np.uint16
    for text, first, stop in zip(texts, offsets[:-1], offsets[1:], strict=True):
        assert ids[first:stop].tolist() == in_one_go(tokenizer, text)


def test_prose_is_cut_into_pieces_and_one_letter_is_not(tokenizer: Tokenizer) -> None:
    n_bytes = len(PROSE.encode())
    assert len(pieces_of(tokenizer, PROSE)) >= n_bytes // 3_000
    assert len(pieces_of(tokenizer, TEXTS["one letter amid prose"])) > 2
    assert len(pieces_of(tokenizer, "a" * 30_000)) == 1


@given(
    st.lists(
        st.one_of(
            st.sampled_from([*SENTENCES, " ", "\n", "a" * 70, " " * 90, "</s>", "|||MAIL|||", "don't", "1234567"]),
            st.text(max_size=8),
        ),
        min_size=150,
        max_size=400,
    )
)
@settings(max_examples=15, deadline=None)
def test_any_text_by_pieces_has_the_ids_of_the_whole(tokenizer: Tokenizer, parts: list[str]) -> None:
    text = "".join(parts).encode("utf-8", "ignore").decode()
    found = np.concatenate([np.zeros(0, np.uint32), *pieces_of(tokenizer, text)])
    assert found.tolist() == tokenizer.backend.encode(text, add_special_tokens=False).ids


@pytest.mark.real
@pytest.mark.filterwarnings("ignore:fastokens")
@pytest.mark.parametrize("name", ["gpt-neox-20b", "allenai-dolma2", "llama-style-sp-bpe", "mistral-sentencepiece"])
def test_real_text_by_pieces_has_the_ids_of_the_whole(shared_data: Path, name: str) -> None:
    tokenizer = Tokenizer.load(shared_data / "tokenizers" / name)
    lines = (shared_data / "general" / "c4_demo.jsonl").open(encoding="utf-8")
    text = "\n".join(json.loads(line)["text"] for line in lines)[:300_000]
    assert len(pieces_of(tokenizer, text)) > 50
    ids, _ = tokenizer.encode(pa.array([text], pa.large_string()))
    assert ids.tolist() == in_one_go(tokenizer, text)
