"""How a model is trained: everything that a training file says, frozen and checked."""

import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Self, TypeVar

from heclstm.data.datasets import read_options
from heclstm.data.prepare import Preparation
from heclstm.errors import FileFormatError, ModelError
from heclstm.model.config import ModelConfig, plain

Settings = TypeVar("Settings")
Span = tuple[float, float]


@dataclass(frozen=True)
class Optimization:
    """AdamW with warm-up and cosine decay; spans are fractions of the whole training."""

    epochs: int = 40
    batch_size: int = 64
    learning_rate: float = 2e-3
    weight_decay: float = 1e-2
    warm_up: float = 0.1
    gradient_clip: float = 1.0
    activation_span: Span = (0.0, 0.2)  # ReLU fades into the polynomial
    gate_span: Span = (0.1, 0.4)  # exact gates fade into polynomials
    average_from: float = 0.75  # weights are averaged over the epochs after this

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size"):
            value = getattr(self, name)
            if not isinstance(value, int) or value < 1 + (name == "batch_size"):  # batch normalization needs two
                raise ModelError(
                    f"optimization.{name}: got {value!r}, expected a whole number of at least 1 (batch: 2)"
                )
        for name in ("learning_rate", "gradient_clip"):
            if getattr(self, name) <= 0:
                raise ModelError(f"optimization.{name}: got {getattr(self, name)}, expected more than 0")
        for name in ("warm_up", "average_from"):
            if not 0 <= getattr(self, name) < 1:
                raise ModelError(f"optimization.{name}: got {getattr(self, name)}, expected a fraction below 1")
        for name in ("activation_span", "gate_span"):
            span = tuple(getattr(self, name))
            if len(span) != 2 or not 0 <= span[0] <= span[1] <= self.average_from:
                raise ModelError(
                    f"optimization.{name}: got {span}, expected two fractions in order, at most average_from "
                    f"({self.average_from})"
                )
            object.__setattr__(self, name, span)


@dataclass(frozen=True)
class LossSettings:
    """What a mistake costs. Both classes weigh the same at first; both fields shift that against missed diagnoses.

    positive_weight: 2 makes a missed positive cost twice as much as balanced classes would. focal_gamma: above 0,
    sequences that are scored rightly count less, the more so the larger it is (2 is usual).
    """

    positive_weight: float = 1.0
    focal_gamma: float = 0.0

    def __post_init__(self) -> None:
        if self.positive_weight <= 0:
            raise ModelError(f"loss.positive_weight: got {self.positive_weight}, expected more than 0 (1: balanced)")
        if self.focal_gamma < 0:
            raise ModelError(f"loss.focal_gamma: got {self.focal_gamma}, expected 0 (none) or more")


@dataclass(frozen=True)
class EarlyStopping:
    """Stop when validation no longer gains. Only epochs after `optimization.average_from` are candidates: before, the
    network is not made of polynomials alone, or its outliers are not tamed yet.

    patience: so many epochs without a better AUC; 0 trains all epochs and keeps the last average. Worth it with a
    large validation part; on a small one the best epoch is chosen by chance.
    """

    patience: int = 0

    def __post_init__(self) -> None:
        if isinstance(self.patience, bool) or not isinstance(self.patience, int) or self.patience < 0:
            raise ModelError(f"early_stopping.patience: got {self.patience!r}, expected 0 (none) or more epochs")


@dataclass(frozen=True)
class RangeBounds:
    """Intervals [−bound, bound] that values should keep, and what leaving them costs.

    mean_weight: mean of max(0, |z| − bound)², throughout. max_weight: the same of the largest |z|, only in the
    last part of training (it tames outliers such as |c| = 6·10⁶ in one of 1,000 samples; from the start it
    prevents learning).
    """

    convolution: float = 4.0
    gates: float = 3.0
    candidate: float = 2.25
    cell: float = 2.25
    mean_weight: float = 0.1
    max_weight: float = 0.003
    max_from: float = 0.55

    def bound(self, name: str) -> float | None:
        """The bound of a value by its name in `reference.forward`; None where there is none."""
        if name.startswith("blocks.") and name.count(".") == 1:
            return self.convolution
        return {"lstm.gates": self.gates, "lstm.candidate": self.candidate, "lstm.cell": self.cell}.get(name)


@dataclass(frozen=True)
class Augmentation:
    """How far samples may be changed; all zero and empty means not at all.

    axes: the image axes of a raw sample, on which everything below works (other axes, as frames, move
    together). flip_axes: each is reversed with probability one half. shift: whole pixels, either way. zoom 0.1:
    0.9 to 1.1 times. rotation_degrees: either way, in the plane of every pair of axes. transforms: random transforms
    of MONAI besides, each by its name and with its arguments, such as
    {name = "RandGaussianNoise", prob = 0.5, std = 4.0}; values have the unit of the raw pixels.
    """

    axes: tuple[int, ...] = ()
    flip_axes: tuple[int, ...] = ()
    shift: int = 0
    zoom: float = 0.0
    rotation_degrees: float = 0.0
    transforms: tuple[Mapping[str, Any], ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "axes", tuple(self.axes))
        object.__setattr__(self, "flip_axes", tuple(self.flip_axes))
        object.__setattr__(self, "transforms", tuple(self.transforms))
        if any(isinstance(axis, bool) or not isinstance(axis, int) or axis < 0 for axis in self.axes):
            raise ModelError(f"Augmentation.axes: got {self.axes}, expected whole numbers of at least 0")
        if len(set(self.axes)) != len(self.axes):
            raise ModelError(f"Augmentation.axes: got {self.axes}, expected different axes")
        if not set(self.flip_axes) <= set(self.axes):
            raise ModelError(f"Augmentation.flip_axes: got {self.flip_axes}, expected some of axes {self.axes}")
        for name in ("shift", "zoom", "rotation_degrees"):
            if getattr(self, name) < 0:
                raise ModelError(f"Augmentation.{name}: got {getattr(self, name)}, expected 0 or more")
        if self.zoom >= 1:
            raise ModelError(f"Augmentation.zoom: got {self.zoom}, expected less than 1")
        changed = self.flip_axes or self.shift or self.zoom or self.rotation_degrees or self.transforms
        if changed and len(self.axes) not in (2, 3):
            raise ModelError(f"Augmentation.axes: got {self.axes}, expected the two or three axes of the space")
        for item in self.transforms:
            if not isinstance(item, Mapping) or not isinstance(item.get("name"), str):
                raise ModelError(f"Augmentation.transforms: got {item!r}, expected a name and its arguments")


@dataclass(frozen=True)
class Distillation:
    """Exact twins (ReLU, sigmoid, tanh) are trained first, with other seeds; their mean softens the labels.

    Polynomial networks spread more over seeds than exact ones, and a mean of teachers spreads least.
    weight: the share of the teachers in a softened label. warm_start: begin with the first teacher's weights instead of
    random ones.
    """

    teachers: int = 0
    weight: float = 0.7
    warm_start: bool = False

    def __post_init__(self) -> None:
        if isinstance(self.teachers, bool) or not isinstance(self.teachers, int) or self.teachers < 0:
            raise ModelError(f"distillation.teachers: got {self.teachers!r}, expected 0 (none) or more")
        if not 0 <= self.weight <= 1:
            raise ModelError(f"distillation.weight: got {self.weight}, expected 0 to 1")
        if not isinstance(self.warm_start, bool) or (self.warm_start and not self.teachers):
            raise ModelError(f"distillation.warm_start: got {self.warm_start!r}, expected false, or true with teachers")


@dataclass(frozen=True)
class TrainConfig:
    """A training file: data set (and its options, `data`), preparation, model, and how to get there."""

    dataset: str
    preparation: Preparation
    model: ModelConfig
    seed: int = 0
    wanted_sensitivity: float = 0.95
    optimization: Optimization = field(default_factory=Optimization)
    loss: LossSettings = field(default_factory=LossSettings)
    early_stopping: EarlyStopping = field(default_factory=EarlyStopping)
    ranges: RangeBounds = field(default_factory=RangeBounds)
    augmentation: Augmentation = field(default_factory=Augmentation)
    distillation: Distillation = field(default_factory=Distillation)
    data: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.data:
            read_options(self.dataset, self.data)
        if not 0 < self.wanted_sensitivity <= 1:
            raise ModelError(
                f"training file: wanted_sensitivity: got {self.wanted_sensitivity}, expected more than 0, at most 1"
            )
        wanted = (self.model.frames, self.model.channels, self.model.height, self.model.width)
        made = tuple(getattr(self.preparation, name) for name in ("frames", "channels", "height", "width"))
        if wanted != made:
            raise ModelError(f"training file: preparation makes {made}, but the model takes {wanted}")
        if self.model.classes != 1:
            raise ModelError(f"training file: got {self.model.classes} classes, expected 1 (one score, two outcomes)")

    def to_json(self) -> dict[str, Any]:
        """A dictionary of plain JSON types; `from_json` is its inverse."""
        values = {name: plain(value) for name, value in asdict(self).items()}
        if not self.data:  # training files from before data sets had options keep their checkpoints
            del values["data"]
        return {**values, "model": self.model.to_json(), "preparation": self.preparation.to_json()}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """Raises ModelError on missing, unknown or wrong fields."""
        parts: dict[str, Any] = dict(values)
        for name in ("dataset", "preparation", "model"):
            if name not in parts:
                raise ModelError(f"training file: {name!r} is missing, expected dataset, [preparation] and [model]")
        parts["preparation"] = Preparation.from_json(parts["preparation"])
        parts["model"] = ModelConfig.from_json(parts["model"])
        for name, kind in TABLES.items():
            if name in parts:
                parts[name] = _settings(kind, name, parts[name])
        return _settings(cls, "training file", parts)

    @classmethod
    def from_toml(cls, path: Path | str) -> Self:
        """Read a training file. TOML has no null: the word "exact" stands for a degree of None."""
        try:
            values = tomllib.loads(Path(path).read_text("utf-8"))
        except OSError as error:
            raise FileFormatError(f"{path}: cannot be read ({error.strerror}); expected a training file") from error
        except ValueError as error:  # also TOMLDecodeError, which tells line and column
            raise FileFormatError(f"{path}: not readable as TOML: {error}") from error
        return cls.from_json(_without_exact(values))


TABLES: dict[str, type[Any]] = {
    "optimization": Optimization,
    "loss": LossSettings,
    "early_stopping": EarlyStopping,
    "ranges": RangeBounds,
    "augmentation": Augmentation,
    "distillation": Distillation,
}


def _settings(kind: type[Settings], name: str, values: Any) -> Settings:
    known = [item.name for item in fields(kind) if item.init]  # type: ignore[arg-type]  # every kind is a dataclass
    if not isinstance(values, Mapping):
        raise ModelError(f"{name}: got {type(values).__name__}, expected a table")
    if unknown := [key for key in values if key not in known]:
        raise ModelError(f"{name}: got unknown field {unknown[0]!r}, expected some of {', '.join(known)}")
    try:
        return kind(**values)
    except TypeError as error:
        raise ModelError(f"{name}: a field has a wrong type ({error})") from error


def _without_exact(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: None if item == "exact" else _without_exact(item) for name, item in value.items()}
    return [_without_exact(item) for item in value] if isinstance(value, list) else value
