"""What a hospital remembers of a query: nothing is typed twice, and no result is read for another patient."""

import io
import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
from msgspec import structs

from heclstm.card.operating_point import OperatingPoint
from heclstm.card.preparation import Preparation
from heclstm.data.handed_in import HandedIn
from heclstm.data.sequence import ImageSequence
from heclstm.deploy import case as module
from heclstm.deploy.case import Case, case_path, find_case, images_digest
from heclstm.deploy.wire import Kind, Message, read_header
from heclstm.errors import DigestError, FileFormatError, InputError, NotAssessableError, OutputError
from heclstm.usecases import decrypt, encrypt, keygen, report, run
from heclstm.usecases.events import Recorded
from messages import sealed
from random_models import random_frames
from tiny_program import CONFIG, tiny_program

PADDED = Preparation("frames", (2, 1, 8, 8), 2, 1, 8, 8, length="pad")
PROGRAM = tiny_program(preparation=PADDED, operating_points=(OperatingPoint(0.0, 0.95, 1.0, 0.9, 40, 40, frames=1),
                       OperatingPoint(-0.5, 0.95, 1.0, 0.9, 40, 40, frames=2)))  # fmt: skip
INSECURE = {"allow_insecure": True}
FRAMES = random_frames(CONFIG, 1, 3)[0].astype(np.float32)
SHORT = ImageSequence(np.stack([FRAMES[0], FRAMES[0]]), "short", 1)


def handed(sequence):
    return HandedIn(sequence, "by names", ("a.png",), "pictures", (0,), ("a\x07note",))


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    return keygen.keygen(PROGRAM.card, tmp_path_factory.mktemp("keys") / "keys", **INSECURE)


@pytest.fixture(scope="module")
def sent_once(keys, tmp_path_factory):
    folder = tmp_path_factory.mktemp("sent") / "files"
    folder.mkdir()
    made = encrypt.encrypt(
        PROGRAM.card, handed(SHORT), keys.secret, folder / "query.he", name="case 7", study="S-1", **INSECURE
    )
    run.run(PROGRAM, folder / "query.he", keys.evaluation, folder / "result.he")
    return folder, made


@pytest.fixture
def sent(sent_once, tmp_path):
    """One patient's query, its case, and the result, in a folder: copies for each test."""
    folder, made = sent_once
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    return replace(made, output=tmp_path / made.output.name, beside=tmp_path / made.beside.name)


def test_the_case_says_all_that_decrypt_and_report_need(sent, keys, tmp_path):
    path = tmp_path / "query.case"
    assert path.stat().st_mode & 0o777 == 0o600
    assert Case.read(path) == sent.case
    assert (sent.case.name, sent.case.study, sent.case.frames, sent.case.order) == ("case 7", "S-1", 1, "by names")
    assert sent.case.notes == ("a note",)
    assert sent.to_json()["case"] == str(path)
    found = decrypt.decrypt(PROGRAM.card, tmp_path / "result.he", keys.secret, tmp_path / "d.json", **INSECURE)
    assert (found.diagnosis.name, found.diagnosis.frames, found.diagnosis.threshold) == ("case 7", 1, 0.0)
    again = report.Findings.load(tmp_path / "d.json")
    assert again == found
    assert again.case == sent.case
    for changes in ({"frames": 2}, {"program": "0" * 64}):
        altered = {**again.to_json(), "case": {**again.to_json()["case"], **changes}}
        with pytest.raises(FileFormatError, match="its case is of another program or number of frames"):
            report.Findings.load(sealed(altered))
    shown = report.report(again, SHORT).page
    assert "case 7" in shown
    assert "Frames stand by names. A note." in shown
    with pytest.raises(DigestError, match="are not the images that were encrypted for this result"):
        report.report(again, ImageSequence(FRAMES))


def test_a_case_knows_the_files_that_were_encrypted(sent, keys, tmp_path):
    """Others that show the same are told; where the images are others, it is said which files are."""
    assert sent.case.files == ()  # handed in as an array
    images, files, heard = replace(handed(SHORT), files=("1" * 64, "2" * 64)), ("1" * 64, "3" * 64), Recorded()
    made = encrypt.encrypt(PROGRAM.card, images, keys.secret, tmp_path / "files.he", **INSECURE)
    assert Case.read(tmp_path / "files.case").files == images.files
    run.run(PROGRAM, tmp_path / "files.he", keys.evaluation, tmp_path / "r.he")
    found = decrypt.decrypt(PROGRAM.card, tmp_path / "r.he", keys.secret, case=made.case, **INSECURE)
    report.report(found, SHORT, files=images.files, events=heard)
    assert not heard.notes
    report.report(found, SHORT, files=files, events=heard)
    assert heard.notes == ["note: 1 of 2 files are not those that were encrypted, but show the same images"]
    for other, words in (
        (files, ": 1 of 2 files are others;"),
        (images.files[:1], ": 1 of 2 files are missing;"),
        (images.files, ": the files are the same, but stand in another order or are prepared in another way;"),
        ((), "for this result;"),
    ):
        with pytest.raises(DigestError, match=words):
            report.report(found, ImageSequence(FRAMES), files=other)


def test_a_diagnosis_without_a_digest_is_told(sent, keys, tmp_path):
    found = decrypt.decrypt(PROGRAM.card, tmp_path / "result.he", keys.secret, **INSECURE)
    heard = Recorded()
    report.report(replace(found, digested=False), SHORT, events=heard)
    assert heard.notes == [
        "note: this diagnosis is of an earlier release, without a digest: a change of it cannot be noticed"
    ]


def test_frames_that_are_left_out_are_told_in_the_report(keys):
    images = HandedIn(SHORT, "by names", tuple("abc"), "pictures", (0, 2))
    made = encrypt.encrypt(PROGRAM.card, images, keys.secret, **INSECURE)
    assert made.case.notes == ("2 of 3 frames are used, evenly spaced: 1, 3",)


def test_nothing_can_be_typed_that_the_case_contradicts(sent, keys, tmp_path):
    """Two frames where one was right once turned a positive into a negative."""
    for wrong in ({"frames": 2}, {"name": "case 8"}):
        with pytest.raises(InputError, match="is another than the case says"):
            decrypt.decrypt(PROGRAM.card, tmp_path / "result.he", keys.secret, **wrong, **INSECURE)
    for right in (
        {"frames": 1},
        {"name": "case 7"},
        {"query": tmp_path / "query.he"},
        {"case": tmp_path / "query.case"},
    ):
        decrypt.decrypt(PROGRAM.card, tmp_path / "result.he", keys.secret, **right, **INSECURE)


def test_a_result_is_read_with_the_case_of_its_own_query_alone(sent, keys, tmp_path):
    other = encrypt.encrypt(PROGRAM.card, handed(SHORT), keys.secret, tmp_path / "other.he", **INSECURE)
    result = tmp_path / "result.he"
    for wrong in (tmp_path / "other.case", other.case):
        with pytest.raises(DigestError, match="answers query .* but the case is that of query"):
            decrypt.decrypt(PROGRAM.card, result, keys.secret, case=wrong, **INSECURE)
    assert find_case(sent.case.query, [tmp_path]) == sent.case  # among several
    (tmp_path / "query.case").unlink()
    with pytest.raises(FileFormatError, match=r"whose case is not in .*give the file that `heclstm encrypt` left"):
        decrypt.decrypt(PROGRAM.card, result, keys.secret, **INSECURE)
    with pytest.raises(InputError, match="comes without the case"):
        decrypt.decrypt(PROGRAM.card, io.BytesIO(result.read_bytes()), keys.secret, **INSECURE)
    found = decrypt.decrypt(PROGRAM.card, result.read_bytes(), keys.secret, case=sent.case, **INSECURE)
    assert found.diagnosis.name == "case 7"


@pytest.mark.parametrize("change", [('"frames": 1', '"frames": 2'), ("case 7", "case 8"), ("by names", "by number")])
def test_a_case_that_was_changed_since_is_refused(sent, keys, tmp_path, change):
    """Another number of frames is another score, and a name another patient."""
    path, result = tmp_path / "query.case", tmp_path / "result.he"
    text = path.read_text()
    path.write_text(text.replace(*change))
    assert path.read_text() != text
    for given in ({}, {"case": path}, {"case": tmp_path}):
        with pytest.raises(DigestError, match=r"query\.case: was changed since it was written"):
            decrypt.decrypt(PROGRAM.card, result, keys.secret, **given, **INSECURE)
    sent.case.save(tmp_path / "copy.case")  # one that is whole is found beside it
    assert decrypt.decrypt(PROGRAM.card, result, keys.secret, **INSECURE).case == sent.case


def test_cases_of_earlier_releases_are_read(sent, tmp_path):
    """They carry no digest."""
    (tmp_path / "old.case").write_text(json.dumps(sent.case.to_json()))
    assert Case.read(tmp_path / "old.case") == sent.case


def test_without_a_case_no_images_are_shown_unseen(sent, keys, tmp_path):
    """Of the queries of earlier releases."""
    found = decrypt.decrypt(
        PROGRAM.card, tmp_path / "result.he", keys.secret, without_case=True, frames=1, name="old", **INSECURE
    )
    assert (found.case, found.diagnosis.name) == (None, "old")
    with pytest.raises(FileFormatError, match="nobody knows whose images"):
        report.report(found, SHORT)
    assert "Nobody compared these images" in report.report(found, SHORT, unchecked_images=True).page


def test_too_few_frames_are_refused_before_they_are_sent(keys, tmp_path):
    program = tiny_program(preparation=PADDED, operating_points=(OperatingPoint(0.0, frames=2),))
    with pytest.raises(NotAssessableError, match="not assessable: got 1 frame, expected 2"):
        encrypt.encrypt(program.card, handed(SHORT), keys.secret, tmp_path / "query.he", **INSECURE)
    assert list(tmp_path.iterdir()) == []


def test_a_query_that_cannot_be_written_leaves_no_case(keys, tmp_path):
    (tmp_path / "query.he").mkdir()
    with pytest.raises(OutputError, match="is a folder"):
        encrypt.encrypt(PROGRAM.card, handed(SHORT), keys.secret, tmp_path / "query.he", **INSECURE)
    assert not (tmp_path / "query.case").exists()
    with pytest.raises(OutputError, match="is the name of the case"):
        case_path(tmp_path / "query.case")


def test_a_query_that_fails_leaves_the_case_of_the_one_before(sent, keys, tmp_path, monkeypatch):
    """Its result could not be read any more."""
    before = (tmp_path / "query.case").read_bytes()

    def full(*_):
        raise OutputError("no space left")

    monkeypatch.setattr(Message, "save", full)
    with pytest.raises(OutputError, match="no space left"):
        encrypt.encrypt(PROGRAM.card, handed(SHORT), keys.secret, tmp_path / "query.he", name="other", **INSECURE)
    assert (tmp_path / "query.case").read_bytes() == before


def test_a_signal_between_case_and_query_leaves_neither(keys, tmp_path, monkeypatch):
    """The case had its name already, and the query was not begun."""
    save = Case.save

    def interrupted(case, path):
        save(case, path)
        raise KeyboardInterrupt

    monkeypatch.setattr(Case, "save", interrupted)
    with pytest.raises(KeyboardInterrupt):
        encrypt.encrypt(PROGRAM.card, handed(SHORT), keys.secret, tmp_path / "query.he", **INSECURE)
    assert not list(tmp_path.glob("query*"))


@pytest.mark.parametrize("again", [False, True], ids=["new", "over another"])
def test_a_signal_when_both_stand_leaves_both(keys, tmp_path, monkeypatch, again):
    """The case of a query that has its name already was taken away, and nobody could read its result."""
    where, save = tmp_path / "query.he", Message.save
    if again:
        encrypt.encrypt(PROGRAM.card, handed(SHORT), keys.secret, where, name="former", **INSECURE)

    def interrupted(query, path):
        save(query, path)
        raise KeyboardInterrupt

    monkeypatch.setattr(Message, "save", interrupted)
    with pytest.raises(KeyboardInterrupt):
        encrypt.encrypt(PROGRAM.card, handed(SHORT), keys.secret, where, name="this", **INSECURE)
    cases = {case.query: case.name for case in map(Case.read, tmp_path.glob("*.case"))}
    assert cases[read_header(where, Kind.QUERY).query] == "this"


@pytest.mark.parametrize(("first", "then"), [("query.he", "query.bin"), ("a.b.he", "a.b.bin"), ("query", "query.he")])
def test_no_case_is_replaced_by_that_of_another_query(keys, tmp_path, first, then):
    """q.bin beside q.he took the case of q.he, whose result could not be read any more."""

    def encrypted(name, patient):
        return encrypt.encrypt(PROGRAM.card, handed(SHORT), keys.secret, tmp_path / name, name=patient, **INSECURE)

    one, other = encrypted(first, "one"), encrypted(then, "other")
    assert other.beside.name == f"{one.beside.stem}-{other.case.query[:12]}.case"
    (tmp_path / first).rename(tmp_path / "sent")  # and then a third under the name of what was sent
    third = encrypted(first, "third")
    for made, query in ((one, "sent"), (other, then), (third, first)):
        assert Case.read(made.beside) == made.case
        result = tmp_path / f"{query}.result"
        run.run(PROGRAM, tmp_path / query, keys.evaluation, result)
        assert decrypt.decrypt(PROGRAM.card, result, keys.secret, **INSECURE).case == made.case


def test_a_query_that_is_written_again_leaves_the_case_of_what_was_sent(sent, keys, tmp_path):
    """The result of the first, which was run before, was read with no case any more."""
    again = encrypt.encrypt(
        PROGRAM.card, handed(SHORT), keys.secret, tmp_path / "query.he", name="case 8", study="S-2", **INSECURE
    )
    assert again.beside == tmp_path / f"query-{again.case.query[:12]}.case"
    assert again.to_json()["case"] == str(again.beside)
    run.run(PROGRAM, tmp_path / "query.he", keys.evaluation, tmp_path / "again.he")
    for result, made in (("result.he", sent), ("again.he", again)):
        found = decrypt.decrypt(PROGRAM.card, tmp_path / result, keys.secret, **INSECURE)
        assert (found.case, Case.read(made.beside), found.diagnosis.name) == (made.case, made.case, made.case.name)


def test_the_digest_of_images_depends_on_all_that_counts():
    digests = {images_digest(each) for each in (SHORT, ImageSequence(SHORT.frames), ImageSequence(FRAMES))}
    assert len(digests) == 3
    assert images_digest(ImageSequence(FRAMES.copy(order="F"))) == images_digest(ImageSequence(FRAMES))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": "heclstm-diagnosis"}, "expected 'heclstm-case' of version 1"),
        ({"version": 2}, "expected 'heclstm-case' of version 1"),
        ({"images": "ab"}, "of 64 hex digits"),
        ({"query": "x" * 32}, "of 32 hex digits"),
        ({"frames": 0}, ">= 1"),
        ({"name": "\x1b[2J"}, "without control characters"),
        ({"envelope": "maybe"}, "Invalid enum value"),
        ({"more": 1}, "unknown field `more`"),
    ],
)
def test_a_file_that_is_no_case_is_refused(sent, changes, message):
    with pytest.raises(FileFormatError, match=message):
        Case.read(json.dumps({**sent.case.to_json(), **changes}).encode())
    assert structs.replace(sent.case, name="x").to_json()["name"] == "x"


def test_a_case_is_found_among_thousands(sent, tmp_path, monkeypatch):
    """That of a result which is called as its query was is looked at first."""
    read, looked = Case.read, []
    monkeypatch.setattr(Case, "read", lambda path: looked.append(path) or read(path))
    for number in range(5):
        structs.replace(sent.case, query=f"{number:032}").save(tmp_path / f"another-{number}.case")
    assert find_case(sent.case.query, [tmp_path], "query.result.he") == sent.case
    assert looked == [tmp_path / "query.case"]
    assert find_case(sent.case.query, [tmp_path], "elsewhere.he") == sent.case
    assert find_case("f" * 32, [tmp_path]) is None


def test_a_folder_is_looked_through_whatever_else_lies_in_it(sent, tmp_path, monkeypatch):
    """A file that is no case, and one that was changed, hide none that comes after them."""
    (tmp_path / "a.case").write_text("{}")
    changed = json.loads((tmp_path / "query.case").read_text()) | {"name": "case 8"}
    (tmp_path / "b.case").write_text(json.dumps(changed))
    assert find_case(sent.case.query, [tmp_path]) == sent.case
    monkeypatch.setattr(module, "CASES_MAX", 3)
    with pytest.raises(DigestError, match="was changed"):
        find_case("f" * 32, [tmp_path])
    monkeypatch.setattr(module, "CASES_MAX", 2)
    with pytest.raises(FileFormatError, match="holds more than 2 cases; say which one it is"):
        find_case("f" * 32, [tmp_path])


def test_no_decision_about_unusual_images_unless_somebody_says_why(sent):
    for envelope, override, withheld in (
        ("outside", "", True), ("outside", "a phantom", False), ("inside", "", False), ("unknown", "", False),
    ):  # fmt: skip
        assert structs.replace(sent.case, envelope=envelope, override=override).withheld is withheld


def test_images_of_the_same_length_are_told_apart(sent):
    assert sent.case.require_images(SHORT) is None
    for other in (SHORT.frames * 0.999, 1 - SHORT.frames):
        with pytest.raises(DigestError, match="are not the images"):
            sent.case.require_images(ImageSequence(other, "other", 1))
    with pytest.raises(DigestError, match="are not the images"):
        sent.case.require_images(ImageSequence(SHORT.frames, "two real ones", 2))


def test_a_case_stays_as_it_is(sent):
    with pytest.raises(AttributeError, match="immutable"):
        sent.case.frames = 2
    with pytest.raises(TypeError, match="positional"):
        Case("0" * 64, "0" * 32, "0" * 32, "0" * 64, 1)
