"""A chart as SVG inside of a page, in the colours of the page's style: dark where the page is dark, white on paper."""

from __future__ import annotations

import re
from io import StringIO

from markupsafe import Markup
from matplotlib import rc_context
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from heclstm.report.figure import INK, LOWERS, MUTED, RAISES, RAISES_PALE, RULE

FILL = "#7189a0"  # as in templates/shared/style.css
PAPER = "#ffffff"
VARIABLES = {
    INK: "--ink", MUTED: "--muted", RULE: "--rule", RAISES: "--raises", LOWERS: "--lowers",
    RAISES_PALE: "--raises-pale", FILL: "--fill", PAPER: "--paper", "#000000": "--ink",
}  # fmt: skip
# What a page has of its own, or does not need: what stands before the drawing, and rules for all drawings of the page.
OTHERS = re.compile(r"<!--.*?-->|<(metadata|style)\b.*?</\1>| id=\"[\w.]+_\d+\"", re.DOTALL)
HEAD = re.compile(r" (?:(?:width|height)=\"[\d.]+pt\"|xmlns[:\w]*=\"[^\"]*\")")  # what HTML takes for granted


def svg(figure: Figure) -> Markup:
    """The same bytes for the same chart; letters are outlines, so that all machines show the same."""
    FigureCanvasSVG(figure)  # no window system, no global state
    buffer = StringIO()
    with rc_context({"svg.fonttype": "path", "svg.hashsalt": "heclstm"}):
        figure.savefig(buffer, format="svg", transparent=True)
    drawn = OTHERS.sub("", buffer.getvalue())
    head, _, rest = drawn[drawn.index("<svg") :].partition(">")
    rest = re.sub(r"#[0-9a-f]{6}\b", lambda found: f"var({VARIABLES[found[0]]})", rest)
    style = 'class="drawing" style="fill: var(--ink); stroke-linejoin: round" aria-hidden="true"'  # its title is beside
    return Markup(f"{HEAD.sub('', head)} {style}>{rest.strip()}")  # drawn here; text in it is outlines
