"""Lines and paragraphs that stand in many documents, as the report has them: personal data in them is masked."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from curate.passes.trim import FOUND
from pipelines.report.shown import without_personal_data


def boilerplate_numbers(trimmed: Path, presidio: bool) -> dict[str, Any]:
    """`trimmed`: the folder of the pass."""
    found: dict[str, Any] = json.loads((trimmed / FOUND).read_text(encoding="utf-8"))
    texts = without_personal_data([row["text"] for row in found["shown"]], presidio)
    return found | {"shown": [row | {"text": text} for row, text in zip(found["shown"], texts, strict=True)]}
