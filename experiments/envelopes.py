"""What the envelope of training images catches, and how often it is wrong, by cross-validation.

    python -m experiments.envelopes --data adrenalmnist3d.npz --synthetic synthetic/ --pictures annocerv/ breakhis/

Five folds of the training part: bounds are fitted on four, and the fifth is looked at as it is, and changed in ways
that nobody would want a diagnosis of. synthetic/: as examples/synthetic_colposcopy.py draws it. No network is trained.
"""

import argparse
import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from experiments import record
from heclstm.card.preparation import Preparation
from heclstm.data.datasets import Part, load_dataset
from heclstm.data.prepare import prepare
from heclstm.data.statistics import statistics
from heclstm.model.envelope import fit_envelope
from heclstm.model.recipe import TrainConfig

logger = logging.getLogger(__name__)

FOLDS = 5
Raw = NDArray[np.uint8]
Change = Callable[[Raw, np.random.Generator], Raw]


def _ball(radius: float) -> Change:
    def made(raw: Raw, _: np.random.Generator) -> Raw:
        places = np.indices(raw.shape) - (np.array(raw.shape)[:, None, None, None] - 1) / 2
        return ((places**2).sum(axis=0) < radius**2).astype(np.uint8) * np.uint8(255)

    return made


def _smooth(raw: Raw, rng: np.random.Generator) -> Raw:
    """Greys as another organ may have them."""
    waves = sum(np.sin(axis * rng.uniform(0.1, 0.5) + rng.uniform(0, 6)) for axis in np.indices(raw.shape))
    return (255 * np.clip(0.5 + 0.2 * waves, 0, 1)).astype(np.uint8)


ALIKE: dict[str, Change] = {
    "as they are": lambda raw, _: raw,
    "white noise": lambda raw, rng: rng.integers(0, 256, raw.shape, dtype=np.uint8),
    "a grey ramp": lambda raw, _: np.broadcast_to(np.linspace(0, 255, raw.shape[-1]).astype(np.uint8), raw.shape),
    "inverted": lambda raw, _: 255 - raw,
    "black": lambda raw, _: np.zeros_like(raw),
    "constant grey": lambda raw, _: np.full_like(raw, 128),
    "half as bright": lambda raw, _: raw // 2,
}
VOLUMES: dict[str, Change] = ALIKE | {
    "random voxels": lambda raw, rng: 255 * rng.integers(0, 2, raw.shape, dtype=np.uint8),
    "slices in random order": lambda raw, rng: raw[..., rng.permutation(raw.shape[-1])],
    "moved by 6 voxels": lambda raw, _: np.roll(raw, 6, axis=0),
    "zoomed twice": lambda raw, _: raw[7:21, 7:21, 7:21].repeat(2, 0).repeat(2, 1).repeat(2, 2),
    "shrunk to a half": lambda raw, _: np.pad(raw[::2, ::2, ::2], 7),
    "a ball of radius 9": _ball(9),
    "smooth greys": _smooth,
    "axes exchanged": lambda raw, _: raw.transpose(2, 1, 0),
}
PICTURES: dict[str, Change] = ALIKE | {
    "grey instead of colour": lambda raw, _: raw.mean(axis=1, keepdims=True).astype(np.uint8).repeat(3, 1),
    "red and blue exchanged": lambda raw, _: raw[:, ::-1],
    "pixels in random order": lambda raw, rng: rng.permutation(raw.reshape(-1)).reshape(raw.shape),
    "zoomed twice": lambda raw, _: raw[:, :, 12:36, 12:36].repeat(2, 2).repeat(2, 3),
    "upside down": lambda raw, _: raw[:, :, ::-1],
    "frames reversed": lambda raw, _: raw[::-1],
}


def measured(raws: list[Raw], preparation: Preparation) -> list[Mapping[str, float]]:
    return [statistics(prepare(raw, preparation), preparation) for raw in raws]


def caught(
    part: Part, preparation: Preparation, changes: dict[str, Change], others: dict[str, list[Raw]]
) -> dict[str, Any]:
    """For each change: how many held-out sequences are outside, of how many, and by which statistics most."""
    rng, raws = np.random.default_rng(0), [np.asarray(raw) for raw in part.images]
    fold = rng.permutation(len(raws)) % FOLDS
    usual = measured(raws, preparation)
    found: dict[str, dict[str, Any]] = {}
    for number in range(FOLDS):
        envelope = fit_envelope([usual[row] for row in np.flatnonzero(fold != number)])
        held_out = [raws[row] for row in np.flatnonzero(fold == number)]
        inputs = {name: [change(raw, rng) for raw in held_out] for name, change in changes.items()} | others
        for name, made in inputs.items():
            outside = [envelope.outside(each) for each in measured(made, preparation)]
            row = found.setdefault(name, {"outside": 0, "of": 0, "by": {}})
            row["outside"] += sum(map(bool, outside))
            row["of"] += len(outside)
            for words in outside:
                for text in words:
                    statistic = text.partition(" is ")[0]
                    row["by"][statistic] = row["by"].get(statistic, 0) + 1
        logger.info("fold %d: %s", number + 1, {name: row["outside"] for name, row in found.items()})
    for row in found.values():
        row["by"] = dict(sorted(row["by"].items(), key=lambda item: -item[1])[:2])
    return found


def pictures(folder: Path, count: int = 4, most: int = 240) -> list[Raw]:
    """Real pictures of another kind, as sequences."""
    files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in (".png", ".jpg"))[:most]
    frames = [np.asarray(Image.open(path).convert("RGB").resize((48, 48))).transpose(2, 0, 1) for path in files]
    return [np.stack(frames[start : start + count]) for start in range(0, len(frames) - count + 1, count)]


def main() -> None:
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--synthetic", type=Path, required=True)
    parser.add_argument("--pictures", type=Path, nargs="*", default=[])
    arguments = parser.parse_args()
    result = {}
    others = {f"pictures of {folder.name}": pictures(folder) for folder in arguments.pictures}
    for name, path, changes, more in (
        ("adrenal", arguments.data, VOLUMES, {}),
        ("colposcopy", arguments.synthetic, PICTURES, others),
    ):
        config = TrainConfig.from_toml(record.ROOT / "examples" / name / "train.toml")
        splits = load_dataset(config.dataset, path, config.data)
        result[name] = caught(splits.train, config.preparation, changes, more)
    record.write("envelopes", {**record.provenance(folds=FOLDS), **result})


if __name__ == "__main__":
    main()
