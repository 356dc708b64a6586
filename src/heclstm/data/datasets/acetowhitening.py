"""Acetowhitening, SYNTHETIC: drawings after a formula, made to test temporal models. No patient, no clinical meaning.

After acetic acid a patch of epithelium is white to the degree w(t). The level differs from patient to patient and
says nothing; only the course does. Over T frames, with c(t) rising, its mean 0 and its largest size 1,

    w(t) = level ± Δ/2 · c(t) + noise        + whitens further (label 1)        − fades (label 0)

`level` is uniform on an interval of length S. A reader of one frame sees two intervals of length S, at most Δ apart:
his AUC is 1 − (1 − Δ/S)²/2 at best, and that is the setting `single_frame_auc`. The mean over all frames is the same
for both labels. Difficulty: a lower `single_frame_auc` makes the course flatter against the levels, `noise` blurs it.

Each patient also has his own tissue colour, texture, and place, size and shape of the patch; each frame its own
brightness and pixel noise.
"""

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from heclstm.data.datasets.folds import folded
from heclstm.data.datasets.patients import Splitting
from heclstm.data.datasets.splits import Part, Splits
from heclstm.errors import ModelError

TISSUE = np.array([0.75, 0.42, 0.40])  # red, green, blue
WHITE = np.array([0.93, 0.88, 0.86])
STREAMS = ("train", "validation", "test")
LOWEST, HIGHEST = 0.1, 0.9  # of w(t), without noise


@dataclass(frozen=True)
class Options:
    """train, validation, test: how many sequences, half of them positive. single_frame_auc: what the best reader of
    one frame can reach. noise: standard deviation of w(t) in units of Δ. pixel_noise: of a pixel, of 1. folds, fold:
    see `folded`."""

    seed: int = 0
    train: int = 600
    validation: int = 200
    test: int = 400
    frames: int = 5
    size: int = 32
    single_frame_auc: float = 0.7
    noise: float = 0.1
    pixel_noise: float = 0.02
    folds: int = 0
    fold: int = 1

    def __post_init__(self) -> None:
        for name, least in (("seed", 0), ("train", 2), ("validation", 2), ("test", 2), ("frames", 2), ("size", 8)):
            if not isinstance(getattr(self, name), int) or getattr(self, name) < least:
                raise ModelError(
                    f"data.{name}: got {getattr(self, name)!r}, expected a whole number of at least {least}"
                )
        if not 0.5 < self.single_frame_auc < 1:
            raise ModelError(f"data.single_frame_auc: got {self.single_frame_auc}, expected between 0.5 and 1")
        for name in ("noise", "pixel_noise"):
            if getattr(self, name) < 0:
                raise ModelError(f"data.{name}: got {getattr(self, name)}, expected 0 or more")

    @property
    def spread(self) -> tuple[float, float]:
        """(S, Δ): they fill the interval from LOWEST to HIGHEST together."""
        ratio = 1 - math.sqrt(2 * (1 - self.single_frame_auc))
        whole = (HIGHEST - LOWEST) / (1 + ratio)
        return whole, ratio * whole


def load(path: Path | None, options: Options) -> Splits:
    """path is not used: the sequences are made anew each time, the same ones for the same options."""
    del path
    train, validation, test = (_part(name, getattr(options, name), options) for name in STREAMS)
    name, attribution = "acetowhitening (synthetic)", "Synthetic images drawn by heclstm; they show no patient"
    splits = Splits(train, validation, test, name, "CC0", attribution, notes=("these images are synthetic",))
    how = Splitting(options.seed, folds=options.folds, fold=options.fold)
    return folded(splits, how) if options.folds else splits


def whiteness(label: int, options: Options, rng: np.random.Generator) -> NDArray[np.float64]:
    """w(t) of one patient, (T,)."""
    spread, change = options.spread
    level = rng.uniform(LOWEST + change / 2, LOWEST + change / 2 + spread)
    course = (1 if label else -1) * change / 2 * time_course(options.frames)
    return level + course + rng.normal(0, options.noise * change, options.frames)


def time_course(frames: int) -> NDArray[np.float64]:
    """c(t): fast at first, then slower; it starts at −1, and its mean is 0."""
    rising = -np.expm1(-2 * np.linspace(0, 1, frames))
    centred = rising - rising.mean()
    scaled: NDArray[np.float64] = centred / np.abs(centred).max()
    return scaled


def draw(label: int, options: Options, rng: np.random.Generator) -> NDArray[np.uint8]:
    """The frames of one patient, (T, 3, size, size)."""
    size = options.size
    y, x = np.mgrid[0:size, 0:size] / size - 0.5
    turn = rng.uniform(0, math.pi)
    cy, cx = rng.uniform(-0.1, 0.1, 2)
    long, short = rng.uniform(0.34, 0.44), rng.uniform(0.26, 0.34)
    along = (x - cx) * math.cos(turn) + (y - cy) * math.sin(turn)
    across = (y - cy) * math.cos(turn) - (x - cx) * math.sin(turn)
    distance = np.hypot(along / long, across / short)
    patch = 1 / (1 + np.exp((distance - 1) * 12))  # a soft edge
    waves = rng.uniform(-1, 1, (3, 3))
    texture = sum(a * np.sin(8 * (b * x + c * y) + 3 * a) for a, b, c in waves) / 3
    tissue = TISSUE * rng.uniform(0.95, 1.05, 3)
    frames = []
    for white in whiteness(label, options, rng):
        mixed = (white * patch)[..., None]
        colour = (1 - mixed) * tissue * (1 + 0.08 * texture[..., None]) + mixed * WHITE
        colour = colour * rng.uniform(0.99, 1.01) + rng.normal(0, options.pixel_noise, colour.shape)
        frames.append(np.rint(np.clip(colour, 0, 1) * 255).astype(np.uint8).transpose(2, 0, 1))
    return np.stack(frames)


def _part(name: str, count: int, options: Options) -> Part:
    """Each sequence draws from its own generator, so that more of them do not change the first ones."""
    stream = STREAMS.index(name)
    labels = np.arange(count, dtype=np.int64) % 2
    images = [
        draw(int(label), options, np.random.default_rng([options.seed, stream, row]))
        for row, label in enumerate(labels)
    ]
    return Part(np.stack(images), labels, tuple(f"{name}-{row}" for row in range(count)))
