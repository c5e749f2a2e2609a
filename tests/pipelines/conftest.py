"""One curated small corpus and one whole run over it, shared by the tests that only read them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from small import TRAIN, small_recipe, write_corpus

from pipelines.curation import curate
from pipelines.folder import RunFolder
from pipelines.run import begin, run


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("raw")
    write_corpus(folder)
    return folder


@pytest.fixture(scope="session")
def curated(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    recipe = small_recipe(corpus)
    folder = begin(recipe, tmp_path_factory.mktemp("runs"))
    curate(recipe, folder)
    return folder


@pytest.fixture(scope="session")
def one_thread() -> Iterator[None]:
    """A model this small gains nothing from a second thread, and loses much where the cores are busy."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def trained(corpus: Path, one_thread: None, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """Through the Python door, from raw text to the page."""
    return run(small_recipe(corpus, train=TRAIN), runs=tmp_path_factory.mktemp("trained"))
