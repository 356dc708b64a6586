"""Gates that stay in [0, 1] for every picture there can be: does a network learn to use them?

    python -m experiments.bounded_gates --fields lei_sfd/ --breakhis breakhis200/ --work runs/

    h_t = n_t + z_t ⊙ (h_{t−1} − n_t),  h_1 = n_1        n_t = W_n s_t + b_n
    z_t = (1 + m + (1 − |m|) û_t) / 2,  m in (−1, 1)      û_t = (W (s_t − middle) + U (h_{t−1} / H)) / R

middle, reach: of the features, carried from pixels in [0, 1] through the blocks with the weights of this very step.
R = |W|·reach + |U|·1 and H, the largest |n|, follow, so |û_t| ≤ 1, z_t is in [0, 1], and a state never leaves the
values that it was given: a contraction, whatever the weights are. Four folds inside the training part of fold 1 of the
visual fields, and one pair of folds of BreaKHis. Beside the AUC: how far z moves on held-out frames.
"""

import argparse
import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from experiments import breakhis, record, visual_fields
from experiments.fit import evaluate, fit
from experiments.inner import inner_folds, inner_splits
from experiments.methods import METHODS, Method
from heclstm.data.datasets import Part, Splits, prepare_part
from heclstm.model.blocks.convolution.torch_module import ConvolutionBlock
from heclstm.model.by_fold import auc_by_fold
from heclstm.model.cells.torch_module import Recurrent
from heclstm.model.config import ModelConfig
from heclstm.model.differences.node import over_frames
from heclstm.model.recipe import TrainConfig
from heclstm.model.train.network import HeClstm, encoded

logger = logging.getLogger(__name__)

CONSTANTS = (-0.6, 0.8)  # m at first: units forget soon, or late
EPSILON = 1e-12
Box = tuple[Tensor, Tensor]  # middle, reach to each side


def of_block(block: ConvolutionBlock, box: Box) -> Box:
    """A box of pictures (T, C, H, W) → one that holds what the block makes of them, in evaluation."""
    (middle, reach), convolution, norm = box, block.convolution, block.normalization
    gain = norm.weight * (norm.running_var + norm.eps).rsqrt()
    middle = convolution(middle)
    reach = nn.functional.conv2d(reach, convolution.weight.abs(), None, convolution.stride, convolution.padding)
    offset = norm.bias - norm.running_mean * gain
    middle, reach = middle * gain[:, None, None] + offset[:, None, None], reach * gain.abs()[:, None, None]
    c0, c1, c2 = block.activation.coefficients.T[:, :, None, None]
    turn = (-c1 / (2 * c2)).clamp(middle - reach, middle + reach)  # a parabola turns there, or beyond an end
    each = torch.stack([c0 + x * (c1 + x * c2) for x in (middle - reach, middle + reach, turn)])
    low, high = (block.pool(end) * block.pool_factor for end in (each.amin(0), each.amax(0)))
    return (low + high) / 2, (high - low) / 2


class BoundedGates(HeClstm):
    """HE-CLSTM with the cell above; what enters it is projected, and called, as by the diagonal cell of its shape."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config)
        features, hidden = config.features, config.cell.hidden_size
        self.constant = nn.Parameter(torch.linspace(*CONSTANTS, hidden).atanh())
        self.gate_weight = nn.Parameter(torch.randn(hidden, features) / features**0.5)
        self.gate_recurrence = nn.Parameter(0.1 * torch.randn(hidden, hidden) / hidden**0.5)

    def box(self) -> Box:
        """Of the features, (T, D) each."""
        config = self.config
        shape = config.frames, config.channels, config.height, config.width
        middle = reach = torch.full(shape, 0.5, dtype=self.constant.dtype)
        if self.differences is not None:
            mixed = [torch.as_tensor(over_frames(kind, config.frames)).to(middle) for kind in self.differences.kinds]
            norm = self.differences.normalization
            gain = (norm.running_var + norm.eps).rsqrt()[:, None, None]
            middles = [middle, *(torch.einsum("ts,schw->tchw", each, middle) for each in mixed)]
            reaches = [reach, *(torch.einsum("ts,schw->tchw", each.abs(), reach) for each in mixed)]
            middle = (torch.cat(middles, 1) - norm.running_mean[:, None, None]) * gain
            reach = torch.cat(reaches, 1) * gain
        for block in self.blocks:
            middle, reach = of_block(block, (middle, reach))
        return middle.mean((2, 3)), reach.mean((2, 3))

    def values(self, frames: Tensor, mask: Tensor | None = None) -> dict[str, Tensor]:
        values = encoded(self.blocks, frames if self.differences is None else self.differences(frames))
        spatial, cell = values["spatial"], self.cell
        assert isinstance(cell, Recurrent)
        candidate, (middle, reach) = cell.project(spatial), self.box()
        norm = cell.normalization
        gain = norm.weight * (norm.running_var + norm.eps).rsqrt()
        weight = cell.input_weight.weight * gain[:, None]
        at_middle = middle @ weight.T + norm.bias - norm.running_mean * gain
        largest = (at_middle.abs() + reach @ weight.abs().T).amax(0)
        span = reach @ self.gate_weight.abs().T + self.gate_recurrence.abs().sum(1) + EPSILON
        own, m = (spatial - middle) @ self.gate_weight.T / span, self.constant.tanh()
        state, states, gates = candidate[:, 0], [candidate[:, 0]], []
        for t in range(1, frames.shape[1]):
            entering = own[:, t] + (state / largest) @ self.gate_recurrence.T / span[t]
            if self.training:  # where running statistics are not yet those of the batch
                entering = entering.clamp(-1, 1)
            gates.append((1 + m + (1 - m.abs()) * entering) / 2)
            state = candidate[:, t] + gates[-1] * (state - candidate[:, t])
            states.append(state)
        kind, hidden = self.config.cell.kind, torch.stack(states, 1)
        values |= {f"{kind}.gates": candidate, f"{kind}.hidden": hidden, "kept": torch.stack(gates, 1)}
        values["weighted_unit"] = self.weighted_unit(spatial, hidden)
        values["contributions"] = self.vote(values["weighted_unit"], mask)
        return {**values, "score": values["contributions"].sum(1), "largest": largest}


NAME = "bounded_gates"
GATED = Method("gates in [0, 1] for every picture", BoundedGates)


@torch.no_grad()
def moved(network: nn.Module, config: TrainConfig, part: Part) -> np.ndarray[Any, Any]:
    """How far z goes between the 2.5th and the 97.5th of 100 held-out frames, for each unit."""
    found = network.values(torch.from_numpy(prepare_part(part, config.preparation)[0]))
    kept = found["kept"]
    assert kept.min() >= 0
    assert kept.max() <= 1
    low, high = np.quantile(kept.numpy(), [0.025, 0.975], axis=(0, 1))
    return high - low


def judged(name: str, config: TrainConfig, folds: list[Splits], work: Path) -> dict[str, Any]:
    outcomes, spans = [], []
    for splits in folds:
        network = fit(name, config, splits, work)
        outcomes.append((evaluate(network, config, splits.test)["score"], splits.test.labels))
        if name == NAME:
            spans.append(moved(network, config, splits.test))
    found: dict[str, Any] = {"auc": auc_by_fold(outcomes).value}
    if spans:
        every = np.concatenate(spans)
        found |= {"median_moved": float(np.median(every)), "most_moved": float(every.max())}
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fields", type=Path, required=True, help="the folder of the tables")
    parser.add_argument("--breakhis", type=Path, required=True, help="the folder of the pictures")
    parser.add_argument("--work", type=Path, required=True, help="folder for trained networks; what is there is reused")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1])
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s: %(message)s", datefmt="%H:%M:%S")
    logging.getLogger("heclstm").setLevel(logging.WARNING)
    torch.set_num_threads(1)
    METHODS[NAME] = GATED
    bases = {name: TrainConfig.from_toml(each.TRAINING_FILE) for name, each in SETS.items()}
    rows = []
    for name, seeds in (("visual_fields", arguments.seeds), ("breakhis", arguments.seeds[:1])):
        base = bases[name]
        folds = FOLDS[name](arguments.fields if name == "visual_fields" else arguments.breakhis, base)
        for method in ("he_clstm", NAME):
            runs = [judged(method, replace(base, seed=seed), folds, arguments.work / name) for seed in seeds]
            rows.append({"set": name, "method": method, "seeds": seeds, "runs": runs})
            logger.info("%s", rows[-1])
            titles = {"he_clstm": "diagonal cell", NAME: GATED.title}
            head = record.provenance(training={each: base.to_json() for each, base in bases.items()})
            record.write("bounded_gates", {**head, "titles": titles, "rows": rows})


def fields_folds(data: Path, base: TrainConfig) -> list[Splits]:
    parts = inner_folds(data, base)
    return [inner_splits(parts, tested) for tested in range(len(parts))]


def breakhis_folds(data: Path, base: TrainConfig) -> list[Splits]:
    fields = breakhis.Fields.load(data, base)
    return [fields.without((0, 1), 1)]


SETS = {"visual_fields": visual_fields, "breakhis": breakhis}
FOLDS: dict[str, Callable[[Path, TrainConfig], list[Splits]]] = {
    "visual_fields": fields_folds,
    "breakhis": breakhis_folds,
}

if __name__ == "__main__":
    main()
