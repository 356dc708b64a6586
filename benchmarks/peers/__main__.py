"""The same networks by heclstm, Orion and TenSEAL → benchmarks/results/peers.json and a table.

    python -m venv peers && peers/bin/pip install orion-fhe==1.0.2 tenseal==0.3.18      (PyTorch comes along: 5 GB)
    PYTHONPATH=. .venv/bin/python -m benchmarks.peers peers/bin/python [--networks mnist lola encoder]

Networks that are not named stay as they were measured.

One process a library and network, one after another on the same cores, 128 bits by the Homomorphic Encryption
Standard's table for all; medians of five evaluations after one that is not counted, on one image that is encrypted
already. Each answer is compared with the network in clear, and a wrong one ends it. Memory is the most that a process
had resident, with keys, program and its own compiler and imports (PyTorch in Orion's). Both peers take the threads that
they take; ours are those of the machine, and one for comparison.
"""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

from benchmarks.peers.networks import NETWORKS

from heclstm.backend.machine import cores
from heclstm.backend.prices import machine_name

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "benchmarks" / "results"
PEERS = [("orion",), ("tenseal", "tutorial"), ("tenseal", "precise")]
VERSIONS = "import importlib.metadata as m; print(m.version('orion-fhe'), m.version('tenseal'))"


def measured(python: str, *arguments: str) -> dict:
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"}
    command = [python, "-m", *arguments]
    done = subprocess.run(command, cwd=ROOT, env=environment, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout.splitlines()[-1])


COLUMNS = {
    "ring": lambda row, ours: f"{row['ring_degree']}",
    "levels": lambda row, ours: f"{row['levels']}",
    "evaluation, s": lambda row, ours: f"{row['seconds']:.3f}",
    "over ours": lambda row, ours: f"{row['seconds'] / ours['seconds']:.1f}",
    "processor, s": lambda row, ours: f"{row['processor_seconds']:.3f}",
    "of the processor, over ours": lambda row, ours: f"{row['processor_seconds'] / ours['processor_seconds']:.1f}",
    "memory, MB": lambda row, ours: f"{row['memory_bytes'] / 1e6:.0f}",
    "keys, MB": lambda row, ours: f"{row['keys_bytes'] / 1e6:.0f}" if "keys_bytes" in row else "",
    "query, kB": lambda row, ours: f"{row['query_bytes'] / 1e3:.0f}" if "query_bytes" in row else "",
    "error": lambda row, ours: f"{row['error']:.1e}",
}


def table(report: dict) -> str:
    lines = [["network", "by", *COLUMNS], ["---"] * (2 + len(COLUMNS))]
    for name, rows in report["networks"].items():
        for library, row in rows.items():
            title = NETWORKS[name].title if library == "heclstm" else ""
            lines.append([title, library, *(tell(row, rows["heclstm"]) for tell in COLUMNS.values())])
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("python", help="an interpreter that has orion-fhe and tenseal")
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, default=list(NETWORKS))
    options, known = parser.parse_args(), RESULTS / "peers.json"
    orion, tenseal = subprocess.check_output([options.python, "-c", VERSIONS], text=True).split()
    report = {
        **{"processor": machine_name(), "cores": cores(), "versions": {"orion-fhe": orion, "tenseal": tenseal}},
        "networks": {name: {} for name in options.networks},
    }
    for name, rows in report["networks"].items():
        for threads in (cores(), 1):
            title = "heclstm" if threads == cores() else "heclstm, one thread"
            rows[title] = measured(sys.executable, "benchmarks.peers.ours", name, str(threads))
        for library, *more in (peer for peer in PEERS if peer[0] in NETWORKS[name].by):
            rows[" ".join([library, *more])] = measured(options.python, f"benchmarks.peers.{library}", name, *more)
    if known.exists() and (before := json.loads(known.read_text()))["processor"] == report["processor"]:
        report["networks"] = {**before["networks"], **report["networks"]}
    known.write_text(json.dumps(report, indent=1) + "\n")
    (RESULTS / "peers.md").write_text(table(report))
    print(table(report))


if __name__ == "__main__":
    main()
