"""Who asks: by a token of ours, a bearer token of an identity provider, or a client certificate."""

from __future__ import annotations

import hashlib
import ssl
from base64 import b64decode
from collections.abc import Mapping
from ipaddress import ip_address, ip_network
from urllib.parse import unquote

from msgspec import Struct

from heclstm.service.config import Config
from heclstm.service.database.tenants import PREFIX, SCOPES, Tenants
from heclstm.service.oidc import Provider
from heclstm.service.problems import Problem

CONNECTION = "heclstm.connection"  # in an ASGI scope: whose it is, and the SHA-256 of the certificate that TLS checked
USER_SCOPES = SCOPES[:3]  # of who has no token of ours


def fingerprint(shown: str) -> str | None:
    """SHA-256 of a certificate as a proxy shows it: that itself in hex (HAProxy), the PEM percent-encoded (nginx), or
    the DER in base64 between colons (RFC 9440). None for anything else.
    """
    text = shown.strip()
    if len(digits := text.replace(":", "").lower()) == 64 and set(digits) <= set("0123456789abcdef"):
        return digits
    try:
        if text.startswith("-----BEGIN"):
            der = ssl.PEM_cert_to_DER_cert(unquote(text))
        elif text.startswith(":") and text.endswith(":"):
            der = b64decode(text.strip(":"), validate=True)
        else:
            return None
    except ValueError:
        return None
    return hashlib.sha256(der).hexdigest()


class Identity(Struct, frozen=True):
    """by: token, oidc or certificate; of a token, with its id."""

    tenant: str
    scopes: tuple[str, ...]
    by: str


class Identities:
    def __init__(self, config: Config, tenants: Tenants) -> None:
        self._tenants = tenants
        self._provider = Provider(config.oidc) if config.oidc else None
        self._certificates = {
            fingerprint: name for name, tenant in config.tenants.items() for fingerprint in tenant.certificates
        }
        self._header = config.proxy.certificate_header if config.proxy else None
        self._trusted = [ip_network(each, strict=False) for each in config.proxy.trusted] if config.proxy else []

    def identify(self, headers: Mapping[str, str], certificate: str | None, peer: str) -> Identity:
        """certificate: that of the connection. peer: the address that connected, a proxy's perhaps. Raises Problem."""
        scheme, _, text = headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            found = self._bearer(text.strip())
        else:
            if self._header and self._is_proxy(peer):
                certificate = fingerprint(headers.get(self._header, ""))
            tenant = self._certificates.get(certificate or "")
            found = Identity(tenant, USER_SCOPES, "certificate") if tenant else None
        if found is None:
            raise Problem(
                "unauthorized",
                "authorization: needs `Bearer TOKEN` with a token that is right, not expired and not revoked; ask the "
                "operator of this server for one",
                headers={"www-authenticate": 'Bearer realm="heclstm"'},
            )
        return found

    def _is_proxy(self, peer: str) -> bool:
        try:
            address = ip_address(peer)
        except ValueError:
            return False
        return any(address in network for network in self._trusted)

    def _bearer(self, text: str) -> Identity | None:
        if self._provider and not text.startswith(PREFIX):
            tenant = self._provider.tenant(text)
            return Identity(tenant, USER_SCOPES, "oidc") if tenant else None
        token = self._tenants.find(text)
        return Identity(token.tenant, token.scopes, f"token {token.id}") if token else None
