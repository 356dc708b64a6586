"""A study on its way, without server and PACS: what is tried again, what is put aside, how Orthanc's list is read."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace

import pytest

from heclstm.errors import (
    Cancelled,
    CertificateError,
    DigestError,
    NetworkError,
    NotAssessableError,
    OutputError,
    RangeError,
    RefusedError,
    ResourceError,
    SequenceError,
)
from heclstm.gateway import sender, stow
from heclstm.gateway.arrivals import Answer, Image, Places, take
from heclstm.gateway.config import Config, OrthancServer
from heclstm.gateway.journal import Journal, Report
from heclstm.gateway.orthanc import MARK, Orthanc
from heclstm.gateway.work import Work, _is_final
from heclstm.storage.settings import settings_of

SETTINGS = {
    "state": "",
    "senders": [{"title": "PACS", "address": "127.0.0.1"}],
    "store": {"title": "PACS", "address": "127.0.0.1:104"},
    "retry": {"first_seconds": 0.001, "longest_seconds": 0.001},
}


@pytest.fixture
def journal(tmp_path):
    opened = Journal(tmp_path)
    yield opened
    opened.close()


@pytest.fixture
def way(journal, tmp_path):
    """A study whose reports are to be stored, and who does its steps."""
    places = Places(tmp_path)
    places.make()
    assert take(Image("1.2.3", "1.2.3.4", b"d", b"d"), journal, places) is Answer.TAKEN
    study = journal.begin(journal.due(0)[0])
    journal.add_reports(study, [Report(f"2.25.{n}", "1.2", f"{n}.dcm", False, "", False) for n in (1, 2)], "print")
    work = Work(settings_of(SETTINGS, Config, ""), journal, places, None, threading.Event())

    def go_on(label=study.label):
        work.go_on(journal.study(label))
        return journal.study(label)

    return go_on


@pytest.fixture
def pacs(monkeypatch):
    """What the PACS was told: [(what, UIDs)]. Errors that it is to answer with first stand in `told.errors`."""

    class Told(list):
        errors = []

    told = Told()

    def store(reports, config):
        told.append(("store", [report.uid for report in reports]))
        if told.errors:
            raise told.errors.pop()

    def ask(reports, transaction, config):
        told.append(("ask", [report.uid for report in reports]))
        told.transaction = transaction
        if told.errors:
            raise told.errors.pop()

    monkeypatch.setattr(sender, "store", store)
    monkeypatch.setattr(sender, "ask", ask)
    return told


def test_reports_are_stored_once_and_done_when_the_pacs_has_confirmed(way, pacs, journal):
    assert way().state == "committing"
    assert way().state == "committing"  # nobody has answered
    assert pacs == [("store", ["2.25.1", "2.25.2"]), ("ask", ["2.25.1", "2.25.2"]), ("ask", ["2.25.1", "2.25.2"])]
    journal.answered(pacs.transaction, {"2.25.1", "2.25.2"}, set())
    assert way().state == "done"
    assert len(pacs) == 3


def test_what_a_pacs_failed_to_keep_is_stored_again_and_nothing_else(way, pacs, journal):
    way()
    journal.answered(pacs.transaction, {"2.25.1"}, {"2.25.2"})
    assert way().state == "storing"
    assert way().state == "committing"
    assert pacs[-2:] == [("store", ["2.25.2"]), ("ask", ["2.25.2"])]


def test_a_pacs_that_cannot_be_reached_is_tried_again(way, pacs):
    pacs.errors += [NetworkError("refused"), NetworkError("no answer")]
    assert (way().state, way().attempts) == ("storing", 2)
    assert way().state == "committing"
    pacs.errors += [NetworkError("does not take a commitment")]
    assert way().state == "committing"


def test_by_stow_rs_what_is_stored_is_done(way, journal, tmp_path, monkeypatch):
    """The PACS has said that it keeps them; one that was not reached is tried again."""
    asked = []

    def store(reports, config):
        asked.append([report.uid for report in reports])
        if len(asked) == 1:
            raise NetworkError("no answer")

    monkeypatch.setattr(stow, "store", store)
    config = settings_of(SETTINGS | {"store": {"url": "https://pacs/dicom-web"}}, Config, "")
    work = Work(config, journal, Places(tmp_path), None, threading.Event())
    (study,) = journal.all("storing")
    work.go_on(study)
    assert journal.study(study.label).attempts == 1
    work.go_on(study)
    assert journal.study(study.label).state == "done"
    assert asked == [["2.25.1", "2.25.2"]] * 2
    assert journal.reports(study) == []


@pytest.mark.parametrize("store", [{"url": "https://pacs/dicom-web"}, {**SETTINGS["store"], "commitment": False}])
def test_who_no_longer_asks_for_commitment_waits_for_none(way, pacs, journal, tmp_path, monkeypatch, store):
    """A study that waited for it when the settings were changed."""
    assert way().state == "committing"
    pacs.clear()
    monkeypatch.setattr(stow, "store", sender.store)
    config = settings_of(SETTINGS | {"store": store}, Config, "")
    (study,) = journal.all("committing")
    Work(config, journal, Places(tmp_path), None, threading.Event()).go_on(study)
    assert journal.study(study.label).state == "done"
    assert not [each for each in pacs if each[0] == "ask"]


def test_what_was_put_aside_while_it_was_stored_is_stored_after_all(way, pacs, journal, monkeypatch):
    """It was called done by the next try, and its report erased."""
    pacs.errors += [KeyError("a bug")]
    label = way().label
    assert journal.study(label).state == "aside"
    monkeypatch.setattr(Work, "_meant", lambda *_: SimpleNamespace(paths=("a",), print="print"))
    assert journal.retry(label)
    assert way().state == "committing"
    assert pacs[-2:] == [("store", ["2.25.1", "2.25.2"]), ("ask", ["2.25.1", "2.25.2"])]


def test_reports_that_were_never_stored_go_with_their_files(way, pacs, journal):
    """Else the same images would count as reported."""
    label = way().label
    study = journal.study(label)
    journal.add_reports(study, [Report("2.25.3", "1.2", "3.dcm", False, "", False)], "another")
    journal.forget_reports(study)
    assert [report.uid for report in journal.reports(study)] == ["2.25.1", "2.25.2"]
    assert journal.study(label).print == ""
    journal.forget_reports(study)


@pytest.mark.parametrize("change", ["another", "gone"])
def test_images_that_are_not_as_they_came_are_not_diagnosed(journal, tmp_path, change):
    """Somebody, or a disk, changed them: the report would have been on others. Sent again, they are taken again."""
    places = Places(tmp_path)
    places.make()
    image = Image("1.2.9", "1.2.9.1", b"pixels", b"head pixels")
    assert take(image, journal, places) is Answer.TAKEN
    work = Work(settings_of(SETTINGS, Config, ""), journal, places, None, threading.Event())
    (study,) = journal.due(0)
    (file,) = places.images(study.label).iterdir()
    if change == "gone":
        file.unlink()
    else:
        file.write_bytes(b"head pixelS")
    work.go_on(study)
    study = journal.study(study.label)
    assert (study.state, study.reason.partition(",")[0]) == ("aside", "images are gone from the disk")
    assert take(image, journal, places) is Answer.TAKEN
    assert file.read_bytes() == b"head pixels"
    assert take(image, journal, places) is Answer.KNOWN
    assert journal.study(study.label).state == "collecting"


def test_what_nobody_thought_of_puts_one_study_aside(way, pacs):
    pacs.errors += [KeyError("a bug")]
    found = way()
    assert (found.state, found.reason) == ("aside", "KeyError: 'a bug'")


def test_what_is_stopped_stays_where_it_was(way, pacs):
    pacs.errors += [Cancelled("stop")]
    found = way()
    assert (found.state, found.attempts) == ("storing", 0)


@pytest.mark.parametrize(
    ("error", "final"),
    [
        (NetworkError("no answer"), False),
        (CertificateError("expired"), False),
        (OutputError("full"), False),
        (OSError(28, "full"), False),
        (ResourceError("memory"), False),
        (RefusedError("busy", "busy", passing=True), False),
        (RefusedError("token", "unauthorized"), False),  # whoever gives a new one finds all studies waiting
        (RefusedError("retired", "retired-program"), False),
        (RefusedError("tomorrow", "quota-daily"), False),
        (RefusedError("failed at the server", "evaluation-failed"), True),
        (SequenceError("frames"), True),
        (NotAssessableError("frames"), True),
        (RangeError("score"), True),
        (DigestError("another query"), True),
        (ZeroDivisionError(), True),
    ],
)
def test_what_waits_and_what_is_put_aside(error, final):
    assert _is_final(error) is final


class Fake:
    """An Orthanc: its changes, what was asked of it, and whether it can send just now."""

    def __init__(self, changes):
        self.changes, self.sent, self.failing, self.deleted, self.heads = changes, [], 0, set(), []
        fake = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                path, _, query = self.path.partition("?")
                fake.heads.append(self.headers.get("Authorization"))
                if path == "/changes" and query == "last":
                    self.answer({"Last": len(fake.changes), "Changes": []})
                elif path == "/changes":
                    since = int(query.split("&")[0].removeprefix("since="))
                    found = fake.changes[since : since + 2]
                    self.answer({"Changes": found, "Done": since + 2 >= len(fake.changes), "Last": since + len(found)})
                else:
                    self.answer({}, 404 if path.removeprefix("/studies/") in fake.deleted else 200)

            def do_POST(self):
                (study,) = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["Resources"]
                if fake.failing > 0 or study in fake.deleted:
                    fake.failing -= 1
                    self.answer({}, 500)
                    return
                fake.sent.append(study)
                self.answer({})

            def answer(self, data, status=200):
                body = json.dumps(data).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"


@pytest.fixture
def fake():
    kinds = ["NewInstance", "StableStudy", "StableStudy", "StableSeries", "StableStudy"]
    changes = [{"Seq": n + 1, "ChangeType": kind, "ID": f"study{n}"} for n, kind in enumerate(kinds)]
    found = Fake(changes)
    yield found
    found.server.shutdown()
    found.server.server_close()


def read_all(orthanc, stop=None):
    while orthanc.turn(stop or threading.Event()):
        pass


def test_each_stable_study_is_asked_for_once_also_after_a_restart(journal, fake):
    read_all(Orthanc(OrthancServer(url=fake.url, earlier=True), journal))
    read_all(Orthanc(OrthancServer(url=fake.url, earlier=True), journal))
    assert fake.sent == ["study1", "study2", "study4"]
    assert journal.mark(MARK) == 5


def test_studies_from_before_the_first_start_are_left_alone(journal, fake):
    orthanc = Orthanc(OrthancServer(url=fake.url, user="u", password="p"), journal)
    read_all(orthanc)
    assert fake.sent == []
    fake.changes.append({"Seq": 6, "ChangeType": "StableStudy", "ID": "new"})
    read_all(orthanc)
    assert fake.sent == ["new"]
    assert set(fake.heads) == {"Basic dTpw"}


def test_what_could_not_be_sent_is_asked_for_again_and_what_is_deleted_is_passed_over(journal, fake):
    """Without keeping the others waiting: nothing is lost while this gateway is down or full."""
    orthanc = Orthanc(OrthancServer(url=fake.url, earlier=True), journal)
    fake.failing = 1
    fake.deleted.add("study2")
    with pytest.raises(NetworkError, match="answered 500"):
        read_all(orthanc)
    assert journal.owed() == ["study1"]
    assert "study1" not in fake.sent
    assert fake.sent[-1] == "study4"
    read_all(orthanc)
    assert fake.sent[-1] == "study1"
    assert journal.owed() == []


def test_an_orthanc_that_is_not_there_is_asked_again(journal, fake):
    absent = Orthanc(OrthancServer(url="http://127.0.0.1:1", every_seconds=0.01), journal)
    with pytest.raises(NetworkError, match="no answer"):
        absent.turn(threading.Event())
    stop = threading.Event()
    thread = threading.Thread(target=absent.watch, args=[stop])
    thread.start()
    stop.set()
    thread.join(5)
    assert not thread.is_alive()
