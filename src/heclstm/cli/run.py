"""heclstm run"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from heclstm.cli.each import Each, forbid, require_one, tell_each
from heclstm.cli.options import Arithmetic, AsJson, Index, Memory, OldBackend, ProgramFolder, Threads
from heclstm.cli.passphrase import passphrase
from heclstm.cli.terminal import TERMINAL, bold, emit, facts, note, out, seconds, size, table
from heclstm.cli.verb import verb
from heclstm.errors import InputError

if TYPE_CHECKING:
    from heclstm.usecases.shadow import Shadowed


@verb(after="encrypt")
def run(
    program: ProgramFolder,
    queries: Annotated[list[Path], typer.Argument(metavar="QUERY.HE", help="A hospital's query; with --each, many.")],
    keys: Annotated[Path, typer.Option("--keys", metavar="EVALUATION.KEYS", help="The hospital's evaluation keys.")],
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="RESULT.HE", help="Where the result goes; with --each, a folder.")
    ],
    each: Each = False,
    resume: Annotated[
        bool, typer.Option("--resume", help="With --each: leave out queries whose result is there.")
    ] = False,
    threads: Threads = None,
    arithmetic: Arithmetic = "auto",
    low_memory: Annotated[
        bool,
        typer.Option("--low-memory", help="Take as little memory as can be; slower."),
    ] = False,
    memory: Memory = None,
    cache: Annotated[
        bool,
        typer.Option(help="Keep what is prepared of a program in this user's cache folder, for the next start."),
    ] = True,
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

    With --each, the program and the keys are loaded once for all queries: q.he becomes q.result.he in the folder.

    Examples:

        heclstm run program/ --keys evaluation.keys query.he -o result.he
        heclstm run program/ --keys evaluation.keys queries/*.he --each -o results/
    """
    from heclstm.usecases import run as usecase

    if (shadow is None) != (images is None):
        raise InputError("run: --shadow and --input belong together: the secret key, and the images of the query")
    if low_memory and memory is not None:
        raise InputError("run: --low-memory and --memory exclude each other; choose one")
    options: dict[str, Any] = {"threads": threads, "compact": low_memory, "cache": cache, "events": TERMINAL}
    options["memory"] = None if memory is None else int(memory * 1e9)
    options["arithmetic"] = _arithmetic(arithmetic, backend)
    if each:
        from heclstm.usecases.run_each import run_each

        forbid(shadow=shadow)
        outcomes = run_each(program, queries, keys, output, resume=resume, **options)
        tell_each(outcomes, lambda ran: (str(ran.output), size(ran.bytes)), ("result", "size"), as_json=as_json)
        return
    require_one(queries, "queries")
    (query,) = queries
    watched: Shadowed | None = None
    if shadow and images:
        from heclstm.usecases.shadow import run_shadowed

        secret: dict[str, Any] = {
            "secret_key": shadow,
            "images": images,
            "index": index,
            "passphrase": passphrase(None),
        }
        watched = run_shadowed(program, query, keys, output, **secret, **options)
        ran = watched.ran
    else:
        ran = usecase.run(program, query, keys, output, **options)
    if as_json:
        emit((watched or ran).to_json())
        return
    rows = {f"{name.replace('_', ' ')}": seconds(value) for name, value in ran.seconds.items()}
    rows |= {"peak memory": size(ran.peak_memory), "result": f"{output}, {size(ran.bytes)}"}
    out().print(facts(rows))
    if watched:
        _print_shadow(watched)


def _arithmetic(name: str, old: str | None) -> str:
    """The option --arithmetic, or --backend as it was called before."""
    if old is not None:
        note("--backend is called --arithmetic now, and its simd is auto")
        name = "auto" if old == "simd" else old
    return name


def _print_shadow(watched: Shadowed) -> None:
    from math import inf, log2

    from heclstm.usecases.shadow import DRIFT

    rows = table("layer", "error, bits", "predicted", "ratio", "")
    for row in watched.layers:
        bits, predicted = (-log2(value) if value else inf for value in (row.error, row.predicted))
        rows.add_row(row.layer, f"{bits:.1f}", f"{predicted:.1f}", f"{row.ratio:.2f}", "drifts" if row.drifts else "")
    out().print(rows)
    if watched.first_drift is None:
        out().print(f"No layer drifts from clear: every error is below {DRIFT} times the predicted one.")
    else:
        out().print("The first layer that drifts from clear is ", bold(watched.first_drift), ".", sep="")
