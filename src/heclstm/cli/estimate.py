"""heclstm estimate"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from heclstm.cli.options import AsJson, Index, Threads
from heclstm.cli.terminal import emit, note, progress, seconds

if TYPE_CHECKING:
    from heclstm.backend.prices import Primitives
    from heclstm.program.program import Program


def estimate(
    path: Annotated[Path, typer.Argument(metavar="PROGRAM/", help="A program folder, or a model folder.")],
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
    precision that the noise model predicts, and seconds once this machine was measured (--measure).

    Example:

        heclstm estimate program/ --measure
    """
    from math import log2

    from heclstm.backend.precision import predict_errors
    from heclstm.circuit.cost import estimate as read_costs
    from heclstm.cli.layers import print_layers, print_sizes

    program = _program(path)
    cores = threads or os.cpu_count() or 1
    prices = _prices(program, cores, measure=measure)
    costs = read_costs(program.circuit, prices)
    with progress("simulating the noise") as update:
        errors = predict_errors(program.circuit, _frames(program, images, index), on_progress=update)
    error = float(errors[: program.circuit.result_layout.classes].max())
    limit = program.card.limit("score")
    known = error < (
        1e6 if limit is None else limit
    )  # else the frames drive the network out of its ranges, and their error says nothing
    if as_json:
        found = {"error": error, "precision_bits": -log2(error)} if known else {"error": None, "precision_bits": None}
        emit({**costs.to_json(), "threads": cores, **found})
        return
    print_layers(costs)
    timing = f"{seconds(costs.seconds)} with {cores} threads" if prices else "unknown on this machine; add --measure"
    bits = f"{-log2(error):.1f} bits (rms error {error:.1e} of a score)"
    precision = bits if known else "unknown: these frames leave the model's ranges; add --input with real images"
    print_sizes(costs, {"seconds": timing, "precision": precision})


def _program(path: Path) -> Program:
    from heclstm.errors import FileFormatError
    from heclstm.program.files import load_program

    if (path / "program.json").exists():
        return load_program(path)
    if not (path / "model.json").exists():
        raise FileFormatError(f"{path}: holds neither program.json nor model.json; give a program or model folder")
    from heclstm.compiler.compile import compile_model
    from heclstm.model.weights import load_model

    with progress("compiling"):
        return compile_model(load_model(path))


def _prices(program: Program, threads: int, *, measure: bool) -> Primitives | None:
    from heclstm.backend import prices

    if not measure:
        return prices.load(program.circuit.parameters, threads)
    from heclstm.devtools.measure import measure as time_units

    with progress("measuring primitives") as update:
        measured = time_units(program.circuit.parameters, threads=threads, on_progress=update)
    note(f"stored in {prices.store(measured, program.circuit.parameters)}")
    return measured


def _frames(program: Program, images: Path | None, index: int | None):  # type: ignore[no-untyped-def]
    import numpy as np

    from heclstm.cli.images import read_sequence

    layout = program.circuit.input_layout
    if images is None:
        return np.zeros((1, layout.frames, layout.channels, layout.height, layout.width))
    return read_sequence(images, program.card, index).frames[None]
