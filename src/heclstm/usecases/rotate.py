"""New keys for a connection, old ones erased once nothing needs them, and its end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from heclstm.errors import InputError
from heclstm.network import calls
from heclstm.network.remote import Remote
from heclstm.usecases.connect import stages
from heclstm.usecases.events import SILENT, Events


@dataclass(frozen=True)
class Rotated:
    """Labels. needed: of old keys that jobs are still under way for; they go when this is called again, or `settle`."""

    key: str
    erased: list[str]
    needed: list[str]

    def to_json(self) -> dict[str, Any]:
        return {"key": self.key, "erased": self.erased, "needed": self.needed}


def rotate_keys(remote: Remote, *, events: Events = SILENT) -> Rotated:
    """New keys are made, uploaded and used; a query that is under way ends under those that it was encrypted with."""
    with stages(events) as titled:
        steps = remote.hospital.rotate(titled("making keys"), titled("uploading keys"))
        key = remote.transport.run(steps)
    erased, needed = remote.transport.run(remote.hospital.settle())
    return Rotated(key, erased, needed)


def settle(remote: Remote, *, events: Events = SILENT) -> Rotated:
    """Erase old keys that nothing needs any more."""
    erased, needed = remote.transport.run(remote.hospital.settle())
    for label in erased:
        events.note(f"old key {label[:12]}: nothing was under way for it any more; it is erased")
    return Rotated(remote.hospital.site.state.key or "", erased, needed)


def forget_key(remote: Remote, beginning: str) -> str:
    """Erase one key and its jobs, here and at the server. Returns its label. Raises InputError for one in use."""
    found = [label for label in remote.hospital.site.state.keys if label.startswith(beginning)]
    if len(found) != 1 or len(beginning) < 6:
        raise InputError(
            f"key: {len(found)} keys of this site begin with {beginning[:32]!r}; six digits tell them apart"
        )
    (label,) = found
    if label == remote.hospital.site.state.key:
        raise InputError(
            f"key {label[:12]}: new queries are encrypted under it; rotate keys first, or forget everything"
        )
    remote.transport.run(calls.delete_keys(label, remote.hospital.patience))
    for pending in remote.hospital.pending.of_key(label):
        remote.hospital.pending.remove(pending)
    remote.hospital.site.forget_key(label)
    return label
