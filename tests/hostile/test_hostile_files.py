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
