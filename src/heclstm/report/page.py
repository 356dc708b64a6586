"""The report as one HTML page that needs nothing else: no script, no outside link, the picture inlined."""

from __future__ import annotations

from base64 import b64encode
from html import escape

from heclstm.report.figure import colour_of
from heclstm.report.findings import Findings
from heclstm.report.units import error, seconds, signed, size

STYLE = """
:root { color-scheme: light; }
body { font: 16px/1.5 system-ui, -apple-system, "Segoe UI", sans-serif; color: #1c2733; margin: 0; }
body { background: #f4f6f8; }
main { max-width: 1060px; margin: 2rem auto; background: #fff; padding: 2rem 2.4rem; }
main { border: 1px solid #dde3e9; border-radius: 10px; }
h1 { font-size: 1.45rem; margin: 0 0 .2rem; } h2 { font-size: 1.05rem; margin: 2.2rem 0 .6rem; }
p { margin: .4rem 0; } .muted { color: #5d6b79; font-size: .9rem; }
.badge { float: right; color: #fff; font-weight: 700; padding: .5rem 1.1rem; border-radius: 8px; }
img { width: 100%; height: auto; margin-top: 1rem; border: 1px solid #e6ebf0; border-radius: 6px; }
table { border-collapse: collapse; width: 100%; font-size: .93rem; }
th { text-align: left; font-weight: 600; border-bottom: 1.5px solid #c9d1d9; padding: .35rem .7rem .35rem 0; }
td { border-bottom: 1px solid #eaeef2; padding: .35rem .7rem .35rem 0; vertical-align: top; }
.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
.columns { display: grid; grid-template-columns: 1fr 1fr; gap: 0 2.5rem; }
.track { background: #eef2f5; border-radius: 3px; height: .7rem; margin-top: .35rem; }
.fill { background: #7189a0; border-radius: 3px; height: .7rem; }
@media (max-width: 760px) { .columns { grid-template-columns: 1fr; } }
@media print { body { background: #fff; } main { border: 0; margin: 0; padding: 0; } }
"""


def page(findings: Findings, picture: bytes, *, of_data_set: bool = False) -> str:
    """picture: the PNG of `report.figure.draw`. of_data_set: as there."""
    diagnosis = findings.diagnosis
    title = escape(diagnosis.name or "Image sequence")
    alt = f"The frames of the sequence, each frame's contribution below it, and the score {signed(diagnosis.scores[0])}"
    if diagnosis.threshold is not None:
        alt += f" against the operating point {signed(diagnosis.threshold)}"
    image = b64encode(picture).decode()
    parts = [
        f'<span class="badge" style="background:{colour_of(diagnosis)}">{diagnosis.decision.upper()}</span>',
        f"<h1>{title}</h1>",
        f'<p class="muted">Diagnosed under encryption by program {escape(findings.program[:12])}</p>',
        f'<img src="data:image/png;base64,{image}" alt="{escape(alt)}">',
        '<div class="columns">',
        f"<section><h2>The result</h2>{_result(findings)}</section>",
        f"<section><h2>Each frame</h2>{_contributions(findings)}</section>",
        "</div>",
    ]
    if findings.stages:
        parts.append(f"<h2>The way there</h2>{_stages(findings)}")
    if findings.margins:
        parts.append(f"<h2>How close each layer came to its calibrated limit</h2>{_margins(findings)}")
    parts.append(f"<h2>How to read this</h2>{_reading(findings, of_data_set)}")
    return document(title, "\n".join(parts))


def document(title: str, body: str, style: str = "") -> str:
    """A whole page. title: escaped already. style: beyond that of every page."""
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{title}</title>\n<style>{STYLE}{style}</style>\n</head>\n"
        f"<body>\n<main>\n{body}\n</main>\n</body>\n</html>\n"
    )


def _result(findings: Findings) -> str:
    diagnosis, point = findings.diagnosis, findings.operating_point
    rows: list[tuple[str, ...]] = [
        ("Decision", diagnosis.decision),
        ("Decrypted score", signed(diagnosis.scores[0], 5)),
    ]
    if diagnosis.probability is not None:
        rows.append(("Calibrated probability of a positive", f"{100 * diagnosis.probability:.1f} %"))
    if findings.clear is not None:
        rows += [("Score in clear", signed(findings.clear.scores[0], 5)), ("Error", error(findings.error))]
    if diagnosis.threshold is not None:
        rows.append(("Operating point", signed(diagnosis.threshold, 5)))
    if point is not None and point.rates is not None:
        sensitivity, specificity = (f"{100 * rate:.0f} %" for rate in point.rates)
        rows.append((f"There, on {point.chosen_on}", f"sensitivity {sensitivity}, specificity {specificity}"))
    if findings.truth is not None:
        rows.append(("True label", "positive" if findings.truth else "negative"))
    return rows_table([], rows, left=1)


def _contributions(findings: Findings) -> str:
    clear = findings.clear.contributions if findings.clear is not None else None
    head = ["Frame", "Contribution", *(["In clear"] if clear else [])]
    rows = []
    for number, row in enumerate(findings.diagnosis.contributions):
        rows.append((str(number + 1), signed(row[0], 5), *([signed(clear[number][0], 5)] if clear else [])))
    return rows_table(head, rows, left=1)


def _stages(findings: Findings) -> str:
    rows: list[tuple[str, ...]] = [
        (stage.name, stage.who, seconds(stage.seconds), size(stage.bytes)) for stage in findings.stages
    ]
    memory = (
        f'<p class="muted">Server process, at most: {size(findings.server_memory)}</p>'
        if findings.server_memory
        else ""
    )
    return rows_table(["Stage", "Who", "Time", "Bytes"], rows, left=2) + memory


def _margins(findings: Findings) -> str:
    rows = "".join(
        f'<tr><td>{escape(name)}</td><td style="width:55%"><div class="track">'
        f'<div class="fill" style="width:{min(100.0, 100 * share):.1f}%"></div></div></td>'
        f'<td class="number">{100 * share:.0f} %</td></tr>'
        for name, share in findings.margins.items()
    )
    return f"<table>{rows}</table>"


def _reading(findings: Findings, of_data_set: bool) -> str:
    lines = [
        "The score is the sum of the frames' contributions. A score at or above the operating point reads as "
        "positive; the operating point was chosen on validation data to miss few positives, so false alarms "
        "are to be expected.",
        "The server saw ciphertexts only. It held neither the secret key nor the images, and learned neither "
        "the score nor the decision.",
        "Research software, not a medical device; not for diagnosis.",
    ]
    lines += [f"Warning: {warning}" for warning in findings.purpose.warnings]
    if findings.case is None:
        lines.append("Nobody compared these images with those that were encrypted.")
    if credit := findings.credit(of_data_set):
        lines.append(credit)
    return "".join(f"<p>{escape(line)}</p>" for line in lines)


def rows_table(head: list[str], rows: list[tuple[str, ...]], left: int) -> str:
    """An HTML table; all but the first `left` columns hold numbers."""

    def cell(tag: str, number: int, text: str) -> str:
        style = "" if number < left else ' class="number"'
        return f"<{tag}{style}>{escape(text)}</{tag}>"

    lines = ["".join(cell("td", number, text) for number, text in enumerate(row)) for row in rows]
    body = "".join(f"<tr>{line}</tr>" for line in lines)
    names = "".join(cell("th", number, text) for number, text in enumerate(head))
    return f"<table>{f'<tr>{names}</tr>' if head else ''}{body}</table>"
