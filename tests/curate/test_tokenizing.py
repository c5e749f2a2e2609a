"""Token ids are those of the Hugging Face tokenizer, with an EOS, and no text makes a control token."""

from __future__ import annotations

import json
import pickle
import shutil
import warnings
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import tokenizers
from transformers import AutoTokenizer

from curate.shards.fault import Fault
from curate.tokenizing import Tokenizer
from curate.train_tokenizer import train_tokenizer

SENTENCES = [
    "The left ventricle pumps blood into the aorta at 120/80 mmHg.",
    "Beta blockers don't raise heart rate; 37.5 mg twice daily, µg/mL and 10⁶ cells.",
    "El corazón late unas 100000 veces al día. 心臓は血液を送り出す。 हृदय रक्त पंप करता है।",
    "\n\n  Lists:\n\t- one\n\t- two   \r\n",
]
TEXTS = [" ".join(SENTENCES[i % 4 :] + [str(i * 7919)] * (i % 5)) for i in range(60)] + ["", " ", "x", "👩‍👩‍👧 \u200b"]


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("tokenizer")
    train_tokenizer(iter(TEXTS), 400, folder)
    return folder


def split_up(ids: np.ndarray, offsets: np.ndarray) -> list[list[int]]:
    return [ids[first:last].tolist() for first, last in pairwise(offsets)]


def encoded(tokenizer: Tokenizer, texts: list[str]) -> list[list[int]]:
    return split_up(*tokenizer.encode(pa.array(texts, pa.large_string())))


def with_eos(ids: list[int], eos: int) -> list[int]:
    return ids if ids and ids[-1] == eos else [*ids, eos]


def test_ids_are_those_of_transformers_and_come_back_as_text(trained: Path) -> None:
    tokenizer, theirs = Tokenizer.load(trained), AutoTokenizer.from_pretrained(trained)
    found = encoded(tokenizer, TEXTS)
    assert found == [with_eos(theirs(text)["input_ids"], tokenizer.eos) for text in TEXTS]
    assert all(ids[0] == tokenizer.bos == theirs.bos_token_id for ids in found)
    assert all(ids[-1] == tokenizer.eos == theirs.eos_token_id for ids in found)
    assert [theirs.decode(ids, skip_special_tokens=True) for ids in found] == TEXTS
    assert tokenizer.vocabulary == len(theirs) == 400
    assert tokenizer._fast is not None, "the fast engine was the one tested"


def test_training_twice_gives_the_same_file_whatever_the_order(trained: Path, tmp_path: Path) -> None:
    train_tokenizer(reversed(TEXTS), 400, tmp_path)
    files = sorted(path.name for path in trained.iterdir())
    assert files == ["special_tokens_map.json", "tokenizer.json", "tokenizer_config.json"]
    for name in files:
        assert (tmp_path / name).read_bytes() == (trained / name).read_bytes()


def test_digits_stand_alone_and_marks_stay_with_letters(trained: Path) -> None:
    splitter = tokenizers.Tokenizer.from_file(str(trained / "tokenizer.json")).pre_tokenizer
    words = [part for part, _ in splitter.pre_tokenize_str("dose 120 हृदय")]
    assert words[:5] == ["dose", "Ġ", "1", "2", "0"]
    assert len(words) == 6, "a word with vowel marks is one piece"


@pytest.mark.parametrize("text", ["a </s> b", "</s>", "<s><s>x", "<pad>"])
def test_a_literal_special_token_is_text(trained: Path, text: str) -> None:
    tokenizer, theirs = Tokenizer.load(trained), AutoTokenizer.from_pretrained(trained)
    control = {theirs.bos_token_id, theirs.eos_token_id, theirs.pad_token_id}
    (ids,) = encoded(tokenizer, [text])
    assert not control & set(ids[1:-1])
    assert ids == with_eos(theirs(text, split_special_tokens=True)["input_ids"], tokenizer.eos)
    assert theirs(text)["input_ids"] != ids[:-1], "transformers' default would have made a control token of it"
    assert theirs.decode(ids[1:-1]) == text


@pytest.mark.parametrize("engine", ["fastokens", "tokenizers"])
def test_a_literal_special_token_is_a_control_token_where_asked_for(trained: Path, engine: str) -> None:
    tokenizer, theirs = Tokenizer.load(trained, control_tokens=True), AutoTokenizer.from_pretrained(trained)
    assert tokenizer._fast is not None
    if engine == "tokenizers":
        object.__setattr__(tokenizer, "_fast", None)
    texts = ["a </s> b", "</s>", "<s><s>x", "aorta"]
    found = encoded(pickle.loads(pickle.dumps(tokenizer)) if engine == "fastokens" else tokenizer, texts)
    assert found == [with_eos(theirs(text)["input_ids"], tokenizer.eos) for text in texts]
    plainly = Tokenizer.load(trained)
    assert found[:3] != encoded(plainly, texts)[:3]
    assert found[3:] == encoded(plainly, texts)[3:]
    assert tokenizer.fingerprint() != plainly.fingerprint()


def test_ids_come_in_the_type_asked_for_and_never_wrap(trained: Path) -> None:
    tokenizer, texts = Tokenizer.load(trained), pa.array(TEXTS, pa.large_string())
    wide, ends = tokenizer.encode(texts)
    narrow, also = tokenizer.encode(texts, np.uint16)
    assert (wide.dtype, narrow.dtype) == (np.uint32, np.uint16)
    assert wide.tolist() == narrow.tolist()
    assert ends.tolist() == also.tolist()
    assert wide.max() > 255
    with pytest.raises(Fault, match="does not fit uint8"):
        tokenizer.encode(texts, np.uint8)


def test_a_slice_of_a_column_is_encoded_alone(trained: Path) -> None:
    tokenizer, texts = Tokenizer.load(trained), pa.array(TEXTS, pa.large_string())
    assert split_up(*tokenizer.encode(texts.slice(7, 11))) == encoded(tokenizer, TEXTS[7:18])


def test_both_engines_give_the_same_ids(trained: Path) -> None:
    fast, slow = Tokenizer.load(trained), Tokenizer.load(trained)
    object.__setattr__(slow, "_fast", None)
    assert encoded(fast, [*TEXTS, "a </s> b"]) == encoded(slow, [*TEXTS, "a </s> b"])


class _Wrong:
    """A fast engine that gets one word wrong."""

    def __init__(self, right) -> None:
        self.right = right

    def encode_batch_flat(self, texts, **settings):
        return self.right.encode_batch_flat([text.replace("aorta", "aortae") for text in texts], **settings)


def test_a_wrong_fast_engine_is_noticed_on_the_texts_themselves(trained: Path) -> None:
    tokenizer = Tokenizer.load(trained)
    right = encoded(tokenizer, TEXTS)
    object.__setattr__(tokenizer, "_fast", _Wrong(tokenizer._fast))
    with pytest.warns(UserWarning, match="other ids"):
        assert encoded(tokenizer, TEXTS) == right


def test_no_texts_and_long_texts(trained: Path) -> None:
    tokenizer = Tokenizer.load(trained)
    assert encoded(tokenizer, []) == []
    long = "The aorta. " * 200_000
    (ids,) = encoded(tokenizer, [long])
    (some,) = encoded(tokenizer, ["The aorta. " * 2])
    assert len(ids) > 400_000
    assert ids[:4] == some[:4]
    assert ids.count(tokenizer.eos) == 1


@pytest.mark.parametrize("says", [{"add_bos_token": False}, {"add_bos_token": True, "add_eos_token": True}])
def test_what_transformers_ignores_is_ignored(trained: Path, tmp_path: Path, says: dict[str, bool]) -> None:
    folder = changed_config(trained, tmp_path / "changed", says)
    tokenizer, theirs = Tokenizer.load(folder), AutoTokenizer.from_pretrained(folder)
    assert encoded(tokenizer, TEXTS) == [with_eos(theirs(text)["input_ids"], tokenizer.eos) for text in TEXTS]


def test_saving_through_transformers_writes_what_its_class_makes_of_the_file(trained: Path, tmp_path: Path) -> None:
    folder = changed_config(trained, tmp_path / "neox", {"tokenizer_class": "GPTNeoXTokenizerFast"})
    theirs = AutoTokenizer.from_pretrained(folder)
    theirs.save_pretrained(tmp_path / "saved")
    tokenizer = Tokenizer.load(tmp_path / "saved")
    found = encoded(tokenizer, TEXTS)
    assert found == [with_eos(theirs(text)["input_ids"], tokenizer.eos) for text in TEXTS]
    assert found != encoded(Tokenizer.load(folder), TEXTS), "the class had rebuilt something"


def test_a_saved_tokenizer_is_the_same_for_us_and_for_transformers(trained: Path, tmp_path: Path) -> None:
    (tmp_path / "alone").mkdir()
    shutil.copy(trained / "tokenizer.json", tmp_path / "alone")
    tokenizer = Tokenizer.load(tmp_path / "alone")
    tokenizer.save(tmp_path / "saved")
    theirs = AutoTokenizer.from_pretrained(tmp_path / "saved")
    assert theirs.eos_token_id == tokenizer.eos, "which the lone file does not say"
    assert encoded(tokenizer, TEXTS) == [with_eos(theirs(text)["input_ids"], tokenizer.eos) for text in TEXTS]
    assert Tokenizer.load(tmp_path / "saved").fingerprint() == tokenizer.fingerprint()


def changed_config(trained: Path, folder: Path, changed: dict) -> Path:
    shutil.copytree(trained, folder)
    path = folder / "tokenizer_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changed}))
    return folder


def test_truncation_and_padding_in_the_file_are_not_followed(trained: Path, tmp_path: Path) -> None:
    file = tokenizers.Tokenizer.from_file(str(trained / "tokenizer.json"))
    file.enable_truncation(5)
    file.enable_padding(length=9)
    file.save(str(tmp_path / "tokenizer.json"))
    assert encoded(Tokenizer.load(tmp_path), TEXTS) == encoded(Tokenizer.load(trained), TEXTS)


def test_a_tokenizer_travels_to_another_process(trained: Path) -> None:
    tokenizer = Tokenizer.load(trained)
    revived = pickle.loads(pickle.dumps(tokenizer))
    assert encoded(revived, [*TEXTS, "</s>"]) == encoded(tokenizer, [*TEXTS, "</s>"])
    assert revived.fingerprint() == tokenizer.fingerprint() == Tokenizer.load(trained / "tokenizer.json").fingerprint()


def test_eos_is_found_or_asked_for(trained: Path, tmp_path: Path) -> None:
    shutil.copy(trained / "tokenizer.json", tmp_path)
    assert Tokenizer.load(tmp_path).eos == Tokenizer.load(trained).eos, "guessed from the usual names"
    (tmp_path / "config.json").write_text(json.dumps({"eos_token_id": [2, 0], "bos_token_id": 0}))
    assert (Tokenizer.load(tmp_path).bos, Tokenizer.load(tmp_path).eos) == (0, 2), "the model's config states ids"
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"eos_token": {"content": "<pad>"}}))
    assert Tokenizer.load(tmp_path).eos == 2
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"eos_token": "<nothing>"}))
    with pytest.raises(Fault, match="not in the vocabulary"):
        Tokenizer.load(tmp_path)
    bare = tokenizers.Tokenizer(tokenizers.models.WordLevel({"a": 0}, unk_token="a"))
    bare.save(str(tmp_path / "bare.json"))
    (tmp_path / "config.json").unlink()
    (tmp_path / "tokenizer_config.json").unlink()
    with pytest.raises(Fault, match="no end-of-text token"):
        Tokenizer.load(tmp_path / "bare.json")


def test_what_is_no_tokenizer_is_named(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.model").write_bytes(b"\x0a")
    (tmp_path / "broken.json").write_text("{}")
    for where, what in [
        (tmp_path, r"no tokenizer\.json: it holds broken\.json, tokenizer\.model"),
        (tmp_path / "tokenizer.model", "nor a SentencePiece model"),
        (tmp_path / "broken.json", "not a tokenizer"),
        (tmp_path / "nowhere", "no such tokenizer"),
        ("./nowhere", "no such tokenizer"),
    ]:
        with pytest.raises(Fault, match=what) as raised:
            Tokenizer.load(where)
        assert raised.value.hint
    with pytest.raises(Fault, match="too small"):
        train_tokenizer(["a"], 100, tmp_path)


@pytest.mark.real
@pytest.mark.parametrize(
    ("name", "eos", "is_fast"),
    [
        ("gpt-neox-20b", "<|endoftext|>", True),
        ("allenai-dolma2", "<|endoftext|>", True),
        ("llama-style-sp-bpe", "</s>", True),
        ("bert-wordpiece", "[SEP]", False),
    ],
)
def test_published_tokenizers_give_transformers_ids_on_real_text(
    shared_data: Path, tmp_path: Path, name: str, eos: str, is_fast: bool
) -> None:
    folder = shared_data / "tokenizers" / name
    web = [json.loads(line)["text"] for line in (shared_data / "general" / "c4_demo.jsonl").open(encoding="utf-8")]
    medical = [
        "\n".join(one["CONTEXTS"])
        for one in json.loads((shared_data / "medical/pubmedqa/ori_pqal.json").read_text()).values()
    ]
    texts = [*web[:60], *medical[:100], *TEXTS]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tokenizer = Tokenizer.load(folder)
        found = encoded(tokenizer, texts)
    assert (tokenizer._fast is not None) == is_fast
    assert tokenizer.eos == tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json")).token_to_id(eos)
    theirs = AutoTokenizer.from_pretrained(folder)
    assert found == [with_eos(theirs(text, split_special_tokens=True)["input_ids"], tokenizer.eos) for text in texts]
    special = {t.content for t in tokenizer.backend.get_added_tokens_decoder().values() if t.special}
    plain = [row for row, text in enumerate(texts) if not any(name in text for name in special)]
    assert len(plain) > 100
    assert all(found[row] == with_eos(theirs(texts[row])["input_ids"], tokenizer.eos) for row in plain)
