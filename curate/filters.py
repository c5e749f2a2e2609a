"""datatrove's filters in a recipe: each sees one document at a time, and its reason is recorded beside our rules'.

    filters:
      - datatrove:GopherQualityFilter
      - {datatrove:C4QualityFilter: {filter_no_terminal_punct: false}}
      - {datatrove:LambdaFilter: {filter_function: my_module:keep}}
      - my_module:MyFilter

They run while the text is read, on the cleaned text, for every document that could be read; their reasons join those of
the rules when documents are judged. Some reach one MB/s, so a rule is the better choice where one exists.

- A filter only judges here: where datatrove's would also change the text (C4QualityFilter drops lines), the document
  stays as it is, and the next filter sees the same text. What it writes into the metadata the next filter sees, and the
  ledger does not.
- Words and sentences are ours (curate/blocks/words.py) unless `language` names one of datatrove's, which may need
  spaCy: so a verdict does not depend on what else is installed.
- A filter that draws lots (SamplerFilter) draws by the recipe's seed, afresh for each unit of work: rerun or on more
  workers, it draws the same.
- A filter that fails on a document does not end the run: the document leaves for `filter_failed`, with the error as
  evidence. One that cannot work here at all (what it needs is not installed, or no network) is a Fault, at the latest
  with the first document.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import pyarrow as pa

from curate.plugins import nearest_hint, plugin
from curate.shards.fault import Fault

THEIRS = "datatrove"
FAILED = "filter_failed"
ORDINARY = (  # for check_filters: no filter that works fails on it
    "Fever has many causes, and most of them are harmless. It rises in the evening, it falls in the morning. "
    "Is it high? Then see a doctor, who will ask how long it has lasted. Rest and drink enough."
)
Spec = str | Mapping[str, Mapping[str, Any]]


class Filter(Protocol):
    """What datatrove's BaseFilter offers: True, False, or (False, reason). Its filter_batch, where it has a batch_size
    above one, is asked instead."""

    def filter(self, doc: Any) -> bool | tuple[bool, str]: ...


@dataclass(frozen=True, slots=True)
class Verdicts:
    reasons: pa.ListArray  # (n,) for which the filters would drop each document, in their order; empty: none would
    evidence: pa.StringArray  # (n,) the errors of filters that failed; null: none did


def load_filters(specs: Sequence[Spec], seed: int = 0) -> list[Filter]:
    """The filters a recipe names, in its order. Raises Fault for one that is not there, or has wrong arguments."""
    return [_load(name, arguments, seed) for name, arguments in named(specs)]


def named(specs: Sequence[Spec]) -> list[tuple[str, dict[str, Any]]]:
    """(name, arguments) of each filter."""
    return [
        (name, dict(arguments or {}))
        for spec in specs
        for name, arguments in ([(spec, {})] if isinstance(spec, str) else spec.items())
    ]


def own_names(specs: Sequence[Spec]) -> list[str]:
    """`package.module:Name` of all code that filters bring from outside: classes, and functions given as arguments."""
    named_so = [name for name, _ in named(specs) if ":" in name and not name.startswith(f"{THEIRS}:")]
    given = [
        value
        for name, arguments in named(specs)
        for key, value in arguments.items()
        if isinstance(value, str) and ":" in value and _wants_function(_kind(name), key)
    ]
    return [*named_so, *given]


def check_filters(specs: Sequence[Spec]) -> None:
    """Raises Fault for a filter that cannot work here: it is tried on a paragraph of ordinary English. Somebody's own
    may expect metadata that an ordinary document lacks, so of these only what the machine lacks is a fault."""
    for name, one in zip((name for name, _ in named(specs)), load_filters(specs), strict=True):
        document = to_document("ordinary", ORDINARY, '{"url": "https://example.org/fever", "language": "en"}')
        _, error = next(_given(one, [document]))
        if error is not None and name.startswith(f"{THEIRS}:") and not name.endswith(":LambdaFilter"):
            raise _cannot_work(one, error) from error


def verdicts(filters: Sequence[Filter], ids: pa.Array, metas: pa.Array, texts: pa.LargeStringArray) -> Verdicts:
    """What the filters say of each document."""
    of_all = zip(ids.to_pylist(), metas.to_pylist(), texts.to_pylist(), strict=True)
    documents = [to_document(name, text, meta) for name, meta, text in of_all]
    reasons: list[list[str]] = [[] for _ in documents]
    errors: list[list[str]] = [[] for _ in documents]
    for one in filters:
        held = [document.text for document in documents]
        for i, (verdict, error) in enumerate(_given(one, documents)):
            documents[i].text = held[i]  # the filter may have changed it for itself
            if error is not None:
                reasons[i].append(FAILED)
                errors[i].append(f"{type(one).__name__}: {type(error).__name__}: {error}")
            elif (reason := _reason(one, verdict)) is not None:
                reasons[i].append(reason)
    evidence = ["; ".join(of_one) or None for of_one in errors]
    return Verdicts(pa.array(reasons, pa.list_(pa.string())), pa.array(evidence, pa.string()))


def to_document(name: str, text: str, meta: str | None) -> Any:
    """A record as datatrove's Document; its meta, a JSON object, as the metadata."""
    from datatrove.data import Document

    return Document(text=text, id=name, metadata=json.loads(meta) if meta else {})


# judging ------------------------------------------------------------------------------------------------------------


def _given(one: Filter, documents: Sequence[Any]) -> Iterator[tuple[Any, Exception | None]]:
    """(what the filter says, None) or (None, the error) of each document. Raises Fault where its needs are absent."""
    size = max(1, getattr(one, "batch_size", 1) or 1)
    for at in range(0, len(documents), size):
        batch = list(documents[at : at + size])
        try:
            answers = list(one.filter_batch(batch)) if hasattr(one, "filter_batch") else [one.filter(batch[0])]
            if len(answers) != len(batch):
                raise ValueError(f"filter_batch gave {len(answers)} answers for {len(batch)} documents")
        except (ImportError, OSError) as error:  # not installed; a file or the network is not there
            raise _cannot_work(one, error) from error
        except Exception as error:  # somebody else's code, on somebody's text
            if len(batch) > 1:
                yield from (_alone(one, document) for document in batch)
            else:
                yield None, error
        else:
            yield from ((answer, None) for answer in answers)


def _alone(one: Any, document: Any) -> tuple[Any, Exception | None]:
    """As a batch of one: where a batch failed, those of its documents that can be judged are."""
    try:
        (answer,) = one.filter_batch([document])
    except Exception as error:
        return None, error
    return answer, None


def _reason(one: Filter, verdict: Any) -> str | None:
    """null: it keeps the document."""
    keeps, reason = verdict if isinstance(verdict, tuple) else (verdict, None)
    return None if keeps else reason or type(one).__name__


def _cannot_work(one: Filter, error: Exception) -> Fault:
    if isinstance(error, ImportError):
        hint = "install it, or leave `language` away where it is a word splitter's: ours are used then"
    else:
        hint = "bring its files to this machine beforehand, or use a measure and a rule in its place"
    return Fault(
        f"the filter {type(one).__name__} cannot work here: {type(error).__name__}: {error}",
        where="curate.filters",
        hint=hint,
    )


# loading ------------------------------------------------------------------------------------------------------------


def _load(name: str, arguments: Mapping[str, Any], seed: int) -> Filter:
    kind = _kind(name)
    given = {key: _function(kind, key, value) for key, value in arguments.items()}
    if name.startswith(f"{THEIRS}:"):
        given = _defaults(kind, seed) | given
    try:
        made: Filter = kind(**given)
    except Exception as error:  # somebody's own constructor, or datatrove's wanting what is not installed
        raise Fault(
            f"cannot make the filter {name}: {type(error).__name__}: {error}",
            where="curate.filters",
            hint="give its arguments as  {datatrove:RegexFilter: {regex_exp: value}}",
        ) from error
    return made


def _kind(name: str) -> Any:
    return _theirs(name.partition(":")[2]) if name.startswith(f"{THEIRS}:") else plugin("curate.filters", name)


def _theirs(name: str) -> Any:
    from datatrove.pipeline import filters

    known = sorted(one for one in dir(filters) if one.endswith("Filter"))
    if name not in known:
        raise Fault(
            f"datatrove has no filter {name!r}",
            where="curate.filters",
            hint=nearest_hint(name, known) or f"it has {', '.join(known)}",
        )
    return getattr(filters, name)


def _defaults(kind: Any, seed: int) -> dict[str, Any]:
    """What datatrove would leave to the machine or to chance."""
    wants = inspect.signature(kind).parameters
    found: dict[str, Any] = {}
    if "language" in wants:
        from curate.blocks.words import Words

        found["language"] = Words()
    return found | ({"seed": seed} if "seed" in wants else {})


def _wants_function(kind: Any, key: str) -> bool:
    parameter = inspect.signature(kind).parameters.get(key)
    return parameter is not None and "Callable" in str(parameter.annotation)


def _function(kind: Any, key: str, value: Any) -> Any:
    """A function given as package.module:name; every other argument as it is."""
    is_named = isinstance(value, str) and ":" in value and _wants_function(kind, key)
    return plugin("curate.filters", value) if is_named else value
