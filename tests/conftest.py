"""What every test may ask for: the real text that lies beside the checkout, where it does."""

from __future__ import annotations

from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """`../shared/data`: medical, legal, general, multilingual text, near-duplicates with ground truth, tokenizers."""
    place = ROOT.parent / "shared" / "data"
    if not place.is_dir():
        pytest.skip(f"needs the real text in {place}, which is absent")
    return place
