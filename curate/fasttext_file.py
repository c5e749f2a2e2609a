"""What a fastText model file says: its arguments, its words and labels, its two matrices as float32.

    magic, version | arguments | words and labels, pruned buckets | input matrix | output matrix

The layout is that of fastText 0.9 (version 12; version 11 knew no character n-grams in supervised models), packed and
little-endian. A matrix is either dense (.bin) or product-quantised (.ftz: Joulin et al. 2016, "FastText.zip"): a row is
stored as a few byte codes, each naming one of 256 centroids of a slice of the dimensions, and perhaps one more for its
norm. Codes are resolved here once. A dense matrix is mapped, not read: all processes of a machine share its pages, and
of a model of gigabytes only the rows in use take memory.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from curate.shards.fault import Fault

Float32s = npt.NDArray[np.float32]
Bytes = npt.NDArray[np.uint8]

PREFIX = "__label__"
MAGIC = 793712314
VERSIONS = (11, 12)
SUPERVISED = 3
HIERARCHICAL, SOFTMAX, ONE_VERSUS_ALL = 1, 3, 4
LOSSES = {HIERARCHICAL, 2, SOFTMAX, ONE_VERSUS_ALL}  # 2, negative sampling, scores like one-versus-all
CENTROIDS = 256
LARGEST_NGRAM = 64  # characters or words: no sane model reads more, and buffers follow from it
UNJOINED = 10**15  # weight of a node of fastText's tree that nothing hangs from yet: more than all labels together


@dataclass(frozen=True, slots=True)
class FastTextFile:
    dimensions: int
    word_ngrams: int
    loss: int
    buckets: int
    fewest_characters: int
    """Of a character n-gram, the marks of a word's begin and end included."""
    most_characters: int
    """0: the model reads whole words only."""
    words: tuple[bytes, ...]
    labels: tuple[bytes, ...]
    label_counts: tuple[int, ...]
    """Of the training set: the Huffman tree of the hierarchical softmax follows from them."""
    kept_buckets: npt.NDArray[np.int32] | None  # (kept, 2)
    """(bucket, its row behind the words' rows), in a pruned model. None: every bucket has its row."""
    input: Float32s  # (words + buckets, dimensions)
    output: Float32s  # (labels, dimensions); of a hierarchical softmax (labels - 1 inner nodes, and an unused row)

    @property
    def label_names(self) -> tuple[str, ...]:
        """Labels without __label__."""
        return tuple(label.decode(errors="replace").removeprefix(PREFIX) for label in self.labels)


def read_file(path: Path) -> FastTextFile:
    """Raises Fault where it is not a whole fastText model of the supervised kind."""
    try:
        file = np.memmap(path, np.uint8, "c")  # c: pages that nobody writes to are shared
    except (OSError, ValueError) as error:
        raise Fault(f"cannot read the fastText model: {error}", where=str(path)) from error
    try:
        return _model(_Cursor(file))
    except (_Malformed, IndexError, struct.error, ValueError) as error:
        raise Fault(
            f"no supervised fastText model: {error}",
            where=str(path),
            hint="a .bin or .ftz file that `fasttext supervised` or `fasttext quantize` wrote",
        ) from error


class _Malformed(Exception):
    """The bytes are not what the layout says."""


class _Cursor:
    """Reads values one after the other."""

    def __init__(self, file: Bytes) -> None:
        self.file, self.at = file, 0

    def values(self, layout: str) -> tuple[int, ...]:
        return struct.unpack("<" + layout, self.take(struct.calcsize("<" + layout)).tobytes())

    def flag(self) -> bool:
        return bool(self.values("B")[0])

    def text(self) -> bytes:
        """Up to a NUL byte."""
        step = 64
        while True:
            head = self.file[self.at : self.at + step].tobytes()
            end = head.find(b"\0")
            if end >= 0:
                self.at += end + 1
                return head[:end]
            if len(head) < step:
                raise _Malformed("the file ends within a word")
            step *= 4

    def take(self, size: int) -> Bytes:
        if size < 0 or self.at + size > len(self.file):
            raise _Malformed(f"{size:,} bytes are announced at byte {self.at:,}, and the file has {len(self.file):,}")
        self.at += size
        return self.file[self.at - size : self.at]


def _model(file: _Cursor) -> FastTextFile:
    magic, version = file.values("ii")
    if magic != MAGIC or version not in VERSIONS:
        raise _Malformed(f"it begins with {magic}, {version} where {MAGIC}, {VERSIONS[-1]} is expected")
    dimensions, _, _, _, _, word_ngrams, loss, kind, buckets, fewest, most, _ = file.values("12i")
    file.values("d")
    if kind != SUPERVISED:
        raise _Malformed("it holds word vectors (cbow or skipgram), and tells no labels")
    if loss not in LOSSES:
        raise _Malformed(f"its loss is number {loss}, which there is not")
    if version == 11:
        most = 0
    dictionary = _dictionary(file)
    is_quantised = file.flag()
    rows = _quantised(file) if is_quantised else _dense(file)
    has_quantised_output = file.flag() and is_quantised
    output = _quantised(file) if has_quantised_output else _dense(file)
    model = FastTextFile(dimensions, word_ngrams, loss, buckets, fewest, most, *dictionary, rows, output)
    _check(model)
    return model


def _dictionary(
    file: _Cursor,
) -> tuple[tuple[bytes, ...], tuple[bytes, ...], tuple[int, ...], npt.NDArray[np.int32] | None]:
    """(words, labels, counts of the labels, the buckets kept)."""
    size, n_words, n_labels, _, n_kept = file.values("iiiqq")
    if not 0 <= n_words <= size or size != n_words + n_labels:
        raise _Malformed(f"{size} entries are announced, {n_words} words and {n_labels} labels")
    entries, counts = [], []
    for _ in range(size):
        entries.append(file.text())
        counts.append(file.values("qb")[0])
    kept = None
    if n_kept >= 0:  # -1: not pruned
        kept = file.take(8 * n_kept).copy().view("<i4").reshape(-1, 2)
    return tuple(entries[:n_words]), tuple(entries[n_words:]), tuple(counts[n_words:]), kept


def _dense(file: _Cursor) -> Float32s:
    m, n = file.values("qq")
    return file.take(4 * m * n).view("<f4").reshape(m, n)


def _quantised(file: _Cursor) -> Float32s:
    has_norms = file.flag()
    m, n, n_codes = file.values("qqi")
    codes = file.take(n_codes).reshape(m, -1)  # (m, slices)
    rows = _decoded(codes, file)
    if rows.shape[1] != n:
        raise _Malformed(f"rows of {n} dimensions are announced, and decode to {rows.shape[1]}")
    if has_norms:
        norm_codes = file.take(m).reshape(m, 1)
        rows *= _decoded(norm_codes, file)
    return rows


def _decoded(codes: Bytes, file: _Cursor) -> Float32s:
    """(m, slices) byte codes -> (m, dimensions), by the table of centroids that stands next in the file."""
    dimensions, slices, width, last = file.values("iiii")
    if (
        slices != codes.shape[1]
        or min(dimensions, slices, width, last) < 1
        or (slices - 1) * width + last != dimensions
    ):
        raise _Malformed(f"{slices} slices of {width}, the last of {last}, do not make {dimensions} dimensions")
    table = file.take(4 * dimensions * CENTROIDS).copy().view("<f4")
    rows = np.empty((len(codes), dimensions), np.float32)
    for k in range(slices):
        of = slice(k * width, k * width + (last if k == slices - 1 else width))
        centroids = table[CENTROIDS * of.start : CENTROIDS * of.stop].reshape(CENTROIDS, -1)
        rows[:, of] = centroids[codes[:, k]]
    return rows


def _check(model: FastTextFile) -> None:
    """What the kernels rely on: nothing that the model can name lies outside a matrix, a tree or a buffer."""
    if model.dimensions < 1 or not model.labels:
        raise _Malformed(f"it has {model.dimensions} dimensions and {len(model.labels)} labels")
    if not (0 <= model.most_characters <= LARGEST_NGRAM and model.word_ngrams <= LARGEST_NGRAM):
        raise _Malformed(f"it reads n-grams of {model.most_characters} characters and {model.word_ngrams} words")
    if min(model.label_counts) < 0 or sum(model.label_counts) >= UNJOINED:
        raise _Malformed("its labels' counts are no counts")
    kept, reads_ngrams = model.kept_buckets, model.most_characters > 0 or model.word_ngrams > 1
    if reads_ngrams and model.buckets < 1:
        raise _Malformed("it reads n-grams and has no buckets for them")
    if kept is not None and len(kept) and (kept.min() < 0 or (kept.max(axis=0) >= (model.buckets, len(kept))).any()):
        raise _Malformed("its pruned buckets point outside")
    n_rows = len(model.words) + (len(kept) if kept is not None else model.buckets * reads_ngrams)
    if len(model.input) < n_rows or len(model.output) < len(model.labels):
        raise _Malformed(f"{n_rows} rows and {len(model.labels)} labels are named, its matrices are smaller")
    if {model.input.shape[1], model.output.shape[1]} != {model.dimensions}:
        raise _Malformed(f"its matrices do not have {model.dimensions} dimensions")
