"""What a gateway remembers: every image once, every study one step at a time, also across a crash."""

import threading
import time
from pathlib import Path

import pytest
from msgspec import structs

from heclstm.errors import ConfigError, InputError, OutputError
from heclstm.gateway import loop
from heclstm.gateway.arrivals import Answer, Image, Places, take
from heclstm.gateway.config import Config, Retry, _contradictions, load_config
from heclstm.gateway.health import health
from heclstm.gateway.journal import Journal, Report
from heclstm.gateway.status import erased, status_of
from heclstm.storage.settings import settings_of

ROOT = Path(__file__).parents[2]
SENDERS = [{"title": "PACS", "address": "10.1.0.0/24"}, {"title": "US 1", "address": "10.2.0.7"}]
SETTINGS = {"state": "state", "senders": SENDERS, "store": {"title": "PACS", "address": "10.1.0.3:104"}}


def image(number=0, study="1.2.3", content=b"data"):
    return Image(study, f"1.2.3.{number}", content, b"head" + content)


@pytest.fixture
def kept(tmp_path):
    places = Places(tmp_path)
    places.make()
    journal = Journal(tmp_path)
    yield journal, places
    journal.close()


def only(journal):
    """The one study that is known."""
    (found,) = [study for state in journal.counts() for study in journal.all(state)]
    return found


def files(places, study):
    return sorted(path.read_bytes() for path in places.images(study.label).glob("*"))


def test_an_image_is_taken_once(kept):
    journal, places = kept
    assert take(image(1), journal, places) is Answer.TAKEN
    assert take(image(2), journal, places) is Answer.TAKEN
    assert take(image(1), journal, places) is Answer.KNOWN
    study = only(journal)
    assert (study.state, study.arrivals) == ("collecting", 2)
    assert files(places, study) == [b"headdata"] * 2
    assert journal.due(60) == []
    assert [each.label for each in journal.due(0)] == [study.label]


def test_a_clock_that_is_set_back_delays_no_study(kept, monkeypatch):
    """It waited until the clock had come back to where it was, and nobody was told."""
    journal, places = kept
    take(image(1), journal, places)
    came = only(journal).changed
    monkeypatch.setattr("heclstm.gateway.journal.time.time", lambda: came - 3600)
    assert journal.due(60) == []
    assert journal.oldest() == came - 3600
    monkeypatch.setattr("heclstm.gateway.journal.time.time", lambda: came - 3530)
    assert [each.label for each in journal.due(60)] == [only(journal).label]


def test_a_clock_that_is_set_back_ends_pauses(kept, monkeypatch):
    """Of a study that came before the jump, and waits for its next attempt."""
    journal, places = kept
    now = time.time()
    monkeypatch.setattr("heclstm.gateway.journal.time.time", lambda: now - 7200)
    take(image(1), journal, places)
    journal.move(only(journal), "storing")
    monkeypatch.setattr("heclstm.gateway.journal.time.time", lambda: now)
    journal.again(only(journal), 5, "no answer")
    assert journal.due(60) == []
    monkeypatch.setattr("heclstm.gateway.journal.time.time", lambda: now - 3600)
    assert [each.label for each in journal.due(60)] == [only(journal).label]


def test_what_was_taken_is_known_after_a_crash(kept, tmp_path):
    journal, places = kept
    take(image(1), journal, places)
    again = Journal(tmp_path)  # the first one was never closed
    assert take(image(1), again, places) is Answer.KNOWN
    assert only(again).arrivals == 1
    again.close()


def test_files_and_names_hold_no_uid(kept, tmp_path):
    journal, places = kept
    take(image(1), journal, places)
    held = (
        b"".join(path.read_bytes() for path in tmp_path.glob("journal.db*")) + str(list(tmp_path.rglob("*"))).encode()
    )
    assert b"1.2.3" not in held
    assert all(path.stat().st_mode & 0o077 == 0 for path in tmp_path.rglob("*") if "journal.db-" not in path.name)


def test_two_images_of_one_uid_put_the_study_aside_until_it_is_erased(kept):
    journal, places = kept
    take(image(1), journal, places)
    assert take(image(1, content=b"other"), journal, places) is Answer.OTHER
    assert take(image(1), journal, places) is Answer.OTHER  # nobody knows which one is meant
    assert only(journal).state == "aside"
    take(image(2), journal, places)
    assert journal.begin(only(journal)).state != "aside"  # a new image: it is looked at again, and found disputed
    assert [each.digest == "" for each in journal.images(only(journal))].count(True) == 1
    journal.move(only(journal), "aside", "disputed")
    erased(journal, structs.replace(settings_of(SETTINGS, Config, ""), state=str(places.folder)), only(journal).label)
    assert take(image(1), journal, places) is Answer.TAKEN
    assert only(journal).arrivals == 1


def test_a_full_disk_takes_nothing_and_says_so(kept):
    journal, places = kept
    full = Places(places.folder, 1 << 60)
    assert take(image(1), journal, full) is Answer.FULL
    assert health(journal, full)["state"] == "full"
    assert health(journal, places)["state"] == "ok"
    take(image(1), journal, places)
    assert take(image(1), journal, full) is Answer.KNOWN  # it lies here already


def test_reports_of_ours_that_come_back_are_no_images(kept):
    journal, places = kept
    take(image(1), journal, places)
    journal.add_reports(only(journal), [Report("2.25.7", "1.2", "r.dcm", False, "", False)], "print")
    assert take(Image("1.2.3", "2.25.7", b"r", b"r"), journal, places) is Answer.KNOWN
    assert only(journal).arrivals == 1


def test_images_that_come_while_a_study_is_under_way_wait_for_the_next_round(kept):
    journal, places = kept
    take(image(1), journal, places)
    study = journal.begin(only(journal))
    journal.move(study, "diagnosing")
    take(image(2), journal, places)
    assert only(journal).state == "diagnosing"
    assert len(journal.images(study)) == 1
    assert journal.move(study, "done") == "collecting"
    assert len(journal.images(journal.begin(only(journal)))) == 2
    assert journal.move(only(journal), "done") == "done"


def test_a_commitment_is_heard_once_and_what_failed_is_stored_again(kept):
    journal, places = kept
    take(image(1), journal, places)
    reports = [Report(f"2.25.{number}", "1.2", f"{number}.dcm", False, "", False) for number in (1, 2)]
    journal.add_reports(only(journal), reports, "print")
    journal.stored(["2.25.1", "2.25.2"], committed=False)
    journal.asked(["2.25.1", "2.25.2"], "2.25.99")
    assert journal.answered("2.25.98", {"2.25.1"}, set()) is None
    assert journal.answered("", {"2.25.1"}, set()) is None
    assert journal.answered("2.25.99", {"2.25.1", "2.25.77"}, {"2.25.2"}).label == only(journal).label
    (left,) = journal.reports(only(journal))
    assert (left.uid, left.stored) == ("2.25.2", False)
    assert journal.answered("2.25.99", {"2.25.1"}, set()) is not None  # told twice
    assert journal.answered("2.25.99", {"2.25.2"}, set()) is not None  # of the first, so it does not count
    assert [each.uid for each in journal.reports(only(journal))] == ["2.25.2"]


def test_what_waits_is_told_and_tried_again_with_longer_pauses(kept):
    journal, places = kept
    take(image(1), journal, places)
    journal.move(journal.begin(only(journal)), "diagnosing")
    for _ in range(3):
        journal.again(only(journal), 1000, "NetworkError: no answer")
    assert journal.due(0) == []
    assert health(journal, places)["state"] == "troubled"
    assert "no answer" in "\n".join(status_of(journal))
    assert [Retry(1, 5).pause(attempts) for attempts in (0, 1, 2, 3, 999)] == [1, 2, 4, 5, 5]


def test_only_what_was_put_aside_is_taken_up_and_only_what_rests_is_erased(kept):
    journal, places = kept
    take(image(1), journal, places)
    study = only(journal)
    assert not journal.retry(study.label)
    config = structs.replace(settings_of(SETTINGS, Config, ""), state=str(places.folder))
    with pytest.raises(InputError, match="no study .* rests"):
        erased(journal, config, study.label)
    journal.begin(study)
    journal.move(study, "aside", "SequenceError: two series fit")
    assert "two series fit" in "\n".join(status_of(journal))
    assert journal.retry(study.label)
    assert [each.label for each in journal.due(0)] == [study.label]


def test_what_rested_long_enough_is_erased_and_can_come_again(kept):
    journal, places = kept
    config = settings_of(SETTINGS | {"keep": {"done_days": 0.0, "known_days": 400.0}}, Config, "")
    for number in (1, 2):
        take(image(number), journal, places)
    study = journal.begin(only(journal))
    journal.add_reports(study, [], "print")
    journal.move(study, "done")
    places.report(study.label, "print", "report.dcm").touch()
    loop.sweep(config, journal, places)
    assert not places.images(study.label).exists()
    assert not list((places.folder / "reports").iterdir())
    assert take(image(1), journal, places) is Answer.KNOWN  # it was diagnosed
    assert take(image(3), journal, places) is Answer.TAKEN  # one more: now all are needed again
    assert [each.present for each in journal.images(journal.begin(only(journal)))].count(False) == 2
    assert [take(image(number), journal, places) for number in (1, 2)] == [Answer.TAKEN] * 2
    assert all(each.present for each in journal.images(journal.begin(only(journal))))


def test_sweeping_spares_an_image_that_came_meanwhile(kept):
    journal, places = kept
    take(image(1), journal, places)
    study = journal.begin(only(journal))
    journal.move(study, "done")
    resting = only(journal)
    take(image(2), journal, places)
    places.erase_images(study.label, journal.forget_images(resting))
    assert len(files(places, study)) == 2


def test_after_a_year_a_study_is_forgotten(kept):
    journal, places = kept
    take(image(1), journal, places)
    journal.move(journal.begin(only(journal)), "ignored")
    loop.sweep(settings_of(SETTINGS | {"keep": {"done_days": 0.0, "known_days": 0.0}}, Config, ""), journal, places)
    assert sum(journal.counts().values()) == 0


def test_threads_share_a_journal(kept):
    journal, places = kept
    answers = []

    def send():
        answers.extend(take(image(number), journal, places) for number in range(8))

    threads = [threading.Thread(target=send) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(answers) <= {Answer.TAKEN, Answer.KNOWN}
    assert len(journal.images(journal.begin(only(journal)))) == 8
    assert len(files(places, only(journal))) == 8


def test_a_journal_that_is_none_is_refused(tmp_path):
    (tmp_path / "journal.db").write_text("no database, but long enough to be looked at as one" * 20)
    with pytest.raises(OutputError, match="cannot be used as a journal"):
        Journal(tmp_path)


# configuration


def test_the_sample_is_fine(tmp_path):
    (tmp_path / "gateway.toml").write_text((ROOT / "deploy" / "gateway" / "gateway.toml").read_text())
    config = load_config(tmp_path / "gateway.toml")
    assert config.selection.modality == ("US",)
    assert config.knows("ORTHANC", "127.0.0.1")


@pytest.mark.parametrize(
    ("title", "address", "known"),
    [
        ("PACS", "10.1.0.200", True),
        ("PACS ", "10.1.0.200", True),  # titles are padded
        ("PACS", "::ffff:10.1.0.200", True),
        ("PACS", "10.2.0.7", False),
        ("US 1", "10.2.0.7", True),
        ("us 1", "10.2.0.7", False),
        ("US 1", "10.2.0.8", False),
    ],
)
def test_title_and_address_both_have_to_fit(title, address, known):
    assert settings_of(SETTINGS, Config, "").knows(title, address) is known


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"senders": []}, "length >= 1"),
        ({"colour": 1}, "colour: is not known"),
        ({"quiet_seconds": 0}, "quiet_seconds"),
        ({"senders": [{"title": "PACS", "address": "ward"}]}, "'ward' is no address or network"),
        ({"senders": [{"title": "OTHER", "address": "10.1.0.3"}]}, "is not among them"),
        ({"store": {"title": "SEVENTEEN LETTERS", "address": "a:1"}}, "'SEVENTEEN LETTERS' is no AE title"),
        ({"store": {"title": "PACS", "address": "a"}}, "store: 'a' is no address and port"),
        ({"health": "8104"}, "health: '8104' is no address and port"),
        ({"store": {"title": "PACS", "address": "a:99999"}}, "is no address and port"),
        ({"store": {"title": "PACS", "address": "a:1", "url": "https://pacs"}}, "for STOW-RS, and not both"),
        ({"store": {"url": "pacs/dicom-web"}}, "url"),
        ({"store": {"url": "https://pacs", "user": "u", "token": "t"}}, "or a token, and not both"),
        ({"store": {"url": "http://pacs", "authority": "ca.pem"}}, "an authority is of TLS"),
        ({"store": {"title": "PACS", "address": "a:1", "token": "t"}}, "which needs a url"),
        ({"store": {}}, "'' is no AE title"),
        ({"listen": {"certificate": "c.pem"}}, "a certificate and its key"),
        ({"listen": {"authority": "c.pem"}}, "needs a certificate"),
        ({"select": {"modalities": ["US"]}}, "select: got modalities"),
        ({"select": {"series": 2}}, "series is a number in one study's list"),
    ],
)
def test_mistakes_are_named(tmp_path, change, said):
    with pytest.raises(ConfigError, match=said):
        settings_of(SETTINGS | change, Config, "gateway.toml", _contradictions)


def test_by_stow_rs_neither_a_title_nor_a_sender_of_the_pacs_is_needed():
    store = {"url": "https://pacs/dicom-web"}
    config = settings_of(
        SETTINGS | {"store": store, "senders": [{"title": "US", "address": "10.1.0.3"}]}, Config, "", _contradictions
    )
    assert config.store.commitment
    assert not config.store.asks_commitment  # its answer is one


def test_paths_begin_at_the_file(tmp_path):
    (tmp_path / "g.toml").write_text(
        'state = "state"\nsite = "/srv/site"\n[[senders]]\ntitle = "PACS"\naddress = "10.1.0.3"\n'
        '[store]\ntitle = "PACS"\naddress = "pacs:104"\nauthority = "ca.pem"\n'
    )
    config = load_config(tmp_path / "g.toml")
    assert (config.state, config.site) == (str(tmp_path / "state"), "/srv/site")
    assert config.store.authority == str(tmp_path / "ca.pem")
    (tmp_path / "g.toml").write_text("state = ")
    with pytest.raises(ConfigError, match="is no TOML"):
        load_config(tmp_path / "g.toml")


def test_a_dispute_while_a_study_is_under_way_is_not_forgotten(kept):
    journal, places = kept
    take(image(1), journal, places)
    journal.move(journal.begin(only(journal)), "diagnosing")
    assert take(image(1, content=b"other"), journal, places) is Answer.OTHER
    assert journal.is_disputed(only(journal))
    assert journal.move(only(journal), "done") == "aside"


def test_what_waited_long_is_kept_after_it_was_put_aside(kept):
    journal, places = kept
    take(image(1), journal, places)
    with journal._writing():
        journal._base.execute("UPDATE studies SET changed = changed - 1e7")
    journal.move(journal.begin(only(journal)), "aside", "x")
    loop.sweep(settings_of(SETTINGS, Config, ""), journal, places)
    assert len(files(places, only(journal))) == 1


def test_what_a_killed_process_left_goes_at_the_next_start(kept):
    """Half-written files, and images whose sender was never answered, hold patients too."""
    journal, places = kept
    take(image(1), journal, places)
    study = only(journal)
    for path in (
        places.image(study.label, ".heclstm-0011"),
        places.image(study.label, "unknown.dcm"),
        places.folder / "reports" / ".heclstm-22",
    ):
        path.write_bytes(b"left")
    (places.folder / "images" / "nobody").mkdir()
    (places.folder / "images" / "nobody" / "a.dcm").write_bytes(b"left")
    places.tidy(journal)
    assert files(places, study) == [b"headdata"]
    assert [path.name for path in (places.folder / "images").iterdir()] == [study.label]
    assert not list((places.folder / "reports").iterdir())


def test_an_image_whose_file_is_gone_is_taken_again(kept):
    journal, places = kept
    take(image(1), journal, places)
    for path in places.images(only(journal).label).iterdir():
        path.unlink()
    assert take(image(1), journal, places) is Answer.TAKEN
    assert files(places, only(journal)) == [b"headdata"]
