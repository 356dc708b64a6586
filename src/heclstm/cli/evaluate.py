"""heclstm evaluate"""

from __future__ import annotations

import time
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, Any

import typer

from heclstm.cli.options import AsJson, InsecureTest, Threads
from heclstm.cli.terminal import emit, facts, out, progress, table

if TYPE_CHECKING:
    from heclstm.cli.scoring import Frames, Subject
    from heclstm.data.datasets import Part
    from heclstm.model.metrics import Array, Measures
    from heclstm.report.evaluation import Evaluation, Inside

SPLITS = ("train", "validation", "test")


def evaluate(
    subjects: Annotated[
        list[Path],
        typer.Argument(
            metavar="MODEL/ or PROGRAM/",
            help="A model or program folder; several models count as folds and are pooled.",
        ),
    ],
    data: Annotated[
        Path, typer.Option("--data", metavar="FILE", help="The model's data set, or a .npz of volumes with labels.")
    ],
    split: Annotated[
        str, typer.Option("--split", help="Which part of a data set: test, validation or train.")
    ] = "test",
    simulated: Annotated[bool, typer.Option("--simulated", help="Also with the noise that encryption adds.")] = False,
    encrypted: Annotated[
        int | None, typer.Option("--encrypted", min=1, metavar="N", help="Also encrypted, for N of the sequences.")
    ] = None,
    program: Annotated[
        Path | None,
        typer.Option("--program", metavar="PROGRAM/", help="The model's program; compiled anew by default."),
    ] = None,
    keys: Annotated[
        Path | None,
        typer.Option("--keys", metavar="KEYS/", help="With --encrypted: both key files; made anew by default."),
    ] = None,
    dataset: Annotated[
        str | None, typer.Option("--dataset", metavar="NAME", help="Kind of data set; the model's own by default.")
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="REPORT.HTML", help="A page to look at; .json for the figures alone."),
    ] = None,
    threads: Threads = None,
    insecure_test: InsecureTest = False,
    as_json: AsJson = False,
) -> None:
    """Model owner: what a model is worth on sequences that it was not trained on.

    AUC with its 95 % interval, sensitivity, missed diagnoses, specificity and accuracy at the operating point,
    patient by patient. The scores are those in clear; --simulated and --encrypted put others beside them and
    count the decisions that agree. The test part is for one look at the end, never for choosing.

    Example:

        heclstm evaluate model/ --data adrenalmnist3d.npz --encrypted 8 -o evaluation.html
    """
    from heclstm.errors import InputError

    if split not in SPLITS:
        raise InputError(f"--split: got {split!r}, expected one of {', '.join(SPLITS)}")
    if output and output.suffix.lower() not in (".html", ".json"):
        raise InputError(f"{output}: got the ending {output.suffix or 'none'}, expected .html or .json")
    if len(subjects) > 1 and (encrypted or program):
        raise InputError(f"--encrypted and --program: got {len(subjects)} models, expected one")
    if keys and not encrypted:
        raise InputError("--keys: belongs to --encrypted N")
    evaluation, pages = None, b""
    with ExitStack() as stack:
        folders = [Path(stack.enter_context(TemporaryDirectory(prefix="heclstm-"))) for _ in subjects]
        for path, folder in zip(subjects, folders, strict=True):
            run = _Run(path, program, folder, data, dataset, split)
            found = run.evaluate(simulated, encrypted, keys, threads, allow_insecure=insecure_test)
            if evaluation is None:
                evaluation, first = found, run
            else:
                evaluation = _joined(evaluation, found)
        assert evaluation is not None  # typer asks for at least one subject
        if output:
            pages = _content(output, evaluation, first)
    if output:
        _write(output, pages)
    if as_json:
        emit(evaluation.to_json())
    else:
        print_evaluation(evaluation, output)


class _Run:
    """One subject on its part of the data."""

    def __init__(
        self, path: Path, program: Path | None, folder: Path, data: Path, dataset: str | None, split: str
    ) -> None:
        from heclstm.cli.scoring import read_part, read_subject
        from heclstm.data.prepare import Preparation, prepare_all

        self.folder, self.split = folder, split
        self.subject: Subject = read_subject(path, program)
        self.part: Part = read_part(data, dataset or self.subject.dataset, split)
        self.frames: Frames = prepare_all(self.part.images, Preparation.from_json(self.subject.purpose.preparation))

    def evaluate(
        self, simulated: bool, encrypted: int | None, keys: Path | None, threads: int | None, *, allow_insecure: bool
    ) -> Evaluation:
        import numpy as np

        from heclstm.circuit.files import load_description
        from heclstm.cli.scoring import clear_scores, compiled, encrypted_scores, simulated_scores, spread
        from heclstm.model.evaluate import Fold
        from heclstm.report.evaluation import Evaluation

        subject, frames, seconds, refused = self.subject, self.frames, {}, 0
        start = time.perf_counter()
        with progress("in clear") as update:
            clear, values = clear_scores(subject, frames, update)
        scores = {"clear": clear}
        seconds["clear"], start = time.perf_counter() - start, time.perf_counter()
        if simulated or encrypted:
            with progress("program"):
                subject = compiled(subject, self.folder)
            start = time.perf_counter()
        if simulated:
            with progress("simulated") as update:
                scores["simulated"] = simulated_scores(subject, frames, update)
            seconds["simulated"], start = time.perf_counter() - start, time.perf_counter()
        if encrypted:
            rows = spread(self.part.labels, encrypted)
            with progress("encrypted") as update:
                scores["encrypted"], refused = encrypted_scores(
                    subject, frames, rows, keys, threads, allow_insecure, update
                )
            seconds["encrypted"] = time.perf_counter() - start
        purpose, description = subject.purpose, load_description(subject.program) if subject.program else None
        scale = purpose.temperature
        return Evaluation(
            folds=(Fold(subject.name, self.part.labels, scores, float(purpose.operating_point["threshold"]),
                        np.array(self.part.patients) if self.part.patients else None),),
            split=self.split,
            dataset=str(subject.model.metadata.get("dataset", "")) if subject.model else purpose.name,
            attribution=purpose.attribution,
            operating_point=purpose.operating_point,
            temperatures=((float(scale["temperature"]), float(scale["offset"])),) if scale else (),
            inside=_inside(subject, values),
            model=purpose.model_digest,
            program=description.digest if description else "",
            security=description.parameters.security if description else "",
            refused=refused,
            seconds=seconds,
        )  # fmt: skip


def _inside(subject: Subject, values: dict[str, Array] | None) -> Inside | None:
    """What only a model shows, and only a calibrated one."""
    from heclstm.model.calibrate import margins, outside
    from heclstm.report.evaluation import Inside

    model = subject.model
    if model is None or values is None or "ranges" not in model.metadata:
        return None
    arrays = model.arrays
    return Inside(
        margins(model, values),
        outside(model, values),
        arrays["vote.weight"],
        float(arrays["weighted_unit.alpha"][0]),
        values["contributions"][:, :, 0],
    )


def _joined(first: Evaluation, other: Evaluation) -> Evaluation:
    """Further folds of the same evaluation; the inside of a model is shown for the first."""
    seconds = {way: first.seconds[way] + other.seconds[way] for way in first.seconds}
    names = {fold.name for fold in first.folds}
    fold = other.folds[0]
    if fold.name in names:
        fold = replace(fold, name=f"{fold.name} ({len(first.folds) + 1})")
    return replace(
        first, folds=(*first.folds, fold), temperatures=(*first.temperatures, *other.temperatures), seconds=seconds
    )


def _content(output: Path, evaluation: Evaluation, first: _Run) -> bytes:
    if output.suffix.lower() == ".json":
        import json

        return (json.dumps(evaluation.to_json(), indent=1, allow_nan=False) + "\n").encode()
    from heclstm.report.evaluation_page import evaluation_page

    with progress("drawing"):
        return evaluation_page(evaluation, first.frames, first.subject.purpose.preparation).encode()


def _write(output: Path, content: bytes) -> None:
    from heclstm.deploy.wire import new_file

    with new_file(output, 0o600) as stream:  # it shows images of patients
        stream.write(content)


def print_evaluation(evaluation: Evaluation, output: Path | None) -> None:
    pooled = evaluation.pooled
    names = [*(fold.name for fold in evaluation.folds), "pooled"] if len(evaluation.folds) > 1 else []
    columns: dict[str, Measures | None] = {name: fold.measures("clear") for name, fold in zip(
        names, (*evaluation.folds, pooled), strict=False)}  # fmt: skip
    columns = columns or {way: pooled.measures(way) for way in evaluation.ways}
    rows = table(f"{evaluation.split}, 95 % intervals", *columns)
    for title, name in (
        ("AUC", "auc"),
        ("sensitivity", "sensitivity"),
        ("missed diagnoses", "missed_rate"),
        ("specificity", "specificity"),
        ("accuracy", "accuracy"),
    ):
        rows.add_row(title, *(str(getattr(found, name)) if found else "one outcome only" for found in columns.values()))
    rows.add_row("patients", *(str(found.total) if found else "" for found in columns.values()))
    out().print(rows)
    lines: dict[str, Any] = {}
    for way, found in evaluation.agreements.items():
        lines[way] = (
            f"{found.decisions_agree} of {found.sequences} decisions agree with clear; "
            f"error {found.mean_error:.1e} mean, {found.worst_error:.1e} worst"
        )
    if evaluation.over_simulated is not None:
        lines["encrypted over simulated"] = f"{evaluation.over_simulated:.2f} times the predicted error"
    if evaluation.refused:
        lines["refused"] = f"{evaluation.refused} results outside the calibrated range"
    if output:
        lines["report"] = str(output)
    if lines:
        out().print(facts(lines))
