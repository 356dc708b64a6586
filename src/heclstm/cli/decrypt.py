"""heclstm decrypt"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from heclstm.cli.options import AsJson, Description, InsecureTest, SecretKeyFile, Threads, Trust
from heclstm.cli.terminal import TERMINAL, bold, emit, facts, out, table

if TYPE_CHECKING:
    from rich.text import Text

    from heclstm.report.findings import Findings


def decrypt(
    program: Description,
    result: Annotated[Path, typer.Argument(metavar="RESULT.HE", help="The server's encrypted result.")],
    key: SecretKeyFile,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="DIAGNOSIS.JSON", help="Keep the diagnosis (mode 0600)."),
    ] = None,
    name: Annotated[str, typer.Option("--name", help="What to call the sequence; stays in this file.")] = "",
    frames: Annotated[
        int | None,
        typer.Option(
            "--frames", min=1, help="How many frames the sequence had; needed where a program takes shorter ones."
        ),
    ] = None,
    query: Annotated[
        Path | None,
        typer.Option("--query", metavar="QUERY.HE", help="The query that was sent; a result of another is refused."),
    ] = None,
    trust: Trust = None,
    threads: Threads = None,
    insecure_test: InsecureTest = False,
    as_json: AsJson = False,
) -> None:
    """Hospital: decrypt a result into a diagnosis.

    Prints the score, the decision at the model's operating point, and what each frame contributed. A score
    outside the calibrated range is refused, and with --query the result of another query. Nothing about a
    decrypted result ever goes back to the server.

    Example:

        heclstm decrypt program.json --key keys/secret.key result.he --query query.he -o diagnosis.json
    """
    from heclstm.usecases import decrypt as usecase
    from heclstm.usecases.card import read_card

    card = read_card(program, key=key, trust=trust, events=TERMINAL)
    findings = usecase.decrypt(
        card, result, key, output,
        name=name, frames=frames, query=query, threads=threads, allow_insecure=insecure_test, events=TERMINAL,
    )  # fmt: skip
    if as_json:
        emit(findings.to_json())
    else:
        _print(findings)


def _print(findings: Findings) -> None:
    diagnosis = findings.diagnosis
    rows: dict[str, str | Text] = {"sequence": diagnosis.name} if diagnosis.name else {}
    rows |= {
        "decision": bold(diagnosis.decision),
        "score": f"{diagnosis.scores[0]:+.4f}",
        "operating point": f"{diagnosis.threshold:+.4f}",
    }
    if diagnosis.probability is not None:
        rows["probability of a positive"] = f"{100 * diagnosis.probability:.1f} %"
    out().print(facts(rows))
    frames = table("frame", "contribution")
    real = len(diagnosis.contributions) if diagnosis.frames is None else diagnosis.frames
    for number, row in enumerate(diagnosis.contributions, start=1):
        frames.add_row(str(number), f"{row[0]:+.4f}" if number <= real else "padding")
    out().print(frames)
