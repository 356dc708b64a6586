"""heclstm evaluate"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from heclstm.cli.evaluation import print_evaluation
from heclstm.cli.options import AsJson, InsecureTest, Threads
from heclstm.cli.terminal import TERMINAL, emit
from heclstm.cli.verb import verb
from heclstm.errors import InputError

SPLITS = ("train", "validation", "test")


@verb(after="calibrate")
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
    from heclstm.usecases import evaluate as usecase

    if split not in SPLITS:
        raise InputError(f"--split: got {split!r}, expected one of {', '.join(SPLITS)}")
    if output and output.suffix.lower() not in (".html", ".json"):
        raise InputError(f"{output}: got the ending {output.suffix or 'none'}, expected .html or .json")
    if len(subjects) > 1 and (encrypted or program):
        raise InputError(f"--encrypted and --program: got {len(subjects)} models, expected one")
    if keys and not encrypted:
        raise InputError("--keys: belongs to --encrypted N")
    ways = usecase.Ways(simulated, encrypted, keys, threads, insecure_test)
    evaluated = usecase.evaluate(subjects, data, split, ways, program=program, dataset=dataset, events=TERMINAL)
    if output:
        evaluated.save(output, TERMINAL)
    if as_json:
        emit(evaluated.evaluation.to_json())
    else:
        print_evaluation(evaluated.evaluation, output)
