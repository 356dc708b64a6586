"""Other files that were made up to harm their reader: one line on stderr, and nothing that a terminal obeys."""

import hashlib
import json
import os
import shutil
import struct
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from heclstm.errors import FileFormatError
from heclstm.program.files import load_program
from heclstm.report.findings import Findings

GOLDEN = Path(__file__).parents[1] / "golden"
PROGRAM = GOLDEN / "program_v1"
KEY = ("--key", GOLDEN / "hospital_v1" / "secret.key")
MEMORY_MAX = 20 << 20


def container(kind, header):
    """A container whose length and checksum are right, whatever its header says."""
    body = header if isinstance(header, bytes) else json.dumps(header).encode()
    content = struct.pack("<8sHHI", b"HECLSTM\x00", 1, kind, len(body)) + body
    return content + hashlib.sha256(content).digest()


HEADERS = {
    "commands to the terminal": {"program": "\x1b[2J\x1b[31mOWN\x07", "key": "\x1b]0;t\x07", "blobs": []},
    "half of a surrogate pair": {"program": "\ud800", "key": "\udfff", "blobs": [["\ud800", 0]]},
    "a name of commands": {"program": "a" * 64, "key": "b" * 32, "blobs": [["\x1b[2J", 0]]},
    "deep": b"[" * 200_000,
    "deep objects": b'{"a":' * 50_000,
    "many": b'{"blobs":[' + b'["a",0],' * 100_000 + b'["a",0]]}',
    "a long number": b'{"program": ' + b"9" * 100_000 + b"}",
    "doubled": b'{"program": "' + b"a" * 64 + b'", "program": "' + b"b" * 64 + b'", "key": "x", "blobs": []}',
}


@pytest.mark.parametrize("name", HEADERS)
def test_headers_of_messages(refused, tmp_path, name):
    path, images = tmp_path / "message", tmp_path / "images.npy"
    np.save(images, np.zeros((2, 1, 8, 8), np.uint8))
    for kind in (1, 2, 3, 4):
        path.write_bytes(container(kind, HEADERS[name]))
        for arguments in (
            ("inspect", path),
            ("decrypt", PROGRAM, path, *KEY, "--frames", 2, "-o", tmp_path / "d.json", "--insecure-test"),
            ("encrypt", PROGRAM, images, "--key", path, "-o", tmp_path / "q.he", "--insecure-test"),
            ("run", PROGRAM, path, "--keys", path, "-o", tmp_path / "r.he"),
        ):
            assert refused(*arguments).isprintable()


JSON = {
    "deep": b'{"format": "heclstm-diagnosis", "a": ' + b"[" * 500_000,
    "nested": b'{"format": "heclstm-diagnosis", "a": [' + b"[[]]," * 500_000 + b"[]]}",
    "long": b'{"format": "heclstm-diagnosis", "a": [' + b"0," * 1_900_000 + b"0]}",
    "a long number": b'{"format": "heclstm-diagnosis", "version": ' + b"9" * 10_000 + b"}",
    "commands": b'{"format": "\\u001b[2J", "version": "\\u001b]0;t\\u0007"}',
    "surrogates": b'{"format": "\\ud800"}',
}


@pytest.mark.parametrize("name", JSON)
def test_json_of_every_kind(refused, tmp_path, name):
    """Parsed, the second would take 90 MB, and 2.4 GB at 64 MB."""
    path = tmp_path / "file.json"
    path.write_bytes(JSON[name])
    for arguments in (
        ("inspect", path),
        ("report", path, "--input", path, "-o", tmp_path / "r.html"),
        ("keygen", path, "-o", tmp_path / "keys"),
    ):
        assert refused(*arguments).isprintable()
    tracemalloc.start()
    try:
        with pytest.raises(FileFormatError):
            Findings.load(path)
        assert tracemalloc.get_traced_memory()[1] < MEMORY_MAX
    finally:
        tracemalloc.stop()


def test_scores_of_a_diagnosis(refused, tmp_path):
    """A whole number of 400 digits is no float."""
    path = tmp_path / "d.json"
    start = '{"format":"heclstm-diagnosis","version":1,"program":"' + "a" * 64 + '","purpose":{},"threshold":0,'
    for scores in ("1" + "0" * 400, "1e999", "NaN", "1e301", '"1"', "true"):
        path.write_text(start + f'"scores":[{scores}],"contributions":[[1]]}}')
        for arguments in (("inspect", path), ("report", path, "--input", path, "-o", tmp_path / "r.html")):
            assert refused(*arguments).isprintable()


def header(text):
    body = text.encode("latin-1") + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(body)) + body


ARRAYS = {
    "no type": header("{'descr': (), 'fortran_order': False, 'shape': (1,)} "),
    "no end": header("{'descr': '<f4', 'fortran_order': False, 'shape': (3, 3, 3), } {  \x01  \x80 "),
    "more than it holds": header("{'descr': '<f8', 'fortran_order': False, 'shape': (1152921504606846976,)}"),
    "records": header("{'descr': [('a', '<f8')], 'fortran_order': False, 'shape': (1,)}") + bytes(8),
}


@pytest.mark.parametrize("name", ARRAYS)
def test_arrays(refused, tmp_path, name):
    path = tmp_path / "images.npy"
    path.write_bytes(ARRAYS[name])
    line = refused("encrypt", PROGRAM, path, *KEY, "-o", tmp_path / "q.he", "--insecure-test")
    assert str(path) in line


def test_what_never_ends(refused, tmp_path):
    """Links and pipes in place of files, by any name."""
    os.symlink("/dev/zero", tmp_path / "zero.json")
    os.symlink("/dev/zero", tmp_path / "zero.npy")
    os.mkfifo(tmp_path / "pipe.json")
    shutil.copytree(PROGRAM, tmp_path / "program")
    (tmp_path / "program" / "circuit.npz").unlink()
    os.symlink("/dev/zero", tmp_path / "program" / "circuit.npz")
    for name in ("zero.json", "pipe.json"):
        for arguments in (("keygen", tmp_path / name, "-o", tmp_path / "keys"), ("inspect", tmp_path / name)):
            assert "it is no regular file" in refused(*arguments)
    arguments = ("encrypt", PROGRAM, tmp_path / "zero.npy", *KEY, "-o", tmp_path / "q.he", "--insecure-test")
    assert "is a device or pipe" in refused(*arguments)
    with pytest.raises(FileFormatError, match="circuit.npz: cannot be read"):
        load_program(tmp_path / "program")


def test_names_of_files_show_as_they_are(refused, tmp_path):
    path = tmp_path / "\x1b[2Ja\u202eb.json"
    line = refused("inspect", path)
    assert "\\x1b[2Ja\\u202eb.json: cannot be read" in line


HOSPITAL, PATH = GOLDEN / "hospital_v1", "PATH"
ENCRYPT, DECRYPT = (*KEY, "--insecure-test"), (*KEY, "--frames", "2", "--insecure-test")
PLACES = {
    "inspect": ("inspect", PATH),
    "a program": ("encrypt", PATH, "images.npy", *ENCRYPT, "-o", "out"),
    "images": ("encrypt", PROGRAM, PATH, *ENCRYPT, "-o", "out"),
    "a secret key": ("encrypt", PROGRAM, "images.npy", "--key", PATH, "--insecure-test", "-o", "out"),
    "an owner": ("encrypt", PROGRAM, "images.npy", *ENCRYPT, "--trust", PATH, "-o", "out"),
    "rules": ("encrypt", PROGRAM, "images.npy", *ENCRYPT, "--select", PATH, "-o", "out"),
    "a query": ("run", PROGRAM, PATH, "--keys", GOLDEN / "wire_v1" / "evaluation.keys", "-o", "out"),
    "keys": ("run", PROGRAM, HOSPITAL / "query.he", "--keys", PATH, "-o", "out"),
    "a result": ("decrypt", PROGRAM, PATH, "--without-case", *DECRYPT, "-o", "out"),
    "a case": ("decrypt", PROGRAM, HOSPITAL / "result.he", "--case", PATH, *KEY, "--insecure-test", "-o", "out"),
    "a diagnosis": ("report", PATH, "--input", "images.npy", "-o", "out.html"),
    "a training file": ("train", PATH, "--data", "images.npy", "-o", "out"),
    "data": ("calibrate", PROGRAM, "--data", PATH, "-o", "out"),
    "a configuration": ("serve", PATH),
    "authorities": ("connect", "https://127.0.0.1:1", "--ca", PATH, "--site", "out"),
}


@pytest.mark.parametrize("place", PLACES)
def test_any_file_in_any_place(call, tmp_path, monkeypatch, place):
    """What is not what it should be is refused in one line, without waiting for it, and nothing is left of it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HECLSTM_TOKEN", "token")
    np.save("images.npy", np.zeros((2, 1, 8, 8), np.uint8))
    for name, content in (
        ("empty", b""),
        ("list", b"[1]"),
        ("bytes", bytes(range(256)) * 8),
        ("key.pem", b"-----BEGIN"),
    ):
        Path(name).write_bytes(content)
    os.mkfifo("pipe")
    os.symlink("loop", "loop")
    with Path("sparse").open("wb") as stream:
        stream.truncate(100 << 30)
    Path("folder").mkdir()
    made = sorted(tmp_path.iterdir())
    others = [*HOSPITAL.iterdir(), PROGRAM / "program.json"]
    for path in (*made, *others, tmp_path / "absent", Path("/dev/zero"), Path("a" * 300)):
        arguments = [path if each == PATH else each for each in PLACES[place]]
        code, _, stderr = call(*arguments)
        lines = [line for line in stderr.splitlines() if line.startswith("heclstm: ")]
        assert (code, len(lines)) in ((0, 0), (2, 1), (3, 1)), (path, code, stderr)
        left = sorted(tmp_path.iterdir())
        assert left == made or code == 0, path
        for each in left:
            if each not in made:
                shutil.rmtree(each) if each.is_dir() else each.unlink()
