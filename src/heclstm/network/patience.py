"""A request until there is an answer: what is tried again, after how long, and what is said when it ends.

All that a hospital asks may be asked twice: an upload goes on where it ended, a query is the same job again, what is
deleted stays deleted.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from heclstm.errors import NetworkError, RefusedError
from heclstm.network.steps import Answer, Ask, Cut, Steps, Wait

AGAIN = {408, 425, 429, 500, 502, 503, 504, 507}  # may be otherwise in a moment
FINAL = {"quota-keys", "quota-daily"}  # among them: these will not
TEXT_MAX = 600  # of what a server says


@dataclass(frozen=True)
class Patience:
    """tries: of one request. Pauses double from the first to the longest, each shortened by chance."""

    tries: int = 8
    first_seconds: float = 0.5
    longest_seconds: float = 30.0

    def pauses(self) -> Iterator[float]:
        for number in range(self.tries - 1):
            yield min(self.longest_seconds, self.first_seconds * 2**number) * random.uniform(0.5, 1)


DEFAULT = Patience()


def ask(request: Ask, patience: Patience = DEFAULT, *, also: tuple[int, ...] = ()) -> Steps[Answer]:
    """The answer, if it is one of success or of a status in `also`.

    Raises RefusedError for a problem, NetworkError if there was no answer to the last try either.
    """
    pauses = patience.pauses()
    while True:
        try:
            answer: Answer = yield request
        except Cut as cut:
            if (pause := next(pauses, None)) is None:
                raise NetworkError(f"server: no answer ({cut}) in {patience.tries} tries; try again later") from cut
        else:
            if answer.status < 300 or answer.status in also:
                return answer
            refusal = refused(answer)
            pause = next(pauses, None)
            if not refusal.passing or pause is None:
                raise refusal
            pause = max(pause, retry_after(answer, patience.longest_seconds))
        yield Wait(pause)


def retry_after(answer: Answer, longest_seconds: float) -> float:
    """What the server asks for, within reason."""
    text = answer.headers.get("retry-after", "")
    return min(float(text), 2 * longest_seconds) if text.isdecimal() and len(text) < 6 else 0.0


def problem(answer: Answer) -> dict[str, Any]:
    """The members of a problem (RFC 9457); empty if it is none."""
    if not answer.headers.get("content-type", "").startswith("application/problem+json"):
        return {}
    try:
        return answer.json()
    except NetworkError:
        return {}  # its status tells


REMEDIES = {
    "unauthorized": "the token is wrong, expired or revoked; ask the operator for a new one, then `heclstm connect`",
    "forbidden": "ask the operator for a token with the scopes programs, keys and jobs",
    "quota-keys": "erase keys that are not used (`heclstm forget --key LABEL`), or ask the operator for more room",
    "quota-daily": "go on tomorrow, or ask the operator for a larger quota",
    "retired-program": "run `heclstm connect` again: it checks the successor and makes keys for it",
    "unknown-program": "run `heclstm connect` again",
    "secret-key": "make new keys with `heclstm rotate-keys`",
}


def refused(answer: Answer) -> RefusedError:
    """What a problem, or an answer that is none, means to a hospital."""
    found = problem(answer)
    code = _text(found.get("code"), 60)
    if not code:
        where = answer.headers.get("location", "")
        more = f", to {where[:200]}; connect to that URL if you trust it" if 300 <= answer.status < 400 else ""
        text = f"server: answered {answer.status}{more or '; is there another service at this URL?'}"
        return RefusedError(text, passing=answer.status in AGAIN)
    successor = _text(found.get("successor"), 64) or None
    said = _text(found.get("detail"), TEXT_MAX) or _text(found.get("title"), TEXT_MAX)
    remedy = f"; {REMEDIES[code]}" if code in REMEDIES else ""
    after = f" (its successor is {successor[:12]})" if successor else ""
    passing = answer.status in AGAIN and code not in FINAL
    return RefusedError(f"server: {code}: {said}{after}{remedy}", code, successor, passing=passing)


def _text(value: Any, length: int) -> str:
    return value[:length] if isinstance(value, str) else ""
