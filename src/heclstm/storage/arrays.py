"""The one way to read and write NumPy files (.npy, .npz).

An array is set aside as large as its header says, so header and size are compared first. Nothing is unpickled: arrays
hold plain numbers, and their bytes are taken as they are.
"""

from __future__ import annotations

import ast
import math
import re
import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any
from zipfile import ZIP_DEFLATED, ZIP_STORED, BadZipFile, ZipFile

import numpy as np
from numpy.typing import NDArray

from heclstm.errors import FileFormatError
from heclstm.storage.archive import opened_archive
from heclstm.storage.atomic import new_file
from heclstm.storage.source import Source, opened

Array = NDArray[Any]
MEMBERS_MAX = 1 << 16
HEADER_BYTES_MAX = 1 << 14
PIECE_BYTES = 1 << 18  # unpacked at once: they stay in the cache, and their memory is used again
_PLAIN = re.compile(r"[<>|=](?:b1|[iu][1248]|f[248]|c(?:8|16))")  # numbers and truth values
_DAMAGED = (BadZipFile, zlib.error, struct.error, ValueError, KeyError, EOFError, OverflowError)
_FIELDS = {"descr", "fortran_order", "shape"}


@dataclass(frozen=True)
class ArrayLimits:
    """file: bytes on disk. unpacked: of all arrays together."""

    file: int = 1 << 30
    unpacked: int = 2 << 30


def read_npy(source: Source, limits: ArrayLimits = ArrayLimits()) -> Array:
    """The array of a .npy file. Raises FileFormatError."""
    with opened(source) as file:
        content = file.read_all(limits.file)
        if len(content) > limits.unpacked:
            raise _unpacks(file.name, len(content), limits)
        with opened(content) as again:
            return _numbers(again.stream, len(content), file.name)


def read_npz(source: Source, limits: ArrayLimits = ArrayLimits()) -> dict[str, Array]:
    """All arrays of a .npz file by name, in its order. Raises FileFormatError."""
    with opened(source) as file:
        if file.size is None:
            return read_npz(file.read_all(limits.file), limits)
        if file.size > limits.file:
            raise FileFormatError(f"{file.name}: {file.size} bytes, expected at most {limits.file}")
        try:
            with opened_archive(file.stream, file.name) as archive:
                return _members(archive, file.name, limits)
        # What zipfile raises on files that are damaged, encrypted (RuntimeError), or of other kinds.
        except (*_DAMAGED, OSError, RuntimeError, NotImplementedError) as error:
            raise _foreign(file.name, "damaged, or of another kind") from error


def write_npz(target: Path | IO[bytes], arrays: Mapping[str, Array]) -> None:
    """Write arrays, compressed; the same arrays give the same bytes. Raises OutputError."""
    if isinstance(target, Path):
        with new_file(target) as stream:
            return write_npz(stream, arrays)
    np.savez_compressed(target, **arrays)  # type: ignore[arg-type]  # the stub takes the names for allow_pickle
    return None


def _members(archive: ZipFile, name: str, limits: ArrayLimits) -> dict[str, Array]:
    members = archive.infolist()
    if (total := sum(member.file_size for member in members)) > limits.unpacked:
        raise _unpacks(name, total, limits)
    names = [member.filename.removesuffix(".npy") for member in members]
    if len(members) > MEMBERS_MAX or len(set(names)) != len(names):
        raise _foreign(name, f"{len(members)} members, expected at most {MEMBERS_MAX} of different names")
    arrays = {}
    for key, member in zip(names, members, strict=True):
        if member.compress_type not in (ZIP_STORED, ZIP_DEFLATED):
            raise _foreign(name, "compressed in a way that NumPy does not use")
        with archive.open(member) as stream:
            arrays[key] = _numbers(stream, member.file_size, name)
    return arrays


def _numbers(stream: IO[bytes], size: int, name: str) -> Array:
    """The array that these `size` bytes are, its header included."""
    shape, kind, fortran, start = _header(stream, name)
    expected = start + math.prod(shape) * kind.itemsize
    if expected != size:
        raise FileFormatError(f"{name}: an array has {size} bytes, its header says {expected}")
    try:
        content = bytearray(size - start)
    except MemoryError as error:
        raise FileFormatError(f"{name}: does not fit into the memory of this machine") from error
    left = memoryview(content)
    while left:
        piece = stream.read(min(len(left), PIECE_BYTES))
        if not piece:
            raise _foreign(name, "truncated")
        left[: len(piece)] = piece
        left = left[len(piece) :]
    try:
        flat = np.frombuffer(content, kind) if content else np.zeros(0, kind)
        array = flat.reshape(shape, order="F" if fortran else "C")
    except ValueError as error:  # too many axes, or an empty array of absurd sizes
        raise _foreign(name, "of an impossible shape") from error
    return array if kind.isnative else array.astype(kind.newbyteorder("="))


def _header(stream: IO[bytes], name: str) -> tuple[tuple[int, ...], np.dtype[Any], bool, int]:
    """(shape, kind, whether in Fortran's order, bytes of the header)."""
    start = stream.read(8)
    if start not in (b"\x93NUMPY\x01\x00", b"\x93NUMPY\x02\x00"):  # later ones hold records
        raise _foreign(name, "no array of version 1 or 2")
    width = 2 * start[6]
    length = int.from_bytes(stream.read(width), "little")
    if length > HEADER_BYTES_MAX:
        raise _foreign(name, f"a header of {length} bytes")
    try:
        fields = ast.literal_eval(stream.read(length).decode("latin-1").strip())
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError) as error:
        raise _foreign(name, "its header cannot be read") from error
    if not isinstance(fields, dict) or fields.keys() != _FIELDS:
        raise _foreign(name, "its header has other fields")
    shape, fortran, descr = fields["shape"], fields["fortran_order"], fields["descr"]
    whole = isinstance(shape, tuple) and all(type(size) is int and size >= 0 for size in shape)
    if not whole or not isinstance(fortran, bool):
        raise _foreign(name, "its header has fields of other types")
    if not isinstance(descr, str) or not _PLAIN.fullmatch(descr):
        raise _foreign(name, "its values are no plain numbers")
    return shape, np.dtype(descr), fortran, len(start) + width + length


def _unpacks(name: str, count: int, limits: ArrayLimits) -> FileFormatError:
    return FileFormatError(f"{name}: unpacks to {count} bytes, expected at most {limits.unpacked}")


def _foreign(name: str, reason: str) -> FileFormatError:
    return FileFormatError(f"{name}: is no NumPy file of plain numbers ({reason})")
