"""A URL that a hospital may send a token to."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

from heclstm.errors import InputError

LOOPBACK = {"127.0.0.1", "::1", "localhost"}


@dataclass(frozen=True)
class Address:
    """url: scheme, host, port and the path before /v1, nothing else."""

    url: str
    host: str
    loopback: bool

    @classmethod
    def of(cls, text: str) -> Address:
        """Raises InputError unless it is https:// with a host; http:// on this machine alone."""
        try:
            parts = urlsplit(text)
            host, port = parts.hostname or "", parts.port
            host.encode("idna")
        except ValueError as error:
            raise InputError("URL: is none; expected https://HOST[:PORT]") from error
        if "@" in parts.netloc:
            raise InputError("URL: holds a name or password; give the token in a file or in HECLSTM_TOKEN")
        strange = not host.isprintable() or set(host) & set(' \\"<>^`{|}') or "%" in host and ":" not in host
        if parts.scheme not in ("https", "http") or not host or strange or parts.query or parts.fragment:
            raise InputError(f"URL: got {text[:100]!r}, expected https://HOST[:PORT]")
        if parts.scheme == "http" and host not in LOOPBACK:
            raise InputError("URL: is http, so the token would travel in clear; expected https://HOST[:PORT]")
        bracketed = f"[{host}]" if ":" in host else host
        place = bracketed if port is None else f"{bracketed}:{port}"
        path = parts.path.rstrip("/").removesuffix("/v1")
        return cls(f"{parts.scheme}://{place}{path}", host, host in LOOPBACK)
