"""datatrove doing the whole chain with its own steps: a program as its users write one, in five pipelines.

    python -m benchmarks.datatrove_chain RAW OUT TOKENIZER WORKERS [--all-languages]

    RAW/*.jsonl.zst ─▶ language, C4, Gopher repetition, Gopher quality, FineWeb quality ─▶ OUT/filtered
                    ─▶ MinHash signatures ─▶ buckets ─▶ clusters ─▶ tokens of what is left ─▶ OUT/tokens

stdout: one JSON object, the seconds of each pipeline. The steps are datatrove's. Where one could not run as it comes,
the class here changes what had to change and nothing else:

    LocalLanguages  the language filter fetches its model from the network: here it is the file that we use
    C4Verdict       the C4 filter gives a verdict and rewrites the text at once: the verdict counts, the text stays, so
                    that both sides go on with the same one
    Expression      its splitter of English is spaCy's, which its extra does not bring: see benchmarks/datatrove_words
    sha1            as in FineWeb's published pipeline: its default, xxhash of a string, raises with xxhash 4
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

from datatrove.data import Document
from datatrove.executor import LocalPipelineExecutor
from datatrove.pipeline.dedup import (
    MinhashDedupBuckets,
    MinhashDedupCluster,
    MinhashDedupFilter,
    MinhashDedupSignature,
)
from datatrove.pipeline.dedup.minhash import MinhashConfig
from datatrove.pipeline.filters import (
    C4QualityFilter,
    FineWebQualityFilter,
    GopherQualityFilter,
    GopherRepetitionFilter,
    LanguageFilter,
)
from datatrove.pipeline.readers import JsonlReader
from datatrove.pipeline.tokens import DocumentTokenizer
from datatrove.pipeline.writers import JsonlWriter
from datatrove.utils.hashing import HashConfig
from datatrove.utils.lid import FT176LID

from benchmarks.datatrove_words import Expression
from curate.language import model_file

BANDS, ROWS, SHINGLE_WORDS, SEED = 14, 8, 5, 1
LANGUAGE_AT_LEAST = 0.65


class LocalModel(FT176LID):
    """lid.176 from the file that is installed."""

    _model: Any

    @property
    def model(self) -> Any:
        if self._model is None:
            from fasttext.FastText import _FastText

            self._model = _FastText(str(model_file()))
        return self._model


class LocalLanguages(LanguageFilter):
    def __new__(cls, *_: object, **__: object) -> LocalLanguages:
        return object.__new__(cls)  # without asking for fasteners, which only the download needs

    def __init__(self, languages: list[str], at_least: float, label_only: bool) -> None:
        super().__init__(languages, at_least, label_only=label_only)
        self.model = LocalModel(languages)


class C4Verdict(C4QualityFilter):
    """C4's verdict, the text as it came."""

    def filter(self, doc: Document) -> bool | tuple[bool, str]:
        text = doc.text
        answer = super().filter(doc)
        doc.text = text
        return answer


def main(line: list[str] | None = None) -> None:
    asked = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    for name in ("raw", "out", "tokenizer"):
        asked.add_argument(name, type=Path)
    asked.add_argument("workers", type=int)
    asked.add_argument("--all-languages", action="store_true", help="tell languages, keep every one")
    given = asked.parse_args(line)
    seconds = {}
    for name, steps, tasks in pipelines(given.raw, given.out, given.tokenizer, given.all_languages):
        begun, logs = time.perf_counter(), str(given.out / "logs" / name)
        LocalPipelineExecutor(pipeline=steps, tasks=tasks, workers=min(given.workers, tasks), logging_dir=logs).run()
        seconds[name] = round(time.perf_counter() - begun, 2)
    print(json.dumps(seconds))


def pipelines(raw: Path, out: Path, tokenizer: Path, all_languages: bool) -> list[tuple[str, list[Any], int]]:
    """(name, steps, tasks): what one writes is what the next reads."""
    files, words, config = len(list(raw.glob("*.jsonl.zst"))), Expression(), minhash_config()
    filtered, places = str(out / "filtered"), {name: str(out / name) for name in ("signatures", "pairs", "clusters")}
    filters = [
        JsonlReader(str(raw)),
        LocalLanguages(["en"], LANGUAGE_AT_LEAST, label_only=all_languages),
        C4Verdict(language=words),
        GopherRepetitionFilter(language=words),
        GopherQualityFilter(language=words),
        FineWebQualityFilter(language=words),
        JsonlWriter(filtered, compression=None),
    ]
    tokens = DocumentTokenizer(
        str(out / "tokens"), str(tokenizer / "tokenizer.json"), eos_token=None, shuffle_documents=False
    )
    return [
        ("filters", filters, files),
        ("signatures", [JsonlReader(filtered), MinhashDedupSignature(places["signatures"], config, words)], files),
        ("buckets", [MinhashDedupBuckets(places["signatures"], places["pairs"], config=config)], BANDS),
        ("clusters", [MinhashDedupCluster(places["pairs"], places["clusters"], config=config)], 1),
        ("tokens", [JsonlReader(filtered), MinhashDedupFilter(places["clusters"]), tokens], files),
    ]


def minhash_config() -> MinhashConfig:
    return MinhashConfig(
        n_grams=SHINGLE_WORDS,
        num_buckets=BANDS,
        hashes_per_bucket=ROWS,
        seed=SEED,
        hash_config=HashConfig(hash_fc="sha1", precision=64),
    )


if __name__ == "__main__":
    from benchmarks.datatrove_chain import main as imported  # so that workers find the classes by name

    imported()
