"""Many patients in one call: the option, what it forbids, and the table at the end."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, Any

import typer

from heclstm.cli.ending import FAILED
from heclstm.cli.terminal import emit, out, table
from heclstm.errors import InputError

Each = Annotated[bool, typer.Option("--each", help="Many patients: one result for each input, in a folder (-o).")]


def require_one(items: Sequence[object], what: str) -> None:
    """Raise InputError for several without --each."""
    if len(items) > 1:
        raise InputError(f"got {len(items)} {what}, expected one; add --each, and a folder as the output")


def forbid(**options: object) -> None:
    """Raise InputError for what is said of one patient. options: by name, with what was given."""
    given = [f"--{name.replace('_', '-')}" for name, value in options.items() if value]
    if given:
        raise InputError(
            f"--each: cannot go with {', '.join(given)}, which {'is' if len(given) == 1 else 'are'} of one"
        )


def tell_each(
    outcomes: Sequence[Any],
    row: Callable[[Any], Sequence[str]],
    columns: Sequence[str],
    *,
    as_json: bool,
    remarks: Callable[[Any], Sequence[str]] = lambda made: (),
) -> None:
    """outcomes: of `usecases.each`. row: what stands in `columns` for one that was made. remarks: what nobody should
    read that without. Exit code 2 if one failed.
    """
    said = [() if outcome.made is None else remarks(outcome.made) for outcome in outcomes]
    failed = [outcome for outcome in outcomes if outcome.failed]
    if as_json:
        pairs = zip(outcomes, said, strict=True)
        each = [outcome.to_json() | ({"remarks": list(words)} if words else {}) for outcome, words in pairs]
        emit({"done": len(outcomes) - len(failed), "failed": len(failed), "each": each})
    else:
        rows = table("input", "", *columns, left=2 + len(columns))
        for outcome in outcomes:
            state = "failed" if outcome.failed else "there already" if outcome.made is None else "done"
            rows.add_row(outcome.item, state, *([""] * len(columns) if outcome.made is None else row(outcome.made)))
        out().print(rows)
        for outcome, words in zip(outcomes, said, strict=True):
            for sentence in words:
                out().print(f"{outcome.item}: {sentence}", soft_wrap=True)
        out().print(
            f"{len(outcomes) - len(failed)} of {len(outcomes)} done" + (f", {len(failed)} failed" if failed else "")
        )
    if failed:
        raise typer.Exit(FAILED)
