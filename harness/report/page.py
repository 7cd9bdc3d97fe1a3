"""Render index.html as one file that makes no network request."""

from __future__ import annotations

import base64
import gzip
import hashlib
from collections.abc import Sequence
from pathlib import Path

from harness import __version__
from harness.errors import UserError
from harness.judging.verdict import ORDER, Verdict
from harness.report.outline import Outline
from harness.report.payload import payload
from harness.report.state import State
from harness.words.plain import data

PARTS = Path(__file__).parent / "page"
SCRIPTS = ("dom.js", "plots.js", "figures.js", "claim.js", "list.js", "router.js")
LIBRARY = "(() => {{{bundle}\n}})();"
"""Vega-Lite's bundle, whose own names stay inside."""
EXPORT = "window.vegaEmbed = vegaEmbed;"
"""The only name that our scripts use from it."""
GLYPHS = {
    "ERROR": "!",
    "UNSOUND": "≠",
    "FALSIFIED": "✕",
    "VACUOUS": "∅",
    "BLOCKED": "⊘",
    "UNVERIFIED": "○",
    "STALE": "◌",
    "PARTIAL": "◐",
    "DISCHARGED": "●",
}
"""Signs of the verdicts, so that a reader need not rely on their colour."""


def html(history: Sequence[State], outline: Outline) -> str:
    """Render the whole page, with its style, scripts, data and plotting library inside.

    Raises: UserError if the packages of the extra `report` are missing.
    """
    try:
        import jinja2
        import vl_convert
    except ModuleNotFoundError as missing:
        raise UserError(
            f"{missing.name} is not installed, so index.html is not written; pip install 'harness[report]'"
        ) from None
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(PARTS),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["number"] = number
    script = "\n".join((PARTS / name).read_text(encoding="utf-8") for name in SCRIPTS)
    library = LIBRARY.format(bundle=vl_convert.javascript_bundle(EXPORT))
    index, chunks = payload(history[-1], outline)
    return environment.get_template("page.html.j2").render(
        **data(outline),
        version=__version__,
        verdicts=[{"name": v.value, "red": v.red, "glyph": GLYPHS[v.value]} for v in ORDER],
        glyphs=GLYPHS,
        tones={v.value: tone(v) for v in ORDER},
        style=(PARTS / "style.css").read_text(encoding="utf-8"),
        script=script,
        script_digest=_digest(script),
        index=index,
        chunks=chunks,
        library=base64.b64encode(gzip.compress(library.encode(), 9, mtime=0)).decode("ascii"),
        library_digest=_digest(library),
    )


def _digest(script: str) -> str:
    """The digest by which a Content-Security-Policy lets a script run."""
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii")


def tone(verdict: Verdict) -> str:
    """The CSS class that colours a verdict in style.css."""
    if verdict.red:
        return "red"
    named = {Verdict.PARTIAL: "partial", Verdict.DISCHARGED: "discharged", Verdict.UNVERIFIED: "unknown"}
    return named.get(verdict, "held")


def number(value: float | None) -> str:
    """Format a number with at most four digits, as `ship.line` prints a percentage."""
    return "–" if value is None else f"{value:.4g}"
