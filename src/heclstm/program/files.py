"""Programs on disk.

A program folder holds
    program.json    the card, what everybody may see: parameters, layouts, needed keys, preparation, operating point
    circuit.json    the operations (server)
    circuit.npz     their vectors (server): the model's weights, folded

The hospital needs program.json only. The digest covers all three, so keys and ciphertexts name the program that they
were made for. Arrays are .npy members of a deflated zip, operations are JSON; nothing is ever unpickled. Reading
checks type, version and digest, and `check` runs on what was read.
"""

from __future__ import annotations

import json
import math
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from heclstm.card.program_card import ProgramCard
from heclstm.card.purpose import Purpose
from heclstm.circuit.check import check
from heclstm.circuit.circuit import Circuit, NeededKeys
from heclstm.circuit.layout import ImageLayout, ResultLayout, layout_from_json
from heclstm.circuit.operations import operation_from_json
from heclstm.circuit.parameters import LEVEL_MIN, Parameters
from heclstm.errors import DigestError, FileFormatError, HeclstmError
from heclstm.program.encoding import FORMAT, VERSION, circuit_of, digest_of, public_of
from heclstm.program.program import Program
from heclstm.storage.atomic import new_folder
from heclstm.storage.json import read_json

NAMES = ("program.json", "circuit.json", "circuit.npz")
# What a hospital makes for a program at most, whatever it asks for.
ROTATIONS_MAX = 4096
CIPHERTEXTS_MAX = 256
ARRAYS_BYTES_MAX = 8 << 30


def save_program(program: Program, folder: Path) -> str:
    """Write the three files into `folder`, which appears whole or not at all. Returns the digest."""
    circuit, arrays = circuit_of(program.circuit)
    with new_folder(folder, FORMAT, NAMES) as partial:
        public = {**public_of(program.card), "digest": program.card.digest}
        (partial / "program.json").write_text(json.dumps(public, indent=1) + "\n")
        (partial / "circuit.json").write_text(json.dumps(circuit) + "\n")
        np.savez_compressed(partial / "circuit.npz", **{f"a{i}": array for i, array in enumerate(arrays)})  # type: ignore[arg-type]
    return program.card.digest


def load_card(path: Path) -> ProgramCard:
    """The public part: `path` is a program folder or its program.json."""
    file = path / "program.json" if path.is_dir() else path
    public = read_json(file)
    _check_format(file, public)
    try:
        keys = public["keys"]
        source, target = layout_from_json(public["input_layout"]), layout_from_json(public["result_layout"])
        if not isinstance(source, ImageLayout) or not isinstance(target, ResultLayout):
            raise FileFormatError(f"{file}: expected an image layout and a result layout")
        steps, relinearization = keys["rotations"], keys["relinearization_level"]
        levels = [public["input_level"], public["result_level"], *steps.values()]
        levels += [] if relinearization is None else [relinearization]
        parameters = Parameters.from_json(public["parameters"])
        if not all(type(level) is int and LEVEL_MIN <= level <= parameters.max_level for level in levels):
            raise FileFormatError(f"{file}: a level is not among {LEVEL_MIN} … {parameters.max_level}")
        if {source.slots, target.slots} != {parameters.slots}:
            raise FileFormatError(f"{file}: its layouts do not have the {parameters.slots} slots of its parameters")
        if not all(str(int(step)) == step and 0 < int(step) < parameters.slots for step in steps):
            raise FileFormatError(f"{file}: a rotation step is not among 1 … {parameters.slots - 1}")
        if len(steps) > ROTATIONS_MAX or source.ciphertexts > CIPHERTEXTS_MAX:
            raise FileFormatError(
                f"{file}: asks for {len(steps)} rotation keys and {source.ciphertexts} ciphertexts, "
                f"expected at most {ROTATIONS_MAX} and {CIPHERTEXTS_MAX}"
            )
        return ProgramCard(
            parameters=parameters,
            input_layout=source,
            result_layout=target,
            input_level=int(public["input_level"]),
            result_level=int(public["result_level"]),
            keys=NeededKeys(
                keys["relinearization_level"],
                {int(step): int(level) for step, level in keys["rotations"].items()},
            ),
            purpose=Purpose(**public["purpose"]),
            digest=str(public["digest"]),
        )
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise FileFormatError(f"{file}: a field is missing or of the wrong type ({error!r})") from error


def load_program(folder: Path) -> Program:
    """The whole program, checked. Raises FileFormatError or DigestError, naming the file."""
    card = load_card(folder)
    circuit = read_json(folder / "circuit.json")
    _check_format(folder / "circuit.json", circuit)
    arrays = _read_arrays(folder / "circuit.npz")
    public = read_json(folder / "program.json")
    digest = public.pop("digest")
    try:
        found = digest_of(public, circuit, arrays)
    except (TypeError, ValueError, RecursionError) as error:
        raise FileFormatError(f"{folder}: holds what has no digest ({error})") from error
    if found != digest:
        raise DigestError(
            f"{folder}: its content has the digest {found[:12]}, its name is {digest[:12]}; compile it again"
        )
    try:
        operations = tuple(operation_from_json(operation, arrays) for operation in circuit["operations"])
        result = int(circuit["result"])
        program = Program.of(
            check(Circuit(card.parameters, card.input_layout, card.result_layout, operations, result)), card.purpose
        )
        if json.loads(json.dumps(public_of(program.card))) != public:
            raise FileFormatError(f"{folder}: program.json does not describe circuit.json; compile it again")
        return program
    except (KeyError, TypeError, ValueError, IndexError, AttributeError, RecursionError) as error:
        raise FileFormatError(f"{folder}/circuit.json: an operation cannot be read ({error!r})") from error


def _check_format(path: Path, data: dict[str, Any]) -> None:
    if data.get("format") != FORMAT:
        raise FileFormatError(f"{path}: is no {FORMAT} (format: {data.get('format')!r})")
    if data.get("version") != VERSION:
        raise FileFormatError(f"{path}: version {data.get('version')!r}, this release reads version {VERSION}")


def _read_arrays(path: Path) -> list[np.ndarray[Any, Any]]:
    try:
        with zipfile.ZipFile(path) as archive:
            total = sum(member.file_size for member in archive.infolist())
            if total > ARRAYS_BYTES_MAX:
                raise FileFormatError(f"{path}: unpacks to {total} bytes, expected at most {ARRAYS_BYTES_MAX}")
            for member in archive.infolist():
                _check_header(archive, member)
        with np.load(path, allow_pickle=False) as archive:
            return [archive[f"a{i}"] for i in range(len(archive.files))]
    except HeclstmError:
        raise
    except (
        OSError,
        ValueError,
        KeyError,
        EOFError,
        NotImplementedError,
        RuntimeError,
        zipfile.BadZipFile,
        zlib.error,
    ) as error:
        raise FileFormatError(f"{path}: cannot be read as arrays ({error})") from error


def _check_header(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> None:
    """An array is allocated as its header says before its bytes are read, so both must agree."""
    with archive.open(member) as file:
        if np.lib.format.read_magic(file) != (1, 0):
            raise ValueError(f"{member.filename} is of an unknown version")
        shape, _, dtype = np.lib.format.read_array_header_1_0(file)
        if file.tell() + math.prod(shape) * dtype.itemsize != member.file_size:
            raise ValueError(f"{member.filename} has another size than its header says")
