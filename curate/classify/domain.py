"""A classifier for the domain: seed texts and other text to a model file, and a card that says what it is worth.

    seeds  ─┬─ held out ──────────────────┬─▶ precision, recall, AUC, threshold ─▶ card.json
    others ─┼─ held out ──────────────────┤
            └─ training ─▶ fastText ──────┴─▶ model.bin
                        └▶ DSIR ────────────▶ importance.npy     a second opinion, and how far the two agree

Seeds stand in the corpus that is judged, too: what they score there proves nothing, so every figure on the card is of
documents that were held out by a hash of their ids. They say little of kinds of text that neither side held: `against`
should be like what will be judged. Documents are scored whole, at some 120 MB/s: above one half were 85 % of 386
journal articles and none of 290 court opinions, and 82 % and 0.7 % by their start, middle and end alone.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curate.classify.examples import Examples
from curate.classify.held_out import Choice, Float64s, HeldOut, choose
from curate.classify.importance import agreement, learn_weights, scores
from curate.classify.texts import Texts
from curate.classify.training import DOMAIN, OTHER, train_model
from curate.fasttext_model import FastTextModel
from curate.passes.sifted import Sifted
from curate.settings import Domain, Source
from curate.shards.fault import Fault
from curate.shards.seal import write_json

MODEL, WEIGHTS, CARD = "model.bin", "importance.npy", "card.json"

FEWEST_DOCUMENTS = 20  # of a kind
HELD_OUT_DOCUMENTS = 200  # of a kind, or a tenth where that is more: precision to within some 3 %
LARGEST_HELD_OUT_SHARE = 0.3
MOST_HELD_OUT_DOCUMENTS = 5000
MOST_HELD_OUT_BYTES = 64_000_000


@dataclass(frozen=True, slots=True)
class Trained:
    folder: Path
    threshold: float
    """Least domain score: the one the recipe gives, or the one chosen for the precision it asks for."""
    card: dict[str, Any]
    """What the report shows."""

    @classmethod
    def open(cls, folder: Path) -> Trained:
        card = json.loads((folder / CARD).read_text(encoding="utf-8"))
        return cls(folder, card["threshold"], card)

    @property
    def model(self) -> Path:
        return self.folder / MODEL

    @property
    def weights(self) -> Path:
        return self.folder / WEIGHTS


def train_domain(sifted: Sifted, sources: Sequence[Source], settings: Domain, seed: int, folder: Path) -> Trained:
    """From the texts the first pass left of the seed sources and of those they are told from.

    `sources`: of each unit of the first pass. Raises Fault where there is too little text.
    """
    against = told_from(settings, sources)
    source_of = [source.name for source in sources]
    domain = Texts.of_sources(sifted, source_of, settings.seeds)
    other = Texts.of_sources(sifted, source_of, against)
    about = {"seeds": list(settings.seeds), "against": against}
    return train_classifier(domain, other, folder, seed, settings.precision, settings.at_least, about)


def told_from(settings: Domain, sources: Sequence[Source]) -> list[str]:
    """The sources that the seeds are told from, by name: those the recipe names, or all general ones but seeds."""
    general = {source.name for source in sources if source.role == "general"} - set(settings.seeds)
    against = list(settings.against) or sorted(general)
    if not against:
        raise Fault(
            "there is no text to tell the seeds from: the recipe has no general source",
            where="curate.domain.against",
            hint="add a source with role: general, or name sources in curate.domain.against",
        )
    return against


def train_classifier(
    domain: Texts,
    other: Texts,
    folder: Path,
    seed: int,
    precision: float = 0.95,
    at_least: float | None = None,
    about: dict[str, Any] | None = None,
) -> Trained:
    """Writes model.bin, importance.npy and card.json into the folder, each whole. `about` opens the card."""
    domain_parts, other_parts = parted(domain, seed, "seeds"), parted(other, seed, "against")
    examples = Examples.drawn(domain_parts.training, seed), Examples.drawn(other_parts.training, seed)
    parameters = train_model(*examples, folder / MODEL, seed)
    weights = learn_weights(*([pa.array(one.lines, pa.large_string())] for one in examples))
    _write_weights(folder / WEIGHTS, weights)
    model = FastTextModel.load(folder / MODEL)
    found = [_both_scores(model, weights, part.held_out) for part in (domain_parts, other_parts)]
    by_model, by_weights = (HeldOut(found[0][k], found[1][k]) for k in (0, 1))
    choice = choose(by_model, precision) if at_least is None else None
    threshold = choice.threshold if choice else float(at_least or 0.0)
    ids = [*_names(domain_parts.held_out), *_names(other_parts.held_out)]
    card = {
        **(about or {}),
        "threshold": threshold,
        "chosen": _choice(choice, precision, by_model.at(threshold).precision),
        "parameters": parameters,
        "training": {kind: _amount(one) for kind, one in zip((DOMAIN, OTHER), examples, strict=True)},
        "held_out": _figures(by_model, threshold),
        "importance": {"auc": by_weights.auc} | agreement(by_model.both, by_weights.both, threshold, ids),
    }
    write_json(folder / CARD, card)
    return Trained.open(folder)


@dataclass(frozen=True, slots=True)
class Parts:
    training: Texts
    held_out: Texts


def parted(texts: Texts, seed: int, field: str = "seeds") -> Parts:
    """Held out are the documents that come first in a draw of their own. Raises Fault where there are too few."""
    if len(texts) < FEWEST_DOCUMENTS:
        raise Fault(
            f"{len(texts)} different readable documents are too few to learn from: a classifier needs "
            f"{FEWEST_DOCUMENTS} of the domain and as many of other text",
            where=f"curate.domain.{field}",
            hint="name more sources, or give a model in curate.domain.model",
        )
    share = min(LARGEST_HELD_OUT_SHARE, max(0.1, HELD_OUT_DOCUMENTS / len(texts)))
    most = min(MOST_HELD_OUT_DOCUMENTS, round(share * len(texts)))
    order = np.argsort(texts.drawn(seed, "held out"), kind="stable")
    fits = np.cumsum(texts.n_bytes[order]) <= max(MOST_HELD_OUT_BYTES, texts.n_bytes[order[0]])
    held = np.zeros(len(texts), np.bool_)
    held[order[:most][fits[:most]]] = True
    return Parts(texts.where(~held), texts.where(held))


def domain_scores(model: FastTextModel, texts: pa.LargeStringArray, label: str = DOMAIN) -> Float64s:  # (n,)
    """Probability of the label. `</s>` ends a text for fastText: here it doesn't, so nothing can hide behind it."""
    if pc.any(pc.match_substring(texts, "</s>")).as_py():
        texts = pc.replace_substring(texts, "</s>", "< s>")
    found: Float64s = model.probability(label, texts).astype(np.float64)
    return found


def _both_scores(model: FastTextModel, weights: Float64s, texts: Texts) -> tuple[Float64s, Float64s]:
    """(classifier's, importance) of every document, whole."""
    found = np.zeros(len(texts)), np.zeros(len(texts))
    for places, batch in texts.batches():
        found[0][places] = domain_scores(model, batch)
        found[1][places] = scores(batch, weights)
    return found


def _amount(examples: Examples) -> dict[str, int]:
    n_bytes = sum(len(line.encode()) for line in examples.lines)
    return {"documents": examples.documents, "windows": len(examples.lines), "bytes": n_bytes}


def _figures(held_out: HeldOut, threshold: float) -> dict[str, Any]:
    """Precision is that of a text half of which is the domain: held-out documents cannot know the share."""
    return {
        "domain": len(held_out.domain),
        "other": len(held_out.other),
        "domain_share": 0.5,
        "auc": held_out.auc,
        "at_threshold": asdict(held_out.at(threshold)),
        "curve": held_out.curve(),
    }


def _choice(choice: Choice | None, asked: float, precision: float) -> dict[str, Any]:
    """How the threshold came about, in words too."""
    if choice is None:
        return {"by": "recipe", "precision": None, "reached": None, "text": "the recipe gives the threshold"}
    if choice.reached:
        text = f"chosen on held-out documents for a precision of {asked:.0%}"
    else:
        text = f"no threshold reaches a precision of {asked:.0%} on held-out documents: the best, {precision:.1%}"
    return {"by": "precision", "precision": asked, "reached": choice.reached, "text": text}


def _write_weights(path: Path, weights: Float64s) -> None:
    beside = path.with_name(f".{path.name}.tmp.npy")
    np.save(beside, weights)
    beside.replace(path)


def _names(texts: Texts) -> list[str]:
    return texts.name(texts.numbers)
