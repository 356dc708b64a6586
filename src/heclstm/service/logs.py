"""What the service says on stderr: a JSON object a line, with ids of tenants and jobs, never content.

Of Python's own parts: a library for it took a third of what a worker imports, at each start of each process.
"""

from __future__ import annotations

import json
import logging
import sys
import traceback
from datetime import UTC, datetime
from typing import Any

LEVELS = ("debug", "info", "warning", "error")
_least = LEVELS.index("info")


class Log:
    """What one place says: an event, and facts of it by name."""

    def __init__(self, place: str) -> None:
        self._place = place

    def info(self, event: str, **facts: Any) -> None:
        self._say("info", event, facts)

    def warning(self, event: str, **facts: Any) -> None:
        self._say("warning", event, facts)

    def error(self, event: str, **facts: Any) -> None:
        self._say("error", event, facts)

    def exception(self, event: str, **facts: Any) -> None:
        """Of the exception that is being dealt with: where it came from, not what stood in its variables."""
        self._say("error", event, {**facts, "exception": traceback.format_exc().rstrip()})

    def _say(self, level: str, event: str, facts: dict[str, Any]) -> None:
        if LEVELS.index(level) >= _least:
            _write({"place": self._place, **facts, "event": event}, level)


class _Foreign(logging.Handler):
    """Libraries' own messages."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            content = {"event": record.getMessage()}
            if record.exc_info:
                content["exception"] = "".join(traceback.format_exception(*record.exc_info)).rstrip()
            _write(content, record.levelname.lower())
        except Exception:  # of a library's own mistake; as Python's handlers do
            self.handleError(record)


def set_up(level: str = "info") -> None:
    """Once, when a process starts. Libraries' own messages go the same way, from warnings on."""
    global _least
    _least = LEVELS.index(level)
    logging.basicConfig(level=logging.WARNING, handlers=[_Foreign()], force=True)


def log(place: str) -> Log:
    return Log(place)


def _write(content: dict[str, Any], level: str) -> None:
    now = datetime.now(UTC).isoformat().replace("+00:00", "Z")
    line = json.dumps({**content, "level": level, "timestamp": now}, default=repr) + "\n"
    try:
        sys.stderr.write(line)  # in one piece, so that threads do not mix theirs
        sys.stderr.flush()
    except (OSError, ValueError):  # a log that nobody can take any more stops nobody
        return
