"""A small corpus with one of everything, and recipes over it: what the laws of a whole run are tried on.

The text is drawn from a word list by a seeded generator: real words and stop words, so that it passes the Gopher rules
and is told to be English, and two documents share no long run of words unless one is planted.
"""

from __future__ import annotations

import csv
import gzip
import json
import random
from pathlib import Path
from typing import Any

from pipelines import recipe as recipes
from pipelines.recipe import Recipe

WORDS = (
    "patient doctor heart blood pressure treatment clinic nurse hospital fever cough pain dose tablet morning evening "
    "week month year older younger woman man child family history normal raised low high left right chest arm leg skin "
    "kidney liver lung brain sugar salt water food sleep walk rest exercise begin stop change improve worsen return "
    "follow measure test result scan image show find suggest confirm exclude consider discuss explain agree plan "
    "review small large mild severe early late first second third often rarely always never slowly quickly well "
    "better worse"
).split()
STOP = "the be to of and that have with a in on for was were is it this from by at as".split()


def sentence(rng: random.Random) -> str:
    words = []
    for _ in range(rng.randint(7, 16)):
        words.append(rng.choice(STOP))
        words.append(rng.choice(WORDS))
    return " ".join(words).capitalize() + "."


def document(seed: str, sentences: int = 12) -> str:
    rng = random.Random(seed)
    return " ".join(sentence(rng) for _ in range(sentences))


def near_copy(text: str) -> str:
    """One word in sixty changed: Jaccard of word 5-grams about 0.85."""
    words = text.split()
    for at in range(20, len(words), 90):
        words[at] = "odd"
    return " ".join(words)


def write_corpus(folder: Path) -> None:
    """notes (JSONL), pages (text files), web (general), rules (control), exam (benchmark)."""
    notes = [{"text": document(f"note {i}", 8 + i % 9), "id": f"n{i}", "year": 2000 + i % 20} for i in range(150)]
    notes.append({"text": str(notes[3]["text"]).replace(". ", ".\n"), "id": "z-copy-of-3"})
    notes.append({"text": near_copy(str(notes[5]["text"])), "id": "z-like-5"})
    notes.append({"text": "too short", "id": "short"})
    notes.append({"text": "", "id": "empty"})
    notes.append({"body": "no text here", "id": "no-text"})
    notes.append({"text": document("own"), "id": "n7"})  # an id that is taken
    notes.append({"text": document("exam") + " " + question(0), "id": "quotes-the-exam"})
    for i in range(0, 60, 2):  # each quotes another: where that one is held out, the quoting one leaks
        quote = " ".join(str(notes[i]["text"]).split()[10:50])
        notes.append({"text": f"{document(f'quoting {i}')} {quote} {document(f'end {i}')}", "id": f"quotes-{i}"})
    lines = [json.dumps(note) for note in notes]
    lines[40] = lines[40][:100]  # broken JSON
    with gzip.open(folder / "notes.jsonl.gz", "wt", encoding="utf-8") as file:
        file.write("\n".join(lines) + "\n")
    (folder / "pages").mkdir()
    for i in range(40):
        (folder / "pages" / f"page-{i:02d}.txt").write_text(document(f"page {i}") + "\r\nEnd\u200b of it\u00a0all.\n")
    (folder / "pages" / "latin.txt").write_bytes("Herzgeräusch über der Mitralklappe".encode("latin-1"))
    with (folder / "web.jsonl").open("w", encoding="utf-8") as file:
        for i in range(80):
            file.write(json.dumps({"text": document(f"web {i}", 10), "id": f"w{i}"}) + "\n")
    with (folder / "rules.csv").open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(["id", "text"])
        rows.writerows([f"r{i}", document(f"rule {i}", 9)] for i in range(20))
    with (folder / "exam.jsonl").open("w", encoding="utf-8") as file:
        for i in range(5):
            file.write(json.dumps({"text": question(i)}) + "\n")


def question(i: int) -> str:
    return document(f"question {i}", 2)


def small_recipe(folder: Path, name: str = "small", **changes: Any) -> Recipe:
    """Over what `write_corpus` wrote into `folder`. `changes` replace whole sections."""
    data: dict[str, Any] = {
        "name": name,
        "sources": [
            {"name": "notes", "path": str(folder / "notes.jsonl.gz"), "id": "id"},
            {"name": "pages", "path": str(folder / "pages")},
            {"name": "web", "path": str(folder / "web.jsonl"), "id": "id", "role": "general"},
            {"name": "rules", "path": str(folder / "rules.csv"), "id": "id", "role": "control"},
            {"name": "exam", "path": str(folder / "exam.jsonl"), "role": "benchmark"},
        ],
        "curate": {
            # random words repeat more than prose does
            "quality": {"rules": {"mean_word_length": {"at_least": 2, "at_most": 12}}},
            "language": {"at_least": 0.1},
            "split": {"validation": 0.1, "test": 0.15},
        },
        "shards": {"tokenizer": {"vocabulary": 400}, "shard_mb": 0.02},
        "engine": {"workers": 1},
    }
    return recipes.check({**data, **changes}, "a test")


TRAIN: dict[str, Any] = {
    "base": {"scratch": {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4}},
    "sequence_length": 64,
    "epochs": 0.5,
    "batch_tokens": 4096,
    "micro_batch_tokens": 2048,
    "replay": 0.1,
    "checkpoint_every": 4,
    "precision": "fp32",
}
