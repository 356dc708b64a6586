"""What the workstation does with a server, without a browser: set-up, sealed keys, crashes, cancelling, failures."""

import pytest

from heclstm.errors import InputError
from heclstm.network.hospital import made_of
from heclstm.network.trust import Wish
from heclstm.page.desk import Desk
from heclstm.page.progress import Progress
from heclstm.usecases.connect import look
from service.kit import wait_until
from service.page_kit import series

OPTIONS = {"threads": 1, "allow_insecure": True}
PASSPHRASE = "correct horse"


@pytest.fixture(scope="module")
def site(page_server, tmp_path_factory):
    """Set up as the page does it, with a sealed key."""
    import heclstm.storage.sealed

    before, heclstm.storage.sealed.LOG_N = heclstm.storage.sealed.LOG_N, 4
    folder = tmp_path_factory.mktemp("work") / "site"
    desk = Desk(folder, **OPTIONS)
    wish = Wish(page_server.url, folder, page_server.token("work"), ca=page_server.authority, allow_insecure=True)
    offer = look(wish)
    assert (offer.vouched, offer.certificate.subject) == (False, "127.0.0.1, localhost")
    assert not folder.exists()  # nothing is written down before somebody says yes
    assert not desk.ready
    desk.set_up(wish, PASSPHRASE)
    ended(desk.setting_up)
    assert (desk.setting_up.problem, desk.ready, desk.locked) == ("", True, False)
    desk.close()
    yield folder
    heclstm.storage.sealed.LOG_N = before


@pytest.fixture
def desk(site):
    made = Desk(site, **OPTIONS)
    made.unlock(PASSPHRASE)
    yield made
    made.close()


def ended(progress):
    wait_until(lambda: progress.state != "running", 60, lambda: progress.problem)


def handed_in(desk, **options):
    record = desk.records.new()
    series(desk.records.files(record.id), **options)
    return desk.records.change(record.id, patient="Doe, Jane", kept=True)


def started(desk, record):
    desk.start(record, desk.study(record))
    return desk.running[record.id]


def done(desk, record):
    wait_until(lambda: record.id not in desk.running and record.id not in desk.exporting, 60)
    return desk.records.get(record.id)


def under_way(desk):
    return desk.remote.hospital.pending.all()


def test_a_sealed_key_waits_for_its_passphrase(site):
    made = Desk(site, **OPTIONS)
    assert made.locked
    with pytest.raises(InputError, match="the passphrase is wrong"):
        made.unlock("wrong horse")
    assert made.locked
    made.unlock(PASSPHRASE)
    assert not made.locked
    made.close()


def test_from_files_to_a_result_and_what_lies_there_then(desk):
    record = handed_in(desk)
    started(desk, record)
    record = done(desk, record)
    assert (record.state, record.problem, record.query) == ("done", "", None)
    findings, images = desk.records.findings(record.id), desk.records.images(record.id)
    findings.case.require_images(images)
    assert (record.decision, record.score) == (findings.diagnosis.decision, findings.diagnosis.score)
    there = {path.name for path in (desk.records.folder / record.id).iterdir()}
    assert there == {"record.json", "images.npz", "diagnosis.json", "report.dcm", "summary.dcm"}
    assert under_way(desk) == []
    desk.erase(record)
    assert not (desk.records.folder / record.id).exists()


def test_what_was_sent_before_a_crash_is_read_afterwards(site, desk):
    """Killed after the query was sent; and another one before anything was."""
    record, lost = handed_in(desk), handed_in(desk)
    images = desk.study(record).images
    desk.records.keep_images(record.id, images.sequence)
    pending = desk.remote.transport.run(desk.remote.hospital.submit(made_of(images.sequence, "Doe, Jane", "")))
    desk.records.change(record.id, state="running", query=pending.query)
    desk.records.change(lost.id, state="running", query="1" * 32)
    later = Desk(site, **OPTIONS)
    later.unlock(PASSPHRASE)
    later.recover()
    assert later.records.get(lost.id).state == "received"
    record = later.records.get(record.id)
    assert (record.state, record.query) == ("running", pending.query)
    later.go_on(record)
    assert done(later, record).state == "done"
    assert under_way(later) == []
    with pytest.raises(InputError, match="nothing is under way"):
        later.go_on(later.records.get(lost.id))
    for each in (record, lost):
        later.erase(later.records.get(each.id))
    later.close()


def test_cancelling_ends_it_here_and_at_the_server(desk, page_server):
    record = handed_in(desk)
    progress = started(desk, record)
    desk.cancel(record)
    ended(progress)
    record = done(desk, record)
    assert record.state in ("received", "done")  # whichever was faster
    assert under_way(desk) == []
    assert page_server.tenant("work").http.get("/v1/jobs").json()["jobs"] == []
    desk.erase(record)


def test_a_cancelled_step_is_never_taken():
    progress = Progress.of(["first", "second"])
    progress.cancelled.set()
    from heclstm.errors import Cancelled

    with pytest.raises(Cancelled):
        progress.reach("second")
    assert progress.at == 0


def test_what_fails_is_told_and_can_be_tried_again(desk, monkeypatch):
    record = handed_in(desk)
    monkeypatch.setattr("heclstm.page.desk.diagnose_one", lambda *a, **b: (_ for _ in ()).throw(OSError("disk: full")))
    started(desk, record)
    record = done(desk, record)
    assert (record.state, record.problem) == ("failed", "disk: full")
    monkeypatch.undo()
    started(desk, record)
    record = done(desk, record)
    assert (record.state, record.problem) == ("done", "")
    desk.erase(record)


def test_what_cannot_be_sent_is_not(desk):
    record = handed_in(desk, count=1)  # of two
    found = desk.study(record)
    assert found.images is None
    assert "expected" in found.problem
    with pytest.raises(InputError, match="cannot be sent"):
        desk.start(record, found)
    desk.erase(record)


def test_the_time_left_is_told_in_words():
    progress = Progress.of(["wait", "evaluate"])
    progress.reach("wait", position=2, seconds_left=100)
    assert progress.left == "2 queries are before yours"
    progress.reach("evaluate", 0.5, seconds_left=12.0)
    assert progress.left == "about 12 seconds left"
    assert progress.to_json() == {
        "state": "running",
        "stages": [{"title": "wait", "state": "done"}, {"title": "evaluate", "state": "now"}],
        "share": 0.75,
        "left": "about 12 seconds left",
    }
    progress.reach("evaluate", seconds_left=600)
    assert progress.left == "about 10 minutes left"


def test_erasing_what_is_under_way_leaves_nothing(desk):
    """Neither the case, which holds a name, nor the job."""
    record = handed_in(desk)
    started(desk, record)
    wait_until(lambda: desk.records.get(record.id).query or record.id not in desk.running, 60)
    desk.erase(record)
    wait_until(lambda: record.id not in desk.running, 60)
    assert under_way(desk) == []
    assert not (desk.records.folder / record.id).exists()
