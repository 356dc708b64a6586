"""Studies that are stable in an Orthanc: the gateway asks for them, in the order in which Orthanc noticed.

Orthanc then sends each by C-STORE as to any modality. How far its list of changes was read is in the journal, and so is
what it still has to send: what became stable while the gateway was down is asked for when it is back, and a study that
cannot be sent is asked for again without keeping the others waiting.
"""

from __future__ import annotations

import json
import threading
from typing import Any

from heclstm.errors import NetworkError
from heclstm.gateway.config import OrthancServer
from heclstm.gateway.journal import Journal
from heclstm.gateway.logs import log
from heclstm.gateway.web import FAILURES, Web, basic

CHANGES, SECONDS, STORE_SECONDS = 100, 30.0, 1800.0
STABLE = "StableStudy"
MARK = "orthanc"  # in the journal


class Orthanc:
    def __init__(self, settings: OrthancServer, journal: Journal) -> None:
        self._settings, self._journal = settings, journal
        self._web = Web(basic(settings.user, settings.password))

    def watch(self, stop: threading.Event) -> None:
        """Until `stop` is set. What goes wrong is tried again."""
        failures = 0
        while not stop.is_set():
            try:
                while self.turn(stop):
                    pass
                failures = 0
            except Exception as error:  # nobody else would notice that this thread has ended
                failures += 1
                log("orthanc", kind=type(error).__name__, attempt=failures)
            stop.wait(self._settings.every_seconds * 2.0 ** min(failures, 6))

    def turn(self, stop: threading.Event) -> bool:
        """Ask for what is new; whether there is more. Raises NetworkError where Orthanc, or what it sends, fails."""
        since = self._journal.mark(MARK)
        if since is None:
            since = 0 if self._settings.earlier else int(self._get("/changes?last")["Last"])
            self._journal.set_mark(MARK, since)
        answer = self._get(f"/changes?since={since}&limit={CHANGES}")
        for change in answer["Changes"]:
            if stop.is_set():
                return False
            if change["ChangeType"] == STABLE:
                self._journal.owe(str(change["ID"]))
            self._journal.set_mark(MARK, int(change["Seq"]))
        if not answer["Done"]:
            return True
        failed: NetworkError | None = None
        for study in self._journal.owed():
            if stop.is_set():
                return False
            try:
                self._send(study)
            except NetworkError as error:  # the others are asked for nevertheless
                failed = error
                continue
            self._journal.paid(study)
        if failed:
            raise failed
        return False

    def _send(self, study: str) -> None:
        """Have it sent to the gateway. One that was deleted meanwhile is passed over."""
        content = json.dumps({"Resources": [study], "Synchronous": True}).encode()
        try:
            self._get(f"/modalities/{self._settings.modality}/store", content, STORE_SECONDS)
        except NetworkError:
            if self._is_there(study):
                raise

    def _is_there(self, study: str) -> bool:
        try:
            self._get(f"/studies/{study}")
        except NetworkError as error:
            return "404" not in str(error)
        return True

    def _get(self, path: str, content: bytes | None = None, seconds: float = SECONDS) -> Any:
        try:
            answer = self._web.ask(self._settings.url.rstrip("/") + path, content, seconds=seconds)
            if answer.status != 200:
                raise NetworkError(f"orthanc: answered {answer.status}")
            return json.loads(answer.content)
        except FAILURES as error:
            raise NetworkError(f"orthanc: no answer ({type(error).__name__})") from None
