"""Two builds of heclstm beside each other: the same program, keys and query, evaluated in turn, A B A B …

    python benchmarks/compare.py OTHER_CHECKOUT [--repeats 20] [--threads 1 2] [--arithmetic auto] [--program PROGRAM/]
        [--output compare.json]

OTHER_CHECKOUT is a checkout of an older commit with its library built; it makes the keys and the query, so that their
files are those of the older release. Each build gets a process of its own, and the two take turns within the same
seconds, so that what else the machine does hits both alike. Prints medians and their ratio as a table, and writes
benchmarks/results/compare.json, or where --output says. Exit code 1 if a ratio exceeds --limit.

With --program PROGRAM/ the new build runs that program, with its own keys, beside the other build's: what a
compiler's choices cost and save. Bytes of keys are told then, results are not compared.
"""

import argparse
import inspect
import json
import os
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from statistics import median

ROOT = Path(__file__).parents[1]
PROGRAM = Path("examples", "adrenal", "program")


def start(checkout: Path, *arguments: object) -> subprocess.Popen:
    """This script in a process that imports the heclstm of that checkout."""
    environment = os.environ | {"PYTHONPATH": str(checkout / "src")}
    command = [sys.executable, str(Path(__file__).resolve()), *map(str, arguments)]
    return subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def make_inputs(program: Path, folder: Path) -> None:
    """Keys and a query of random pixels, by whichever heclstm is imported here."""
    import numpy as np

    from heclstm.data.sequence import ImageSequence
    from heclstm.deploy.client import Client

    try:
        from heclstm.program.files import load_card
    except ImportError:  # before cards
        from heclstm.circuit.files import load_description as load_card

    card = load_card(program)
    client = Client(card)
    client.generate_keys(folder)
    layout = card.input_layout
    shape = (layout.frames, layout.channels, layout.height, layout.width)
    frames = np.random.default_rng(0).random(shape, dtype=np.float32) * 0.5
    known = inspect.signature(client.encrypt).parameters  # of builds from before there were envelopes, too
    options = {"override_envelope": "random"} if "override_envelope" in known else {}
    client.encrypt(ImageSequence(frames, "random"), folder / "query.he", **options)
    client.close()


def serve(program: Path, folder: Path, arithmetic: str) -> None:
    """Answers a number of threads on stdin with the seconds of one evaluation: the clock's, and the processor's."""
    from heclstm.deploy.server import Server

    query, result = folder / "query.he", folder / f"result-{os.getpid()}.he"
    keys = folder / "evaluation.keys"
    if hasattr(Server, "open_keys"):
        from heclstm.backend.cpu.backend import CpuBackend
        from heclstm.program.files import load_program

        server = Server(load_program(program), CpuBackend(threads=2, arithmetic=arithmetic))
        evaluate = partial(server.evaluate, query, server.open_keys(keys), result)
        set_threads = server.prepared.context.set_threads
    else:  # version 0.1 at 1e9d999, before key sets were apart from contexts
        from heclstm.circuit.files import load_description, load_program

        server = Server(load_program(program), load_description(program), threads=2, arithmetic=arithmetic)
        server.load_keys(keys)
        evaluate = partial(server.evaluate, query, result)
        set_threads = server.engine.set_threads
    print("ready", flush=True)
    for line in sys.stdin:
        set_threads(int(line))
        before = time.perf_counter(), time.process_time()
        evaluate()
        print(time.perf_counter() - before[0], time.process_time() - before[1], flush=True)


def make(checkout: Path, program: Path, folder: Path) -> int:
    """Bytes of the keys made."""
    folder.mkdir(exist_ok=True)
    if start(checkout, "--make", program, folder).wait():
        raise SystemExit(f"{checkout}: keys could not be made; is its library built?")
    return (folder / "evaluation.keys").stat().st_size


def compare(other: Path, repeats: int, threads: list[int], arithmetic: str, own: Path | None) -> dict:
    with tempfile.TemporaryDirectory() as name:
        folder, program = Path(name), other / PROGRAM
        key_bytes = {"old": make(other, program, folder)}
        servers = {"old": start(other, "--serve", program, folder, arithmetic)}
        servers["old"].stdout.readline()  # one after another, or their peaks would add up
        if own:
            key_bytes["new"] = make(ROOT, own, folder / "own")
        served = (own, folder / "own") if own else (program, folder)
        servers["new"] = start(ROOT, "--serve", *served, arithmetic)
        servers["new"].stdout.readline()
        seconds: dict = {count: {"old": [], "new": []} for count in threads}
        processor: dict = {count: {"old": [], "new": []} for count in threads}
        for round_number in range(repeats + 1):  # the first warms up and does not count
            for count in threads:
                order = list(servers) if round_number % 2 else list(servers)[::-1]
                for build in order:
                    servers[build].stdin.write(f"{count}\n")
                    servers[build].stdin.flush()
                    clock, busy = map(float, servers[build].stdout.readline().split())
                    if round_number:
                        seconds[count][build].append(clock)
                        processor[count][build].append(busy)
        results = {path.read_bytes() for path in folder.rglob("result-*.he")}
        for server in servers.values():
            server.stdin.close()
            server.wait()
    report: dict = {"arithmetic": arithmetic, "repeats": repeats, "key_bytes": key_bytes, "threads": {}}
    report["same_bytes"] = None if own else len(results) == 1
    for count, times in seconds.items():
        medians = {build: median(values) for build, values in times.items()}
        # Each pair ran within the same seconds: the median of their ratios is steadier than the ratio of medians.
        pairs = median(new / old for new, old in zip(times["new"], times["old"], strict=True))
        # On a busy machine the processor's own seconds say more than the clock's.
        busy = {build: median(values) for build, values in processor[count].items()}
        report["threads"][count] = {
            "old_median": medians["old"],
            "new_median": medians["new"],
            "ratio": medians["new"] / medians["old"],
            "ratio_of_pairs": pairs,
            "processor_ratio": busy["new"] / busy["old"],
        }
    return report


def main() -> int:
    if sys.argv[1:2] == ["--make"]:
        make_inputs(Path(sys.argv[2]), Path(sys.argv[3]))
        return 0
    if sys.argv[1:2] == ["--serve"]:
        serve(Path(sys.argv[2]), Path(sys.argv[3]), sys.argv[4])
        return 0
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("other", type=Path)
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--arithmetic", default="auto")
    parser.add_argument("--limit", type=float, default=1.02)
    parser.add_argument("--program", type=Path)
    parser.add_argument("--output", default="compare.json", help="file in benchmarks/results/")
    options = parser.parse_args()
    report = compare(options.other.resolve(), options.repeats, options.threads, options.arithmetic, options.program)
    (ROOT / "benchmarks" / "results" / options.output).write_text(json.dumps(report, indent=1) + "\n")
    print("| threads | old, s | new, s | new over old | median of pairs | processor |\n|---|---|---|---|---|---|")
    for count, row in report["threads"].items():
        medians = f"{row['old_median']:.3f} | {row['new_median']:.3f}"
        ratios = " | ".join(f"{row[name]:.3f}" for name in ("ratio", "ratio_of_pairs", "processor_ratio"))
        print(f"| {count} | {medians} | {ratios} |")
    print("\nkeys: " + ", ".join(f"{build} {size / 1e6:.0f} MB" for build, size in report["key_bytes"].items()))
    if report["same_bytes"] is not None:
        print(f"results are {'the same bytes' if report['same_bytes'] else 'DIFFERENT'}")
    slow = any(row["ratio"] > options.limit for row in report["threads"].values())
    return int(slow or report["same_bytes"] is False)


if __name__ == "__main__":
    sys.exit(main())
