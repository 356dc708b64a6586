"""For developers: `run` beside the clear and the simulated evaluation of the same images. It holds a secret key."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from heclstm.backend.cpu.context import Context
from heclstm.deploy.client import Passphrase, secret_of
from heclstm.deploy.wire import Kind, received, require_card
from heclstm.devtools.shadow import DRIFT, LayerError, Shadow
from heclstm.program.program import Program
from heclstm.storage.source import Source, name_of
from heclstm.usecases.events import SILENT, Events
from heclstm.usecases.images import read_sequence
from heclstm.usecases.private_files import warn_if_others_read
from heclstm.usecases.run import Ran, run

__all__ = ["DRIFT", "Shadowed", "run_shadowed"]


@dataclass(frozen=True, repr=False)
class Shadowed:
    """A result, and how far each layer lay from clear."""

    ran: Ran
    layers: tuple[LayerError, ...]

    @property
    def first_drift(self) -> str | None:
        """The first layer whose error is no noise any more."""
        return next((row.layer for row in self.layers if row.drifts), None)

    def to_json(self) -> dict[str, Any]:
        return {
            **self.ran.to_json(),
            "shadow": [row.to_json() for row in self.layers],
            "first_drift": self.first_drift,
        }


def run_shadowed(
    program: Path,
    query: Source,
    keys: Path,
    output: Path | None = None,
    *,
    secret_key: Source,
    passphrase: Passphrase | None = None,
    images: Path,
    index: int | None = None,
    events: Events = SILENT,
    **options: Any,
) -> Shadowed:
    """As `run`, with its options. images: those in the query."""
    watching: list[Shadow] = []

    def watch(loaded: Program, context: Context) -> Shadow:
        warn_if_others_read(secret_key, events)
        with received(secret_key, Kind.SECRET_KEY) as message:
            require_card(message.header, loaded.card, name_of(secret_key))
            secret = secret_of(message, loaded.card, passphrase)
        frames = read_sequence(images, loaded.card, index, events=events).frames
        layout = loaded.circuit.input_layout
        packed = layout.pack(frames.astype("float64").reshape(layout.frames, layout.features))
        with events.stage("clear and simulated run"):
            watching.append(Shadow(loaded.circuit, context, bytes(secret), packed))
        return watching[0]

    ran = run(program, query, keys, output, watch=watch, events=events, **options)
    return Shadowed(ran, tuple(watching[0].layers))
