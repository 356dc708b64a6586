"""Templates → pages: the one file that knows Jinja2.

Templates place what they are given, and escape it: names, warnings and attributions may hold anything. A page needs
nothing else: no script, no outside link, pictures inlined.
"""

from __future__ import annotations

from base64 import b64encode
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from heclstm.report.units import seconds, signed, size


def render(template: str, **values: Any) -> str:
    """template: the name of a file in report/templates. A value that the template misses raises UndefinedError."""
    return _environment().get_template(template).render(values)


def inlined(png: bytes) -> str:
    """A picture as the address of itself."""
    return f"data:image/png;base64,{b64encode(png).decode()}"


@cache
def _environment() -> Environment:
    made = Environment(
        loader=PackageLoader("heclstm.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {"signed": signed, "seconds": seconds, "size": size, "inlined": inlined}
    return made
