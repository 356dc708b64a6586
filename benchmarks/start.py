"""Making keys, and a server's start → benchmarks/results/start.json and a table.

    python benchmarks/start.py [PROGRAM] [--other OTHER_CHECKOUT]

Seconds from the start of a process to its first result: with nothing kept, with the client's evaluation.keys; then with
keys that were saved expanded and the program's prepared form on disk, as a server has it from its second start on. Then
the same with every limb held (`memory` without bound). Resident memory at its largest, and of it what is the process's
own (anonymous) and what is pages of the key file, which the system may drop. OTHER_CHECKOUT is an older build: its
keys are made for the same program, and served from evaluation.keys, which is all that it can.
"""

import argparse
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
REPEATS = 3


def keygen(program: Path, folder: Path) -> None:
    sys.path.insert(0, str(ROOT / "benchmarks"))
    import compare

    start = time.perf_counter(), time.process_time()
    compare.make_inputs(program, folder)
    print(json.dumps({"seconds": time.perf_counter() - start[0], "processor_seconds": time.process_time() - start[1]}))


def first_result(program: Path, query: Path, keys: Path, cache: str, memory: float, save: str) -> None:
    from heclstm.deploy.server import Server

    if hasattr(Server, "open_keys"):
        from heclstm.backend.cpu.backend import CpuBackend
        from heclstm.deploy.kept import load_kept

        kept = Path(cache) if cache else None  # as `heclstm run` and a worker of the service have it
        server = Server(load_kept(program, kept), CpuBackend(threads=2, memory=memory, cache=kept))
        opened = server.open_keys(keys)
        server.evaluate(query, opened, query.with_name("result.he"))
        if save:
            opened.save(save)
    else:
        from heclstm.circuit.files import load_description, load_program

        server = Server(load_program(program), load_description(program), threads=2)
        server.load_keys(keys)
        server.evaluate(query, query.with_name("result.he"))
    lines = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    names = {"peak_bytes": "VmHWM", "own_bytes": "RssAnon", "file_bytes": "RssFile"}
    print(json.dumps({name: int(lines[field].split()[0]) * 1024 for name, field in names.items()}))


def child(checkout: Path, *arguments: object) -> dict:
    environment = os.environ | {"PYTHONPATH": str(checkout / "src")}
    command = [sys.executable, str(Path(__file__).resolve()), *map(str, arguments)]
    start = time.perf_counter()
    done = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True)
    return {"wall": time.perf_counter() - start, **json.loads(done.stdout.splitlines()[-1])}


def starts(checkout: Path, program: Path, folder: Path, keys: Path, cache: str, memory: float, save: str = "") -> dict:
    found = [
        child(checkout, "--first", program, folder / "query.he", keys, cache, memory, save) for _ in range(REPEATS)
    ]
    return {"seconds": median(one["wall"] for one in found), "runs": [one["wall"] for one in found], **found[-1]}


def main() -> None:
    mode, *rest = sys.argv[1:] or [""]
    if mode == "--keys":
        return keygen(Path(rest[0]), Path(rest[1]))
    if mode == "--first":
        program, query, keys = map(Path, rest[:3])
        return first_result(program, query, keys, rest[3], float(rest[4]), rest[5])
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program", type=Path, nargs="?", default=ROOT / "examples" / "adrenal" / "program")
    parser.add_argument("--other", type=Path)
    options = parser.parse_args()
    report: dict = {"keys": {}, "starts": {}}
    with tempfile.TemporaryDirectory() as name:
        folder, cache = Path(name), str(Path(name, "prepared"))
        saved = folder / "expanded.keyset"
        for build, checkout in (("older build", options.other), ("this build", ROOT)):
            if checkout is None:
                continue
            program = options.program if checkout == ROOT else checkout / "examples" / "adrenal" / "program"
            own = folder / build.split()[0]
            own.mkdir()
            made = child(checkout, "--keys", program, own)
            report["keys"][build] = {**made, "bytes": (own / "evaluation.keys").stat().st_size}
            save = str(saved) if checkout == ROOT else ""
            report["starts"][f"{build}, from evaluation.keys"] = starts(
                checkout, program, own, own / "evaluation.keys", "", 1e9, save
            )
        own = folder / "this"
        starts(ROOT, options.program, own, saved, cache, 1e9)
        report["starts"]["this build, prepared and keys on disk"] = starts(
            ROOT, options.program, own, saved, cache, 1e9
        )
        report["starts"]["the same, memory without bound"] = starts(ROOT, options.program, own, saved, cache, 1e12)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "start.json").write_text(json.dumps(report, indent=1) + "\n")
    (RESULTS / "start.md").write_text(table(report))
    print(table(report))


def table(report: dict) -> str:
    lines = ["| keys and a query made by | MB | s | of the processor, s |", "|---|---|---|---|"]
    for build, row in report["keys"].items():
        lines.append(f"| {build} | {row['bytes'] / 1e6:.0f} | {row['seconds']:.2f} | {row['processor_seconds']:.2f} |")
    lines += [
        "\n| process start to first result | s | largest resident, MB | own | of files |",
        "|---|---|---|---|---|",
    ]
    for name, row in report["starts"].items():
        sizes = " | ".join(f"{row[field] / 1e6:.0f}" for field in ("peak_bytes", "own_bytes", "file_bytes"))
        lines.append(f"| {name} | {row['seconds']:.2f} | {sizes} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
