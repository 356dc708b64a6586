"""300 jobs of 6 tenants on 2 workers: all done, in fair turns, within the memory that was allowed, by the service's
account and by that of Linux; keys come and go in a small cache.
"""

import os
import subprocess
import sys

import pytest

from service.faulty import children
from service.kit import ENVIRONMENT, expect, wait_until

TENANTS, JOBS = 6, 50
PAGE = 4096
EVALUATION = 16 << 20  # what a worker holds beside keys and program on this small ring: 4 to 5 MB were measured


@pytest.mark.slow
@pytest.mark.alone
def test_300_jobs_of_6_tenants_on_2_workers(launch, hospital, program):
    from heclstm.circuit.cost import estimate
    from heclstm.program.files import load_program

    costs = estimate(load_program(program).circuit)
    worker = costs.peak_memory - costs.key_memory
    # Room for two workers and three of the six key sets.
    budget = 2 * worker + 3 * costs.key_memory + costs.key_memory // 2
    alone = interpreter()
    quotas = {"requests_per_second": 1000}
    with launch(workers=2, evaluation={"memory_bytes": budget, "key_sets": 2}, quotas=quotas) as server:
        wait_until(lambda: len(children(server, "process")) == 2)
        watch = server.tenant("watch", scopes=("metrics",))
        wait_until(lambda: metric(watch, 'heclstm_workers{state="idle"}') == 2)
        tenants = [server.tenant(f"tenant-{number}") for number in range(TENANTS)]
        for tenant in tenants:
            expect(tenant.put_keys(hospital), 201)
        query = hospital.query(seed=1)
        workers = children(server, "process")
        for each in workers:
            each.suspend()
        owner = {}
        for number, tenant in enumerate(tenants):  # all of one tenant's before the next one's: the order of arrival
            for job in range(JOBS):
                owner[expect(tenant.post(query, key=f"job-{job}"), 202).json()["id"]] = number
        for each in workers:
            each.resume()
        admitted, seen = 0, []
        while waits(watch):
            admitted = max(admitted, metric(watch, "heclstm_admitted_memory_bytes"))
            seen.append([pages(each) for each in workers])
        assert 0 < admitted <= budget
        # Both at once, as Linux counts: shared pages in equal parts. The estimate counts the interpreter, too.
        assert 0 < max(sum(total for total, _, _ in moment) for moment in seen) <= budget
        for total, keys, prepared in (worker for moment in seen for worker in moment):
            assert keys <= costs.key_memory + PAGE  # one tenant's at a time, though two are open; and the file's head
            assert total - keys - prepared <= alone + EVALUATION
        assert max(keys for moment in seen for _, keys, _ in moment) >= costs.key_memory // 2
        order = finished(server)
        assert len(order) == TENANTS * JOBS
        # The first two were begun before there were others. Then turns: in every stretch of six, each tenant once;
        # two workers may end a turn late, and so may the one that waits while the others' keys are closed.
        turns = [owner[job] for job in order[2:]]
        counts = [0] * TENANTS
        for tenant in turns[: TENANTS * JOBS * 2 // 3]:
            counts[tenant] += 1
            assert max(counts) - min(counts) <= 4, counts
        assert sum(os.path.getsize(path) for path in (server.config.folder / "blobs" / "queries").iterdir()) == 0


def interpreter():
    """What a worker takes that has imported all and loaded the engine, and holds no program, in bytes: at most, since
    libraries that others map, too, count whole.
    """
    code = (
        "import psutil, heclstm.service.workers.process; from heclstm.backend.cpu.library import library; library(); "
        "print(psutil.Process().memory_info().rss)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=ENVIRONMENT)
    return int(done.stdout)


def pages(process):
    """Of a worker, as PSS, in bytes: all, those of mapped keys, and those of the prepared program."""
    maps = [(each.path, each.pss) for each in process.memory_maps(grouped=False)]
    return tuple(sum(pss for path, pss in maps if part in path) for part in ("", "/blobs/keys/", "/prepared/"))


def metric(watch, name):
    lines = expect(watch.http.get("/metrics"), 200).text.splitlines()
    return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(name))


def waits(watch):
    return sum(metric(watch, f'heclstm_queries{{state="{state}"}}') for state in ("queued", "running")) > 0


def finished(server):
    from sqlalchemy import select

    from heclstm.service.database.connection import Database
    from heclstm.service.database.schema import jobs

    database = Database(server.config.database_url)
    with database.read() as connection:
        order = connection.execute(select(jobs.c.id).order_by(jobs.c.finished)).scalars().all()
    database.close()
    return order
