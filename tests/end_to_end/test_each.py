"""Many patients in one call: keys are loaded once, one failure stops no other, and a table tells whose is what."""

import json
import shutil

import numpy as np
import pytest

from heclstm.backend.cpu.keyset import KeySet
from heclstm.deploy.client import Client
from heclstm.usecases.card import read_card
from heclstm.usecases.encrypt_each import encrypt_each
from heclstm.usecases.events import Recorded
from random_models import random_frames, small_config

INSECURE = "--insecure-test"


@pytest.fixture
def patients(site, tmp_path):
    """Three who can be encrypted, and two who cannot; the third file holds two."""
    frames = random_frames(small_config(), 4, seed=3).astype(np.float32)
    for name, array in (("anna", frames[0]), ("bela", frames[1]), ("two", frames[2:]), ("wrong", frames[0][:1])):
        np.save(tmp_path / f"{name}.npy", array)
    return [tmp_path / f"{name}.npy" for name in ("anna", "wrong", "absent", "two", "bela")]


def told(stdout):
    return json.loads(stdout)


@pytest.fixture
def counted(monkeypatch):
    """How often a secret key was loaded, and evaluation keys."""
    counts = {"secret": 0, "evaluation": 0}
    load, init = Client.load_secret_key, KeySet.__init__

    def loading(self, *rest):
        counts["secret"] += 1
        load(self, *rest)

    def making(self, context, handle=None):
        counts["evaluation"] += handle is None
        init(self, context, handle)

    monkeypatch.setattr(Client, "load_secret_key", loading)
    monkeypatch.setattr(KeySet, "__init__", making)
    return counts


def test_many_patients_from_images_to_diagnoses(call, site, patients, tmp_path, counted):
    queries, results, diagnoses = tmp_path / "queries", tmp_path / "results", tmp_path / "diagnoses"
    arguments = ("encrypt", site.program, *patients, "--key", site.secret, "--each", "-o", queries, INSECURE)
    code, stdout, stderr = call(*arguments, "--json")
    assert code == 2  # two failed
    made = told(stdout)
    assert (made["done"], made["failed"]) == (4, 2)
    assert [one["input"] for one in made["each"]] == [
        *map(str, patients[:3]), f"{patients[3]}, row 0", f"{patients[3]}, row 1", str(patients[4]),
    ]  # fmt: skip
    assert [one["error"]["kind"] for one in made["each"] if "error" in one] == ["SequenceError", "FileFormatError"]
    names = [one["query"] for one in made["each"] if "query" in one]
    assert [name.rsplit("/", 1)[1] for name in names] == [f"query-00{number}.he" for number in (1, 4, 5, 6)]
    assert stderr.count("failed: ") == 2

    run = ("run", site.program, *names, "--keys", site.keys, "--each", "-o", results)
    code, stdout, _ = call(*run)
    assert code == 0
    assert "4 of 4 done" in stdout
    assert sorted(path.name for path in results.iterdir()) == [f"query-00{n}.result.he" for n in (1, 4, 5, 6)]

    decrypt = ("decrypt", site.program, "--key", site.secret, "--case", queries, "--json", INSECURE)
    code, stdout, _ = call(*decrypt, *sorted(results.iterdir()), "--each", "-o", diagnoses)
    assert code == 0
    together = [one["scores"] for one in told(stdout)["each"]]
    assert [json.loads(path.read_text())["scores"] for path in sorted(diagnoses.iterdir())] == together
    called = [json.loads(path.read_text())["name"] for path in sorted(diagnoses.iterdir())]
    assert called == ["anna.npy", "two.npy, row 0", "two.npy, row 1", "bela.npy"]
    assert counted == {"secret": 2, "evaluation": 1}

    alone = tmp_path / "alone.he"
    assert call("run", site.program, names[0], "--keys", site.keys, "-o", alone)[0] == 0
    scores = told(call(*decrypt, alone)[1])["scores"]
    assert scores == pytest.approx(together[0], abs=0.01)


def test_an_interrupted_run_goes_on(call, site, tmp_path, monkeypatch):
    for name in ("a.he", "b.he", "c.he"):
        shutil.copy(site.query, tmp_path / name)
    queries = [tmp_path / name for name in ("a.he", "b.he", "c.he")]
    (tmp_path / "b.he").write_bytes(b"damaged")
    arguments = ("run", site.program, *queries, "--keys", site.keys, "--each", "-o", tmp_path / "results", "--json")
    code, stdout, _ = call(*arguments)
    assert (code, told(stdout)["done"]) == (2, 2)
    shutil.copy(site.query, tmp_path / "b.he")
    (tmp_path / "results" / "c.result.he").write_bytes(b"of another query")
    code, stdout, _ = call(*arguments, "--resume")
    each = told(stdout)["each"]
    assert code == 0
    assert ["kept" in one for one in each] == [True, False, False]
    monkeypatch.setattr("heclstm.usecases.run_each.ready", None)  # nothing is loaded where nothing is left
    code, stdout, _ = call(*arguments, "--resume")
    assert (code, ["kept" in one for one in told(stdout)["each"]]) == (0, [True] * 3)


def test_what_is_said_of_one_patient_does_not_go_with_many(refused, site, tmp_path):
    key = ("--key", site.secret, INSECURE, "-o", tmp_path / "x")
    assert "cannot go with --index" in refused("encrypt", site.program, site.images, "--each", "--index", 0, *key)
    assert "cannot go with --name, --query" in refused(
        "decrypt", site.program, site.result, "--each", "--name", "x", "--query", site.query, *key
    )
    line = refused("decrypt", site.program, site.result, site.result, *key)
    assert "got 2 results, expected one; add --each, and a folder as the output" in line
    line = refused("run", site.program, site.query, site.query, "--keys", site.keys, "-o", tmp_path / "x")
    assert "got 2 queries, expected one" in line


def test_an_override_names_whom_it_is_about(refused, site, tmp_path, monkeypatch):
    """Two rows of one file are unusual, and somebody knows one of them."""
    outside = {"envelope": "outside", "outside": ("too bright",)}
    monkeypatch.setattr(
        "heclstm.usecases.encrypt.envelope_facts", lambda card, images, reason: {**outside, "override": reason}
    )
    frames = random_frames(small_config(), 2, seed=3).astype(np.float32)
    np.save(tmp_path / "two.npy", frames)
    card, heard = read_card(site.program), Recorded()
    reasons = {"two.npy, row 1": "a phantom"}
    made = encrypt_each(
        card, [tmp_path / "two.npy"], site.secret, tmp_path / "q", overrides=reasons, allow_insecure=True, events=heard
    )
    assert [one.made.case.override for one in made] == ["", "a phantom"]
    assert [one.made.case.withheld for one in made] == [True, False]
    key = ("--key", site.secret, INSECURE, "--each", "-o", tmp_path / "x", tmp_path / "two.npy")
    for text, words in (
        ("two.npy:envelope=x", "0 of 2 patients are called 'two.npy', expected one"),
        ("envelope=x", "with --each, expected INPUT:envelope=REASON"),
        ("two.npy, row 1:envelope= ", "with --each, expected INPUT:envelope=REASON"),
        ("two.npy, row 1:contrast=x", "with --each, expected INPUT:envelope=REASON"),
    ):
        assert words in refused("encrypt", site.program, *key, "--override", text)
    twice = ("--override", "two.npy, row 1:envelope=x", "--override", "two.npy, row 1:envelope=y")
    assert "gives two reasons for 'two.npy, row 1'" in refused("encrypt", site.program, *key, *twice)
    one = ("--key", site.secret, INSECURE, "-o", tmp_path / "x.he", site.images)
    assert "expected envelope=REASON" in refused("encrypt", site.program, *one, "--override", "s1:envelope=x")
    assert not (tmp_path / "x").exists()


def test_two_that_would_have_one_name_are_refused(refused, site, tmp_path):
    others = [tmp_path / "a" / "q.he", tmp_path / "b" / "q.he"]
    for path in others:
        path.parent.mkdir()
        shutil.copy(site.query, path)
    line = refused("run", site.program, *others, "--keys", site.keys, "--each", "-o", tmp_path / "r")
    assert "would both become" in line


def test_queries_of_two_calls_are_never_mixed(refused, call, site, tmp_path):
    arguments = ("encrypt", site.program, site.images, "--key", site.secret, "--each", "-o", tmp_path / "q", INSECURE)
    assert call(*arguments)[0] == 0
    assert "query-001.he: is there already; choose a new folder" in refused(*arguments)


def test_the_images_of_one_patient_under_two_names_are_told(call, site, patients, tmp_path):
    """A folder that was copied and not filled anew: two patients would have one diagnosis."""
    shutil.copy(patients[0], tmp_path / "clara.npy")
    inputs = (patients[0], patients[4], tmp_path / "clara.npy")
    _, _, stderr = call(
        "encrypt", site.program, *inputs, "--key", site.secret, "--each", "-o", tmp_path / "q", INSECURE
    )
    said = [line for line in stderr.splitlines() if "same images" in line]
    assert said == [f"warning: {inputs[2]}: shows the same images as {inputs[0]}, pixel by pixel"]
