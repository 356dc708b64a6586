"""What a process needs of a program whose vectors are kept prepared: all but those vectors.

It stands beside them, as a file named by the program's digest, and is written by a process that has read and checked
the whole program. Another takes it from a folder and a file of this user that nobody else may read or write, if the
program's files have the same bytes as then. So circuit.json and circuit.npz are compared and not parsed, unless the
prepared form is absent or damaged: `LateArray`.
"""

from __future__ import annotations

import hashlib
import json
import os
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any, cast

import msgspec
import numpy as np
from numpy.typing import NDArray

from heclstm.backend.machine import OUTLINE
from heclstm.card.program_card import ProgramCard
from heclstm.circuit.circuit import Circuit
from heclstm.circuit.late import LateArray, values_digest
from heclstm.circuit.operations import LinearTransform, operation_from_json
from heclstm.errors import DigestError, HeclstmError, OutputError
from heclstm.program.encoding import circuit_of
from heclstm.program.files import CIRCUIT, load_program
from heclstm.program.program import Program
from heclstm.program.public import load_card
from heclstm.storage.atomic import save_file
from heclstm.storage.own import own
from heclstm.storage.source import Place, opened

RELEASE = 2  # to be raised whenever what is written, or what follows from it, changes
BYTES_MAX = 256 << 20
_SHA = hashlib.sha256().digest_size


class _Array(msgspec.Struct, frozen=True, array_like=True):
    """content: None of one that is read late."""

    dtype: str
    shape: tuple[int, ...]
    digest: bytes
    content: bytes | None


class _Outline(msgspec.Struct, frozen=True):
    """files: the digest of the bytes that it was made of."""

    release: int
    program: str
    files: bytes
    circuit: bytes
    arrays: tuple[_Array, ...]


def load_kept(folder: Place, cache: Path | None) -> Program:
    """As `load_program`, without the vectors of its transforms where an earlier process has kept the rest of it."""
    card = load_card(folder)
    if cache is None or not card.circuit:  # of version 1, whose program.json does not verify itself
        return load_program(folder)
    if (found := _read(card, Path(folder), cache)) is not None:
        return found
    before = _digest_of_files(Path(folder))
    program = load_program(folder)
    if before and before == _digest_of_files(Path(folder)):
        _write(program, before, cache)
    return program


def _digest_of_files(folder: Path) -> bytes | None:
    """Of the circuit's files as they are on disk; None if they cannot be read, which `load_program` then says."""
    digests = []
    try:
        for name in CIRCUIT:
            with (folder / name).open("rb") as file:
                digests.append(hashlib.file_digest(file, "sha256").digest())
    except OSError:
        return None
    return hashlib.sha256(b"".join(digests)).digest()


def _path(card: ProgramCard, cache: Path) -> Path:
    return cache / (card.digest[:32] + OUTLINE)


def _read(card: ProgramCard, folder: Path, cache: Path) -> Program | None:
    """None if there is no such file, or none to be trusted."""
    path = _path(card, cache)
    try:
        if not own(os.stat(cache)) or path.is_symlink() or not own(os.stat(path)):
            return None
        with opened(path) as file:
            content = file.read_all(BYTES_MAX)
        said, content = content[:_SHA], content[_SHA:]
        if hashlib.sha256(content).digest() != said:
            return None
        outline = msgspec.msgpack.decode(content, type=_Outline)
        if outline.release != RELEASE or outline.program != card.digest or outline.files != _digest_of_files(folder):
            return None
        found = _program(outline, card, folder)
    except (OSError, HeclstmError, msgspec.MsgspecError, ValueError, KeyError, TypeError, IndexError, AttributeError):
        return None  # a ValidationError of msgspec's is no ValueError
    with suppress(OSError):
        os.utime(path)  # so that it counts as used
    return found


def _program(outline: _Outline, card: ProgramCard, folder: Path) -> Program:
    @cache
    def whole() -> list[NDArray[Any]]:
        program = load_program(folder)
        if program.digest != card.digest:
            raise DigestError(f"{folder}: holds another program than a moment ago; start again")
        return circuit_of(program.circuit)[1]

    def array(number: int, each: _Array) -> NDArray[Any]:
        dtype = np.dtype(each.dtype)
        if each.content is None:
            late = LateArray(dtype, each.shape, each.digest, lambda: _as_noted(whole(), number, each, folder))
            return cast(NDArray[Any], late)
        return np.frombuffer(each.content, dtype).reshape(each.shape)

    arrays = [array(number, each) for number, each in enumerate(outline.arrays)]
    data = json.loads(outline.circuit)
    operations = tuple(operation_from_json(operation, arrays) for operation in data["operations"])
    return Program(card, Circuit(card.parameters, card.input_layout, card.result_layout, operations, data["result"]))


def _as_noted(arrays: list[NDArray[Any]], number: int, noted: _Array, folder: Path) -> NDArray[Any]:
    """What is read late must be what was prepared: raises DigestError."""
    found = arrays[number] if number < len(arrays) else np.zeros(0)
    said, got = (noted.dtype, noted.shape, noted.digest), (found.dtype.str, found.shape, values_digest(found))
    if said != got:
        raise DigestError(
            f"{folder}: array {number} is {got[0]} {got[1]}, and not, or of other values than, the {said[0]} {said[1]} "
            f"of the outline that was kept; remove *{OUTLINE} from the cache and start again"
        )
    return found


def _write(program: Program, files: bytes, cache: Path) -> None:
    """The program runs without, where it cannot be written."""
    data, arrays = circuit_of(program.circuit)
    transforms = (each for each in program.circuit.operations if isinstance(each, LinearTransform))
    late = {id(each.plan.vectors) for each in transforms}
    kept = tuple(
        _Array(
            each.dtype.str,
            each.shape,
            values_digest(each),
            None if id(each) in late else np.ascontiguousarray(each).tobytes(),
        )
        for each in arrays
    )
    content = msgspec.msgpack.encode(_Outline(RELEASE, program.digest, files, json.dumps(data).encode(), kept))
    if len(content) > BYTES_MAX - _SHA:
        return
    with suppress(OSError, OutputError):
        cache.mkdir(mode=0o700, parents=True, exist_ok=True)
        if own(os.stat(cache)):
            save_file(_path(program.card, cache), hashlib.sha256(content).digest() + content, 0o600)
