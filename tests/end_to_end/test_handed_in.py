"""What a hospital hands in at the command line: its order is told with a reason; what is no sequence is refused."""

import json
import os

import numpy as np
import pytest

import dataset_trees
from dicom_kit import slices, uid
from heclstm.card.preparation import Preparation
from heclstm.model.weights import save_model
from random_models import random_model, small_config

PREPARATION = Preparation("frames", (3, 1, 8, 8), 3, 2, 8, 8, resize="crop", colour="grey", length="sample")


@pytest.fixture(scope="module")
def encrypt(call, tmp_path_factory):
    """Arguments behind the program → (exit code, stdout, stderr)."""
    folder = tmp_path_factory.mktemp("hospital")
    metadata = {"preparation": PREPARATION.to_json(), "operating_point": {"threshold": 0.25}}
    save_model(random_model(small_config(), 3).with_metadata(**metadata), folder / "model")
    for arguments in (
        ("compile", folder / "model", "-o", folder / "program", "--ring-degree", 1 << 11, "--insecure-test"),
        ("keygen", folder / "program", "-o", folder / "keys", "--insecure-test"),
    ):
        assert call(*arguments)[0] == 0

    def run(*inputs):
        output = ("--key", folder / "keys" / "secret.key", "-o", folder / "query.he", "--insecure-test")
        return call("encrypt", folder / "program", *output, *inputs)  # a later -o counts

    return run


def said(stderr):
    """All but that this program has no envelope."""
    return [line for line in stderr.splitlines() if "has no envelope" not in line]


def test_the_order_and_its_reason_are_told(encrypt, tmp_path):
    for number in range(12):
        dataset_trees.picture(tmp_path / "pictures" / f"{number}.png", seed=number)
    code, stdout, stderr = encrypt(tmp_path / "pictures")
    assert code == 0, stderr
    assert said(stderr) == [
        "12 frames of 12 pictures, by names: 0.png, 1.png, 2.png, 3.png, 4.png and 7 more",
        "3 of 12 frames are used, evenly spaced: 1, 7, 12",
    ]
    assert "3 of 3" in stdout
    code, stdout, _ = encrypt(tmp_path / "pictures", "--json")
    assert json.loads(stdout)["order"] == "by names"
    assert json.loads(stdout)["frames"] == 3


def test_a_manifest_orders_what_names_do_not(encrypt, tmp_path):
    rows = []
    for seconds, name in ((60, "after-60s.png"), (0, "before.png")):
        dataset_trees.picture(tmp_path / "s1" / name, seed=seconds)
        rows.append(["s1", seconds, f"s1/{name}"])
    manifest = dataset_trees.write_table(tmp_path / "m.csv", ["sequence", "seconds", "file"], rows)
    code, _, stderr = encrypt(tmp_path / "s1")
    assert code == 2
    assert "the names are of different forms, and fix no order: after-60s.png, before.png; give a manifest" in stderr
    told = "2 frames of 2 pictures, by seconds of the manifest: before.png, after-60s.png"
    for inputs in ((manifest,), (manifest, "--sequence", "s1")):
        code, _, stderr = encrypt(*inputs)
        assert (code, said(stderr)) == (0, [told])
    code, _, stderr = encrypt(tmp_path / "s1" / "before.png", tmp_path / "s1" / "after-60s.png", "--as-given")
    assert (code, said(stderr)) == (0, [told.replace("by seconds of the manifest", "as given")])


def test_every_sequence_of_a_manifest_is_another_patient(encrypt, tmp_path):
    rows = []
    for name in ("s1", "s2", "s3"):
        for seconds in (0, 60):
            dataset_trees.picture(tmp_path / name / f"{seconds}.png", seed=seconds + int(name[1:]))
            rows.append([name, 60 - seconds, f"{name}/{seconds}.png"])
    manifest = dataset_trees.write_table(tmp_path / "m.csv", ["sequence", "seconds", "file"], rows)
    code, stdout, stderr = encrypt(manifest, "--each", "--json", "-o", tmp_path / "queries")
    assert code == 0, stderr
    each = json.loads(stdout)["each"]
    assert [row["input"] for row in each] == [f"{manifest}, {name}" for name in ("s1", "s2", "s3")]
    assert {row["order"] for row in each} == {"by seconds of the manifest"}
    assert json.loads((tmp_path / "queries" / "query-002.case").read_text())["name"] == "s2"


def test_a_series_is_chosen_by_its_number_or_by_rules(encrypt, tmp_path):
    slices(tmp_path / "scan" / "a", count=3, numbers=[3, 2, 1], Modality="CT", SeriesNumber=1)
    slices(
        tmp_path / "scan" / "b", count=2, numbers=[1, 2], Modality="US", SeriesNumber=2, SeriesInstanceUID=uid("b"),
        BurnedInAnnotation="YES",
    )  # fmt: skip
    code, _, stderr = encrypt(tmp_path / "scan")
    assert code == 2
    assert "holds 2 series, expected one: 1: CT, 3 frames; 2: US, 2 frames; choose one by --series" in stderr
    code, stdout, stderr = encrypt(tmp_path / "scan", "--series", 1, "--json")
    assert code == 0, stderr
    assert json.loads(stdout)["order"] == "by instance number"
    assert json.loads(stdout)["notes"] == [
        "only 3 grey levels are left in the whole sequence: its window or its range may not be what was meant"
    ]
    rules = tmp_path / "rules.toml"
    rules.write_text('modality = ["us"]\n')
    code, _, stderr = encrypt(tmp_path / "scan", "--select", rules)
    assert code == 2
    assert "says that writing is burnt into its pixels" in stderr
    rules.write_text('modality = ["us"]\nburnt_in = "mask"\nmask = [[0, 0, 2, 8]]\n')
    assert encrypt(tmp_path / "scan", "--select", rules)[0] == 0
    rules.write_text("colour = 1\n")
    assert "selection: got colour, expected some of" in encrypt(tmp_path / "scan", "--select", rules)[2]


def test_names_that_would_steer_a_terminal_are_shown_as_text(encrypt, tmp_path):
    for name in ("\x1b[31m1.png", "\x1b[31m2.png"):
        dataset_trees.picture(tmp_path / "steering" / name, seed=len(name))
    code, _, stderr = encrypt(tmp_path / "steering")
    assert code == 0
    assert r"\x1b[31m1.png, \x1b[31m2.png" in stderr
    assert "\x1b" not in stderr
    odd = os.fsdecode(b"\xe9.png")
    (tmp_path / odd).write_bytes(b"no picture")
    code, _, stderr = encrypt(tmp_path / odd)
    assert code == 2
    assert r"\udce9.png: no image: not readable as PNG or JPEG" in stderr


def test_an_array_has_its_own_order(encrypt, tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (3, 1, 8, 8), np.uint8)
    np.save(tmp_path / "a.npy", images)
    code, stdout, stderr = encrypt(tmp_path / "a.npy", "--json")
    assert (code, said(stderr)) == (0, [])
    assert json.loads(stdout)["order"] == "as the array holds them"
    np.save(tmp_path / "a.npy", images // 16)
    code, _, stderr = encrypt(tmp_path / "a.npy")
    assert (code, said(stderr)) == (0, ["no grey is above 15 of 255: its range may not be what was meant"])
