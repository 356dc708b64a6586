"""Programs on disk: what is saved is what is loaded, and nothing else is accepted."""

import io
import json
import os
import zipfile
from hashlib import sha256

import msgspec
import numpy as np
import pytest

from heclstm.card.operating_point import OperatingPoint
from heclstm.card.program_card import Card
from heclstm.circuit.operations import LinearTransform
from heclstm.compiler.compile import Options, compile_model
from heclstm.errors import DigestError, FileFormatError, HeclstmError
from heclstm.program import encoding, files
from heclstm.program.files import load_card, load_program, save_program
from heclstm.storage.arrays import ArrayLimits
from heclstm.storage.json import digest_of
from random_models import random_frames, random_model, small_config
from tiny_program import CONFIG, tiny_program

NAMES = ["circuit.json", "circuit.npz", "program.json"]


@pytest.fixture
def folder(tmp_path):
    save_program(tiny_program(), tmp_path / "example")
    return tmp_path / "example"


def change(path, **changes):
    """Other fields in a JSON file, its digest left as it was."""
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def change_card(folder, **changes):
    public = json.loads((folder / "program.json").read_text())
    change(folder / "program.json", card={**public["card"], **changes})


def forge(folder):
    """What someone who forges a program would do: a digest is no signature, so all of them are made to fit."""
    public, circuit = (json.loads((folder / name).read_text()) for name in ("program.json", "circuit.json"))
    found = encoding.circuit_digest(circuit, files._read_arrays(folder / "circuit.npz"))
    fields = {name: digest_of(value) for name, value in public["card"].items()}
    digest = sha256(bytes.fromhex(digest_of(fields)) + bytes.fromhex(found)).hexdigest()
    change(folder / "program.json", circuit=found, digest=digest)


def rewrite_arrays(folder, edit):
    with np.load(folder / "circuit.npz") as archive:
        arrays = {name: archive[name] for name in archive.files}
    edit(arrays)
    np.savez_compressed(folder / "circuit.npz", **arrays)


def npy(array):
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=True)
    return buffer.getvalue()


def replace_member(folder, content, name="a0.npy"):
    """The archive with other bytes for one member."""
    with zipfile.ZipFile(folder / "circuit.npz") as archive:
        members = {info.filename: archive.read(info) for info in archive.infolist()}
    members.pop("a0.npy")
    with zipfile.ZipFile(folder / "circuit.npz", "w") as archive:
        for member, data in {**members, name: content}.items():
            archive.writestr(member, data)


# ── round trip ─────────────────────────────────────────────────────────────────────────────────────────────


def test_a_program_survives_the_files(folder, tmp_path, run_clear):
    loaded = load_program(folder)
    assert sorted(path.name for path in folder.iterdir()) == NAMES
    assert save_program(loaded, tmp_path / "again") == load_card(folder).digest
    assert loaded.card == tiny_program().card
    assert loaded.circuit.result == tiny_program().circuit.result
    frames = random_frames(CONFIG, 2, seed=0)
    assert np.array_equal(run_clear(loaded.circuit, frames), run_clear(tiny_program().circuit, frames))


def test_the_same_program_has_the_same_digest_and_another_one_has_not(tmp_path):
    first = save_program(tiny_program(), tmp_path / "a")
    assert save_program(tiny_program(), tmp_path / "b") == first
    other = tiny_program(operating_points=(OperatingPoint(0.26),))
    assert save_program(other, tmp_path / "c") != first
    assert len(first) == 64


def test_the_public_part_is_all_that_a_client_needs(folder, tmp_path):
    """program.json alone, by its own name or its folder's."""
    alone = tmp_path / "hospital" / "program.json"
    alone.parent.mkdir()
    alone.write_bytes((folder / "program.json").read_bytes())
    for path in (alone, alone.parent):
        assert load_card(path) == tiny_program().card


# ── damaged and foreign files ──────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("part", [0.0, 0.5, 0.99])
def test_a_truncated_file_is_refused(folder, name, part):
    content = (folder / name).read_bytes()
    (folder / name).write_bytes(content[: int(part * len(content))])
    with pytest.raises(FileFormatError, match=name):
        load_program(folder)


@pytest.mark.parametrize("name", NAMES)
def test_a_missing_file_is_named(folder, name):
    (folder / name).unlink()
    with pytest.raises(FileFormatError, match=rf"{name}: cannot be read"):
        load_program(folder)


@pytest.mark.parametrize("start", range(0, 100, 9))
def test_flipped_bytes_in_the_arrays_are_refused(folder, start):
    """Eight bytes inverted at `start` per cent of the file: a header, a deflated stream, the directory.

    What the directory says of times and attributes is read by nobody: only there may the program be read, as it was.
    """
    content = bytearray((folder / "circuit.npz").read_bytes())
    position = start * len(content) // 100
    content[position : position + 8] = bytes(255 - byte for byte in content[position : position + 8])
    unread = position > content.find(b"PK\x01\x02") > 0
    (folder / "circuit.npz").write_bytes(content)
    try:
        loaded = load_program(folder)
    except FileFormatError:
        return
    assert unread
    assert loaded.digest == tiny_program().digest


def test_a_changed_array_is_noticed(folder):
    def edit(arrays):
        arrays["a1"] = arrays["a1"] + 1e-12

    rewrite_arrays(folder, edit)
    with pytest.raises(DigestError, match=r"digest \w{12}, .* \w{12}; compile it again"):
        load_program(folder)


def test_arrays_in_another_order_are_noticed(folder):
    def edit(arrays):
        arrays["a0"], arrays["a1"] = arrays["a1"], arrays["a0"]

    rewrite_arrays(folder, edit)
    with pytest.raises(DigestError):
        load_program(folder)


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("circuit.json", {"result": 0}),
        ("program.json", {"digest": "0" * 64}),
        ("program.json", {"circuit": "0" * 64}),
    ],
)
def test_changed_json_is_noticed(folder, name, changes):
    change(folder / name, **changes)
    with pytest.raises(DigestError, match="digest"):
        load_program(folder)


@pytest.mark.parametrize("name", ["program.json", "circuit.json"])
def test_foreign_and_newer_files_are_refused(folder, name):
    path = folder / name
    original = path.read_text()
    change(path, format="heclstm-model")
    with pytest.raises(FileFormatError, match=rf"{name}: is no heclstm-program \(format: 'heclstm-model'\)"):
        load_program(folder)
    path.write_text(original)
    for version in (3, 0, True, "2", None):
        change(path, version=version)
        with pytest.raises(FileFormatError, match=rf"{name}: version {version}, this release reads version 1"):
            load_program(folder)


@pytest.mark.parametrize(
    "content",
    [
        b"[1, 2]",
        b"null",
        b"\x89PNG\r\n",
        b"\xff\xfe{}",
        b"{'format': 1}",
        b'{"format": ' + b"9" * 5000 + b"}",  # more digits than Python converts
        b"[" * 100_000,  # deeper than Python recurses
    ],
    ids=["list", "null", "png", "no utf-8", "no json", "long number", "deep"],
)
@pytest.mark.parametrize("name", ["program.json", "circuit.json"])
def test_json_of_another_kind_is_refused(folder, name, content):
    (folder / name).write_bytes(content)
    with pytest.raises(FileFormatError, match=name):
        load_program(folder)


@pytest.mark.parametrize(
    "changes",
    [
        {"keys": None},
        {"keys": {"relinearization_level": 3}},
        {"keys": {"relinearization_level": 3, "rotations": {"one": 3}}},
        {"keys": {"relinearization_level": "high", "rotations": {}}},
        {"parameters": {}},
        {"parameters": 7},
        {"input_layout": {"kind": "cube"}},
        {"input_layout": {"slots": 128, "frames": 2, "length": 4}},
        {"input_layout": []},
        {"result_layout": {"slots": 128}},
        {"input_level": None},
        {"input_level": 3.0},
        {"preparation": {"size": [8, 8]}},
        {"model": []},
        {"unknown": 1},
    ],
)
def test_a_description_with_a_wrong_field_is_refused(folder, changes):
    change_card(folder, **changes)
    with pytest.raises(FileFormatError, match=rf"program.json: .*{next(iter(changes))}"):
        load_card(folder)


# Those that earlier cards do not have may be absent; whoever takes one away changes the digest.
WRITTEN = [field.name for field in msgspec.structs.fields(Card) if field.default is not msgspec.UNSET]


@pytest.mark.parametrize("name", WRITTEN)
def test_a_description_with_a_missing_field_is_refused(folder, name):
    """Also where a default exists: what is digested is what is written."""
    public = json.loads((folder / "program.json").read_text())
    del public["card"][name]
    (folder / "program.json").write_text(json.dumps(public))
    with pytest.raises(FileFormatError, match=rf"program.json: .*{name}"):
        load_card(folder)


@pytest.mark.parametrize("name", ["card", "circuit", "digest"])
def test_a_document_with_a_missing_field_is_refused(folder, name):
    public = json.loads((folder / "program.json").read_text())
    del public[name]
    (folder / "program.json").write_text(json.dumps(public))
    with pytest.raises(FileFormatError, match=rf"program.json: .*missing required field `{name}`"):
        load_card(folder)


# ── forged files: the digest fits ──────────────────────────────────────────────────────────────────────────


def plan_of(circuit):
    return next(operation["plan"] for operation in circuit["operations"] if "plan" in operation)


@pytest.mark.parametrize(
    "edit",
    [
        lambda first, circuit: first.update(operation="Bootstrap"),
        lambda first, circuit: first.update(level="high"),
        lambda first, circuit: first.update(level=None),
        lambda first, circuit: first.update(scale="1"),
        lambda first, circuit: first.update(outputs=7),
        lambda first, circuit: first.update(unknown=1),
        lambda first, circuit: first.pop("layer"),
        lambda first, circuit: circuit.update(operations=None),
        lambda first, circuit: circuit.update(operations=[{"array": 0}]),
        lambda first, circuit: circuit.update(operations=[]),
        lambda first, circuit: circuit.update(result="last"),
        lambda first, circuit: plan_of(circuit).update(vectors={"array": 999}),
        lambda first, circuit: plan_of(circuit).update(vectors=[1.0]),
        lambda first, circuit: plan_of(circuit).update(index={"array": 1}),
        lambda first, circuit: plan_of(circuit).update(chains=[["a"]]),
        lambda first, circuit: plan_of(circuit).update(babies=None),
    ],
)
def test_operations_that_cannot_be_operations_are_refused(folder, edit):
    circuit = json.loads((folder / "circuit.json").read_text())
    edit(circuit["operations"][0], circuit)
    (folder / "circuit.json").write_text(json.dumps(circuit))
    forge(folder)
    with pytest.raises(HeclstmError):
        load_program(folder)


@pytest.mark.parametrize(
    "changes",
    [
        {"keys": {"relinearization_level": None, "rotations": {}}},
        {"input_level": 2},
        {"result_level": 5},
    ],
)
def test_a_description_that_is_not_of_its_circuit_is_refused(folder, changes):
    """The client makes keys and encrypts by program.json alone, so it must say what the operations need."""
    change_card(folder, **changes)
    forge(folder)
    assert load_card(folder).digest != tiny_program().digest  # by itself it is whole
    with pytest.raises(FileFormatError, match="does not describe circuit.json"):
        load_program(folder)


def test_nothing_is_unpickled(folder):
    class Bomb:
        def __reduce__(self):
            return os.abort, ()

    replace_member(folder, npy(np.array([Bomb()], dtype=object)))
    with pytest.raises(FileFormatError, match="circuit.npz: is no NumPy file of plain numbers"):
        load_program(folder)


def test_an_archive_that_unpacks_to_too_much_is_refused(folder, monkeypatch):
    """By the sizes in its directory, before a byte is unpacked."""
    monkeypatch.setattr(files, "ARRAYS", ArrayLimits(unpacked=1 << 20))
    replace_member(folder, npy(np.zeros(1 << 18)))
    with pytest.raises(FileFormatError, match=r"circuit.npz: unpacks to \d+ bytes, expected at most 1048576"):
        load_program(folder)


def test_an_array_that_claims_to_be_larger_than_its_bytes_is_refused(folder):
    """Without that, a header of 128 bytes makes NumPy ask for 2^55 bytes."""
    header = npy(np.zeros((1,))).replace(b"(1,), }" + b" " * 15, b"(4503599627370496,), }")
    assert len(header) % 64 == 8
    replace_member(folder, header)
    with pytest.raises(FileFormatError, match="circuit.npz"):
        load_program(folder)


@pytest.mark.parametrize(
    ("name", "content"), [("a0", b"no array"), ("a0.npy", b"no array"), ("b0.npy", npy(np.zeros(1)))]
)
def test_members_that_are_no_arrays_are_refused(folder, name, content):
    replace_member(folder, content, name)
    with pytest.raises(FileFormatError, match="circuit.npz"):
        load_program(folder)


def test_a_json_file_of_absurd_size_is_not_read(folder):
    with (folder / "program.json").open("wb") as file:
        file.truncate(1 << 40)  # a hole: a terabyte that takes no space
    with pytest.raises(FileFormatError, match=r"program.json: larger than \d+ bytes"):
        load_program(folder)


# ── fields that a later release added ──────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("prefer", ["keys", "time"])
def test_special_primes_by_level_walks_and_patches_come_back(tmp_path, prefer):
    options = Options(ring_degree=512, security="INSECURE_TEST", prefer=prefer)
    program = compile_model(random_model(small_config(frames=2), seed=1), options)
    assert program.circuit.parameters.special_counts
    save_program(program, tmp_path / "program")
    loaded = load_program(tmp_path / "program")
    assert loaded.card == program.card
    assert loaded.circuit.needed_keys == program.circuit.needed_keys
    for was, came in zip(program.circuit.operations, loaded.circuit.operations, strict=True):
        if isinstance(was, LinearTransform):
            fields = ("babies", "chains", "folds", "walks", "nested", "special_count")
            assert [getattr(was.plan, name) for name in fields] == [getattr(came.plan, name) for name in fields]


def test_patches_of_the_input_come_back(tmp_path):
    """One channel of a large ring: there is room for all nine taps."""
    options = Options(ring_degree=1 << 12, security="INSECURE_TEST")
    program = compile_model(random_model(small_config(frames=2, channels=1), seed=1), options)
    assert program.card.input_layout.patches is not None
    save_program(program, tmp_path / "program")
    assert load_card(tmp_path / "program").input_layout == program.card.input_layout
