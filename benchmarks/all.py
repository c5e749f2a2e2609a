"""Run every benchmark and write its table into README.md, between the marks that bear its name.

    python -m benchmarks.all --data ../shared/data            sizes of the README, about an hour
    python -m benchmarks.all --quick                          the programs' own defaults, generated text, minutes
    python -m benchmarks.all --only measuring --only packing  some of them

Each runs in a process of its own, one after the other, on a machine that should have nothing else to do. A result
carries its command, the date and the machine; a program that fails leaves its last result as it stands.
"""

from __future__ import annotations

import argparse
import datetime
import json
import re
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.contest import from_json, in_words, machine

README = Path(__file__).parent / "README.md"

# Program -> sizes of the figures in the README. 200 MB of text and more; a part of it for peers that do some megabytes
# a second, a single turn for one that takes minutes
SIZES = {
    "measuring": "--mb 60 --part 10",
    "html_extraction": "",
    "minhash_signatures": "--mb 200 --part 20",
    "near_duplicates": "--rounds 3",
    "planted_leaks": "--plants 250",
    "languages": "",
    "curation": "--mb 200 --peer-rounds 1 --more 1000",
    "stages": "--mb 200",
    "memory": "--gb 0.5 1 2 5",
    "dedup_scale": "--million 1 2 4 8 --crowded 1 2 4",
    "packing": "--documents 2_000_000",
    "reading": "--tokens 40_000_000",
    "opening": "--million 10 100 1000",
    "tokenising": "--mb 32 --tokenizers ../shared/data/tokenizers",
    "extending": "--mb 20 --tokenizers ../shared/data/tokenizers --by 4000",
    "training": "--tokens 32_000",
}
WITHOUT_TEXT = {"dedup_scale", "packing", "reading", "opening"}


def main(line: list[str] | None = None) -> int:
    asked = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    asked.add_argument("--quick", action="store_true", help="the programs' own, smaller sizes")
    asked.add_argument("--data", type=Path, help="text for the programs that take text (see benchmarks/texts.py)")
    asked.add_argument("--only", action="append", choices=sorted(SIZES), help="just this one; may be repeated")
    asked.add_argument("--keep", type=Path, help="sizes that benchmarks.memory found before: not run again")
    given = asked.parse_args(line)
    failed = []
    for program in given.only or SIZES:
        words = [] if given.quick else shlex.split(SIZES[program])
        if given.data is not None and program not in WITHOUT_TEXT:
            words = ["--data", str(given.data), *words]
        if given.keep is not None and program == "memory":
            words += ["--keep", str(given.keep)]
        result = run(program, words)
        if result is None:
            failed.append(program)
        else:
            README.write_text(put(README.read_text(encoding="utf-8"), program, result), encoding="utf-8")
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
    print(README)
    return 1 if failed else 0


def run(program: str, words: list[str]) -> str | None:
    """Its result as Markdown; None where it fails, having said why."""
    command = ["-m", f"benchmarks.{program}", *words]
    print(f"python {shlex.join(command)}", file=sys.stderr)
    about = machine()  # before: the program itself makes the machine busy
    with tempfile.TemporaryDirectory() as folder:
        found = Path(folder) / "found.json"
        ended = subprocess.run([sys.executable, *command, "--json", str(found)], cwd=README.parent.parent, check=False)
        if ended.returncode != 0:
            return None
        outcomes = [from_json(one) for one in json.loads(found.read_text(encoding="utf-8"))]
    head = f"`python {shlex.join(command)}`, {datetime.date.today().isoformat()}"
    return "\n".join([head, "", *map(in_words, outcomes), about])


def put(page: str, program: str, result: str) -> str:
    """The page with what stands between the program's marks replaced."""
    begin, end = f"<!-- {program} -->", f"<!-- end of {program} -->"
    changed, times = re.subn(
        f"{re.escape(begin)}.*?{re.escape(end)}", lambda _: f"{begin}\n{result}\n{end}", page, flags=re.DOTALL
    )
    if times != 1:
        raise SystemExit(f"the page has {times} places for {program}: it needs one, from {begin} to {end}")
    return changed


if __name__ == "__main__":
    sys.exit(main())
