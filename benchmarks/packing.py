"""Packing: the plan of rows for a whole corpus. What reads the rows is measured in benchmarks/reading.py.

    python -m benchmarks.packing --documents 2_000_000

Best-fit decreasing over all documents, one thread, on generated documents of log-normal length: ours beside the same
method in plain Python (lists and bisect), which must come to rows of the same fills. Beneath the table: what other ways
of packing cost in rows, in documents cut and in tokens lost. TRL's packer is such a best fit over 1,000 documents at a
time (its default); TRL is no dependency of ours, so the table shows the method, not TRL's own speed.
"""

from __future__ import annotations

from bisect import bisect_left, insort

import numpy as np

from benchmarks.contest import Entrant, Outcome, Unequal, cpu_seconds, hold, parser, tell
from pretrain.packers.best_fit import BestFit
from pretrain.rows import Plan

SEED = 1
AT_A_TIME = 1_000  # documents that TRL's packers see together, the batch size of `datasets`' map


def main(line: list[str] | None = None) -> None:
    asked = parser(__doc__)
    asked.add_argument("--documents", type=int, default=500_000, help="to plan (default: %(default)s)")
    asked.add_argument("--row", type=int, default=2048, help="tokens of a row (default: %(default)s)")
    given = asked.parse_args(line)
    tell(given, [plan_contest(given.documents, given.row, given.rounds)])


def lengths_of(documents: int) -> np.ndarray:  # (documents,) int32
    """Half below 250 tokens, one in a hundred above 2,500: about what web and abstract corpora hold."""
    draw = np.random.default_rng(SEED)
    return np.clip(draw.lognormal(5.5, 1.0, documents), 8, 50_000).astype(np.int32)


# -- planning


def plan_contest(documents: int, row: int, rounds: int) -> Outcome:
    lengths = lengths_of(documents)
    plain_input = lengths.tolist()
    plan, room = BestFit().plan(lengths, row), plain_best_fit(plain_input, row)
    theirs = np.sort(row - np.array(room))
    if not np.array_equal(np.sort(plan.row_tokens), theirs):
        raise Unequal(f"ours makes {len(plan):,} rows, plain best fit {len(theirs):,}, or of other fills")
    entrants = [
        Entrant("ours", lambda: cpu_seconds(lambda: BestFit().plan(lengths, row)), lambda: None),
        Entrant(
            "best fit in plain Python", lambda: cpu_seconds(lambda: plain_best_fit(plain_input, row)), lambda: None
        ),
    ]
    return Outcome(
        work=f"Best-fit plan of {documents:,} documents ({int(lengths.sum(dtype=np.int64)):,} tokens), rows of {row:,}",
        unit="documents",
        amount=documents,
        clock="CPU",
        turns=hold(entrants, rounds),
        same_work=f"both make {len(plan):,} rows of the same fills",
        notes=tuple(_told(name, *found) for name, found in methods(lengths, plan).items()),
    )


def plain_best_fit(lengths: list[int], row: int) -> list[int]:
    """Room left in each row, documents longer than a row cut first; also which row each tail went to, unused here."""
    room_of = [0] * sum(length // row for length in lengths)
    rows_with: dict[int, list[int]] = {}  # by room
    rooms: list[int] = []  # those that some row has, sorted
    row_of = {}
    tails = sorted(((length % row, i) for i, length in enumerate(lengths) if length % row), reverse=True)
    for piece, i in tails:
        at = bisect_left(rooms, piece)
        if at < len(rooms):
            room = rooms[at]
            mine = rows_with[room].pop()
            if not rows_with[room]:
                del rooms[at]
        else:
            mine, room = len(room_of), row
            room_of.append(row)
        row_of[i] = mine
        room_of[mine] = room = room - piece
        if room:
            if not rows_with.setdefault(room, []):
                insort(rooms, room)
            rows_with[room].append(mine)
    return room_of


def methods(lengths: np.ndarray, plan: Plan) -> dict[str, tuple[int, int, float, int]]:
    """Of each way to pack: rows, documents cut, fill, tokens lost."""
    row, tokens = plan.row_length, int(lengths.sum(dtype=np.int64))
    must_be_cut = int((lengths > row).sum())
    parts = [lengths[at : at + AT_A_TIME] for at in range(0, len(lengths), AT_A_TIME)]
    of_parts = sum(len(BestFit().plan(part, row)) for part in parts)
    whole = sum(int(part.sum(dtype=np.int64)) // row for part in parts)
    rows = -(-tokens // row)  # when nothing but the last is padded
    return {
        "best fit over the corpus (ours)": (len(plan), must_be_cut, plan.fill, 0),
        f"best fit over {AT_A_TIME:,} documents at a time": (of_parts, must_be_cut, tokens / (of_parts * row), 0),
        "one after another, cut every row": (rows, _across(lengths, row), tokens / (rows * row), 0),
        f"the same over {AT_A_TIME:,} documents at a time, remainders dropped": (
            whole,
            sum(_across(part, row) for part in parts),
            1,
            tokens - whole * row,
        ),
        "a row for each, cropped": (
            len(lengths),
            must_be_cut,
            float(np.minimum(lengths, row).sum(dtype=np.int64) / (len(lengths) * row)),
            int(np.maximum(lengths - row, 0).sum(dtype=np.int64)),
        ),
    }


def _across(lengths: np.ndarray, row: int) -> int:
    """Documents that the edge of a row cuts when they stand one after another."""
    ends = np.cumsum(lengths, dtype=np.int64)
    return int((((ends - 1) // row) > ((ends - lengths) // row)).sum())


def _told(name: str, rows: int, cut: int, fill: float, lost: int) -> str:
    return f"{name}: {rows:,} rows, {fill:.3%} full, {cut:,} documents cut, {lost:,} tokens lost"


if __name__ == "__main__":
    main()
