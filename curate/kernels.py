"""Kernels and tables, loaded before they are needed: once in the fork server, for all workers that it forks.

A process pays for its first batch: LLVM comes up, compiled kernels are read from the cache, tables of all characters
and of the language model are built: some two seconds, where the batch itself takes less than a tenth of one. A fork
inherits all of it.
"""

from __future__ import annotations

# One plain document, one of everything that takes a way of its own through a kernel
_TEXTS = (
    "The patient was seen, and the fever of 39.5 °C fell within two days.\n\n" * 3,
    "# Menü\r\n- Home…\n• one | two | 3\nDon’t write to jane@example.org. 発熱と咳が三日間続いている。" + " x" * 20,
)


def warm_up() -> None:
    """Call every kernel of the sift pass once, on a batch of a few words. Starts no thread that a fork would miss."""
    from curate.boilerplate import Passages, without
    from curate.contamination import resolve, rules_of
    from curate.dedup.anchors import anchored_runs, anchors, filter_of
    from curate.memory import keep_memory
    from curate.ngram_index import NgramIndex
    from curate.passes.sift import Sifter
    from curate.plugins import siblings
    from curate.records import Place, batches, document
    from curate.settings import Contamination, Curate, Source
    from curate.text import TextBatch
    from curate.tokenizing import warm_up as warm_up_tokenizing

    keep_memory()
    settings = Curate(measures=siblings("curate.measures"))
    sifter = Sifter(settings, Source(name="warm", path="-"), 1)
    for raw in batches([document(Place("-"), i, text) for i, text in enumerate(_TEXTS)]):
        sifter.sift(raw)
    some = TextBatch.of(list(_TEXTS))
    for rule in rules_of(Contamination()):
        index = NgramIndex.build([(["a", "b"], some)], rule.words, rule.shortest)
        resolve(rule, index, rule.scan(index, some), 10)
    anchors(some, 40)
    anchored_runs(some, 40, filter_of([], 0))
    passages = Passages.of(some, "line")
    without(some, passages, passages.words > 0)
    warm_up_tokenizing()
