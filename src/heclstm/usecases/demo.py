"""The whole way on one volume of an example: a server of one's own, keys, query, diagnosis, report."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import heclstm
from heclstm.card.program_card import ProgramCard
from heclstm.card.purpose import Purpose
from heclstm.data.handed_in import HandedIn
from heclstm.data.reading import read_labels
from heclstm.deploy.case import Case
from heclstm.deploy.client import Client
from heclstm.deploy.diagnosis import Diagnosis
from heclstm.deploy.keys import query_blobs, result_blobs
from heclstm.deploy.wire import Message
from heclstm.errors import DigestError, FileFormatError, OutputError, SecurityError
from heclstm.model.calibrate import margins
from heclstm.model.reference import forward
from heclstm.model.weights import Model, load_model
from heclstm.network import calls
from heclstm.network.patience import Patience
from heclstm.network.remote import Remote
from heclstm.network.trust import Wish
from heclstm.program.files import load_card
from heclstm.report.findings import Findings, Stage
from heclstm.storage.atomic import save_file
from heclstm.usecases.clock import Clock
from heclstm.usecases.connect import connect
from heclstm.usecases.demo_server import local_server
from heclstm.usecases.encrypt import encrypt
from heclstm.usecases.events import SILENT, Events, Timed
from heclstm.usecases.images import read_handed_in
from heclstm.usecases.report import report

TENANT = "demo-hospital"
PATIENCE = Patience(tries=240, first_seconds=0.1, longest_seconds=0.5)  # a server that has just been started
PAGES = ("report.html", "report.png", "technical.html")
REASON = "a published volume, shown as it is"  # for those few that are unlike the training part
MARKER = ".heclstm-demo"  # says that a folder's hospital/, server/ and report are a demo's, which the next one replaces


def demo(
    output: Path, *, example: Path, volume: int = 0, threads: int | None = None, events: Events = SILENT
) -> Findings:
    """Writes hospital/, server/ and the pages into `output`.

    example: a folder with model.json, volumes.npz and program/. The server is `heclstm serve` as processes of its own,
    reached over TLS on this machine; its folder holds public material only, the hospital's what never leaves it.
    Deletes what an earlier demo made in `output`, and nothing else.
    """
    case = _Volume.read(example, volume)  # all of it before anything is deleted
    hospital, server = _emptied(output)
    if case.card.parameters.security != "128":
        raise SecurityError(f"{example}: its program has no security, expected 128-bit security; compile it again")
    shutil.copytree(example / "program", server / "program")
    findings = _way(case, hospital, server, threads, events)
    made = report(findings, case.images.sequence, of_data_set=True, events=events)
    save_file(output / "report.png", made.drawn("png"))  # of a published volume: no need to hide it
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
class _Volume:
    """One volume of an example, and what belongs to it."""

    card: ProgramCard
    model: Model
    images: HandedIn
    truth: bool | None
    name: str

    @classmethod
    def read(cls, example: Path, volume: int) -> _Volume:
        card, model = load_card(example / "program"), load_model(example)
        _require_model(model, card.model.digest, example)
        images = read_handed_in([example / "volumes.npz"], card, volume)
        labels = read_labels(example / "volumes.npz")
        truth = bool(labels[volume]) if labels is not None and volume < len(labels) else None
        name = f"{Purpose.of(model).model.dataset or 'Example'}, test volume {volume}"
        return cls(card, model, images, truth, name)


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


def _way(case: _Volume, hospital: Path, folder: Path, threads: int | None, events: Events) -> Findings:
    """From the images to the diagnosis, with every stage timed. folder: of the server."""
    timed = Timed(events)
    with local_server(folder, TENANT, threads) as server:
        events.note(
            f"the server starts at {server.url}, with {', '.join(sorted(item.name for item in folder.iterdir()))}"
        )
        wish = Wish(server.url, hospital / "site", server.token, case.card.digest, ca=server.authority)
        made = connect(wish, threads=threads, patience=PATIENCE, events=timed)
        stages = [Stage("make keys", "hospital", timed.seconds["making keys"], made.connection.key_bytes)]
        stages.append(Stage("upload keys", "hospital", timed.seconds["uploading keys"]))
        with Remote(hospital / "site", threads=threads) as remote:
            findings = _diagnosed(remote, case, stages, events)
    point = findings.operating_point
    clear, shares = _in_clear(case.model, case.images.sequence.frames, None if point is None else point.threshold)
    return replace(
        findings,
        truth=case.truth,
        clear=clear,
        margins=shares,
        stages=tuple(stages),
        server_memory=server.peak_memory,
    )


def _diagnosed(remote: Remote, case: _Volume, stages: list[Stage], events: Events) -> Findings:
    """As `diagnose` does for each of many patients, a lap for each part."""
    hospital, run, clock, card = remote.hospital, remote.transport.run, Clock(), case.card
    query_bytes = sum(size for _, size in query_blobs(card))
    result_bytes = sum(size for _, size in result_blobs(card))

    def make(client: Client) -> tuple[Message, Case]:
        made = encrypt(card, case.images, client, name=case.name, override_envelope=REASON, events=events)
        return made.query, made.case

    pending = run(hospital.submit(make))
    stages.append(Stage("encrypt and send", "hospital", clock.lap(), query_bytes))
    with events.stage("evaluating") as update:
        run(calls.ended(pending.job, lambda status: update(status.progress, 1.0)))
    stages.append(Stage("evaluate", "server", clock.lap(), result_bytes))
    diagnosis = run(hospital.collect(pending))
    stages.append(Stage("fetch and decrypt", "hospital", clock.lap()))
    return Findings(diagnosis, card.purpose, card.digest, case=pending.case)


def _in_clear(model: Model, frames: Any, threshold: float | None) -> tuple[Diagnosis, dict[str, float]]:
    """The same images by the model itself, and how close each layer came to its limit."""
    values = forward(model, frames[None])
    contributions = tuple(tuple(row) for row in values["contributions"][0].tolist())
    undecided: Literal["no decision"] | None = "no decision" if threshold is None else None
    clear = Diagnosis(tuple(values["score"][0].tolist()), contributions, threshold, undecided=undecided)
    return clear, margins(model, values)


def _require_model(model: Model, digest: str | None, folder: Path) -> None:
    if model.digest != digest:
        raise DigestError(
            f"{folder}: its program was compiled from model {(digest or '')[:12]}, but it holds model "
            f"{model.digest[:12]}; heclstm compile {folder} -o {folder}/program"
        )
