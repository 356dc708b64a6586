"""A proxy that hands on whole connections (CONNECT), as hospitals have at their edge, and counts what passes."""

import contextlib
import socket
import threading
from base64 import b64encode


class ConnectProxy:
    """hosts: names that are found nowhere else → ports of this machine. password: "NAME:PASSWORD" that it wants.

    asked: the heads of all requests. passed: all bytes that clients sent through it. status: what it says instead.
    once: what it says to the next ones, each once.
    """

    def __init__(self, hosts: dict[str, int], password: str = "") -> None:
        self.asked: list[bytes] = []
        self.passed = bytearray()
        self.answered = 0
        self.status = ""
        self.once: list[str] = []
        self._hosts, self._password = hosts, password
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._open: list[socket.socket] = [self._listener]
        threading.Thread(target=self._listen, daemon=True).start()

    def close(self) -> None:
        for each in self._open:
            with contextlib.suppress(OSError):  # its other end was faster
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def _listen(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return  # closed
            self._open.append(client)
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        head = b""
        while b"\r\n\r\n" not in head:
            if not (piece := client.recv(4096)):
                return
            head += piece
        self.asked.append(head)
        method, target, _ = head.split(b"\r\n")[0].decode().split(" ")
        host, _, port = target.rpartition(":")
        refusal = (self.once.pop(0) if self.once else self.status) or self._refusal(method, head)
        if refusal:
            client.sendall(f"HTTP/1.1 {refusal}\r\ncontent-length: 0\r\n\r\n".encode())
            client.close()
            return
        try:
            server = socket.create_connection(("127.0.0.1", self._hosts.get(host, int(port))))
        except OSError:
            client.sendall(b"HTTP/1.1 502 Bad Gateway\r\ncontent-length: 0\r\n\r\n")
            client.close()
            return
        self._open.append(server)
        client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
        threading.Thread(target=self._hand_on, args=(server, client, False), daemon=True).start()
        self._hand_on(client, server, True)

    def _refusal(self, method: str, head: bytes) -> str:
        wanted = b"basic " + b64encode(self._password.encode()).lower()
        if method != "CONNECT":
            return "405 Method Not Allowed"
        shown = [line.split(b":", 1)[1].strip().lower() for line in head.split(b"\r\n") if b"roxy-" in line]
        return "407 Proxy Authentication Required" if self._password and wanted not in shown else ""

    def _hand_on(self, source: socket.socket, target: socket.socket, sent: bool) -> None:
        with contextlib.suppress(OSError):  # one of the ends is gone, which the other will see
            while piece := source.recv(1 << 16):
                if sent:
                    self.passed += piece
                else:
                    self.answered += len(piece)
                target.sendall(piece)
            target.shutdown(socket.SHUT_WR)
