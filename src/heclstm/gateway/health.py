"""/healthz: how the gateway is, in numbers; nothing that names a study."""

from __future__ import annotations

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from heclstm.errors import ConfigError
from heclstm.gateway.arrivals import Places
from heclstm.gateway.config import split
from heclstm.gateway.journal import Journal

TROUBLED_ATTEMPTS = 3  # failures of one study after which somebody should look


def health(journal: Journal, places: Places) -> dict[str, Any]:
    """state: "ok", "troubled" if studies fail again and again, "full" if no image is accepted any more."""
    troubled, oldest = journal.troubled(TROUBLED_ATTEMPTS), journal.oldest()
    state = "full" if not places.has_room(0) else "troubled" if troubled else "ok"
    return {
        "state": state,
        "studies": journal.counts(),
        "troubled": troubled,
        "oldest_seconds": None if oldest is None else round(max(0.0, time.time() - oldest), 1),
        "free_bytes": places.free_bytes,
    }


def serve_health(address: str, journal: Journal, places: Places) -> ThreadingHTTPServer:
    """In a thread of its own; `shutdown()` ends it. 200 if all is well, 503 otherwise. Raises ConfigError."""

    class Handler(BaseHTTPRequestHandler):
        timeout = 5.0

        def do_GET(self) -> None:
            if self.path != "/healthz":
                self.send_error(404)
                return
            found = health(journal, places)
            body = json.dumps(found).encode()
            self.send_response(200 if found["state"] == "ok" else 503)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Says nothing: whoever watches asks every few seconds."""

    try:
        server = ThreadingHTTPServer(split(address), Handler)
    except OSError as error:
        raise ConfigError(f"health: {address}: cannot be used ({error.strerror})") from error
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, name="health", daemon=True).start()
    return server
