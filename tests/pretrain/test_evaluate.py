"""Held-out scores: equal to a forward pass of each window alone, and to lm-eval's own numbers."""

from __future__ import annotations

import copy
import json
import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from curate.shards.corpus import ShardSplit
from curate.shards.fault import Fault
from curate.shards.format import TokenBatch, shard_name, token_dtype, write_shard_file, write_split_info
from pretrain.attention import use_packed_attention
from pretrain.evaluate import evaluate
from pretrain.held_out import HeldOut, Role, check_sets
from pretrain.models import from_scratch, save_model
from pretrain.result import measures
from pretrain.scoring import Compute, Scores, Tokens, score
from pretrain.settings import Evaluate
from pretrain.windows import windows

VOCABULARY, BOS, EOS = 260, 256, 257
TOKENS = Tokens(prefix=BOS, eos=EOS)
LENGTH = 24
TEXTS = [
    "The heart.",
    "x",
    "A murmur was heard over the apex, radiating to the axilla; echocardiography confirmed it. " * 3,
    "Twenty-three token text",
    "Exactly twenty four here",
    "And twenty five are these",
    "µ and 10⁶ have more bytes than letters: ünïcödé counts.",
    "One more short note.",
    "Give 5 mg daily, and see the patient again in a week from now.",
]


def tiny_llama(seed: int = 0) -> Any:
    shape = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "max_position_embeddings": 64}
    model = from_scratch(shape, VOCABULARY, bos=BOS, eos=EOS, pad=None, seed=seed)
    with torch.no_grad():  # logits far from uniform, so that every mistake of a position shows
        for weight in model.parameters():
            weight.mul_(10 if weight.dim() > 1 else 1)
    return model.eval()


def packed(model: Any) -> Any:
    model = copy.deepcopy(model)
    use_packed_attention(model)
    return model


def write_split(folder: Path, texts: list[str], begins: list[int] | None = None, ends: bool = True) -> ShardSplit:
    """A shard split whose tokens are the bytes of the texts."""
    rows = [(begins or []) + list(text.encode()) + [EOS] * ends for text in texts]
    batch = TokenBatch(
        tokens=np.concatenate([np.asarray(row, np.uint32) for row in rows]),
        offsets=np.cumsum([0] + [len(row) for row in rows], dtype=np.int64),
        ids=[f"notes/{row}" for row in range(len(rows))],
        sources=[("notes", "papers")[row % 2] for row in range(len(rows))],
        n_bytes=np.array([len(text.encode()) for text in texts], np.int64),
    )
    write_shard_file(folder / shard_name(0, 1), [batch], token_dtype(VOCABULARY))
    write_split_info(folder, folder.name)
    return ShardSplit.open(folder)


@torch.no_grad()
def one_by_one(model: Any, text: str, length: int, stride: int) -> float:
    """Nats of a text, each of its windows in a forward pass of its own with transformers' own attention."""
    stream = torch.tensor([BOS, *text.encode()])
    nats = 0.0
    for window in windows(0, len(stream) - 1, length, stride):
        logits = model(stream[window.start : window.stop][None]).logits[0, -window.scored :]
        wanted = stream[window.stop - window.scored + 1 : window.stop + 1]
        nats -= float(logits.double().log_softmax(-1).gather(1, wanted[:, None]).sum())
    return nats


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Threads that wait for one another take longer than a tiny model does."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def model() -> Any:
    return tiny_llama()


@pytest.fixture(scope="module")
def split(tmp_path_factory: pytest.TempPathFactory) -> ShardSplit:
    return write_split(tmp_path_factory.mktemp("shards") / "test", TEXTS)


def scores_of(model: Any, split: ShardSplit, rows: list[int] | None = None, **options: Any) -> Scores:
    rows = list(range(len(split))) if rows is None else rows
    return score(packed(model), split, np.array(rows), context_length=LENGTH, tokens=TOKENS, **options)


@pytest.mark.parametrize("batch_tokens", [1, 64, 8192])
def test_packed_scores_are_those_of_each_window_alone(model: Any, split: ShardSplit, batch_tokens: int) -> None:
    scores = scores_of(model, split, compute=Compute(batch_tokens=batch_tokens))
    alone = [one_by_one(model, text, LENGTH, LENGTH // 2) for text in TEXTS]
    assert scores.nats == pytest.approx(alone, rel=1e-5)
    assert max(len(text.encode()) for text in TEXTS) > 5 * LENGTH  # rolling windows did occur
    assert scores.nats.min() > 0


def test_every_text_token_is_scored_once_and_eos_counts_nowhere(model: Any, split: ShardSplit) -> None:
    told: list[int] = []
    scores = scores_of(model, split, progress=told.append)
    n_bytes = [len(text.encode()) for text in TEXTS]
    assert scores.tokens.tolist() == scores.n_bytes.tolist() == n_bytes  # one token per byte in these shards
    assert sum(told) == sum(n_bytes)


def test_a_leading_bos_and_a_missing_eos_change_no_score(model: Any, split: ShardSplit, tmp_path: Path) -> None:
    plain = scores_of(model, split)
    begun = scores_of(model, write_split(tmp_path / "begun", TEXTS, begins=[BOS]))
    open_ended = scores_of(model, write_split(tmp_path / "open", TEXTS, ends=False))
    for other in (begun, open_ended):
        assert other.nats.tolist() == plain.nats.tolist()
        assert other.tokens.tolist() == plain.tokens.tolist()


def test_eos_stands_in_for_a_missing_bos(model: Any, split: ShardSplit) -> None:
    framed = Tokens(prefix=EOS, eos=EOS)
    scores = score(packed(model), split, np.array([0]), context_length=LENGTH, tokens=framed)
    with torch.no_grad():
        stream = torch.tensor([EOS, *TEXTS[0].encode()])
        logits = model(stream[None, :-1]).logits[0].double().log_softmax(-1)
    assert scores.nats[0] == pytest.approx(-float(logits.gather(1, stream[1:, None]).sum()), rel=1e-5)
    assert scores.tokens[0] == len(TEXTS[0])


def test_the_order_of_documents_changes_no_bit(model: Any, split: ShardSplit) -> None:
    forward = scores_of(model, split, compute=Compute(batch_tokens=64))
    order = [3, 0, 8, 5, 1, 7, 2, 4, 6]
    shuffled = scores_of(model, split, rows=order, compute=Compute(batch_tokens=64))
    assert shuffled.nats.tolist() == forward.nats[order].tolist()
    assert shuffled.n_bytes.tolist() == forward.n_bytes[order].tolist()


def test_models_without_logits_to_keep_score_the_same(model: Any, split: ShardSplit) -> None:
    class Plain(torch.nn.Module):
        def __init__(self, inner: Any) -> None:
            super().__init__()
            self.inner = inner

        def get_input_embeddings(self) -> Any:
            return self.inner.get_input_embeddings()

        def forward(self, **inputs: Any) -> Any:
            return self.inner(**inputs)

    rows = np.arange(len(split))
    plain = score(Plain(packed(model)), split, rows, context_length=LENGTH, tokens=TOKENS)
    assert plain.nats == pytest.approx(scores_of(model, split).nats, rel=1e-6)


def test_bf16_is_near_fp32(model: Any, split: ShardSplit) -> None:
    exact, near = (scores_of(model, split, compute=Compute(dtype=dtype)) for dtype in (torch.float32, torch.bfloat16))
    assert near.nats.tolist() != exact.nats.tolist()
    assert near.nats.sum() == pytest.approx(exact.nats.sum(), rel=0.02)


def test_a_token_beyond_the_vocabulary_is_the_user_s_fault(split: ShardSplit) -> None:
    small = from_scratch({"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}, 100, 1, 2, None, seed=0)
    with pytest.raises(Fault, match="embeddings for 100"):
        score(packed(small), split, np.array([0]), context_length=LENGTH, tokens=TOKENS)


def test_scores_are_those_of_lm_eval_s_loglikelihood_rolling(
    model: Any, split: ShardSplit, monkeypatch: pytest.MonkeyPatch
) -> None:
    harness = pytest.importorskip("lm_eval.models.huggingface", reason="lm-eval is not installed")
    from lm_eval.api.instance import Instance

    theirs = harness.HFLM(
        pretrained=model, tokenizer=byte_tokenizer(), backend="causal", max_length=LENGTH, batch_size=4
    )
    assert theirs.prefix_token_id == BOS
    requests = [Instance("loglikelihood_rolling", {}, (text,), row) for row, text in enumerate(TEXTS)]
    disjoint = theirs.loglikelihood_rolling(requests, disable_tqdm=True)
    assert scores_of(model, split, stride=LENGTH).nats == pytest.approx([-nats for nats in disjoint], rel=1e-6)

    # the same harness with half-window steps: its own cut, asked for more context
    cut = harness.utils.get_rolling_token_windows
    half = lambda **given: cut(**{**given, "context_len": LENGTH - LENGTH // 2 + 1})  # noqa: E731
    monkeypatch.setattr(harness.utils, "get_rolling_token_windows", half)
    rolling = theirs.loglikelihood_rolling(requests, disable_tqdm=True)
    assert scores_of(model, split).nats == pytest.approx([-nats for nats in rolling], rel=1e-6)
    assert rolling != pytest.approx(disjoint, rel=1e-6)


def byte_tokenizer() -> Any:
    """A Hugging Face tokenizer that gives the UTF-8 bytes of a text, as the shards of these tests do."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    letters = bytes_to_letters()
    vocabulary = {letters[byte]: byte for byte in range(256)} | {"<s>": BOS, "</s>": EOS}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>")


def bytes_to_letters() -> list[str]:
    """Byte-level BPE's letter for each byte: the printable ones stand for themselves, the rest from U+0100 on."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = iter(range(0x100, 0x200))
    return [chr(byte) if byte in printable else chr(next(others)) for byte in range(256)]


# ---- measures ------------------------------------------------------------------------------------------------------


def test_measures_satisfy_the_published_numbers_of_llama_2_on_wikitext() -> None:
    word_ppl, byte_ppl, bits = 8.792073612124492, 1.5015845643537054, 0.5864857250704371
    n_words = 10**6
    n_bytes = n_words * math.log(word_ppl) / math.log(byte_ppl)
    found = measures(nats=n_words * math.log(word_ppl), tokens=10**6, n_bytes=n_bytes, words=n_words)  # type: ignore[arg-type]
    assert found["byte_perplexity"] == pytest.approx(byte_ppl, rel=1e-9)
    assert found["bits_per_byte"] == pytest.approx(bits, rel=1e-9)
    assert n_bytes / n_words == pytest.approx(5.347, abs=5e-4)


@pytest.mark.parametrize(
    ("nats", "tokens", "n_bytes", "words"), [(123.4, 40, 160, 31), (1e6, 3, 9_999, 1), (0.5, 1, 1, 1)]
)
def test_measures_are_one_number_over_four_denominators(nats: float, tokens: int, n_bytes: int, words: int) -> None:
    found = measures(nats, tokens, n_bytes, words)
    assert found["bits_per_byte"] == pytest.approx(math.log2(math.exp(nats / n_bytes)), rel=1e-9)
    if found["word_perplexity"] is not None:
        assert math.log(found["word_perplexity"]) * words == pytest.approx(nats)
    if found["token_perplexity"] is not None:
        assert math.log(found["token_perplexity"]) * tokens == pytest.approx(nats)


def test_a_perplexity_that_no_number_holds_is_null() -> None:
    assert measures(nats=1e6, tokens=10, n_bytes=10**6, words=0)["word_perplexity"] is None
    assert measures(nats=1e6, tokens=10, n_bytes=10**6, words=0)["token_perplexity"] is None


# ---- the whole -----------------------------------------------------------------------------------------------------


def held_out(name: str, role: Role, shard: Path, rows: list[int], clusters: list[str] | None = None) -> HeldOut:
    words = np.array([len(TEXTS[row].split()) for row in rows])
    return HeldOut(name, role, "test", shard, np.array(rows), clusters or [f"c{row}" for row in rows], words)


@pytest.fixture(scope="module")
def checkpoints(model: Any, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("models")
    save_model(model, None, folder / "base", "card")
    adapted = copy.deepcopy(model)
    with torch.no_grad():
        for weight in adapted.parameters():
            weight.mul_(0.1)  # says nothing: better on any text than a random model that shouts
    save_model(adapted, None, folder / "adapted", "card")
    return folder / "base", folder / "adapted"


def run(checkpoints: tuple[Path, Path], sets: list[HeldOut], **options: Any) -> Any:
    settings = Evaluate(resamples=500)
    return evaluate(*checkpoints, sets, settings, context_length=LENGTH, seed=1, tokens=TOKENS, **options)


@pytest.fixture(scope="module")
def sets(split: ShardSplit) -> list[HeldOut]:
    return [
        held_out("domain", "domain", split.folder, [0, 2, 3, 5, 6, 8]),
        held_out("web", "general", split.folder, [1, 4, 7]),
        held_out("law", "control", split.folder, [0, 1, 2, 3, 4, 5, 6]),
    ]


def test_evaluation_json_has_the_shape_of_the_design(
    checkpoints: tuple[Path, Path], sets: list[HeldOut], tmp_path: Path
) -> None:
    told: list[tuple[str, int, int]] = []
    evaluation = run(checkpoints, sets, progress=lambda *step: told.append(step))
    page = evaluation.write(tmp_path)
    content = json.loads(page.read_text())
    assert list(content["sets"]) == ["domain", "web", "law"]
    for one, given in zip(content["sets"].values(), sets, strict=True):
        assert {"role", "split", "documents", "bytes", "tokens", "before", "after", "change"} <= set(one)
        for side in ("before", "after"):
            assert set(one[side]) == {
                "nats", "bits_per_byte", "byte_perplexity", "word_perplexity", "token_perplexity"
            }  # fmt: skip
        assert {"bits_per_byte", "ci95", "p_value", "units"} <= set(one["change"])
        assert one["documents"] == len(given.documents)
        difference = one["after"]["bits_per_byte"] - one["before"]["bits_per_byte"]
        assert one["change"]["bits_per_byte"] == pytest.approx(difference, abs=1e-12)
    low, high = content["sets"]["domain"]["change"]["ci95"]
    assert low < content["sets"]["domain"]["change"]["bits_per_byte"] < high
    assert content["sets"]["web"]["change"]["ci95"] is None  # three units
    assert content["verdict"]["domain"] == "gain"
    assert content["verdict"]["changes"]["domain"]["ci95"] == content["sets"]["domain"]["change"]["ci95"]
    assert content["protocol"]["stride_tokens"] == LENGTH // 2
    assert [side for side, _, _ in told] == ["before"] * (len(told) // 2) + ["after"] * (len(told) // 2)
    assert not list(tmp_path.glob("*.tmp"))


def test_the_document_table_gives_every_number_again(
    checkpoints: tuple[Path, Path], sets: list[HeldOut], tmp_path: Path
) -> None:
    run(checkpoints, sets).write(tmp_path)
    content = json.loads((tmp_path / "evaluation.json").read_text())
    rows = pq.read_table(tmp_path / "evaluation-documents.parquet").to_pandas()
    for name, one in content["sets"].items():
        of_set = rows[rows["set"] == name]
        for column, number in (("bytes", "bytes"), ("tokens", "tokens"), ("words", "words")):
            assert of_set[column].sum() == one[number]
        assert of_set["nats_before"].sum() == pytest.approx(one["before"]["nats"])
        assert of_set["nats_after"].sum() == pytest.approx(one["after"]["nats"])
        by_document = of_set["nats_after"] / of_set["bytes"] / math.log(2)
        assert by_document.mean() == pytest.approx(one["document_mean"]["after"])
        for source, numbers in one["sources"].items():
            assert of_set[of_set["source"] == source]["nats_before"].sum() == pytest.approx(numbers["before"]["nats"])
        assert sum(numbers["documents"] for numbers in one["sources"].values()) == one["documents"]
    assert rows[rows["set"] == "domain"]["id"].tolist() == [f"notes/{row}" for row in (0, 2, 3, 5, 6, 8)]


def test_a_model_against_itself_shows_exactly_nothing(checkpoints: tuple[Path, Path], sets: list[HeldOut]) -> None:
    content = run((checkpoints[0], checkpoints[0]), sets).content
    for one in content["sets"].values():
        assert one["before"] == one["after"]
        assert one["change"]["bits_per_byte"] == 0
    assert (content["verdict"]["domain"], content["verdict"]["forgetting"]) == ("none", "none")


def test_the_same_evaluation_gives_the_same_bytes(
    checkpoints: tuple[Path, Path], sets: list[HeldOut], tmp_path: Path
) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        run(checkpoints, sets).write(tmp_path / name)
    for file in ("evaluation.json", "evaluation-documents.parquet"):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()


def test_near_copies_count_as_one_unit(checkpoints: tuple[Path, Path], split: ShardSplit) -> None:
    rows = [0, 2, 3, 5, 6, 8]
    together = held_out("domain", "domain", split.folder, rows, clusters=["a", "b", "c", "d", "e", "e"])
    assert run(checkpoints, [together]).content["sets"]["domain"]["change"]["units"] == 5


def test_clean_and_touched_documents_are_the_whole_set(
    checkpoints: tuple[Path, Path], split: ShardSplit, tmp_path: Path
) -> None:
    touched = np.array([False, True, False, False, True, True])
    domain = replace(held_out("domain", "domain", split.folder, [0, 2, 3, 5, 6, 8]), touched=touched)
    none = replace(held_out("law", "control", split.folder, [0, 1, 2, 3, 4]), touched=np.zeros(5, np.bool_))
    unknown = held_out("web", "general", split.folder, [1, 4, 7])
    evaluation = run(checkpoints, [domain, none, unknown])
    evaluation.write(tmp_path)
    rows = pq.read_table(tmp_path / "evaluation-documents.parquet").to_pandas()
    whole = evaluation.content["sets"]["domain"]
    parts = [whole["clean"], whole["touched"]]
    assert [one["documents"] for one in parts] == [3, 3]
    for number in ("documents", "bytes", "words", "tokens"):
        assert sum(one[number] for one in parts) == whole[number]
    for side in ("before", "after"):
        assert sum(one[side]["nats"] for one in parts) == pytest.approx(whole[side]["nats"])
        of_touched = rows[(rows["set"] == "domain") & (rows["touched"] == True)]  # noqa: E712 (null is neither)
        assert of_touched[f"nats_{side}"].sum() == pytest.approx(parts[1][side]["nats"])
    assert [one["change"]["units"] for one in parts] == [3, 3]
    assert evaluation.content["sets"]["law"]["touched"] is None
    assert evaluation.content["sets"]["law"]["clean"]["before"] == evaluation.content["sets"]["law"]["before"]
    assert [evaluation.content["sets"]["web"][name] for name in ("clean", "touched")] == [None, None]
    assert rows[rows["set"] == "web"]["touched"].isna().all()


def test_a_domain_set_too_small_for_an_interval_is_refused_before_any_model_is_loaded(split: ShardSplit) -> None:
    few = held_out("domain", "domain", split.folder, [0, 1, 2, 3, 4], clusters=["a", "a", "b", "c", "d"])
    with pytest.raises(Fault, match="5 documents in 4 duplicate clusters") as fault:
        run((Path("nowhere"), Path("nowhere")), [few])
    assert "widen curate.split.test" in fault.value.hint
    with pytest.raises(Fault, match="no held-out domain set"):
        check_sets([held_out("web", "general", split.folder, [0, 1, 2, 3, 4])])


def test_a_model_that_gives_no_finite_loss_is_named(
    checkpoints: tuple[Path, Path], sets: list[HeldOut], tmp_path: Path, model: Any
) -> None:
    broken = copy.deepcopy(model)
    with torch.no_grad():
        broken.lm_head.weight.fill_(math.nan)
    save_model(broken, None, tmp_path / "broken", "card")
    with pytest.raises(Fault, match="after training gives no finite loss on 'domain'"):
        run((checkpoints[0], tmp_path / "broken"), sets)
