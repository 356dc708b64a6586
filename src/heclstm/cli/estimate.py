"""heclstm estimate"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from heclstm.cli.layers import print_layers, print_sizes
from heclstm.cli.options import AsJson, Index, Threads
from heclstm.cli.terminal import TERMINAL, emit, seconds


def estimate(
    path: Annotated[Path, typer.Argument(metavar="PROGRAM/", help="A program or model folder, or a training file.")],
    measure: Annotated[
        bool, typer.Option("--measure", help="Time this machine's primitives first (a minute), and keep them.")
    ] = False,
    images: Annotated[
        Path | None,
        typer.Option("--input", metavar="INPUT", help="Images to predict the precision for; black ones by default."),
    ] = None,
    index: Index = None,
    threads: Threads = None,
    as_json: AsJson = False,
) -> None:
    """Model owner or server: what a program will cost, without running it.

    Prints levels by layer, rotations, products, diagonals, bytes of keys and ciphertexts, peak memory, the
    precision that the noise model predicts, and seconds once this machine was measured (--measure). Of a
    training file all but the precision, before anything is trained.

    Example:

        heclstm estimate program/ --measure
    """
    from heclstm.usecases import estimate as usecase

    program = usecase.read_program(path, TERMINAL)
    sequence = None
    if images:
        from heclstm.usecases.images import read_sequence

        sequence = read_sequence(images, program.card, index, events=TERMINAL)
    trained = path.suffix.lower() != ".toml"
    found = usecase.estimate(program, sequence, threads=threads, measure=measure, precision=trained, events=TERMINAL)
    if as_json:
        emit(found.to_json())
        return
    print_layers(found.costs)
    timing = "unknown on this machine; add --measure"
    if found.costs.seconds is not None:
        timing = f"{seconds(found.costs.seconds)} with {found.threads} threads"
    precision = (
        "unknown before training"
        if not trained
        else "unknown: these frames leave the model's ranges; add --input with real images"
    )
    if found.error is not None:
        precision = f"{found.precision_bits:.1f} bits (rms error {found.error:.1e} of a score)"
    print_sizes(found.costs, {"seconds": timing, "precision": precision})
