"""The whole way on one volume of an example: keys, query, another process as the server, diagnosis, report."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import heclstm
from heclstm.card.program_card import ProgramCard
from heclstm.card.purpose import Purpose
from heclstm.data.reading import read_labels
from heclstm.data.sequence import ImageSequence
from heclstm.deploy.client import Client
from heclstm.deploy.diagnosis import Diagnosis
from heclstm.errors import DigestError, FileFormatError, HeclstmError, OutputError
from heclstm.model.calibrate import margins
from heclstm.model.reference import forward
from heclstm.model.weights import Model, load_model
from heclstm.program.files import load_card
from heclstm.report.findings import Findings, Stage
from heclstm.storage.atomic import save_file
from heclstm.usecases.clock import Clock
from heclstm.usecases.events import SILENT, Events
from heclstm.usecases.images import read_sequence
from heclstm.usecases.keygen import keygen
from heclstm.usecases.report import report

PAGES = ("report.html", "report.png", "technical.html")
MARKER = ".heclstm-demo"  # says that a folder's hospital/, server/ and report are a demo's, which the next one replaces


def demo(
    output: Path, *, example: Path, volume: int = 0, threads: int | None = None, events: Events = SILENT
) -> Findings:
    """Writes hospital/, server/ and the pages into `output`.

    example: a folder with model.json, volumes.npz and program/. The server is `heclstm run` as a process of its own, in
    a folder that holds public material only. Deletes what an earlier demo made in `output`, and nothing else.
    """
    case = _Case.read(example, volume)  # all of it before anything is deleted
    hospital, server = _emptied(output)
    shutil.copytree(example / "program", server / "program")
    shutil.copy(example / "program" / "program.json", hospital)
    findings = _way(case, hospital, server, threads, events)
    made = report(findings, case.sequence, of_data_set=True, events=events)
    save_file(output / "report.png", made.picture)  # of a published volume: no need to hide it
    save_file(output / "report.html", made.page)
    save_file(output / "technical.html", made.technical)
    findings.save(hospital / "diagnosis.json")
    return findings


def find_example(example: Path) -> Path:
    """The example beside the caller, or in the source tree that this package runs from."""
    for folder in (example, Path(heclstm.__file__).parents[2] / example):
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
        card, model = load_card(example / "program"), load_model(example)
        _require_model(model, card.model.digest, example)
        sequence = read_sequence(example / "volumes.npz", card, volume)
        labels = read_labels(example / "volumes.npz")
        truth = bool(labels[volume]) if labels is not None and volume < len(labels) else None
        name = f"{Purpose.of(model).model.dataset or 'Example'}, test volume {volume}"
        return cls(card, model, sequence, truth, name)


def _emptied(output: Path) -> tuple[Path, Path]:
    """hospital/ and server/ in `output`, new and empty. Deletes those of an earlier demo, and nothing else."""
    hospital, server, marker = output / "hospital", output / "server", output / MARKER
    for path in (hospital, server, *(output / name for name in PAGES)):
        if path.is_symlink() or path.exists() and not marker.is_file():
            raise OutputError(
                f"{path}: exists, and no demo made it; choose another folder with -o, or remove it yourself"
            )
    output.mkdir(parents=True, exist_ok=True)
    save_file(
        marker, "heclstm demo made hospital/, server/, report.* and technical.html here; the next demo replaces them.\n"
    )
    for folder in (hospital, server):
        if folder.exists():
            shutil.rmtree(folder)
        folder.mkdir()
    return hospital, server


def _way(case: _Case, hospital: Path, server: Path, threads: int | None, events: Events) -> Findings:
    """From the images to the diagnosis, with every stage timed."""
    card, clock = case.card, Clock()
    keys = keygen(card, hospital, threads=threads, events=events)
    stages = [Stage("make keys", "hospital", clock.lap(), keys.bytes[keys.evaluation.name])]
    shutil.move(keys.evaluation, server)
    with closing(Client(card, threads=threads)) as client:
        client.load_secret_key(keys.secret)
        clock.lap()
        written = client.encrypt(case.sequence).save(hospital / "query.he")
        stages.append(Stage("encrypt", "hospital", clock.lap(), written))
        shutil.copy(hospital / "query.he", server)
        answer = _serve(server, threads, events)
        stages += _server_stages(answer)
        shutil.copy(server / "result.he", hospital)
        clock.lap()
        diagnosis = client.decrypt(hospital / "result.he", case.name, query=hospital / "query.he")
        stages.append(Stage("decrypt", "hospital", clock.lap()))
    findings = Findings(diagnosis, card.purpose, card.digest)
    clear, shares = _in_clear(case.model, case.sequence.frames, diagnosis.threshold)
    return replace(
        findings,
        truth=case.truth,
        clear=clear,
        margins=shares,
        stages=tuple(stages),
        server_memory=answer["peak_memory_bytes"],
    )


def _serve(folder: Path, threads: int | None, events: Events) -> dict[str, Any]:
    """The server: another process, in a folder that holds public material only. Returns what it printed."""
    command = [sys.executable, "-m", "heclstm.cli", "run", "program", "query.he", "--keys", "evaluation.keys"]
    command += ["-o", "result.he", "--json", *(["--threads", str(threads)] if threads else [])]
    events.note(f"the server starts, with {', '.join(sorted(item.name for item in folder.iterdir()))}")
    environment = os.environ | {"PYTHONPATH": str(Path(heclstm.__file__).resolve().parents[1])}
    done = subprocess.run(command, cwd=folder, env=environment, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise HeclstmError(f"demo: the server stopped with exit code {done.returncode}; its message stands above")
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def _server_stages(answer: dict[str, Any]) -> list[Stage]:
    spent = answer["seconds"]
    return [
        Stage("prepare the program", "server", spent["prepare"]),
        Stage("load the keys", "server", spent["load_keys"]),
        Stage("evaluate", "server", spent["evaluate"], answer["bytes"]),
    ]


def _in_clear(model: Model, frames: Any, threshold: float) -> tuple[Diagnosis, dict[str, float]]:
    """The same images by the model itself, and how close each layer came to its limit."""
    values = forward(model, frames[None])
    contributions = tuple(tuple(row) for row in values["contributions"][0].tolist())
    return Diagnosis(tuple(values["score"][0].tolist()), contributions, threshold), margins(model, values)


def _require_model(model: Model, digest: str | None, folder: Path) -> None:
    if model.digest != digest:
        raise DigestError(
            f"{folder}: its program was compiled from model {(digest or '')[:12]}, but it holds model "
            f"{model.digest[:12]}; heclstm compile {folder} -o {folder}/program"
        )
