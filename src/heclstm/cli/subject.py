"""What `evaluate` and `calibrate` look at: a model or program folder, and labelled sequences for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from heclstm.cli.terminal import note

if TYPE_CHECKING:
    from heclstm.card.purpose import Purpose
    from heclstm.data.datasets import Part
    from heclstm.model.weights import Model


@dataclass(frozen=True)
class TrainedOn:
    """What the training file of a model said of its data; empty where nobody knows.

    dataset: a name in `data.datasets`, options: its [data] table. digest: of the parts as they were.
    """

    dataset: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)
    digest: str = ""

    @classmethod
    def of(cls, model: Model | None) -> TrainedOn:
        """The one place that reads it from a model's metadata."""
        metadata: Mapping[str, Any] = model.metadata if model else {}
        training = metadata.get("training", {})
        return cls(str(training.get("dataset", "")), training.get("data", {}), str(metadata.get("data_digest", "")))


@dataclass(frozen=True)
class Subject:
    """What is evaluated. program: its folder; without a model, the program on clear slots is the reference."""

    name: str
    purpose: Purpose
    model: Model | None
    program: Path | None

    @property
    def trained_on(self) -> TrainedOn:
        return TrainedOn.of(self.model)


def read_subject(path: Path, program: Path | None) -> Subject:
    """A model folder (and a program that was compiled from it), or a program folder."""
    from heclstm.card.purpose import Purpose
    from heclstm.errors import DigestError, FileFormatError, ModelError
    from heclstm.model.weights import load_model
    from heclstm.program.files import load_card

    if (path / "model.json").exists():
        model = load_model(path)
        subject = Subject(path.name, Purpose.of(model), model, program)
        if program and load_card(program).model.digest != model.digest:
            raise DigestError(f"{program}: was compiled from another model than {path}; compile it again")
    elif (path / "program.json").exists():
        subject = Subject(path.name, load_card(path).purpose, None, path)
    else:
        raise FileFormatError(f"{path}: holds neither model.json nor program.json; give a model or program folder")
    if subject.purpose.operating_point() is None:
        raise ModelError(f"{path}: has no operating point; train the model with heclstm, or store one")
    return subject


def read_part(path: Path | None, trained_on: TrainedOn, split: str) -> Part:
    """One part of the data set that a training file names, or all of a .npz file of volumes with labels.

    Says so on stderr if the parts are others than in training.
    """
    from heclstm.data.datasets import DATASETS, Part, load_dataset
    from heclstm.data.reading import read_labels, read_volumes
    from heclstm.errors import FileFormatError

    if path and is_labelled(path):
        labels = read_labels(path)
        assert labels is not None  # it is labelled
        volumes = read_volumes(path)
        if len(volumes) != len(labels):
            raise FileFormatError(
                f"{path}: got {len(labels)} labels for {len(volumes)} patients, expected one for each"
            )
        return Part(volumes, labels)
    name = trained_on.dataset
    if name not in DATASETS:
        what = f"{path}: holds no labels" if path else "no --data was given"
        raise FileFormatError(
            f"{what}, and the data set is not known; give a .npz of volumes with labels, or --dataset, "
            f"one of {', '.join(sorted(DATASETS))}"
        )
    splits = load_dataset(name, path, trained_on.options)
    if trained_on.digest and splits.digest != trained_on.digest:
        note("warning: this is not the data set as it was in training: patients of this part may have been trained on")
    part: Part = getattr(splits, split)
    if not len(part):
        raise FileFormatError(
            f"{path or name}: the {split} part is empty; choose another --split, or name its sequences"
        )
    return part


def is_labelled(path: Path) -> bool:
    """Whether this is a .npz of volumes with their labels, such as examples/adrenal/volumes.npz."""
    from heclstm.data.reading import read_labels

    return path.is_file() and path.suffix.lower() == ".npz" and read_labels(path) is not None


def compiled(subject: Subject, folder: Path) -> Subject:
    """The subject with a program, compiled into `folder` if it came without one."""
    from dataclasses import replace

    from heclstm.compiler.compile import compile_model
    from heclstm.program.files import save_program

    if subject.program or subject.model is None:
        return subject
    save_program(compile_model(subject.model), folder / "program")
    return replace(subject, program=folder / "program")
