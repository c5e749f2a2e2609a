"""Makes everything in sample_data/ but the hand-written texts and the grammar: raw documents with planted defects.

    python sample_data/make_sample.py            writes the files and expected.json
    python sample_data/make_sample.py --check    says whether the files hold what this program makes

One seed, the standard library, pyarrow and zstandard: the same files on every machine (compressed bytes may differ
between library versions, so --check compares what is inside). README.md tells what lies where.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from random import Random
from typing import Any

from maker import files
from maker.corpus import Press, handwritten
from maker.formats import plant_formats
from maker.layout import SOURCES
from maker.letters import plant_letters
from maker.plants import Planter, plant_all
from maker.records import Place, Record

HERE = Path(__file__).resolve().parent
SEED = 20240229
OURS = ("make_sample.py", "README.md", "maker/", "grammar/", "texts/")  # what is written by hand

# source: how many documents of which kinds the grammar writes for it
PRINTED = {
    "notes": {"note": 560},
    "abstracts": {"abstract": 340},
    "leaflets": {"leaflet": 170},
    "guidelines": {"guideline": 60},
    "monographs": {"monograph": 130},
    "articles": {"article": 120},
    "pages": {"page": 50},
    "answers": {"answer": 140},
    "everyday": dict.fromkeys(
        ("recipe", "travel", "garden", "history", "craft", "match", "story", "letter", "forecast", "howto"), 190
    ),
    "stories": {"story": 20, "history": 10, "travel": 10},
    "regulations": {"regulation": 240},
}
# where hand-written documents go, by the name of their file in texts/
HOMES = {
    "notes": "notes", "abstracts": "abstracts", "leaflets": "leaflets", "guidelines": "guidelines",
    "monographs": "monographs", "articles": "articles", "pages": "pages", "answers": "answers",
    "stories": "stories", "everyday": "everyday", "regulations": "regulations",
}  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="compare instead of writing; exit code 1 if they differ")
    made = make()
    if parser.parse_args().check:
        return check(made)
    for name in generated_on_disk() - made.keys():
        (HERE / name).unlink()
    for name, content in made.items():
        path = HERE / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    print(f"{len(made)} files, {sum(map(len, made.values())) / 1e6:.2f} MB below {HERE}", file=sys.stderr)
    return 0


def make() -> dict[str, bytes]:
    """Every generated file by its path below sample_data."""
    exam = handwritten("exam")
    garden = planted_garden([question.text for question in exam])
    made: dict[str, bytes] = {}
    places: dict[str, Place] = {}
    for name, source in SOURCES.items():
        records = [*garden.clean[name], *garden.planted[name]]
        garden.rng.shuffle(records)
        stored, placed = source.write(source, records)
        made |= stored
        places |= placed
    made["benchmark/questions.jsonl"] = files.jsonl(
        [{"id": f"X-{at:02d}", "question": one.text, "answer": one.title} for at, one in enumerate(exam, start=1)]
    )
    made["expected.json"] = expectations(garden, places)
    return made


def planted_garden(questions: list[str]) -> Planter:
    """All records, clean and planted, before they are laid out in files."""
    garden = Planter(Random(SEED), Press(Random(SEED + 1)), {})
    garden.clean = clean_records(garden.press)
    plant_all(garden, questions)
    plant_formats(garden)
    plant_letters(garden)
    return garden


def clean_records(press: Press) -> dict[str, list[Record]]:
    """By source: the hand-written documents, then what the press prints."""
    clean: dict[str, list[Record]] = {name: [] for name in SOURCES}
    for subject in ("medical", "general", "control"):
        for document in handwritten(subject):
            assert press.is_fresh(f"{document.title}\n{document.text}"), f"said before: {document.title}"
            source = HOMES[document.kind]
            clean[source].append(Record(f"hand-{source}-{len(clean[source])}", document))
    for source, kinds in PRINTED.items():
        printed = [press.print(kind) for kind, number in kinds.items() for _ in range(number)]
        press.rng.shuffle(printed)
        clean[source] += [Record(f"{source}-{at}", document) for at, document in enumerate(printed)]
    return clean


def expectations(garden: Planter, places: dict[str, Place]) -> bytes:
    """expected.json: one planted record to a line, in the order of source, path and position."""
    planted = [expected.as_json(places) for expected in garden.expected]
    planted.sort(key=lambda one: (one["source"], one["path"], one["position"]))
    clean = {name: len(records) for name, records in garden.clean.items()}
    records = {name: len(records) + len(garden.planted[name]) for name, records in garden.clean.items()}
    lines = ",\n".join("    " + json.dumps(one, ensure_ascii=False) for one in planted)
    head: dict[str, Any] = {"seed": SEED, "records": records, "clean": clean}
    body = json.dumps(head, indent=2)[:-2]
    return f'{body},\n  "planted": [\n{lines}\n  ]\n}}\n'.encode()


def generated_on_disk() -> set[str]:
    """What lies here and was not written by hand."""
    return {name for name in files.stored_files(HERE) if not name.startswith(OURS) and "__pycache__" not in name}


def check(made: dict[str, bytes]) -> int:
    """0 where the folder holds exactly what is made; else names each file that differs."""
    on_disk = generated_on_disk()
    faults = [f"missing: {name}" for name in sorted(made.keys() - on_disk)]
    faults += [f"not ours: {name}" for name in sorted(on_disk - made.keys())]
    for name in sorted(made.keys() & on_disk):
        stored = (HERE / name).read_bytes()
        if stored != made[name] and files.contents(name, stored) != files.contents(name, made[name]):
            faults.append(f"differs: {name}")
    print("\n".join(faults) or f"{len(made)} files are what make_sample.py makes", file=sys.stderr)
    return 1 if faults else 0


if __name__ == "__main__":
    raise SystemExit(main())
