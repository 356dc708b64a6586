"""heclstm decrypt"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from heclstm.cli.each import Each, forbid, require_one, tell_each
from heclstm.cli.options import AsJson, Description, InsecureTest, Prevalence, SecretKeyFile, Threads, Trust
from heclstm.cli.passphrase import PassphraseFile, passphrase
from heclstm.cli.terminal import TERMINAL, bold, emit, facts, out, table
from heclstm.cli.verb import UNDECIDED, verb

if TYPE_CHECKING:
    from rich.text import Text

    from heclstm.report.findings import Findings


@verb(after="serve")
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
    case: Annotated[
        Path | None,
        typer.Option(
            "--case",
            metavar="QUERY.CASE",
            help="What `heclstm encrypt` left beside the query, or a folder of such files; found by the query's label; "
            "beside RESULT.HE and here by default.",
        ),
    ] = None,
    name: Annotated[str, typer.Option("--name", help="What to call the sequence, if the case does not say it.")] = "",
    frames: Annotated[int | None, typer.Option("--frames", min=1, help="Confirms what the case says.")] = None,
    query: Annotated[
        Path | None,
        typer.Option(
            "--query", metavar="QUERY.HE", help="Confirms what the case says; its case is looked for beside it."
        ),
    ] = None,
    without_case: Annotated[
        bool,
        typer.Option(
            "--without-case",
            help="For queries of earlier releases: --frames is needed, and reports check no images.",
        ),
    ] = False,
    trust: Trust = None,
    passphrase_file: PassphraseFile = None,
    threads: Threads = None,
    insecure_test: InsecureTest = False,
    prevalence: Prevalence = None,
    as_json: AsJson = False,
) -> None:
    """Hospital: decrypt a result into a diagnosis.

    Prints the score, the decision at the model's operating point, and what each frame contributed. A score
    outside the calibrated range is refused, and the result of another query than that of the case. Nothing about a
    decrypted result ever goes back to the server. Ends with exit code 3 where there is no decision: the program has
    no operating point, or not for so few frames.

    With --each, the key is loaded once for all results: q.result.he becomes q.json in the folder.

    Examples:

        heclstm decrypt program.json --key keys/secret.key result.he -o diagnosis.json
        heclstm decrypt program.json --key keys/secret.key results/*.he --each --case queries/ -o diagnoses/
    """
    from heclstm.usecases import decrypt as usecase
    from heclstm.usecases.card import read_card

    card = read_card(program, key=key, trust=trust, events=TERMINAL)
    options: dict[str, Any] = {"threads": threads, "allow_insecure": insecure_test, "events": TERMINAL}
    options |= {"passphrase": passphrase(passphrase_file), "case": case, "without_case": without_case, "frames": frames}
    if each:
        from heclstm.report.words import remarks
        from heclstm.usecases.decrypt_each import decrypt_each

        forbid(name=name, query=query, case=case is not None and case.is_file())
        outcomes = decrypt_each(card, results, key, output, **options)
        tell_each(outcomes, _row, ("name", "decision", "score"), as_json=as_json, remarks=remarks)
        if any(outcome.made and not outcome.made.diagnosis.decided for outcome in outcomes):
            raise typer.Exit(UNDECIDED)
        return
    require_one(results, "results")
    findings = usecase.decrypt(card, results[0], key, output, name=name, query=query, **options)
    if as_json:
        from heclstm.report.words import remarks

        emit(findings.to_json())
        for sentence in remarks(findings):
            TERMINAL.note(sentence)
    else:
        _print(findings, prevalence)
    if not findings.diagnosis.decided:
        raise typer.Exit(UNDECIDED)


def _row(findings: Findings) -> tuple[str, str, str]:
    return findings.diagnosis.name, findings.diagnosis.decision, f"{findings.diagnosis.scores[0]:+.3f}"


def _print(findings: Findings, prevalence: float | None) -> None:
    from heclstm.report.words import chance, meaning, rates, unusual
    from heclstm.templates.units import percent

    diagnosis = findings.diagnosis
    rows: dict[str, str | Text] = {"sequence": diagnosis.name} if diagnosis.name else {}
    rows |= {
        "decision": bold(diagnosis.decision),
        "score": f"{diagnosis.scores[0]:+.3f}",
        "operating point": "none" if diagnosis.threshold is None else f"{diagnosis.threshold:+.3f}",
    }
    if (found := chance(findings, prevalence)) is not None:
        rows["probability of a positive"] = percent(found)
    out().print(facts(rows))
    point = rates(findings.operating_point)
    for sentence in (
        *unusual(findings),
        *meaning(findings, prevalence),
        *([f"Operating point: {point}."] if point else []),
    ):
        out().print(sentence, soft_wrap=True)
    frames = table("frame", "contribution")
    real = len(diagnosis.contributions) if diagnosis.frames is None else diagnosis.frames
    for number, row in enumerate(diagnosis.contributions, start=1):
        frames.add_row(str(number), f"{row[0]:+.3f}" if number <= real else "padding")
    out().print(frames)
