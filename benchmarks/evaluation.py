"""Speed and size of whole programs on this machine → benchmarks/results/evaluation.json and a table.

    python benchmarks/evaluation.py            the shipped AdrenalMNIST3D program, and 4 × 64×64×3 with random weights
    python benchmarks/evaluation.py adrenal    one of them

Each program: keys, one query, one server process (time, memory, 1 and 2 threads), the sum of its own primitives
measured in the same minutes, and the same evaluation with Lattigo's transforms.
"""

import json
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from heclstm.backend.prices import machine_name
from heclstm.circuit.cost import estimate
from heclstm.compiler.compile import compile_model
from heclstm.data.sequence import ImageSequence
from heclstm.deploy.client import Client
from heclstm.deploy.keys import EVALUATION_KEYS_FILE
from heclstm.devtools.measure import measure
from heclstm.model.config import BlockConfig, LstmConfig, ModelConfig
from heclstm.program.files import load_program, save_program

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results"
LIMITS = {
    "adrenal": {"evaluate": 1.5, "keys": 1e9, "query": 4e6, "result": 0.5e6, "memory": 4e9, "keygen": 20},
    "rgb64": {"evaluate": 4.0, "memory": 8e9},
}


def adrenal_program(folder: Path) -> Path:
    return ROOT / "examples" / "adrenal" / "program"


def rgb64_program(folder: Path) -> Path:
    """4 frames of 3 × 64×64, three blocks, LSTM 32, random weights: several ciphertexts a sequence."""
    sys.path.insert(0, str(ROOT / "tests"))
    from random_models import random_model

    blocks = tuple(BlockConfig(channels) for channels in (16, 32, 64))
    model = random_model(ModelConfig(4, 3, 64, 64, blocks, LstmConfig(32)), seed=0)
    save_program(compile_model(model), folder / "program")
    return folder / "program"


def run(name: str, make_program) -> dict:
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        path = make_program(folder)
        program = load_program(path)
        card, circuit = program.card, program.circuit
        client = Client(card)
        start = time.perf_counter()
        client.generate_keys(folder)
        keygen = time.perf_counter() - start
        layout = card.input_layout
        shape = (layout.frames, layout.channels, layout.height, layout.width)
        frames = np.random.default_rng(0).random(shape, dtype=np.float32) * 0.5
        start = time.perf_counter()
        query_bytes = client.encrypt(ImageSequence(frames, "random"), override_envelope="random").save(
            folder / "query.he"
        )
        encrypt = time.perf_counter() - start
        client.close()
        keys = folder / EVALUATION_KEYS_FILE
        ours = serve(path, keys, folder / "query.he", "auto", repeats=5)
        lattigo = serve(path, keys, folder / "query.he", "lattigo", repeats=2)
        others = {name: serve(path, keys, folder / "query.he", name, repeats=3) for name in ("avx2", "portable")}
        prices = measure(circuit.parameters, threads=2)
        costs = estimate(circuit, prices)
        again = serve(path, keys, folder / "query.he", "auto", repeats=5)
        seconds = min(ours["evaluate_median_seconds"]["2"], again["evaluate_median_seconds"]["2"])
        return {
            "keygen_seconds": keygen,
            "encrypt_seconds": encrypt,
            "evaluation_keys_bytes": keys.stat().st_size,
            "query_bytes": query_bytes,
            "server": ours,
            "server_again": again,
            "server_lattigo": lattigo,
            **{f"server_{name}": report for name, report in others.items()},
            "sum_of_primitives_seconds": costs.seconds,
            "evaluate_over_primitives": seconds / costs.seconds,
            "threads_1_over_2": ours["evaluate_median_seconds"]["1"] / ours["evaluate_median_seconds"]["2"],
            "lattigo_over_ours": lattigo["evaluate_median_seconds"]["2"] / ours["evaluate_median_seconds"]["2"],
            "ring_degree": circuit.parameters.ring_degree,
            "depth": costs.depth,
            "totals": dict(costs.totals),
            "limits": LIMITS[name],
        }


def serve(program: Path, keys: Path, query: Path, arithmetic: str, repeats: int, result: Path | None = None) -> dict:
    script = Path(__file__).with_name("server_process.py")
    command = [
        sys.executable,
        script,
        program,
        keys,
        query,
        "--arithmetic",
        arithmetic,
        "--repeats",
        str(repeats),
        *(["--result", result] if result else []),
    ]
    done = subprocess.run([str(part) for part in command], check=True, capture_output=True, text=True)
    return json.loads(done.stdout)


def table(results: dict) -> str:
    lines = ["| | " + " | ".join(results) + " |", "|---" * (len(results) + 1) + "|"]
    rows = {
        "evaluation, 2 threads": lambda r: f"{r['server']['evaluate_median_seconds']['2']:.2f} s",
        "evaluation, 1 thread": lambda r: f"{r['server']['evaluate_median_seconds']['1']:.2f} s",
        "1 thread over 2": lambda r: f"{r['threads_1_over_2']:.2f}",
        "with Lattigo's transforms, 2 threads": lambda r: (
            f"{r['server_lattigo']['evaluate_median_seconds']['2']:.2f} s"
        ),
        "Lattigo's over ours": lambda r: f"{r['lattigo_over_ours']:.1f}",
        "evaluation over the sum of its primitives": lambda r: f"{r['evaluate_over_primitives']:.2f}",
        "on AVX2, 2 threads": lambda r: f"{r['server_avx2']['evaluate_median_seconds']['2']:.2f} s",
        "plain C, 2 threads": lambda r: f"{r['server_portable']['evaluate_median_seconds']['2']:.2f} s",
        "server process, peak": lambda r: f"{r['server']['peak_memory_bytes'] / 1e9:.2f} GB",
        "preparing the program": lambda r: f"{r['server']['prepare_seconds']:.1f} s",
        "loading the keys": lambda r: f"{r['server']['load_keys_seconds']:.1f} s",
        "key generation": lambda r: f"{r['keygen_seconds']:.1f} s",
        "encryption": lambda r: f"{r['encrypt_seconds']:.2f} s",
        "evaluation keys": lambda r: f"{r['evaluation_keys_bytes'] / 1e6:.0f} MB",
        "query": lambda r: f"{r['query_bytes'] / 1e6:.2f} MB",
        "result": lambda r: f"{r['server']['result_bytes'] / 1e6:.3f} MB",
    }
    for title, value in rows.items():
        lines.append(f"| {title} | " + " | ".join(value(result) for result in results.values()) + " |")
    return "\n".join(lines) + "\n"


def main() -> None:
    programs = {"adrenal": adrenal_program, "rgb64": rgb64_program}
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / "evaluation.json"
    results = json.loads(path.read_text())["programs"] if path.exists() else {}
    for name in sys.argv[1:] or programs:
        results[name] = run(name, programs[name])
    commit = subprocess.run(["git", "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True, text=True)
    results_of = {"commit": commit.stdout.strip(), "date": time.strftime("%Y-%m-%d")}
    machine = {
        **results_of,
        "processor": machine_name(),
        "system": platform.platform(),
        "python": platform.python_version(),
    }
    path.write_text(json.dumps({"machine": machine, "programs": results}, indent=1) + "\n")
    (RESULTS / "evaluation.md").write_text(table(results))
    print(table(results))


if __name__ == "__main__":
    main()
