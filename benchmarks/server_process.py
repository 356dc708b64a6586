"""What one server process takes, in its own process: time and memory of loading and evaluating. Prints JSON.

python benchmarks/server_process.py PROGRAM EVALUATION.KEYS QUERY.HE --threads 1 2 --repeats 5
"""

import argparse
import json
import tempfile
import time
from pathlib import Path
from statistics import median

from heclstm.backend.cpu.backend import CpuBackend
from heclstm.deploy.server import Server
from heclstm.program.files import load_program
from heclstm.usecases.memory import peak_memory


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program", type=Path)
    parser.add_argument("keys", type=Path)
    parser.add_argument("query", type=Path)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--arithmetic", default="auto")
    parser.add_argument("--result", type=Path, help="keep the last result here")
    arguments = parser.parse_args()

    start = time.perf_counter()
    backend = CpuBackend(threads=max(arguments.threads), arithmetic=arguments.arithmetic)
    server = Server(load_program(arguments.program), backend)
    prepared = time.perf_counter()
    keys = server.open_keys(arguments.keys)
    loaded = time.perf_counter()
    runs: dict[int, list[float]] = {threads: [] for threads in arguments.threads}
    with tempfile.TemporaryDirectory() as folder:
        result = arguments.result or Path(folder, "result.he")
        for _ in range(arguments.repeats + 1):
            for threads in arguments.threads:  # in turn, so that a noisy moment hits all alike
                server.prepared.context.set_threads(threads)
                before = time.perf_counter()
                server.evaluate(arguments.query, keys, result)
                runs[threads].append(time.perf_counter() - before)
        result_bytes = result.stat().st_size
    report = {
        "arithmetic": server.prepared.context.arithmetic,
        "prepare_seconds": prepared - start,
        "load_keys_seconds": loaded - prepared,
        # The first run of each warms the pools and does not count.
        "evaluate_seconds": {threads: sorted(times[1:]) for threads, times in runs.items()},
        "evaluate_median_seconds": {threads: median(times[1:]) for threads, times in runs.items()},
        "result_bytes": result_bytes,
        "peak_memory_bytes": peak_memory(),
    }
    print(json.dumps(report))


if __name__ == "__main__":
    main()
