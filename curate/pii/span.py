"""A stretch of a batch's text that holds personal data."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Span:
    kind: str
    document: int
    start: int  # byte offset into the batch's buffer
    end: int
