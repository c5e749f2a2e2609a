"""What the report tells of passages that stand in several training documents: figures, and their words, masked."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from curate.passes.repeated import FOUND
from pipelines.report.shown import without_personal_data


def repeated_numbers(decided: Path, presidio: bool = False) -> dict[str, Any] | None:
    """The section `spans` of curated/report.json; None where nobody looked for them."""
    if not (decided / FOUND).exists():
        return None
    told: dict[str, Any] = json.loads((decided / FOUND).read_text(encoding="utf-8"))
    texts = without_personal_data([row["text"] for row in told["most_repeated"]], presidio)
    listed = [row | {"text": text} for row, text in zip(told["most_repeated"], texts, strict=True)]
    return told | {"most_repeated": listed}
