"""One set of sequences → its scores, three ways: in clear, simulated, encrypted. For `evaluate`."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from heclstm.backend.precision import run_clear
from heclstm.backend.registry import backend
from heclstm.backend.simulate import SimulatedEvaluator
from heclstm.data.sequence import ImageSequence
from heclstm.errors import RangeError
from heclstm.model.metrics import Array
from heclstm.model.reference import forward
from heclstm.usecases.events import SILENT, Events, Update
from heclstm.usecases.private_files import warn_if_others_read
from heclstm.usecases.subject import Subject

Frames = NDArray[np.float32]
Mask = NDArray[np.bool_] | None  # which frames of each sequence are real

CHUNK = 16  # sequences that are simulated together, in half a gigabyte


@dataclass(frozen=True)
class Ways:
    """To scores besides those in clear. encrypted: for how many sequences.

    keys: a folder with both key files, which are used again, so that scores are rounded as a hospital's; keys made for
    this alone show the noise.
    """

    simulated: bool = False
    encrypted: int | None = None
    keys: Path | None = None
    threads: int | None = None
    allow_insecure: bool = False


def clear_scores(
    subject: Subject, frames: Frames, mask: Mask, on_progress: Update
) -> tuple[Array, dict[str, Array] | None]:
    """(scores, every value of the model or None): by the model's reference, else by the program on clear slots."""
    if subject.model is None:
        return _on_slots(subject, frames, mask, None, on_progress), None
    values = forward(subject.model, frames, mask)
    return values["score"][:, 0], values


def simulated_scores(subject: Subject, frames: Frames, mask: Mask, on_progress: Update) -> Array:
    """With the noise that encryption will add, drawn anew for each chunk of sequences."""
    return _on_slots(subject, frames, mask, 0, on_progress)


def _on_slots(subject: Subject, frames: Frames, mask: Mask, seed: int | None, on_progress: Update) -> Array:
    assert subject.program is not None  # `compiled` saw to it
    circuit, scores = subject.program.circuit, np.zeros(len(frames))
    for start in range(0, len(frames), CHUNK):
        rows = slice(start, start + CHUNK)
        evaluator = None if seed is None else SimulatedEvaluator(circuit.parameters, seed + start)
        results = run_clear(circuit, frames[rows].astype(np.float64), evaluator)
        # Padding gets no vote: as in `deploy.diagnosis`, contributions of real frames make the score.
        scores[rows] = results[:, 0] if mask is None else (results[:, 1:] * mask[rows]).sum(axis=1)
        on_progress(min(start + CHUNK, len(frames)), len(frames))
    return scores


def spread(labels: NDArray[Any], count: int) -> NDArray[np.intp]:
    """`count` rows, evenly spaced within both outcomes, which keep their shares: the same ones every time."""
    order = np.argsort(labels, kind="stable")
    places = (np.arange(min(count, len(labels))) + 0.5) * len(labels) / min(count, len(labels))
    return np.sort(order[places.astype(np.intp)])


def encrypted_scores(
    subject: Subject,
    frames: Frames,
    mask: Mask,
    rows: NDArray[np.intp],
    ways: Ways,
    on_progress: Update,
    events: Events = SILENT,
) -> tuple[Array, int]:
    """(scores, sequences whose result the client refused); NaN for those and for rows that were not asked for.

    Plays both roles in one process. Without `ways.keys`, keys are made and thrown away.
    """
    from heclstm.deploy.client import Client
    from heclstm.deploy.keys import EVALUATION_KEYS_FILE, SECRET_KEY_FILE
    from heclstm.deploy.server import Server

    assert subject.program is not None  # `compiled` saw to it
    program, keys = subject.program, ways.keys
    scores, refused = np.full(len(frames), np.nan), 0
    with (
        TemporaryDirectory(prefix="heclstm-") as temporary,
        closing(Client(program.card, threads=ways.threads, allow_insecure=ways.allow_insecure)) as client,
    ):
        folder = Path(temporary)
        if keys is None:
            client.generate_keys(folder)
        else:
            warn_if_others_read(keys / SECRET_KEY_FILE, events)
            client.load_secret_key(keys / SECRET_KEY_FILE)
        with (
            closing(Server(program, backend("cpu", threads=ways.threads))) as server,
            server.open_keys((keys or folder) / EVALUATION_KEYS_FILE) as tenant,
        ):
            for done, row in enumerate(rows, start=1):
                real = None if mask is None else int(mask[row].sum())
                sequence = ImageSequence(frames[row], real_frames=real)
                client.encrypt(sequence, folder / "query.he", override_envelope="all of a part are evaluated")
                server.evaluate(folder / "query.he", tenant, folder / "result.he")
                try:
                    found = client.decrypt(folder / "result.he", frames=real, unrounded=keys is None)
                    scores[row] = found.scores[0]
                except RangeError:
                    refused += 1
                on_progress(done, len(rows))
    return scores, refused
