"""A worker that fails where a test says: `python -m service.faulty_process FAULTS`, started by `service.faulty_server`.

A file in the folder FAULTS, named after an evaluation's number (of arrival, from 1), is what happens in its middle:
stop-N: the worker stops, as if it hung; once, since the file is gone then. die-N: it is killed, each time.
"""

import os
import signal
import sys
from pathlib import Path

from heclstm.service.evaluation import Evaluator
from heclstm.service.workers import evaluating, process

FAULTS = Path(sys.argv[1])


class FaultyEvaluator(Evaluator):
    number = 0

    def evaluate(self, query, keys, on_progress, cancel):
        def progress(done, total, layer):
            if 2 * done >= total:
                fail(self.number)
            on_progress(done, total, layer)

        return super().evaluate(query, keys, progress, cancel)


class FaultyWorker(evaluating.EvaluatingWorker):
    def evaluate(self, task, tell):
        FaultyEvaluator.number = task.evaluation
        return super().evaluate(task, tell)


def fail(number):
    stop = FAULTS / f"stop-{number}"
    if stop.exists():
        stop.unlink()
        os.kill(os.getpid(), signal.SIGSTOP)
    if (FAULTS / f"die-{number}").exists():
        os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    evaluating.Evaluator, process.EvaluatingWorker = FaultyEvaluator, FaultyWorker
    process.main()
