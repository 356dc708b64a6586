"""Bearer tokens of an identity provider (OpenID Connect): signature, issuer, audience, time. joserfc lives here."""

from __future__ import annotations

import ssl
import threading
import urllib.request
from http.client import HTTPException
from pathlib import Path
from typing import Any

from heclstm.errors import ConfigError, FileFormatError
from heclstm.service import clock
from heclstm.service.config import Oidc
from heclstm.service.database.tenants import TENANT
from heclstm.service.logs import log
from heclstm.storage.json import parse_object

KEYS_BYTES_MAX = 1 << 20
KEYS_SECONDS = 300.0  # after which keys are looked for anew: providers rotate them, and withdraw them
AGAIN_SECONDS = 10.0  # between two looks: for a key that is new, or while the provider is away
KEPT_SECONDS = 86400.0  # for which keys are believed while the provider is away
LEEWAY_SECONDS = 60
_LOG = log("oidc")


class Provider:
    """Raises ConfigError if its keys can never be looked for."""

    def __init__(self, settings: Oidc) -> None:
        try:
            from joserfc import jwk, jwt
        except ImportError as error:
            raise ConfigError("oidc: needs joserfc; pip install 'heclstm[oidc]'") from error
        if not settings.keys.startswith("https://") and not Path(settings.keys).is_file():
            raise ConfigError("oidc: keys: expected an https URL, or a file with the provider's JWKS")
        self._settings, self._jwt, self._jwk = settings, jwt, jwk
        self._opener = urllib.request.build_opener(_Direct, urllib.request.HTTPSHandler(context=_trust(settings)))
        self._keys: Any = None
        self._looked_at = self._read_at = float("-inf")
        self._lock = threading.Lock()

    def tenant(self, text: str) -> str | None:
        """The tenant that a valid token names, else None."""
        from joserfc.errors import InvalidKeyIdError, JoseError

        settings = self._settings
        claims = self._jwt.JWTClaimsRegistry(
            now=int(clock.now()),
            leeway=LEEWAY_SECONDS,
            iss={"essential": True, "value": settings.issuer},
            aud={"essential": True, "value": settings.audience},
            exp={"essential": True},
        )
        try:
            try:
                token = self._decoded(text, KEYS_SECONDS)
            except InvalidKeyIdError:  # signed by a key that came meanwhile, perhaps
                token = self._decoded(text, AGAIN_SECONDS)
            claims.validate(token.claims)
        except (JoseError, ValueError):
            return None
        tenant = token.claims.get(settings.tenant_claim)
        return tenant if isinstance(tenant, str) and TENANT.fullmatch(tenant) else None

    def _decoded(self, text: str, seconds: float) -> Any:
        """seconds: how old the keys may be."""
        return self._jwt.decode(text, self._current_keys(seconds), algorithms=list(self._settings.algorithms))

    def _current_keys(self, seconds: float) -> Any:
        """Who comes while another looks takes those that there are, and waits for the very first look alone: later ones
        would take all threads of a server whose provider is away. Raises ValueError if there are none.
        """
        if self._due(seconds) and self._lock.acquire(blocking=self._looked_at == float("-inf")):
            try:
                if self._due(seconds):  # still, after waiting
                    self._look()
            finally:
                self._lock.release()
        if self._keys is None or clock.steady() - self._read_at > KEPT_SECONDS:
            raise ValueError("no keys")
        return self._keys

    def _due(self, seconds: float) -> bool:
        now = clock.steady()
        return now - self._read_at > seconds and now - self._looked_at > AGAIN_SECONDS

    def _look(self) -> None:
        try:
            keys = self._imported(parse_object(self._read(), "JWKS"))
        except (OSError, ValueError, HTTPException, FileFormatError) as error:
            _LOG.error("the provider's keys cannot be read", error=type(error).__name__)
        else:
            self._keys, self._read_at = keys, clock.steady()
        self._looked_at = clock.steady()

    def _imported(self, found: dict[str, Any]) -> Any:
        """Those that can be used: one of a kind that nobody knows here must not take the others with it."""
        from joserfc.errors import JoseError

        keys, entries = [], found.get("keys")
        for entry in entries if isinstance(entries, list) else []:
            try:
                keys.append(self._jwk.JWKRegistry.import_key(entry))
            except (JoseError, ValueError, TypeError, KeyError, AttributeError) as error:
                _LOG.warning("a key of the provider cannot be used", error=type(error).__name__)
        if not keys:
            raise ValueError("no keys")
        return self._jwk.KeySet(keys)

    def _read(self) -> bytes:
        where = self._settings.keys
        if not where.startswith("https://"):
            return Path(where).read_bytes()
        with self._opener.open(where, timeout=10) as answer:
            return bytes(answer.read(KEYS_BYTES_MAX))


class _Direct(urllib.request.HTTPRedirectHandler):
    """An answer that leads elsewhere is an error: keys come from where the configuration says, and not in clear."""

    def redirect_request(self, *_: Any) -> None:
        return None


def _trust(settings: Oidc) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=settings.authority)
    except OSError as error:  # ssl.SSLError is one
        raise ConfigError(f"oidc: authority: {settings.authority}: cannot be read as certificates in PEM") from error
