"""What each tenant of a server takes → benchmarks/results/tenants.json and a table.

    python benchmarks/tenants.py [PROGRAM] [--tenants 2]

One process: the program is prepared once, then tenant after tenant brings keys and has one query evaluated. After
each step it counts the memory of the engine (native bytes, exact) and of the process (resident, with and without the
pages of mapped files). Then the same with key sets that were saved expanded and are mapped, and, in turn, what an
evaluation takes after they rested, or were opened anew, beside one whose keys stayed. The claim that it checks: when
no query is under way, two tenants take one program and two key sets, to the byte. Exit code 1 if not.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from heclstm.backend.cpu.backend import CpuBackend
from heclstm.backend.prices import machine_name
from heclstm.data.sequence import ImageSequence
from heclstm.deploy.client import Client
from heclstm.deploy.keys import EVALUATION_KEYS_FILE
from heclstm.deploy.server import Server, TenantKeys
from heclstm.program.files import load_card, load_program

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results"
ROUNDS = 12
REST_SECONDS = 4.0  # until what lies idle has gone back to the system (patience in native/context.go)


def make_hospital(program: Path, folder: Path) -> None:
    """Keys and a query, in a process of its own, which takes its memory along when it ends."""
    client = Client(load_card(program))
    client.generate_keys(folder)
    layout = client.card.input_layout
    shape = (layout.frames, layout.channels, layout.height, layout.width)
    frames = np.random.default_rng(0).random(shape, dtype=np.float32) / 2
    client.encrypt(ImageSequence(frames), folder / "query.he", override_envelope="random")
    client.close()


def resident() -> dict[str, int]:
    lines = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    anonymous, mapped = (int(lines[name].split()[0]) * 1024 for name in ("RssAnon", "RssFile"))
    return {"resident_bytes": anonymous, "resident_files_bytes": mapped}


def measure(program: Path, folders: list[Path], names: list[str]) -> list[dict]:
    """names: of each tenant's key file. One row after the imports, one for the program, one for each tenant."""
    rows: list[dict] = []

    def note(step: str, seconds: float, **more: float) -> None:
        rows.append({"step": step, "seconds": seconds, **resident(), **more})

    note("imports", 0.0)
    start = time.perf_counter()
    server = Server(load_program(program), CpuBackend(threads=2))
    context = server.prepared.context
    spent = time.perf_counter() - start
    note("program", spent, native_bytes=context.allocated_bytes, own_bytes=server.prepared.bytes_in_memory)
    tenants = []
    for number, (folder, name) in enumerate(zip(folders, names, strict=True), start=1):
        start = time.perf_counter()
        tenants.append(server.open_keys(folder / name))
        spent = time.perf_counter() - start
        server.evaluate(folder / "query.he", tenants[-1], folder / "result.he")
        own = tenants[-1].bytes_in_memory
        note(f"tenant {number}", spent, native_bytes=context.allocated_bytes, own_bytes=own)
        if name == EVALUATION_KEYS_FILE:
            tenants[-1].save(folder / "expanded.keyset")
    time.sleep(REST_SECONDS)
    note("at rest", 0.0, native_bytes=context.allocated_bytes)
    if name != EVALUATION_KEYS_FILE:
        tenants[0], found = in_turn(server, tenants[0], folders[0], name)
        for tenant in tenants:
            tenant.rest()
        time.sleep(REST_SECONDS)
        note("keys at rest, too", 0.0, native_bytes=context.allocated_bytes, **found)
    for tenant in tenants:
        tenant.close()
    note("tenants closed", 0.0, native_bytes=context.allocated_bytes)
    server.close()
    return rows


def in_turn(server: Server, tenant: TenantKeys, folder: Path, name: str) -> tuple[TenantKeys, dict]:
    """The tenant as it was opened last, and how long an evaluation takes after its keys rested, or were opened anew, as
    a multiple of one after which they stayed; medians.
    """

    def evaluated() -> float:
        start = time.perf_counter()
        server.evaluate(folder / "query.he", tenant, folder / "result.he")
        return time.perf_counter() - start

    ratios: list[tuple[float, float]] = []
    for _ in range(ROUNDS):
        stayed = evaluated()
        tenant.rest()
        rested = evaluated()
        tenant.close()
        tenant = server.open_keys(folder / name)
        ratios.append((rested / stayed, evaluated() / stayed))
    rested, opened = map(statistics.median, zip(*ratios, strict=True))
    return tenant, {"rounds": ROUNDS, "after_rest": rested, "after_opening": opened}


def child(*arguments: object) -> str:
    command = [sys.executable, __file__, *map(str, arguments)]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def table(report: dict) -> str:
    lines = ["| | native, MB | process, MB | of mapped files, MB | s |", "|---|---|---|---|---|"]
    for kind, rows in report["runs"].items():
        for row in rows:
            native = f"{row['native_bytes'] / 1e6:.0f}" if "native_bytes" in row else ""
            process = f"{row['resident_bytes'] / 1e6:.0f} | {row['resident_files_bytes'] / 1e6:.0f}"
            lines.append(f"| {row['step']} ({kind}) | {native} | {process} | {row['seconds']:.3f} |")
    for row in report["runs"]["mapped keys"]:
        if "rounds" in row:
            lines.append(
                f"\nAfter mapped keys rested, an evaluation takes {row['after_rest']:.2f} of one whose keys stayed, "
                f"after they were opened anew {row['after_opening']:.2f}: {row['rounds']} in turn."
            )
    claim = report["claim"]
    lines.append(
        f"\nAt rest {claim['tenants']} tenants take {claim['native_bytes'] / 1e6:.0f} MB native, {claim['ratio']:.3f} "
        f"of one program and {claim['tenants']} key sets ({claim['program_and_key_sets_bytes'] / 1e6:.0f} MB); right "
        f"after an evaluation {claim['idle_bytes'] / 1e6:.0f} MB more, which wait for the next."
    )
    return "\n".join(lines) + "\n"


def main() -> int:
    if sys.argv[1:2] == ["--hospital"]:
        make_hospital(Path(sys.argv[2]), Path(sys.argv[3]))
        return 0
    if sys.argv[1:2] == ["--measure"]:
        program, name, *folders = sys.argv[2:]
        print(json.dumps(measure(Path(program), [Path(folder) for folder in folders], [name] * len(folders))))
        return 0
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program", type=Path, nargs="?", default=ROOT / "examples" / "adrenal" / "program")
    parser.add_argument("--tenants", type=int, default=2)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folders = [Path(temporary, str(number)) for number in range(options.tenants)]
        for folder in folders:
            folder.mkdir()
            child("--hospital", options.program, folder)
        runs = {
            kind: json.loads(child("--measure", options.program, name, *folders))
            for kind, name in (("seeded keys", EVALUATION_KEYS_FILE), ("mapped keys", "expanded.keyset"))
        }
        sizes = {name: (folders[0] / name).stat().st_size for name in (EVALUATION_KEYS_FILE, "expanded.keyset")}
    _, program, *tenants, rest, closed = runs["seeded keys"]
    expected = program["own_bytes"] + sum(row["own_bytes"] for row in tenants)
    claim = {
        "tenants": options.tenants,
        "native_bytes": rest["native_bytes"],
        "program_and_key_sets_bytes": expected,
        "ratio": rest["native_bytes"] / expected,
        "idle_bytes": tenants[-1]["native_bytes"] - rest["native_bytes"],
        "after_closing_bytes": closed["native_bytes"],
    }
    report = {"processor": machine_name(), "file_bytes": sizes, "runs": runs, "claim": claim}
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "tenants.json").write_text(json.dumps(report, indent=1) + "\n")
    (RESULTS / "tenants.md").write_text(table(report))
    print(table(report))
    return int(claim["native_bytes"] != expected)


if __name__ == "__main__":
    sys.exit(main())
