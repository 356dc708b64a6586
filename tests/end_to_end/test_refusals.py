"""What goes wrong in a hospital or on a server: one clear line, exit code 2, and no file half written."""

import json
import shutil

import numpy as np
import pytest

from heclstm.deploy.wire import Header, Kind, read_header
from messages import read_file, write_file
from random_models import random_frames, small_config

GOOD = random_frames(small_config(), 1, seed=0)[0].astype(np.float32)


def outside(value):
    frames = GOOD.copy()
    frames[1, 0, 3, 3] = value
    return frames


@pytest.mark.parametrize(
    ("frames", "message"),
    [
        (GOOD[:2], "number of frames: got 2, expected 3"),
        (GOOD[:, :1], "number of channels: got 1, expected 2"),
        (GOOD[..., :7, :], "height: got 7, expected 8"),
        (GOOD[..., :5], "width: got 5, expected 8"),
        (GOOD[0, 0], "got 2 axes"),
        (outside(1.5), r"1 values outside [0, 1], the first at (1, 0, 3, 3)"),
        (outside(np.nan), "1 values that are NaN or infinite"),
        (GOOD.astype(np.complex64), "no image: got values of type complex64"),
    ],
)
def test_wrong_images(refused, site, tmp_path, frames, message):
    np.save(tmp_path / "wrong.npy", frames)
    line = refused(
        "encrypt",
        site.program,
        tmp_path / "wrong.npy",
        "--key",
        site.secret,
        "-o",
        tmp_path / "q.he",
        "--insecure-test",
    )
    assert message in line
    assert "1.5" not in line  # an error never tells a pixel


@pytest.mark.parametrize("name", ["note.txt", "fake.png", "pickled.npy", "absent.npy"])
def test_no_image(refused, site, tmp_path, name):
    (tmp_path / "note.txt").write_text("no image")
    (tmp_path / "fake.png").write_text("no image")
    np.save(tmp_path / "pickled.npy", np.array([{}], dtype=object), allow_pickle=True)
    line = refused(
        "encrypt",
        site.program,
        tmp_path / name,
        "--key",
        site.secret,
        "-o",
        tmp_path / "q.he",
        "--insecure-test",
    )
    assert name in line
    assert "no image" in line or "no NumPy file" in line or "does not exist" in line


def test_hospital_refuses_weak_parameters(refused, site, tmp_path):
    assert "expected 128-bit security" in refused("keygen", site.program, "-o", tmp_path / "keys")
    arguments = ("encrypt", site.program, site.images, "--key", site.secret, "-o", tmp_path / "q.he")
    assert "expected 128-bit security" in refused(*arguments)
    assert "expected 128-bit security" in refused("decrypt", site.program, site.result, "--key", site.secret)


def test_keygen_keeps_an_existing_secret_key(refused, call, site, tmp_path):
    shutil.copy(site.secret, tmp_path / "secret.key")
    assert "add --force" in refused("keygen", site.program, "-o", tmp_path, "--insecure-test")
    assert (tmp_path / "secret.key").read_bytes() == site.secret.read_bytes()
    assert call("keygen", site.program, "-o", tmp_path, "--insecure-test", "--force")[0] == 0
    assert (tmp_path / "secret.key").read_bytes() != site.secret.read_bytes()


def test_keys_of_another_program(refused, call, compiled, site, tmp_path_factory, tmp_path):
    """Both digests are named, so that the operator sees which of the two files is the wrong one."""
    other, keys = compiled(2), tmp_path_factory.mktemp("other") / "keys"
    assert call("keygen", other, "-o", keys, "--insecure-test")[0] == 0
    digests = [json.loads((folder / "program.json").read_text())["digest"][:12] for folder in (site.program, other)]
    arguments = ("run", site.program, site.query, "--keys", keys / "evaluation.keys", "-o", tmp_path / "r.he")
    line = refused(*arguments)
    assert all(digest in line for digest in digests)
    arguments = ("encrypt", site.program, site.images, "--key", keys / "secret.key", "-o", tmp_path / "q.he")
    line = refused(*arguments, "--insecure-test")
    assert all(digest in line for digest in digests)


def test_keys_of_another_hospital(refused, call, site, tmp_path_factory, tmp_path):
    keys = tmp_path_factory.mktemp("second") / "keys"
    assert call("keygen", site.program, "-o", keys, "--insecure-test")[0] == 0
    arguments = ("run", site.program, site.query, "--keys", keys / "evaluation.keys", "-o", tmp_path / "r.he")
    assert "use files made with one secret key" in refused(*arguments)
    arguments = ("decrypt", site.program, site.result, "--key", keys / "secret.key", "-o", tmp_path / "d.json")
    assert "use files made with one secret key" in refused(*arguments, "--insecure-test")


def test_secret_key_sent_as_evaluation_keys(refused, site, tmp_path):
    arguments = ("run", site.program, site.query, "--keys", site.secret, "-o", tmp_path / "r.he")
    assert "holds: secret key; expected: evaluation keys" in refused(*arguments)


def test_missing_rotation_key(refused, site, tmp_path):
    header = read_header(site.keys, Kind.EVALUATION_KEYS)
    blobs = list(read_file(site.keys, Kind.EVALUATION_KEYS))[:-1]
    short = Header(header.kind, header.program, header.key, header.blobs[:-1])
    write_file(tmp_path / "short.keys", short, [blob for _, blob in blobs])
    line = refused("run", site.program, site.query, "--keys", tmp_path / "short.keys", "-o", tmp_path / "r.he")
    count = len(header.blobs)
    assert f"holds {count - 1} blobs" in line
    assert f"expected {count} of" in line


def flipped(content):
    place = len(content) - 40  # the last blob: the checksum behind it has 32 bytes
    return content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda content: content[:-100], "is truncated"),
        (lambda content: content + b"more", "is oversized"),
        (lambda content: b"GIF89a" + content, "is no heclstm file"),
        (lambda content: content[:5], "is no heclstm file"),
        (flipped, "checksum does not fit"),
    ],
)
def test_damaged_files(refused, site, tmp_path, damage, message):
    """Each read by whoever gets it: keys and query by the server, result and secret key by the hospital."""
    for name, other in (("keys", "query"), ("query", "keys"), ("result", "secret"), ("secret", "result")):
        files = {other: getattr(site, other), name: tmp_path / name}
        files[name].write_bytes(damage(getattr(site, name).read_bytes()))
        if name in ("keys", "query"):
            arguments = ("run", site.program, files["query"], "--keys", files["keys"], "-o", tmp_path / "r.he")
        else:
            arguments = ("decrypt", site.program, files["result"], "--key", files["secret"], "--insecure-test")
            arguments += ("-o", tmp_path / "d.json")
        line = refused(*arguments)
        assert message in line
        assert str(files[name]) in line


def test_damaged_programs(refused, site, tmp_path):
    shutil.copytree(site.program, tmp_path / "program")
    circuit = tmp_path / "program" / "circuit.json"
    circuit.write_text(circuit.read_text().replace('"blocks.0.', '"blocks.9.', 1))
    arguments = ("--keys", site.keys, "-o", tmp_path / "r.he")
    assert "digest" in refused("run", tmp_path / "program", site.query, *arguments)
    circuit.unlink()
    assert "circuit.json: cannot be read" in refused("run", tmp_path / "program", site.query, *arguments)
    assert "holds neither" in refused("estimate", tmp_path)


def test_shadow_needs_the_images(refused, site, tmp_path):
    arguments = ("run", site.program, site.query, "--keys", site.keys, "-o", tmp_path / "r.he")
    assert "belong together" in refused(*arguments, "--shadow", site.secret)


def test_outputs_that_cannot_be_written(refused, site, tmp_path):
    (tmp_path / "file").write_text("in the way")
    arguments = ("run", site.program, site.query, "--keys", site.keys, "-o", tmp_path / "file" / "r.he")
    assert "choose another output" in refused(*arguments)


def test_inspect_refuses_foreign_files(refused, tmp_path):
    (tmp_path / "a.json").write_text('{"format": "other"}')
    (tmp_path / "b.bin").write_bytes(bytes(100))
    for name, message in (
        ("a.json", "format 'other'"),
        ("b.bin", "is no heclstm file"),
        ("c", "cannot be read"),
    ):
        assert message in refused("inspect", tmp_path / name)
    assert "without program.json or model.json" in refused("inspect", tmp_path)


def test_training_says_what_is_missing(refused, tmp_path):
    assert "cannot be read" in refused("train", tmp_path / "no.toml", "--data", tmp_path, "-o", tmp_path / "model")
