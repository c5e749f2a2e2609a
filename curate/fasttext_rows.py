"""Text to rows of a fastText model, as kernels: which rows of the input matrix a text names, and their sum.

    "A fever"  ─▶  A: <A  A>  <A>       fever: its own row, <f  fe  ev ...  ver>       </s>

A token is what stands between ASCII spaces, tabs and line ends. It names the row of the word, if the model knows it,
and those of its character n-grams, `<` and `>` standing for its ends; n-grams of tokens name theirs, and the end of the
text that of `</s>`. N-grams name a row by their FNV-1a hash modulo the number of buckets. In a pruned model few buckets
have a row: a set of bits says which, and counting bits says where (Joulin et al. 2016, "FastText.zip").

Line ends count as spaces, so a text is one line whatever it holds. As in fastText a token `</s>` ends the text, and
tokens that look like labels are passed over.

The rows of a token are added up once: tokens of up to 16 bytes are remembered within a call, and most of a text were
seen before. A text's sum is made token by token, so it does not depend on what was read before it.

Legend: n texts, d dimensions.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from curate.fasttext_file import PREFIX, FastTextFile, Float32s
from curate.text import eight_bytes, mix

Int64s = npt.NDArray[np.int64]

FNV_BASIS, FNV_PRIME = np.uint32(2166136261), np.uint32(16777619)
MIXER = np.uint64(0x9E3779B97F4A7C15)
WORD_NGRAM_FACTOR = np.uint64(116049371)
END_OF_LINE = np.frombuffer(b"</s>", np.uint8)
LABEL_PREFIX = np.frombuffer(PREFIX.encode(), np.uint8)

MEMORY_BYTES = 1 << 19  # of remembered sums: they should fit a core's own cache
STRETCH = 256  # bytes of a token whose n-grams are found at a time: no buffer grows with the text
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
    """What the kernels know of a model. In parts, because an array handed on costs more than a short token."""

    rows: Float32s  # (words + buckets that have one, d)
    words: Vocabulary
    buckets: Buckets
    separates: npt.NDArray[np.bool_]  # (256,) bytes between tokens


def reader(file: FastTextFile) -> Reader:
    entries = [*file.words, *file.labels]
    offsets = np.cumsum([0, *map(len, entries)], dtype=np.int64)
    spelling = np.frombuffer(b"".join(entries), np.uint8)
    slots = _placed(spelling, offsets, 1 << (2 * len(entries)).bit_length())
    separates = np.zeros(256, np.bool_)
    separates[list(b" \t\n\v\f\r\0")] = True
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
    return Reader(rows, Vocabulary(slots, offsets, spelling, n_words), buckets, separates)


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
    """The table `_number` looks into; n_slots is a power of two."""
    slots = np.zeros(n_slots, np.int32)
    for entry in range(len(offsets) - 1):
        slot = np.int64(_hash(spelling, offsets[entry], offsets[entry + 1])) & (n_slots - 1)
        while slots[slot]:
            slot = (slot + 1) & (n_slots - 1)
        slots[slot] = entry + 1
    return slots


@njit(cache=True, nogil=True)
def sums_of_rows(reader, data, begins, ends):  # type: ignore[no-untyped-def]
    """Of each text data[begins[i]:ends[i]]: (the sum of its rows (n, d), how many they are (n,))."""
    rows, words, buckets, separates = reader
    d, room = rows.shape[1], 1
    while 8 * d * room <= MEMORY_BYTES:
        room *= 2
    keys = np.zeros((room, 2), np.uint64)  # the bytes of the token: none has a NUL, so the length need not be told
    known_sums = np.zeros((room + 1, d), np.float32)  # the last place is for longer tokens
    known_counts, known_hashes = np.zeros(room + 1, np.int64), np.zeros(room + 1, np.uint32)
    buffer = np.zeros(STRETCH + 4 * buckets.most + 8, np.uint8)
    found = np.zeros(STRETCH * buckets.most + 1, np.uint64)
    open_ngrams = np.zeros(max(buckets.word_ngrams, 1), np.uint64)
    sums, counts = np.zeros((len(begins), d), np.float32), np.zeros(len(begins), np.int64)
    end_hash = _hash(END_OF_LINE, 0, len(END_OF_LINE))
    end_row = _number(words, END_OF_LINE, 0, len(END_OF_LINE), end_hash)
    for i in range(len(begins)):
        at, end, n_tokens = begins[i], ends[i], 0
        while True:
            while at < end and separates[data[at]]:
                at += 1
            if at == end:
                break
            first = at
            while at < end and not separates[data[at]]:
                at += 1
            place, is_known = np.int64(room), False
            if at - first <= 16:
                low = eight_bytes(data, first, at)
                high = eight_bytes(data, first + 8, at) if at - first > 8 else np.uint64(0)
                place = np.int64(mix(low ^ high * MIXER) & np.uint64(room - 1))
                is_known = keys[place, 0] == low and keys[place, 1] == high
                if not is_known:
                    keys[place, 0], keys[place, 1] = low, high
            if not is_known:
                digest = _hash(data, first, at)
                known_hashes[place] = digest
                total = known_sums[place]
                known_counts[place] = _token(rows, words, buckets, data, first, at, digest, total, buffer, found)
            count = known_counts[place]
            if count > 0:
                counts[i] += count
                for k in range(d):
                    sums[i, k] += known_sums[place, k]
            elif count == ENDS_TEXT:
                break
            if buckets.word_ngrams > 1 and count != PASSED_OVER:
                counts[i] += _word_ngrams(rows, buckets, known_hashes[place], n_tokens, open_ngrams, sums[i])
                n_tokens += 1
        if 0 <= end_row < words.n_words:
            counts[i] += 1
            _add(sums[i], rows, end_row)
        if buckets.word_ngrams > 1:
            counts[i] += _word_ngrams(rows, buckets, end_hash, n_tokens, open_ngrams, sums[i])
    return sums, counts


@njit(cache=True, nogil=True, inline="always")
def _token(rows, words, buckets, data, first, end, digest, total, buffer, found):  # type: ignore[no-untyped-def]
    """How many rows a token names; their sum goes into `total`."""
    for k in range(len(total)):
        total[k] = 0
    if _is_end(data, first, end):
        return ENDS_TEXT
    number, count = _number(words, data, first, end, digest), 0
    if number >= words.n_words or (number < 0 and _looks_like_label(data, first, end)):
        return PASSED_OVER
    if number >= 0:
        _add(total, rows, number)
        count = 1
    begin = 0
    while buckets.most > 0 and begin < end - first + 2:
        n = _ngrams(buckets, data, first, end, begin, buffer, found)
        for k in range(n):
            _add(total, rows, _row(buckets, found[k]))
        count += n
        begin += STRETCH
    return count


@njit(cache=True, nogil=True)
def _ngrams(buckets, data, first, end, begin, buffer, found):  # type: ignore[no-untyped-def]
    """Buckets of the n-grams that begin in a stretch of the marked token `<...>`, those with a row: how many.

    The buffer holds the stretch, as much as an n-gram may reach beyond it, and a NUL.
    """
    most, length = buckets.most, end - first + 2
    filled = min(length - begin, STRETCH + 4 * most + 4)
    for k in range(1 if begin == 0 else 0, filled):
        buffer[k] = data[first + begin + k - 1] if begin + k < length - 1 else ord(">")
    if begin == 0:
        buffer[0] = ord("<")
    buffer[filled] = 0
    n, is_pruned = np.int64(0), len(buckets.kept) > 0
    for i in range(min(filled, STRETCH)):
        if buffer[i] & 0xC0 == 0x80:  # within a character
            continue
        digest, j, size = FNV_BASIS, i, 1
        while j < filled and size <= most:
            digest = _hashed(digest, buffer[j])
            j += 1
            while buffer[j] & 0xC0 == 0x80:
                digest = _hashed(digest, buffer[j])
                j += 1
            # a mark alone is no n-gram
            if size >= buckets.fewest and not (size == 1 and (begin + i == 0 or begin + j == length)):
                # modulo by multiplication: the quotient is at most one too small
                quotient = (np.uint64(digest) * buckets.inverse) >> np.uint64(32)
                bucket = np.uint64(digest) - quotient * buckets.n_buckets
                if bucket >= buckets.n_buckets:
                    bucket -= buckets.n_buckets
                found[n] = bucket  # without a branch, which nothing could predict
                n += np.int64(_bit(buckets.kept, bucket)) if is_pruned else np.int64(1)
            size += 1
    return n


@njit(cache=True, nogil=True)
def _word_ngrams(rows, buckets, digest, n_tokens, open_ngrams, total):  # type: ignore[no-untyped-def]
    """Adds the rows of the n-grams of tokens that end with this one: how many. Goes on with the open ones."""
    signed, count = np.uint64(np.int64(np.int32(digest))), 0
    for k in range(min(n_tokens, buckets.word_ngrams - 1)):  # k: begins at the (k + 1)th token before this one
        open_ngrams[k] = open_ngrams[k] * WORD_NGRAM_FACTOR + signed
        bucket = open_ngrams[k] % buckets.n_buckets
        if len(buckets.kept) == 0 or _bit(buckets.kept, bucket):
            _add(total, rows, _row(buckets, bucket))
            count += 1
    for k in range(buckets.word_ngrams - 2, 0, -1):
        open_ngrams[k] = open_ngrams[k - 1]
    open_ngrams[0] = signed
    return count


@njit(cache=True, nogil=True, inline="always")
def _add(total, rows, row):  # type: ignore[no-untyped-def]
    for k in range(len(total)):
        total[k] += rows[row, k]


@njit(cache=True, nogil=True, inline="always")
def _bit(bits, at):  # type: ignore[no-untyped-def]
    return (bits[at >> np.uint64(6)] >> (at & np.uint64(63))) & np.uint64(1)


@njit(cache=True, nogil=True, inline="always")
def _row(buckets, bucket):  # type: ignore[no-untyped-def]
    """The row of a bucket that has one."""
    if len(buckets.kept) == 0:
        return buckets.first_row + np.int64(bucket)
    block = bucket >> np.uint64(6)
    below = buckets.kept[block] & ((np.uint64(1) << (bucket & np.uint64(63))) - np.uint64(1))
    return buckets.first_row + buckets.kept_before[block] + _count_bits(below)


@njit(cache=True, nogil=True, inline="always")
def _count_bits(bits):  # type: ignore[no-untyped-def]
    """Sums of two bits, of four, of eight, then of all eight bytes by one product."""
    bits -= (bits >> np.uint64(1)) & np.uint64(0x5555555555555555)
    bits = (bits & np.uint64(0x3333333333333333)) + ((bits >> np.uint64(2)) & np.uint64(0x3333333333333333))
    bits = (bits + (bits >> np.uint64(4))) & np.uint64(0x0F0F0F0F0F0F0F0F)
    return np.int64((bits * np.uint64(0x0101010101010101)) >> np.uint64(56))


@njit(cache=True, nogil=True)
def _number(words, data, first, end, digest):  # type: ignore[no-untyped-def]
    """Of the word or label data[first:end]; labels come after the words; -1 where the model does not know it."""
    mask = len(words.slots) - 1
    slot = np.int64(digest) & mask
    while words.slots[slot]:
        entry = words.slots[slot] - 1
        begin, stop = words.offsets[entry], words.offsets[entry + 1]
        if stop - begin == end - first:
            k = 0
            while k < end - first and words.spelling[begin + k] == data[first + k]:
                k += 1
            if k == end - first:
                return np.int64(entry)
        slot = (slot + 1) & mask
    return np.int64(-1)


@njit(cache=True, nogil=True)
def _hash(data, first, end):  # type: ignore[no-untyped-def]
    digest = FNV_BASIS
    for at in range(first, end):
        digest = _hashed(digest, data[at])
    return digest


@njit(cache=True, nogil=True, inline="always")
def _hashed(digest, byte):  # type: ignore[no-untyped-def]
    """A step of FNV-1a. fastText widens the byte as a signed number: those beyond ASCII flip the upper bits too."""
    return np.uint32((digest ^ np.uint32(np.int8(byte))) * FNV_PRIME)


@njit(cache=True, nogil=True, inline="always")
def _is_end(data, first, end):  # type: ignore[no-untyped-def]
    return data[first] == ord("<") and end - first == len(END_OF_LINE) and _begins_with(data, first, END_OF_LINE)


@njit(cache=True, nogil=True, inline="always")
def _looks_like_label(data, first, end):  # type: ignore[no-untyped-def]
    return data[first] == ord("_") and end - first >= len(LABEL_PREFIX) and _begins_with(data, first, LABEL_PREFIX)


@njit(cache=True, nogil=True)
def _begins_with(data, first, some):  # type: ignore[no-untyped-def]
    k = 0
    while k < len(some) and data[first + k] == some[k]:
        k += 1
    return k == len(some)
