"""Single operations of our engine and of Lattigo's evaluator, and the frame encoder.

    python benchmarks/primitives.py    → benchmarks/results/primitives.json and a table

Operations on one thread, at the shipped program's size (N = 2^15, 21 + 7 primes): the Go benchmark of native/, in which
Lattigo uses its own evaluator and keys. The frame encoder alone (three blocks and the projection to four gates, 8
levels) on 4 frames of 8×32×32 on two threads, with our transforms and with Lattigo's.
"""

import json
import re
import subprocess
from functools import partial
from pathlib import Path
from statistics import median

import numpy as np

from heclstm.backend.cpu.backend import CpuBackend
from heclstm.backend.cpu.secret import Encryptor, KeyGenerator
from heclstm.backend.prices import machine_name
from heclstm.circuit.circuit import Circuit
from heclstm.circuit.operations import LinearTransform
from heclstm.circuit.parameters import choose
from heclstm.compiler.fuse import fuse
from heclstm.compiler.layouts import choose_layouts
from heclstm.compiler.levels import depth_of, manage_levels
from heclstm.compiler.lower import lower, lower_encoder
from heclstm.devtools.measure import timed
from heclstm.model.cells.lstm.lowering import Lstm
from heclstm.model.graph import part
from heclstm.model.weights import load_model

ROOT = Path(__file__).parents[1]
ADRENAL = ROOT / "examples" / "adrenal"


def primitives() -> dict:
    command = ["go", "test", "-run=-", "-bench=Single", "-benchtime=2s", "."]
    done = subprocess.run(command, cwd=ROOT / "native", check=True, capture_output=True, text=True)
    results: dict = {}
    for who, unit, level, spent in re.findall(
        r"^BenchmarkSingle/(\w+)/(\S+?),_level_(\d+)-\d+\s+\d+\s+([\d.]+) ns/op", done.stdout, re.M
    ):
        row = results.setdefault(f"{unit.replace('_', ' ')}, level {level}", {})
        row[who] = float(spent) * 1e-9
    return results


def encoder() -> dict:
    """The stages and the projection, cut off before the recurrence: four gates, added into one output."""
    fused = fuse(load_model(ADRENAL))
    encoded = lower_encoder(fused, choose_layouts(fused, 1 << 15))
    arrays = part(fused.model.arrays, "lstm")
    lstm = Lstm("lstm", encoded.trace, fused.cell.cell, arrays, encoded.features, encoded.layout)
    gates = [strands[0] for strands in lstm.projection(encoded.values)]
    output = encoded.trace.sum(*gates)
    parameters = choose(depth_of(encoded.trace, output), slots_min=1 << 15)
    operations, result, parameters = manage_levels(encoded.trace, output, parameters)
    whole = lower(fused, choose_layouts(fused, 1 << 15))
    circuit = Circuit(parameters, whole.input_layout, whole.result_layout, tuple(operations), result)
    seconds = {}
    for name in ("auto", "lattigo"):
        prepared = CpuBackend(threads=2, arithmetic=name).prepare(circuit)
        generator, needed = KeyGenerator(prepared.context), circuit.needed_keys
        secret = generator.secret_key()
        blobs = [("relinearization", generator.relinearization_key(secret, needed.relinearization_level))]
        for step, level in needed.rotations.items():
            blobs.append((f"rotation {step}", generator.rotation_key(secret, step, level)))
        keys = prepared.load_keys(blobs)
        values = np.random.default_rng(2).uniform(0, 1, parameters.slots)
        inputs = prepared.load([Encryptor(prepared.context, secret).encrypt(values, level=circuit.input_level)])
        seconds[name] = median(timed(partial(prepared.evaluate, inputs, keys)) for _ in range(3))
        keys.close()
        prepared.close()
    transforms = sum(isinstance(operation, LinearTransform) for operation in operations)
    return {
        "seconds": seconds,
        "limbs": parameters.max_level + 1,
        "ring_degree": parameters.ring_degree,
        "transforms": transforms,
    }


def main() -> None:
    report = {"processor": machine_name(), "primitives": primitives(), "encoder": encoder()}
    folder = ROOT / "benchmarks" / "results"
    folder.mkdir(exist_ok=True)
    (folder / "primitives.json").write_text(json.dumps(report, indent=1) + "\n")
    lines = ["| | ours, ms | Lattigo, ms | ratio |", "|---|---|---|---|"]
    for title, row in report["primitives"].items():
        ratio = row["lattigo"] / row["ours"]
        lines.append(f"| {title}, 1 thread | {1e3 * row['ours']:.1f} | {1e3 * row['lattigo']:.1f} | {ratio:.1f} |")
    encoded = report["encoder"]
    ours, theirs = encoded["seconds"].values()
    title = f"frame encoder, {encoded['limbs']} limbs, N = {encoded['ring_degree']}, 2 threads"
    lines.append(
        f"| {title} | {1e3 * ours:.0f} | {1e3 * theirs:.0f} (its transforms, our sums) | {theirs / ours:.1f} |"
    )
    table = "\n".join(lines) + "\n"
    (folder / "primitives.md").write_text(table)
    print(table)


if __name__ == "__main__":
    main()
