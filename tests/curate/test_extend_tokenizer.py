"""Laws of an extended vocabulary: the merges of counting anew, no id changed, no text longer, only BPE.

Oracles: continued BPE that counts every pair of every word again for every merge; the merges applied one by one to what
the base gives; `tokenizers` reading the file that was written.
"""

from __future__ import annotations

import gzip
import json
import random
from collections import Counter
from collections.abc import Callable, Iterable
from itertools import groupby, islice, pairwise
from operator import itemgetter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tokenizers
from hypothesis import example, given, settings
from hypothesis import strategies as st

from curate.continued_bpe import continue_merges
from curate.extend_tokenizer import Extension, extend_tokenizer
from curate.shards.fault import Fault
from curate.shards.seal import checksums
from curate.tokenizing import PROBES, Tokenizer
from curate.train_tokenizer import train_tokenizer

GENERAL = "the cat sat on a mat and then the dog came in from the cold with some of the others, late at night. " * 20
DOMAIN = (
    "Hypertension and hypotension: hypertensive patients took 1250 mg of acetylsalicylate in 2019.\n"
    "Chronic hypertension, untreated, leads to cardiomyopathy  —  高血圧の患者。 "
)
OTHERS = (*PROBES, DOMAIN, GENERAL, "Größere Übelkeit, Ärztinnen", "x" * 300, " " * 40, "1" * 50, "</s>hypertension<s>")


def naive(words: list[list[int]], counts: list[int], spelled: dict[int, str], first: int, by: int) -> list[Any]:
    """Continued BPE that counts everything anew for every merge."""
    words, names = [list(word) for word in words], dict(spelled)
    merges: list[Any] = []
    while len(merges) < by:
        times: Counter[tuple[int, int]] = Counter()
        for word, count in zip(words, counts, strict=True):
            for pair in pairwise(word):
                times[pair] += count
        fit = [(-n, p) for p, n in times.items() if n >= 2 and names[p[0]] + names[p[1]] not in names.values()]
        if not fit:
            break
        best = min(fit)[1]
        names[first + len(merges)] = names[best[0]] + names[best[1]]
        words = [replaced(word, best, first + len(merges)) for word in words]
        merges.append(best)
    return merges


def replaced(word: list[int], pair: tuple[int, int], token: int) -> list[int]:
    found = next((i for i, one in enumerate(pairwise(word)) if one == pair), None)
    return word if found is None else [*word[:found], token, *replaced(word[found + 2 :], pair, token)]


WORDS = st.lists(
    st.tuples(st.lists(st.integers(0, 3), min_size=1, max_size=9), st.integers(1, 5)), min_size=1, max_size=12
)


@settings(max_examples=300, deadline=None)
@example([([0, 0, 0, 0, 0], 1), ([0, 1, 0, 1, 0], 3)], 10)
@given(WORDS, st.integers(1, 12))
def test_the_merges_are_those_of_counting_all_words_anew(given_words: list[tuple[list[int], int]], by: int) -> None:
    words, counts = [word for word, _ in given_words], [count for _, count in given_words]
    spelled = {0: "a", 1: "b", 2: "c", 3: "ab", 4: "abc"}  # a pair may spell what is there already
    found = continue_merges(words, counts, spelled, 10, by)
    assert found == naive(words, counts, spelled, 10, by)
    assert continue_merges(words[::-1], counts[::-1], spelled, 10, by) == found


# ---- tokenizers that are extended


def byte_level(folder: Path) -> Path:
    train_tokenizer([GENERAL], 300, folder)
    return folder


def sentencepiece_style(folder: Path) -> Path:
    """Spaces as ▁, bytes for what has no token, digits apart, no pre-tokenizer in the file; as Llama's."""
    learnt = tokenizers.Tokenizer(tokenizers.models.BPE())
    pre = tokenizers.pre_tokenizers
    learnt.pre_tokenizer = pre.Sequence([pre.Metaspace(), pre.Punctuation(), pre.Digits(individual_digits=True)])
    learnt.train_from_iterator(
        [GENERAL + DOMAIN[:150]], tokenizers.trainers.BpeTrainer(vocab_size=90, show_progress=False)
    )
    model = json.loads(learnt.to_str())["model"]
    names = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256))]
    model["vocab"] = {name: i for i, name in enumerate([*names, *sorted(model["vocab"], key=model["vocab"].get)])}
    model |= {"byte_fallback": True, "unk_token": "<unk>", "fuse_unk": True}
    size = len(model["vocab"])
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False}
    content = {
        "version": "1.0",
        "added_tokens": [
            {"id": i, "content": name, "special": i < 3, **flags}
            for i, name in [(0, "<unk>"), (1, "<s>"), (2, "</s>"), (size, "|||NAME|||")]
        ],
        "normalizer": {
            "type": "Sequence",
            "normalizers": [
                {"type": "Prepend", "prepend": "▁"},
                {"type": "Replace", "pattern": {"String": " "}, "content": "▁"},
            ],
        },
        "pre_tokenizer": None,
        "post_processor": None,
        "decoder": {
            "type": "Sequence",
            "decoders": [
                {"type": "Replace", "pattern": {"String": "▁"}, "content": " "},
                {"type": "ByteFallback"},
                {"type": "Fuse"},
                {"type": "Strip", "content": " ", "start": 1, "stop": 0},
            ],
        },
        "model": model,
    }
    folder.mkdir()
    (folder / "tokenizer.json").write_text(json.dumps(content))
    (folder / "tokenizer_config.json").write_text(json.dumps({"eos_token": "</s>", "bos_token": "<s>"}))
    return folder


def whole_words_first(folder: Path) -> Path:
    """A word that is a token is that token, whatever the merges say; as Llama 3's."""
    content = json.loads((byte_level(folder) / "tokenizer.json").read_text(encoding="utf-8"))
    content["model"]["ignore_merges"] = True
    (folder / "tokenizer.json").write_text(json.dumps(content), encoding="utf-8")
    return folder


BASES = {"byte level": byte_level, "sentencepiece style": sentencepiece_style}


def extended(folder: Path, texts: list[str], by: int = 60) -> tuple[Tokenizer, Tokenizer, Extension]:
    """(base, extended, what was appended)."""
    base = Tokenizer.load(folder)
    made = extend_tokenizer([pa.array(texts, pa.large_string())], folder, by)
    return base, Tokenizer.load(folder), made


def ids(tokenizer: Tokenizer, text: str) -> list[int]:
    found: list[int] = tokenizer.backend.encode(text, add_special_tokens=False).ids
    return found


@pytest.fixture(params=BASES)
def pair(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Tokenizer, Tokenizer, Extension]:
    return extended(BASES[request.param](tmp_path / "tokenizer"), [DOMAIN] * 5)


Pair = tuple[Tokenizer, Tokenizer, Extension]


def test_the_domain_takes_fewer_tokens(pair: Pair) -> None:
    base, new, _ = pair
    assert len(ids(new, DOMAIN)) < 0.7 * len(ids(base, DOMAIN))


@pytest.mark.parametrize("make", [*BASES.values(), whole_words_first])
def test_no_text_takes_more_tokens_and_every_text_comes_back(make: Callable[[Path], Path], tmp_path: Path) -> None:
    base, new, _ = extended(make(tmp_path / "tokenizer"), [DOMAIN] * 5)
    for text in OTHERS:
        assert len(ids(new, text)) <= len(ids(base, text)), text
        assert new.backend.decode(ids(new, text)) == base.backend.decode(ids(base, text))
    rng = random.Random(0)
    shorter = 0
    for _ in range(2000):
        start = rng.randrange(len(DOMAIN))
        pieces = [DOMAIN[start : start + rng.randrange(30)], rng.choice(OTHERS)[: rng.randrange(40)]]
        pieces.append("".join(chr(rng.choice([rng.randrange(32, 127), rng.randrange(0xA0, 0x3000)])) for _ in range(5)))
        text = "".join(rng.sample(pieces, 3))
        before, after = ids(base, text), ids(new, text)
        assert len(after) <= len(before), text
        assert new.backend.decode(after) == base.backend.decode(before)
        shorter += len(after) < len(before)
    assert shorter > 500


def test_the_file_encodes_as_the_base_does_and_then_merges(pair: Pair) -> None:
    base, new, made = pair
    for text in (DOMAIN, GENERAL, *OTHERS):
        encoded = base.backend.encode(text, add_special_tokens=False)
        told = zip(encoded.word_ids, encoded.ids, strict=True)
        words = [[token for _, token in one] for _, one in groupby(told, key=itemgetter(0))]
        for token, merge in enumerate(made.merges, made.first_id):
            words = [loop_replaced(word, merge, token) for word in words]
        assert ids(new, text) == [token for word in words for token in word]


def loop_replaced(word: list[int], pair: tuple[int, int], token: int) -> list[int]:
    out: list[int] = []
    for one in word:
        if out and (out[-1], one) == pair:
            out[-1] = token
        else:
            out.append(one)
    return out


def test_ids_stay_and_come_after_the_largest(pair: Pair) -> None:
    base, new, made = pair
    before, after = base.backend.get_vocab(), new.backend.get_vocab()
    assert {name: after[name] for name in before} == before
    assert sorted(set(after.values()) - set(before.values())) == list(made.pieces)
    assert made.first_id == base.vocabulary == min(made.pieces)
    assert (new.bos, new.eos) == (base.bos, base.eos)
    assert new.vocabulary == base.vocabulary + len(made.merges)


def test_every_new_token_is_met_or_part_of_one_that_is(pair: Pair) -> None:
    _, new, made = pair
    met = set(ids(new, DOMAIN * 5))
    for token, merge in reversed(list(enumerate(made.merges, made.first_id))):
        assert token in met, new.backend.id_to_token(token)
        met |= set(merge)


def test_pieces_are_the_bases_and_spell_the_token(pair: Pair) -> None:
    base, new, made = pair
    names = {token: name for name, token in new.backend.get_vocab().items()}
    for token, pieces in made.pieces.items():
        assert max(pieces) < base.vocabulary
        assert "".join(names[piece] for piece in pieces) == names[token]


@pytest.mark.filterwarnings("ignore:fastokens gave other ids")  # for the second base itself
def test_what_encodes_fast_encodes_fast_and_alike(pair: Pair) -> None:
    base, new, _ = pair
    assert (new._fast is None) == (base._fast is None)
    given_ids, offsets = new.encode(pa.array([DOMAIN, GENERAL], pa.large_string()))
    assert given_ids[: offsets[1] - 1].tolist() == new.backend.encode(DOMAIN, add_special_tokens=True).ids


@pytest.mark.parametrize("name", BASES)
def test_the_order_and_the_batches_of_texts_change_no_byte(name: str, tmp_path: Path) -> None:
    texts = [DOMAIN, DOMAIN[::-1], GENERAL, DOMAIN[20:]]
    folders = [BASES[name](tmp_path / f"{i}") for i in range(2)]
    extend_tokenizer([pa.array(texts, pa.large_string())], folders[0], 30)
    extend_tokenizer([pa.array([text], pa.large_string()) for text in reversed(texts)], folders[1], 30)
    assert checksums(folders[0]) == checksums(folders[1])


def test_what_the_bases_tokens_never_join_stays_apart(tmp_path: Path) -> None:
    """Without a pre-tokenizer nothing but the vocabulary says that words, digits and bytes are not joined."""
    _, new, made = extended(sentencepiece_style(tmp_path / "tokenizer"), ["in 2019 of the 2019 高血圧 of the"] * 9, 500)
    names = {token: name for name, token in new.backend.get_vocab().items()}
    added = [names[token] for token in made.pieces]
    assert "▁2" not in added
    assert "20" not in added
    assert not any("▁" in name[1:] or "<0x" in name for name in added), added
    assert len(made.merges) < 500  # it ended of itself


@pytest.mark.parametrize("kind", ["WordPiece", "Unigram"])
def test_other_vocabularies_are_refused_with_the_reason(kind: str, tmp_path: Path) -> None:
    models = tokenizers.models
    model = models.WordPiece({"[SEP]": 0, "a": 1}) if kind == "WordPiece" else models.Unigram([("</s>", 0.0)], None)
    tokenizers.Tokenizer(model).save(str(tmp_path / "tokenizer.json"))
    with pytest.raises(Fault, match=f"a {kind} vocabulary cannot be extended: it "):
        extend_tokenizer([], tmp_path, 5)


@pytest.mark.real
@pytest.mark.parametrize("name", ["gpt-neox-20b", "llama-style-sp-bpe", "allenai-dolma2"])
def test_published_tokenizers_are_never_longer_on_real_text(name: str, shared_data: Path, tmp_path: Path) -> None:
    Tokenizer.load(shared_data / "tokenizers" / name).save(tmp_path)
    abstracts = pq.read_table(shared_data / "medical/sr_abstracts/cohen2006_sr_abstracts.parquet", columns=["abstract"])
    texts = [text for text in abstracts["abstract"].to_pylist() if text]
    base, new, made = extended(tmp_path, texts[:300], 200)
    assert len(made.merges) == 200
    with gzip.open(shared_data / "multilingual/xquad_paragraphs.jsonl.gz", "rt", encoding="utf-8") as lines:
        several = of_lines(islice(lines, 0, None, 7))
    with (shared_data / "general/c4_demo.jsonl").open(encoding="utf-8") as lines:
        several += of_lines(islice(lines, 60))
    several += texts[300:400]
    shorter = 0
    for before, after in zip(_encoded(base, several), _encoded(new, several), strict=True):
        assert len(after.ids) <= len(before.ids)
        shorter += len(after.ids) < len(before.ids)
    assert shorter > 5


def _encoded(tokenizer: Tokenizer, texts: list[str]) -> list[Any]:
    return list(tokenizer.backend.encode_batch(texts, add_special_tokens=False))


def of_lines(lines: Iterable[str]) -> list[str]:
    return [json.loads(line)["text"] for line in lines]
