"""Trains a fastText classifier of two labels, `domain` and `other`, so that equal text gives an equal file.

fastText initialises a tenth of its matrix for each of its threads: one thread, the only number that is reproducible,
leaves nine tenths as the memory happened to be. So it trains in a process of its own whose memory is zero when it is
given out: glibc fills it when told so by MALLOC_PERTURB_ (255 fills with zeros), and elsewhere a young process gets
fresh pages, which are zero for any matrix of more than a few words. Otherwise a training reads heap garbage, and now
and then stops at a NaN.

The features are words as they stand in the text, without n-grams of them: learning from 12,000 abstracts against web
pages and novels, single words told journal articles and PubMedQA from legal and web text it had never seen with an AUC
of 0.973, and words with bigrams with 0.961; between two drug classes 0.970 and 0.967. Lower-casing and cutting off
punctuation gave as much (0.961) and would have to be done to every text before it is scored. 16 dimensions did as well
as 32.
"""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from curate.classify.examples import Examples, balanced
from curate.shards.fault import Fault

DOMAIN, OTHER = "domain", "other"
LABEL = "__label__"

PARAMETERS = {"dim": 16, "wordNgrams": 1, "minn": 0, "maxn": 0, "minCount": 2, "lr": 0.5}
FEWEST_EPOCHS, MOST_EPOCHS = 5, 50
FEWEST_STEPS = 2_000  # one a line: a hundred lines read five times leave every probability near one half


def train_model(domain: Examples, other: Examples, path: Path, seed: int) -> dict[str, float]:
    """Write the model file, whole; returns fastText's parameters. Raises Fault where fastText cannot train."""
    require_training()
    domain, other = balanced(domain, other)
    lines = [(place, LABEL + DOMAIN, line) for place, line in zip(domain.places, domain.lines, strict=True)]
    lines += [(place, LABEL + OTHER, line) for place, line in zip(other.places, other.lines, strict=True)]
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".training-") as folder:
        text = Path(folder) / "lines.txt"
        with text.open("w", encoding="utf-8", newline="\n") as file:
            file.writelines(f"{label} {line}\n" for _, label, line in sorted(lines))
        epochs = min(MOST_EPOCHS, max(FEWEST_EPOCHS, FEWEST_STEPS // max(1, len(lines))))
        parameters = {**PARAMETERS, "epoch": epochs, "seed": seed % 2**31}
        fixed = {"bucket": 0, "thread": 1, "verbose": 0, "label": LABEL, "input": str(text), "output": str(path)}
        _alone({**parameters, **fixed})
    return parameters


def require_training() -> None:
    """Raises Fault where there is no fastText, or one that can only predict: two distributions share its name."""
    again = "fasttext-numpy2-wheel" if sys.version_info < (3, 13) else "fasttext"
    hint = f"pip uninstall -y fasttext-predict && pip install --force-reinstall --no-deps {again}"
    try:
        binding = importlib.import_module("fasttext_pybind")
    except ImportError as error:
        raise Fault(f"fastText is not installed: {error}", hint=f"pip install {again}") from error
    if not hasattr(binding, "train"):
        raise Fault(
            "the installed fastText cannot train: fasttext-predict has taken its place",
            where=str(getattr(binding, "__file__", "")),
            hint=hint,
        )


def _alone(told: dict[str, object]) -> None:
    # another allocator or its settings would undo what MALLOC_PERTURB_ does
    kept = {name: value for name, value in os.environ.items() if name not in ("LD_PRELOAD", "GLIBC_TUNABLES")}
    script = Path(__file__).with_name("_train_alone.py")
    done = subprocess.run(
        [sys.executable, "-P", str(script), json.dumps(told)],
        env={**kept, "MALLOC_PERTURB_": "255"},
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise RuntimeError(f"fastText's training ended with {done.returncode}: {done.stderr.strip()[-2000:]}")
