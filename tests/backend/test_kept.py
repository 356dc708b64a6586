"""All of a program but its vectors is kept, too: what is then read of a program, and what of that is trusted."""

import json
import os
import re
import shutil
from pathlib import Path

import msgspec
import numpy as np
import pytest

from heclstm.backend.cpu.backend import CpuBackend
from heclstm.circuit.late import LateArray, values_digest
from heclstm.circuit.operations import LinearTransform
from heclstm.data.sequence import ImageSequence
from heclstm.deploy import kept
from heclstm.deploy.client import Client
from heclstm.deploy.kept import load_kept
from heclstm.deploy.server import Server
from heclstm.errors import DigestError, FileFormatError
from heclstm.program.encoding import circuit_of
from heclstm.program.files import load_program, save_program
from tiny_program import tiny_program

VERSION_1 = Path(__file__).parents[1] / "golden" / "program_v1"


@pytest.fixture(scope="module")
def hospital(tmp_path_factory):
    """(keys, a query, its score) for the tiny program."""
    folder = tmp_path_factory.mktemp("hospital")
    client = Client(tiny_program().card, allow_insecure=True, threads=1)
    client.generate_keys(folder)
    frames = np.random.default_rng(0).uniform(0, 1, (2, 1, 8, 8)).astype(np.float32)
    client.encrypt(ImageSequence(frames, "patient"), folder / "query.he", override_envelope="random")
    return folder / "evaluation.keys", folder / "query.he"


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """A folder with the program and the cache, after one process has prepared it."""
    place = tmp_path_factory.mktemp("prepared")
    save_program(tiny_program(), place / "program")
    Server(load_kept(place / "program", place / "cache"), CpuBackend(threads=1, cache=place / "cache")).close()
    assert sorted(path.suffix for path in (place / "cache").iterdir()) == [".outline", ".prepared"]
    return place


@pytest.fixture
def place(prepared, tmp_path):
    """(program folder, cache folder, the outline in it), a copy for each test."""
    copy = shutil.copytree(prepared, tmp_path / "place")
    return copy / "program", copy / "cache", next((copy / "cache").glob("*.outline"))


def vectors_of(program):
    return [each.plan.vectors for each in program.circuit.operations if isinstance(each, LinearTransform)]


def late(program):
    return {isinstance(each, LateArray) for each in vectors_of(program)} == {True}


def evaluated(program, cache, hospital):
    keys, query = hospital
    with Server(program, CpuBackend(threads=1, cache=cache)) as server, server.open_keys(keys) as opened:
        return bytes(server.evaluate(query, opened))


def test_a_circuit_that_is_kept_is_not_parsed(place, hospital, monkeypatch):
    """Its files are compared with what they were; the result has the same bits."""
    folder, cache, _ = place
    expected = evaluated(load_program(folder), None, hospital)
    monkeypatch.setattr(kept, "load_program", None)
    program = load_kept(folder, cache)
    assert late(program)
    assert program.card == tiny_program().card
    assert evaluated(program, cache, hospital) == expected


@pytest.mark.parametrize("name", ["circuit.json", "circuit.npz"])
@pytest.mark.parametrize("change", [lambda file: changed(file, 100), lambda file: file.unlink()], ids=["bit", "gone"])
def test_files_that_changed_are_refused(place, name, change):
    """As where nothing is kept: what is evaluated is what lies in the folder, or nothing."""
    folder, cache, _ = place
    change(folder / name)
    with pytest.raises((FileFormatError, DigestError)):
        load_kept(folder, cache)


def test_vectors_are_read_when_they_are_needed(place, hospital, monkeypatch):
    """The prepared form is gone, or of another bound on memory: it is made of the program's own files, once."""
    folder, cache, _ = place
    expected = evaluated(load_program(folder), None, hospital)
    next(cache.glob("*.prepared")).unlink()
    program, loads = load_kept(folder, cache), []
    monkeypatch.setattr(kept, "load_program", lambda folder: loads.append(folder) or load_program(folder))
    assert evaluated(program, cache, hospital) == expected
    assert loads == [folder]
    assert len(list(cache.glob("*.prepared"))) == 1
    for each, whole in zip(vectors_of(load_kept(folder, cache)), vectors_of(load_program(folder)), strict=True):
        np.testing.assert_array_equal(np.asarray(each), whole)
        assert (each.shape, each.dtype, len(each)) == (whole.shape, whole.dtype, len(whole))
        assert each.digest == values_digest(whole)
    arrays = [circuit_of(found.circuit) for found in (load_kept(folder, cache), load_program(folder))]
    assert arrays[0][0] == arrays[1][0]


def test_vectors_that_are_read_later_are_of_this_program(place):
    """Another circuit, or another program, has taken the place of this one's files."""
    folder, cache, _ = place
    program = load_kept(folder, cache)
    (folder / "circuit.npz").write_bytes(b"")
    next(cache.glob("*.prepared")).unlink()
    with pytest.raises(FileFormatError, match=r"circuit\.npz"):
        Server(program, CpuBackend(threads=1, cache=cache))
    save_program(tiny_program(operating_points=()), folder)
    with pytest.raises(DigestError, match="holds another program than a moment ago"):
        np.asarray(vectors_of(program)[0])
    assert not late(load_kept(folder, cache))  # whose digest is another


def changed(file, at):
    content = bytearray(file.read_bytes())
    content[at] ^= 1
    file.write_bytes(content)


def read(file):
    return msgspec.msgpack.decode(file.read_bytes()[32:], type=kept._Outline)


def of_another(file, **fields):
    """The same file with other fields, and its checksum right."""
    outline = msgspec.structs.replace(read(file), **fields)
    holding(file, msgspec.msgpack.encode(outline))


def holding(file, content):
    """The same file with other content, and its checksum right."""
    file.write_bytes(kept.hashlib.sha256(content).digest() + content)


REASONS = {
    "a bit of it differs": lambda file: changed(file, -1),
    "its checksum differs": lambda file: changed(file, 0),
    "it is cut": lambda file: file.write_bytes(file.read_bytes()[:-1]),
    "it is empty": lambda file: file.write_bytes(b""),
    "it is of another program": lambda file: of_another(file, program="0" * 64),
    "it is of another release": lambda file: of_another(file, release=kept.RELEASE + 1),
    "it is of another form": lambda file: holding(file, msgspec.msgpack.encode({"release": 2})),
    "it holds nothing": lambda file: holding(file, b""),
    "it holds a list": lambda file: holding(file, msgspec.msgpack.encode([1, 2])),
    "its vectors are of another type": lambda file: of_another(
        file, arrays=tuple(msgspec.structs.replace(each, dtype="<f2") for each in read(file).arrays)
    ),
    "its circuit is a number": lambda file: of_another(file, circuit=b"1"),
    "its operations are numbers": lambda file: of_another(file, circuit=b'{"operations": [1], "result": 0}'),
    "its circuit is none": lambda file: of_another(file, circuit=b"[]"),
    "it lacks arrays": lambda file: of_another(file, arrays=()),
    "others may read it": lambda file: file.chmod(0o604),
    "others may run it": lambda file: file.chmod(0o601),
    "it is a link": lambda file: (file.rename(file.with_suffix(".x")), file.symlink_to(file.with_suffix(".x"))),
    "it is not there": lambda file: file.unlink(),
}


@pytest.mark.parametrize("reason", REASONS)
def test_what_is_not_to_be_trusted_is_made_again(place, reason):
    folder, cache, file = place
    before = file.read_bytes()
    REASONS[reason](file)
    assert not late(load_kept(folder, cache))
    assert file.read_bytes() == before
    assert file.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("field", ["shape", "digest"])
def test_vectors_that_are_not_as_noted_are_not_computed_with(place, field):
    """They were taken as they came from the program's own files, under the name and the digest that the outline said:
    what was prepared of them would have stood for others from then on.
    """
    folder, cache, file = place
    outline = read(file)

    def other(each):
        if each.content is not None:
            return each
        value = {"shape": each.shape[::-1], "digest": bytes(32)}[field]
        return msgspec.structs.replace(each, **{field: value})

    of_another(file, arrays=tuple(map(other, outline.arrays)))
    program = load_kept(folder, cache)
    assert late(program)
    numbers = [number for number, each in enumerate(outline.arrays) if each.content is None]
    for number, each in zip(numbers, vectors_of(program), strict=True):
        noted = outline.arrays[number]
        got, said = (f"{noted.dtype} {shape}" for shape in (noted.shape, each.shape))
        told = f"array {number} is {got}, and not, or of other values than, the {said} of the outline that was kept"
        with pytest.raises(DigestError, match=re.escape(f"{told}; remove *.outline from the cache and start again")):
            np.asarray(each)


def test_vectors_that_the_program_does_not_have_are_not_computed_with(place):
    """A transform whose vectors are said to be the array behind the last one."""
    folder, cache, file = place
    outline = read(file)
    count, circuit = len(outline.arrays), json.loads(outline.circuit)
    plan = next(each["plan"] for each in circuit["operations"] if each["operation"] == "LinearTransform")
    one = outline.arrays[plan["vectors"]["array"]]
    plan["vectors"]["array"] = count
    of_another(file, arrays=(*outline.arrays, one), circuit=json.dumps(circuit).encode())
    with pytest.raises(DigestError, match=re.escape(f"array {count} is <f8 (0,), and not")):
        np.asarray(vectors_of(load_kept(folder, cache))[0])


def test_no_file_is_kept_that_would_not_be_read(place, monkeypatch):
    """A file of as many bytes as are allowed, and of one more."""
    folder, cache, file = place
    size = file.stat().st_size
    monkeypatch.setattr(kept, "BYTES_MAX", size - 1)
    assert not late(load_kept(folder, cache))
    file.unlink()
    assert not late(load_kept(folder, cache))
    assert not file.exists()
    monkeypatch.setattr(kept, "BYTES_MAX", size)
    assert not late(load_kept(folder, cache))
    assert late(load_kept(folder, cache))


def test_a_program_that_is_replaced_while_it_is_read_is_not_kept(place, monkeypatch):
    folder, cache, file = place
    file.unlink()

    def replaced(folder):
        program = load_program(folder)
        changed(folder / "circuit.json", -1)
        return program

    monkeypatch.setattr(kept, "load_program", replaced)
    assert not late(load_kept(folder, cache))
    assert not file.exists()


def test_what_is_used_is_as_new(place):
    """Those that nobody has used for long are removed first."""
    folder, cache, file = place
    os.utime(file, (0, 0))
    assert late(load_kept(folder, cache))
    assert file.stat().st_mtime > 0


def test_another_users_folder_is_not_taken(place, monkeypatch):
    folder, cache, file = place
    monkeypatch.setattr(os, "geteuid", lambda: file.stat().st_uid + 1)
    assert not late(load_kept(folder, cache))


def test_a_folder_is_made_for_it(tmp_path):
    folder, cache = tmp_path / "program", tmp_path / "new" / "cache"
    save_program(tiny_program(), folder)
    assert [late(load_kept(folder, cache)) for _ in range(2)] == [False, True]
    assert cache.stat().st_mode & 0o777 == 0o700


def test_where_nothing_can_be_written_all_of_it_is_read(tmp_path):
    """No folder, none that can be made; and of version 1, whose card does not verify itself, nothing is kept."""
    folder = tmp_path / "program"
    save_program(tiny_program(), folder)
    (tmp_path / "file").write_text("")
    for cache in (None, tmp_path / "file" / "cache"):
        assert not late(load_kept(folder, cache))
    for _ in range(2):
        assert not late(load_kept(VERSION_1, tmp_path / "cache"))
    assert not (tmp_path / "cache").exists()
