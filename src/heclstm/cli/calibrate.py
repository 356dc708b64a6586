"""heclstm calibrate"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from heclstm.cli.options import AsJson, ModelFolder
from heclstm.cli.terminal import TERMINAL, emit, out, table


def calibrate(
    model: ModelFolder,
    data: Annotated[
        Path | None,
        typer.Option(
            "--data",
            help="The model's data set (its training and validation parts are used), or a .npz or .npy of volumes.",
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="MODEL/", help="Where it goes; in place by default."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Model owner: measure which values a model really meets.

    Polynomials are right only inside an interval. Calibration runs the model on the training and validation
    sequences and stores, for every layer, the largest value seen and the limit that may not be left. The test
    part is never looked at. Labels of the validation part also give the temperature that turns a score into a
    probability; scores and decisions stay as they are.

    Example:

        heclstm calibrate model/ --data adrenalmnist3d.npz
    """
    from heclstm.usecases import calibrate as usecase

    calibrated = usecase.calibrate(model, output or model, data=data, events=TERMINAL)
    if as_json:
        emit(calibrated.to_json())
        return
    rows = table("value", "largest seen", "limit")
    for each in calibrated.purpose.ranges:
        rows.add_row(each.name, f"{each.max_abs:.3f}", f"{each.limit:.3f}")
    out().print(rows)
    if scale := calibrated.purpose.temperature:
        text = f"score / {scale.temperature:.3f} {scale.offset:+.3f}"
        out().print(f"probability = logistic({text}), fitted on {scale.fitted_on} data")
