"""Every measure that a recipe takes of its documents, and so every name that its rules may judge.

families (curate/measures), share of other languages, personal data     by the first pass, on the text
domain and quality classifiers                                          by the score pass
"""

from __future__ import annotations

from curate.measured import Measure, measures_of
from curate.pii.find import pii_measures
from curate.settings import Curate

OTHER_LANGUAGE = Measure(
    "other_language_share",
    "share of the sampled text",
    "sampled windows whose language is surely another than the document's, weighed by their letters",
    "postgrad (curate/language.py)",
)
DOMAIN = Measure(
    "domain_score", "probability", "of the domain, by the recipe's fastText classifier", "postgrad (curate/classify)"
)
DSIR = Measure(
    "dsir_score",
    "nats per word",
    "log importance weight of the domain against general text, over hashed word uni- and bigrams",
    "DSIR (Xie et al. 2023), section 4",
)
RECORDED = ("n_bytes", "n_chars", "language_score")
"""What else of a document is a number, and may say which of its copies stays."""


def sifted_measures(curate: Curate) -> dict[str, Measure]:
    """What the first pass takes of every document: the families, the share of other languages, personal data."""
    families = measures_of(curate.measures)
    return families | {one.name: one for one in (OTHER_LANGUAGE, *pii_measures(curate.pii))}


def scored_measures(curate: Curate) -> dict[str, Measure]:
    """What the classifiers add, apart from the ledger's own column domain_score."""
    scores = {
        name: Measure(name, "probability", f"of {one.label} by {one.model}", "fastText classifier of the recipe")
        for name, one in curate.classifiers.items()
    }
    return scores | ({DSIR.name: DSIR} if curate.domain and curate.domain.seeds else {})


def taken(curate: Curate) -> dict[str, Measure]:
    """Every measure that a rule may judge."""
    return sifted_measures(curate) | scored_measures(curate) | ({DOMAIN.name: DOMAIN} if curate.domain else {})
