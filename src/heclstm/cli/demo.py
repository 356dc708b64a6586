"""heclstm demo"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from heclstm.cli.clock import Clock
from heclstm.cli.options import AsJson, Threads
from heclstm.cli.terminal import bold, dim, emit, facts, note, out, progress, seconds, size, table

if TYPE_CHECKING:
    from rich.text import Text

    from heclstm.card.program_card import ProgramCard
    from heclstm.data.sequence import ImageSequence
    from heclstm.model.weights import Model
    from heclstm.report.findings import Findings, Stage

EXAMPLE = Path("examples/adrenal")
MARKER = ".heclstm-demo"  # says that a folder's hospital/, server/ and report are a demo's, which the next one replaces
VOLUME = 5  # the first gland of the official test part that carries a mass


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
    from heclstm.report.figure import draw
    from heclstm.report.page import page
    from heclstm.storage.atomic import save_file

    example = _found(example)
    case = _Case.read(example, volume)  # all of it before anything is deleted
    hospital, server = _emptied(output)
    shutil.copytree(example / "program", server / "program")
    shutil.copy(example / "program" / "program.json", hospital)
    findings = _way(case, hospital, server, threads)
    with progress("drawing"):
        picture = draw(findings, case.sequence, of_data_set=True)
        save_file(output / "report.png", picture)
        save_file(output / "report.html", page(findings, picture, of_data_set=True))
    findings.save(hospital / "diagnosis.json")
    if as_json:
        emit(findings.to_json())
        return
    _print(findings, output)


def _found(example: Path) -> Path:
    """The example beside the caller, or in the source tree that this package runs from."""
    from heclstm.errors import FileFormatError

    for folder in (example, Path(__file__).parents[3] / example):
        if (folder / "program" / "program.json").exists() and (folder / "volumes.npz").exists():
            return folder
    raise FileFormatError(
        f"{example}: holds no program/ and volumes.npz; run the demo in a checkout, or give --example"
    )


@dataclass(frozen=True)
class _Case:
    """One volume of an example, and what belongs to it."""

    card: ProgramCard
    model: Model
    sequence: ImageSequence
    truth: bool | None
    name: str

    @classmethod
    def read(cls, example: Path, volume: int) -> _Case:
        from heclstm.card.purpose import Purpose
        from heclstm.cli.images import read_sequence
        from heclstm.data.reading import read_labels
        from heclstm.model.weights import load_model
        from heclstm.program.files import load_card

        card, model = load_card(example / "program"), load_model(example)
        _require_model(model, card.model.digest, example)
        sequence = read_sequence(example / "volumes.npz", card, volume)
        labels = read_labels(example / "volumes.npz")
        truth = bool(labels[volume]) if labels is not None and volume < len(labels) else None
        name = f"{Purpose.of(model).model.dataset or 'Example'}, test volume {volume}"
        return cls(card, model, sequence, truth, name)


def _emptied(output: Path) -> tuple[Path, Path]:
    """hospital/ and server/ in `output`, new and empty. Deletes those of an earlier demo, and nothing else."""
    from heclstm.errors import OutputError
    from heclstm.storage.atomic import save_file

    hospital, server, marker = output / "hospital", output / "server", output / MARKER
    for path in (hospital, server, output / "report.html", output / "report.png"):
        if path.is_symlink() or path.exists() and not marker.is_file():
            raise OutputError(
                f"{path}: exists, and no demo made it; choose another folder with -o, or remove it yourself"
            )
    output.mkdir(parents=True, exist_ok=True)
    save_file(marker, "heclstm demo made hospital/, server/ and report.* here; the next demo replaces them.\n")
    for folder in (hospital, server):
        if folder.exists():
            shutil.rmtree(folder)
        folder.mkdir()
    return hospital, server


def _way(case: _Case, hospital: Path, server: Path, threads: int | None) -> Findings:
    """From the images to the diagnosis, with every stage timed."""
    from contextlib import closing
    from dataclasses import replace

    from heclstm.cli.keygen import make_keys
    from heclstm.deploy.client import Client
    from heclstm.deploy.keys import EVALUATION_KEYS_FILE, SECRET_KEY_FILE
    from heclstm.report.findings import Findings, Stage

    card = case.card
    clock = Clock()
    sizes = make_keys(card, hospital, threads=threads, allow_insecure=False)
    stages = [Stage("make keys", "hospital", clock.lap(), sizes[EVALUATION_KEYS_FILE])]
    shutil.move(hospital / EVALUATION_KEYS_FILE, server)
    with closing(Client(card, threads=threads)) as client:
        client.load_secret_key(hospital / SECRET_KEY_FILE)
        clock.lap()
        written = client.encrypt(case.sequence).save(hospital / "query.he")
        stages.append(Stage("encrypt", "hospital", clock.lap(), written))
        shutil.copy(hospital / "query.he", server)
        answer = serve(server, threads)
        stages += _server_stages(answer)
        shutil.copy(server / "result.he", hospital)
        clock.lap()
        diagnosis = client.decrypt(hospital / "result.he", case.name, query=hospital / "query.he")
        stages.append(Stage("decrypt", "hospital", clock.lap()))
    findings = Findings(diagnosis, card.purpose, card.digest)
    clear, margins = _in_clear(case.model, case.sequence.frames, findings)
    return replace(
        findings,
        truth=case.truth,
        clear=clear,
        margins=margins,
        stages=tuple(stages),
        server_memory=answer["peak_memory_bytes"],
    )


def serve(folder: Path, threads: int | None) -> dict[str, Any]:
    """The server: another process, in a folder that holds public material only. Returns what it printed."""
    import heclstm
    from heclstm.errors import HeclstmError

    command = [sys.executable, "-m", "heclstm.cli", "run", "program", "query.he", "--keys", "evaluation.keys"]
    command += ["-o", "result.he", "--json", *(["--threads", str(threads)] if threads else [])]
    note(f"the server starts, with {', '.join(sorted(item.name for item in folder.iterdir()))}")
    environment = os.environ | {"PYTHONPATH": str(Path(heclstm.__file__).resolve().parents[1])}
    done = subprocess.run(command, cwd=folder, env=environment, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise HeclstmError(f"demo: the server stopped with exit code {done.returncode}; its message stands above")
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def _server_stages(answer: dict[str, Any]) -> list[Stage]:
    from heclstm.report.findings import Stage

    spent = answer["seconds"]
    return [
        Stage("prepare the program", "server", spent["prepare"]),
        Stage("load the keys", "server", spent["load_keys"]),
        Stage("evaluate", "server", spent["evaluate"], answer["bytes"]),
    ]


def _in_clear(model: Model, frames: Any, findings: Findings) -> tuple[Any, dict[str, float]]:
    """The same images by the model itself, and how close each layer came to its limit."""
    from heclstm.deploy.diagnosis import Diagnosis
    from heclstm.model.calibrate import margins
    from heclstm.model.reference import forward

    values = forward(model, frames[None])
    contributions = tuple(tuple(row) for row in values["contributions"][0].tolist())
    clear = Diagnosis(tuple(values["score"][0].tolist()), contributions, findings.diagnosis.threshold)
    return clear, margins(model, values)


def _require_model(model: Model, digest: str | None, folder: Path) -> None:
    from heclstm.errors import DigestError

    if model.digest != digest:
        raise DigestError(
            f"{folder}: its program was compiled from model {(digest or '')[:12]}, but it holds model "
            f"{model.digest[:12]}; heclstm compile {folder} -o {folder}/program"
        )


def _print(findings: Findings, output: Path) -> None:
    diagnosis, clear = findings.diagnosis, findings.clear
    stages = table("stage", "who", "time", "bytes", left=2)
    for stage in findings.stages:
        stages.add_row(stage.name, stage.who, seconds(stage.seconds), size(stage.bytes))
    out().print(stages)
    rows: dict[str, str | Text] = {"sequence": diagnosis.name}
    if clear is not None:
        rows["score in clear"] = f"{clear.scores[0]:+.5f}"
    rows["score decrypted"] = f"{diagnosis.scores[0]:+.5f}"
    if findings.error is not None:
        rows["error"] = f"{findings.error:+.1e}"
    rows |= {"operating point": f"{diagnosis.threshold:+.5f}", "decision": bold(diagnosis.decision)}
    if findings.truth is not None:
        rows["truth"] = "positive" if findings.truth else "negative"
    rows |= {
        "server memory": size(findings.server_memory),
        "report": f"{output}/report.html, {output}/report.png",
    }
    out().print(facts(rows))
    out().print(dim(findings.purpose.model.credit))
