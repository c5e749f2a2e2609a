"""What was asked, every default spelled out, what it ran on and what it cost."""

from __future__ import annotations

from typing import Any

from pipelines.report.run_data import RunData


class Recipe:
    title = "Recipe and environment"
    anchor = "recipe"
    absent = "recipe.yaml is missing from the run folder"

    def context(self, run: RunData) -> dict[str, Any] | None:
        return (
            None if run.recipe is None else {"recipe": run.recipe, "environment": run.environment, "stages": run.stages}
        )
