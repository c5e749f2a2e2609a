"""The only place that knows both halves: recipe, stages, command line, reports."""
