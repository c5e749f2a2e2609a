"""The laws of training, on a whole small run: all tokens accounted for, documents apart, any interruption resumed."""

from __future__ import annotations

import json
import shutil
import signal
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pytest
import torch
import torch.nn.functional as F
import transformers
from outcomes import metrics, only_curated, postgrad, python, weights, write_recipe
from small import TRAIN, small_recipe

from curate.ledger import read_ledger
from curate.plugins import siblings
from curate.shards.fault import Fault
from curate.shards.seal import checksums, sealed_with
from pipelines.cards import model_card
from pipelines.folder import RunFolder
from pipelines.recipe import Recipe
from pipelines.training import open_stream, train, warn_of_less_replay
from pretrain.attention import use_packed_attention
from pretrain.loss import OnDevice, backward, head_is_plain
from pretrain.rows import PADDING

STEPS = 16


@pytest.fixture(scope="module")
def recipe(corpus: Path) -> Recipe:
    return small_recipe(corpus, train=TRAIN)


def changed(corpus: Path, **settings: Any) -> Recipe:
    return small_recipe(corpus, train={**TRAIN, **settings})


def stream_of(recipe: Recipe, run: RunFolder) -> Any:
    assert recipe.train is not None
    return open_stream(recipe, run, recipe.train)


def token_ledger(run: RunFolder) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((run.training / "token_ledger.json").read_text())
    return found


# ---- every token (law 3)


def pieces(stream: Any) -> Iterator[tuple[str, int, int, np.ndarray]]:
    """(corpus, document, first token, ids) of every segment of every row, in the order of training."""
    for step in range(stream.steps):
        batch = stream.batch(step)
        rows = zip(
            batch.segment_corpus,
            batch.segment_document,
            batch.segment_start,
            np.split(batch.input_ids, batch.cu_seqlens[1:-1]),
            strict=True,
        )
        for corpus, document, start, ids in rows:
            if corpus != PADDING:
                yield stream.corpora[corpus].name, int(document), int(start), ids


@pytest.mark.parametrize("packer", siblings("pretrain.packers"))
def test_an_epoch_is_every_token_of_every_document_once(trained: RunFolder, corpus: Path, packer: str) -> None:
    stream = stream_of(changed(corpus, epochs=1, packer=packer), trained)
    shards = datasets.load_from_disk(str(trained.shards / "domain" / "train"))
    found = sorted((d, start, ids.tolist()) for name, d, start, ids in pieces(stream) if name == "domain")
    assert len(found) > len(shards)  # documents are split over rows
    joined = {d: [i for _, _, ids in parts for i in ids] for d, parts in groupby(found, key=lambda piece: piece[0])}
    assert joined == dict(enumerate(shards["input_ids"]))


def test_the_token_ledger_sums_for_every_corpus_and_epoch(trained: RunFolder, corpus: Path) -> None:
    stream = stream_of(changed(corpus, epochs=1.5, replay=0.3), trained)
    ledger = stream.ledger()
    seen: dict[str, int] = {}
    for name, _, _, ids in pieces(stream):
        seen[name] = seen.get(name, 0) + len(ids)
    assert seen.keys() == ledger["corpora"].keys() == {"domain", "web"}
    for name, one in ledger["corpora"].items():
        shards = datasets.load_from_disk(str(trained.shards / name / "train"))
        assert one["documents"] == len(shards)
        assert one["tokens"] == sum(map(len, shards["input_ids"]))
        assert one["trained"] == seen[name]
        for epoch in (one, *one["epochs"]):
            assert epoch["rows"] * ledger["row_length"] == epoch["trained"] + epoch["padding"]
        assert all(
            epoch["tokens"] == epoch["trained"] + epoch["not_reached"] == one["tokens"] for epoch in one["epochs"]
        )
        assert sum(epoch["trained"] for epoch in one["epochs"]) == one["trained"]
    assert [len(one["epochs"]) for one in ledger["corpora"].values()] == [2, 3]  # the small one goes round again
    assert all(one["epochs"][-1]["not_reached"] > 0 for one in ledger["corpora"].values())


def test_the_written_token_ledger_agrees_with_metrics_manifest_and_ledger(trained: RunFolder) -> None:
    ledger, lines = token_ledger(trained), [line for line in metrics(trained) if "loss" in line]
    assert sum(line["tokens"] for line in lines) == sum(one["trained"] for one in ledger["corpora"].values())
    assert sum(line["rows"] for line in lines) == ledger["rows"]
    documents = read_ledger(trained.curated / "ledger", ["shard", "tokens", "split"]).to_pylist()
    for name, one in ledger["corpora"].items():
        mine = [d for d in documents if d["split"] == "train" and d["shard"].startswith(f"{name}/")]
        written = json.loads((trained.shards / name / "manifest.json").read_text())["splits"]["train"]
        assert one["documents"] == len(mine) == written["documents"]
        assert one["tokens"] == sum(d["tokens"] for d in mine) == written["tokens"]


@pytest.mark.parametrize("replay", [0.0, 0.05, 0.1, 0.37])
def test_replay_is_the_share_asked_for_within_a_row_of_a_thousand(
    trained: RunFolder, corpus: Path, replay: float
) -> None:
    ledger = stream_of(changed(corpus, replay=replay), trained).ledger()
    web = ledger["corpora"].get("web", {"rows": 0, "trained": 0})
    assert abs(web["rows"] / ledger["rows"] - replay) <= 1 / 1000
    assert abs(web["trained"] / sum(one["trained"] for one in ledger["corpora"].values()) - replay) <= 3 / 1000
    assert (web["rows"] > 0) == (replay > 0)


def test_replay_that_a_limit_forbids_is_said_and_not_claimed(
    trained: RunFolder, corpus: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = changed(corpus, epochs=1, replay=0.6, repeat_at_most=1.5).train
    assert settings is not None
    stream = open_stream(changed(corpus, epochs=1, replay=0.6, repeat_at_most=1.5), trained, settings)
    assert max(stream.repetitions().values()) <= 1.5
    warn_of_less_replay(settings, stream)
    assert "of the rows are replay, not 60.00%" in capsys.readouterr().err


# ---- documents apart (law 4)


def test_packed_loss_is_the_sum_of_the_documents_losses_alone(trained: RunFolder, corpus: Path) -> None:
    """The run's weights and shards; alone: transformers' own attention, one document at a time."""
    batch = stream_of(changed(corpus, sequence_length=2048, batch_tokens=8192), trained).batch(0)
    packed = transformers.AutoModelForCausalLM.from_pretrained(trained.model)
    use_packed_attention(packed)
    nats = backward(packed, OnDevice.of(batch, packed.device), batch.n_targets, torch.float32, head_is_plain(packed))
    alone = transformers.AutoModelForCausalLM.from_pretrained(trained.model).eval()
    segments = np.split(batch.input_ids, batch.cu_seqlens[1:-1])
    real = [ids for ids, corpus in zip(segments, batch.segment_corpus, strict=True) if corpus != PADDING]
    assert len(real) > 10
    losses = [_nats(alone, torch.from_numpy(ids)) for ids in real]
    assert len(nats) == sum(map(len, losses)) == batch.n_targets
    torch.testing.assert_close(nats, torch.cat(losses), rtol=1e-4, atol=1e-4)
    assert float(nats.double().sum()) == pytest.approx(float(torch.cat(losses).double().sum()), rel=1e-6)


@torch.no_grad()
def _nats(model: Any, ids: torch.Tensor) -> torch.Tensor:  # (n - 1,)
    return F.cross_entropy(model(input_ids=ids[None]).logits[0, :-1], ids[1:], reduction="none")


# ---- any end resumed (law 6)

KILL = """
    import os, signal, sys
    from pathlib import Path
    from small import TRAIN, small_recipe
    from pipelines.folder import RunFolder
    from pipelines.training import train
    from pretrain.metrics import Metrics

    corpus, run, place, step = sys.argv[1:]
    rename, replace, write = os.rename, os.replace, Metrics.write

    def die_before(do):  # everything of a training appears by a rename
        def maybe(source, target, **others):
            if str(target).endswith(place or "never"):
                os.kill(os.getpid(), signal.SIGKILL)
            do(source, target, **others)
        return maybe

    def write_half(metrics, line):
        if line["step"] == int(step):
            metrics._file.write('{"step": ' + step)
            metrics._file.flush()
            os.kill(os.getpid(), signal.SIGKILL)
        write(metrics, line)

    os.rename, os.replace, Metrics.write = die_before(rename), die_before(replace), write_half
    train(small_recipe(Path(corpus), train=TRAIN), RunFolder(Path(run)), resume=True)
"""


def test_a_training_killed_again_and_again_is_the_one_that_was_not(
    trained: RunFolder, recipe: Recipe, corpus: Path, tmp_path: Path
) -> None:
    run = only_curated(trained, tmp_path)
    deaths = [  # (as this appears, in the line of this step) and the checkpoints that are left
        ("", 2, []),
        ("step-000008", 0, [4]),
        ("", 10, [8, 4]),
        ("small/training/manifest.json", 0, [STEPS, 12]),
    ]
    for place, step, left in deaths:
        killed = python(KILL, str(corpus), str(run.path), place, str(step), at=tmp_path)
        assert killed.returncode == -signal.SIGKILL, killed.stderr
        found = sorted((run.training / "checkpoints").glob("step-*"), reverse=True)
        assert [int(checkpoint.name[5:]) for checkpoint in found] == left
        assert sealed_with(run.training) is None
    train(recipe, run, resume=True)
    assert weights(run) == weights(trained)
    assert metrics(run) == metrics(trained)
    assert token_ledger(run) == token_ledger(trained)
    assert sealed_with(run.training) == sealed_with(trained.training)
    assert [line["step"] for line in metrics(run) if "loss" in line] == list(range(1, STEPS + 1))


INTERRUPT = """
    import os, signal
    from pretrain.metrics import Metrics
    write = Metrics.write
    def write_and_press_control_c(metrics, line):
        write(metrics, line)
        if line["step"] == 6:
            os.kill(os.getpid(), signal.SIGINT)
    Metrics.write = write_and_press_control_c
"""


def test_control_c_saves_and_resume_gives_the_run_that_was_never_interrupted(
    trained: RunFolder, recipe: Recipe, corpus: Path, tmp_path: Path
) -> None:
    run, file = only_curated(trained, tmp_path / "runs"), str(write_recipe(recipe, tmp_path))
    stopped = postgrad("train", file, at=tmp_path, before=INTERRUPT)
    assert stopped.returncode == 130, stopped.stderr
    assert stopped.stdout == ""
    assert stopped.stderr.endswith("hint: run the same command again with --resume\n")
    assert "Traceback" not in stopped.stderr
    assert (run.training / "checkpoints" / "step-000006").is_dir()

    with pytest.raises(Fault, match="checkpoints of an earlier run") as fault:
        train(recipe, run)
    assert "--resume" in fault.value.hint
    with pytest.raises(Fault, match=r"train\.replay = 0\.1; it would be 0\.2"):
        train(changed(corpus, replay=0.2), run, resume=True)

    resumed = postgrad("train", file, "--resume", at=tmp_path)
    assert resumed.returncode == 0, resumed.stderr
    assert resumed.stdout == "runs/small/training/model\n"
    assert "going on after step 6 of 16" in resumed.stderr
    assert weights(run) == weights(trained)
    assert metrics(run) == metrics(trained)


# ---- what comes out


def test_the_model_is_a_hugging_face_checkpoint_that_generates(trained: RunFolder) -> None:
    model = transformers.AutoModelForCausalLM.from_pretrained(trained.model)
    tokenizer = transformers.AutoTokenizer.from_pretrained(trained.model)
    prompt = tokenizer("The patient was", return_tensors="pt")
    given = model.generate(**prompt, max_new_tokens=8, min_new_tokens=8, do_sample=False)
    assert given.shape[1] == prompt["input_ids"].shape[1] + 8
    assert tokenizer.decode(given[0], skip_special_tokens=True).startswith("The patient was")
    assert model.config.eos_token_id == tokenizer.eos_token_id


def test_the_tokenizer_of_the_model_gives_the_ids_of_the_shards(trained: RunFolder) -> None:
    tokenizer = transformers.AutoTokenizer.from_pretrained(trained.model)
    texts = datasets.load_dataset(
        "parquet",
        data_files=str(trained.curated / "documents" / "test" / "*.parquet"),
        split="train",
        cache_dir=str(trained.path.parent / "cache"),
    )
    text = dict(zip(texts["id"], texts["text"], strict=True))
    shards = datasets.load_from_disk(str(trained.shards / "domain" / "test"))
    assert len(shards) > 20
    for row in shards:
        assert row["input_ids"] == [*tokenizer(text[row["id"]])["input_ids"], tokenizer.eos_token_id]


def test_the_loss_falls_and_validation_is_looked_at_with_each_checkpoint(trained: RunFolder) -> None:
    losses = [line["loss"] for line in metrics(trained) if "loss" in line]
    looks = {line["step"]: line["validation_loss"] for line in metrics(trained) if "validation_loss" in line}
    assert losses[-1] < losses[0]
    assert list(looks) == [4, 8, 12, STEPS]
    assert looks[STEPS] < looks[4]


def test_the_card_says_what_the_model_is_made_of(trained: RunFolder) -> None:
    card = (trained.model / "README.md").read_text()
    documents = token_ledger(trained)["corpora"]["domain"]["documents"]
    assert f"Trained from random weights on {documents} documents" in card
    assert "10% of the tokens replayed" in card
    assert all(f"| {source} |" in card for source in ("notes", "pages"))


# ---- what was made from something else


@pytest.mark.parametrize(
    ("settings", "field"),
    [
        ({"sequence_length": 32}, "train.sequence_length = 64; it would be 32"),
        ({"packer": "concatenate"}, 'train.packer = "best_fit"; it would be "concatenate"'),
        ({"replay": 0.2}, "train.replay = 0.1; it would be 0.2"),
        ({"optimizer": {"lr": 1e-4}}, "train.optimizer.lr = null; it would be 0.0001"),
        ({"base": {"scratch": {**TRAIN["base"]["scratch"], "hidden_size": 64}}}, "train.base.scratch.hidden_size = 32"),
    ],
)
def test_a_changed_setting_is_refused_by_its_name(
    trained: RunFolder, corpus: Path, settings: dict[str, Any], field: str
) -> None:
    before = weights(trained)
    with pytest.raises(Fault, match=field) as fault:
        train(changed(corpus, **settings), trained)
    assert "--fresh" in fault.value.hint
    assert weights(trained) == before


def test_a_setting_that_no_weight_depends_on_is_not(trained: RunFolder, corpus: Path) -> None:
    before = (trained.model / "model.safetensors").stat().st_mtime_ns
    train(changed(corpus, checkpoint_every=7, keep_checkpoints=9, validate_every=2), trained)
    assert (trained.model / "model.safetensors").stat().st_mtime_ns == before


def test_training_on_another_corpus_than_the_recipes_is_refused(trained: RunFolder, corpus: Path) -> None:
    settings = small_recipe(corpus).curate.model_dump(mode="json")
    settings["split"]["test"] = 0.2
    with pytest.raises(Fault, match=r"curate\.split\.test = 0\.15; the recipe has 0\.2") as fault:
        train(small_recipe(corpus, train=TRAIN, curate=settings), trained)
    assert "postgrad curate RECIPE --fresh" in fault.value.hint


def test_random_weights_of_an_earlier_beginning_are_not_taken_for_this_ones(
    trained: RunFolder, corpus: Path, tmp_path: Path
) -> None:
    run = only_curated(trained, tmp_path)
    other = {**TRAIN["base"]["scratch"], "hidden_size": 64}
    train(changed(corpus, base={"scratch": other}, epochs=0.05), run)
    shutil.copytree(run.training / "initial", tmp_path / "stale")
    shutil.rmtree(run.training)
    shutil.copytree(tmp_path / "stale", run.training / "initial")  # as a kill before the first checkpoint leaves it
    train(changed(corpus, epochs=0.05), run)
    assert checksums(run.training / "initial") == checksums(trained.training / "initial")


def test_what_a_resumed_run_began_from_is_not_written_anew(trained: RunFolder, corpus: Path, tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "small")
    shutil.copytree(trained.path, run.path)
    (run.training / "manifest.json").unlink()  # as a kill before the seal leaves it
    began = (run.training / "initial" / "README.md").stat().st_mtime_ns
    train(changed(corpus), run, resume=True)
    assert (run.training / "initial" / "README.md").stat().st_mtime_ns == began
    assert weights(run) == weights(trained)


def test_rows_longer_than_the_positions_of_a_model_from_scratch_are_a_fault(
    trained: RunFolder, corpus: Path, tmp_path: Path
) -> None:
    scratch = {**TRAIN["base"]["scratch"], "max_position_embeddings": 32}
    with pytest.raises(Fault, match="rows of 64 tokens, but the model knows 32 positions"):
        train(changed(corpus, base={"scratch": scratch}), only_curated(trained, tmp_path))


def test_replay_without_general_training_text_is_said_and_not_claimed(
    trained: RunFolder, corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, recipe = only_curated(trained, tmp_path), changed(corpus)
    shutil.rmtree(run.shards / "web" / "train")
    assert stream_of(recipe, run).ledger()["corpora"].keys() == {"domain"}
    assert "train.replay = 0.1 replays nothing" in capsys.readouterr().err
    assert "replayed" not in model_card(recipe, run)


def test_a_recipe_without_a_train_section_says_so(curated: RunFolder, corpus: Path) -> None:
    with pytest.raises(Fault, match="no train section") as fault:
        train(small_recipe(corpus), curated)
    assert "train:" in fault.value.hint
