"""`postgrad index ...`: what was published, as sketches that this month's crawl is held against.

    postgrad index build published runs/january          an index of a finished run, or of files of documents
    postgrad index add published runs/february           a month later; a corpus of another recipe is refused
    postgrad index query published crawl/*.jsonl         one JSON line for each document that is there already
    postgrad index export published lsh.pickle           for datasketch
    postgrad index check published                       is every byte as it was written?

In a recipe `curate.duplicates.against: [published]` does the same on the way: copies leave, the published one named.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from curate.index.folder import Grown, Index
    from pipelines.published import Unread

index_app = typer.Typer(
    help="Indexes of published corpora: is this month's crawl there already?",
    no_args_is_help=True,
    rich_markup_mode=None,
)

IndexArgument = Annotated[Path, typer.Argument(metavar="INDEX", help="The folder of an index.")]
From = Annotated[
    list[str], typer.Argument(metavar="FROM...", help="Finished run folders, or files, folders and globs of documents.")
]
Text = Annotated[
    list[str] | None, typer.Option("--text", metavar="FIELD", help="Field of a record with its text; again for more.")
]
Id = Annotated[str | None, typer.Option("--id", metavar="FIELD", help="Field of a record with its own id.")]
Format = Annotated[str | None, typer.Option("--format", metavar="NAME", help="A reader, where file names do not say.")]


@index_app.command()
def build(
    index: IndexArgument,
    given: From,
    text: Text = None,
    id: Id = None,
    format: Format = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Of the signatures; a run's own, else 1.")] = None,
    bands: Annotated[int | None, typer.Option(min=1, max=512, help="LSH bands; a run's own, else 14.")] = None,
    rows: Annotated[int | None, typer.Option(min=1, max=64, help="Values per band; a run's own, else 8.")] = None,
    shingle_words: Annotated[
        int | None, typer.Option(min=1, max=64, help="Words per shingle; a run's own, else 5.")
    ] = None,
    shingle_characters: Annotated[
        int | None, typer.Option(min=2, max=64, help="Characters per shingle, not words.")
    ] = None,
    exact: Annotated[
        bool, typer.Option("--exact", help="Carry the shingle sets: exact Jaccards, 8 bytes a shingle.")
    ] = False,
) -> None:
    """Make an index of what was published: all documents of finished runs, or files of documents."""
    from curate.index.folder import build as make
    from pipelines.published import Fields, Unread, origins, sketching

    asked = {"seed": seed, "bands": bands, "rows": rows, "shingle_words": shingle_words}
    asked["shingle_characters"] = shingle_characters
    unread, recipe = Unread(), sketching(given, asked)
    _require_runs_like(str(index), recipe.as_json(), given, asked)
    _tell(make(index, recipe, exact, origins(given, Fields(tuple(text or ["text"]), id, format), unread)), unread)
    print(index)


@index_app.command()
def add(index: IndexArgument, given: From, text: Text = None, id: Id = None, format: Format = None) -> None:
    """Enter what was published since; documents that are there already are passed over."""
    from curate.index.folder import Index
    from curate.index.folder import add as enter
    from pipelines.published import Fields, Unread, origins

    there, unread = Index.open(index), Unread()
    _require_runs_like(str(index), there.recipe.as_json(), given, {})
    _tell(enter(index, origins(given, Fields(tuple(text or ["text"]), id, format), unread)), unread)
    print(index)


@index_app.command()
def query(
    index: IndexArgument,
    given: From,
    text: Text = None,
    id: Id = None,
    format: Format = None,
    at_least: Annotated[float, typer.Option(min=0, max=1, help="Least Jaccard of a near copy.")] = 0.8,
    every: Annotated[bool, typer.Option("--all", help="Every match of a document, not only the best.")] = False,
) -> None:
    """Print a JSON line for each document that the index holds a copy of: which one, and how alike."""
    import json

    from curate.index.folder import Index
    from curate.index.matches import Asked, matches
    from curate.index.sketches import Sketches
    from pipelines.progress import say
    from pipelines.published import Fields, Unread, origins

    there, unread = Index.open(index), Unread()
    asked = known = cut = 0
    for origin in origins(given, Fields(tuple(text or ["text"]), id, format), unread):
        for ids, batch in origin.texts:
            found = matches(there, Asked.of(Sketches.of(ids, batch, there.recipe)), at_least, every=every)
            sys.stdout.writelines(json.dumps(line, ensure_ascii=False) + "\n" for line in _lines(there, ids, found))
            asked, known, cut = asked + len(ids), known + len(set(found.row.tolist())), cut + found.keys_cut
    sets = "exact Jaccard of shingle sets" if there.carries_sets else "Jaccard estimated from signatures"
    say(f"{known:,} of {asked:,} documents are among the {len(there):,} of {index} (near copies: {sets})")
    if cut:
        say(f"{cut:,} of their keys are shared by so many published documents that not all were compared")
    _tell_unread(unread)


@index_app.command()
def export(
    index: IndexArgument,
    out: Annotated[Path, typer.Argument(metavar="OUT.pickle", help="A pickle of a datasketch.MinHashLSH.")],
) -> None:
    """Write the index as a datasketch.MinHashLSH, read it back and compare."""
    from curate.index.export import export as write
    from curate.index.folder import Index
    from pipelines.progress import say

    documents, left_out = write(Index.open(index), out)
    say(f"{documents:,} documents" + (f"; {left_out:,} without a shingle left out" if left_out else ""))
    print(out)


@index_app.command()
def check(index: IndexArgument) -> None:
    """Compare every file of an index with the sum that was written down, and say what it holds."""
    import json

    from curate.index.folder import Index, read_manifest

    Index.open(index, verify=True)
    manifest = read_manifest(index)
    for segment in manifest["segments"]:
        del segment["files"]
    print(json.dumps(manifest, indent=1, ensure_ascii=False))


def _lines(index: Index, ids: Any, found: Any) -> list[dict[str, Any]]:
    """One match each, for a machine to read. `error` is the standard error of an estimate, absent of what is exact."""
    from curate.index.matches import standard_error

    errors = standard_error(found.similarity, index.recipe.permutations).tolist()
    columns = zip(
        ids.take(found.row).to_pylist(), found.ids.to_pylist(), found.is_exact.tolist(), found.similarity.tolist(),
        errors, strict=True,
    )  # fmt: skip
    lines: list[dict[str, Any]] = []
    for name, match, is_exact, similarity, error in columns:
        line = {
            "id": name,
            "match": match,
            "level": "exact" if is_exact else "near",
            "similarity": round(similarity, 4),
        }
        is_estimate = not (is_exact or index.carries_sets)
        lines.append(line | ({"error": round(error, 4)} if is_estimate else {}))
    return lines


def _require_runs_like(index: str, recipe: dict[str, Any], given: list[str], asked: dict[str, int | None]) -> None:
    """Fault where a run was sketched by another recipe than the index; what was asked for by name is as asked."""
    from curate.index.sketches import require_same
    from pipelines.published import is_run, sketching

    for path in given:
        if is_run(path):
            require_same(recipe, sketching([path], asked).as_json(), index, path)


def _tell(grown: Grown, unread: Unread) -> None:
    from pipelines.progress import as_bytes, say

    size = sum(about["bytes"] for one in grown.manifest["segments"] for about in one["files"].values())
    passed_over = f", {grown.already_there:,} were there already" if grown.already_there else ""
    say(f"{grown.entered:,} documents entered{passed_over}; {grown.manifest['documents']:,} in all, {as_bytes(size)}")
    _tell_unread(unread)


def _tell_unread(unread: Unread) -> None:
    from pipelines.progress import say

    if unread.records:
        say(f"{unread.records:,} records could not be read or hold no text; they are passed over")
