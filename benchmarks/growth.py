"""Whether a server's memory grows → benchmarks/results/growth.json and a table.

    python benchmarks/growth.py [--evaluations 2000]

One process, a small program on the real engine, key sets of many hospitals that come and go: seeded ones are expanded,
saved ones are mapped, one in ten is damaged and refused, and each evaluation takes one of up to four that are open. Its
resident memory is looked at ten times; Exit code 1 if the second half of the run ever takes more than the first half's
largest by 2 %, or if the engine's own count of bytes differs between the rounds' ends.
"""

import argparse
import gc
import json
import sys
import tempfile
from pathlib import Path
from random import Random

import numpy as np

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results"
GROWTH_MAX = 1.02
OPEN_MAX = 4


def resident() -> int:
    fields = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(fields["VmRSS"].split()[0]) * 1024


def hospitals(program, folder: Path, count: int) -> list[tuple[Path, Path, bytes]]:
    """(evaluation.keys, the same expanded, a query) of each."""
    from heclstm.data.sequence import ImageSequence
    from heclstm.deploy.client import Client
    from heclstm.deploy.server import Server

    made = []
    with Server(program) as server:
        for number in range(count):
            with Client(program.card, allow_insecure=True) as client:
                keys = client.generate_keys(folder / str(number))
                layout = program.card.input_layout
                shape = (layout.frames, layout.channels, layout.height, layout.width)
                frames = np.random.default_rng(number).random(shape, dtype=np.float32)
                query = bytes(client.encrypt(ImageSequence(frames), override_envelope="random"))
            with server.open_keys(keys) as opened:
                opened.save(keys.with_name("expanded.keyset"))
            made.append((keys, keys.with_name("expanded.keyset"), query))
    return made


def run(evaluations: int, looks: int = 10) -> dict:
    from heclstm.compiler.compile import Options, compile_model
    from heclstm.deploy.server import Server
    from heclstm.errors import FileFormatError

    sys.path.insert(0, str(ROOT / "tests"))
    from random_models import random_model, small_config

    program = compile_model(random_model(small_config(), 0), Options(ring_degree=2048, security="INSECURE_TEST"))
    draw, rows = Random(0), []
    opened_sets = refused = 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        known = hospitals(program, folder, 6)
        damaged = folder / "damaged.keys"
        damaged.write_bytes(known[0][0].read_bytes()[:-5])
        with Server(program) as server:
            context = server.prepared.context
            tenants: list = []
            for number in range(evaluations):
                if len(tenants) < 2 or draw.random() < 0.3:
                    if len(tenants) == OPEN_MAX:
                        tenants.pop(draw.randrange(OPEN_MAX))[0].close()
                    seeded, expanded, query = draw.choice(known)
                    tenants.append((server.open_keys(draw.choice((seeded, expanded))), query))
                    opened_sets += 1
                if draw.random() < 0.1:
                    try:
                        server.open_keys(damaged)
                    except FileFormatError:
                        refused += 1
                keys, query = draw.choice(tenants)
                server.evaluate(query, keys)
                if (number + 1) % (evaluations // looks) == 0:
                    for tenant, _ in tenants:
                        tenant.close()
                    tenants.clear()
                    gc.collect()
                    rows.append(
                        {
                            "evaluations": number + 1,
                            "resident_bytes": resident(),
                            "native_bytes": context.allocated_bytes,
                        }
                    )
    return {"evaluations": evaluations, "key_sets_opened": opened_sets, "key_files_refused": refused, "rows": rows}


def grew(report: dict) -> bool:
    rows = report["rows"]
    first, second = rows[: len(rows) // 2], rows[len(rows) // 2 :]
    largest = [max(row["resident_bytes"] for row in half) for half in (first, second)]
    native = [max(row["native_bytes"] for row in half) for half in (first, second)]
    return largest[1] > GROWTH_MAX * largest[0] or native[1] > GROWTH_MAX * native[0]


def table(report: dict) -> str:
    lines = [
        f"{report['evaluations']} evaluations, {report['key_sets_opened']} key sets opened and closed, "
        f"{report['key_files_refused']} refused.\n",
        "| evaluations | process, MB | engine, MB |",
        "|---|---|---|",
    ]
    for row in report["rows"]:
        lines.append(f"| {row['evaluations']} | {row['resident_bytes'] / 1e6:.1f} | {row['native_bytes'] / 1e6:.2f} |")
    return "\n".join(lines) + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--evaluations", type=int, default=2000)
    report = run(parser.parse_args().evaluations)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "growth.json").write_text(json.dumps(report, indent=1) + "\n")
    (RESULTS / "growth.md").write_text(table(report))
    print(table(report))
    return int(grew(report))


if __name__ == "__main__":
    sys.exit(main())
