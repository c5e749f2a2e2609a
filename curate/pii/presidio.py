"""Microsoft Presidio as a second reader: names of people and places, which no pattern finds. Optional and slow.

It needs `pip install presidio-analyzer` and a spaCy model (python -m spacy download en_core_web_lg): some KB a second,
so it is asked only where a recipe says `pii: {presidio: true}`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any

from curate.pii.span import Span
from curate.shards.fault import Fault
from curate.text import TextBatch

ENTITIES = {
    "PERSON": "person",
    "LOCATION": "location",
    "EMAIL_ADDRESS": "email",
    "PHONE_NUMBER": "phone",
    "IP_ADDRESS": "ip",
    "US_SSN": "national_id",
    "UK_NHS": "national_id",
}
LEAST_SCORE = 0.5  # Presidio's own scores; its patterns without context score below this


def entities(batch: TextBatch, kinds: Sequence[str]) -> Iterator[Span]:
    """What Presidio finds of these kinds, as spans of bytes."""
    wanted = [name for name, kind in ENTITIES.items() if kind in kinds]
    for document, text in enumerate(batch.array.to_pylist()):
        first = int(batch.offsets[document])
        for one in analyzer().analyze(text, language="en", entities=wanted, score_threshold=LEAST_SCORE):
            low, high = len(text[: one.start].encode()), len(text[: one.end].encode())
            yield Span(ENTITIES[one.entity_type], document, first + low, first + high)


@cache
def analyzer() -> Any:
    """Once per process. Raises Fault where Presidio is not installed."""
    try:
        from presidio_analyzer import AnalyzerEngine
    except ImportError as error:
        raise Fault(
            "Presidio is not installed",
            where="curate.pii.presidio",
            hint="pip install presidio-analyzer && python -m spacy download en_core_web_lg",
        ) from error
    return AnalyzerEngine()
