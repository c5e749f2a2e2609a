"""Siblings by name: a built-in by its short name, a user's own by `package.module:Name`.

A folder of siblings (readers, cleaners, measures, packers, panels) has one file per sibling, and the file's class
carries
the file's name in camel case: `curate/measures/gopher_quality.py` holds `GopherQuality`. Adding one is adding its file.
"""

from __future__ import annotations

import difflib
import hashlib
import importlib
import os
import pkgutil
import sys
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

from curate.shards.fault import Fault


def siblings(folder: str) -> list[str]:
    """The short names a folder such as `curate.measures` offers, sorted."""
    return list(_siblings(folder))


@cache
def _siblings(folder: str) -> tuple[str, ...]:
    package = importlib.import_module(folder)
    names = (module.name for module in pkgutil.iter_modules(package.__path__))
    return tuple(sorted(name for name in names if not name.startswith("_")))


def plugin(folder: str, name: str) -> Any:
    """The class `name` stands for. Raises Fault naming the nearest sibling where there is none."""
    if ":" in name:
        module_name, _, attribute = name.partition(":")
        if os.getcwd() not in sys.path:  # an installed command does not look where it runs, as `python -m` does
            sys.path.append(os.getcwd())
    else:
        if name not in siblings(folder):
            raise Fault(
                f"there is no {name!r} in {folder}: it has {', '.join(siblings(folder))}",
                hint=nearest_hint(name, siblings(folder)) or "your own is named package.module:Name",
            )
        module_name, attribute = f"{folder}.{name}", camel_case(name)
    try:
        return getattr(importlib.import_module(module_name), attribute)
    except Exception as error:  # somebody's own module may fail in any way while it is imported
        raise Fault(
            f"cannot load {name!r}: {type(error).__name__}: {error}",
            where=folder,
            hint=f"check that python -c 'import {module_name}' works",
        ) from error


def own_code(names: Iterable[str]) -> dict[str, str]:
    """A digest of the source of each `package.module:Name` among `names`: what is made with it is made from it."""
    found = {}
    for name in sorted({name for name in names if ":" in name}):
        module = sys.modules.get(name.partition(":")[0])
        path = getattr(module, "__file__", None)
        found[name] = hashlib.sha256(Path(path).read_bytes()).hexdigest()[:16] if path else "unknown"
    return found


def camel_case(short_name: str) -> str:
    """gopher_quality -> GopherQuality."""
    return "".join(part.capitalize() for part in short_name.split("_"))


def nearest_hint(name: str, known: list[str]) -> str:
    """`did you mean "x"?`, or nothing where no known name is near."""
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    return f"did you mean {near[0]!r}?" if near else ""
