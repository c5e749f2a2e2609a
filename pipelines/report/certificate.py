"""What the page shows of the certificate: its figures, and the documents that share most beside what they share.

Texts are shown as a corpus never holds them: with all personal data masked. So the run of words that two texts have in
common is looked for once more, in the masked ones, and is a little shorter where a mask stands in it.
"""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import pyarrow as pa

from pipelines.report.ledger import texts
from pipelines.report.shown import without_personal_data

SHOWN = 8
ROWS = 100  # of the documents that share most, in the table
MOST_CHARACTERS = 200_000  # of a text that is shown a piece of
WORDS_AROUND, WORDS_SHARED = 25, 80

Row = dict[str, Any]


def certificate_numbers(run: Path, presidio: bool) -> Row:
    """`curated/certificate.json` of the run at hand, with the texts that it speaks of."""
    told: Row = json.loads((run / "curated" / "certificate.json").read_text(encoding="utf-8"))
    touched = [row for row in told.pop("worst_first") if row["containment"] > 0]
    worst = sorted(touched, key=lambda row: (-row["span_words"], row["id"]))[:SHOWN]
    names = sorted({name for row in worst for name in (row["id"], row["span_in"])})
    stored = texts(run, dict.fromkeys(names, MOST_CHARACTERS))
    masked = dict(zip(stored, without_personal_data(stored.values(), presidio), strict=True))
    shown = []
    for row in worst:
        if row["id"] in masked and row["span_in"] in masked:
            here, there = in_common(masked[row["id"]], masked[row["span_in"]])
            shown.append({name: row[name] for name in ("id", "span_in", "span_words")} | {"here": here, "there": there})
    return told | {"touched_rows": touched[:ROWS], "shown": shown}


def in_common(left: str, right: str) -> tuple[Row, Row]:
    """The longest run of words that two texts have in common, and what stands around it, on both sides.

    >>> here, there = in_common("He had a fever, of 39 C.", "No: a FEVER of 39 again")
    >>> (here["before"], here["shared"], here["after"]), (there["before"], there["shared"], there["after"])
    (('He had ', 'a fever, of 39', ' C.'), ('No: ', 'a FEVER of 39', ' again'))
    """
    import numpy as np

    from curate.certificate import longest, suffix_array
    from curate.text import TextBatch

    batch = TextBatch(pa.array([left, right], pa.large_string()))
    first, hashes = batch.words.first, np.unique(batch.words.hash, return_inverse=True)[1].astype(np.int64)
    here, there = hashes[: first[1]], np.append(hashes[first[1] :], len(hashes) + 1)
    length, at, beyond = (int(n) for n in longest(here, there, suffix_array(there)))
    return _side(batch, 0, at, length), _side(batch, 1, beyond, length)


def _side(batch: Any, document: int, word: int, length: int) -> Row:
    """Pieces of a text: before, shared, after; of a long run its beginning."""
    first, last = int(batch.words.first[document]), int(batch.words.first[document + 1])
    begin, shown = first + word, min(length, WORDS_SHARED)
    edges = [int(batch.offsets[document]), int(batch.offsets[document + 1])]
    if length:
        before, after = max(first, begin - WORDS_AROUND), min(last, begin + shown + WORDS_AROUND) - 1
        low = edges[0] if before == first else int(batch.words.start[before])
        high = edges[1] if after == last - 1 else int(batch.words.end[after])
        edges = [low, int(batch.words.start[begin]), int(batch.words.end[begin + shown - 1]), high]
    else:
        edges = [edges[0], edges[0], edges[0], min(edges[1], edges[0] + 1000)]
    pieces = [bytes(batch.data[a:b]).decode("utf-8", "replace") for a, b in pairwise(edges)]
    return {"before": pieces[0], "shared": pieces[1], "after": pieces[2], "words_not_shown": length - shown}
