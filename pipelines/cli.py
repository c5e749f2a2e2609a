"""The command line. stdout carries data and paths, everything else goes to stderr; heavy imports live in the commands.

Exit codes: 0 done; 2 the recipe or the input is at fault (a message with a hint, no traceback); 1 our own fault;
130 interrupted, saved, to be gone on with.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipelines.index import index_app

if TYPE_CHECKING:
    from pipelines.recipe import Recipe

app = typer.Typer(
    name="postgrad",
    help="Raw domain text to a curated corpus, a post-pretrained model and a held-out result.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.add_typer(index_app, name="index")

RecipeArgument = Annotated[str, typer.Argument(metavar="RECIPE", help="A YAML file, or the name of a shipped recipe.")]
Sets = Annotated[
    list[str] | None, typer.Option("--set", metavar="FIELD=VALUE", help="Override a field: --set train.epochs=2.")
]
Runs = Annotated[Path, typer.Option(help="Folder that run folders stand in.")]
Fresh = Annotated[bool, typer.Option("--fresh", help="Make again what was made from another recipe or code.")]
RunArgument = Annotated[Path, typer.Argument(metavar="RUN", help="A run folder, such as runs/demo.")]


@app.command()
def run(recipe: RecipeArgument, sets: Sets = None, runs: Runs = Path("runs"), fresh: Fresh = False) -> None:
    """Do all of it: curate, train, evaluate, report. What is fresh is used again."""
    loaded = _load(recipe, sets)
    _start_workers(loaded)
    from pipelines.run import headline
    from pipelines.run import run as run_all

    folder = run_all(loaded, runs=runs, fresh=fresh)
    print(headline(folder))
    print(folder.report)


@app.command()
def curate(
    recipe: RecipeArgument,
    sets: Sets = None,
    runs: Runs = Path("runs"),
    fresh: Fresh = False,
    rejudge: Annotated[
        bool, typer.Option("--rejudge", help="Apply changed bounds to what was measured; raw text is not read again.")
    ] = False,
) -> None:
    """Raw documents to a curated corpus and its shards."""
    loaded = _load(recipe, sets)
    _start_workers(loaded)
    from pipelines.curation import curate as curate_stage
    from pipelines.run import begin

    folder = begin(loaded, runs, fresh=fresh or rejudge)
    curate_stage(loaded, folder, fresh=fresh, rejudge=rejudge)
    print(folder.curated)


@app.command()
def recall(
    recipe: RecipeArgument,
    pool: Annotated[str, typer.Option(help="The source to look in for more of the domain.")],
    sets: Sets = None,
    runs: Runs = Path("runs"),
) -> None:
    """Find more of the domain in a pool: classify, add the confident, retrain, until little is gained."""
    from pipelines.curation import sifted_texts
    from pipelines.recall import recall as recall_stage
    from pipelines.run import begin

    loaded = _load(recipe, sets)
    folder = begin(loaded, runs)
    with sifted_texts(loaded, folder) as (sifted, sources):
        print(recall_stage(loaded, folder, sifted, sources, pool))


@app.command()
def train(
    recipe: RecipeArgument,
    sets: Sets = None,
    runs: Runs = Path("runs"),
    fresh: Fresh = False,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the newest whole checkpoint.")] = False,
) -> None:
    """Post-pretrain on the shards of the run."""
    from pipelines.run import begin
    from pipelines.training import train as train_stage

    loaded = _load(recipe, sets)
    folder = begin(loaded, runs, fresh=fresh)
    train_stage(loaded, folder, fresh=fresh, resume=resume)
    print(folder.model)


@app.command()
def evaluate(recipe: RecipeArgument, sets: Sets = None, runs: Runs = Path("runs"), fresh: Fresh = False) -> None:
    """Measure base and adapted model on held-out text."""
    from pipelines.evaluation import evaluate as evaluate_stage
    from pipelines.run import begin

    loaded = _load(recipe, sets)
    folder = begin(loaded, runs, fresh=fresh)
    evaluate_stage(loaded, folder, fresh=fresh)
    print(folder.evaluation)


@app.command()
def report(run: RunArgument) -> None:
    """Write the run's report page from what is there."""
    from pipelines.folder import RunFolder
    from pipelines.report.page import write_page

    print(write_page(RunFolder.existing(run).path))


@app.command()
def explain(
    run: RunArgument,
    id: Annotated[str | None, typer.Argument(metavar="ID", help="A document's ledger id.")] = None,
    step: Annotated[int | None, typer.Option(min=1, help="A step of the training, in place of a document.")] = None,
    row: Annotated[int | None, typer.Option(min=0, help="Only this row of the step.")] = None,
) -> None:
    """Tell one document's story, from its file to the steps that trained on it; or what stood in one step."""
    from curate.shards.fault import Fault
    from pipelines.explain import explain as tell
    from pipelines.explain_training import explain_step
    from pipelines.folder import RunFolder

    folder = RunFolder.existing(run)
    if (id is None) == (step is None):
        raise Fault(
            "name a document or a step", hint="postgrad explain RUN notes/17  or  postgrad explain RUN --step 12"
        )
    if step is not None:
        print(explain_step(folder, step, row))
        print(folder.training / "metrics.jsonl")
    else:
        print(tell(folder.path, str(id)))
        print(folder.curated / "ledger")


@app.command()
def export(
    run: RunArgument,
    out: Annotated[str, typer.Argument(metavar="OUT", help="A folder or fsspec URL that is not there yet.")],
    to: Annotated[str, typer.Option(metavar="FORMAT", help="shards (as they are), parquet, datatrove, megatron.")],
    corpus: Annotated[list[str] | None, typer.Option(metavar="NAME", help="Only this corpus; again for more.")] = None,
) -> None:
    """Write the shards in a format that other trainers read, and read it back to be sure."""
    from pipelines.export import export as write
    from pipelines.folder import RunFolder

    print(write(RunFolder.existing(run), to, out, list(corpus or ())))


@app.command()
def audit(
    run: RunArgument,
    source: Annotated[list[str] | None, typer.Option(metavar="NAME", help="Only this source; again for more.")] = None,
    rule: Annotated[list[str] | None, typer.Option(metavar="NAME", help="Only this reason or measure.")] = None,
    preset: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="These presets, in place of the rules that judged the run.")
    ] = None,
    samples: Annotated[int, typer.Option(min=0, help="Documents shown on each side of each bound.")] = 3,
) -> None:
    """What each rule removes of each source, alone and with others, and what stands on both sides of its bound."""
    from pipelines.audit import Asked
    from pipelines.audit import audit as tell
    from pipelines.folder import RunFolder

    folder = RunFolder.existing(run)
    print(tell(folder, Asked(tuple(source or ()), tuple(rule or ()), tuple(preset or ()), samples)))
    print(folder.path / "audit.md")


@app.command()
def plan(recipe: RecipeArgument, sets: Sets = None, runs: Runs = Path("runs")) -> None:
    """Say before any work what a recipe will cost and what looks unwise."""
    from pipelines.plan import plan as tell

    print(tell(_load(recipe, sets), runs))
    print(f"next: postgrad run {recipe}")


@app.command()
def schema() -> None:
    """Print the JSON Schema of recipes, for editors."""
    import json

    from pipelines.recipe import Recipe

    print(json.dumps(Recipe.model_json_schema(), indent=1))


@app.command()
def recipes() -> None:
    """List the shipped recipes and what each is for."""
    from pipelines.recipe import shipped

    for name, path in shipped().items():
        first = path.read_text(encoding="utf-8").partition("\n")[0]
        print(f"{name:<16} {first.lstrip('# ')}")
        print(f"{'':<16} {path}")


def _load(recipe: str, sets: list[str] | None) -> Recipe:
    from pipelines.recipe import load

    return load(recipe, sets or ())


def _start_workers(recipe: Recipe) -> None:
    """Let the process that workers come from warm up while this one still imports."""
    if recipe.engine.kind == "local":
        from curate.engines.server import start_server

        start_server()


def main() -> None:
    """The entry point: faults become a message and exit code 2, interruptions 130."""
    try:
        app()
    except (KeyboardInterrupt, SystemExit) as end:  # typer turns the first into exit code 130, without a word
        if isinstance(end, SystemExit) and end.code != 130:
            raise
        _stop("interrupted; what was finished stays: run the same command again", 130)
    except Exception as error:
        from curate.engines.troubles import fault_of
        from curate.shards.fault import Fault

        fault = error if isinstance(error, Fault) else fault_of(error)
        if fault is not None:
            _stop(f"error: {fault}", 2)
        if type(error).__name__ == "Interrupted":  # pretrain.train's, not imported here: it would bring torch
            resume = " with --resume" if "train" in sys.argv[1:2] else ""  # `run` goes on by itself
            _stop(f"{error}\n\nhint: run the same command again{resume}", 130)
        raise


def _stop(message: str, code: int) -> None:
    print(message, file=sys.stderr)
    sys.exit(code)
