"""Text to rows of a fastText model, as kernels: which rows of the input matrix a text names, and their sum.

    "A fever"  ─▶  A: <A  A>  <A>       fever: its own row, <f  fe  ev ...  ver>       </s>

A token is what stands between ASCII spaces, tabs and line ends. It names the row of the word, if the model knows it,
and those of its character n-grams, `<` and `>` standing for its ends; n-grams of tokens name theirs, and the end of the
text that of `</s>`. N-grams name a row by their FNV-1a hash modulo the number of buckets. In a pruned model few buckets
have a row: a set of bits says which, and counting bits says where (Joulin et al. 2016, "FastText.zip").

Line ends count as spaces, so a text is one line whatever it holds. As in fastText a token `</s>` ends the text, and
tokens that look like labels are passed over.

The rows of a token are added up once: tokens of up to 16 bytes are remembered within a call, and nine of ten in a
corpus were seen before. A text's sum is made token by token, so it does not depend on what was read before it.

Legend: n texts, d dimensions.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from curate.fasttext_file import FastTextFile, Float32s
from curate.fasttext_lookup import (
    END_OF_LINE,
    STRETCH,
    add_row,
    add_word_ngrams,
    fnv,
    is_end,
    looks_like_label,
    ngrams_of,
    number_of,
    row_of,
)
from curate.lanes import HIGH_BITS, between, eight_bytes, equal, gathered, inlined, load, lowest, mix, step

Int64s = npt.NDArray[np.int64]

MIXER = np.uint64(0x9E3779B97F4A7C15)

MEMORY_BYTES = 1 << 21  # of remembered sums: the frequent ones stay in a core's own cache
EDGES = 2048  # where tokens begin and end, gathered before they are read
PASSED_OVER, ENDS_TEXT = -1, -2  # in place of the number of a token's rows


class Vocabulary(NamedTuple):
    """Words by their spelling."""

    slots: npt.NDArray[np.int32]  # open addressing by a word's hash: its number + 1, or 0
    offsets: Int64s  # (words + labels + 1,) into spelling
    spelling: npt.NDArray[np.uint8]  # of all words, then all labels
    n_words: int


class Buckets(NamedTuple):
    """Which n-grams are read, and the rows that they name."""

    kept: npt.NDArray[np.uint64]  # bit b: bucket b has a row. Empty: all have
    kept_before: npt.NDArray[np.int32]  # how many have, before each 64 of them
    n_buckets: np.uint64
    inverse: np.uint64  # 2^32 / n_buckets
    first_row: int
    fewest: int  # characters of an n-gram
    most: int
    word_ngrams: int


class Reader(NamedTuple):
    """What the kernels know of a model."""

    rows: Float32s  # (words + buckets that have one, d)
    words: Vocabulary
    buckets: Buckets


class Memory(NamedTuple):
    """Tokens read before, each in the one of m places that its bytes name; the last place is for longer tokens."""

    keys: npt.NDArray[np.uint64]  # (m, 2) the bytes of the token: none has a NUL, so the length need not be told
    sums: Float32s  # (m + 1, d)
    counts: Int64s  # (m + 1,)
    hashes: npt.NDArray[np.uint32]  # (m + 1,)


class Desk(NamedTuple):
    """Room to work in."""

    edges: Int64s  # of tokens
    token: npt.NDArray[np.uint8]  # a stretch of one, between its marks
    found: npt.NDArray[np.uint64]  # buckets of its n-grams
    open_ngrams: npt.NDArray[np.uint64]  # of words


def reader(file: FastTextFile) -> Reader:
    entries = [*file.words, *file.labels]
    offsets = np.cumsum([0, *map(len, entries)], dtype=np.int64)
    spelling = np.frombuffer(b"".join(entries), np.uint8)
    slots = _placed(spelling, offsets, 1 << (2 * len(entries)).bit_length())
    kept, kept_before, rows = _kept_buckets(file)
    n_words, n_buckets = len(file.words), max(file.buckets, 1)
    buckets = Buckets(
        kept,
        kept_before,
        np.uint64(n_buckets),
        np.uint64((1 << 32) // n_buckets),
        n_words,
        file.fewest_characters,
        file.most_characters,
        file.word_ngrams,
    )
    return Reader(rows, Vocabulary(slots, offsets, spelling, n_words), buckets)


def _kept_buckets(file: FastTextFile) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.int32], Float32s]:
    """(bits, how many are set before each 64, the rows with those of buckets in the order of their buckets)."""
    if file.kept_buckets is None:
        return np.zeros(0, np.uint64), np.zeros(0, np.int32), np.asarray(file.input)
    buckets, rows = file.kept_buckets[np.argsort(file.kept_buckets[:, 0], kind="stable")].astype(np.int64).T
    kept = np.zeros(file.buckets // 64 + 1, np.uint64)
    np.bitwise_or.at(kept, buckets >> 6, np.uint64(1) << (buckets & 63).astype(np.uint64))
    before = np.searchsorted(buckets, 64 * np.arange(len(kept))).astype(np.int32)
    n_words = len(file.words)
    return kept, before, np.concatenate([file.input[:n_words], file.input[n_words + rows]])


@njit(cache=True, nogil=True)
def _placed(spelling, offsets, n_slots):  # type: ignore[no-untyped-def]
    """The table `number_of` looks into; n_slots is a power of two."""
    slots = np.zeros(n_slots, np.int32)
    for entry in range(len(offsets) - 1):
        slot = np.int64(fnv(spelling, offsets[entry], offsets[entry + 1])) & (n_slots - 1)
        while slots[slot]:
            slot = (slot + 1) & (n_slots - 1)
        slots[slot] = entry + 1
    return slots


@njit(cache=True, nogil=True)
def sums_of_rows(reader, data, begins, ends):  # type: ignore[no-untyped-def]
    """Of each text data[begins[i]:ends[i]]: (the sum of its rows (n, d), how many they are (n,))."""
    d, most, room = reader.rows.shape[1], reader.buckets.most, 16
    while 4 * d * room < MEMORY_BYTES and 8 * room < np.sum(ends - begins):
        room *= 2
    memory = Memory(
        np.zeros((room, 2), np.uint64),
        np.zeros((room + 1, d), np.float32),
        np.zeros(room + 1, np.int64),
        np.zeros(room + 1, np.uint32),
    )
    desk = Desk(
        np.empty(EDGES + 66, np.int64),
        np.zeros(STRETCH + 4 * most + 8, np.uint8),
        np.zeros(STRETCH * most + 1, np.uint64),
        np.zeros(max(reader.buckets.word_ngrams, 1), np.uint64),
    )
    sums, counts = np.zeros((len(begins), d), np.float32), np.zeros(len(begins), np.int64)
    _read_texts(reader, data, begins, ends, memory, desk, sums, counts)
    return sums, counts


@step
def _read_texts(reader, data, begins, ends, memory, desk, sums, counts):  # type: ignore[no-untyped-def]
    """Writes the sums and counts of all texts."""
    words, buckets, edges = reader.words, reader.buckets, desk.edges
    end_hash = fnv(END_OF_LINE, 0, len(END_OF_LINE))
    end_row = number_of(words, END_OF_LINE, 0, len(END_OF_LINE), end_hash)
    for i in range(len(begins)):
        held, n_tokens, count, open_token = 0, 0, 0, np.uint64(0)  # open: the last byte before belongs to a token
        for at in range(begins[i], ends[i], 64):
            bits = _token_bytes(data, at, ends[i])
            changes = bits ^ (bits << np.uint64(1) | open_token)
            open_token = bits >> np.uint64(63)
            while changes:
                edges[np.uint64(held)] = at + lowest(changes)
                changes &= changes - np.uint64(1)
                held += 1
            if held >= EDGES:
                n_tokens, count = _read_tokens(reader, data, held, memory, desk, sums[i], n_tokens, count)
                if n_tokens < 0:
                    break
                edges[0] = edges[held - 1]
                held &= 1  # the beginning of a token whose end is to come
        if n_tokens >= 0:
            if held & 1:
                edges[held] = ends[i]
            n_tokens, count = _read_tokens(reader, data, held + 1, memory, desk, sums[i], n_tokens, count)
        n_tokens = n_tokens if n_tokens >= 0 else -1 - n_tokens
        if 0 <= end_row < words.n_words:
            count += 1
            add_row(sums[i], reader.rows, end_row)
        if buckets.word_ngrams > 1:
            count += add_word_ngrams(reader.rows, buckets, end_hash, n_tokens, desk.open_ngrams, sums[i])
        counts[i] = count


@inlined
def _token_bytes(data, at, end):  # type: ignore[no-untyped-def]
    """Bits of the 64 bytes from `at`, as far as the text goes: set where a byte is part of a token."""
    bits = np.uint64(0)
    if at + 64 <= end:
        for k in range(8):
            bits |= np.uint64(gathered(_in_token(load(data, at + 8 * k)))) << np.uint64(8 * k)
        return bits
    for k in range(at, end, 8):
        eight = eight_bytes(data, k, end)  # what is beyond the end is NUL, a separator
        bits |= np.uint64(gathered(_in_token(eight))) << np.uint64(k - at)
    return bits


@inlined
def _in_token(eight):  # type: ignore[no-untyped-def]
    """Flags of the bytes that are not between tokens as space, tab, ends of lines and NUL are."""
    return ~(equal(eight, 0) | between(eight, 0x09, 0x0D) | equal(eight, 0x20)) & HIGH_BITS


@step
def _read_tokens(reader, data, held, memory, desk, total, n_tokens, count):  # type: ignore[no-untyped-def]
    """Adds the rows of the whole tokens among the edges: (tokens of the text so far, rows so far).

    Where a token ends the text, the tokens are told as -1 - n.
    """
    rows, buckets = reader.rows, reader.buckets
    room = len(memory.keys)
    for k in range(0, held - 1, 2):
        first, end = desk.edges[np.uint64(k)], desk.edges[np.uint64(k + 1)]
        place, is_known = np.int64(room), False
        if end - first <= 16:
            low = eight_bytes(data, first, end)
            high = eight_bytes(data, first + 8, end) if end - first > 8 else np.uint64(0)
            place = np.int64(mix(low ^ high * MIXER) & np.uint64(room - 1))
            is_known = memory.keys[place, 0] == low and memory.keys[place, 1] == high
            if not is_known:
                memory.keys[place, 0], memory.keys[place, 1] = low, high
        if not is_known:
            digest = fnv(data, first, end)
            memory.hashes[place] = digest
            memory.counts[place] = _token(reader, data, first, end, digest, memory.sums[place], desk)
        told = memory.counts[place]
        if told > 0:
            count += told
            add_row(total, memory.sums, place)
        elif told == ENDS_TEXT:
            return -1 - n_tokens, count
        if buckets.word_ngrams > 1 and told != PASSED_OVER:
            count += add_word_ngrams(rows, buckets, memory.hashes[place], n_tokens, desk.open_ngrams, total)
            n_tokens += 1
    return n_tokens, count


@inlined
def _token(reader, data, first, end, digest, total, desk):  # type: ignore[no-untyped-def]
    """How many rows a token names; their sum goes into `total`."""
    for k in range(len(total)):
        total[k] = 0
    if is_end(data, first, end):
        return ENDS_TEXT
    rows, words, buckets = reader.rows, reader.words, reader.buckets
    number, count = number_of(words, data, first, end, digest), 0
    if number >= words.n_words or (number < 0 and looks_like_label(data, first, end)):
        return PASSED_OVER
    if number >= 0:
        add_row(total, rows, number)
        count = 1
    begin = 0
    while buckets.most > 0 and begin < end - first + 2:
        n = ngrams_of(buckets, data, first, end, begin, desk.token, desk.found)
        for k in range(n):
            add_row(total, rows, row_of(buckets, desk.found[k]))
        count += n
        begin += STRETCH
    return count
