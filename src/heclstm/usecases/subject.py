"""What `evaluate` and `calibrate` look at: a model or program folder, and labelled sequences for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from heclstm.card.purpose import Purpose
from heclstm.data.datasets import DATASETS, Part, load_dataset
from heclstm.data.reading import read_labels, read_volumes
from heclstm.errors import DigestError, FileFormatError, ModelError
from heclstm.model.weights import Model, load_model
from heclstm.program.files import load_program
from heclstm.program.program import Program
from heclstm.usecases.events import Events

SPLITS = ("train", "validation", "test")


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
    """What is evaluated. Without a model, the program on clear slots is the reference."""

    name: str
    purpose: Purpose
    model: Model | None
    program: Program | None

    @property
    def trained_on(self) -> TrainedOn:
        return TrainedOn.of(self.model)


def read_subject(path: Path, program: Path | None) -> Subject:
    """A model folder (and a program that was compiled from it), or a program folder."""
    if (path / "model.json").exists():
        model, compiled = load_model(path), load_program(program) if program else None
        if compiled and compiled.card.model.digest != model.digest:
            raise DigestError(f"{program}: was compiled from another model than {path}; compile it again")
        subject = Subject(path.name, Purpose.of(model), model, compiled)
    elif (path / "program.json").exists():
        loaded = load_program(path)
        subject = Subject(path.name, loaded.card.purpose, None, loaded)
    else:
        raise FileFormatError(f"{path}: holds neither model.json nor program.json; give a model or program folder")
    if not subject.purpose.operating_points:
        raise ModelError(f"{path}: has no operating point; train the model with heclstm, or store one")
    return subject


def read_part(path: Path | None, trained_on: TrainedOn, split: str, events: Events) -> Part:
    """One part of the data set that a training file names, or all of a .npz file of volumes with labels.

    split: one of SPLITS. Tells if the parts are others than in training.
    """
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
        events.note(
            "warning: this is not the data set as it was in training: patients of this part may have been trained on"
        )
    part: Part = getattr(splits, split)
    if not len(part):
        raise FileFormatError(
            f"{path or name}: the {split} part is empty; choose another --split, or name its sequences"
        )
    return part


def is_labelled(path: Path) -> bool:
    """Whether this is a .npz of volumes with their labels, such as examples/adrenal/volumes.npz."""
    return path.is_file() and path.suffix.lower() == ".npz" and read_labels(path) is not None


def compiled(subject: Subject) -> Subject:
    """The subject with a program, compiled now if it came without one."""
    if subject.program or subject.model is None:
        return subject
    from heclstm.compiler.compile import compile_model

    return replace(subject, program=compile_model(subject.model))
