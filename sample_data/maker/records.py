"""What stands in the sample: records on their way into files, and what a run must do with the planted ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from maker.corpus import Document


@dataclass(frozen=True, slots=True)
class Record:
    """One place in one file: a document, or raw bytes that are none. `key` is its name inside the generator."""

    key: str
    document: Document | None = None
    raw: bytes | None = None
    file: str | None = None
    """The file of its source it must stand in; None: any."""
    own_id: str | None = None
    """None: numbered."""
    text: Any = ...
    """Stands in the text field in place of the document's text (None, empty ...)."""
    more: Mapping[str, str] = field(default_factory=dict)
    """Further fields of the record."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a record came to stand, as a ledger names it."""

    source: str
    id: str | None
    path: str
    position: int
    n_chars: int

    def as_json(self) -> dict[str, Any]:
        return {"source": self.source, "id": self.id, "path": self.path, "position": self.position}


@dataclass(frozen=True, slots=True)
class Expected:
    """The fate of a planted record. `twins`: keys of the records it is one text with, of which one stays."""

    key: str
    plant: str
    fate: str = "kept"
    stage: str | None = None
    reasons: tuple[str, ...] | None = None
    twins: tuple[str, ...] = ()
    if_held_out: str | None = None
    text_holds: str | None = None
    text_lacks: tuple[str, ...] = ()
    ledger: Mapping[str, str | int] = field(default_factory=dict)
    """Columns of its ledger row."""

    def as_json(self, places: Mapping[str, Place]) -> dict[str, Any]:
        expected = self._decided(places)
        described = {"plant": self.plant, **places[self.key].as_json(), "fate": expected.fate, "stage": expected.stage}
        described["reason"] = list(expected.reasons) if expected.reasons else None
        if self.twins:
            described["twins"] = [places[key].as_json() for key in self.twins]
            described["stays"] = places[self._first(places)].as_json()
        if expected.fate == "removed" and self.twins:
            described["duplicate_of"] = described["stays"]
        if self.if_held_out:
            described["if_held_out"] = places[self.if_held_out].as_json()
        if self.text_holds:
            described["text_holds"] = self.text_holds
        if self.text_lacks:
            described["text_lacks"] = list(self.text_lacks)
        if self.ledger:
            described["ledger"] = dict(self.ledger)
        return described

    def _decided(self, places: Mapping[str, Place]) -> Expected:
        """Of twins the longest stays, ties by the lowest id: the others are removed."""
        if self.twins and self._first(places) == self.key:
            return replace(self, fate="kept", stage=None, reasons=None)
        return self

    def _first(self, places: Mapping[str, Place]) -> str:
        def rank(key: str) -> tuple[int, str]:
            # ids of sources without own ids are hashes: known only up to the source's name
            return -places[key].n_chars, places[key].id or f"{places[key].source}/"

        keys = (self.key, *self.twins)
        ranks = [rank(key) for key in keys]
        assert len(set(ranks)) == len(keys), f"which of {keys} stays is not decided"
        return min(keys, key=rank)
