"""How a model is trained: everything that a training file says, frozen and checked."""

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Self, TypeVar

from heclstm.card.preparation import Preparation
from heclstm.data.datasets import read_options
from heclstm.errors import FileFormatError, ModelError
from heclstm.model.config import ModelConfig
from heclstm.model.fields import plain
from heclstm.storage.settings import read_toml

Settings = TypeVar("Settings")
Span = tuple[float, float]
LARGEST = 2**63  # of any number in a training file


def _require(
    table: str,
    settings: Any,
    names: tuple[str, ...],
    expected: str,
    accepts: Callable[[Any], bool],
    *,
    whole: bool = False,
) -> None:
    """Raise ModelError unless each of these fields is a finite number (no truth value) that is accepted."""
    for name in names:
        value = getattr(settings, name)
        number = isinstance(value, int if whole else int | float) and not isinstance(value, bool)
        if not number or abs(value) > LARGEST or not math.isfinite(value) or not accepts(value):
            raise ModelError(f"{table}.{name}: got {value!r}, expected {expected}")


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
        table = "optimization"
        _require(table, self, ("epochs",), "a whole number of at least 1", lambda value: value >= 1, whole=True)
        # batch normalization needs two
        _require(table, self, ("batch_size",), "a whole number of at least 2", lambda value: value >= 2, whole=True)
        _require(table, self, ("learning_rate", "gradient_clip"), "more than 0", lambda value: value > 0)
        _require(table, self, ("weight_decay",), "0 or more", lambda value: value >= 0)
        _require(table, self, ("warm_up", "average_from"), "a fraction below 1", lambda value: 0 <= value < 1)
        for name in ("activation_span", "gate_span"):
            value = getattr(self, name)
            span = tuple(value) if isinstance(value, list | tuple) else (value,)
            if (
                len(span) != 2
                or not all(isinstance(part, int | float) for part in span)
                or not 0 <= span[0] <= span[1] <= self.average_from
            ):
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
        _require("loss", self, ("positive_weight",), "more than 0 (1: balanced)", lambda value: value > 0)
        _require("loss", self, ("focal_gamma",), "0 (none) or more", lambda value: value >= 0)


@dataclass(frozen=True)
class EarlyStopping:
    """Stop when validation no longer gains. Only epochs after `optimization.average_from` are candidates: before, the
    network is not made of polynomials alone, or its outliers are not tamed yet.

    patience: so many epochs without a better AUC; 0 trains all epochs and keeps the last average. Worth it with a
    large validation part; on a small one the best epoch is chosen by chance.
    """

    patience: int = 0

    def __post_init__(self) -> None:
        expected = "0 (none) or more epochs"
        _require("early_stopping", self, ("patience",), expected, lambda value: value >= 0, whole=True)


@dataclass(frozen=True)
class RangeBounds:
    """Intervals [−bound, bound] that values should keep, and what leaving them costs.

    bounds: by the names that the model's blocks and cell give them, as convolution, gates, candidate; each kind has
    its defaults. mean_weight: mean of max(0, |z| − bound)², throughout. max_weight: the same of the largest |z|, only
    in the last part of training (it tames outliers such as |c| = 6·10⁶ in one of 1,000 samples; from the start it
    prevents learning).
    """

    bounds: Mapping[str, float] = field(default_factory=dict)
    mean_weight: float = 1.0
    max_weight: float = 0.03
    max_from: float = 0.55

    def __post_init__(self) -> None:
        _require("ranges", self, ("mean_weight", "max_weight"), "0 (none) or more", lambda value: value >= 0)
        _require("ranges", self, ("max_from",), "a fraction, 0 to 1", lambda value: 0 <= value <= 1)
        each = SimpleNamespace(**self.bounds)
        _require("ranges", each, tuple(self.bounds), "a bound above 0", lambda value: value > 0)

    def of(self, model: ModelConfig) -> Self:
        """With every bound of this model. Raises ModelError on one that it does not have."""
        known = {each.bound: each.default for each in model.graph.ranges if each.bound}
        if unknown := [name for name in self.bounds if name not in known]:
            names = ", ".join([*known, *(item.name for item in fields(self)[1:])])
            raise ModelError(f"ranges: got unknown field {unknown[0]!r}, expected some of {names}")
        return replace(self, bounds=known | dict(self.bounds))

    def to_json(self) -> dict[str, Any]:
        """One flat table, as in a training file."""
        weights = {item.name: getattr(self, item.name) for item in fields(self)[1:]}
        return {**self.bounds, **weights}

    @classmethod
    def from_json(cls, values: Any) -> Self:
        if not isinstance(values, Mapping):
            raise ModelError(f"ranges: got {type(values).__name__}, expected a table")
        weights = {item.name for item in fields(cls)[1:]}
        bounds = {name: value for name, value in values.items() if name not in weights}
        return cls(bounds, **{name: value for name, value in values.items() if name in weights})


COURSES = ("noise", "offset", "turned", "exchanged", "stain")  # of Augmentation: what is done to frames, not to a space


@dataclass(frozen=True)
class Augmentation:
    """How far samples may be changed; all zero and empty means not at all.

    axes: the image axes of a raw sample, on which everything below works (other axes, as frames, move
    together). flip_axes: each is reversed with probability one half. shift: whole pixels, either way. zoom 0.1:
    0.9 to 1.1 times. rotation_degrees: either way, in the plane of every pair of axes. transforms: random transforms
    of MONAI besides, each by its name and with its arguments, such as
    {name = "RandGaussianNoise", prob = 0.5, std = 4.0}; values have the unit of the raw pixels.

    noise, offset: standard deviations, as fractions of the brightest pixel there can be, of what is added to every
    pixel, and to all pixels of a sequence alike. Pixels that are 0 in all frames lie outside of the picture and stay 0.
    turned: so many sequences run backwards and count as negative, for positives that are told by a course.
    exchanged: in every epoch, the frames of all sequences of a patient with the same label change places, for frames
    whose order means nothing. stain: how far the amounts of haematoxylin and eosin in a sequence may change, either way
    (`model.train.stain`): 0.05 is little, 0.2 much.
    """

    axes: tuple[int, ...] = ()
    flip_axes: tuple[int, ...] = ()
    shift: int = 0
    zoom: float = 0.0
    rotation_degrees: float = 0.0
    transforms: tuple[Mapping[str, Any], ...] = ()
    noise: float = 0.0
    offset: float = 0.0
    turned: float = 0.0
    exchanged: bool = False
    stain: float = 0.0

    def __post_init__(self) -> None:
        for name in ("axes", "flip_axes", "transforms"):
            value = getattr(self, name)
            if not isinstance(value, list | tuple):
                raise ModelError(f"augmentation.{name}: got {value!r}, expected a list")
            object.__setattr__(self, name, tuple(value))
        if any(isinstance(axis, bool) or not isinstance(axis, int) or axis < 0 for axis in self.axes):
            raise ModelError(f"augmentation.axes: got {self.axes}, expected whole numbers of at least 0")
        if len(set(self.axes)) != len(self.axes):
            raise ModelError(f"augmentation.axes: got {self.axes}, expected different axes")
        if not all(axis in self.axes for axis in self.flip_axes):
            raise ModelError(f"augmentation.flip_axes: got {self.flip_axes}, expected some of axes {self.axes}")
        _require("augmentation", self, ("shift",), "whole pixels, 0 or more", lambda value: value >= 0, whole=True)
        _require("augmentation", self, ("noise", "offset", "turned", "stain"), "0 to 1", lambda value: 0 <= value <= 1)
        if not isinstance(self.exchanged, bool):
            raise ModelError(f"augmentation.exchanged: got {self.exchanged!r}, expected true or false")
        _require("augmentation", self, ("zoom",), "0 or more, less than 1", lambda value: 0 <= value < 1)
        _require("augmentation", self, ("rotation_degrees",), "0 to 180", lambda value: 0 <= value <= 180)
        changed = self.flip_axes or self.shift or self.zoom or self.rotation_degrees or self.transforms
        if changed and len(self.axes) not in (2, 3):
            raise ModelError(f"augmentation.axes: got {self.axes}, expected the two or three axes of the space")
        for item in self.transforms:
            if not isinstance(item, Mapping) or not isinstance(item.get("name"), str):
                raise ModelError(f"augmentation.transforms: got {item!r}, expected a name and its arguments")


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
        _require("distillation", self, ("teachers",), "0 (none) or more", lambda value: value >= 0, whole=True)
        _require("distillation", self, ("weight",), "0 to 1", lambda value: 0 <= value <= 1)
        if not isinstance(self.warm_start, bool) or (self.warm_start and not self.teachers):
            raise ModelError(f"distillation.warm_start: got {self.warm_start!r}, expected false, or true with teachers")


@dataclass(frozen=True)
class TrainConfig:
    """A training file: data set (and its options, `data`), preparation, model, and how to get there.

    ensemble: so many networks are trained, from different seeds, and stand side by side in the model that comes out.
    """

    dataset: str
    preparation: Preparation
    model: ModelConfig
    seed: int = 0
    wanted_sensitivity: float = 0.95
    ensemble: int = 1
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
        _require("training file", self, ("seed",), "0 to 2^32 - 1", lambda value: 0 <= value < 2**32, whole=True)
        _require("training file", self, ("ensemble",), "1 (one network) or more", lambda value: value >= 1, whole=True)
        if self.model.members > 1:
            raise ModelError(f"model.members: got {self.model.members}; say ensemble = {self.model.members} instead")
        expected = "more than 0, at most 1"
        _require("training file", self, ("wanted_sensitivity",), expected, lambda value: 0 < value <= 1)
        space = (0, 1, 2) if self.preparation.kind == "volume" else (2, 3)
        if not set(self.augmentation.axes) <= set(space):
            raise ModelError(f"augmentation.axes: got {self.augmentation.axes}, expected some of {space}")
        self._check_courses()
        wanted = (self.model.frames, self.model.channels, self.model.height, self.model.width)
        made = tuple(getattr(self.preparation, name) for name in ("frames", "channels", "height", "width"))
        if wanted != made:
            raise ModelError(f"training file: preparation makes {made}, but the model takes {wanted}")
        if self.preparation.length != "exact":
            self.model.require_causal("training file")
        object.__setattr__(self, "ranges", self.ranges.of(self.model))

    @property
    def whole_model(self) -> ModelConfig:
        """What comes out: the model, or those of an ensemble side by side."""
        return self.model.side_by_side(self.ensemble)

    def member(self, number: int) -> Self:
        """How network 1, 2, … of an ensemble is trained. Teachers, whom all share, take the seeds between."""
        later = self.distillation.teachers + number - 1 if number > 1 else 0
        return replace(self, ensemble=1, seed=self.seed + later)

    def _check_courses(self) -> None:
        augmentation, preparation = self.augmentation, self.preparation
        given = [name for name in COURSES if getattr(augmentation, name)]
        if preparation.kind == "volume" and given:
            raise ModelError(f"augmentation.{given[0]}: is for preparation.kind 'frames', got 'volume'")
        if augmentation.stain and preparation.source[1] != 3:
            raise ModelError(
                f"augmentation.stain: is for pictures in colour, got {preparation.source[1]} channels, expected 3; "
                "prepare them with preparation.colour = 'rgb'"
            )
        for name in ("turned", "exchanged"):
            if name in given and preparation.padded:
                raise ModelError(
                    f"augmentation.{name}: padding would move as well; train with preparation.length = 'exact'"
                )

    def to_json(self) -> dict[str, Any]:
        """A dictionary of plain JSON types; `from_json` is its inverse."""
        values = {name: plain(value) for name, value in asdict(self).items()}
        if not self.data:  # training files from before data sets had options keep their checkpoints
            del values["data"]
        if self.ensemble == 1:
            del values["ensemble"]
        for name in COURSES:  # nor do those from before there were these
            if not values["augmentation"][name]:
                del values["augmentation"][name]
        parts = {name: getattr(self, name).to_json() for name in ("model", "preparation", "ranges")}
        return {**values, **parts}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """Raises ModelError on missing, unknown or wrong fields."""
        parts: dict[str, Any] = dict(values)
        for name in ("dataset", "preparation", "model"):
            if name not in parts:
                raise ModelError(f"training file: {name!r} is missing, expected dataset, [preparation] and [model]")
        parts["preparation"] = Preparation.from_json(parts["preparation"])
        parts["model"] = ModelConfig.from_json(parts["model"])
        if "ranges" in parts:
            parts["ranges"] = RangeBounds.from_json(parts["ranges"])
        for name, kind in TABLES.items():
            if name in parts:
                parts[name] = _settings(kind, name, parts[name])
        return _settings(cls, "training file", parts)

    @classmethod
    def from_toml(cls, path: Path | str) -> Self:
        """Read a training file. Its table [search] is not for one training (`model.search`)."""
        return cls.from_json({name: value for name, value in read_values(path).items() if name != SEARCH})


SEARCH = "search"


def read_values(path: Path | str) -> dict[str, Any]:
    """What a training file says. TOML has no null: the word "exact" stands for a degree of None."""
    values = read_toml(Path(path), FileFormatError)
    return {name: without_exact(value) for name, value in values.items()}


TABLES: dict[str, type[Any]] = {
    "optimization": Optimization,
    "loss": LossSettings,
    "early_stopping": EarlyStopping,
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


WORDS = ("length",)  # fields in which "exact" is a word like others


def without_exact(value: Any) -> Any:
    """What TOML says as "exact", as None."""
    if isinstance(value, dict):
        return {
            name: None if item == "exact" and name not in WORDS else without_exact(item) for name, item in value.items()
        }
    return [without_exact(item) for item in value] if isinstance(value, list) else value
