"""A SentencePiece model is read as its own message says, and cuts text as SentencePiece does."""

from __future__ import annotations

import struct
from itertools import pairwise
from pathlib import Path

import pyarrow as pa
import pytest

from curate.sentencepiece_file import CONTROL, NORMAL, Piece, SentencePiece
from curate.shards.fault import Fault
from curate.tokenizing import Tokenizer

MODELS = ["tokenizer.model.v1", "mistral_instruct_tokenizer_240323.model.v3"]
TEXTS = ["Hello world, naïve  ☃ text", "   many blanks\n\n\tof   each kind ", "1234 心臓 µg/mL don't", "", "x"]


def number(field: int, value: int) -> bytes:
    return varint(field << 3) + varint(value % (1 << 64))


def varint(value: int) -> bytes:
    head = [value >> shift & 127 for shift in range(0, max(1, value.bit_length()), 7)]
    return bytes([*(byte | 128 for byte in head[:-1]), head[-1]])


def block(field: int, held: bytes) -> bytes:
    return varint(field << 3 | 2) + varint(len(held)) + held


def model(pieces: list[tuple[str, float, int]], algorithm: int, **flags: int) -> bytes:
    """The message, as SentencePiece would have written it."""
    said = b"".join(
        block(1, block(1, spelling.encode()) + varint(2 << 3 | 5) + struct.pack("<f", score) + number(3, kind))
        for spelling, score, kind in pieces
    )
    trained = number(3, algorithm) + number(35, flags.get("bytes", 0)) + number(43, -1)
    return said + block(2, trained) + block(3, number(3, 1) + number(4, flags.get("removes_blanks", 0)))


SPECIAL = [("<unk>", 0.0, 2), ("<s>", 0.0, CONTROL), ("</s>", 0.0, CONTROL)]
LETTERS = [(letter, -100.0 - i, NORMAL) for i, letter in enumerate("▁abct")]
WORDS = [("at", -1.0, NORMAL), ("▁c", -2.0, NORMAL), ("▁cat", -3.0, NORMAL), ("ab", -4.0, NORMAL)]


def best_merge_first(pieces: tuple[Piece, ...], text: str) -> list[str]:
    """SentencePiece's BPE by its own words: the best-scored pair becomes one, the leftmost of equals."""
    score = {piece.spelling: piece.score for piece in pieces if piece.kind == NORMAL}
    found = list("▁" + text.replace(" ", "▁"))
    while True:
        pairs = [(-score[a + b], i) for i, (a, b) in enumerate(pairwise(found)) if a + b in score]
        if not pairs:
            return found
        _, at = min(pairs)
        found[at : at + 2] = [found[at] + found[at + 1]]


def test_a_small_model_cuts_as_its_scores_say(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.model").write_bytes(model([*SPECIAL, *LETTERS, *WORDS], 2))
    read = SentencePiece.read(tmp_path / "tokenizer.model")
    assert (read.unknown, read.bos, read.eos, read.falls_back_to_bytes) == (0, 1, 2, False)
    assert read.pieces[-1] == Piece("ab", -4.0, NORMAL)
    backend = read.tokenizer()
    for text in ("cat", "a cat", "cab at", "ccat  bat"):
        tokens = backend.encode(text).tokens
        assert tokens == ["<s>", *best_merge_first(read.pieces, text)]
        assert backend.decode(backend.encode(text).ids) == text
    assert "▁cat" in backend.encode("cat").tokens


def test_a_unigram_model_takes_the_best_path(tmp_path: Path) -> None:
    pieces = [*SPECIAL, *LETTERS, ("▁ab", -3.0, NORMAL), ("bat", -3.0, NORMAL), ("▁a", -5.0, NORMAL)]
    (tmp_path / "tokenizer.model").write_bytes(model(pieces, 1, removes_blanks=1))
    backend = SentencePiece.read(tmp_path / "tokenizer.model").tokenizer()
    assert backend.encode("abat").tokens == ["▁a", "bat"], "-8 beats ▁ab a t"
    assert backend.encode("  abat   ab ").tokens == ["▁a", "bat", "▁ab"]


def test_settings_beside_the_model_decide_on_bos(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.model").write_bytes(model([*SPECIAL, *LETTERS, *WORDS], 2))
    assert Tokenizer.load(tmp_path).around == ([1], [])
    (tmp_path / "tokenizer_config.json").write_text('{"add_bos_token": false, "eos_token": "</s>"}')
    tokenizer = Tokenizer.load(tmp_path)
    assert tokenizer.around == ([], [])
    ids, _ = tokenizer.encode(pa.array(["cat </s>"], pa.large_string()))
    assert ids.tolist().count(2) == 1, "a literal </s> is text"


def test_what_is_no_whole_model_is_said(tmp_path: Path) -> None:
    whole = model([*SPECIAL, *LETTERS], 2)
    path = tmp_path / "tokenizer.model"
    for cut in (40, len(whole) - 9):
        path.write_bytes(whole[:cut])
        with pytest.raises(Fault, match="not a whole SentencePiece model"):
            SentencePiece.read(path)
    path.write_bytes(model([*SPECIAL, *LETTERS], 4))
    with pytest.raises(Fault, match="whole words or characters"):
        SentencePiece.read(path).tokenizer()


def test_of_several_models_one_has_to_be_named(tmp_path: Path) -> None:
    whole = model([*SPECIAL, *LETTERS, *WORDS], 2)
    for name in ("one.model", "other.model.v2"):
        (tmp_path / name).write_bytes(whole)
    with pytest.raises(Fault, match="several") as raised:
        Tokenizer.load(tmp_path)
    assert str(tmp_path / "one.model") in raised.value.hint
    assert Tokenizer.load(tmp_path / "other.model.v2").eos == 2
    (tmp_path / "tokenizer.model").write_bytes(whole)
    assert Tokenizer.load(tmp_path).vocabulary == 12


def test_a_tiktoken_file_gets_a_hint_that_helps(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.model").write_bytes(b"IQ== 0\nIg== 1\n")
    for where in (tmp_path, tmp_path / "tokenizer.model"):
        with pytest.raises(Fault) as raised:
            Tokenizer.load(where)
        assert "pip install tiktoken" in raised.value.hint


@pytest.mark.real
@pytest.mark.parametrize("name", MODELS)
def test_published_models_are_read_as_protobuf_reads_them(shared_data: Path, name: str) -> None:
    message = pytest.importorskip("transformers.utils.sentencepiece_model_pb2_new").ModelProto()
    path = shared_data / "tokenizers" / "mistral-sentencepiece" / name
    message.ParseFromString(path.read_bytes())
    read = SentencePiece.read(path)
    assert [(one.piece, one.score, one.type) for one in message.pieces] == [
        (one.spelling, one.score, one.kind) for one in read.pieces
    ]
    told, normal = message.trainer_spec, message.normalizer_spec
    assert (read.algorithm, read.falls_back_to_bytes) == (told.model_type, told.byte_fallback)
    assert (read.unknown, read.bos, read.eos) == (told.unk_id, told.bos_id, told.eos_id)
    assert read.table == normal.precompiled_charsmap
    assert read.puts_blank_first == normal.add_dummy_prefix
    assert read.removes_extra_blanks == normal.remove_extra_whitespaces


@pytest.mark.real
@pytest.mark.parametrize("name", MODELS)
def test_published_models_cut_as_the_scores_and_transformers_say(shared_data: Path, name: str) -> None:
    from transformers.convert_slow_tokenizer import generate_merges

    path = shared_data / "tokenizers" / "mistral-sentencepiece" / name
    read = SentencePiece.read(path)
    ids = {piece.spelling: i for i, piece in enumerate(read.pieces)}
    scores = [(piece.spelling, piece.score) for piece in read.pieces]
    assert read.merges() == generate_merges(ids, scores)
    tokenizer = Tokenizer.load(path)
    assert (tokenizer.vocabulary, tokenizer.bos, tokenizer.eos) == (len(read.pieces), 1, 2)
    assert tokenizer._fast is not None
    for text in TEXTS:
        expected = best_merge_first(read.pieces, text) if text else []
        spelled = [part for piece in expected for part in ([piece] if piece in ids else as_bytes_of(piece))]
        assert tokenizer.backend.encode(text).tokens == ["<s>", *spelled]
        encoded, _ = tokenizer.encode(pa.array([text], pa.large_string()))
        assert tokenizer.backend.decode(encoded.tolist()) == text


def as_bytes_of(piece: str) -> list[str]:
    return [f"<0x{byte:02X}>" for byte in piece.encode()]
