"""Which worker gets which query: who has the keys open, what fits into memory, what is closed to make room."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field

from heclstm.service.database.jobs import EvaluationRow
from heclstm.service.workers.pool import Worker


@dataclass(eq=False)
class Slot:
    """A worker, as the dispatcher sees it. state: loading, preparing, idle, busy, stopping.

    shared_bytes: of program_bytes, what all workers of the program have mapped together.
    open: the key sets that it has mapped, oldest use first. row: what it evaluates. since, heard: when it began, and
    when there was progress.
    """

    worker: Worker
    program: str
    state: str = "loading"
    program_bytes: int = 0
    key_bytes: int = 0
    open: OrderedDict[str, int] = field(default_factory=OrderedDict)
    row: EvaluationRow | None = None
    keys: str = ""
    since: float = 0.0
    heard: float = 0.0
    share: float = 0.0
    layer: str = ""
    shared_bytes: int = 0


def key_bytes(slots: Iterable[Slot]) -> int:
    """Of all open key sets, each once for the workers that share its pages."""
    return sum({_mapped(slot, name): size for slot in slots for name, size in slot.open.items()}.values())


def _mapped(slot: Slot, name: str) -> tuple[str, int]:
    """What stands in memory once: the same for all workers that map the same file on one machine."""
    return name, 0 if slot.worker.shares_pages else id(slot)


def program_bytes(slots: Iterable[Slot]) -> int:
    """Of all prepared programs. What workers of the same one share counts once."""
    slots = list(slots)
    shared = {slot.program: max(each.shared_bytes for each in slots if each.program == slot.program) for slot in slots}
    return sum(slot.program_bytes - slot.shared_bytes for slot in slots) + sum(shared.values())


def shared_with(slots: Iterable[Slot], slot: Slot) -> int:
    """What a worker will share of its program, if another has mapped it."""
    return max((each.shared_bytes for each in slots if each.program == slot.program), default=0)


def memory(slots: Iterable[Slot]) -> int:
    slots = list(slots)
    return program_bytes(slots) + key_bytes(slots)


def choose(slots: Iterable[Slot], program: str, keys: str) -> Slot | None:
    """An idle worker of the program: one that has these keys open, else the one with the fewest."""
    idle = [slot for slot in slots if slot.state == "idle" and slot.program == program]
    return min(idle, key=lambda slot: (keys not in slot.open, len(slot.open)), default=None)


def make_room(
    slots: Iterable[Slot], chosen: Slot, keys: str, budget: int, key_sets: int
) -> dict[int, list[str]] | None:
    """What to close so that `chosen` may open these keys: id of a slot → names. None: wait until others are done.

    At most `key_sets` stay open in one worker, and all memory stays within the budget (bytes).
    """
    slots = list(slots)
    closing: dict[int, list[str]] = {}
    mine = [name for name in chosen.open if name != keys]
    if (excess := len(mine) + 1 - key_sets) > 0:
        closing[id(chosen)] = mine[:excess]
    left = {id(slot): [name for name in slot.open if name not in closing.get(id(slot), ())] for slot in slots}
    sizes = {_mapped(slot, name): size for slot in slots for name, size in slot.open.items()}
    sizes[_mapped(chosen, keys)] = chosen.key_bytes
    programs = program_bytes(slots)

    def total() -> int:
        stay = {_mapped(slot, name) for slot in slots for name in left[id(slot)]}
        return programs + sum(sizes[each] for each in stay | {_mapped(chosen, keys)})

    used = {_mapped(chosen, keys)} | {_mapped(slot, slot.keys) for slot in slots if slot.state == "busy"}
    for slot in sorted(slots, key=lambda slot: slot.since):
        for name in list(left[id(slot)]):
            if total() <= budget:
                break
            if _mapped(slot, name) not in used:
                left[id(slot)].remove(name)
                closing.setdefault(id(slot), []).append(name)
    busy = any(slot.state == "busy" for slot in slots)
    return closing if total() <= budget or not busy else None
