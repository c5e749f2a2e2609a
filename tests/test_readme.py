"""The README is executed: its recipes, its commands and its Python run, and its map is held against the tree.

A block of YAML or Python that begins with a file's name is that file; YAML without one is a piece of a recipe.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from pipelines import recipe as recipes

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
PACKAGES = ("curate", "pretrain", "pipelines")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


def named(text: str) -> str:
    """The file name in a block's first comment: `# notes.yaml`."""
    first = text.partition("\n")[0].lstrip("# ").strip()
    return first if re.fullmatch(r"\w+\.(yaml|py)", first) else ""


def commands() -> list[str]:
    lines = [line.partition("  #")[0].strip() for block in blocks("sh") for line in block.splitlines()]
    return [line for line in lines if line]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A working folder as the README's reader has it: the sample, and the files the README shows."""
    place = tmp_path_factory.mktemp("readme")
    (place / "sample_data").symlink_to(ROOT / "sample_data")
    for block in [*blocks("yaml"), *blocks("python")]:
        if name := named(block):
            (place / name).write_text(block, encoding="utf-8")
    return place


def execute(arguments: list[str], folder: Path) -> str:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "2"}
    done = subprocess.run(arguments, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{shlex.join(arguments)}\n{done.stderr}"
    return done.stdout


def test_every_command_runs_as_it_stands(folder: Path) -> None:
    ran = 0
    for command in commands():
        program, *arguments = shlex.split(command)
        if program == "make":
            execute(["make", "--dry-run", "-C", str(ROOT), *arguments], folder)
        else:
            assert program == "postgrad", command
            assert execute([sys.executable, "-m", "pipelines", *arguments], folder), command
            ran += 1
    assert ran >= 12
    assert (folder / "runs" / "clinic" / "audit.md").exists()
    assert (folder / "runs" / "clinic" / "recall" / "letters" / "accepted.parquet").exists()
    run, steps = (block for block in blocks("python") if not named(block))
    assert "domain" in execute([sys.executable, "-c", run], folder)
    execute([sys.executable, "-c", steps], folder)
    assert list((folder / "pages" / "kept").iterdir())


def test_pieces_of_recipes_fit_a_recipe(folder: Path) -> None:
    pieces = [block for block in blocks("yaml") if not named(block)]
    assert pieces
    whole = yaml.safe_load((folder / "notes.yaml").read_text(encoding="utf-8"))
    for piece in pieces:
        recipes.check(whole | yaml.safe_load(piece), piece)


def test_the_map_is_the_tree() -> None:
    match = re.search(r"<!-- map -->\n```\n(.*?)```\n<!-- /map -->", README, re.DOTALL)
    assert match is not None
    listed, above = set(), [""]
    for line in match[1].splitlines():
        depth = (len(line) - len(line.lstrip())) // 2
        name = line.split()[0]
        del above[depth + 1 :]
        listed.add(above[depth] + name)
        above.append(above[depth] + name)
    assert len(listed) > 60
    assert {name for name in listed if not (ROOT / name).exists()} == set()
    assert expected_in_map() - listed == set()


def expected_in_map() -> set[str]:
    """Every file and folder at the top, in the packages, and the folders of siblings, hidden and built ones aside."""
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    paths = {Path(name) for name in tracked}
    shown = {
        path.parts[0] + ("/" if len(path.parts) > 1 else "") for path in paths if not path.parts[0].startswith(".")
    }
    for path in paths:
        if path.parts[0] in PACKAGES and path.name != "__init__.py" and len(path.parts) > 1:
            shown.add("/".join(path.parts[:2]) + ("/" if len(path.parts) > 2 else ""))
    return shown
