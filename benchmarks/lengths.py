"""Long sequences, encrypted at 128 bits on this machine → benchmarks/results/lengths.json and a table.

    python benchmarks/lengths.py            all of them
    python benchmarks/lengths.py diagonal-32 frames-64
    python benchmarks/lengths.py --compile-only     into build/lengths/, from where they are taken if they are there

Frames of 32×32 in grey, three 3×3 blocks of 8, 16 and 32 channels at stride 2, 32 units, random weights: an untrained
network costs what a trained one does. Each: compiled, keys, one query, one server process (as in evaluation.py).
"""

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from evaluation import RESULTS, ROOT, serve

from heclstm.backend.prices import machine_name
from heclstm.circuit.cost import estimate
from heclstm.compiler.compile import compile_model
from heclstm.data.sequence import ImageSequence
from heclstm.deploy.client import Client
from heclstm.deploy.keys import EVALUATION_KEYS_FILE
from heclstm.model.cells.contracting import ContractingConfig
from heclstm.model.cells.diagonal import DiagonalConfig
from heclstm.model.config import BlockConfig, LstmConfig, ModelConfig
from heclstm.model.reference import forward
from heclstm.model.untrained import untrained
from heclstm.model.weights import Model
from heclstm.program.files import load_program, save_program

CELLS = {
    "diagonal": DiagonalConfig(32),
    "frames": LstmConfig(32, recurrent_gates=False),
    "recurrent": LstmConfig(32),
    "contracting": ContractingConfig(32),
}
TITLES = {
    "diagonal": "diagonal cell",
    "frames": "LSTM, gates from the frame",
    "recurrent": "LSTM, recurrent gates",
    "contracting": "contracting cell",
}
LENGTHS = {"diagonal": (8, 16, 32, 64), "frames": (32, 64), "recurrent": (8,), "contracting": (8,)}
NAMES = [f"{cell}-{length}" for cell, lengths in LENGTHS.items() for length in lengths]


def model_of(name: str) -> Model:
    cell, length = name.split("-")
    blocks = tuple(BlockConfig(channels) for channels in (8, 16, 32))
    model = untrained(ModelConfig(int(length), 1, 32, 32, blocks, CELLS[cell]))
    if cell == "contracting":  # a gate near 0.5, as training has it: one beyond 1 would let the state grow
        small = np.repeat([0.01, 1.0], 32)  # of gate and candidate
        arrays = dict(model.arrays)
        for name in ("input_weight", "bias"):
            arrays[f"contracting.{name}"] = (arrays[f"contracting.{name}"].T * small).T
        arrays["contracting.recurrent_weight"] = arrays["contracting.recurrent_weight"] * 0.01
        model = Model(model.config, arrays)
    return model


def program_of(name: str) -> Path:
    folder = ROOT / "build" / "lengths" / name
    if not (folder / "program.json").exists():
        start = time.perf_counter()
        save_program(compile_model(model_of(name)), folder)
        print(f"{name}: compiled in {time.perf_counter() - start:.0f} s", flush=True)
    return folder


def run(name: str) -> dict:
    cell, length = name.split("-")
    path, model = program_of(name), model_of(name)
    program = load_program(path)
    costs = estimate(program.circuit)
    frames = np.random.default_rng(0).random((int(length), 1, 32, 32), dtype=np.float32) * 0.5
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        client = Client(program.card)
        start = time.perf_counter()
        client.generate_keys(folder)
        keygen = time.perf_counter() - start
        query = client.encrypt(ImageSequence(frames, "random"), override_envelope="random").save(folder / "query.he")
        keys = folder / EVALUATION_KEYS_FILE
        server = serve(path, keys, folder / "query.he", "auto", repeats=3, result=folder / "result.he")
        found = client.decrypt(folder / "result.he", unrounded=True).score
        client.close()
        key_bytes = keys.stat().st_size
    expected = float(forward(model, frames[None].astype(np.float64))["score"][0, 0])
    return {
        "frames": int(length),
        "cell": cell,
        "ring_degree": costs.ring_degree,
        "depth": costs.depth,
        "rotation_keys": costs.rotation_keys,
        "keygen_seconds": keygen,
        "evaluation_keys_bytes": key_bytes,
        "query_bytes": query,
        "server": server,
        "score_in_clear": expected,
        "error": abs(found - expected),
    }


def table(results: dict) -> str:
    head = ("cell", "frames", "levels", "N", "keys", "query", "evaluation, 2 threads", "1 thread", "memory", "error")
    lines = ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    for name in sorted(results, key=lambda name: (results[name]["cell"], results[name]["frames"])):
        row = results[name]
        times, degree = row["server"]["evaluate_median_seconds"], row["ring_degree"].bit_length() - 1
        cells = (
            TITLES[row["cell"]], row["frames"], row["depth"], f"2^{degree}",
            f"{row['evaluation_keys_bytes'] / 1e6:.0f} MB", f"{row['query_bytes'] / 1e6:.1f} MB", f"{times['2']:.2f} s",
            f"{times['1']:.2f} s", f"{row['server']['peak_memory_bytes'] / 1e9:.1f} GB", f"{row['error']:.0e}",
        )  # fmt: skip
        lines.append("| " + " | ".join(map(str, cells)) + " |")
    return "\n".join(lines) + "\n"


def main() -> None:
    path = RESULTS / "lengths.json"
    results = json.loads(path.read_text())["programs"] if path.exists() else {}
    names = [name for name in sys.argv[1:] if not name.startswith("--")] or NAMES
    for name in names:
        program_of(name)
    if "--compile-only" in sys.argv:
        return
    commit = subprocess.run(["git", "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True, text=True)
    machine = {"commit": commit.stdout.strip(), "date": time.strftime("%Y-%m-%d"), "processor": machine_name()}
    for name in names:
        results[name] = {"machine": machine, **run(name)}
        path.write_text(json.dumps({"programs": results}, indent=1) + "\n")
        (RESULTS / "lengths.md").write_text(table(results))
    print(table(results))


if __name__ == "__main__":
    main()
