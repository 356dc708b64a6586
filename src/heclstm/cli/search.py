"""heclstm search"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from heclstm.cli.options import AsJson
from heclstm.cli.terminal import TERMINAL, emit, facts, out, seconds, size, table
from heclstm.cli.verb import verb

if TYPE_CHECKING:
    from heclstm.usecases.search import Searched


@verb(after="train")
def search(
    config: Annotated[Path, typer.Argument(metavar="CONFIG.TOML", help="A training file with a table [search].")],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="RUNS/", help="Where all variants go.")],
    data: Annotated[
        Path | None,
        typer.Option("--data", help="Where the data set that the training file names is; none if it is synthetic."),
    ] = None,
    seed: Annotated[int | None, typer.Option("--seed", help="Instead of the training file's seed.")] = None,
    measure: Annotated[
        bool, typer.Option("--measure", help="Time this machine's primitives (a minute a ring), to predict seconds.")
    ] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the search in RUNS/.")] = False,
    as_json: AsJson = False,
) -> None:
    """Model owner: compare a few training files by cross-validation, and by what they cost encrypted.

    Tries every combination of the values that [search.grid] lists. RUNS/search.json and search.png show the AUC
    of each over levels, keys and seconds; RUNS/variant-1 … hold its folds. What is within a standard error of the
    best costs less for nothing, so the cheapest of these is marked. Train that one; a test part stays unseen.

    Example:

        heclstm search examples/colposcopy/train.toml --data manifest.csv -o runs/
    """
    from heclstm.usecases import search as usecase

    found = usecase.search(config, output, data=data, seed=seed, measure=measure, resume=resume, events=TERMINAL)
    if as_json:
        emit(found.to_json())
    else:
        _print(found, output / usecase.PLOT)


def _print(found: Searched, plot: Path) -> None:
    rows = table("variant", "", "AUC, 95 % interval", "levels", "keys", "query", "work", "seconds", left=2)
    least = min(row.work for row in found.measured)
    for row in found.rows:
        if row.auc is None:
            rows.add_row(str(row.number), row.name, "left out", *[""] * 5)
            continue
        mark = "  ← chosen" if row is found.chosen else ""
        timing = row.costs["seconds"]
        rows.add_row(
            str(row.number), row.name + mark, str(row.auc), str(row.costs["depth"]),
            size(row.costs["evaluation_key_bytes"]), size(row.costs["query_bytes"]), f"{row.work / least:.2f}",
            "unknown" if timing is None else seconds(timing),
        )  # fmt: skip
    out().print(rows)
    out().print(facts({
        "chosen": f"variant {found.chosen.number}, the least work within a standard error of the best AUC",
        "best AUC": f"variant {found.best.number}; of many, the best is somewhat better here than it will be",
        "plot": str(plot),
    }))  # fmt: skip
