"""The service on the shipped 128-bit program: requests, sequences an hour, what it costs over the bare evaluation,
memory by tenants, uploads against nginx, from start to the first result. Writes results/service.{json,md}.

PYTHONPATH=src:tests python -m benchmarks.service [--tenants 1 4 16] [--queries 8] [--only upload start] [--quiet .1]
"""

import argparse
import json
import os
import subprocess
import tempfile
import time
from itertools import count
from pathlib import Path
from statistics import median

import trustme
from benchmarks.service_kit import (
    MIB,
    Bare,
    Busy,
    Peak,
    curl_put,
    hospital_of,
    memory_of,
    nginx,
    processor_seconds,
    quiet_runs,
    requests_per_second,
    serving,
    tenants_of,
)

from heclstm.backend.prices import machine_name
from service.kit import Remote, expect, wait_until

ROOT = Path(__file__).parents[1]
PROGRAM, IMAGES = ROOT / "examples" / "adrenal" / "program", ROOT / "examples" / "adrenal" / "volumes.npz"
ROUNDS = 6  # of batches beside the bare evaluation
ROUTES = {"healthz": "/healthz", "programs": "/v1/programs", "job": "/v1/jobs/{job}"}
IDLE_SECONDS = 5.0  # until memory is given back that lies idle
PARTS = ("requests", "cost", "memory", "upload", "start")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tenants", type=int, nargs="+", default=[1, 4, 16])
    parser.add_argument("--queries", type=int, default=8, help="of a batch")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument(
        "--quiet", type=float, default=1.0, help="uploads and starts count if others took less of the cores"
    )
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--output", type=Path, default=ROOT / "benchmarks" / "results" / "service.json")
    arguments = parser.parse_args()
    report = {"machine": machine_name(), "threads": arguments.threads}
    if arguments.output.exists():
        known = json.loads(arguments.output.read_text())
        report |= {part: known[part] for part in PARTS if "commit" in known.get(part, {})}
    with tempfile.TemporaryDirectory(prefix="heclstm-service-") as place:
        folder = Path(place)
        hospital = hospital_of(folder, PROGRAM, IMAGES)
        tls, authority = certificates(folder)
        tree = commit()  # before the first result is written into it
        for part in arguments.only:
            # load, of others: above 0, seconds are too many and rates too low
            when = {"date": time.strftime("%Y-%m-%d"), "commit": tree, "load": os.getloadavg()[1]}
            report[part] = {**globals()[part](folder, hospital, tls, authority, arguments), **when}
            print(part, json.dumps(report[part]), flush=True)
            arguments.output.write_text(json.dumps(report, indent=1) + "\n")  # after each: it may be stopped
            arguments.output.with_suffix(".md").write_text(table(report))


def commit() -> str:
    command = ["git", "describe", "--always", "--dirty"]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True).stdout.strip()


def certificates(folder: Path):
    authority = trustme.CA()
    issued = authority.issue_cert("127.0.0.1", "localhost")
    issued.private_key_pem.write_to_path(str(folder / "server.key"))
    issued.cert_chain_pems[0].write_to_path(str(folder / "server.pem"))
    authority.cert_pem.write_to_path(str(folder / "authority.pem"))
    return {"certificate": str(folder / "server.pem"), "key": str(folder / "server.key")}, folder / "authority.pem"


def settings(arguments, **more) -> dict:
    return {"evaluation": {"threads": arguments.threads, "memory_bytes": 40 << 30, **more}}


def requests(folder, hospital, tls, authority, arguments) -> dict:
    """Routes that evaluate nothing, without TLS."""
    place = folder / "requests"
    place.mkdir()
    with serving(place, PROGRAM, **settings(arguments)) as server:
        tenant = tenants_of(server, hospital, 1, expect)[0]
        job = expect(tenant.post(hospital.queries[0]), 202).json()["id"]
        tenant.ended(job)
        token = tenant.http.headers["authorization"].partition(" ")[2]
        return {
            name: round(requests_per_second(server, path.format(job=job), token, 5)) for name, path in ROUTES.items()
        }


def cost(folder, hospital, tls, authority, arguments) -> dict:
    """One worker with all threads against the bare evaluation: in turn, since a machine's pace changes by the minute; a
    batch, and queries one by one.
    """
    place = folder / "cost"
    place.mkdir()
    size, rounds = arguments.queries, []
    body = b"".join(hospital.queries[number % 8] for number in range(size))
    with (
        Bare(PROGRAM, hospital, arguments.threads) as bare,
        serving(place, PROGRAM, tls, authority, **settings(arguments)) as server,
    ):
        tenant = tenants_of(server, hospital, 1, expect)[0]

        def served(content: bytes) -> float:
            begin = time.perf_counter()
            job = expect(tenant.post(content, key=f"{begin}"), 202).json()["id"]
            tenant.ended(job, 600)
            tenant.result(job)
            return time.perf_counter() - begin

        bare.evaluate(2), served(hospital.queries[0])
        for _ in range(ROUNDS):
            alone, processor = bare.evaluate(size)
            before = processor_seconds(server)
            batch = served(body) / size
            spent = (processor_seconds(server) - before) / size
            single = median(served(hospital.queries[number % 8]) for number in range(size // 2))
            rounds.append((alone, processor, batch, spent, single, batch / alone, spent / processor, single / alone))
    alone, processor, batch, spent, single, *ratios = map(median, zip(*rounds, strict=True))
    return {
        "bare_seconds": alone,
        "batch_seconds_each": batch,
        "single_seconds": single,
        "sequences_an_hour": round(3600 / batch),
        "bare_processor_seconds": processor,
        "batch_processor_seconds_each": spent,
        "cost_of_batch": ratios[0] - 1,
        "cost_in_processor_seconds": ratios[1] - 1,
        "cost_of_single": ratios[2] - 1,
        "costs_of_batches": [each[5] - 1 for each in rounds],
    }


def memory(folder, hospital, tls, authority, arguments) -> dict:
    """MiB of all processes, while tenants bring keys and have a result each, and when all have hung up and been idle
    for a while. Key sets on disk are kept by the system beside, as long as it has room.
    """
    place, found = folder / "memory", {}
    place.mkdir()
    with serving(place, PROGRAM, tls, authority, **settings(arguments, key_sets=64)) as server:
        for count in sorted(arguments.tenants):
            with Peak(server) as peak:
                for number, tenant in enumerate(tenants_of(server, hospital, count, expect)):
                    job = expect(tenant.post(hospital.queries[0], key=f"{count}-{number}"), 202).json()["id"]
                    tenant.ended(job, 300)
                    tenant.http.close()
            time.sleep(IDLE_SECONDS)
            found[count] = {"peak": peak.bytes / MIB, "rest": memory_of(server)}
    from heclstm.circuit.cost import estimate
    from heclstm.program.files import load_program

    return {"tenants": found, "key_set": estimate(load_program(PROGRAM).circuit).key_memory / MIB}


def upload(folder, hospital, tls, authority, arguments) -> dict:
    """MB/s of evaluation.keys over TLS by curl until all bytes were taken, and until they are expanded and ready; the
    same bytes to nginx, until all were taken.
    """
    place, file = folder / "upload", hospital.folder / "evaluation.keys"
    place.mkdir()
    size, numbers = file.stat().st_size / 1e6, count()
    with serving(place, PROGRAM, tls, authority, **settings(arguments)) as server, nginx(place, tls) as other:

        def to_both():
            number = next(numbers)
            token, path = server.token(f"tenant-{number}"), f"/v1/keys/{hospital.label}"
            with Busy() as first:
                theirs = size / curl_put(f"{other}/keys-{number}", file, authority)
            begin = time.perf_counter()
            with Busy() as second:
                taken = size / curl_put(f"{server.url}{path}", file, authority, token)
            wait_until(lambda: _state(server, path, token) == "ready", 300)
            ready = size / (time.perf_counter() - begin)
            with server.http(token) as client:  # a disk has room for some of them only
                client.delete(path)
            (place / "nginx" / "files" / f"keys-{number}").unlink()
            return max(first.others, second.others), (theirs, taken, ready)

        runs, others = quiet_runs(to_both, 5, arguments.quiet)
    theirs, taken, ready = map(median, zip(*runs, strict=True))
    found = {"service_mb_s": taken, "ready_mb_s": ready, "nginx_mb_s": theirs}
    return {**found, "ratio": taken / theirs, "others": others}


def _state(server, path: str, token: str) -> str:
    with server.http(token) as client:
        return client.get(path).json()["state"]


def start(folder, hospital, tls, authority, arguments) -> dict:
    """From starting the process to a result on the client's side, for a tenant whose keys are stored."""
    place = folder / "start"
    place.mkdir()
    with serving(place, PROGRAM, tls, authority, **settings(arguments)) as server:
        tenants_of(server, hospital, 1, expect)
        token = server.token("tenant-0")

        def started():
            server.stop()
            begin = time.perf_counter()
            with Busy() as busy:
                server.start(ready=False)
                tenant = Remote(server.http(token))
                job = expect(tenant.post(hospital.queries[0], key=f"{begin}"), 202).json()["id"]
                tenant.ended(job)
                tenant.result(job)
                seconds = time.perf_counter() - begin
            return busy.others, (seconds, processor_seconds(server))

        runs, others = quiet_runs(started, 3, arguments.quiet)
    seconds, processor = map(median, zip(*runs, strict=True))
    return {"seconds": seconds, "processor_seconds": processor, "others": others}


def table(report: dict) -> str:
    rows = []
    if found := report.get("requests"):
        rows += [f"| requests a second, {name} | {found[name]} |" for name in ROUTES]
    if found := report.get("cost"):
        rows += [
            f"| bare evaluation, {report['threads']} threads | {found['bare_seconds']:.3f} s |",
            f"| a query of a batch | {found['batch_seconds_each']:.3f} s, {found['cost_of_batch']:+.1%} |",
            f"| one query, from POST to result | {found['single_seconds']:.3f} s, {found['cost_of_single']:+.1%} |",
            f"| the same in processor seconds | {found['bare_processor_seconds']:.3f} s bare, "
            f"{found['batch_processor_seconds_each']:.3f} s, {found['cost_in_processor_seconds']:+.1%} |",
            f"| sequences an hour | {found['sequences_an_hour']} |",
        ]
    if found := report.get("memory"):
        rows.append(f"| one key set, expanded | {found['key_set']:.0f} MiB |")
        for count, each in found["tenants"].items():
            own = ", ".join(f"{name} {kind['own']:.0f}" for name, kind in each["rest"].items())
            rest = sum(kind["proportional"] for kind in each["rest"].values())
            rows.append(
                f"| {count} tenants: at most; at rest (of their own: {own}) | {each['peak']:.0f}; {rest:.0f} MiB |"
            )
    if found := report.get("upload"):
        rows.append(
            f"| upload of evaluation.keys; to nginx; ratio; until ready | {found['service_mb_s']:.0f} MB/s; "
            f"{found['nginx_mb_s']:.0f} MB/s; {found['ratio']:.0%}; {found['ready_mb_s']:.0f} MB/s |"
        )
    if found := report.get("start"):
        rows.append(
            f"| from the start of the server to the first result | {found['seconds']:.2f} s, "
            f"{found['processor_seconds']:.2f} s of processors |"
        )
    for part in PARTS:
        if (found := report.get(part)) and "commit" in found:
            rows.append(
                f"| {part}: commit, date, load before | {found['commit']}, {found['date']}, {found['load']:.1f} |"
            )
    return "\n".join(["| | |", "|---|---|", *rows]) + "\n"


if __name__ == "__main__":
    main()
