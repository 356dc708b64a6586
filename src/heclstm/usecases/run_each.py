"""Many encrypted queries of one hospital → a result for each. No secret key can be reached from here."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from heclstm.deploy.wire import Kind, Message, read_header
from heclstm.errors import HeclstmError
from heclstm.program.program import Program
from heclstm.usecases.card import read_card
from heclstm.usecases.each import Outcome, attempt, named
from heclstm.usecases.events import SILENT, Cancel, Events
from heclstm.usecases.run import Ran, key_file, read_query, ready


def run_each(
    program: Path | Program,
    queries: Sequence[Path],
    keys: Path,
    folder: Path,
    *,
    resume: bool = False,
    threads: int | None = None,
    arithmetic: str = "auto",
    compact: bool = False,
    memory: int | None = None,
    cache: bool = True,
    cancel: Cancel | None = None,
    events: Events = SILENT,
) -> list[Outcome[Ran]]:
    """q.he becomes q.result.he in the folder. resume: leave out queries whose result is there. As `run` otherwise.

    Queries are read and checked before keys are loaded, and again when it is their turn: never more than one is held.
    """
    files, keys = named(queries, folder, ".result.he"), key_file(keys)
    card = program.card if isinstance(program, Program) else read_card(program, key=keys, alone=False, events=events)
    outcomes: dict[Path, Outcome[Ran]] = {}
    asked: dict[Path, str] = {}
    for query in files:

        def look(query: Path = query) -> Message:
            return read_query(query, keys, card)

        try:
            asked[query] = look().header.query
        except (HeclstmError, OSError) as error:
            events.note(f"failed: {query}: {error}")
            outcomes[query] = Outcome(str(query), error=error)
    for query in [query for query in asked if resume and _answers(files[query], asked[query])]:
        outcomes[query] = Outcome(str(query), kept=files[query])
    todo = [query for query in files if query not in outcomes]
    options: dict[str, Any] = {"threads": threads, "arithmetic": arithmetic, "compact": compact, "memory": memory}
    if todo:
        with (
            ready(program, keys, cache=cache, events=events, **options) as at_hand,
            events.stage(f"evaluating {len(todo)}") as update,
        ):
            for done, query in enumerate(todo):

                def work(query: Path = query, done: int = done) -> Ran:
                    def told(part: float, whole: float) -> None:
                        update(done + part / whole, len(todo))

                    return at_hand.evaluate(read_query(query, keys, card), files[query], cancel, told)

                outcomes[query] = attempt(str(query), work, events)
                update(done + 1, len(todo))
    return [outcomes[query] for query in files]


def _answers(result: Path, query: str) -> bool:
    try:
        return read_header(result, Kind.RESULT).query == query
    except HeclstmError:
        return False
