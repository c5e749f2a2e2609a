"""What every test may ask for: the real text that lies beside the checkout, where it does."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import hypothesis
import pytest

# The same examples in every run, so that a change is judged by what it changed. SEARCH=1 looks for new ones; what it
# finds becomes an @example
hypothesis.settings.register_profile("same", derandomize=True)
if not os.environ.get("SEARCH"):
    hypothesis.settings.load_profile("same")

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """`../shared/data`: medical, legal, general, multilingual text, near-duplicates with ground truth, tokenizers."""
    place = ROOT.parent / "shared" / "data"
    if not place.is_dir():
        pytest.skip(f"needs the real text in {place}, which is absent")
    return place


def pytest_configure() -> None:
    """What a shell without job control starts in the background ignores Ctrl-C, and so would all that tests start."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
