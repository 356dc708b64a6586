"""heclstm evaluate"""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated

import typer

from heclstm.cli.options import AsJson, InsecureTest, Threads
from heclstm.cli.terminal import emit, facts, note, out, progress, table

if TYPE_CHECKING:
    from heclstm.cli.evaluation import Run, Ways
    from heclstm.report.evaluation import Evaluation

SPLITS = ("train", "validation", "test")
ROWS = (
    ("AUC", "auc"),
    ("sensitivity", "sensitivity"),
    ("missed diagnoses", "missed_rate"),
    ("specificity", "specificity"),
    ("accuracy", "accuracy"),
)


def evaluate(
    subjects: Annotated[
        list[Path],
        typer.Argument(
            metavar="MODEL/ or PROGRAM/",
            help="A model or program folder; several models count as folds and are pooled.",
        ),
    ],
    data: Annotated[
        Path | None,
        typer.Option("--data", metavar="FILE", help="The model's data set, or a .npz of volumes with labels."),
    ] = None,
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
    from heclstm.cli.evaluation import Ways
    from heclstm.errors import InputError

    if split not in SPLITS:
        raise InputError(f"--split: got {split!r}, expected one of {', '.join(SPLITS)}")
    if output and output.suffix.lower() not in (".html", ".json"):
        raise InputError(f"{output}: got the ending {output.suffix or 'none'}, expected .html or .json")
    if len(subjects) > 1 and (encrypted or program):
        raise InputError(f"--encrypted and --program: got {len(subjects)} models, expected one")
    if keys and not encrypted:
        raise InputError("--keys: belongs to --encrypted N")
    ways = Ways(simulated, encrypted, keys, threads, insecure_test)
    evaluation, first = evaluated(subjects, data, split, ways, program=program, dataset=dataset)
    if output:
        write_evaluation(output, evaluation, first)
    if as_json:
        emit(evaluation.to_json())
    else:
        print_evaluation(evaluation, output)


def evaluated(
    subjects: Sequence[Path],
    data: Path | None,
    split: str,
    ways: Ways,
    *,
    program: Path | None = None,
    dataset: str | None = None,
) -> tuple[Evaluation, Run]:
    """Every subject on its part of the data, as folds of one evaluation; and the first of them."""
    from heclstm.cli.evaluation import Run, join

    with ExitStack() as stack:
        folders = [Path(stack.enter_context(TemporaryDirectory(prefix="heclstm-"))) for _ in subjects]
        pairs = zip(subjects, folders, strict=True)
        first, *others = (Run(path, program, folder, data, dataset, split) for path, folder in pairs)
        _refuse_overlap([first, *others])
        evaluation = first.evaluate(ways)
        for other in others:
            evaluation = join(evaluation, other.evaluate(ways))
    return evaluation, first


def _refuse_overlap(runs: Sequence[Run]) -> None:
    """Pooled intervals are right only if no patient counts twice."""
    from heclstm.errors import InputError

    seen: dict[str, str] = {}
    for run in runs:
        for patient in set(run.part.undivided):
            if patient in seen:
                raise InputError(
                    f"{seen[patient]} and {run.subject.name}: share patient {patient}, expected folds without a common "
                    "patient; evaluate these models one by one"
                )
        seen |= dict.fromkeys(run.part.undivided, run.subject.name)
    if len(runs) > 1 and not all(run.part.patients for run in runs):
        note(
            "warning: patients have no names here; pooled figures count each sequence of each model as another patient"
        )


def write_evaluation(output: Path, evaluation: Evaluation, first: Run) -> None:
    """A page to look at, or with the ending .json the figures alone."""
    from heclstm.report.evaluation_page import evaluation_page
    from heclstm.storage.atomic import save_file

    if output.suffix.lower() == ".json":
        content = json.dumps(evaluation.to_json(), indent=1, allow_nan=False) + "\n"
    else:
        with progress("drawing"):
            content = evaluation_page(evaluation, first.frames, first.subject.purpose.preparation)
    save_file(output, content, 0o600)  # it shows images of patients


def print_evaluation(evaluation: Evaluation, output: Path | None) -> None:
    pooled = evaluation.pooled
    if len(evaluation.folds) > 1:
        columns = {fold.name: fold.measures("clear") for fold in (*evaluation.folds, pooled)}
    else:
        columns = {way: pooled.measures(way) for way in evaluation.whole_ways}
    rows = table(f"{evaluation.split}, 95 % intervals", *columns)
    for title, name in ROWS:
        rows.add_row(title, *(str(getattr(found, name)) if found else "one outcome" for found in columns.values()))
    rows.add_row("patients", *(str(found.total) if found else "" for found in columns.values()))
    out().print(rows)
    lines = {}
    for way, compared in evaluation.agreements.items():
        lines[way] = (
            f"{compared.decisions_agree} of {compared.sequences} decisions agree with clear; "
            f"error {compared.mean_error:.1e} mean, {compared.worst_error:.1e} worst"
        )
        if compared.auc_difference is not None:
            lines[way] += f"; AUC {compared.auc_difference:+.4f} on these"
    if evaluation.over_simulated is not None:
        lines["encrypted over simulated"] = f"{evaluation.over_simulated:.2f} times the predicted error"
    if evaluation.refused:
        lines["refused"] = f"{evaluation.refused} results outside the calibrated range"
    if output:
        lines["report"] = str(output)
    if lines:
        out().print(facts(lines))
