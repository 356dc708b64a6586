"""The sentences that people are told, gathered from code and templates: what every catalogue must have."""

from babel.messages.catalog import Catalog
from babel.messages.extract import extract

from import_graph import SOURCE

ROOMS = ("page", "report", "templates", "service")
# Reports of an evaluation and of technical figures are for model owners, the operator's page for operators: in English.
ENGLISH = {"evaluation.html", "technical.html", "operator.html"}
KEYWORDS = {"gettext": None, "said": None, "marked": None, "ngettext": (1, 2), "_": None}
OPTIONS = {"trimmed": "true", "silent": "false"}


def sentences():
    found = Catalog()
    for room in ROOMS:
        for path in sorted((SOURCE / "heclstm" / room).rglob("*")):
            if path.suffix not in (".py", ".html") or path.name in ENGLISH:
                continue
            method = "python" if path.suffix == ".py" else "jinja2.ext:babel_extract"
            with path.open("rb") as stream:
                for _, message, _, _ in extract(method, stream, KEYWORDS, options=OPTIONS):
                    found.add(message)
    return found
