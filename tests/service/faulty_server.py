"""`heclstm serve` with faults where a test says: `python -m service.faulty_server CONFIG FAULTS`.

Files in the folder FAULTS: those of `service.faulty_process`; clock: seconds by which the server's clock on the wall is
off, read anew each time it is looked at; stop-results: the server stops before it sends the second result of a job.
"""

import os
import signal
import sys
import time
from pathlib import Path

CONFIG, FAULTS = (Path(each) for each in sys.argv[1:])
true_time = time.time


def shifted_time():
    try:
        return true_time() + float((FAULTS / "clock").read_text() or 0)
    except FileNotFoundError:
        return true_time()


def main():
    from heclstm.cli.serving import serve_alone
    from heclstm.service.http import jobs
    from heclstm.service.workers import pool

    child, contents = pool.Child, jobs._contents

    def faulty_child(module, arguments, on_message):
        assert (module, arguments) == ("heclstm.service.workers.process", [])
        return child("service.faulty_process", [str(FAULTS)], on_message)

    async def faulty_contents(*arguments):
        sent, stop = 0, FAULTS / "stop-results"
        async for content in contents(*arguments):
            if sent == 1 and stop.exists():
                stop.unlink()
                os.kill(os.getpid(), signal.SIGSTOP)
            sent += 1
            yield content

    time.time, pool.Child, jobs._contents = shifted_time, faulty_child, faulty_contents
    sys.exit(serve_alone(CONFIG))


if __name__ == "__main__":
    main()
