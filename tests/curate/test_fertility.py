"""How a tokenizer fits a corpus: counts equal an encoding by hand, and savings are told on text that did not choose."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pyarrow as pa
import pytest
import tokenizers
from tokenizers import decoders, models, pre_tokenizers, trainers

from curate.fertility import LEAST_OCCURRENCES, SourceText, fertility, whole_characters
from curate.tokenizing import Tokenizer

GENERAL = ["the cat sat on the mat and the dog ran over the hill"] * 40
TERMS = ["olanzapine", "risperidone", "enalapril"]


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    """Byte-level BPE that knows common words whole, and drugs only in pieces."""
    backend = tokenizers.Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=330, initial_alphabet=alphabet, special_tokens=["</s>"])
    backend.train_from_iterator(GENERAL, trainer)
    folder = tmp_path_factory.mktemp("tokenizer")
    backend.save(str(folder / "tokenizer.json"))
    return Tokenizer.load(folder)


def sample(texts: list[str], source: str = "notes") -> SourceText:
    ids = pa.array([f"{source}/{i}" for i in range(len(texts))], pa.large_string())
    return SourceText(source, ids, pa.array(texts, pa.large_string()))


def test_tokens_words_and_pieces_of_characters_are_those_of_an_encoding_by_hand(tokenizer: Tokenizer) -> None:
    texts = ["the cat 発熱 sat", "", "naïve dog 😀"]
    [row] = fertility(tokenizer, [sample(texts)], set())["sources"]
    alone = [tokenizer.backend.encode(text, add_special_tokens=False).ids for text in texts]
    every = [token for ids in alone for token in ids]
    assert row["tokens"] == len(every)
    assert row["bytes"] == sum(len(text.encode()) for text in texts)
    assert row["words"] == 7  # the cat 発 熱 sat naïve dog
    broken = [token for token in every if "\ufffd" in tokenizer.backend.decode([token])]
    assert row["pieces_of_characters"] == len(broken) >= 6
    assert row["unknown"] == 0


@pytest.mark.real
@pytest.mark.parametrize("name", ["gpt-neox-20b", "llama-style-sp-bpe", "allenai-dolma2"])
def test_a_token_is_a_whole_character_where_its_decoding_alone_is_text(shared_data: Path, name: str) -> None:
    tokenizer = Tokenizer.load(shared_data / "tokenizers" / name)
    whole = whole_characters(tokenizer)
    some = range(0, tokenizer.vocabulary, 7)
    for token in some:
        spelled = tokenizer.backend.id_to_token(token)
        if spelled is not None and token not in tokenizer.backend.get_added_tokens_decoder():
            spells_it = "ï¿½" in spelled  # U+FFFD itself
            broken = "\ufffd" in tokenizer.backend.decode([token]) and not spells_it
            assert whole[token] == (not (broken or spelled.startswith("<0x"))), spelled
    assert 0 < (~whole).sum() < len(whole) / 20


def test_terms_cost_what_they_take_beyond_one_token_times_how_often_they_stand(tokenizer: Tokenizer) -> None:
    texts = [f"the {TERMS[i % 3]} and the {TERMS[0]}" for i in range(60)]
    found = fertility(tokenizer, [sample(texts)], {"notes"})
    shown = {one["term"]: one for one in found["terms"]}
    assert set(TERMS) <= shown.keys()
    assert "the" not in shown  # it is one token
    for term in TERMS:
        by_hand = len(tokenizer.backend.encode(f" {term}", add_special_tokens=False).ids)
        assert shown[term]["tokens"] == by_hand > 2
        assert "".join(shown[term]["pieces"]).strip() == term
    assert found["terms"][0]["term"] == TERMS[0]  # the most frequent of them


def test_savings_are_counted_on_documents_that_did_not_choose_the_terms(tokenizer: Tokenizer) -> None:
    texts = [f"the {TERMS[i % 3]} and the hill and the {TERMS[i % 2]}" for i in range(200)]
    found = fertility(tokenizer, [sample(texts)], {"notes"})
    [most] = found["savings"]  # fewer terms split than any number asked for
    # all terms are frequent in both halves, so every one of them becomes a token of its own
    words = Counter(word for text in texts for word in text.split() if word not in {"the", "and", "hill"})
    assert set(words) == set(TERMS)
    per_word = {word: len(tokenizer.backend.encode(f" {word}", add_special_tokens=False).ids) for word in words}
    tokens = sum(len(tokenizer.encode(pa.array([text], pa.large_string()))[0]) for text in texts)
    expected = sum(times * (per_word[word] - 1) for word, times in words.items()) / tokens
    assert most["share"] == pytest.approx(expected, abs=0.03)
    assert 0 < found["counted_on_tokens"] < tokens
    rare = [f"drug{i} the hill" for i in range(50)]  # none stands often enough to be worth a token
    assert LEAST_OCCURRENCES > 1
    assert all(
        one["term"] in {"drug"} or "drug" not in one["term"]
        for one in fertility(tokenizer, [sample(rare)], {"notes"})["terms"]
    )


def test_a_corpus_without_text_has_no_terms(tokenizer: Tokenizer) -> None:
    found = fertility(tokenizer, [], {"notes"})
    assert (found["sources"], found["terms"], found["savings"]) == ([], [], [])
