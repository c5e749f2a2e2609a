"""SentencePiece's model files (tokenizer.model), read and made a tokenizer of the `tokenizers` library.

    field 1, repeated   pieces: 1 the piece, 2 its score, 3 its type
    field 2             how it was trained: 3 the algorithm, 35 byte fallback, 40-42 ids of <unk>, BOS and EOS
    field 3             how text is normalised: 2 a table of characters, 3 dummy prefix, 4 removes extra blanks

The file is a Protocol Buffers message (sentencepiece_model.proto), of which these fields matter; it is read here, so
that neither `sentencepiece` nor `protobuf` has to be installed.

BPE: a piece comes about by merging any two pieces that spell it, the best-scored piece first. Unigram: pieces and
scores as they are. Blanks become "▁", characters without a piece their bytes where the model falls back to bytes, and
control pieces become special tokens. BOS stands before a text where the files beside the model say so
(`add_bos_token`), or say nothing and it is a BPE model that has one, as Llama's and Mistral's tokenizers do; a bare
model does not tell.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from curate.shards.fault import Fault

if TYPE_CHECKING:
    import tokenizers

BLANK = "▁"  # U+2581, what a blank is spelled in pieces
NORMAL, CONTROL, USER_DEFINED = 1, 3, 4  # types of pieces
UNIGRAM, BPE = 1, 2  # algorithms
Fields = dict[int, list[int | bytes]]  # of a message: its values by field number


@dataclass(frozen=True, slots=True)
class Piece:
    spelling: str
    score: float
    kind: int


@dataclass(frozen=True, slots=True)
class SentencePiece:
    pieces: tuple[Piece, ...]  # by id
    algorithm: int
    falls_back_to_bytes: bool
    unknown: int
    bos: int  # -1: has none
    eos: int
    table: bytes  # of characters to normalise; empty for none
    puts_blank_first: bool
    removes_extra_blanks: bool

    @staticmethod
    def is_at(path: Path) -> bool:
        """Whether a file begins as such models do: with a piece of a few bytes, its spelling first."""
        with path.open("rb") as file:
            head = file.read(3)
        return len(head) == 3 and head[0] == 0x0A and head[2] == 0x0A

    @staticmethod
    def read(path: Path) -> SentencePiece:
        try:
            message = _fields(path.read_bytes())
            trained, normalised = _fields(_raw(message, 2)), _fields(_raw(message, 3))
            return SentencePiece(
                pieces=tuple(_piece(one) for one in message[1] if isinstance(one, bytes)),
                algorithm=_number(trained, 3, UNIGRAM),
                falls_back_to_bytes=bool(_number(trained, 35, 0)),
                unknown=_number(trained, 40, 0),
                bos=_number(trained, 41, 1),
                eos=_number(trained, 42, 2),
                table=_raw(normalised, 2),
                puts_blank_first=bool(_number(normalised, 3, 1)),
                removes_extra_blanks=bool(_number(normalised, 4, 1)),
            )
        except (IndexError, KeyError, TypeError, ValueError, struct.error) as error:
            raise Fault(
                f"not a whole SentencePiece model: {error}", where=str(path), hint="download the file again"
            ) from error

    @property
    def roles(self) -> dict[str, str]:
        """Its own tokens for the beginning and the end of a text."""
        named = {"bos_token": self.bos, "eos_token": self.eos}
        return {role: self.pieces[at].spelling for role, at in named.items() if 0 <= at < len(self.pieces)}

    def tokenizer(self, *, puts_bos: bool | None = None) -> tokenizers.Tokenizer:
        """`puts_bos`: what the settings beside the model say, if they do."""
        import tokenizers
        from tokenizers import AddedToken, processors

        made = tokenizers.Tokenizer(self._model())
        self._set_pipeline(made)
        special = {at: CONTROL for at in (self.unknown, self.bos, self.eos) if 0 <= at < len(self.pieces)}
        for at, piece in enumerate(self.pieces):
            kind = special.get(at, piece.kind)
            if kind in (CONTROL, USER_DEFINED):
                made.add_tokens([AddedToken(piece.spelling, normalized=False, special=kind == CONTROL)])
        bos = self.roles.get("bos_token")
        if bos is not None and (self.algorithm == BPE if puts_bos is None else puts_bos):
            made.post_processor = processors.TemplateProcessing(
                single=f"{bos} $A", pair=f"{bos} $A {bos}:1 $B:1", special_tokens=[(bos, self.bos)]
            )
        return made

    def _model(self) -> tokenizers.models.Model:
        from tokenizers import models

        if self.algorithm == BPE:
            return models.BPE(
                vocab={piece.spelling: at for at, piece in enumerate(self.pieces)},
                merges=self.merges(),
                unk_token=self.pieces[self.unknown].spelling,
                fuse_unk=True,
                byte_fallback=self.falls_back_to_bytes,
            )
        if self.algorithm == UNIGRAM:
            scored = [(piece.spelling, piece.score) for piece in self.pieces]
            return models.Unigram(scored, self.unknown, self.falls_back_to_bytes)
        raise Fault(
            "a SentencePiece model of whole words or characters", hint="train one with --model_type=bpe or unigram"
        )

    def merges(self) -> list[tuple[str, str]]:
        """Pairs of pieces that spell a piece, those of the best-scored piece first, then those with the longest left
        part: runs of blanks share one score, and SentencePiece, too, lets the leftmost of them grow."""
        known = {piece.spelling for piece in self.pieces if piece.kind == NORMAL}
        found = []
        for piece in self.pieces:
            for cut in range(1, len(piece.spelling)) if piece.kind == NORMAL else ():
                left, right = piece.spelling[:cut], piece.spelling[cut:]
                if left in known and right in known:
                    found.append((-piece.score, -cut, -len(right), left, right))
        found.sort(key=lambda one: one[:3])
        return [(left, right) for *_, left, right in found]

    def _set_pipeline(self, made: tokenizers.Tokenizer) -> None:
        from tokenizers import Regex, decoders, normalizers, pre_tokenizers

        steps: list[tokenizers.normalizers.Normalizer] = []
        if self.table:
            steps.append(normalizers.Precompiled(self.table))
        if self.removes_extra_blanks:
            steps += [normalizers.Strip(), normalizers.Replace(Regex(" {2,}"), " ")]
        if self.algorithm == UNIGRAM:
            made.pre_tokenizer = pre_tokenizers.Metaspace(
                BLANK, prepend_scheme="always" if self.puts_blank_first else "never"
            )
        else:  # no pre-tokenizer: pieces may hold blanks anywhere
            steps += [normalizers.Prepend(BLANK)] if self.puts_blank_first else []
            steps.append(normalizers.Replace(" ", BLANK))
        if steps:
            made.normalizer = normalizers.Sequence(steps)
        undo = [decoders.Replace(BLANK, " "), decoders.ByteFallback(), decoders.Fuse()]
        made.decoder = decoders.Sequence([*undo, *([decoders.Strip(" ", 1, 0)] if self.puts_blank_first else [])])


def _piece(message: bytes) -> Piece:
    fields = _fields(message)
    (score,) = struct.unpack("<f", _raw(fields, 2)) if 2 in fields else (0.0,)
    return Piece(_raw(fields, 1).decode(), score, _number(fields, 3, NORMAL))


def _raw(fields: Fields, at: int) -> bytes:
    value = fields[at][-1] if at in fields else b""
    if not isinstance(value, bytes):
        raise ValueError(f"field {at} is a number")
    return value


def _number(fields: Fields, at: int, default: int) -> int:
    value = fields[at][-1] if at in fields else default
    if not isinstance(value, int):
        raise ValueError(f"field {at} is no number")
    return value - (1 << 64) if value >> 63 else value  # negative numbers are written as 64 bits


def _fields(message: bytes) -> Fields:
    """Values by field: numbers as they are, the rest as bytes."""
    found: Fields = {}
    at = 0
    while at < len(message):
        key, at = _varint(message, at)
        kind = key & 7
        value: int | bytes
        if kind == 0:
            value, at = _varint(message, at)
        else:
            size, at = {1: (8, at), 5: (4, at)}[kind] if kind != 2 else _varint(message, at)
            value, at = message[at : at + size], at + size
            if at > len(message):
                raise ValueError("it ends in the middle of a field")
        found.setdefault(key >> 3, []).append(value)
    return found


def _varint(message: bytes, at: int) -> tuple[int, int]:
    """(number, where it ends): seven bits a byte, the lowest first, the top bit says that more follow."""
    value = shift = 0
    while True:
        byte = message[at]
        value |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return value, at
