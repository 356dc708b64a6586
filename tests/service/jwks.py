"""An identity provider's keys over HTTPS on loopback."""

import json
import ssl
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class JwksServer:
    """tls: certificate and key, paths. asked: how often. answer: (status, headers, body), or what it does instead."""

    def __init__(self, tls: dict[str, str]) -> None:
        self.asked, self.answer = 0, (500, {}, b"")
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                outer.asked += 1
                status, headers, body = outer.answer() if callable(outer.answer) else outer.answer
                self.send_response(status)
                for name, value in {**headers, "content-length": str(len(body))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                """Tests look at `asked`."""

        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(tls["certificate"], tls["key"])
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self._server.handle_error = lambda *_: None  # who does not trust it hangs up
        self.url = f"https://127.0.0.1:{self._server.server_address[1]}/jwks.json"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    def keys(self, *keys, more=()) -> None:
        """Answer with their public halves, after entries of any kind."""
        found = {"keys": [*more, *(key.as_dict(private=False) for key in keys)]}
        self.answer = (200, {"content-type": "application/json"}, json.dumps(found).encode())

    def close(self) -> None:
        """As if it were away."""
        self._server.shutdown()
        self._server.server_close()
