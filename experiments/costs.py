"""Accuracy against levels, keys and seconds: which variant of HE-CLSTM a user may choose.

    python -m experiments.costs --data adrenalmnist3d.npz --work runs/ [--measure]

AUC is that of `experiments.ablations` (five folds inside the training part of AdrenalMNIST3D); costs are those of the
network of fold 0, compiled for 128-bit security. Seconds are predictions from this machine's primitives: those that
are stored, or with --measure newly timed for every parameter set. At 29 bits of scale first; if that leaves N = 2^15,
at 28.
"""

import argparse
import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from experiments import record
from experiments.ablations import VARIANTS, folds
from experiments.adrenal import TRAINING_FILE, distilled, load
from experiments.fit import fit, restored
from experiments.pareto import plot
from heclstm.backend import prices as stored
from heclstm.circuit.circuit import Circuit
from heclstm.circuit.cost import estimate
from heclstm.compiler.compile import Options, compile_circuit
from heclstm.devtools.measure import measure as measure_units
from heclstm.errors import ParameterError
from heclstm.model.recipe import TrainConfig
from heclstm.model.train.network import HeClstm, export

logger = logging.getLogger(__name__)

THREADS = 2
LARGEST_RING = 2**15
SCALES = (29.0, 28.0)
TIMED_SPECIAL = 7  # special primes of the shipped program; where others have no stored timings, these are tried
PLOT = record.ROOT / "docs" / "pareto.png"
COMPILED = (
    "shipped",
    "frame_gates",
    "gates_2",
    "narrow_frame_gates",
    "hidden_16",
    "frames_2",
    "narrow",
    "gates_3",
    "hidden_64",
    "cubic_output",
    "frames_7",
)


def compiled(network: HeClstm) -> tuple[Circuit, float]:
    """The program, and its bits of scale."""
    for bits in SCALES:
        program = compile_circuit(export(network), Options(scale_bits=bits))
        if program.parameters.ring_degree <= LARGEST_RING:
            break
    if stored.load(program.parameters, THREADS) is None:
        try:
            timed = compile_circuit(export(network), Options(scale_bits=bits, special_count=TIMED_SPECIAL))
        except ParameterError:
            return program, bits
        if timed.parameters.ring_degree <= LARGEST_RING:
            return timed, bits
    return program, bits


def costs_of(network: HeClstm, *, measure: bool) -> dict[str, Any]:
    program, bits = compiled(network)
    parameters = program.parameters
    prices = stored.load(parameters, THREADS)
    if prices is None and measure:
        prices = measure_units(parameters, threads=THREADS)
        stored.store(prices, parameters)
    costs = estimate(program, prices)
    return {
        "levels": costs.depth,
        "ring_degree": costs.ring_degree,
        "scale_bits": bits,
        "special_primes": len(parameters.special_moduli),
        "rotation_keys": costs.rotation_keys,
        "key_megabytes": costs.evaluation_key_bytes / 1e6,
        "query_megabytes": costs.query_bytes / 1e6,
        "seconds": costs.seconds,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--measure", action="store_true")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    torch.set_num_threads(1)
    accuracy = (record.read("adrenal_ablations") or {}).get("variants", {})
    base, folder = TrainConfig.from_toml(TRAINING_FILE), arguments.work / "fold-0"
    split = next(iter(folds(load(arguments.data))))
    _, targets = distilled(replace(base, seed=0), split, folder)
    rows = {}
    for name in (name for name in COMPILED if name in accuracy):
        variant = VARIANTS[name]
        config = variant.change(replace(base, seed=0))
        shipped = name == "shipped"
        network = restored(config, split, folder) if shipped else fit(variant.method, config, split, folder, targets)
        auc = {part: accuracy[name][part] for part in ("mean", "sd")}
        rows[name] = {"title": variant.title, "auc": auc, **costs_of(network, measure=arguments.measure)}
        logger.info("%s: %s", name, rows[name])
    record.write("adrenal_costs", {**record.provenance(threads=THREADS, scales=SCALES), "variants": rows})
    plot(rows, PLOT)


if __name__ == "__main__":
    main()
