"""heclstm demo"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from heclstm.cli.options import AsJson, Threads
from heclstm.cli.terminal import TERMINAL, bold, dim, emit, facts, out, seconds, size, table
from heclstm.cli.verb import verb

if TYPE_CHECKING:
    from rich.text import Text

    from heclstm.report.findings import Findings

EXAMPLE = Path("examples/adrenal")
VOLUME = 5  # the first gland of the official test part that carries a mass


@verb(after="forget")
def demo(
    output: Annotated[Path, typer.Option("--output", "-o", metavar="DEMO/", help="Where everything goes.")] = Path(
        "demo"
    ),
    volume: Annotated[
        int, typer.Option("--volume", min=0, help="Which test volume; 5 is the first that carries a mass.")
    ] = VOLUME,
    threads: Threads = None,
    example: Annotated[
        Path, typer.Option("--example", help="A folder with model.json, volumes.npz and program/.")
    ] = EXAMPLE,
    as_json: AsJson = False,
) -> None:
    """Everybody: the whole way on a real test volume, at 128-bit security.

    Makes keys and encrypts as the hospital, evaluates in a separate process that gets a folder with nothing
    but the program, the evaluation keys and the query, decrypts, compares with the model in clear, and draws
    a report.

    Example:

        heclstm demo --volume 5
    """
    from heclstm.usecases import demo as usecase

    where = usecase.find_example(example)
    findings = usecase.demo(output, example=where, volume=volume, threads=threads, events=TERMINAL)
    if as_json:
        emit(findings.to_json())
        return
    _print(findings, output)


def _print(findings: Findings, output: Path) -> None:
    diagnosis, clear = findings.diagnosis, findings.clear
    stages = table("stage", "who", "time", "bytes", left=2)
    for stage in findings.stages:
        stages.add_row(stage.name, stage.who, seconds(stage.seconds), size(stage.bytes))
    out().print(stages)
    rows: dict[str, str | Text] = {"sequence": diagnosis.name}
    if clear is not None:
        rows["score in clear"] = f"{clear.scores[0]:+.3f}"
    rows["score decrypted"] = f"{diagnosis.scores[0]:+.3f}"
    if findings.error is not None:
        rows["error"] = f"{findings.error:+.1e}"
    if diagnosis.threshold is not None:
        rows["operating point"] = f"{diagnosis.threshold:+.3f}"
    rows["decision"] = bold(diagnosis.decision)
    if findings.truth is not None:
        rows["truth"] = "positive" if findings.truth else "negative"
    rows |= {
        "server memory": size(findings.server_memory),
        "report": f"{output}/report.html, {output}/report.png",
        "technical figures": f"{output}/technical.html",
    }
    out().print(facts(rows))
    out().print(dim(findings.purpose.model.credit))
