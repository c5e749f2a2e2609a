"""Rules by source and by language: what is said more closely counts, and nothing said of one place moves another."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from curate.passes.judge import verdicts
from curate.rulebook import as_json, rulebook
from curate.rules import preset
from curate.settings import Bound, Curate, Domain, Language, Pii, Quality, Source, SourceQuality
from curate.shards.fault import Fault
from curate.taken import taken

NOTES, WEB = Source(name="notes", path="a"), Source(name="web", path="b", role="general")


def rows(n: int, curate: Curate, languages: list[str | None], **measures: list[float]) -> pa.Table:
    """Documents that fail nothing, but for the measures that are given."""
    middle = {rule.measure: np.nan for one in rulebook(curate, [NOTES]).values() for rule in one.rules}
    columns = {name: measures.get(name, [value] * n) for name, value in middle.items()} | measures
    return pa.table(
        {
            "n_bytes": [1] * n,
            "stage": pa.nulls(n, pa.string()),
            "reason": pa.nulls(n, pa.string()),
            "evidence": pa.nulls(n, pa.string()),
            "language": pa.array(languages, pa.string()),
            "language_score": pa.array([0.9] * n, pa.float32()),
            **{name: pa.array(values, pa.float64()) for name, values in columns.items()},
        }
    )


def first(curate: Curate, source: Source, languages: list[str | None], **measures: list[float]) -> list[str | None]:
    law = rulebook(curate, [source])[source.name]
    reasons: list[str | None] = verdicts(rows(len(languages), curate, languages, **measures), law)["reason"].to_pylist()
    return reasons


def test_a_language_has_bounds_of_its_own_and_moves_no_other() -> None:
    quality = Quality(languages={"de": {"mean_word_length": Bound(at_most=15)}, "fr": {"words": Bound()}})
    curate = Curate(quality=quality, language=Language(keep="all"))  # type: ignore[arg-type]
    lengths = first(curate, NOTES, ["en", "de", "de", "fr", None], mean_word_length=[12.0, 12.0, 16.0, 12.0, 12.0])
    assert lengths == ["words_too_long", None, "words_too_long", "words_too_long", "words_too_long"]
    assert first(curate, NOTES, ["en", "de", "fr"], words=[3.0] * 3) == ["too_few_words", "too_few_words", None]


def test_a_languages_bound_on_a_rule_of_another_language_is_a_rule_of_its_own() -> None:
    quality = Quality(languages={"de": {"stop_words": Bound(at_least=1)}})
    curate = Curate(quality=quality, language=Language(keep="all"))  # type: ignore[arg-type]
    assert first(curate, NOTES, ["en", "de", "fr"], stop_words=[0.0] * 3) == [
        "too_few_stop_words",
        "low_stop_words",
        None,
    ]


def test_the_sources_word_is_the_last() -> None:
    own = SourceQuality(rules={"words": Bound(at_least=5)})
    notes = Source(name="notes", path="a", quality=own)
    curate = Curate(
        quality=Quality(rules={"words": Bound(at_least=30)}, languages={"en": {"words": Bound(at_least=20)}})
    )
    book = rulebook(curate, [notes, WEB])
    assert {rule.at_least for rule in book["notes"].rules if rule.measure == "words"} == {5}
    assert first(curate, notes, ["en"] * 2, words=[4.0, 6.0]) == ["too_few_words", None]
    assert first(curate, WEB, ["en"] * 2, words=[19.0, 25.0]) == ["too_few_words", None]


def test_a_source_may_have_a_preset_and_languages_of_its_own() -> None:
    notes = Source(name="notes", path="a", quality=SourceQuality(preset="none"), language=Language(keep=["de"]))
    curate = Curate()
    assert first(curate, notes, ["de", "en"], words=[1.0, 1.0]) == [None, "language_not_kept"]
    assert first(curate, WEB, ["de", "en"], words=[1.0, 100.0]) == ["language_not_kept", None]


def test_several_presets_judge_together_and_a_shared_rule_once() -> None:
    assert preset(["gopher", "gopher"]) == preset("gopher")
    assert preset(["none", "gopher"]) == preset("gopher")


def test_personal_data_and_mixed_languages_are_rules_where_the_recipe_says_so() -> None:
    curate = Curate(pii=Pii(drop=["national_id"]), language=Language(mixed_at_most=0.3))
    reasons = first(curate, NOTES, ["en"] * 3, pii_national_id=[0.0, 2.0, 0.0], other_language_share=[0.0, 0.0, 0.4])
    assert reasons == [None, "holds_national_id", "mixed_languages"]
    assert first(Curate(), NOTES, ["en"], pii_national_id=[5.0], other_language_share=[0.9]) == [None]


def test_the_domain_is_judged_in_domain_sources_that_are_no_seeds() -> None:
    papers = Source(name="papers", path="c")
    book = rulebook(Curate(domain=Domain(seeds=["notes"])), [NOTES, papers, WEB], domain_at_least=0.7)
    judged = {name: any(rule.measure == "domain_score" for rule in one.rules) for name, one in book.items()}
    assert judged == {"notes": False, "papers": True, "web": False}
    assert any(rule.too_low == "off_domain" and rule.at_least == 0.7 for rule in book["papers"].rules)


def test_what_a_recipe_changes_shows_in_the_fingerprint_of_that_source_alone() -> None:
    own = Source(name="notes", path="a", quality=SourceQuality(rules={"words": Bound(at_least=5)}))
    was, is_ = as_json(rulebook(Curate(), [NOTES, WEB])), as_json(rulebook(Curate(), [own, WEB]))
    assert was["web"] == is_["web"]
    assert was["notes"] != is_["notes"]


def test_every_measure_that_is_taken_can_be_judged() -> None:
    known = taken(Curate(domain=Domain(seeds=["notes"])))
    assert {"words", "other_language_share", "pii_email", "domain_score", "dsir_score"} <= set(known)
    with pytest.raises(Fault, match="there is no measure 'wrds'"):
        rulebook(Curate(quality=Quality(languages={"de": {"wrds": Bound(at_least=1)}})), [NOTES])


def test_rules_know_a_language_by_either_label() -> None:
    curate = Curate(language=Language(keep="all"))  # type: ignore[arg-type]
    labels: list[str | None] = ["en", "eng_Latn", "fra_Latn", "engx_Latn", None]
    assert first(curate, NOTES, labels, stop_words=[0.0] * 5) == ["too_few_stop_words"] * 2 + [None] * 3
    lengths = first(curate, NOTES, ["zh", "cmn_Hani", "deu_Latn"], mean_word_length=[1.0] * 3)
    assert lengths == [None, None, "words_too_short"]
