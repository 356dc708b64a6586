"""The sentences that people are told, gathered from code and templates: what every catalogue must have."""

import ast

from babel.messages.catalog import Catalog
from babel.messages.extract import extract

from import_graph import SOURCE

ROOMS = ("page", "report", "templates", "service")
# Reports of an evaluation and of technical figures are for model owners, the operator's page for operators: in English.
ENGLISH = {"evaluation.html", "technical.html", "operator.html"}
KEYWORDS = {"gettext": None, "said": None, "marked": None, "ngettext": (1, 2), "_": None}
OPTIONS = {"trimmed": "true", "silent": "false"}

# What refuses or remarks on what a clinician hands in, chooses or connects to, and is told again by `templates.retold`.
DEEPER = [
    "card/envelope", "card/purpose", "card/signature", "card/warnings", "data/budget", "data/dicom/apart",
    "data/dicom/decode", "data/dicom/directory", "data/dicom/header", "data/dicom/library", "data/dicom/mapping",
    "data/dicom/places", "data/dicom/series", "data/dicom/times", "data/dicom/traits", "data/dicom/values",
    "data/fit", "data/handed_in", "data/images", "data/order", "data/pictures", "data/prepare", "data/reading",
    "data/sequence", "data/sources", "data/statistics", "deploy/case", "deploy/diagnosis", "deploy/usual",
    "network/address", "network/answers", "network/calls", "network/hospital", "network/keyring",
    "network/patience", "network/pending", "network/site", "network/steps", "network/transport", "network/trust",
    "report/dicom/study", "report/findings", "storage/archive", "storage/atomic", "storage/sealed",
    "storage/source", "usecases/connect", "usecases/export", "usecases/images",
]  # fmt: skip
# Words of code among them: what `repr` shows, what is hashed, what only a programmer hands in or a model owner reads.
NOBODYS = {
    "explicit big endian", "explicit little endian", "heclstm images {shape} {real}\n", "implicit little endian",
    "Images({value1} frames, {order})", "ImageSequence({count} frames of {channels}×{height}×{width})",
    "Model trained on", "{__name__}: is no source; expected a path, bytes, a stream or a Message",
}  # fmt: skip


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


def deeper():
    """Texts of the modules in DEEPER, those of an f-string with its values in braces: (all, those of three words)."""
    texts = set()
    for name in DEEPER:
        tree = ast.parse((SOURCE / f"heclstm/{name}.py").read_text("utf-8"))
        passed = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
        passed |= {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}  # docstrings
        texts |= {_text(node) for node in ast.walk(tree) if id(node) not in passed}
    texts -= {"", *NOBODYS}
    return texts, {text for text in texts if len(text.split()) > 2}


def _text(node):
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if not isinstance(node, ast.JoinedStr):
        return ""
    text, names = "", set()
    for part in node.values:
        if isinstance(part, ast.Constant):
            text += part.value
            continue
        name = getattr(part.value, "id", getattr(part.value, "attr", ""))
        name = f"value{len(names) + 1}" if not name or name in names else name
        names.add(name)
        text += f"{{{name}}}"
    return text
