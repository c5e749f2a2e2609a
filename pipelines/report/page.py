"""The page: one HTML file that opens offline, asks nothing of the network, and shows hostile text without running it.

Three walls stand between a document's text and the browser. Templates escape everything (jinja2 with autoescape, and
`safe` is used on no data); numbers for the charts travel as JSON in script elements that no engine executes, with every
character that could end them escaped; and a Content-Security-Policy names, by hash, the only blocks that may run or
style: ours and uPlot's. Nothing else loads, not even an image.

A panel is one file in `panels/` with one template of the same name; `PANELS` says which ones and in what order.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from curate.plugins import plugin
from pipelines.report import formats
from pipelines.report.run_data import RunData, read_run

HERE = Path(__file__).parent
PANELS = (
    "headline",
    "funnel",
    "removals",
    "rules",
    "measures",
    "language",
    "domain",
    "personal",
    "licences",
    "duplicates",
    "boilerplate",
    "spans",
    "splits",
    "contamination",
    "tokens",
    "training",
    "result",
    "recipe",
)


class Panel(Protocol):
    title: str
    anchor: str
    absent: str
    """Why the section is missing where `context` has nothing to say."""

    def context(self, run: RunData) -> dict[str, Any] | None:
        """What the template of the same name needs, or None where the run has no data for it."""


def write_page(run: Path, panels: Sequence[str] = PANELS) -> Path:
    """Writes `report.html` into the run folder, whole or not at all, and gives its path."""
    data = read_run(run)
    environment = _environment()
    shown, left_out = [], []
    for name in panels:
        panel: Panel = plugin("pipelines.report.panels", name)()
        context = panel.context(data)
        if context is None:
            left_out.append({"title": panel.title, "why": panel.absent})
        else:
            body = Markup(environment.get_template(f"{name}.html").render(context | {"run": data}))
            shown.append({"title": panel.title, "anchor": panel.anchor, "body": body})
    page = environment.get_template("page.html").render(
        run=data, panels=shown, left_out=left_out, styles=_blocks("css"), scripts=_blocks("js"), policy=_policy()
    )
    path = run / "report.html"
    half = run / "report.html.tmp"
    half.write_text(page, encoding="utf-8")
    os.replace(half, path)
    return path


def embedded(data: Any) -> Markup:
    """JSON that can stand inside a script element: nothing in it ends the element or the line.

    >>> str(embedded({"a": "</script>&"}))
    '{"a":"\\\\u003c/script\\\\u003e\\\\u0026"}'
    """
    text = json.dumps(data, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    for dangerous in "<>&\u2028\u2029":
        text = text.replace(dangerous, f"\\u{ord(dangerous):04x}")
    return Markup(text)


def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    for name in ("count", "size", "share", "number", "fixed", "signed", "plural"):
        environment.filters[name] = getattr(formats, name)
    environment.globals["embedded"] = embedded
    return environment


def _blocks(kind: str) -> list[Markup]:
    """Our own style or script and the library's, each exactly as its hash in the policy was taken."""
    vendored, own = {"css": ("uPlot.min.css", "page.css"), "js": ("uPlot.iife.min.js", "page.js")}[kind]
    paths = (HERE / "vendor" / vendored, HERE / "templates" / own)
    return [Markup(path.read_text(encoding="utf-8")) for path in paths]


def _policy() -> str:
    def allowed(kind: str) -> str:
        digests = (hashlib.sha256(block.encode()).digest() for block in _blocks(kind))
        return " ".join(f"'sha256-{base64.b64encode(digest).decode()}'" for digest in digests)

    return (
        f"default-src 'none'; script-src {allowed('js')}; style-src {allowed('css')}; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )
