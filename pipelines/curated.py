"""What stands in `curated/` beside the ledger and the texts: the proofs, and every number that the page shows.

work/{decided,certified,trimmed,domain} + ledger + documents ─▶ contamination/, certificate.*, report.json
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from curate.classify.domain import Trained
from curate.passes.certify import CERTIFICATE_FILES
from curate.rulebook import Rulebook, as_json
from curate.settings import Curate
from curate.shards.seal import write_json
from pipelines.report.boilerplate import boilerplate_numbers
from pipelines.report.certificate import certificate_numbers
from pipelines.report.fit import tokenizer_fit
from pipelines.report.numbers import curation_numbers
from pipelines.report.repeated import repeated_numbers


def gather(
    at: Path,
    work: Path,
    settings: Curate,
    book: Rulebook,
    tokenizer: Path,
    corpora: Mapping[str, Sequence[str]],
    policy: dict[str, Any],
) -> None:
    """Fill `at`/curated, whose ledger and documents are written. `corpora`: the names of each corpus' sources.
    `policy`: what stands around every document."""
    curated, decided = at / "curated", work / "decided"
    shutil.copytree(decided / "contamination", curated / "contamination", dirs_exist_ok=True)
    for name in CERTIFICATE_FILES:
        shutil.copyfile(work / "certified" / name, curated / name)
    card = Trained.open(work / "domain").card if settings.domain and settings.domain.seeds else None
    presidio = settings.pii.presidio
    found = _json(decided / "contamination.json")
    numbers = curation_numbers(at, as_json(book), found, domain=card, settings=settings)
    numbers["duplicates"] |= _json(decided / "copies.json")
    numbers |= {
        "planted": _json(decided / "planted.json"),
        "split": _json(decided / "split.json"),
        "certificate": certificate_numbers(at, presidio),
        "spans": repeated_numbers(decided, presidio),
        "boilerplate": boilerplate_numbers(work / "trimmed", presidio),
        "fertility": tokenizer_fit(at, tokenizer, corpora, presidio),
        "policy": policy,
    }
    write_json(curated / "report.json", numbers)


def _json(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found
