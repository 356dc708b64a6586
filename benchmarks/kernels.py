"""Every kernel beside the limit of this machine → benchmarks/results/kernels.json and a table.

    python benchmarks/kernels.py

Runs the Go benchmarks of native/kernels. A kernel's limit is the larger of the time that its products take at the
measured multiply rate, and the time that its reads take at the measured rate of the second-level cache. For the shipped
program the limits of all its kernels are summed up, with keys and diagonals read at the rate of the memory instead.
"""

import json
import re
import subprocess
from collections import Counter
from pathlib import Path

from heclstm.backend.prices import machine_name
from heclstm.circuit.operations import LinearTransform, Rescale, Rotate, SumOfProducts
from heclstm.program.files import load_program

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
        cache = (512 << 10) / times.pop("limit:_read_512_KiB")
        multiply = (1 << 20) / times.pop("limit:_2^20_products")
        rows = {}
        for kernel, spent in times.items():
            products, words = WORK[kernel]
            limit = max(products / multiply, 4 * words / cache)
            rows[kernel] = {"seconds": spent, "limit_seconds": limit, "over_limit": spent / limit}
            if kernel in lattigo:
                rows[kernel]["lattigo_over_ours"] = lattigo[kernel] / spent
        results[name] = {
            "memory_bytes_per_second": read,
            "cache_bytes_per_second": cache,
            "products_per_second": multiply,
            "kernels": rows,
        }
        results[name]["program"] = program_limit(results[name])
    report = {"processor": machine_name(), "ring_degree": N, "lattigo_seconds": lattigo, "sets": results}
    folder = ROOT / "benchmarks" / "results"
    folder.mkdir(exist_ok=True)
    (folder / "kernels.json").write_text(json.dumps(report, indent=1) + "\n")
    (folder / "kernels.md").write_text(table(report))
    print(table(report))


def program_limit(rates: dict) -> dict:
    """Kernel calls of one evaluation of the shipped program, their seconds and their limits, on one thread."""
    program = load_program(ROOT / "examples" / "adrenal" / "program").circuit
    special = len(program.parameters.special_moduli)
    calls: Counter[str] = Counter()
    streamed = 0  # bytes of keys and diagonals, which no cache holds from one use to the next

    def mod_down(limbs: int, polynomials: int) -> None:
        calls.update(intt=special * polynomials, split=polynomials)
        calls.update(dict.fromkeys(("join", "ntt", "subtract_scale"), limbs * polynomials))

    def decompose(limbs: int, digits: int) -> None:
        others = digits * (limbs + special) - limbs
        calls.update(intt=limbs, split=digits, join=others, ntt=others)

    def gadget(limbs: int, digits: int, gathers: bool = True) -> None:
        nonlocal streamed
        calls.update(dot2_of_3_digits=limbs + special, gather=2 * (limbs + special) if gathers else 0)
        streamed += 4 * N * 2 * digits * (limbs + special)

    for operation in program.operations:
        limbs, digits, units = operation.level + 1, program.parameters.digits_at(operation.level), operation.work()
        match operation:
            case LinearTransform():
                for _ in range(units["decomposition"]):
                    decompose(limbs, digits)
                for _ in range(units["baby"]):
                    gadget(limbs, digits)
                for _ in range(units["giant"]):
                    mod_down(limbs, 1)
                    decompose(limbs, digits)
                    gadget(limbs, digits)
                calls["dot2_of_8_diagonals"] += units["diagonal"] * (limbs + special) / 8
                streamed += operation.plan.vectors.size * 4 * (limbs + special)
                mod_down(limbs, 2 * units["closing"])
            case Rotate() | SumOfProducts():
                if isinstance(operation, SumOfProducts):
                    calls["tensor"] += limbs * len(operation.pairs)
                decompose(limbs, digits)
                gadget(limbs, digits, gathers=isinstance(operation, Rotate))
                mod_down(limbs, 2)
            case Rescale():
                calls.update(intt=2, **dict.fromkeys(("lift", "ntt", "subtract_scale"), 2 * limbs))
    names = {"split": "split_7_primes", "join": "join_7_primes"}
    rows = {kernel: rates["kernels"][names.get(kernel, kernel)] for kernel in calls}
    spent = sum(count * rows[kernel]["seconds"] for kernel, count in calls.items())
    limit = sum(count * rows[kernel]["limit_seconds"] for kernel, count in calls.items())
    memory = streamed / rates["memory_bytes_per_second"]
    return {"calls": dict(calls), "kernel_seconds": spent, "limit_seconds": limit, "memory_seconds": memory}


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
        f"{s['memory_bytes_per_second'] / 1e9:.0f}, {s['cache_bytes_per_second'] / 1e9:.0f} GB/s, "
        f"{s['products_per_second'] / 1e9:.0f}·10⁹/s"
        for s in report["sets"].values()
    ]
    lines.append("| *limits: memory, cache, products* | " + " | ".join(rates) + " | |")
    programs = [
        f"{s['program']['kernel_seconds']:.2f} s, limits {s['program']['limit_seconds']:.2f} s, "
        f"memory {s['program']['memory_seconds']:.2f} s"
        for s in report["sets"].values()
    ]
    lines.append("| *all kernels of the shipped program* | " + " | ".join(programs) + " | |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
