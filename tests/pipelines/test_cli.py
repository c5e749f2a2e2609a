"""The command line: exit codes, what goes to which stream, and the faults a new user is likeliest to make."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from rich.progress import Progress
from small import TRAIN, document, small_recipe

from curate.engine import Progress as Done
from pipelines import cli
from pipelines import recipe as recipes
from pipelines.folder import RunFolder
from pipelines.progress import Passes
from pipelines.recipe import shipped

ROOT = Path(__file__).parents[2]
COMMANDS = ("run", "curate", "train", "evaluate", "report", "explain", "plan", "schema", "recipes", "audit", "recall")


@dataclass(frozen=True)
class Answer:
    code: int
    out: str
    err: str


Postgrad = Callable[..., Answer]


@pytest.fixture
def postgrad(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Postgrad:
    """Runs a command within this process, through the entry point that the installed command calls."""

    def call(*arguments: object) -> Answer:
        monkeypatch.setattr(sys, "argv", ["postgrad", *map(str, arguments)])
        capsys.readouterr()
        try:
            cli.main()
            code = 0
        except SystemExit as end:
            code = int(end.code or 0)
        said = capsys.readouterr()
        return Answer(code, said.out, said.err)

    return call


@pytest.fixture
def run(curated: RunFolder, tmp_path: Path) -> RunFolder:
    """A copy of the curated run that a test may spoil."""
    shutil.copytree(curated.path, tmp_path / "runs" / "small")
    return RunFolder(tmp_path / "runs" / "small")


def written(folder: Path, data: dict[str, Any], name: str = "recipe.yaml") -> Path:
    (folder / name).write_text(yaml.safe_dump(data), encoding="utf-8")
    return folder / name


def over(corpus: Path, folder: Path, **changes: Any) -> Path:
    """A recipe over the small corpus, as a file."""
    return written(folder, yaml.safe_load(recipes.dump(small_recipe(corpus, **changes))))


def is_one_clear_fault(answer: Answer, *says: str) -> None:
    """Exit code 2, a message that begins with error and has a hint, nothing on stdout, no traceback."""
    assert answer.code == 2, answer
    assert answer.out == ""
    message = answer.err[answer.err.index("error: ") :]
    assert "\nhint: " in message
    assert message.partition("hint: ")[2].strip()
    assert "Traceback" not in answer.err
    for part in says:
        assert part in message


# -- faults


def test_a_recipe_that_is_not_found(postgrad: Postgrad) -> None:
    is_one_clear_fault(postgrad("run", "demos"), "there is no recipe 'demos'", "demo")


def test_a_recipe_that_is_not_yaml(postgrad: Postgrad, tmp_path: Path) -> None:
    (tmp_path / "recipe.yaml").write_text("name: a\nsources:\n\t- {name: b}\n")
    is_one_clear_fault(postgrad("curate", tmp_path / "recipe.yaml"), "not valid YAML", "recipe.yaml:3")


def test_unknown_fields_and_roles_all_at_once(postgrad: Postgrad, tmp_path: Path) -> None:
    source = {"name": "notes", "path": "x", "role": "generall"}
    where = written(tmp_path, {"name": "a", "sources": [source], "shards": {"tokeniser": "t"}})
    says = ("sources.0.role = 'generall'", "'general'", "shards.tokeniser = 't'", "'tokenizer'")
    is_one_clear_fault(postgrad("plan", where), "3 faults", *says)  # and none says what the tokenizer is


def test_a_path_that_matches_no_file(postgrad: Postgrad, tmp_path: Path) -> None:
    source = {"name": "notes", "path": str(tmp_path / "raw" / "*.jsonl")}
    where = written(tmp_path, {"name": "a", "sources": [source], "shards": {"tokenizer": {"vocabulary": 400}}})
    for command in ("curate", "plan"):
        is_one_clear_fault(postgrad(command, where, "--runs", tmp_path), "no file matches", "sources.notes.path")


def test_a_text_field_that_no_record_has(postgrad: Postgrad, tmp_path: Path) -> None:
    lines = [json.dumps({"body": document(f"{i}")}) for i in range(5)]
    (tmp_path / "notes.jsonl").write_text("\n".join(lines))
    source = {"name": "notes", "path": str(tmp_path / "notes.jsonl")}
    data = {"name": "a", "sources": [source], "shards": {"tokenizer": {"vocabulary": 400}}, "engine": {"workers": 1}}
    answer = postgrad("curate", written(tmp_path, data), "--runs", tmp_path / "runs")
    is_one_clear_fault(answer, "nothing of the domain is left", "5 records")
    assert not (tmp_path / "runs" / "a" / "curated").exists()


def test_a_held_out_set_that_is_empty(postgrad: Postgrad, corpus: Path, tmp_path: Path) -> None:
    curate = {"split": {"test": 0.0001}, "language": {"at_least": 0.3}}
    answer = postgrad("curate", over(corpus, tmp_path, curate=curate), "--runs", tmp_path / "runs")
    is_one_clear_fault(answer, "test set is empty", "curate.split.test")


def test_a_tokenizer_that_is_not_there(postgrad: Postgrad, corpus: Path, tmp_path: Path) -> None:
    where = over(corpus, tmp_path, shards={"tokenizer": "./no/such/tokenizer"})
    answer = postgrad("curate", where, "--runs", tmp_path / "runs")
    is_one_clear_fault(answer, "no such tokenizer", "./no/such/tokenizer")


def test_a_folder_that_was_made_from_another_recipe(postgrad: Postgrad, corpus: Path, run: RunFolder) -> None:
    where, before = over(corpus, run.path.parent), (run.curated / "manifest.json").read_bytes()
    answer = postgrad("curate", where, "--set", "curate.split.test=0.3", "--runs", run.path.parent)
    is_one_clear_fault(answer, "curate.split.test", "0.15", "0.3", "--fresh")
    assert (run.curated / "manifest.json").read_bytes() == before


def test_training_before_curation(postgrad: Postgrad, corpus: Path, tmp_path: Path) -> None:
    answer = postgrad("train", over(corpus, tmp_path, train=TRAIN), "--runs", tmp_path / "runs")
    is_one_clear_fault(answer, "postgrad curate")


def test_training_where_the_recipe_says_nothing_of_it(postgrad: Postgrad, corpus: Path, run: RunFolder) -> None:
    answer = postgrad("train", over(corpus, run.path.parent), "--runs", run.path.parent)
    is_one_clear_fault(answer, "no train section")


@pytest.mark.parametrize(
    ("held", "says"),
    [
        ([], "config.json"),
        (["config.json"], "safetensors"),
        (["config.json", "a.bin"], "pickles"),
    ],
)
def test_a_base_model_folder_without_weights(
    postgrad: Postgrad, corpus: Path, run: RunFolder, held: list[str], says: str
) -> None:
    base = run.path.parent / "base"
    base.mkdir()
    for name in held:
        (base / name).write_text("{}")
    where = over(corpus, run.path.parent, train={**TRAIN, "base": str(base)})
    is_one_clear_fault(postgrad("train", where, "--runs", run.path.parent), str(base), says)


def test_evaluation_before_training(postgrad: Postgrad, corpus: Path, run: RunFolder) -> None:
    where = over(corpus, run.path.parent, train=TRAIN)
    is_one_clear_fault(postgrad("evaluate", where, "--runs", run.path.parent), "postgrad train")


def test_a_run_that_is_not_one(postgrad: Postgrad, tmp_path: Path) -> None:
    is_one_clear_fault(postgrad("report", tmp_path), "is not a run folder")
    is_one_clear_fault(postgrad("explain", tmp_path / "none", "notes/n1"), "is not a run folder")


def test_an_id_that_the_ledger_does_not_have(postgrad: Postgrad, curated: RunFolder) -> None:
    is_one_clear_fault(postgrad("explain", curated.path, "notes/n1000"), "'notes/n1000'", "did you mean")


def test_a_wrong_override(postgrad: Postgrad) -> None:
    name = sorted(shipped())[0]
    is_one_clear_fault(postgrad("plan", name, "--set", "seed"), "is not section.field=value")
    is_one_clear_fault(postgrad("plan", name, "--set", "curate.split.tset=0.1"), "did you mean 'test'?")


def test_a_command_or_option_that_there_is_not(postgrad: Postgrad) -> None:
    for arguments in (("curat",), ("run",), ("run", "demo", "--frsh")):
        answer = postgrad(*arguments)
        assert answer.code == 2
        assert answer.out == ""
        assert "Error" in answer.err
        assert "Traceback" not in answer.err


def test_an_error_of_ours_is_exit_code_1_with_its_traceback() -> None:
    script = "import pipelines.cli as c, pipelines.recipe as r\nr.shipped = lambda: 1 / 0\nc.main()"
    ended = subprocess.run(
        [sys.executable, "-c", script, "recipes"], capture_output=True, text=True, cwd=ROOT, check=False
    )
    assert ended.returncode == 1
    assert "ZeroDivisionError" in ended.stderr


# -- streams


def test_an_interruption_says_how_to_go_on(postgrad: Postgrad, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted() -> dict[str, Path]:
        raise KeyboardInterrupt

    monkeypatch.setattr(recipes, "shipped", interrupted)
    answer = postgrad("recipes")
    assert (answer.code, "run the same command again" in answer.err) == (130, True)


def test_a_step_without_a_bar_may_close_first(capsys: pytest.CaptureFixture[str]) -> None:
    with Progress() as bars:  # a changed bound: the passes before are as they were, and draw none
        Passes(bars).close("dedup", Done(documents=3), 1.0)
    assert "3 documents" in capsys.readouterr().err


def test_a_store_that_is_not_installed_is_one_clear_fault(postgrad: Postgrad, tmp_path: Path) -> None:
    source = {"name": "web", "path": "nowhere://bucket/web.jsonl"}
    where = written(tmp_path, {"name": "a", "sources": [source], "shards": {"tokenizer": {"vocabulary": 400}}})
    is_one_clear_fault(postgrad("curate", where, "--runs", tmp_path), "nowhere", "pip install")


def test_stdout_carries_the_path_and_stderr_the_rest(
    postgrad: Postgrad, curated: RunFolder, corpus: Path, run: RunFolder
) -> None:
    answer = postgrad("curate", over(corpus, run.path.parent), "--runs", run.path.parent)
    assert (answer.code, answer.out) == (0, f"{run.curated}\n")
    assert "as before" in answer.err
    answer = postgrad("report", run.path)
    assert (answer.code, answer.out.splitlines()[-1]) == (0, str(run.report))
    assert run.report.is_file()


def test_curation_tells_every_pass_on_stderr(postgrad: Postgrad, corpus: Path, tmp_path: Path) -> None:
    answer = postgrad("curate", over(corpus, tmp_path), "--runs", tmp_path / "runs")
    assert (answer.code, answer.out) == (0, f"{tmp_path / 'runs' / 'small' / 'curated'}\n")
    told = [line.split()[0] for line in answer.err.splitlines() if "documents" in line]
    assert told[:3] == ["sift", "benchmarks", "judge"]
    assert {"dedup", "decontaminate", "shard"} <= set(told)
    assert "\x1b" not in answer.err  # no terminal: plain lines, no bars, no colours


def test_explain_prints_a_story(postgrad: Postgrad, curated: RunFolder) -> None:
    answer = postgrad("explain", curated.path, "notes/short")
    assert answer.code == 0
    assert answer.out.startswith("notes/short: removed at judge, too_few_words")


def test_the_schema_is_json_on_stdout(postgrad: Postgrad) -> None:
    answer = postgrad("schema")
    assert (answer.code, answer.err) == (0, "")
    assert "sources" in json.loads(answer.out)["properties"]


def test_recipes_lists_every_shipped_one(postgrad: Postgrad) -> None:
    answer = postgrad("recipes")
    assert (answer.code, answer.err) == (0, "")
    for name, path in shipped().items():
        assert f"{name} " in answer.out
        assert str(path) in answer.out


def test_help_names_every_command_and_says_what_it_does(postgrad: Postgrad) -> None:
    answer = postgrad("--help")
    assert answer.code == 0
    for command in COMMANDS:
        mine = postgrad(command, "--help")
        assert mine.code == 0
        assert any(line.split()[:1] == [command] and len(line.split()) > 3 for line in answer.out.splitlines())


def test_it_runs_as_a_module_too() -> None:
    command = [sys.executable, "-m", "pipelines", "recipes"]
    ended = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=True)
    assert "medical" in ended.stdout
