"""Templates → pages: the one file that knows Jinja2.

Templates place what they are given, and escape it: names, warnings and attributions may hold anything. Those of a room
stand in its folder `templates/`, what all share in `shared/` here.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable
from functools import cache
from typing import Any

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined

from heclstm.templates.language import gettext, language, ngettext
from heclstm.templates.retold import retold, retold_note
from heclstm.templates.units import percent, seconds, signed, size


def renderer(*rooms: str) -> Callable[..., str]:
    """rooms: packages whose templates are looked through, the first one first.

    Returns `render(template, **values)`. A value that the template misses raises UndefinedError.
    """

    def render(template: str, **values: Any) -> str:
        return _environment(rooms).get_template(template).render(values)

    return render


def inlined(png: bytes) -> str:
    """A picture as the address of itself."""
    return f"data:image/png;base64,{b64encode(png).decode()}"


@cache
def _environment(rooms: tuple[str, ...]) -> Environment:
    made = Environment(
        loader=ChoiceLoader([*map(PackageLoader, rooms), PackageLoader("heclstm.templates", "shared")]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=["jinja2.ext.i18n"],
    )
    made.policies["ext.i18n.trimmed"] = True
    made.install_gettext_callables(gettext, ngettext, newstyle=True)  # type: ignore[attr-defined]  # by the extension
    made.globals["language"] = language
    made.filters |= {"signed": signed, "seconds": seconds, "size": size, "percent": percent, "inlined": inlined}
    made.filters |= {"retold": retold, "retold_note": retold_note}
    return made
