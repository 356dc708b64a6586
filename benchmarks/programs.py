"""Ten programs before and after → benchmarks/results/programs.json and a table.

    python benchmarks/programs.py OTHER_CHECKOUT [--rows 0 1 …]      those that are there already stay

OTHER_CHECKOUT is a checkout of an older commit with its library built. For each shape, each build compiles the same
random weights, makes keys and a query, and serves it in a process of its own, within the same minutes: bytes of keys,
seconds to make them, the process's largest resident memory, seconds of an evaluation on two threads (medians); the
table has the processor's seconds, which other work disturbs least. The new build's estimate stands beside what was
measured: bytes, memory, and the clock's seconds by prices of these minutes.
"""

import argparse
import inspect
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results"
# frames, channels, pixels, channels of the blocks, hidden, whether its gates see the state
SHAPES = [
    (2, 1, 28, (8, 16), 8, True),
    (2, 3, 64, (8, 16, 32), 32, True),
    (3, 3, 28, (8, 16, 32), 16, True),
    (4, 8, 32, (16, 32, 64), 32, True),
    (4, 3, 64, (16, 32, 64), 32, True),
    (5, 1, 28, (8, 16, 32), 64, True),
    (6, 1, 32, (8, 16, 32), 16, True),
    (8, 1, 28, (8, 16, 32), 16, False),
    (16, 1, 28, (8, 16, 32), 8, False),
    (4, 3, 112, (8, 16, 32), 64, True),
]


def make(checkout: Path, shape: tuple, folder: Path) -> dict:
    """A program, keys, a query, by whichever heclstm is imported here."""
    sys.path.insert(0, str(checkout / "tests"))
    import numpy as np

    from heclstm.compiler.compile import compile_model
    from heclstm.data.sequence import ImageSequence
    from heclstm.deploy.client import Client
    from heclstm.model.config import BlockConfig, LstmConfig, ModelConfig
    from random_models import random_model

    try:
        from heclstm.program.files import load_card, save_program
    except ImportError:  # before cards
        from heclstm.circuit.files import load_description as load_card
        from heclstm.circuit.files import save_program
    frames, channels, pixels, blocks, hidden, recurrent = shape
    blocks = tuple(BlockConfig(count) for count in blocks)
    cell = LstmConfig(hidden, recurrent_gates=recurrent)
    save_program(
        compile_model(random_model(ModelConfig(frames, channels, pixels, pixels, blocks, cell), 0)), folder / "program"
    )
    client = Client(load_card(folder / "program"))
    start = time.perf_counter(), time.process_time()
    client.generate_keys(folder)
    spent = time.perf_counter() - start[0], time.process_time() - start[1]
    images = np.random.default_rng(0).random((frames, channels, pixels, pixels), dtype=np.float32) / 2
    known = inspect.signature(client.encrypt).parameters
    options = {"override_envelope": "random"} if "override_envelope" in known else {}
    client.encrypt(ImageSequence(images, "random"), folder / "query.he", **options)
    client.close()
    return {
        "key_bytes": (folder / "evaluation.keys").stat().st_size,
        "keygen_seconds": spent[0],
        "keygen_processor": spent[1],
    }


def serve(folder: Path, memory: float, repeats: int) -> dict:
    """One process with one tenant: what it and its evaluations took. memory: of builds that take a bound."""
    from heclstm.deploy.server import Server

    program, query, keys = folder / "program", folder / "query.he", folder / "evaluation.keys"
    start = time.perf_counter()
    if hasattr(Server, "open_keys"):
        from heclstm.backend.cpu.backend import CpuBackend
        from heclstm.program.files import load_program

        server = Server(load_program(program), CpuBackend(threads=2, memory=memory))
        opened = server.open_keys(keys)

        def evaluate() -> None:
            server.evaluate(query, opened, folder / "result.he")
    else:
        from heclstm.circuit.files import load_description, load_program

        server = Server(load_program(program), load_description(program), threads=2)
        server.load_keys(keys)

        def evaluate() -> None:
            server.evaluate(query, folder / "result.he")

    ready, runs, busy = time.perf_counter() - start, [], []
    for _ in range(repeats + 1):
        before = time.perf_counter(), time.process_time()
        evaluate()
        runs.append(time.perf_counter() - before[0])
        busy.append(time.process_time() - before[1])
    lines = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return {
        "ready_seconds": ready,
        "seconds": median(runs[1:]),
        "processor_seconds": median(busy[1:]),
        "peak_memory_bytes": int(lines["VmHWM"].split()[0]) * 1024,
    }


def predict(folder: Path, memory: float, prices: bool) -> dict:
    """What the new build says before it runs anything. prices: with seconds of this machine in these minutes."""
    from heclstm.circuit.cost import estimate
    from heclstm.circuit.operations import LinearTransform
    from heclstm.devtools.measure import measure
    from heclstm.program.files import load_program

    circuit = load_program(folder / "program").circuit
    measured = measure(circuit.parameters, threads=2) if prices else None
    costs = estimate(circuit, measured, memory=memory)
    header = (folder / "evaluation.keys").stat().st_size - costs.evaluation_key_bytes
    return {
        "key_bytes": costs.evaluation_key_bytes,
        "key_file_header_bytes": header,
        "peak_memory_bytes": costs.peak_memory,
        "seconds": costs.seconds,
        "compact": len(costs.held_whole) < sum(isinstance(op, LinearTransform) for op in circuit.operations),
        "ring_degree": costs.ring_degree,
        "levels": costs.depth,
    }


def child(checkout: Path, *arguments: object) -> dict | None:
    environment = os.environ | {"PYTHONPATH": str(checkout / "src")}
    command = [sys.executable, str(Path(__file__).resolve()), *map(str, arguments)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    if done.returncode:
        return {"refused": done.stderr.strip().splitlines()[-1]}
    found: dict = json.loads(done.stdout.splitlines()[-1])
    return found


def row(other: Path, number: int, repeats: int, prices: bool) -> dict:
    found: dict = {"shape": SHAPES[number]}
    with tempfile.TemporaryDirectory() as name:
        for build, checkout in (("before", other), ("after", ROOT)):
            folder = Path(name, build)
            folder.mkdir()
            found[build] = child(checkout, "--make", checkout, number, folder)
            if "refused" not in found[build]:
                found[build] |= child(checkout, "--serve", folder, 1e9, repeats)
        if "refused" not in found["after"]:
            found["estimate"] = child(ROOT, "--predict", Path(name, "after"), 1e9, int(prices))
            if found["estimate"]["compact"]:
                found["whole"] = child(ROOT, "--serve", Path(name, "after"), 1e12, repeats)
    return found


def table(rows: dict[str, dict]) -> str:
    lines = [
        "| frames × channels × pixels, hidden | keys, MB | memory, MB | evaluation, s | all whole, s | "
        "memory, estimated over measured | seconds, estimated over measured |",
        "|---|---|---|---|---|---|---|",
    ]
    for _, found in sorted(rows.items(), key=lambda item: int(item[0])):
        frames, channels, pixels, _, hidden, recurrent = found["shape"]
        name = f"{frames} × {channels} × {pixels}², {hidden}{'' if recurrent else ', gates of the frame'}"
        before, after, whole, said = (found.get(key, {}) for key in ("before", "after", "whole", "estimate"))

        def both(field: str, unit: float, digits: int, before: dict = before, after: dict = after) -> str:
            return " → ".join(
                f"{side[field] / unit:.{digits}f}" if field in side else "refused" for side in (before, after)
            )

        cells = [
            both("key_bytes", 1e6, 0),
            both("peak_memory_bytes", 1e6, 0),
            both("processor_seconds", 1, 2),
        ]
        cells.append(f"{whole['processor_seconds']:.2f}" if "seconds" in whole else "")
        for field in ("peak_memory_bytes", "seconds"):
            cells.append(f"{said[field] / after[field]:.2f}" if said.get(field) and field in after else "")
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def main() -> None:
    mode, *rest = sys.argv[1:]
    if mode == "--make":
        print(json.dumps(make(Path(rest[0]), SHAPES[int(rest[1])], Path(rest[2]))))
    elif mode == "--serve":
        print(json.dumps(serve(Path(rest[0]), float(rest[1]), int(rest[2]))))
    elif mode == "--predict":
        print(json.dumps(predict(Path(rest[0]), float(rest[1]), rest[2] == "1")))
    else:
        parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
        parser.add_argument("other", type=Path)
        parser.add_argument("--rows", type=int, nargs="*", default=list(range(len(SHAPES))))
        parser.add_argument("--repeats", type=int, default=3, help="evaluations of each")
        parser.add_argument("--without-prices", action="store_true", help="on a busy machine, where they say nothing")
        options = parser.parse_args()
        path = RESULTS / "programs.json"
        rows = json.loads(path.read_text()) if path.exists() else {}
        for number in options.rows:
            if str(number) not in rows:
                rows[str(number)] = row(options.other.resolve(), number, options.repeats, not options.without_prices)
                path.write_text(json.dumps(rows, indent=1) + "\n")
                (RESULTS / "programs.md").write_text(table(rows))
        print(table(rows))


if __name__ == "__main__":
    main()
