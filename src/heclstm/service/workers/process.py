"""A worker of this machine: `python -m heclstm.service.workers.process`.

It imports all that it needs, and then loads the program that it is told to.
"""

from __future__ import annotations

import os
import queue
import threading
from pathlib import Path

from heclstm.service.blobs import open_blobs
from heclstm.service.logs import log, set_up
from heclstm.service.workers.channel import Channel, own_channel
from heclstm.service.workers.evaluating import EvaluatingWorker
from heclstm.service.workers.messages import Cancel, CloseKeys, Load, Prepare, Task


def main() -> None:
    channel = own_channel()
    set_up()
    load = channel.receive()
    if not isinstance(load, Load):
        return  # the server is gone, or had no use for it
    worker = EvaluatingWorker(Path(load.folder), load.threads or None, open_blobs(load.blobs, Path(load.state)))
    tasks: queue.SimpleQueue[Task | Prepare] = queue.SimpleQueue()
    threading.Thread(target=_hear, args=(channel, worker, tasks), daemon=True).start()
    loaded = worker.loaded()
    channel.send(loaded)
    if prepared := loaded.program_bytes + loaded.key_bytes <= load.at_once:
        channel.send(worker.prepare())
    while True:
        message = tasks.get()
        if isinstance(message, Prepare):
            if not prepared:
                prepared = True
                channel.send(worker.prepare())
        else:
            channel.send(worker.evaluate(message, channel.send))


def _hear(channel: Channel, worker: EvaluatingWorker, tasks: queue.SimpleQueue[Task | Prepare]) -> None:
    """What must be heard during an evaluation, too; above all, that the server is gone."""
    while True:
        match channel.receive():
            case None:
                os._exit(0)  # in mid-evaluation, perhaps: nobody wants its result any more
            case Cancel(evaluation):
                worker.cancel(evaluation)
            case CloseKeys(keys, erased):
                worker.close_keys(keys, erased=erased)
            case Task() | Prepare() as message:
                tasks.put(message)
            case other:
                log("worker").error("unknown message", message=type(other).__name__)


if __name__ == "__main__":
    main()
