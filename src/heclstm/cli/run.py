"""heclstm run"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from heclstm.cli.card import read_card
from heclstm.cli.clock import Clock
from heclstm.cli.options import Arithmetic, AsJson, Index, OldBackend, ProgramFolder, Threads
from heclstm.cli.terminal import bold, emit, facts, note, out, progress, seconds, size

if TYPE_CHECKING:
    from heclstm.backend.cpu.context import Arithmetic as Computed
    from heclstm.backend.cpu.context import Context
    from heclstm.devtools.shadow import Shadow
    from heclstm.program.program import Program


def run(
    program: ProgramFolder,
    query: Annotated[Path, typer.Argument(metavar="QUERY.HE", help="A hospital's query.")],
    keys: Annotated[Path, typer.Option("--keys", metavar="EVALUATION.KEYS", help="The hospital's evaluation keys.")],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="RESULT.HE", help="Where the result goes.")],
    threads: Threads = None,
    arithmetic: Arithmetic = "auto",
    low_memory: Annotated[
        bool,
        typer.Option("--low-memory", help="Transform the program's diagonals at each use: less memory, slower."),
    ] = False,
    shadow: Annotated[
        Path | None,
        typer.Option("--shadow", metavar="SECRET.KEY", help="Developers only: compare every layer with clear numbers."),
    ] = None,
    images: Annotated[
        Path | None, typer.Option("--input", metavar="INPUT", help="With --shadow: the images in the query.")
    ] = None,
    index: Index = None,
    as_json: AsJson = False,
    backend: OldBackend = None,
) -> None:
    """Server: diagnose an encrypted query without a secret key.

    Loads the program, takes in the evaluation keys, evaluates, and writes an encrypted result that only the
    hospital can read. Whatever arrives is checked for kind, version, program and exact size before it is
    used.

    Example:

        heclstm run program/ --keys evaluation.keys query.he -o result.he
    """
    from heclstm.backend.cpu.backend import CpuBackend, CpuProgram
    from heclstm.deploy.keys import EVALUATION_KEYS_FILE
    from heclstm.deploy.server import Server
    from heclstm.deploy.wire import Kind, read_header, require_program
    from heclstm.errors import InputError
    from heclstm.program.files import load_program

    if (shadow is None) != (images is None):
        raise InputError("run: --shadow and --input belong together: the secret key, and the images of the query")
    cpu = CpuBackend(threads=threads, arithmetic=_arithmetic(arithmetic, backend), compact=low_memory)
    keys = keys / EVALUATION_KEYS_FILE if keys.is_dir() else keys
    clock, card = Clock(), read_card(program, key=keys, alone=False)
    require_program(read_header(query, Kind.QUERY), card.digest, query)  # before anything that takes long
    with progress("preparing program") as update:
        loaded = load_program(program)
        server = Server(loaded, cpu, on_prepare=update)
    clock.lap("prepare")
    prepared = server.prepared
    assert isinstance(prepared, CpuProgram)  # of the backend above
    try:
        with progress("loading keys") as update:
            tenant = server.open_keys(keys, update)
        clock.lap("load_keys")
        watch = _shadow(prepared.context, loaded, shadow, images, index) if shadow and images else None
        clock.lap("shadow")
        with progress("evaluating") as update:
            answer = server.evaluate(query, tenant, output, on_progress=update, observe=watch)
        written = answer.header.total_bytes
        clock.lap("evaluate")
        computed_by = prepared.context.arithmetic
        program_memory, key_memory = prepared.bytes_in_memory, tenant.bytes_in_memory
    finally:
        server.close()
    if not watch:
        del clock.laps["shadow"]
    result: dict[str, Any] = {
        "result": str(output),
        "bytes": written,
        "program": card.digest,
        "backend": "cpu",
        "arithmetic": computed_by,
        "seconds": clock.laps,
        "peak_memory_bytes": peak_memory(),
        "program_memory_bytes": program_memory,
        "key_memory_bytes": key_memory,
    }
    if watch:
        drift = watch.first_drift
        result["shadow"] = [row.to_json() for row in watch.layers]
        result["first_drift"] = drift.layer if drift else None
    if as_json:
        emit(result)
        return
    rows = {f"{name.replace('_', ' ')}": seconds(value) for name, value in clock.laps.items()}
    rows |= {"peak memory": size(result["peak_memory_bytes"]), "result": f"{output}, {size(written)}"}
    out().print(facts(rows))
    if watch:
        _print_shadow(watch)


def peak_memory() -> int | None:
    """The most memory that this process had in use, in bytes; None where the system does not tell.

    Linux first by VmHWM: getrusage would count the process that started this one, too.
    """
    try:
        status = Path("/proc/self/status").read_text()
        return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmHWM:"))
    except (OSError, StopIteration):
        pass
    try:
        import resource
    except ImportError:
        return None
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # bytes on macOS


def _arithmetic(name: str, old: str | None) -> Computed:
    """The option --arithmetic, or --backend as it was called before."""
    from heclstm.backend.cpu.context import arithmetic

    if old is not None:
        note("--backend is called --arithmetic now, and its simd is auto")
        name = "auto" if old == "simd" else old
    return arithmetic(name)


def _shadow(context: Context, program: Program, key: Path, images: Path, index: int | None) -> Shadow:
    from heclstm.circuit.sizes import secret_key_bytes
    from heclstm.cli.images import read_sequence
    from heclstm.cli.keygen import warn_if_others_read
    from heclstm.deploy.wire import Kind, received, require_card, require_sizes
    from heclstm.devtools.shadow import Shadow

    warn_if_others_read(key)
    with received(key, Kind.SECRET_KEY) as message:
        require_card(message.header, program.card, key)
        require_sizes(message.header, [("secret", secret_key_bytes(program.circuit.parameters))], key)
        secret = message.blob()
    frames = read_sequence(images, program.card, index).frames
    layout = program.circuit.input_layout
    packed = layout.pack(frames.astype("float64").reshape(layout.frames, layout.features))
    with progress("clear and simulated run"):
        return Shadow(program.circuit, context, secret, packed)


def _print_shadow(watch: Shadow) -> None:
    from math import inf, log2

    from heclstm.cli.terminal import table
    from heclstm.devtools.shadow import DRIFT

    rows = table("layer", "error, bits", "predicted", "ratio", "")
    for row in watch.layers:
        bits, predicted = (-log2(value) if value else inf for value in (row.error, row.predicted))
        rows.add_row(row.layer, f"{bits:.1f}", f"{predicted:.1f}", f"{row.ratio:.2f}", "drifts" if row.drifts else "")
    out().print(rows)
    drift = watch.first_drift
    if drift is None:
        out().print(f"No layer drifts from clear: every error is below {DRIFT} times the predicted one.")
    else:
        out().print("The first layer that drifts from clear is ", bold(drift.layer), ".", sep="")
