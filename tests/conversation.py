"""A conversation with a server, without a socket: a list of answers, and what is asked, waited for and concluded."""

import json

from heclstm.network.patience import Patience
from heclstm.network.steps import Answer, Ask, Do, Wait

PATIENCE = Patience(tries=4, first_seconds=1.0, longest_seconds=3.0)
GET = Ask("GET", "/v1/programs")
A, B, C = "a" * 64, "b" * 64, "c" * 64
LABEL = "1" * 32


def said(status=200, data=None, **headers):
    kind = "application/json" if status < 300 else "application/problem+json"
    return Answer(status, {"content-type": kind, **headers}, json.dumps({} if data is None else data).encode())


def problem(status, code, detail="something", headers=None, **members):
    return said(status, {"code": code, "detail": detail, **members}, **(headers or {}))


def play(steps, answers):
    """(result, requests, pauses) of a conversation that gets these answers; a Cut among them is thrown."""
    answers, asked, pauses = list(answers), [], []
    sent, error = None, None
    while True:
        try:
            step = steps.throw(error) if error else steps.send(sent)
        except StopIteration as end:
            assert not answers, "answers that nobody asked for"
            return end.value, asked, pauses
        sent = error = None
        if isinstance(step, Wait):
            pauses.append(step.seconds)
        elif isinstance(step, Do):
            sent = step.work()
        else:
            asked.append(step)
            answer = answers.pop(0)
            sent, error = (None, answer) if isinstance(answer, Exception) else (answer, None)
