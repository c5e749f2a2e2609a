"""Personal data of a batch: how many of each kind every document holds, and the texts with them masked.

    "Write to jane@example.org, DOB 03/04/1961"   email 1, birth_date 1   "Write to [email], DOB [birth_date]"

What the sift pass counts goes into the ledger as pii_<kind>; what is masked is counted before it goes. Each stretch of
text counts once, for the first pattern that claims it.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from curate.measured import Measure
from curate.pii.candidates import SIGNS, candidates
from curate.pii.pattern import Pattern
from curate.pii.patterns import gate, patterns
from curate.pii.span import Span
from curate.settings import PII_KINDS, Pii
from curate.text import TextBatch

Int64s = npt.NDArray[np.int64]

BESIDE = 32  # bytes around a stretch that patterns may look at

MEANING = {
    "email": "e-mail addresses",
    "phone": "telephone numbers: international, North American, or named by a word before them",
    "ip": "global IPv4 and IPv6 addresses",
    "url_credentials": "URLs with a user's password, or with a secret in the query",
    "national_id": "national identity and insurance numbers whose check digits hold",
    "medical_record_number": "medical record and patient numbers, named by a word before them",
    "birth_date": "dates of birth, named by a word before them",
    "person": "names of people, as Presidio sees them",
    "location": "names of places, as Presidio sees them",
}


def kinds(settings: Pii) -> tuple[str, ...]:
    """Every kind that is counted, in the order of the settings' list."""
    asked = {*settings.count, *settings.mask, *settings.drop}
    return tuple(kind for kind in PII_KINDS if kind in asked)


def pii_measures(settings: Pii) -> tuple[Measure, ...]:
    source = "postgrad (curate/pii); checks of national numbers by python-stdnum"
    return tuple(Measure(f"pii_{kind}", "spans", MEANING[kind], source) for kind in kinds(settings))


def find(batch: TextBatch, settings: Pii) -> tuple[Spans, TextBatch]:
    """What stands in the batch, and the batch with what is to be masked masked: the same one where that is nothing."""
    found = Spans(len(batch), kinds(settings), list(_spans(batch, settings)))
    masked = [span for span in found.spans if span.kind in settings.mask]
    return found, (_masked(batch, masked) if masked else batch)


@dataclass(frozen=True, slots=True)
class Spans:
    documents: int
    kinds: tuple[str, ...]
    spans: list[Span]

    def counts(self) -> dict[str, Int64s]:
        """By ledger column, (documents,) int64."""
        columns = {f"pii_{kind}": np.zeros(self.documents, np.int64) for kind in self.kinds}
        for span in self.spans:
            columns[f"pii_{span.kind}"][span.document] += 1
        return columns


def _spans(batch: TextBatch, settings: Pii) -> Sequence[Span]:
    asked = kinds(settings)
    if not asked or not len(batch):
        return []
    found = _until_none_is_left(batch, asked)
    if settings.presidio:
        from curate.pii.presidio import entities

        found = _first_claims([*found, *entities(batch, asked)])
    return found


def _until_none_is_left(batch: TextBatch, asked: tuple[str, ...]) -> list[Span]:
    """What the patterns find, and what they would find once that is masked: a number that ran into another, a label
    that passed for the end of an address. In the order of the text."""
    found = more = list(_by_patterns(batch, asked))
    while more:
        documents, masked, origin = _shown(batch, found)
        more = [
            Span(span.kind, documents[span.document], int(origin[span.start]), int(origin[span.end - 1]) + 1)
            for span in _by_patterns(masked, asked)
            if (origin[span.start : span.end] >= 0).all()
        ]
        found = sorted([*found, *more], key=lambda span: span.start)
    return found


def _by_patterns(batch: TextBatch, asked: tuple[str, ...]) -> Iterator[Span]:
    """In the order of the text."""
    start, end, signs = candidates(batch)
    stretches = _slices(batch.data, start, end)
    passed = np.zeros(len(start), np.int64)  # the signs whose patterns may find something
    for sign in SIGNS:
        with_sign = np.flatnonzero(signs & sign)
        if len(with_sign) and (expression := gate(asked, sign)):
            matches = pc.match_substring_regex(stretches.take(pa.array(with_sign)), expression)
            passed[with_sign] |= sign * matches.to_numpy(zero_copy_only=False)
    documents = np.searchsorted(batch.offsets, start, side="right") - 1
    for i in np.flatnonzero(passed).tolist():
        document, low, high = int(documents[i]), int(start[i]), int(end[i])
        begin = _border(batch.data, max(int(batch.offsets[document]), low - BESIDE))
        stop = _border(batch.data, min(int(batch.offsets[document + 1]), high + BESIDE))
        text = batch.data[begin:stop].tobytes().decode()
        first, last = (len(batch.data[begin:at].tobytes().decode()) for at in (low, high))
        claims = claimed(text, first, last, patterns(asked, int(passed[i])))
        for (kind, _, _), (a, b) in zip(claims, _byte_offsets(text, claims), strict=True):
            yield Span(kind, document, begin + a, begin + b)


def _byte_offsets(text: str, claims: Sequence[tuple[str, int, int]]) -> Iterator[tuple[int, int]]:
    """Of claims in the order of the text."""
    before, at = 0, 0  # bytes before the character `at`
    for _, low, high in claims:
        start = before + len(text[at:low].encode())
        before, at = start + len(text[low:high].encode()), high
        yield start, before


def _border(data: npt.NDArray[np.uint8], at: int) -> int:
    """The border of characters at or before this byte."""
    while 0 < at < len(data) and data[at] & 0xC0 == 0x80:
        at -= 1
    return at


def _slices(data: npt.NDArray[np.uint8], start: Int64s, end: Int64s) -> pa.LargeStringArray:
    """Stretches of the buffer as strings."""
    lengths = end - start
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    at = np.arange(offsets[-1]) + np.repeat(start - offsets[:-1], lengths)
    return pa.LargeStringArray.from_buffers(len(start), pa.py_buffer(offsets), pa.py_buffer(data[at]))


def claimed(text: str, begin: int, stop: int, of: tuple[Pattern, ...]) -> list[tuple[str, int, int]]:
    """(kind, start, end) in characters of what the patterns claim of text[begin:stop], in order and apart from each
    other: earlier patterns claim first. They may look at what stands around."""
    kinds: list[str] = []
    starts: list[int] = []
    ends: list[int] = []
    for pattern in of:
        group = "value" if "value" in pattern.expression.groupindex else 0
        at = begin
        while match := pattern.expression.search(text, at):
            low, high = match.span(group)
            place = bisect_right(ends, low)  # of the first claim that ends behind this one's start
            at = match.end()
            if place < len(starts) and starts[place] < high:
                at = ends[place]  # what follows a claim may be another's
            elif high <= stop and pattern.is_real(match[group]):
                kinds.insert(place, pattern.kind)
                starts.insert(place, low)
                ends.insert(place, high)
    return list(zip(kinds, starts, ends, strict=True))


def _first_claims(spans: Sequence[Span]) -> list[Span]:
    """In the order of the text; of two that overlap the one that begins first, or is listed first."""
    kept: list[Span] = []
    for span in sorted(spans, key=lambda one: one.start):
        if not kept or span.start >= kept[-1].end:
            kept.append(span)
    return kept


def _masked(batch: TextBatch, spans: Sequence[Span]) -> TextBatch:
    """The texts with [kind] in each span's place."""
    documents, shown, _ = _shown(batch, spans)
    changed = np.zeros(len(batch), np.bool_)
    changed[documents] = True
    return TextBatch(pc.replace_with_mask(batch.array, pa.array(changed), shown.array))


def _shown(batch: TextBatch, spans: Sequence[Span]) -> tuple[list[int], TextBatch, Int64s]:
    """(documents that hold a span, these with [kind] in each span's place, which byte of the batch each of their bytes
    was: -1 in a mask). Spans are apart and in the order of the text."""
    by_document: dict[int, list[Span]] = {}
    for span in spans:
        by_document.setdefault(span.document, []).append(span)
    texts, origins = [], []
    for document, inside in by_document.items():
        origin, at = [], int(batch.offsets[document])
        text = b""
        for span in inside:
            mask = f"[{span.kind}]".encode()
            text += batch.data[at : span.start].tobytes() + mask
            origin += [np.arange(at, span.start), np.full(len(mask), -1)]
            at = span.end
        stop = int(batch.offsets[document + 1])
        texts.append((text + batch.data[at:stop].tobytes()).decode())
        origins += [*origin, np.arange(at, stop)]
    return list(by_document), TextBatch.of(texts), np.concatenate(origins)
