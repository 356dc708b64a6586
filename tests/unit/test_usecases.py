"""What verbs, routes and pages share: objects and bytes in, results out, events heard, and nothing half made."""

import io
import json
import threading

import numpy as np
import pytest
from msgspec import structs

from heclstm.card.model_facts import ModelFacts
from heclstm.compiler.compile import Options, compile_model
from heclstm.data.handed_in import HandedIn
from heclstm.data.sequence import ImageSequence
from heclstm.deploy.wire import read_header
from heclstm.errors import Cancelled, FileFormatError
from heclstm.model.recipe import TrainConfig
from heclstm.model.untrained import untrained
from heclstm.model.weights import save_model
from heclstm.program.public import save_card
from heclstm.usecases import calibrate, compile, decrypt, encrypt, estimate, evaluate, inspect, keygen, report, run
from heclstm.usecases.card import read_card
from heclstm.usecases.events import SILENT, Event, Recorded, Until
from heclstm.usecases.images import read_sequence
from random_models import random_frames, random_model
from tiny_program import CONFIG, PURPOSE, tiny_program

FRAMES = random_frames(CONFIG, 1, 3)[0].astype(np.float32)
IMAGES = HandedIn(ImageSequence(FRAMES), "as the array holds them", (), "arrays", ())
INSECURE = {"allow_insecure": True}
TEST = Options(ring_degree=128, special_count=2, security="INSECURE_TEST")
METADATA = {
    "preparation": PURPOSE.preparation.to_json(),
    "operating_point": {"threshold": 0.25},
    "warnings": ["few positives"],
}


def content(message):
    stream = io.BytesIO()
    message.write(stream)
    return stream.getvalue()


@pytest.fixture(scope="module")
def model():
    return random_model(CONFIG, seed=0).with_metadata(**METADATA)


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    return keygen.keygen(tiny_program().card, tmp_path_factory.mktemp("keys") / "keys", **INSECURE)


@pytest.fixture(scope="module")
def labelled(tmp_path_factory):
    path = tmp_path_factory.mktemp("data") / "volumes.npz"
    images = random_frames(CONFIG, 12, seed=5).astype(np.float32)
    np.savez(path, images=images, labels=np.arange(12) % 2)
    return path


# ── bytes and objects ──────────────────────────────────────────────────────────────────────────────────────


def test_the_whole_way_without_a_file_but_keys(keys, tmp_path, monkeypatch, capfd):
    """As a gateway has it: a card from bytes, a key in memory, messages from and to connections."""
    monkeypatch.chdir(tmp_path)
    save_card(tiny_program().card, tmp_path / "card")
    public, secret = (tmp_path / "card").read_bytes(), keys.secret.read_bytes()
    (tmp_path / "card").unlink()
    card = read_card(public, key=secret)
    made = encrypt.encrypt(card, IMAGES, secret, **INSECURE)
    query = content(made.query)
    assert made.bytes == len(query)
    told = {"bytes": len(query), "program": card.digest, "order": IMAGES.order, "notes": []}
    assert made.to_json() == {**told, "envelope": "unknown", "outside": []}
    ran = run.run(tiny_program(), io.BytesIO(query), keys.evaluation)
    answer = content(ran.result)
    assert ran.bytes == len(answer)
    assert "result" not in ran.to_json()
    assert ran.seconds.keys() == {"prepare", "load_keys", "evaluate"}
    found = decrypt.decrypt(card, answer, secret, name="case 7", query=made.query, case=made.case, **INSECURE)
    clear = estimate.estimate(tiny_program(), IMAGES.sequence)
    assert clear.to_json()["precision_bits"] == -np.log2(clear.error)
    shown = report.report(found, IMAGES.sequence)
    assert "case 7" in shown.page
    assert list(tmp_path.iterdir()) == []
    for ending, begins in (("png", b"\x89PNG"), ("PDF", b"%PDF-"), ("html", b"<!DOCTYPE html>")):
        shown.save(path := tmp_path / f"report.{ending}")
        assert path.read_bytes().startswith(begins)
        assert path.stat().st_mode & 0o777 == 0o600
    assert capfd.readouterr() == ("", "")


def test_what_is_saved_is_what_is_returned(keys, tmp_path):
    made = encrypt.encrypt(tiny_program().card, IMAGES, keys.secret, tmp_path / "query.he", **INSECURE)
    assert (tmp_path / "query.he").read_bytes() == content(made.query)
    ran = run.run(tiny_program(), tmp_path / "query.he", keys.folder, tmp_path / "result.he")
    assert (tmp_path / "result.he").read_bytes() == content(ran.result)
    assert ran.to_json()["result"] == str(tmp_path / "result.he")


def test_a_file_and_its_bytes_are_described_alike(keys, tmp_path):
    save_card(tiny_program().card, tmp_path / "program.json")
    for path in (keys.evaluation, tmp_path / "program.json"):
        assert inspect.inspect(path.read_bytes()) == inspect.inspect(path)
    secret = inspect.inspect(keys.secret.read_bytes())
    assert secret.kind == "secret key"
    assert "mode" not in secret.facts  # of bytes, nobody knows it
    with pytest.raises(FileFormatError, match="give the folder of both"):
        inspect.inspect(b'{"format": "heclstm-model"}')


def test_models_and_programs_may_be_objects_or_folders(model, tmp_path):
    compiled = compile.compile(model, tmp_path / "program", options=TEST)
    assert compiled.to_json()["program"] == str(tmp_path / "program")
    assert "program" not in compile.compile(model, options=TEST).to_json()
    assert estimate.read_program(tmp_path / "program").digest == compiled.program.digest
    with pytest.raises(FileFormatError, match="holds neither"):
        estimate.read_program(tmp_path)


def test_preferences_are_compared_by_bytes_and_work(tmp_path):
    """Each saves what it says, and the default is what the others are compared with."""
    save_model(random_model(CONFIG, seed=0), tmp_path)
    by_name = {choice.prefer: choice for choice in estimate.choices(tmp_path)}
    keys, balance, time = (by_name[name] for name in ("keys", "balance", "time"))
    assert keys.costs.evaluation_key_bytes < time.costs.evaluation_key_bytes
    assert keys.costs.evaluation_key_bytes <= balance.costs.evaluation_key_bytes
    assert keys.work > time.work
    assert balance.work == 1
    assert balance.upload_seconds == balance.costs.evaluation_key_bytes * 8 / 100e6
    assert balance.to_json()["upload_seconds"] == balance.upload_seconds
    with pytest.raises(FileFormatError, match="preferences are compared for a model folder"):
        estimate.choices(tmp_path / "program")


# ── events ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_costs_are_told_before_training(tmp_path):
    """By a training file; they are those of the trained model, whatever its weights."""
    path = tmp_path / "train.toml"
    path.write_text(
        """
dataset = "colposcopy"
preparation = { kind = "frames", source = [3, 1, 8, 8], frames = 3, channels = 1, height = 8, width = 8 }
[model]
frames = 3
channels = 1
height = 8
width = 8
differences = ["first"]
blocks = [{ out_channels = 3 }]
cell = { kind = "diagonal", hidden_size = 2 }
"""
    )
    program = estimate.read_program(path)
    found = estimate.estimate(program, precision=False)
    assert (found.error, found.precision_bits) == (None, None)
    other = compile_model(untrained(TrainConfig.from_toml(path).model, seed=7))
    assert found.costs.to_json() == estimate.estimate(other, precision=False).costs.to_json()


def test_stages_and_remarks_are_heard_in_order(model, keys, labelled):
    heard = Recorded()
    compile.compile(model, options=TEST, events=heard)
    assert heard.titles == ["compiling"]
    assert heard.notes[0] == "warning: few positives"
    assert "never calibrated" in heard.notes[1]
    heard = Recorded()
    query = content(encrypt.encrypt(tiny_program().card, IMAGES, keys.secret, **INSECURE).query)
    run.run(tiny_program(), query, keys.evaluation, events=heard)
    assert heard.titles == ["preparing program", "loading keys", "evaluating"]
    for title in heard.titles:
        shares = [event.done / event.total for event in heard.events if event.text == title and event.total]
        assert shares == sorted(shares)
        assert shares[-1] == 1
    heard = Recorded()
    calibrated = calibrate.calibrate(model, data=labelled, events=heard)
    assert heard.titles == ["calibration"]
    assert all(note.startswith("warning: ") for note in heard.notes)  # of twelve random volumes
    assert json.dumps(calibrated.to_json(), allow_nan=False)


def test_a_secret_key_that_others_can_read_is_told(keys, tmp_path):
    path = tmp_path / "secret.key"
    path.write_bytes(keys.secret.read_bytes())
    path.chmod(0o640)
    for key, told in ((path, True), (str(path), True), (path.read_bytes(), False)):
        heard = Recorded()
        encrypt.encrypt(tiny_program().card, IMAGES, key, **INSECURE, events=heard)
        assert any("readable by others" in note for note in heard.notes) is told


def test_a_stage_that_fails_does_not_come_to_its_end(keys, tmp_path):
    query = content(encrypt.encrypt(tiny_program().card, IMAGES, keys.secret, **INSECURE).query)
    damaged = bytearray(keys.evaluation.read_bytes())
    damaged[-1] ^= 1
    (tmp_path / "keys").write_bytes(damaged)
    heard = Recorded()
    with pytest.raises(FileFormatError, match="checksum does not fit"):
        run.run(tiny_program(), query, tmp_path / "keys", events=heard)
    assert heard.titles == ["preparing program"]
    assert heard.events[-1].text == "loading keys"


def test_what_headers_tell_is_told_before_anything_that_takes_long(keys, tmp_path):
    """Another kind of file, another key, another size, another program."""
    card = tiny_program().card
    query = content(encrypt.encrypt(card, IMAGES, keys.secret, **INSECURE).query)
    other = keygen.keygen(card, tmp_path / "other", **INSECURE)
    header, blobs = read_header(keys.evaluation), keys.evaluation.read_bytes()
    short = structs.replace(header, blobs=header.blobs[:-1])
    (tmp_path / "short").write_bytes(short.encode() + blobs[len(header.encode()) : -header.blobs[-1][1]])
    elsewhere = tiny_program(model=ModelFacts(name="another"))
    for program, path, words in (
        (tiny_program(), keys.secret, "holds: secret key; expected: evaluation keys"),
        (tiny_program(), other.evaluation, "this query belongs to key"),
        (tiny_program(), tmp_path / "short", "blobs of .* expected"),
        (elsewhere, keys.evaluation, "made for program"),
    ):
        heard = Recorded()
        with pytest.raises(FileFormatError, match=words):
            run.run(program, query, path, events=heard)
        assert heard.events == []


# ── cancelling ─────────────────────────────────────────────────────────────────────────────────────────────


class At:
    """Says to stop from the n-th question on; counts questions."""

    def __init__(self, number):
        self.number, self.asked = number, 0

    def __call__(self):
        self.asked += 1
        return self.asked > self.number


@pytest.fixture
def work(model, keys, labelled):
    """What writes files, by name: (folder, events) → anything."""
    card = tiny_program().card
    query = content(encrypt.encrypt(card, IMAGES, keys.secret, **INSECURE).query)

    def evaluated(folder, events):
        save_model(model, folder.parent / "model")
        evaluate.evaluate([folder.parent / "model"], labelled, events=events).save(folder / "page.html", events)

    return {
        "keygen": lambda folder, events: keygen.keygen(card, folder, **INSECURE, events=events),
        "compile": lambda folder, events: compile.compile(model, folder, options=TEST, events=events),
        "calibrate": lambda folder, events: calibrate.calibrate(model, folder, data=labelled, events=events),
        "run": lambda folder, events: run.run(tiny_program(), query, keys.folder, folder / "r.he", events=events),
        "evaluate": evaluated,
    }


@pytest.mark.parametrize("name", ["keygen", "compile", "calibrate", "run", "evaluate"])
def test_wherever_it_is_cancelled_nothing_is_left(work, tmp_path, name):
    asked = At(10**9)
    work[name](tmp_path / "whole", Until(asked))
    assert [path for path in (tmp_path / "whole").rglob("*") if path.is_file()]
    assert asked.asked > 0
    for number in sorted({0, 1, asked.asked // 2, asked.asked - 1} & set(range(asked.asked))):
        folder = tmp_path / f"{number}"
        with pytest.raises(Cancelled, match="was cancelled"):
            work[name](folder, Until(At(number)))
        assert [path for path in folder.rglob("*") if path.is_file()] == [], number


def test_an_evaluation_is_cancelled_between_its_operations(keys, tmp_path):
    query = content(encrypt.encrypt(tiny_program().card, IMAGES, keys.secret, **INSECURE).query)
    stop, heard = threading.Event(), Recorded()
    stop.set()
    with pytest.raises(Cancelled, match="before this layer"):
        run.run(tiny_program(), query, keys.folder, tmp_path / "r.he", cancel=stop, events=heard)
    assert heard.titles == ["preparing program", "loading keys"]
    assert list(tmp_path.iterdir()) == []


def test_what_nobody_cancels_is_handed_on():
    heard, stop = Recorded(), threading.Event()
    until = Until(stop, heard)
    with until.stage("work") as update:
        update(1, 2)
    until.note("done")
    assert heard.events == [
        Event("started", "work"), Event("progress", "work", 1, 2), Event("finished", "work"), Event("note", "done")
    ]  # fmt: skip
    stop.set()
    with pytest.raises(Cancelled, match="work: was cancelled"):
        until.note("more")
    with SILENT.stage("nothing") as update:
        update(1, 1)
    SILENT.note("nothing")


def test_a_sequence_of_a_file_is_that_of_the_verb(tmp_path):
    np.save(tmp_path / "a.npy", FRAMES)
    assert read_sequence(tmp_path / "a.npy", PURPOSE).frames == pytest.approx(FRAMES)
    with pytest.raises(FileFormatError, match="does not say how images are prepared"):
        read_sequence(tmp_path / "a.npy", structs.replace(PURPOSE, preparation=None))
