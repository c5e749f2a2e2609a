"""A plan estimates from real looks, does no work, and says what is unwise where it is."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import tarfile
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import transformers
import zstandard
from small import TRAIN, document, small_recipe

from curate.inputs import list_files
from curate.settings import Source
from curate.shards.fault import Fault
from curate.train_tokenizer import train_tokenizer
from pipelines import advice, forecast, sampling
from pipelines import recipe as recipes
from pipelines.advice import Planned, remarks
from pipelines.forecast import Amounts, Forecast, Shape, shape_of
from pipelines.plan import plan
from pipelines.recipe import Recipe
from pipelines.sampling import Look, look
from pretrain.models import from_scratch, parameters
from pretrain.settings import Train

# -- looks

TEXTS = [document(f"text {i}", 5 + i % 20) for i in range(600)]
LINES = "".join(json.dumps({"text": text}) + "\n" for text in TEXTS).encode()


def tar(mode: str) -> bytes:
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode=mode) as archive:
        for place, text in enumerate(TEXTS):
            member = tarfile.TarInfo(f"{place:04d}.txt")
            member.size = len(text.encode())
            archive.addfile(member, io.BytesIO(text.encode()))
    return content.getvalue()


def zipped() -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for place, text in enumerate(TEXTS):
            archive.writestr(f"{place:04d}.txt", text)
    return content.getvalue()


def parquet() -> bytes:
    content = io.BytesIO()
    pq.write_table(pa.table({"text": TEXTS}), content, row_group_size=50)
    return content.getvalue()


FILES: dict[str, Callable[[], bytes]] = {
    "a.jsonl": lambda: LINES,
    "a.jsonl.gz": lambda: gzip.compress(LINES),
    "a.jsonl.zst": lambda: zstandard.compress(LINES),
    "a.jsonl.bz2": lambda: bz2.compress(LINES, 1),
    "a.csv": lambda: ("text\n" + "".join(f'"{text}"\n' for text in TEXTS)).encode(),
    "a.json": lambda: json.dumps([{"text": text} for text in TEXTS]).encode(),
    "a.tar": lambda: tar("w"),
    "a.tar.gz": lambda: tar("w:gz"),
    "a.zip": zipped,
    "a.parquet": parquet,
}


def look_at(path: Path) -> Look:
    source = Source(name="notes", path=str(path))
    return look(source, list_files(source, Path.cwd()), None)


@pytest.mark.parametrize("name", sorted(FILES))
def test_what_fits_into_the_look_is_counted_exactly(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(FILES[name]())
    found = look_at(tmp_path / name)
    assert found.is_whole
    assert (found.documents, found.text) == (len(TEXTS), sum(len(text.encode()) for text in TEXTS))


@pytest.mark.parametrize("name", sorted(FILES))
def test_from_a_part_of_a_file_the_whole_is_estimated(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = FILES[name]()
    (tmp_path / name).write_bytes(content)
    part = max(len(content) // 3, 150_000 if name.endswith("bz2") else 0)  # of bz2 blocks of 100 kB: more than one
    monkeypatch.setattr(sampling, "LEAST_BYTES", 1)
    monkeypatch.setattr(sampling, "LOOK_BYTES", part)
    monkeypatch.setattr(sampling, "LOOK_TEXT", part)
    found = look_at(tmp_path / name)
    if name != "a.jsonl.bz2":
        assert 0 < found.read_documents < len(TEXTS)
    close = 0.3 if name.endswith("zst") else 0.15  # zstd compresses by blocks of 128 kB: a third of this file
    assert found.documents == pytest.approx(len(TEXTS), rel=close)
    assert found.text == pytest.approx(sum(len(text) for text in TEXTS), rel=close)


def test_of_many_files_some_are_read_evenly_over_the_list(tmp_path: Path) -> None:
    for place, text in enumerate(TEXTS[:100]):
        (tmp_path / f"{place:03d}.txt").write_text(text)
    found = look_at(tmp_path)
    assert (found.files, found.read_documents) == (100, sampling.LOOK_FILES)
    assert found.documents == pytest.approx(100, rel=0.25)
    chosen = [file.path for file in sampling._spread(list_files(found.source, Path.cwd()))]
    assert (chosen[0], chosen[-1]) == ("000.txt", "099.txt")


@pytest.mark.parametrize("name", ["x.zip", "x.parquet"])
def test_a_damaged_file_does_not_end_the_plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(sampling, "LOOK_BYTES", 1000)
    monkeypatch.setattr(sampling, "LEAST_BYTES", 1000)
    (tmp_path / name).write_bytes((zipped() if name == "x.zip" else parquet())[:-100])
    found = look_at(tmp_path / name)
    assert found.read_documents + found.unread > 0
    assert found.read_bytes <= found.n_bytes


def test_records_without_text_are_counted_apart(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(b'{"body": "x"}\n{"body": "y"}\n' + LINES.splitlines()[0] + b"\n{ broken\n")
    found = look_at(tmp_path / "a.jsonl")
    assert (found.read_documents, found.unread, found.unread_reason) == (1, 3, "missing_text")


# -- forecasts


def test_the_shape_is_that_of_the_model_itself() -> None:
    fields = {"hidden_size": 32, "num_hidden_layers": 3}
    for tied in (True, False):
        settings = Train.model_validate(
            {"base": {"scratch": {**fields, "tie_word_embeddings": tied}}, "sequence_length": 64}
        )
        model = from_scratch({**fields, "tie_word_embeddings": tied}, 500, None, 0, 0, 1)
        shape = shape_of(settings, 500)
        assert (shape.parameters, shape.layers, shape.width) == (parameters(model), 3, 32)
        assert shape.multiplying == parameters(model) - (0 if tied else 500 * 32)
        assert shape.embeddings == 500 * 32 * (1 if tied else 2)
        assert shape.positions == 64


def test_the_shape_of_a_base_needs_its_config_only(tmp_path: Path) -> None:
    config = transformers.GPT2Config(n_embd=32, n_layer=2, n_head=2, vocab_size=300, n_positions=128)
    config.architectures = ["GPT2LMHeadModel"]
    config.save_pretrained(tmp_path)
    shape = shape_of(Train(base=str(tmp_path)), 300)
    expected = parameters(transformers.GPT2LMHeadModel(config))
    assert (shape.parameters, shape.positions, shape.vocabulary, shape.inner) == (expected, 128, 300, 128)


@pytest.mark.parametrize("base", ["no/such/folder/at/all", "./nothing"])
def test_a_base_that_is_not_there_is_a_fault(base: str) -> None:
    with pytest.raises(Fault, match="there is no folder") as caught:
        shape_of(Train(base=base), 300)
    assert caught.value.where == "train.base"


SHAPE = Shape(parameters=1_000_000, multiplying=1_000_000, embeddings=100_000, layers=4, width=64, inner=256,
              vocabulary=5000, positions=2048)  # fmt: skip


def foretold(monkeypatch: pytest.MonkeyPatch, amounts: Amounts, **train: Any) -> Forecast:
    monkeypatch.setattr(forecast, "measured_flops", lambda *_: 1e9)
    settings = Train.model_validate({"base": "m", "sequence_length": 100, "batch_tokens": 1000, "replay": 0, **train})
    return forecast.forecast(settings, SHAPE, amounts)


def test_rows_steps_and_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    amounts = Amounts(domain=100_000, general=50_000, mean_document=400)
    once = foretold(monkeypatch, amounts)
    assert (once.rows, once.steps, once.tokens, once.domain_passes) == (1000, 100, 100_000, 1.0)
    mixed = foretold(monkeypatch, amounts, epochs=2.5, replay=0.2)
    assert (mixed.rows, mixed.domain_passes, mixed.replay_passes) == (3125, 2.5, 1.25)
    budget = foretold(monkeypatch, amounts, tokens="200k", replay=0.5)
    assert (budget.rows, budget.domain_passes, budget.replay_passes) == (2000, 1.0, 2.0)
    unmixed = foretold(monkeypatch, replace(amounts, general=0), replay=0.5)  # nothing to replay
    assert (unmixed.rows, unmixed.replay_passes) == (1000, 0)


def test_time_and_memory_follow_their_formulas(monkeypatch: pytest.MonkeyPatch) -> None:
    found = foretold(monkeypatch, Amounts(100_000, 0, 60), precision="fp32", micro_batch_tokens=2000)
    assert found.state_bytes == 16_000_000
    assert found.activation_bytes == 2000 * 4 * (12 * 64 + 4 * 256) * 4
    assert found.flops == (6 * 1_000_000 + 12 * 4 * 64 * 30) * 100_000  # documents of 60 tokens: 30 to look back at
    assert found.seconds == found.flops / (1e9 * forecast.EFFICIENCY)
    long = foretold(monkeypatch, Amounts(100_000, 0, 10**6))  # a row bounds what a token sees
    assert long.flops == (6 * 1_000_000 + 12 * 4 * 64 * 50) * 100_000


def test_the_rate_is_the_recipes_or_the_default_for_the_size(monkeypatch: pytest.MonkeyPatch) -> None:
    amounts = Amounts(100_000, 0, 400)
    assert foretold(monkeypatch, amounts).peak_lr == 3e-4
    given = foretold(monkeypatch, amounts, optimizer={"lr": 0.01})
    assert (given.peak_lr, given.usual_lr) == (0.01, 3e-4)


# -- remarks


def wise(monkeypatch: pytest.MonkeyPatch, **changes: Any) -> Planned:
    """A plan with nothing to remark on, but for the changes; those of `train` are fields of it."""
    train = {"base": "m", "sequence_length": 100, "batch_tokens": 1000, **changes.pop("train", {})}
    roles = changes.pop("roles", ("domain", "general", "control"))
    sources = [{"name": f"of-{role}", "path": "x", "role": role} for role in roles]
    seen = {"files": 1, "n_bytes": 10**8, "read_bytes": 10**6, "read_documents": 100, "read_text": 10**6}
    unread = {"unread": 0, "unread_reason": None, "read_tokens": 250_000}
    looks = [Look(source=Source.model_validate(source), **seen, **unread) for source in sources]
    data = {"name": "a", "sources": sources, "train": train, "shards": {"tokenizer": "t"}}
    recipe = recipes.check(data, "a test")
    amounts = changes.pop("amounts", Amounts(2e6, 1e6, 500))
    monkeypatch.setattr(forecast, "measured_flops", lambda *_: 1e9)
    assert recipe.train is not None
    found = forecast.forecast(recipe.train, changes.pop("shape", SHAPE), amounts)
    base = Planned(
        recipe=recipe,
        looks=looks,
        test_documents=200,
        tokenizer_vocabulary=5000,
        tokenizer_fault=None,
        forecast=replace(found, **changes.pop("forecast", {})),
        model_fault=None,
        disk_bytes=10,
        free_bytes=20,
    )
    return replace(base, **changes)


def test_a_wise_recipe_gets_no_remark(monkeypatch: pytest.MonkeyPatch) -> None:
    assert remarks(wise(monkeypatch)) == []


ALL_UNREAD = Look(Source(name="n", path="x"), 1, 9, 9, 0, 0, 3, "missing_text", None)


@pytest.mark.parametrize(
    ("changes", "what", "change"),
    [
        ({"train": {"epochs": 6}}, "gone through 6.0 times", "--set train.epochs=4"),
        ({"train": {"epochs": 3, "repeat_at_most": 2}}, "repeat_at_most is 2", "--set train.repeat_at_most=3"),
        ({"train": {"tokens": "20M"}}, "gone through 9.5 times", "--set train.tokens=8421053"),
        ({"train": {"replay": 0.9}}, "replayed", "train.replay"),
        ({"train": {"batch_tokens": 10_000}}, "only 211 optimizer steps", "--set train.batch_tokens=2100"),
        ({"train": {"optimizer": {"lr": 0.001}}}, "3.3 times the usual 0.0003", "--set train.optimizer.lr=0.0003"),
        ({"train": {"replay": 0}}, "none of it is replayed", "--set train.replay=0.05"),
        ({"train": {"sequence_length": 4096, "batch_tokens": 4096}, "amounts": Amounts(1e7, 1e7, 500)},
         "rows of 4096 tokens, and the base knows 2048", "--set train.sequence_length=2048"),
        ({"roles": ("domain", "control")}, "no source has role: general", "role: general"),
        ({"roles": ("domain", "general")}, "no source has role: control", "role: control"),
        ({"test_documents": 50}, "about 50 test documents", "more domain documents"),
        ({"test_documents": 3}, "about 3 test documents", "more domain documents"),
        ({"looks": [ALL_UNREAD]}, "100% of the records looked at in n", "--set sources.0.text=FIELD"),
        ({"tokenizer_vocabulary": 9000}, "gives 9,000 ids, the base knows 5,000", "shards.tokenizer=null"),
        ({"shape": replace(SHAPE, embeddings=600_000)}, "60% of the parameters embed", "{vocabulary: 1250}"),
        ({"free_bytes": 5}, "GB of disk are needed", "curate.removed=none"),
        ({"forecast": {"machine_bytes": 20_000_000}}, "GB of memory", "--set train.micro_batch_tokens=4096"),
        ({"forecast": {"machine_bytes": 1000}}, "GB of memory", "a smaller base"),
        ({"model_fault": Fault("no model m", where="train.base", hint="do this")}, "no model m", "do this"),
        ({"tokenizer_fault": Fault("no tokenizer t", hint="do that")}, "no tokenizer t", "do that"),
    ],
)  # fmt: skip
def test_each_unwise_thing_is_remarked_with_reason_and_change(
    monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any], what: str, change: str
) -> None:
    found = [one for one in remarks(wise(monkeypatch, **changes)) if what in one.what]
    assert len(found) == 1
    assert change in found[0].change
    assert len(found[0].why) > 20


def test_a_model_from_random_weights_has_nothing_to_forget(monkeypatch: pytest.MonkeyPatch) -> None:
    scratch = {"base": {"scratch": {"hidden_size": 8, "num_hidden_layers": 1}}, "optimizer": {"lr": 0.003}}
    assert remarks(wise(monkeypatch, train=scratch, roles=("domain",))) == []


def test_epochs_that_are_whole_are_no_more_for_the_last_row(monkeypatch: pytest.MonkeyPatch) -> None:
    planned = wise(monkeypatch, train={"epochs": 4}, amounts=Amounts(2e6 + 1, 2e6, 500))
    assert planned.forecast is not None
    assert planned.forecast.domain_passes == 4
    assert remarks(planned) == []


def test_every_check_has_a_case_above(monkeypatch: pytest.MonkeyPatch) -> None:
    mark = next(
        m for m in test_each_unwise_thing_is_remarked_with_reason_and_change.pytestmark if m.name == "parametrize"
    )
    plans = [wise(monkeypatch, **dict(case[0])) for case in mark.args[1]]
    for check in advice.CHECKS:
        assert any(list(check(one)) for one in plans), check.__name__


@pytest.mark.parametrize("changes", [{"train": {"epochs": 6}}, {"train": {"batch_tokens": 10_000}},
                                     {"train": {"optimizer": {"lr": 0.001}}}, {"train": {"replay": 0}}])  # fmt: skip
def test_a_change_that_is_pasted_ends_the_remark(monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any]) -> None:
    unwise = wise(monkeypatch, **changes)
    (remark,) = remarks(unwise)
    field, _, value = remark.change.removeprefix("--set train.").partition("=")
    train = unwise.recipe.model_dump(mode="json", exclude_unset=True)["train"]
    if field == "optimizer.lr":
        train["optimizer"] = {"lr": float(value)}
    else:
        train[field] = float(value) if "." in value else int(value)
    assert remarks(wise(monkeypatch, train=train)) == []


# -- the whole


def small_plan(corpus: Path, runs: Path, **changes: Any) -> str:
    recipe: Recipe = small_recipe(corpus, **{"train": TRAIN, **changes})
    return plan(recipe, runs)


def test_a_plan_says_what_is_there_and_writes_nothing(corpus: Path, tmp_path: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in corpus.rglob("*")}
    said = small_plan(corpus, tmp_path / "runs")
    assert before == {path: path.stat().st_mtime_ns for path in corpus.rglob("*")}
    assert list(tmp_path.iterdir()) == []
    row = next(line.split() for line in said.splitlines() if line.split()[:2] == ["web", "general"])
    assert (row[2], row[5], row[-1]) == ("1", "80", "all")
    parts = ["5 units of work, 1 worker", "assumed to take 4 bytes", "parameters, 2 layers", "16 bytes a parameter"]
    parts += ["the default for this size", "just measured here", "looks unwise", "optimizer steps"]
    for part in parts:
        assert part in said
    assert all(len(line) <= 160 and line == line.rstrip() for line in said.splitlines())


def test_a_given_tokenizer_is_asked(corpus: Path, tmp_path: Path) -> None:
    train_tokenizer(TEXTS[:50], 400, tmp_path / "tokenizer")
    said = small_plan(corpus, tmp_path / "runs", shards={"tokenizer": str(tmp_path / "tokenizer")})
    assert "counted with the tokenizer" in said


def test_what_cannot_be_loaded_is_remarked_and_the_rest_is_planned(corpus: Path, tmp_path: Path) -> None:
    said = small_plan(corpus, tmp_path, train={"base": str(tmp_path / "none")}, shards={})
    assert "cannot be told: see below" in said
    assert f"there is no folder '{tmp_path / 'none'}'" in said
    assert "no such tokenizer" in said
    assert "no tokenizer could be asked" in said


def test_a_recipe_without_training_is_planned_too(corpus: Path, tmp_path: Path) -> None:
    said = small_plan(corpus, tmp_path, train=None)
    assert "training" not in said
    assert "shards" in said


def test_sources_without_files_are_the_fault_of_the_listing(tmp_path: Path) -> None:
    source = {"name": "n", "path": str(tmp_path / "none.jsonl")}
    recipe = recipes.check({"name": "a", "sources": [source], "shards": {"tokenizer": {"vocabulary": 400}}}, "a test")
    with pytest.raises(Fault) as caught:
        plan(recipe, tmp_path)
    assert caught.value.where == "sources.n.path"
