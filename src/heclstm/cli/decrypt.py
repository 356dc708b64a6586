"""heclstm decrypt"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from heclstm.cli.each import Each, forbid, require_one, tell_each
from heclstm.cli.options import AsJson, Description, InsecureTest, SecretKeyFile, Threads, Trust
from heclstm.cli.passphrase import PassphraseFile, passphrase
from heclstm.cli.terminal import TERMINAL, bold, emit, facts, out, table

if TYPE_CHECKING:
    from rich.text import Text

    from heclstm.report.findings import Findings


def decrypt(
    program: Description,
    results: Annotated[
        list[Path], typer.Argument(metavar="RESULT.HE", help="The server's encrypted result; with --each, many.")
    ],
    key: SecretKeyFile,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="DIAGNOSIS.JSON", help="Keep the diagnosis (mode 0600); with --each, a folder."
        ),
    ] = None,
    each: Each = False,
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
    passphrase_file: PassphraseFile = None,
    threads: Threads = None,
    insecure_test: InsecureTest = False,
    as_json: AsJson = False,
) -> None:
    """Hospital: decrypt a result into a diagnosis.

    Prints the score, the decision at the model's operating point, and what each frame contributed. A score
    outside the calibrated range is refused, and with --query the result of another query. Nothing about a
    decrypted result ever goes back to the server.

    With --each, the key is loaded once for all results: q.result.he becomes q.json in the folder.

    Examples:

        heclstm decrypt program.json --key keys/secret.key result.he --query query.he -o diagnosis.json
        heclstm decrypt program.json --key keys/secret.key results/*.he --each -o diagnoses/
    """
    from heclstm.usecases import decrypt as usecase
    from heclstm.usecases.card import read_card

    card = read_card(program, key=key, trust=trust, events=TERMINAL)
    options: dict[str, Any] = {"threads": threads, "allow_insecure": insecure_test, "events": TERMINAL}
    options["passphrase"] = passphrase(passphrase_file)
    if each:
        from heclstm.usecases.decrypt_each import decrypt_each

        forbid(name=name, query=query)
        outcomes = decrypt_each(card, results, key, output, frames=frames, **options)
        tell_each(outcomes, _row, ("decision", "score"), as_json=as_json)
        return
    require_one(results, "results")
    findings = usecase.decrypt(card, results[0], key, output, name=name, frames=frames, query=query, **options)
    if as_json:
        emit(findings.to_json())
    else:
        _print(findings)


def _row(findings: Findings) -> tuple[str, str]:
    return findings.diagnosis.decision, f"{findings.diagnosis.scores[0]:+.4f}"


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
