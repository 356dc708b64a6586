"""heclstm compile"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from heclstm.cli.card import tell_warnings
from heclstm.cli.keygen import warn_if_others_read
from heclstm.cli.options import AsJson, ModelFolder
from heclstm.cli.terminal import bold, emit, out, progress


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
    from msgspec import structs

    from heclstm.card import signature
    from heclstm.circuit.cost import estimate
    from heclstm.cli.layers import print_layers, print_sizes
    from heclstm.compiler.compile import Options, compile_model
    from heclstm.compiler.rates import WORTH
    from heclstm.errors import ParameterError
    from heclstm.model.weights import load_model
    from heclstm.program.files import save_program
    from heclstm.program.program import Program

    if ring not in ("conjugate_invariant", "standard"):
        raise ParameterError(f"ring: got {ring!r}, expected 'conjugate_invariant' or 'standard'")
    if prefer not in WORTH:
        raise ParameterError(f"prefer: got {prefer!r}, expected one of {', '.join(WORTH)}")
    options = Options(
        ring=ring,  # type: ignore[arg-type]  # checked above
        ring_degree=ring_degree,
        scale_bits=scale_bits,
        security="INSECURE_TEST" if insecure_test else "128",
        prefer=prefer,
    )
    loaded = load_model(model)
    with progress("compiling"):
        program = compile_model(loaded, options)
    if sign:
        warn_if_others_read(sign)
        card = structs.replace(program.card, signature=signature.sign(program.digest, sign))
        program = Program(card, program.circuit)
    digest = save_program(program, output)
    tell_warnings(program.card)
    costs = estimate(program.circuit)
    if as_json:
        emit(
            {
                "program": str(output),
                "digest": digest,
                "security": program.circuit.parameters.security,
                **costs.to_json(),
            }
        )
        return
    print_layers(costs)
    print_sizes(costs, {"security": program.circuit.parameters.security, "digest": digest[:12], "program": str(output)})
    if insecure_test:
        out().print(bold("These parameters give no security."), "Clients refuse them.")
