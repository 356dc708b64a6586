"""Every kernel beside the limit of this machine → benchmarks/results/kernels.json and a table.

    python benchmarks/kernels.py

Runs the Go benchmarks of native/kernels. A kernel's limit is the larger of the time that its products take at the
measured multiply rate, and the time that its reads take at the measured memory rate (as if nothing were in cache).
"""

import json
import re
import subprocess
from pathlib import Path

from heclstm.backend.primitives import machine_name

ROOT = Path(__file__).parents[1]
N = 1 << 15
LOG_N = 15
# 32×32-bit products and 4-byte words read for one limb of N values. A butterfly takes 3 products (two for the
# quotient's high half count as one full product of the probe), a reduction 5 for each of two 64-bit halves of a pair.
WORK = {
    "ntt": (3 * N // 2 * LOG_N, N),
    "intt": (3 * N // 2 * LOG_N + 3 * N, N),
    "dot2_of_8_diagonals": ((2 * 8 + 2 * 5) * N, 3 * 8 * N),
    "dot2_of_3_digits": ((2 * 3 + 2 * 5) * N, 3 * 3 * N),
    "tensor": ((4 + 3 * 5) * N, 4 * N),
    "split_7_primes": (7 * 4 * N, 7 * N),
    "join_7_primes": ((8 + 5) * N, 8 * N),
    "gather": (0, 2 * N),
    "subtract_scale": (3 * N, 2 * N),
    "lift": (2 * N, N),
}


def main() -> None:
    command = ["go", "test", "-run=-", "-bench=.", "-benchtime=300ms", "./kernels"]
    done = subprocess.run(command, cwd=ROOT / "native", check=True, capture_output=True, text=True)
    seconds: dict[str, dict[str, float]] = {}
    for name, kernel, nanoseconds in re.findall(
        r"^BenchmarkKernels/(\w+)/(\S+?)(?:-\d+)?\s+\d+\s+([\d.]+) ns/op", done.stdout, re.M
    ):
        seconds.setdefault(name, {})[kernel] = float(nanoseconds) * 1e-9
    lattigo = seconds.pop("lattigo")
    results = {}
    for name, times in seconds.items():
        read = (256 << 20) / times.pop("limit:_read_256_MiB")
        multiply = (1 << 20) / times.pop("limit:_2^20_products")
        rows = {}
        for kernel, spent in times.items():
            products, words = WORK[kernel]
            limit = max(products / multiply, 4 * words / read)
            rows[kernel] = {"seconds": spent, "limit_seconds": limit, "over_limit": spent / limit}
            if kernel in lattigo:
                rows[kernel]["lattigo_over_ours"] = lattigo[kernel] / spent
        results[name] = {"bytes_per_second": read, "products_per_second": multiply, "kernels": rows}
    report = {"processor": machine_name(), "ring_degree": N, "lattigo_seconds": lattigo, "sets": results}
    folder = ROOT / "benchmarks" / "results"
    folder.mkdir(exist_ok=True)
    (folder / "kernels.json").write_text(json.dumps(report, indent=1) + "\n")
    (folder / "kernels.md").write_text(table(report))
    print(table(report))


def table(report: dict) -> str:
    names = list(report["sets"])
    lines = [
        "| kernel, one limb of 2^15, 1 thread | "
        + " | ".join(f"{n}, µs (over its limit)" for n in names)
        + " | Lattigo, µs |"
    ]
    lines.append("|---" * (len(names) + 2) + "|")
    for kernel in WORK:
        cells = []
        for name in names:
            row = report["sets"][name]["kernels"][kernel]
            cells.append(f"{1e6 * row['seconds']:.1f} ({row['over_limit']:.1f})")
        theirs = report["lattigo_seconds"].get(kernel)
        cells.append(f"{1e6 * theirs:.0f}" if theirs else "")
        lines.append(f"| {kernel.replace('_', ' ')} | " + " | ".join(cells) + " |")
    rates = [
        f"{s['bytes_per_second'] / 1e9:.0f} GB/s, {s['products_per_second'] / 1e9:.0f}·10⁹ products/s"
        for s in report["sets"].values()
    ]
    lines.append("| *limits: memory, multiplier* | " + " | ".join(rates) + " | |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
