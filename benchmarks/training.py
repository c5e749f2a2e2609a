"""Training: useful tokens a second of ours beside Hugging Face's Trainer, on the same documents and the same model.

    python -m benchmarks.training --data ../shared/data --tokens 60_000

A Llama of six million parameters from the same random weights, one epoch over documents of mixed length, the same
tokens in an optimizer step on average, the same precision, all cores. Useful tokens are tokens of documents: padding
doesn't count. Every text gives one document, its first tokens up to the length of a row, so that lengths are mixed and
nobody has to crop. The peers:

    Trainer, padded            its padding collator, documents in random order
    Trainer, padded by length  the same with documents of like length together (train_sampling_strategy)
    Trainer, flattened         DataCollatorWithFlattening: documents in one row, told apart by position ids, with the
                               cache switched off, without which transformers' attention crosses documents in silence

How many documents a peer takes at once (the rest of a step by gradient accumulation) is chosen for each by trying:
the fastest counts. Seconds are of steps alone, without start-up and saving, on all sides. TRL is no dependency of
ours and not measured.

Same work means: every side trains on the same number of labelled tokens, and, before any training, finds the same loss
on the same documents to a thousandth: nobody's attention looks into a neighbour.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from benchmarks.contest import Entrant, Outcome, Unequal, hold, parser, tell
from benchmarks.texts import texts
from curate.shards.corpus import write_manifest
from curate.shards.format import TokenBatch, write_shard_file, write_split_info
from curate.tokenizing import Tokenizer
from curate.train_tokenizer import train_tokenizer

LLAMA = {"hidden_size": 256, "num_hidden_layers": 6, "num_attention_heads": 8, "intermediate_size": 704}
VOCABULARY = 4096
SEED = 1
TEXT_MB = 2.0  # for the tokenizer, and the documents are its first ones
AT_ONCE = [4, 16]  # documents that a peer's forward pass takes: the fastest counts
CLOSE = 1e-3  # relative, of losses before training
SAMPLE = 8  # documents whose losses are compared


@dataclass(frozen=True, slots=True)
class Work:
    documents: list[np.ndarray]  # each (length,) uint16
    folder: Path
    row: int
    step_tokens: int
    model: dict[str, int]
    precision: str

    @property
    def tokens(self) -> int:
        return sum(map(len, self.documents))

    @property
    def targets(self) -> int:
        """A document's first token is predicted by nobody."""
        return self.tokens - len(self.documents)

    @property
    def step_documents(self) -> int:
        return max(1, round(self.step_tokens / (self.tokens / len(self.documents))))

    def cut(self, documents: int) -> Work:
        return Work(self.documents[:documents], self.folder, self.row, self.step_tokens, self.model, self.precision)


def main(line: list[str] | None = None) -> None:
    asked = parser(__doc__, mb=TEXT_MB)
    asked.add_argument("--tokens", type=int, default=16_000, help="of the epoch (default: %(default)s)")
    asked.add_argument("--row", type=int, default=1024, help="tokens of a packed row (default: %(default)s)")
    asked.add_argument("--step-tokens", type=int, default=4096, help="of an optimizer step (default: %(default)s)")
    asked.add_argument("--hidden", type=int, default=LLAMA["hidden_size"], help="of the model (default: %(default)s)")
    asked.add_argument("--layers", type=int, default=LLAMA["num_hidden_layers"], help="(default: %(default)s)")
    asked.add_argument("--precision", choices=("auto", "bf16", "fp32"), default="auto", help="auto: bf16 where fast")
    asked.add_argument("--at-once", type=int, action="append", help="documents Trainer takes at once (default: tries)")
    asked.add_argument("--threads", type=int, help="of torch (default: all cores)")
    given = asked.parse_args(line)
    with _threads(given.threads), tempfile.TemporaryDirectory() as folder:
        tell(given, [contest(_work(given, Path(folder)), given.rounds, given.at_once or AT_ONCE)])


@contextmanager
def _threads(wanted: int | None) -> Iterator[None]:
    import torch

    had = torch.get_num_threads()
    torch.set_num_threads(wanted or had)
    yield
    torch.set_num_threads(had)


def _work(given: Any, folder: Path) -> Work:
    train_tokenizer(texts(given.data, given.mb), VOCABULARY, folder / "tokenizer")
    ids, offsets = Tokenizer.load(folder / "tokenizer").encode(pa.array(texts(given.data, given.mb), pa.large_string()))
    documents = [ids[a:b][: given.row].astype(np.uint16) for a, b in pairwise(offsets)]
    # in an order of chance: generated and real texts may come in an order of their own
    shuffled = [documents[i] for i in np.random.default_rng(SEED).permutation(len(documents))]
    enough = int(np.searchsorted(np.cumsum([len(document) for document in shuffled]), given.tokens)) + 1
    model = {**LLAMA, "hidden_size": given.hidden, "num_hidden_layers": given.layers}
    if sum(map(len, shuffled)) < given.tokens:
        raise SystemExit(f"{given.mb} MB of text hold {sum(map(len, shuffled)):,} tokens: ask for more with --mb")
    return Work(shuffled[:enough], folder, given.row, given.step_tokens, model, given.precision)


def contest(work: Work, rounds: int, sizes: list[int]) -> Outcome:
    import torch
    import transformers

    transformers.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    same_work = check(work)
    kinds = collators(work)
    runs = {kind: partial(trainer, work, kind, collate) for kind, collate in kinds.items()}
    chosen = {kind: _fastest(work, kind, collate, sizes) for kind, collate in kinds.items()}
    ours(work.cut(4 * SAMPLE))
    entrants = [Entrant("ours", lambda: ours(work), lambda: None)]
    entrants += [
        Entrant(f"Trainer, {kind}, {chosen[kind]} at once", partial(run, at_once=chosen[kind]), lambda: None)
        for kind, run in runs.items()
    ]
    lengths = sorted(map(len, work.documents))
    return Outcome(
        work=f"{work.tokens:,} tokens in {len(lengths):,} documents of {lengths[0]:,} to {lengths[-1]:,} (half "
        f"below {lengths[len(lengths) // 2]:,}), {_parameters(work):,} parameters, {_dtype(work)}, "
        f"{torch.get_num_threads()} threads",
        unit="useful tokens",
        amount=work.tokens,
        clock="wall",
        turns=hold(entrants, rounds),
        same_work=same_work,
        notes=(
            f"Steps of {work.step_tokens:,} places (ours) or {work.step_documents} documents (Trainer's), which hold "
            f"as many tokens on average; Trainer took at once what was fastest for each of {sizes} documents.",
            "TRL is not installed and was left out.",
        ),
    )


def _fastest(work: Work, kind: str, collate: Collator, sizes: list[int]) -> int:
    """Documents at once, by trying on one step's worth after a first forward pass; all of which also warms up."""
    few = work.cut(work.step_documents)
    trainer(few.cut(1), kind, collate, at_once=1)
    sizes = [size for size in sizes if size <= work.step_documents] or [1]
    return sizes[0] if len(sizes) == 1 else min(sizes, key=lambda size: trainer(few, kind, collate, at_once=size))


# -- ours


def ours(work: Work) -> float:
    """Seconds in steps of one epoch."""
    from pretrain.settings import Train
    from pretrain.stream import Corpus, Stream
    from pretrain.train import train

    place = Path(tempfile.mkdtemp(dir=work.folder))
    _write_shards(place / "shards", work.documents)
    stream = Stream.open(
        [Corpus("domain", place / "shards" / "train")],
        sequence_length=work.row,
        rows_per_step=max(1, work.step_tokens // work.row),
        seed=SEED,
        epochs=1,
    )
    settings = Train(
        base="random weights",
        sequence_length=work.row,
        batch_tokens=work.step_tokens,
        checkpoint_every=10**9,
        precision=work.precision,
    )
    result = train(
        settings, model=_model(work), stream=stream, out=place / "training", seed=SEED, card="", progress=False
    )
    if result.tokens != work.tokens:
        raise Unequal(f"ours trained on {result.tokens:,} tokens of {work.tokens:,}")
    shutil.rmtree(place)
    return result.seconds


def _write_shards(corpus: Path, documents: list[np.ndarray]) -> None:
    lengths = np.array([len(document) for document in documents], np.int64)
    batch = TokenBatch(
        tokens=np.concatenate(documents),
        offsets=np.concatenate([[0], np.cumsum(lengths)]),
        ids=[f"document-{i}" for i in range(len(documents))],
        sources=["benchmark"] * len(documents),
        n_bytes=4 * lengths,
    )
    write_shard_file(corpus / "train" / "data-00000-of-00001.arrow", [batch], pa.uint16())
    write_split_info(corpus / "train", "train")
    write_manifest(corpus, fingerprint={}, tokenizer={})


def _model(work: Work) -> Any:
    from pretrain.models import from_scratch

    config = {**work.model, "max_position_embeddings": work.row}
    return from_scratch(config, VOCABULARY, bos=0, eos=1, pad=2, seed=SEED)


def _parameters(work: Work) -> int:
    return sum(parameter.numel() for parameter in _model(work).parameters())


def _dtype(work: Work) -> str:
    import torch

    from pretrain.models import compute_dtype

    return "bf16" if compute_dtype(work.precision, torch.device("cpu")) == torch.bfloat16 else "fp32"


# -- Hugging Face's Trainer

Collator = Callable[[list[dict[str, Any]]], dict[str, Any]]


def collators(work: Work) -> dict[str, Collator]:
    """transformers' own."""
    from transformers import AutoTokenizer, DataCollatorForLanguageModeling, DataCollatorWithFlattening

    padded = DataCollatorForLanguageModeling(AutoTokenizer.from_pretrained(work.folder / "tokenizer"), mlm=False)
    return {"padded": padded, "padded by length": padded, "flattened": DataCollatorWithFlattening()}


@dataclass(slots=True)
class _Counting:
    """A collator that counts the labelled tokens it hands out."""

    collate: Collator
    targets: int = 0

    def __call__(self, documents: list[dict[str, Any]]) -> dict[str, Any]:
        batch = self.collate([{"input_ids": one["input_ids"]} for one in documents])
        self.targets += int((batch["labels"][:, 1:] != -100).sum())  # the model shifts labels by one
        return batch


def trainer(work: Work, kind: str, collate: Collator, *, at_once: int) -> float:
    """Seconds in steps of one epoch."""
    import datasets
    from transformers import PrinterCallback, Trainer, TrainerCallback, TrainingArguments

    clock: dict[str, float] = {}

    class Clock(TrainerCallback):
        def on_train_begin(self, *_: Any, **__: Any) -> None:
            clock["begun"] = time.perf_counter()

        def on_train_end(self, *_: Any, **__: Any) -> None:
            clock["ended"] = time.perf_counter()

    counting = _Counting(collate)
    place = tempfile.mkdtemp(dir=work.folder)
    arguments = TrainingArguments(
        output_dir=place,
        num_train_epochs=1,
        per_device_train_batch_size=at_once,
        gradient_accumulation_steps=max(1, work.step_documents // at_once),
        train_sampling_strategy="group_by_length" if kind == "padded by length" else "random",
        bf16=_dtype(work) == "bf16",
        use_cpu=True,
        seed=SEED,
        save_strategy="no",
        logging_strategy="no",
        report_to=[],
        disable_tqdm=True,
        remove_unused_columns=False,
    )
    rows = datasets.Dataset.from_dict(
        {"input_ids": [d.tolist() for d in work.documents], "length": [len(d) for d in work.documents]}
    )
    hf = Trainer(
        model=_for_trainer(work), args=arguments, train_dataset=rows, data_collator=counting, callbacks=[Clock()]
    )
    hf.remove_callback(PrinterCallback)
    hf.train()
    shutil.rmtree(place, ignore_errors=True)
    if counting.targets != work.targets:
        raise Unequal(f"Trainer ({kind}) trained on {counting.targets:,} labelled tokens of {work.targets:,}")
    return clock["ended"] - clock["begun"]


def _for_trainer(work: Work) -> Any:
    model = _model(work)
    model.config.use_cache = False  # with a cache the flattened row is one long document to the attention
    return model


# -- the same work


def check(work: Work) -> str:
    """Raises Unequal where the same weights find another loss on the same documents by another way."""
    import torch

    sample = [{"input_ids": document.tolist()} for document in work.documents[:SAMPLE]]
    model = _for_trainer(work).eval()
    with torch.no_grad():
        losses = {
            name: float(model(**collate(sample), use_cache=False).loss) for name, collate in collators(work).items()
        }
        losses = {"ours": _our_loss(_model(work).eval(), work.documents[:SAMPLE]), **losses}
    for name, loss in losses.items():
        if abs(loss - losses["ours"]) > CLOSE * losses["ours"]:
            raise Unequal(f"the first loss is {losses['ours']:.5f} by ours and {loss:.5f} by {name}")
    told = f"{min(losses.values()):.4f} to {max(losses.values()):.4f}"
    return f"all train on {work.targets:,} labelled tokens; loss before training on {len(sample)} documents {told}"


def _our_loss(model: Any, documents: list[np.ndarray]) -> float:
    import torch
    import torch.nn.functional as F

    from pretrain.attention import packed_inputs, use_packed_attention

    use_packed_attention(model)
    lengths = [len(document) for document in documents]
    ids = torch.from_numpy(np.concatenate(documents).astype(np.int64))
    positions = torch.cat([torch.arange(length) for length in lengths])
    edges = torch.tensor(np.cumsum([0, *lengths]), dtype=torch.int32)
    logits = model(**packed_inputs(ids, positions, edges)).logits[0]
    inside = (positions[1:] > 0).nonzero().squeeze(1)  # what comes next is of the same document
    return float(F.cross_entropy(logits[inside], ids[inside + 1]))


if __name__ == "__main__":
    main()
