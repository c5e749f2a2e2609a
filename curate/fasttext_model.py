"""fastText's supervised models, scored by kernels of our own: any .bin or .ftz file, straight on Arrow texts.

    texts ─▶ rows of the input matrix (curate/fasttext_rows.py) ─▶ their mean ─▶ a score for each label

fastText's binding takes one Python string after the other and looks every n-gram up in a hash map; here a batch of
texts is one call. Scores are the model's own: softmax; one-versus-all, with fastText's table of 512 sigmoids; or
hierarchical softmax (Joulin et al. 2016, "Bag of Tricks"), where a label's score is the product of the turns on its way
down a Huffman tree that follows from the labels' counts.

    model = FastTextModel.load("lid.176.ftz")
    labels, scores = model.predict(texts)
    model.labels[labels[0]], scores[0]          # "en", 0.98

Legend: n texts, d dimensions, l labels.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from numba import njit

from curate.fasttext_file import HIERARCHICAL, PREFIX, SOFTMAX, UNJOINED, FastTextFile, Float32s, read_file
from curate.fasttext_rows import Int64s, Reader, reader, sums_of_rows
from curate.plugins import nearest_hint
from curate.shards.fault import Fault
from curate.text import TextBatch

Int32s = npt.NDArray[np.int32]

SIGMOIDS = 512  # steps of fastText's table
FARTHEST = 8  # it reaches from -8 to 8


class Scorer(NamedTuple):
    """What turns a mean of rows into scores. Nodes of a tree: labels by falling count, inner nodes, the root last."""

    output: Float32s  # (d, l): a column a label; of a hierarchical softmax a column an inner node, and one unused
    left: Int32s  # (2 l - 1,) children of each node of the tree, -1 for none. Empty: there is no tree
    right: Int32s
    sigmoids: Float32s  # (SIGMOIDS + 1,)
    has_tree: bool
    has_softmax: bool


@dataclass(frozen=True, slots=True)
class FastTextModel:
    labels: tuple[str, ...]
    """Without __label__, in the model's order."""
    reader: Reader
    scorer: Scorer

    @classmethod
    def load(cls, path: str | Path) -> FastTextModel:
        """The model in a file, read once per process. Raises Fault where it is no supervised fastText model."""
        place = Path(path)
        if not place.is_file():
            raise Fault("there is no such fastText model", where=str(path), hint="give the path of a .bin or .ftz file")
        about = place.stat()  # a file written anew is another model
        return _loaded(str(place.resolve()), about.st_mtime_ns, about.st_size)

    def predict(self, texts: pa.LargeStringArray) -> tuple[Int32s, Float32s]:  # (n,), (n,)
        """(number of the best label, its probability) of each text; (-1, 0) where the model has nothing to go by."""
        return best_labels(self.scorer, *self.sums(texts))

    def probabilities(self, texts: pa.LargeStringArray) -> Float32s:  # (n, l)
        return all_scores(self.scorer, *self.sums(texts))

    def probability(self, label: str, texts: pa.LargeStringArray) -> Float32s:  # (n,)
        """Of one label, with or without __label__. Raises Fault where the model has no such label."""
        return label_scores(self.scorer, *self.sums(texts), self.number(label))

    def number(self, label: str) -> int:
        name = label.removeprefix(PREFIX)
        if name not in self.labels:
            hint = nearest_hint(name, list(self.labels)) or f"it has {', '.join(self.labels[:12])}"
            raise Fault(f"the fastText model has no label {name!r}", hint=hint)
        return self.labels.index(name)

    def sums(self, texts: pa.LargeStringArray) -> tuple[Float32s, Int64s]:
        """(sum of each text's rows (n, d), how many they are (n,)). A null reads as an empty text."""
        batch = TextBatch(texts.fill_null("") if texts.null_count else texts)
        return sums_of_rows(self.reader, batch.data, batch.offsets[:-1], batch.offsets[1:])


@lru_cache(maxsize=16)
def _loaded(path: str, _modified: int, _size: int) -> FastTextModel:
    file = read_file(Path(path))
    return FastTextModel(file.label_names, reader(file), _scorer(file))


def _scorer(file: FastTextFile) -> Scorer:
    steps = np.arange(SIGMOIDS + 1) * 2 * FARTHEST / SIGMOIDS - FARTHEST
    has_tree = file.loss == HIERARCHICAL
    left, right = huffman_tree(file.label_counts) if has_tree else (np.zeros(0, np.int32),) * 2
    return Scorer(
        np.ascontiguousarray(file.output[: len(file.labels)].T),
        left,
        right,
        (1 / (1 + np.exp(-steps))).astype(np.float32),
        has_tree,
        file.loss == SOFTMAX,
    )


def huffman_tree(counts: tuple[int, ...]) -> tuple[Int32s, Int32s]:
    """(left, right): each inner node joins the two lightest that have no parent yet, as fastText picks them.

    Labels come in falling order of count, so both labels and inner nodes wait in order of weight; of two of the same
    weight the inner node goes first.
    """
    n = len(counts)
    left, right = np.full(2 * n - 1, -1, np.int32), np.full(2 * n - 1, -1, np.int32)
    weight = [*counts, *[UNJOINED] * (n - 1)]
    leaf, node = n - 1, n
    for joined in range(n, 2 * n - 1):
        pair = []
        for _ in range(2):
            if leaf >= 0 and weight[leaf] < weight[node]:
                pair.append(leaf)
                leaf -= 1
            else:
                pair.append(node)
                node += 1
        left[joined], right[joined] = pair
        weight[joined] = weight[pair[0]] + weight[pair[1]]
    return left, right


# -- kernels: sums of rows to scores


@njit(cache=True, nogil=True)
def best_labels(scorer, sums, counts):  # type: ignore[no-untyped-def]
    """(label (n,) int32, score (n,) float32); (-1, 0) where no row was named."""
    n_labels = scorer.output.shape[1]
    labels, best = np.full(len(sums), -1, np.int32), np.zeros(len(sums), np.float32)
    scores, nodes = np.empty(n_labels, np.float32), np.empty(2 * n_labels, np.int64)
    chances = np.empty(2 * n_labels, np.float64)
    for i in range(len(sums)):
        if counts[i] > 0:
            _products(scorer.output, sums[i], counts[i], scores)
            if scorer.has_tree:
                labels[i], best[i] = _best_leaf(scorer, scores, nodes, chances)
            else:
                _finish(scorer, scores, chances)
                labels[i] = np.argmax(scores)
                best[i] = scores[labels[i]]
    return labels, best


@njit(cache=True, nogil=True)
def all_scores(scorer, sums, counts):  # type: ignore[no-untyped-def]
    """(n, l) float32; zeros where no row was named."""
    scores = np.zeros((len(sums), scorer.output.shape[1]), np.float32)
    chances = np.empty(2 * scores.shape[1], np.float64)
    for i in range(len(sums)):
        if counts[i] > 0:
            _products(scorer.output, sums[i], counts[i], scores[i])
            _finish(scorer, scores[i], chances)
    return scores


@njit(cache=True, nogil=True)
def label_scores(scorer, sums, counts, label):  # type: ignore[no-untyped-def]
    """One column of `all_scores`, without the others' memory."""
    column, scores = np.zeros(len(sums), np.float32), np.empty(scorer.output.shape[1], np.float32)
    chances = np.empty(2 * len(scores), np.float64)
    for i in range(len(sums)):
        if counts[i] > 0:
            _products(scorer.output, sums[i], counts[i], scores)
            _finish(scorer, scores, chances)
            column[i] = scores[label]
    return column


@njit(cache=True, nogil=True)
def _products(output, total, count, products):  # type: ignore[no-untyped-def]
    """The mean row times each column: columns side by side, so that no sum is reordered on any machine."""
    products[:] = 0
    for k in range(len(total)):
        mean = total[k] / np.float32(count)
        for column in range(len(products)):
            products[column] += mean * output[k, column]


@njit(cache=True, nogil=True)
def _finish(scorer, scores, chances):  # type: ignore[no-untyped-def]
    """Products become scores, in place."""
    n = len(scores)
    if scorer.has_tree:
        chances[2 * n - 2] = 1
        for node in range(2 * n - 2, n - 1, -1):  # children stand below their parent
            turns_right = _turns_right(scores[node - n])
            chances[scorer.left[node]] = chances[node] * (1 - turns_right + 1e-5)
            chances[scorer.right[node]] = chances[node] * (turns_right + 1e-5)
        for label in range(n):
            scores[label] = min(chances[label], 1)
    elif scorer.has_softmax:
        total, largest = np.float32(0), scores.max()
        for label in range(n):
            scores[label] = np.exp(scores[label] - largest)
            total += scores[label]
        for label in range(n):
            scores[label] /= total
    else:
        for label in range(n):
            scores[label] = _sigmoid(scorer.sigmoids, scores[label])


@njit(cache=True, nogil=True, inline="always")
def _sigmoid(table, product):  # type: ignore[no-untyped-def]
    """As coarse as fastText's own, so that a score can be held against a bound that was chosen with it."""
    if product > FARTHEST:
        return np.float32(1)
    if not product >= -FARTHEST:  # also what is no number
        return np.float32(0)
    return table[np.int64((product + np.float32(FARTHEST)) * np.float32(SIGMOIDS / FARTHEST / 2))]


@njit(cache=True, nogil=True)
def _best_leaf(scorer, products, nodes, chances):  # type: ignore[no-untyped-def]
    """(label, score): down the likelier branch first, then only where something better may still hang."""
    n = len(products)
    nodes[0], chances[0], waiting = 2 * n - 2, 1.0, 1
    label, best = -1, -1.0
    while waiting:
        waiting -= 1
        node, chance = nodes[waiting], chances[waiting]
        if chance <= best:
            continue
        if node < n:
            label, best = node, chance
            continue
        turns_right = _turns_right(products[node - n])
        likelier_is_right = turns_right > 0.5
        for is_right in (not likelier_is_right, likelier_is_right):  # what comes last is taken first
            nodes[waiting] = scorer.right[node] if is_right else scorer.left[node]
            chances[waiting] = chance * ((turns_right if is_right else 1 - turns_right) + 1e-5)
            waiting += 1
    return label, min(best, 1.0)


@njit(cache=True, nogil=True, inline="always")
def _turns_right(product):  # type: ignore[no-untyped-def]
    """Chance of the right branch. fastText adds 1e-5 to every chance on the way, and so do those who ask."""
    return 1 / (1 + np.exp(-np.float64(product)))
