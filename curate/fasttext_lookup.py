"""Which rows of a fastText model a word, a label and n-grams name: the small steps of `curate/fasttext_rows.py`.

Words are looked up by their spelling, n-grams by their FNV-1a hash modulo the number of buckets. Where a model is
pruned a set of bits says which buckets have a row.
"""

from __future__ import annotations

import numpy as np

from curate.fasttext_file import PREFIX
from curate.lanes import inlined, ones, step

FNV_BASIS, FNV_PRIME = np.uint32(2166136261), np.uint32(16777619)
WORD_NGRAM_FACTOR = np.uint64(116049371)
END_OF_LINE = np.frombuffer(b"</s>", np.uint8)
LABEL_PREFIX = np.frombuffer(PREFIX.encode(), np.uint8)
STRETCH = 256  # bytes of a token whose n-grams are found at a time: no buffer grows with the text


@step
def ngrams_of(buckets, data, first, end, begin, buffer, found):  # type: ignore[no-untyped-def]
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
    n, is_pruned, whole = np.uint64(0), len(buckets.kept) > 0, np.uint64(filled)
    for i in range(np.uint64(min(filled, STRETCH))):
        if buffer[i] & 0xC0 == 0x80:  # within a character
            continue
        digest, j = FNV_BASIS, np.uint64(i)
        for size in range(1, most + 1):
            if j == whole:
                break
            digest = _hashed(digest, buffer[j])
            j += np.uint64(1)
            while buffer[j] & 0xC0 == 0x80:
                digest = _hashed(digest, buffer[j])
                j += np.uint64(1)
            # a mark alone is no n-gram
            if size >= buckets.fewest and not (size == 1 and (begin + i == 0 or begin + j == length)):
                # modulo by multiplication: the quotient is at most one too small
                quotient = (np.uint64(digest) * buckets.inverse) >> np.uint64(32)
                bucket = np.uint64(digest) - quotient * buckets.n_buckets
                bucket = min(bucket, bucket - buckets.n_buckets)
                found[n] = bucket  # without a branch, which nothing could predict
                n += _bit(buckets.kept, bucket) if is_pruned else np.uint64(1)
    return np.int64(n)


@step
def add_word_ngrams(rows, buckets, digest, n_tokens, open_ngrams, total):  # type: ignore[no-untyped-def]
    """Adds the rows of the n-grams of tokens that end with this one: how many. Goes on with the open ones."""
    signed, count = np.uint64(np.int64(np.int32(digest))), 0
    for k in range(min(n_tokens, buckets.word_ngrams - 1)):  # k: begins at the (k + 1)th token before this one
        open_ngrams[k] = open_ngrams[k] * WORD_NGRAM_FACTOR + signed
        bucket = open_ngrams[k] % buckets.n_buckets
        if len(buckets.kept) == 0 or _bit(buckets.kept, bucket):
            add_row(total, rows, row_of(buckets, bucket))
            count += 1
    for k in range(buckets.word_ngrams - 2, 0, -1):
        open_ngrams[k] = open_ngrams[k - 1]
    open_ngrams[0] = signed
    return count


@inlined
def add_row(total, rows, row):  # type: ignore[no-untyped-def]
    for k in range(len(total)):
        total[k] += rows[row, k]


@inlined
def _bit(bits, at):  # type: ignore[no-untyped-def]
    return (bits[at >> np.uint64(6)] >> (at & np.uint64(63))) & np.uint64(1)


@inlined
def row_of(buckets, bucket):  # type: ignore[no-untyped-def]
    """The row of a bucket that has one."""
    if len(buckets.kept) == 0:
        return buckets.first_row + np.int64(bucket)
    block = bucket >> np.uint64(6)
    below = buckets.kept[block] & ((np.uint64(1) << (bucket & np.uint64(63))) - np.uint64(1))
    return buckets.first_row + buckets.kept_before[block] + ones(below)


@step
def number_of(words, data, first, end, digest):  # type: ignore[no-untyped-def]
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


@step
def fnv(data, first, end):  # type: ignore[no-untyped-def]
    digest = FNV_BASIS
    for at in range(first, end):
        digest = _hashed(digest, data[at])
    return digest


@inlined
def _hashed(digest, byte):  # type: ignore[no-untyped-def]
    """A step of FNV-1a. fastText widens the byte as a signed number: those beyond ASCII flip the upper bits too."""
    return np.uint32((digest ^ np.uint32(np.int8(byte))) * FNV_PRIME)


@inlined
def is_end(data, first, end):  # type: ignore[no-untyped-def]
    return data[first] == ord("<") and end - first == len(END_OF_LINE) and _begins_with(data, first, END_OF_LINE)


@inlined
def looks_like_label(data, first, end):  # type: ignore[no-untyped-def]
    return data[first] == ord("_") and end - first >= len(LABEL_PREFIX) and _begins_with(data, first, LABEL_PREFIX)


@step
def _begins_with(data, first, some):  # type: ignore[no-untyped-def]
    k = 0
    while k < len(some) and data[first + k] == some[k]:
        k += 1
    return k == len(some)
