"""heclstm estimate"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from heclstm.cli.layers import print_layers, print_sizes
from heclstm.cli.options import AsJson, Index, Memory, Threads
from heclstm.cli.terminal import TERMINAL, emit, out, seconds, size, table
from heclstm.cli.verb import verb

if TYPE_CHECKING:
    from heclstm.usecases.estimate import Choice


@verb(after="sign")
def estimate(
    path: Annotated[Path, typer.Argument(metavar="PROGRAM/", help="A program or model folder, or a training file.")],
    measure: Annotated[
        bool, typer.Option("--measure", help="Time this machine's primitives first (a minute), and keep them.")
    ] = False,
    images: Annotated[
        Path | None,
        typer.Option("--input", metavar="INPUT", help="Images to predict the precision for; black ones by default."),
    ] = None,
    preferences: Annotated[
        bool, typer.Option("--preferences", help="Of a model folder: what each --prefer of compile would give.")
    ] = False,
    index: Index = None,
    threads: Threads = None,
    memory: Memory = None,
    as_json: AsJson = False,
) -> None:
    """Model owner or server: what a program will cost, without running it.

    Prints levels by layer, rotations, products, diagonals, bytes of keys and ciphertexts, peak memory, the
    precision that the noise model predicts, and seconds once this machine was measured (--measure). Of a
    training file all but the precision, before anything is trained, and the longest sequence that any ring holds.

    Examples:

        heclstm estimate program/ --measure
        heclstm estimate model/ --preferences
    """
    from heclstm.usecases import estimate as usecase

    if preferences:
        _compare(usecase.choices(path, TERMINAL), as_json)
        return
    program = usecase.read_program(path, TERMINAL)
    sequence = None
    if images:
        from heclstm.usecases.images import read_sequence

        sequence = read_sequence(images, program.card, index, events=TERMINAL)
    trained = path.suffix.lower() != ".toml"
    options: dict[str, Any] = {} if memory is None else {"memory": int(memory * 1e9)}
    options |= {"threads": threads, "measure": measure, "precision": trained, "events": TERMINAL}
    found = usecase.estimate(program, sequence, **options)
    longest = {} if trained else {"longest sequence": usecase.longest_sequence(path, TERMINAL)}
    if as_json:
        emit({**found.to_json(), **{name.replace(" ", "_"): text for name, text in longest.items()}})
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
    print_sizes(found.costs, {"seconds": timing, "precision": precision, **longest})


def _compare(choices: list[Choice], as_json: bool) -> None:
    """Key bytes against work: the ends, and the default between them."""
    if as_json:
        emit({"preferences": [choice.to_json() for choice in choices]})
        return
    rows = table("prefer", "keys", "number", "uploaded in", "query", "server memory", "work")
    for choice in choices:
        costs = choice.costs
        sizes = map(size, (costs.query_bytes, costs.peak_memory))
        upload = seconds(choice.upload_seconds)
        keys = (size(costs.evaluation_key_bytes), str(costs.rotation_keys), upload)
        rows.add_row(choice.prefer, *keys, *sizes, f"{choice.work:.2f}")
    out().print(rows)
    out().print("Uploaded once, at 100 Mbit/s. Work: of an evaluation, beside the default's.")
