"""An object store for tests: it counts what is read, does something before, and waits at a gate."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from typing import Any, ClassVar

import fsspec
from fsspec.implementations.memory import MemoryFileSystem


class Watched(MemoryFileSystem):
    """`watched://`. What it does is steered by its class: fsspec makes instances as it likes."""

    protocol = "watched"
    store: ClassVar[dict[str, Any]] = {}
    pseudo_dirs: ClassVar[list[str]] = [""]
    opened: ClassVar[Counter[str]] = Counter()
    before_opening: Callable[[str], None] = staticmethod(lambda name: None)
    gate = threading.Event()

    def _open(self, path: str, mode: str = "rb", **more: Any) -> Any:
        if mode == "rb":
            type(self).opened[path] += 1
            type(self).before_opening(path)
            if path.endswith(".arrow"):
                type(self).gate.wait()
        return super()._open(path, mode, **more)


def empty_store() -> type[Watched]:
    fsspec.register_implementation("watched", Watched, clobber=True)
    Watched.store.clear()
    Watched.opened.clear()
    Watched.before_opening = staticmethod(lambda name: None)
    Watched.gate.set()
    return Watched
