"""Imports run downwards: pipelines -> pretrain -> curate.shards, pipelines -> curate; nothing heavy at start."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent
PACKAGES = ("curate", "pretrain", "pipelines")


def modules() -> dict[str, Path]:
    found = {}
    for package in PACKAGES:
        for path in (ROOT / package).rglob("*.py"):
            name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
            found[name.removesuffix(".__init__")] = path
    return found


def imported(path: Path, *, only_at_import: bool = False) -> Iterator[str]:
    """Full names of what a file imports; `from a import b` gives a.b and a."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    nodes = _at_import(tree) if only_at_import else ast.walk(tree)
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _at_import(tree: ast.Module) -> Iterator[ast.AST]:
    """Statements that run when the module is imported: not in functions, not under TYPE_CHECKING."""
    open_nodes: list[ast.AST] = [tree]
    while open_nodes:
        node = open_nodes.pop()
        yield node
        for child in ast.iter_child_nodes(node):
            is_guard = isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test)
            if not is_guard and not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
                open_nodes.append(child)


def test_imports_run_downwards() -> None:
    wrong = []
    for name, path in modules().items():
        for target in imported(path):
            package = name.split(".")[0]
            if package == "curate" and target.split(".")[0] in {"pretrain", "pipelines", "torch", "transformers"}:
                wrong.append(f"{name} imports {target}")
            if package == "pretrain" and (
                target.startswith("pipelines")
                or (target.startswith("curate.") and not target.startswith("curate.shards"))
            ):
                wrong.append(f"{name} imports {target}")
    assert not wrong


def test_no_import_goes_in_a_circle() -> None:
    known = modules()
    arrows = {name: {t for t in imported(path) if t in known and t != name} for name, path in known.items()}
    for name in arrows:  # a package's docstring-only __init__ is no stop on the way
        arrows[name] -= set(PACKAGES)
    state: dict[str, str] = {}

    def visit(name: str, way: list[str]) -> None:
        state[name] = "open"
        for target in sorted(arrows[name]):
            assert state.get(target) != "open", f"circle: {' -> '.join([*way, name, target])}"
            if target not in state:
                visit(target, [*way, name])
        state[name] = "done"

    assert len(arrows) > 40
    for name in sorted(arrows):
        if name not in state:
            visit(name, [])


def test_init_files_hold_at_most_a_docstring() -> None:
    for path in ROOT.glob("*/**/__init__.py"):
        if path.parts[len(ROOT.parts)] in PACKAGES:
            body = ast.parse(path.read_text(encoding="utf-8")).body
            assert len(body) <= 1, path
            assert all(isinstance(node, ast.Expr) for node in body), path


def test_the_command_line_imports_nothing_heavy() -> None:
    script = "import sys, pipelines.cli; print(' '.join(sorted(sys.modules)))"
    loaded = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=ROOT).stdout
    heavy = {"torch", "transformers", "pyarrow", "numpy", "numba", "datatrove", "datasets", "pydantic", "yaml"}
    assert heavy & set(loaded.split()) == set()
