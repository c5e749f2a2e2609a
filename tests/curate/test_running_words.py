"""Letters of running words: bits of ASCII pieces tell what reading each character tells."""

from __future__ import annotations

import numpy as np

from curate.characters import ALONE, LETTER, MARK, PUNCTUATION, classes
from curate.running_words import LONGEST, RUN, count_letters
from curate.text import TextBatch

PIECES = [
    *"the of fever patient's well-known it's A I EGFR TNF x-ray a- -a 'tis end. (see (a)".split(),
    *"a.b 12 5mg C_2 $5 a+b \x07".split(),
    *"“quoted” naïve ÉTAT don’t 漢字 かな ไทย हृदय e\u0301t\u0301 3°C … — ... ''".split(" "),
    *(letter * length for letter in "aé-" for length in (LONGEST - 1, LONGEST, LONGEST + 1, 64, 65, 150)),
    "",
]
SPACES = [" "] * 8 + ["\n", "\t ", "\x1c", "\x1f\r\n", "\u00a0", "\u3000", "\u2028", "\x85", " " * 70]


def told(text: str) -> tuple[int, int, int]:
    """(letters, those in running words, characters that are no space), character by character."""
    letters, running, row = 0, 0, list[int]()

    def part() -> None:
        nonlocal running, row
        running, row = running + (sum(row) if len(row) >= RUN else 0), []

    for piece in text.split():
        kinds = [int(classes()[ord(one)]) for one in piece]
        where = [k for k, kind in enumerate(kinds) if kind & (LETTER | MARK)]
        letters += len(where)
        if 2 * sum(kinds[k] & ALONE != 0 for k in where) > len(where):
            running += len(where)
            continue
        first, last = (where[0], where[-1]) if where else (len(piece), -1)
        opens = any(kind & PUNCTUATION and k < first for k, kind in enumerate(kinds))
        closing = [k for k in range(first, len(piece)) if kinds[k] & PUNCTUATION and piece[k] not in "'’-"]
        capitals = sum("A" <= one <= "Z" for one in piece)
        plain = all(kind & (LETTER | MARK | PUNCTUATION) for kind in kinds)
        is_word = plain and bool(where) and not any(k < last for k in closing)
        is_word = is_word and (len(where) == 1 or capitals < len(where))
        if opens or not is_word:
            part()
        if is_word:
            row.append(len(where))
        if closing:
            part()
    part()
    return letters, running, sum(not one.isspace() for one in text)


def test_every_text_is_counted_as_if_read_character_by_character() -> None:
    draw = np.random.default_rng(5)
    texts = [
        "".join(PIECES[draw.integers(len(PIECES))] + SPACES[draw.integers(len(SPACES))] for _ in range(length))
        for length in draw.integers(0, 40, 3000).tolist()
    ]
    texts += [one + "\n" + other for one in PIECES for other in PIECES] + PIECES
    batch = TextBatch.of(texts)
    counted = np.array(count_letters(batch.data, batch.offsets[:-1], batch.offsets[1:], classes())).T
    assert counted.tolist() == [list(told(text)) for text in texts]
    letters, running, _ = counted.T
    assert ((running > 0) & (running < letters)).sum() > 1000  # neither all nor nothing
