"""Reports to the PACS by STOW-RS (PS3.18 10.5): one request with all of them, and what the PACS says of each.

A report has one UID and one content, so storing it twice, after a crash, leaves one of it.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from heclstm.errors import NetworkError
from heclstm.gateway.config import Config
from heclstm.gateway.journal import Report
from heclstm.gateway.sender import THERE_ALREADY, client_tls
from heclstm.gateway.web import FAILURES, Web, basic

SECONDS = 60.0
TAKEN, REFUSED = "00081199", "00081198"  # sequences of the answer: referenced SOP, failed SOP
INSTANCE, REASON = "00081155", "00081197"  # of their items
WITH_AN_ANSWER = (200, 202, 409)  # all, some with a remark or a failure, none


def store(reports: Sequence[Report], config: Config) -> None:
    """Raises NetworkError unless the PACS says of each report that it keeps it."""
    settings = config.store
    boundary = secrets.token_hex(16)
    headers = {
        "Content-Type": f'multipart/related; type="application/dicom"; boundary={boundary}',
        "Accept": "application/dicom+json",
    }
    authorization = f"Bearer {settings.token}" if settings.token else basic(settings.user, settings.password)
    web, content = Web(authorization, client_tls(config)), _parts(reports, boundary)
    try:
        answer = web.ask(f"{settings.url.rstrip('/')}/studies", content, headers, seconds=SECONDS)
        if answer.status not in WITH_AN_ANSWER:
            raise NetworkError(f"store: the PACS answered {answer.status} to STOW-RS; see [store] url, and its own log")
        told = json.loads(answer.content)
        kept, refused = _items(told, TAKEN), _items(told, REFUSED)
    except FAILURES as error:
        raise NetworkError(f"store: no answer to STOW-RS that can be read ({_kind(error)})") from None
    for report in reports:
        reason = refused.get(report.uid)
        if reason != THERE_ALREADY and (reason is not None or report.uid not in kept):
            raise NetworkError(f"store: refused a report with reason 0x{reason or 0:04X}; see the log of the PACS")


def _parts(reports: Sequence[Report], boundary: str) -> bytes:
    head = f"--{boundary}\r\nContent-Type: application/dicom\r\n\r\n".encode()
    parts = [head + Path(report.file).read_bytes() + b"\r\n" for report in reports]
    return b"".join(parts) + f"--{boundary}--\r\n".encode()


def _items(told: Any, tag: str) -> dict[str, int]:
    """UIDs of a sequence with their reason, 0 where there is none. Raises ValueError for what is no DICOM JSON."""
    try:
        items = told.get(tag, {}).get("Value", [])
        return {item[INSTANCE]["Value"][0]: int(item.get(REASON, {}).get("Value", [0])[0]) for item in items}
    except (AttributeError, KeyError, IndexError, OverflowError, TypeError) as error:
        raise ValueError("no DICOM JSON") from error


def _kind(error: Exception) -> str:
    """What went wrong; that of a certificate stands inside urllib's own error."""
    reason = getattr(error, "reason", None)
    return type(reason if isinstance(reason, OSError) else error).__name__
