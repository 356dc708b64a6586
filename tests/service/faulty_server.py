"""`heclstm serve` with faults where a test says: `python -m service.faulty_server CONFIG FAULTS`.

Files in the folder FAULTS: those of `service.faulty_process`; clock: seconds by which the server's clock on the wall is
off, read anew each time it is looked at; stop-results: the server stops before the second result of a job is read.
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
    from heclstm.service.blobs import FolderBlobs
    from heclstm.service.workers import pool

    child, read = pool.Child, FolderBlobs.read

    def faulty_child(module, arguments, on_message):
        assert (module, arguments) == ("heclstm.service.workers.process", [])
        return child("service.faulty_process", [str(FAULTS)], on_message)

    def faulty_read(blobs, name):
        stop = FAULTS / "stop-results"
        if name.startswith("results/") and name.endswith("-1") and stop.exists():
            stop.unlink()
            os.kill(os.getpid(), signal.SIGSTOP)
        return read(blobs, name)

    time.time, pool.Child, FolderBlobs.read = shifted_time, faulty_child, faulty_read
    sys.exit(serve_alone(CONFIG))


if __name__ == "__main__":
    main()
