"""heclstm calibrate"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from heclstm.cli.evaluation import operating_points
from heclstm.cli.options import AsJson, ModelFolder
from heclstm.cli.terminal import TERMINAL, emit, facts, out, table
from heclstm.cli.verb import verb


@verb(after="search")
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
    probability, and the operating point for each number of frames that can be assessed, if training chose it
    there; scores stay as they are. The training images give the envelope: what images look like, so that a
    hospital notices others before it encrypts them.

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
    if points := operating_points(calibrated.purpose.operating_points):
        out().print(facts(points))
    if envelope := calibrated.envelope:
        share = f"{100 * envelope.coverage:.1f} % of {envelope.sequences} training sequences are inside"
        out().print(f"envelope of {len(envelope.statistics)} statistics of the images: {share}, by cross-validation")
    if scale := calibrated.purpose.temperature:
        text = f"score / {scale.temperature:.3f} {scale.offset:+.3f}"
        out().print(f"probability = logistic({text}), fitted on {scale.fitted_on} data")
