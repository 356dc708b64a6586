"""Is the bound on a card ever passed? By held-out sequences, and by a search for the worst input, on trained networks.

    python -m experiments.bounds --work runs/ --breakhis breakhis200/ --fields lei_sfd/

Projected gradient ascent on all pixels in [0, 1] from many starts, for the score and the state, upwards and downwards.
`reach` (`heclstm.compiler.reach`) is what the compiler writes on the card.
"""

import argparse
import logging
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from experiments import breakhis, record, visual_fields
from experiments.fit import fit
from heclstm.compiler.reach import reach
from heclstm.data.datasets import load_dataset, prepare_part
from heclstm.model.calibrate import ranged
from heclstm.model.recipe import TrainConfig
from heclstm.model.reference import forward
from heclstm.model.train.network import HeClstm, export

logger = logging.getLogger(__name__)

FOLDS, CHUNK = 5, 100
STEP = 0.1  # of a pixel, falling to nothing


def searched(network: HeClstm, name: str, sign: int, starts: int, steps: int, known: NDArray[np.float32]) -> float:
    """The largest sign · value of all ascents. Half start from held-out sequences with noise, half anywhere."""
    rng, found = np.random.default_rng(0), -np.inf
    for begin in range(0, starts, CHUNK):
        count = min(CHUNK, starts - begin)
        near = known[rng.integers(len(known), size=count)] + rng.normal(0, 0.1, (count, *known.shape[1:]))
        anywhere = rng.random((count, *known.shape[1:]))
        where = (rng.random(count) < 0.5).reshape(-1, *[1] * (known.ndim - 1))
        x = torch.from_numpy(np.where(where, near, anywhere).clip(0, 1).astype(np.float32))
        for step in range(steps):
            x.requires_grad_(True)
            value = network.values(x)[name].flatten(1) * sign
            (gradient,) = torch.autograd.grad(value.amax(1).sum(), x)
            x = (x.detach() + STEP * (1 - step / steps) * gradient.sign()).clamp(0, 1)
        with torch.no_grad():
            found = max(found, float((network.values(x)[name] * sign).max()))
    return found


def measured(network: HeClstm, frames: NDArray[np.float32], starts: int, steps: int) -> dict[str, Any]:
    """Of the score and of the state: the bound, the largest held-out value, and what the search came to."""
    model = export(network)
    bounds, values = reach(model), dict(ranged(model, forward(model, frames)))
    over = [np.abs(values[name]).reshape(len(frames), -1).max(1) > bound for name, bound in bounds.items()]
    found: dict[str, Any] = {"of": len(frames), "outside": int(np.any(over, axis=0).sum())}
    for name in ("score", f"{model.config.cell.kind}.hidden"):
        worst = max(searched(network, name, sign, starts, steps, frames) for sign in (1, -1))
        found[name.rpartition(".")[2]] = {
            "bound": bounds[name],
            "largest": float(np.abs(values[name]).max()),
            "searched": worst,
        }
    return found


def networks(arguments: argparse.Namespace) -> Iterator[tuple[str, HeClstm, NDArray[np.float32]]]:
    """The first seed of each set and cell: what it is called, the network, its held-out frames."""
    base = TrainConfig.from_toml(breakhis.TRAINING_FILE)
    fields = breakhis.Fields.load(arguments.breakhis, base)
    for name in arguments.names:
        method, change = breakhis.VARIANTS.get(name, (name, lambda config: config))
        config = change(base)
        for fold in range(arguments.folds):
            splits = fields.without((fold,), fold)
            network = fit(method, config, splits, arguments.work / "bh")
            yield f"breakhis, {name}", network, prepare_part(splits.test, config.preparation)[0]
    base = TrainConfig.from_toml(visual_fields.TRAINING_FILE)
    for fold in range(1, FOLDS + 1):
        tables = {"positive": "unreliable.csv", "negative": "stable_unreliable.csv"}
        config = replace(base, seed=0, data={**base.data, **tables, "folds": FOLDS, "fold": fold})
        split = load_dataset("visual_fields", arguments.fields, config.data)
        network = fit("he_clstm", config, split, arguments.work / "visual-fields-unreliable")
        yield "unreliable visual fields", network, prepare_part(split.test, config.preparation)[0]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--breakhis", type=Path, required=True, help="the folder of the pictures")
    parser.add_argument("--fields", type=Path, required=True, help="the folder of the tables")
    parser.add_argument("--work", type=Path, required=True, help="trained networks: bh/ and visual-fields-unreliable/")
    parser.add_argument("--names", nargs="*", default=["he_clstm", "mean_cell"], help="of BreaKHis")
    parser.add_argument("--folds", type=int, default=FOLDS, help="of BreaKHis: the first few")
    parser.add_argument("--starts", type=int, default=1000)
    parser.add_argument("--steps", type=int, default=30)
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s: %(message)s", datefmt="%H:%M:%S")
    logging.getLogger("heclstm").setLevel(logging.WARNING)
    torch.set_num_threads(1)
    rows = []
    for name, network, frames in networks(arguments):
        rows.append({"set": name, **measured(network, frames, arguments.starts, arguments.steps)})
        logger.info("%s", rows[-1])
        head = record.provenance(starts=arguments.starts, steps=arguments.steps)
        record.write("bounds", {**head, "rows": rows})


if __name__ == "__main__":
    main()
