"""One set of sequences → its scores, three ways: in clear, simulated, encrypted. For `evaluate`."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from heclstm.circuit.program import Purpose
    from heclstm.data.datasets import Part
    from heclstm.model.metrics import Array
    from heclstm.model.weights import Model

    Frames = NDArray[np.float32]

OnProgress = Callable[[float, float], None]
CHUNK = 16  # sequences that are simulated together, in half a gigabyte


@dataclass(frozen=True)
class Subject:
    """What is evaluated. program: its folder; without a model, the program on clear slots is the reference."""

    name: str
    purpose: Purpose
    model: Model | None
    program: Path | None

    @property
    def dataset(self) -> str:
        """By the name that the training file gave it; empty where nobody knows."""
        return str(self.model.metadata.get("training", {}).get("dataset", "")) if self.model else ""


def read_subject(path: Path, program: Path | None) -> Subject:
    """A model folder (and a program that was compiled from it), or a program folder."""
    from heclstm.circuit.files import load_description
    from heclstm.circuit.program import Purpose
    from heclstm.errors import DigestError, FileFormatError, ModelError
    from heclstm.model.weights import load_model

    if (path / "model.json").exists():
        model = load_model(path)
        subject = Subject(path.name, Purpose.of(model), model, program)
        if program and load_description(program).purpose.model_digest != model.digest:
            raise DigestError(f"{program}: was compiled from another model than {path}; compile it again")
    elif (path / "program.json").exists():
        subject = Subject(path.name, load_description(path).purpose, None, path)
    else:
        raise FileFormatError(f"{path}: holds neither model.json nor program.json; give a model or program folder")
    if "threshold" not in subject.purpose.operating_point:
        raise ModelError(f"{path}: has no operating point; train the model with heclstm, or store one")
    if subject.model and subject.model.config.classes != 1:
        raise ModelError(f"{path}: got {subject.model.config.classes} classes, expected one score with two outcomes")
    return subject


def read_part(path: Path, dataset: str, split: str) -> Part:
    """One part of a data set, or all of a .npz file of volumes with labels."""
    from heclstm.data.datasets import DATASETS, Part, load_dataset
    from heclstm.data.reading import read_labels, read_volumes
    from heclstm.errors import FileFormatError

    labels = read_labels(path) if path.suffix.lower() == ".npz" else None
    if labels is not None:
        return Part(read_volumes(path), labels)
    if dataset not in DATASETS:
        raise FileFormatError(
            f"{path}: holds no labels, and {dataset or 'the subject'!r} names no known data set; give a .npz of "
            f"volumes with labels, or --dataset {' or '.join(sorted(DATASETS))}"
        )
    part: Part = getattr(load_dataset(dataset, path), split)
    return part


def clear_scores(subject: Subject, frames: Frames, on_progress: OnProgress) -> tuple[Array, dict[str, Array] | None]:
    """(scores, every value of the model or None): by the model's reference, else by the program on clear slots."""
    from heclstm.model.reference import forward

    if subject.model is None:
        return _on_slots(subject, frames, None, on_progress), None
    values = forward(subject.model, frames)
    return values["score"][:, 0], values


def simulated_scores(subject: Subject, frames: Frames, on_progress: OnProgress) -> Array:
    """With the noise that encryption will add, drawn anew for each chunk of sequences."""
    return _on_slots(subject, frames, 0, on_progress)


def _on_slots(subject: Subject, frames: Frames, seed: int | None, on_progress: OnProgress) -> Array:
    import numpy as np

    from heclstm.backend.precision import run_clear
    from heclstm.backend.simulate import SimulatedBackend
    from heclstm.circuit.files import load_program

    assert subject.program is not None  # `compiled` saw to it
    program, scores = load_program(subject.program), np.zeros(len(frames))
    for start in range(0, len(frames), CHUNK):
        backend = None if seed is None else SimulatedBackend(program.parameters, seed + start)
        scores[start : start + CHUNK] = run_clear(program, frames[start : start + CHUNK].astype(np.float64), backend)[
            :, 0
        ]
        on_progress(min(start + CHUNK, len(frames)), len(frames))
    return scores


def compiled(subject: Subject, folder: Path) -> Subject:
    """The subject with a program, compiled into `folder` if it came without one."""
    from dataclasses import replace

    from heclstm.circuit.files import save_program
    from heclstm.compiler.compile import compile_model

    if subject.program or subject.model is None:
        return subject
    save_program(compile_model(subject.model), folder / "program")
    return replace(subject, program=folder / "program")


def spread(labels: NDArray[Any], count: int) -> NDArray[np.intp]:
    """`count` rows, evenly spaced within both outcomes, which keep their shares: the same ones every time."""
    import numpy as np

    order = np.argsort(labels, kind="stable")
    places = (np.arange(min(count, len(labels))) + 0.5) * len(labels) / min(count, len(labels))
    return np.sort(order[places.astype(np.intp)])


def encrypted_scores(
    subject: Subject,
    frames: Frames,
    rows: NDArray[np.intp],
    keys: Path | None,
    threads: int | None,
    allow_insecure: bool,
    on_progress: OnProgress,
) -> tuple[Array, int]:
    """(scores, sequences whose result the client refused); NaN for those and for rows that were not asked for.

    Plays both roles with one server engine. keys: a folder with both key files; without it, keys are made and
    thrown away.
    """
    import numpy as np

    from heclstm.circuit.files import load_description, load_program
    from heclstm.data.sequence import ImageSequence
    from heclstm.deploy.client import Client
    from heclstm.deploy.keys import EVALUATION_KEYS_FILE, SECRET_KEY_FILE
    from heclstm.deploy.server import Server
    from heclstm.errors import RangeError

    assert subject.program is not None  # `compiled` saw to it
    description, scores, refused = load_description(subject.program), np.full(len(frames), np.nan), 0
    with (
        TemporaryDirectory(prefix="heclstm-") as temporary,
        closing(Client(description, threads=threads, allow_insecure=allow_insecure)) as client,
    ):
        folder = Path(temporary)
        if keys is None:
            client.generate_keys(folder)
        else:
            client.load_secret_key(keys / SECRET_KEY_FILE)
        with closing(Server(load_program(subject.program), description, threads=threads)) as server:
            server.load_keys((keys or folder) / EVALUATION_KEYS_FILE)
            for done, row in enumerate(rows, start=1):
                client.encrypt(ImageSequence(frames[row]), folder / "query.he")
                server.evaluate(folder / "query.he", folder / "result.he")
                try:
                    scores[row] = client.decrypt(folder / "result.he").scores[0]
                except RangeError:
                    refused += 1
                on_progress(done, len(rows))
    return scores, refused
