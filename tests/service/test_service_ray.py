"""The same on a Ray cluster of two nodes, one of which is killed in mid-job."""

import contextlib
import re
import subprocess
import sys
import time

import psutil
import pytest

from heclstm.circuit.cost import estimate
from heclstm.program.files import load_program
from service.kit import ENVIRONMENT, expect, mapping, wait_until

pytest.importorskip("ray", reason="Ray is not installed: pip install 'heclstm[ray]'")
pytestmark = [pytest.mark.slow, pytest.mark.alone]  # a cluster takes a gigabyte


@pytest.fixture
def cluster(in_reach, program):
    """Two nodes of this machine, in processes of their own, each with cores for two workers and memory for one."""
    costs = estimate(load_program(program).circuit, threads=1)
    needed = costs.process_memory + costs.prepared_memory + costs.working_memory + costs.key_memory
    node = f"num_cpus=2, memory={int(1.5 * needed)}, object_store_memory=100 << 20"
    code = (
        "import sys, ray.cluster_utils as utils\n"
        f"head = dict({node}, include_dashboard=False)\n"
        "cluster = utils.Cluster(initialize_head=True, head_node_args=head)\n"
        f"node = cluster.add_node({node})\n"
        "cluster.wait_for_nodes()\n"
        "print(cluster.address, flush=True)\n"
        "sys.stdin.readline()\n"
        "cluster.remove_node(node, allow_graceful=False)\n"
        "print('killed', flush=True)\n"
        "sys.stdin.readline()\n"
        "cluster.shutdown()\n"
    )
    environment = {**ENVIRONMENT, "RAY_DEDUP_LOGS": "0", "RAY_USAGE_STATS_ENABLED": "0"}
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        env=environment, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    address = process.stdout.readline().strip()
    assert address, "the cluster did not start"

    def kill_a_node():
        process.stdin.write("\n")
        process.stdin.flush()
        assert process.stdout.readline().strip() == "killed"

    yield address, kill_a_node
    with contextlib.suppress(OSError):
        process.stdin.write("\n\n")
        process.stdin.close()
    process.wait(60)
    process.stdout.close()


def test_a_node_killed_in_mid_job(launch, hospital, in_reach, cluster, monkeypatch):
    """Over an object store. No node has more workers than its memory is for, though there are cores for four, and what
    all together may have would do for them. What is erased, actors let go of.
    """
    address, kill_a_node = cluster
    monkeypatch.setitem(ENVIRONMENT, "RAY_ADDRESS", address)
    monkeypatch.setitem(ENVIRONMENT, "RAY_USAGE_STATS_ENABLED", "0")
    with launch(workers="ray://auto", blobs=in_reach.bucket("ray"), start=False) as server:
        server.start()
        tenant, watch = server.tenant(), server.tenant("watch", scopes=("metrics",))
        expect(tenant.put_keys(hospital), 201)
        (keys,) = in_reach.names("ray")

        def workers(state):
            told = watch.http.get("/metrics").text
            return float(re.search(f'^heclstm_workers{{state="{state}"}} (.*)$', told, re.MULTILINE)[1])

        wait_until(lambda: (workers("idle"), workers("preparing")) == (2, 2), 60, server.text)
        jobs = [
            expect(tenant.post(b"".join(hospital.query(10 * job + seed) for seed in range(15))), 202).json()["id"]
            for job in range(2)
        ]
        wait_until(lambda: tenant.job(jobs[0])["done"] > 1)
        assert mapping(psutil.process_iter(), keys)
        assert workers("idle") + workers("busy") <= 2
        kill_a_node()
        begin = time.monotonic()
        for job in jobs:
            status = tenant.ended(job, 150)
            assert (status["state"], status["done"]) == ("done", 15), server.text()
        assert time.monotonic() - begin < 150
        assert tenant.diagnose(hospital, hospital.query(seed=40)) is not None
        expect(tenant.http.delete(f"/v1/keys/{hospital.label}"), 204)
        wait_until(lambda: not mapping(psutil.process_iter(), keys))
        assert not [path for path in (server.config.folder / "cache").rglob("*") if path.is_file()]
        assert not [name for name in in_reach.names("ray") if name.startswith("keys/")]
