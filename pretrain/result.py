"""From nats per document to the content of evaluation.json: measures, averages, sources, changes, verdict, protocol.

Numbers of a set are ratios of sums over its documents, so a long document counts more; the means over documents and
over sources stand beside them, and each source has the same numbers of its own.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np

from pretrain.held_out import HeldOut, Role
from pretrain.scoring import Compute, Scores, stride_of
from pretrain.statistics import Change, compare, units
from pretrain.verdict import Outcome, Touched, verdict

if TYPE_CHECKING:
    import pyarrow as pa

    from pretrain.settings import Evaluate


@dataclass(frozen=True, slots=True)
class Rows:
    """What the numbers are made of, one entry per document."""

    id: np.ndarray  # (n,) str
    source: np.ndarray  # (n,) str
    cluster: np.ndarray  # (n,) str
    n_bytes: np.ndarray  # (n,) int64
    words: np.ndarray  # (n,) int64
    tokens: np.ndarray  # (n,) int64, as the adapted model reads them
    tokens_before: np.ndarray  # (n,) int64, as the base reads them: others where the vocabulary was extended
    before: np.ndarray  # (n,) float64, nats
    after: np.ndarray  # (n,) float64, nats
    touched: np.ndarray  # (n,) float64: 1 shares a long run of words with training text, 0 doesn't, NaN unknown

    @classmethod
    def of(cls, held_out: HeldOut, ids: Sequence[str], sources: Sequence[str], before: Scores, after: Scores) -> Rows:
        return cls(
            id=np.asarray(ids, dtype=str),
            source=np.asarray(sources, dtype=str),
            cluster=np.asarray(held_out.clusters, dtype=str),
            n_bytes=before.n_bytes,
            words=np.asarray(held_out.words, dtype=np.int64),
            tokens=after.tokens,
            tokens_before=before.tokens,
            before=before.nats,
            after=after.nats,
            touched=np.full(len(ids), np.nan) if held_out.touched is None else held_out.touched.astype(np.float64),
        )

    @classmethod
    def pooled(cls, parts: Sequence[Rows]) -> Rows:
        return cls(*(np.concatenate([getattr(part, column.name) for part in parts]) for column in fields(cls)))

    def where(self, chosen: np.ndarray) -> Rows:
        return Rows(*(getattr(self, column.name)[chosen] for column in fields(Rows)))


@dataclass(frozen=True, slots=True)
class Scored:
    """A held-out set with what both models make of it."""

    held_out: HeldOut
    rows: Rows


def measures(nats: float, tokens: int, n_bytes: int, words: int) -> dict[str, float | None]:
    """The same total of nats over four denominators. None where there is nothing to divide by, or e^x overflows.

    >>> {name: round(value, 2) for name, value in measures(nats=8.0, tokens=4, n_bytes=16, words=2).items()}
    {'nats': 8.0, 'bits_per_byte': 0.72, 'byte_perplexity': 1.65, 'word_perplexity': 54.6, 'token_perplexity': 7.39}
    """
    return {
        "nats": nats,
        "bits_per_byte": nats / (math.log(2) * n_bytes),
        "byte_perplexity": _perplexity(nats, n_bytes),
        "word_perplexity": _perplexity(nats, words),
        "token_perplexity": _perplexity(nats, tokens),
    }


def _perplexity(nats: float, count: int) -> float | None:
    return math.exp(nats / count) if count and nats / count < 700 else None


def content(
    scored: Sequence[Scored], settings: Evaluate, *, context_length: int, seed: int, compute: Compute
) -> dict[str, Any]:
    """The object that evaluation.json holds."""
    return {
        "sets": {one.held_out.name: _set_content(one, settings, seed) for one in scored},
        "verdict": _verdict(scored, settings, seed),
        "protocol": protocol(context_length, settings, seed, compute),
    }


def _set_content(one: Scored, settings: Evaluate, seed: int) -> dict[str, Any]:
    """The object of one set: the numbers over all its documents, then the other ways to average and the sources."""
    name, rows = one.held_out.name, one.rows
    sources = {
        source: _numbers(rows.where(rows.source == source), settings, seed, f"{name}/{source}")
        for source in sorted(set(rows.source.tolist()))
    }
    by_document = {side: getattr(rows, side) / (math.log(2) * rows.n_bytes) for side in ("before", "after")}
    by_source = {side: [numbers[side]["bits_per_byte"] for numbers in sources.values()] for side in ("before", "after")}
    return {
        "role": one.held_out.role,
        "split": one.held_out.split,
        **_numbers(rows, settings, seed, name),
        "clean": _part(rows.where(rows.touched == 0), settings, seed, f"{name} clean"),
        "touched": _part(rows.where(rows.touched == 1), settings, seed, f"{name} touched"),
        "document_mean": {side: float(values.mean()) for side, values in by_document.items()},
        "source_mean": {side: float(np.mean(values)) for side, values in by_source.items()},
        "worst_source": max(sources, key=lambda source: sources[source]["change"]["bits_per_byte"]),
        "sources": sources,
    }


def _part(rows: Rows, settings: Evaluate, seed: int, name: str) -> dict[str, Any] | None:
    """Of the documents that share a long run of words with training text, or of those that don't; None: there are none,
    or nobody looked."""
    return _numbers(rows, settings, seed, name) if len(rows.id) else None


def _numbers(rows: Rows, settings: Evaluate, seed: int, name: str) -> dict[str, Any]:
    counts = {"tokens": int(rows.tokens.sum()), "n_bytes": int(rows.n_bytes.sum()), "words": int(rows.words.sum())}
    return {
        "documents": len(rows.id),
        "bytes": counts["n_bytes"],
        "words": counts["words"],
        "tokens": counts["tokens"],
        "before": measures(float(rows.before.sum()), **{**counts, "tokens": int(rows.tokens_before.sum())}),
        "after": measures(float(rows.after.sum()), **counts),
        "change": _change(rows, settings, seed, name).as_json(),
    }


def _change(rows: Rows, settings: Evaluate, seed: int, name: str) -> Change:
    by_cluster = units(rows.cluster, rows.before, rows.after, rows.n_bytes)
    return compare(by_cluster, resamples=settings.resamples, seed=seed, name=name)


def _verdict(scored: Sequence[Scored], settings: Evaluate, seed: int) -> dict[str, Any]:
    """Over the test sets of each role (over all of its sets where the role has no test set), pooled by their bytes."""
    general = _of_role(scored, "general")
    of_domain = _of_role(scored, "domain")
    domain = _outcome(of_domain, settings, seed)
    assert domain is not None, "check_sets lets no evaluation without a domain set pass"
    return verdict(
        domain,
        _outcome(general, settings, seed),
        _outcome(_of_role(scored, "control"), settings, seed),
        touched=_touched(of_domain, settings, seed),
        tolerance=settings.forgetting_tolerance,
        general_sets={
            one.held_out.name: outcome for one in general if (outcome := _outcome([one], settings, seed)) is not None
        },
    )


def _of_role(scored: Sequence[Scored], role: Role) -> list[Scored]:
    of_role = [one for one in scored if one.held_out.role == role]
    return [one for one in of_role if one.held_out.split == "test"] or of_role


def _outcome(scored: Sequence[Scored], settings: Evaluate, seed: int) -> Outcome | None:
    if not scored:
        return None
    # a single set has the same draws here as under `sets`
    return _outcome_of(Rows.pooled([one.rows for one in scored]), settings, seed, _name(scored))


def _name(scored: Sequence[Scored]) -> str:
    return " + ".join(one.held_out.name for one in scored)


def _outcome_of(rows: Rows, settings: Evaluate, seed: int, name: str) -> Outcome:
    bits_per_byte = float(rows.before.sum()) / (math.log(2) * int(rows.n_bytes.sum()))
    return Outcome(bits_per_byte, _change(rows, settings, seed, name))


def _touched(scored: Sequence[Scored], settings: Evaluate, seed: int) -> Touched | None:
    """What the documents that share long runs of words with training text have to do with the change."""
    rows = Rows.pooled([one.rows for one in scored])
    touched, change = rows.touched == 1, rows.after - rows.before
    if not touched.any() or not change.sum():
        return None
    clean = rows.where(~touched)
    return Touched(
        of_change=float(change[touched].sum() / change.sum()),
        of_bytes=float(rows.n_bytes[touched].sum() / rows.n_bytes.sum()),
        clean=_outcome_of(clean, settings, seed, f"{_name(scored)} clean") if len(clean.id) else None,
    )


def protocol(context_length: int, settings: Evaluate, seed: int, compute: Compute) -> dict[str, Any]:
    """How the numbers were made, in words and numbers, for the page and for whoever wants them again."""
    return {
        "context_tokens": context_length,
        "stride_tokens": stride_of(context_length),
        "windows": "rolling, every token of the text scored once; the first window of a document scores all it reads",
        "documents": "scored apart, no context from one another",
        "prefix": "one BOS token (EOS where the tokenizer has no BOS) before the text; context, never scored",
        "eos": "the EOS that ends a document is not text: neither scored nor counted",
        "bytes": "UTF-8 bytes of the original text",
        "aggregation": "sum of nats over sum of bytes, words or tokens of all documents of a set",
        "interval": "paired bootstrap over duplicate clusters of the ratio of sums, expanded 95 % percentile interval",
        "clean": "documents of which no 13 words in a row stand in training text; touched: all others (certificate)",
        "p_value": "two-sided sign-flip permutation test over duplicate clusters",
        "detectable": "true change that would be found significant with probability 0.8",
        "resamples": settings.resamples,
        "bytes_at_most": settings.bytes_at_most,
        "seed": seed,
        "precision": str(compute.dtype).removeprefix("torch."),
        "device": str(compute.device).split(":")[0],
    }


def document_table(scored: Sequence[Scored]) -> pa.Table:
    """One row per scored document: what every number above can be made again from."""
    import pyarrow as pa

    return pa.concat_tables(
        pa.table(
            {
                "id": one.rows.id.tolist(),
                "set": [one.held_out.name] * len(one.rows.id),
                "role": [one.held_out.role] * len(one.rows.id),
                "split": [one.held_out.split] * len(one.rows.id),
                "source": one.rows.source.tolist(),
                "cluster": one.rows.cluster.tolist(),
                "bytes": one.rows.n_bytes,
                "words": one.rows.words,
                "tokens": one.rows.tokens,
                "nats_before": one.rows.before,
                "nats_after": one.rows.after,
                "touched": pa.array(one.rows.touched == 1, mask=np.isnan(one.rows.touched)),
            }
        )
        for one in scored
    )
