"""The same on a Ray cluster of two nodes, one of which is killed in mid-job."""

import contextlib
import os
import subprocess
import sys
import time

import pytest

from service.kit import ENVIRONMENT, expect, wait_until

pytest.importorskip("ray", reason="Ray is not installed: pip install 'heclstm[ray]'")
pytestmark = [pytest.mark.slow, pytest.mark.alone]  # a cluster takes a gigabyte


@pytest.fixture
def cluster():
    """Two nodes of this machine, in processes of their own."""
    code = (
        "import sys, ray.cluster_utils as utils\n"
        "cluster = utils.Cluster(initialize_head=True, head_node_args={'num_cpus': 1, 'object_store_memory': 100 << 20,"
        " 'include_dashboard': False})\n"
        "node = cluster.add_node(num_cpus=1, object_store_memory=100 << 20)\n"
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


def test_a_node_killed_in_mid_job(launch, hospital, cluster, monkeypatch):
    address, kill_a_node = cluster
    monkeypatch.setitem(ENVIRONMENT, "RAY_ADDRESS", address)
    monkeypatch.setitem(ENVIRONMENT, "RAY_USAGE_STATS_ENABLED", "0")
    with launch(workers="ray://auto", start=False) as server:
        server.start()
        tenant, watch = server.tenant(), server.tenant("watch", scopes=("metrics",))
        expect(tenant.put_keys(hospital), 201)
        wait_until(lambda: 'heclstm_workers{state="idle"} 2.0' in watch.http.get("/metrics").text, 60, server.text)
        jobs = [
            expect(tenant.post(b"".join(hospital.query(10 * job + seed) for seed in range(15))), 202).json()["id"]
            for job in range(2)
        ]
        wait_until(lambda: tenant.job(jobs[0])["done"] > 1)
        kill_a_node()
        begin = time.monotonic()
        for job in jobs:
            status = tenant.ended(job, 150)
            assert (status["state"], status["done"]) == ("done", 15), server.text()
        assert time.monotonic() - begin < 150
        assert tenant.diagnose(hospital, hospital.query(seed=40)) is not None
        assert os.path.exists(server.config.folder)
