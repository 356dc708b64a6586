"""NumPy files from outside: plain numbers or a typed error, and never more memory than their bytes."""

import io
import os
import zipfile
from dataclasses import FrozenInstanceError

import numpy as np
import pytest

from heclstm.errors import FileFormatError, OutputError
from heclstm.storage import arrays as module
from heclstm.storage.arrays import ArrayLimits, read_npy, read_npz, write_npz

KINDS = ("?", "u1", "<i2", ">i4", "<u8", "<f2", ">f4", "<f8", "<c16")


def npy(array):
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=True)
    return buffer.getvalue()


def claim(header, version=b"\x01\x00", data=b""):
    """A .npy file with this header, whatever it says."""
    text = header.encode("latin-1") + b"\n"
    return b"\x93NUMPY" + version + len(text).to_bytes(2 * version[0], "little") + text + data


def archive(members, compression=zipfile.ZIP_STORED):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as file:
        for name, content in members.items():
            file.writestr(name, content)
    return buffer.getvalue()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", [(), (0,), (3,), (2, 3, 4), (2, 0, 3)])
def test_arrays_survive(kind, shape, tmp_path):
    array = (np.random.default_rng(0).random(shape) * 100).astype(kind)
    for stored in (array, np.asfortranarray(array)):
        content = npy(stored)
        (tmp_path / "a.npy").write_bytes(content)
        for source in (content, tmp_path / "a.npy", io.BytesIO(content)):
            found = read_npy(source)
            assert found.shape == stored.shape  # of a number without axes, Fortran makes one
            assert np.array_equal(found, stored)
            assert found.dtype == array.dtype.newbyteorder("=")
            assert found.flags.writeable
    write_npz(tmp_path / "a.npz", {"x": array, "y": array})
    found = read_npz(tmp_path / "a.npz")
    assert list(found) == ["x", "y"]
    assert np.array_equal(found["y"], array)


def test_the_same_arrays_give_the_same_bytes(tmp_path):
    arrays = {"a": np.arange(5), "b": np.ones((2, 2))}
    write_npz(tmp_path / "a.npz", arrays)
    write_npz(tmp_path / "b.npz", arrays)
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    with pytest.raises(OutputError, match="is a folder"):
        write_npz(tmp_path, arrays)


class Bomb:
    def __reduce__(self):
        return os.abort, ()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"hello",
        b"\x93NUMPY",
        npy(np.array([Bomb()], dtype=object)),
        npy(np.array(["text"])),
        npy(np.zeros(2, "M8[s]")),
        npy(np.zeros(2, [("a", "f4")])),
        claim("{'descr': (), 'fortran_order': False, 'shape': (1,)} "),
        claim("{'descr': '<f4', 'fortran_order': False, 'shape': (3, 3, 3), } {   \x01   \x80 "),
        claim("{'descr': '<f8', 'fortran_order': 0, 'shape': (1,)}", data=bytes(8)),
        claim("{'descr': '<f8', 'fortran_order': False, 'shape': (True,)}", data=bytes(8)),
        claim("{'descr': '<f8', 'fortran_order': False, 'shape': (-1,)}", data=bytes(8)),
        claim("{'descr': '<f8', 'fortran_order': False, 'shape': 1}", data=bytes(8)),
        claim("{'descr': '<f8', 'shape': (1,)}", data=bytes(8)),
        claim("{'descr': '<f8', 'fortran_order': False, 'shape': (0, 99999999999999999999999)}"),
        claim("{'descr': '<f8', 'fortran_order': False, 'shape': (" + "1," * 70 + ")}", data=bytes(8)),
        claim("[" * 400 + "]" * 400),
        claim("-" * 9000 + "1"),
        claim("os.abort()"),
        claim("{'descr': '<f8', 'fortran_order': False, 'shape': (1,)}", b"\x03\x00", bytes(8)),
        claim(" " * 20_000, b"\x02\x00"),
    ],
)
def test_what_is_no_array_is_refused(content):
    with pytest.raises(FileFormatError, match=r"message of \d+ bytes: is no NumPy file of plain numbers"):
        read_npy(content)
    with pytest.raises(FileFormatError, match="is no NumPy file of plain numbers"):
        read_npz(archive({"a.npy": content}))


def test_an_array_must_be_as_large_as_it_says():
    """Else a header of 128 bytes asks for 2^55 of them."""
    header = "{'descr': '<f8', 'fortran_order': False, 'shape': (4503599627370496,)}"
    for content in (claim(header, data=bytes(8)), npy(np.zeros(2)) + b"x", npy(np.zeros(2))[:-1]):
        for read, source in ((read_npy, content), (read_npz, archive({"a.npy": content}))):
            with pytest.raises(FileFormatError, match=r"an array has \d+ bytes, its header says \d+"):
                read(source)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"PK\x03\x04 truncated",
        archive({"a": npy(np.zeros(1)), "a.npy": npy(np.zeros(1))})[:-10],
        archive({"a.npy": npy(np.zeros(1))}, zipfile.ZIP_BZIP2),
        archive({"folder/": b""}),
        archive({"a.npy": b"no array"}),
    ],
)
def test_what_is_no_archive_is_refused(content, tmp_path):
    (tmp_path / "a.npz").write_bytes(content)
    for source in (content, tmp_path / "a.npz", io.BytesIO(content)):
        with pytest.raises(FileFormatError, match="is no NumPy file of plain numbers"):
            read_npz(source)


def test_a_flipped_bit_is_noticed_wherever_it_is():
    content = bytearray(archive({"a.npy": npy(np.arange(40.0))}, zipfile.ZIP_DEFLATED))
    original = read_npz(bytes(content))["a"]
    for place in range(len(content)):
        content[place] ^= 1
        try:
            found = read_npz(bytes(content))
        except FileFormatError:
            pass
        else:  # a date, a name, a flag that nothing depends on
            assert all(np.array_equal(array, original) for array in found.values()), place
        content[place] ^= 1


def test_an_archive_must_hold_what_it_says():
    """A member that ends before its array does."""
    content = claim("{'descr': '<f8', 'fortran_order': False, 'shape': (2,)}", data=bytes(8))
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        file.writestr("a.npy", content)
        file.filelist[0].file_size += 8
    with pytest.raises(FileFormatError, match="truncated"):
        read_npz(buffer.getvalue())


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("names", [("a.npy", "a.npy"), ("a", "a.npy")])
def test_two_arrays_of_one_name_are_refused(names):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        for name in names:
            file.writestr(name, npy(np.zeros(1)))
    with pytest.raises(FileFormatError, match="2 members, expected at most 65536 of different names"):
        read_npz(buffer.getvalue())


def test_so_many_arrays_and_no_more(monkeypatch):
    monkeypatch.setattr(module, "MEMBERS_MAX", 2)
    content = {name: npy(np.zeros(1)) for name in "abc"}
    assert list(read_npz(archive({name: content[name] for name in "ab"}))) == ["a", "b"]
    with pytest.raises(FileFormatError, match="3 members, expected at most 2"):
        read_npz(archive(content))


def test_so_long_a_header_and_no_longer():
    """Of version 2, whose length has four bytes."""
    header = "{'descr': '<f8', 'fortran_order': False, 'shape': (1,)}"
    longest = claim(header.ljust((1 << 14) - 1), b"\x02\x00", np.ones(1).tobytes())
    assert read_npy(longest).tolist() == [1.0]
    with pytest.raises(FileFormatError, match="a header of 16385 bytes"):
        read_npy(claim(header.ljust(1 << 14), b"\x02\x00", bytes(8)))


def test_what_no_memory_holds_is_refused(monkeypatch):
    def none(size):
        raise MemoryError

    monkeypatch.setattr(module, "bytearray", none, raising=False)
    with pytest.raises(FileFormatError, match="does not fit into the memory of this machine"):
        read_npy(npy(np.zeros(3)))


def test_the_bounds_are_these():
    """Whoever moves one means it: files that are read today must be read tomorrow."""
    assert (module.MEMBERS_MAX, module.HEADER_BYTES_MAX) == (1 << 16, 1 << 14)
    assert ArrayLimits() == ArrayLimits(file=1 << 30, unpacked=2 << 30)
    with pytest.raises(FrozenInstanceError):
        ArrayLimits().file = 1


def test_limits_hold_before_a_byte_is_unpacked():
    content = archive({"a.npy": npy(np.zeros(100_000))}, zipfile.ZIP_DEFLATED)
    limits = ArrayLimits(file=len(content), unpacked=800_128)
    assert read_npz(content, limits)["a"].size == 100_000
    with pytest.raises(FileFormatError, match="unpacks to 800128 bytes, expected at most 800127"):
        read_npz(content, ArrayLimits(unpacked=800_127))
    with pytest.raises(FileFormatError, match=rf"{len(content)} bytes, expected at most {len(content) - 1}"):
        read_npz(content, ArrayLimits(file=len(content) - 1))
    with pytest.raises(FileFormatError, match="larger than 100 bytes"):
        read_npy(npy(np.zeros(100)), ArrayLimits(file=100))
    assert read_npy(npy(np.zeros(100)), ArrayLimits(unpacked=928)).size == 100
    with pytest.raises(FileFormatError, match="unpacks to 928 bytes, expected at most 927"):
        read_npy(npy(np.zeros(100)), ArrayLimits(unpacked=927))
