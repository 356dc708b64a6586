"""What the service says: a JSON object a line, in one piece, with nothing that stood in a variable."""

import json
import logging
import threading

import pytest

from heclstm.service.logs import log, set_up


@pytest.fixture
def said(capsys):
    """Lines since the last look."""
    before = logging.root.handlers[:], logging.root.level
    set_up()
    yield lambda: [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    logging.root.handlers[:], logging.root.level = before[0], before[1]
    set_up_levels("info")


def set_up_levels(level):
    before = logging.root.handlers[:], logging.root.level
    set_up(level)
    logging.root.handlers[:], logging.root.level = before[0], before[1]


def test_an_event_is_a_line_with_its_facts(said):
    log("place").info("an event", job="j1", count=3, path={1})
    (line,) = said()
    assert line.pop("timestamp").endswith("Z")
    assert line == {"place": "place", "job": "j1", "count": 3, "path": "{1}", "event": "an event", "level": "info"}


def test_what_is_below_the_level_is_not_said(said):
    set_up_levels("error")
    log("place").info("no")
    log("place").warning("no")
    log("place").error("yes")
    assert [line["event"] for line in said()] == ["yes"]


def test_an_exception_tells_where_but_not_what(said):
    secret = "a patient's name"
    try:
        raise ValueError("reason")
    except ValueError:
        log("place").exception("failed", length=len(secret))
    (line,) = said()
    assert line["level"] == "error"
    assert "test_service_logs.py" in line["exception"]
    assert line["exception"].endswith("ValueError: reason")
    assert secret not in line["exception"]


def test_libraries_say_theirs_the_same_way_from_warnings_on(said):
    logging.getLogger("library").info("no")
    logging.getLogger("library").warning("so %s", "it is")
    try:
        raise KeyError("k")
    except KeyError:
        logging.getLogger("library").exception("broken")
    first, second = said()
    assert (first["event"], first["level"]) == ("so it is", "warning")
    assert second["exception"].endswith("KeyError: 'k'")


def test_threads_do_not_mix_their_lines(said):
    def say(number):
        for count in range(50):
            log(f"p{number}").info("event", count=count, long="x" * 3000)

    threads = [threading.Thread(target=say, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(said()) == 200


def test_a_log_that_is_gone_stops_nobody(said, monkeypatch):
    class Gone:
        def write(self, text):
            raise BrokenPipeError

    monkeypatch.setattr("sys.stderr", Gone())
    log("place").info("event")
