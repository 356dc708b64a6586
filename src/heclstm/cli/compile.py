"""heclstm compile"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from heclstm.cli.layers import print_layers, print_sizes
from heclstm.cli.options import AsJson, ModelFolder
from heclstm.cli.terminal import TERMINAL, bold, emit, out
from heclstm.cli.verb import verb
from heclstm.errors import ParameterError


@verb(after="evaluate")
def compile(
    model: ModelFolder,
    output: Annotated[Path, typer.Option("--output", "-o", metavar="PROGRAM/", help="Where the program goes.")],
    ring_degree: Annotated[
        int | None, typer.Option("--ring-degree", help="A power of two; the smallest secure one by default.")
    ] = None,
    scale_bits: Annotated[
        float, typer.Option("--scale-bits", min=10, max=30, help="More bits: more precise, but fewer levels.")
    ] = 29.0,
    ring: Annotated[
        str, typer.Option("--ring", help="conjugate_invariant (N real slots) or standard (N/2).")
    ] = "conjugate_invariant",
    prefer: Annotated[
        str, typer.Option("--prefer", metavar="WHAT", help="What to save: keys (bytes), time, or both in balance.")
    ] = "balance",
    insecure_test: Annotated[
        bool,
        typer.Option("--insecure-test", help="Small rings without any security. For tests, never for patients."),
    ] = False,
    without_operating_point: Annotated[
        bool,
        typer.Option("--without-operating-point", help="Of a model that has none: scores, and never a decision."),
    ] = False,
    sign: Annotated[
        Path | None, typer.Option("--sign", metavar="OWNER.PEM", help="Sign it with the model owner's private key.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Model owner: compile a model into a program.

    A program is what the server runs: linear transforms, products and additions on ciphertexts, with every
    level, scale and key fixed. The hospital needs only its program.json. Parameters are the smallest that
    give 128 bits.

    Example:

        heclstm compile examples/adrenal/ -o program/
    """
    from heclstm.usecases import compile as usecase

    if ring not in ("conjugate_invariant", "standard"):
        raise ParameterError(f"ring: got {ring!r}, expected 'conjugate_invariant' or 'standard'")
    if prefer not in usecase.WORTH:
        raise ParameterError(f"prefer: got {prefer!r}, expected one of {', '.join(usecase.WORTH)}")
    options = usecase.Options(
        ring=ring,  # type: ignore[arg-type]  # checked above
        ring_degree=ring_degree,
        scale_bits=scale_bits,
        security="INSECURE_TEST" if insecure_test else "128",
        prefer=prefer,
    )
    compiled = usecase.compile(
        model, output,
        options=options, without_operating_point=without_operating_point, sign=sign, events=TERMINAL,
    )  # fmt: skip
    if as_json:
        emit(compiled.to_json())
        return
    print_layers(compiled.costs)
    program = {"digest": compiled.program.digest[:12], "program": str(output)}
    print_sizes(compiled.costs, {"security": compiled.security, **program})
    if insecure_test:
        out().print(bold("These parameters give no security."), "Clients refuse them.")
