"""A line between a hospital and a server that can be cut after so many bytes, and remembers what it carried."""

import contextlib
import socket
import threading


class Line:
    """Listens at `port`. cuts: for each connection in turn, (bytes towards the server, bytes back) after which both
    ends are dropped; those after them are whole.
    """

    def __init__(self, target: int, cuts=()) -> None:
        self.sent = bytearray()
        self.connections = 0
        self._target, self._cuts = target, list(cuts)
        self._lock = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listener.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def _accept(self):
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            with self._lock:
                limits = self._cuts.pop(0) if self._cuts else (None, None)
                self.connections += 1
            far = socket.create_connection(("127.0.0.1", self._target))
            for source, sink, limit, kept in ((near, far, limits[0], self.sent), (far, near, limits[1], None)):
                threading.Thread(target=self._carry, args=(source, sink, limit, kept), daemon=True).start()

    def _carry(self, source, sink, limit, kept):
        carried = 0
        with contextlib.suppress(OSError):
            while piece := source.recv(1 << 16):
                if limit is not None and carried + len(piece) >= limit:
                    sink.sendall(piece[: limit - carried])
                    break
                carried += len(piece)
                if kept is not None:
                    with self._lock:
                        kept += piece
                sink.sendall(piece)
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()
