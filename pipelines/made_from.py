"""What curation is made from, in words that are compared: settings, content of the sources' files, tokenizer, code."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from curate.filters import own_names
from curate.index.folder import index_digest
from curate.plugins import own_code
from curate.shards.seal import code_version, sha256
from pipelines.recipe import Recipe
from pipelines.tokenizer import tokenizer_origin

READ_BY = {"role", "quality"}
"""Fields of a source that make no difference to what is read and recorded of it."""


def curation_fingerprint(recipe: Recipe, contents: Mapping[str, str | None]) -> dict[str, Any]:
    """What `curated/` and `shards/` follow from: settings, content of the sources' files, tokenizer, code."""
    return {
        "seed": recipe.seed,
        "sources": {
            source.name: source.model_dump(mode="json", exclude={"name"}) | {"content": contents.get(source.name)}
            for source in sorted(recipe.sources, key=lambda source: source.name)
        },
        "curate": recipe.curate.model_dump(mode="json"),
        "shards": recipe.shards.model_dump(mode="json") | {"origin": tokenizer_origin(recipe)},
        "own_code": own_code(
            [
                *(source.format or "" for source in recipe.sources),
                *recipe.curate.clean,
                *recipe.curate.measures,
                *own_names(recipe.curate.filters),
                *_presets(recipe),
            ]
        ),
        "models": {path: sha256(Path(path)) for path in sorted({*language_models(recipe), *_classifiers(recipe)})},
        "published": {path: index_digest(Path(path)) for path in recipe.curate.duplicates.against},
        "code": code_version("curate"),
    }


def language_models(recipe: Recipe) -> list[str]:
    """Files that tell languages, apart from the one that comes along."""
    settings = (recipe.curate.language, *(source.language for source in recipe.sources))
    return sorted({one.model for one in settings if one is not None and one.model is not None})


def _classifiers(recipe: Recipe) -> Iterator[str]:
    yield from (one.model for one in recipe.curate.classifiers.values())
    if recipe.curate.domain is not None and recipe.curate.domain.model is not None:
        yield recipe.curate.domain.model


def as_read(source: Mapping[str, Any]) -> dict[str, Any]:
    """A source as the first pass sees it: what its text is for, and how it is judged, does not matter there."""
    language = source["language"] and source["language"]["model"]
    return {name: value for name, value in source.items() if name not in READ_BY} | {"language": language}


def _presets(recipe: Recipe) -> Iterator[str]:
    for quality in (recipe.curate.quality, *(source.quality for source in recipe.sources)):
        chosen = quality.preset if quality is not None else None
        yield from [chosen] if isinstance(chosen, str) else chosen or ()
