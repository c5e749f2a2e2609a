"""Trains one fastText model and ends: run by curate/classify/training.py, in a process that does nothing else.

Imports fastText's binding alone: the packages around it differ, and the model it makes does not pickle. What to do
comes as JSON on the command line: {"input": ..., "output": ..., and fastText's own arguments by their names}.
"""

from __future__ import annotations

import json
import os
import sys


def train(told: dict[str, object]) -> None:
    import fasttext_pybind as fasttext

    arguments = fasttext.args()
    arguments.model, arguments.loss = fasttext.model_name.supervised, fasttext.loss_name.softmax
    for name, value in told.items():
        setattr(arguments, name, value)
    model = fasttext.fasttext()
    fasttext.train(model, arguments)
    beside = f"{told['output']}.tmp"
    model.saveModel(beside)
    os.replace(beside, str(told["output"]))


if __name__ == "__main__":
    train(json.loads(sys.argv[1]))
