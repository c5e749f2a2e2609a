"""Rolling windows: every token once, cut where lm-eval cuts."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pretrain.windows import Window, batches, windows

PREFIX = -100


def as_lists(n_tokens: int, length: int, stride: int) -> list[tuple[list[int], list[int]]]:
    """The windows as lm-eval writes them: (what the model reads, what it predicts) over the tokens 0, 1, 2, ..."""
    stream = [PREFIX, *range(n_tokens)]
    return [
        (stream[w.start : w.stop], stream[w.stop - w.scored + 1 : w.stop + 1])
        for w in windows(0, n_tokens, length, stride)
    ]


# lm-eval's own tests/test_utils.py, as (first and last token read, first and last token predicted)
GOLDEN = {
    "v1: 34 tokens, context_len 1": (
        (34, 10, 10),
        [(PREFIX, 8, 0, 9), (9, 18, 10, 19), (19, 28, 20, 29), (23, 32, 30, 33)],
    ),
    "v2: 34 tokens, context_len 8": (
        (34, 10, 3),
        [
            (PREFIX, 8, 0, 9),
            (2, 11, 10, 12),
            (5, 14, 13, 15),
            (8, 17, 16, 18),
            (11, 20, 19, 21),
            (14, 23, 22, 24),
            (17, 26, 25, 27),
            (20, 29, 28, 30),
            (23, 32, 31, 33),
        ],
    ),
    "v3: 34 tokens, context_len 10": (
        (34, 10, 1),
        [(PREFIX, 8, 0, 9)] + [(first, first + 9, first + 10, first + 10) for first in range(24)],
    ),
    "v5: 30 tokens, context_len 1": ((30, 10, 10), [(PREFIX, 8, 0, 9), (9, 18, 10, 19), (19, 28, 20, 29)]),
    "v6: 9 tokens, length 2": ((9, 2, 2), [(PREFIX, 0, 0, 1), (1, 2, 2, 3), (3, 4, 4, 5), (5, 6, 6, 7), (6, 7, 8, 8)]),
    "empty": ((0, 2, 2), []),
}


@pytest.mark.parametrize("name", GOLDEN)
def test_windows_are_the_golden_lists_of_lm_eval(name: str) -> None:
    (n_tokens, length, stride), expected = GOLDEN[name]
    found = as_lists(n_tokens, length, stride)
    assert [(read[0], read[-1], wanted[0], wanted[-1]) for read, wanted in found] == expected


@settings(deadline=None)
@given(n_tokens=st.integers(0, 200), length=st.integers(1, 40), share=st.floats(0, 1))
def test_windows_are_those_of_lm_eval_for_any_length_and_stride(n_tokens: int, length: int, share: float) -> None:
    utils = pytest.importorskip("lm_eval.utils", reason="lm-eval is not installed")
    stride = max(1, round(share * length))
    theirs = utils.get_rolling_token_windows(list(range(n_tokens)), PREFIX, length, length - stride + 1)
    assert as_lists(n_tokens, length, stride) == [(list(read), list(wanted)) for read, wanted in theirs]


@settings(deadline=None)
@given(n_tokens=st.integers(0, 500), length=st.integers(1, 64))
def test_every_token_is_scored_exactly_once(n_tokens: int, length: int) -> None:
    cut = as_lists(n_tokens, length, max(1, length // 2))
    assert [token for _, wanted in cut for token in wanted] == list(range(n_tokens))
    assert all(len(read) <= length for read, _ in cut)


def test_every_token_but_the_first_window_s_has_half_a_window_of_context() -> None:
    late = list(windows(0, 1000, length=64, stride=32))[1:]
    assert late
    assert all(w.length == 64 and w.length - w.scored >= 32 for w in late)


@settings(deadline=None)
@given(st.lists(st.integers(0, 90), max_size=12), st.integers(16, 80))
def test_batches_hold_every_window_once_and_no_more_than_fits(lengths: list[int], batch_tokens: int) -> None:
    cut = [w for document, n in enumerate(lengths) for w in windows(document, n, length=16, stride=8)]
    packed = list(batches(cut, batch_tokens))
    key = lambda w: (w.document, w.start)  # noqa: E731
    assert sorted((w for batch in packed for w in batch), key=key) == cut
    assert all(sum(w.length for w in batch) <= batch_tokens for batch in packed)
    assert packed == list(batches(reversed(cut), batch_tokens))


def test_a_window_longer_than_a_batch_stands_alone() -> None:
    big, small = Window(0, 0, 50, 50), Window(1, 0, 3, 3)
    assert list(batches([small, big], 8)) == [[big], [small]]
