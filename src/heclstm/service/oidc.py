"""Bearer tokens of an identity provider (OpenID Connect): signature, issuer, audience, time. joserfc lives here."""

from __future__ import annotations

import json
import threading
import urllib.request
from pathlib import Path
from typing import Any

from heclstm.errors import ConfigError
from heclstm.service import clock
from heclstm.service.config import Oidc
from heclstm.service.database.tenants import TENANT
from heclstm.service.logs import log

KEYS_BYTES_MAX = 1 << 20
KEYS_SECONDS = 300.0  # after which keys are looked for anew: providers rotate them
LEEWAY_SECONDS = 60


class Provider:
    def __init__(self, settings: Oidc) -> None:
        try:
            from joserfc import jwt
            from joserfc.jwk import KeySet
        except ImportError as error:
            raise ConfigError("oidc: needs joserfc; pip install 'heclstm[oidc]'") from error
        if not settings.keys.startswith("https://") and not Path(settings.keys).is_file():
            raise ConfigError("oidc: keys: expected an https URL, or a file with the provider's JWKS")
        self._settings, self._jwt, self._key_set = settings, jwt, KeySet
        self._keys: Any = None
        self._read_at = float("-inf")
        self._lock = threading.Lock()

    def tenant(self, text: str) -> str | None:
        """The tenant that a valid token names, else None."""
        from joserfc.errors import JoseError

        settings = self._settings
        claims = self._jwt.JWTClaimsRegistry(
            now=int(clock.now()),
            leeway=LEEWAY_SECONDS,
            iss={"essential": True, "value": settings.issuer},
            aud={"essential": True, "value": settings.audience},
            exp={"essential": True},
        )
        try:
            token = self._jwt.decode(text, self._current_keys(), algorithms=list(settings.algorithms))
            claims.validate(token.claims)
        except (JoseError, ValueError):
            return None
        tenant = token.claims.get(settings.tenant_claim)
        return tenant if isinstance(tenant, str) and TENANT.fullmatch(tenant) else None

    def _current_keys(self) -> Any:
        with self._lock:
            if clock.steady() - self._read_at > KEYS_SECONDS:
                try:
                    self._keys = self._key_set.import_key_set(json.loads(self._read()))
                except (OSError, ValueError) as error:
                    log("oidc").error("the provider's keys cannot be read", error=type(error).__name__)
                    if self._keys is None:
                        raise ValueError("no keys") from error
                self._read_at = clock.steady()
            return self._keys

    def _read(self) -> bytes:
        where = self._settings.keys
        if not where.startswith("https://"):
            return Path(where).read_bytes()
        with urllib.request.urlopen(where, timeout=10) as answer:
            return bytes(answer.read(KEYS_BYTES_MAX))
