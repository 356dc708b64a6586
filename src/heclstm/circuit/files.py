"""Programs on disk; see `circuit.program` for what each file holds and who gets it.

Arrays are .npy members of a deflated zip, operations are JSON; nothing is ever unpickled. Reading checks type, version
and digest, and `check` runs on what was read.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import shutil
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np

from heclstm.circuit import ir
from heclstm.circuit.check import check
from heclstm.circuit.layout import ImageLayout, ResultLayout, layout_from_json
from heclstm.circuit.parameters import LEVEL_MIN, Parameters
from heclstm.circuit.program import Description, NeededKeys, Program, Purpose
from heclstm.errors import DigestError, FileFormatError, HeclstmError

FORMAT, VERSION = "heclstm-program", 1
# What a hospital makes for a program at most, whatever it asks for.
ROTATIONS_MAX = 4096
CIPHERTEXTS_MAX = 256
ARRAYS_BYTES_MAX = 8 << 30
JSON_BYTES_MAX = 64 << 20
OPERATIONS: dict[str, type[ir.Operation]] = {
    kind.__name__: kind
    for kind in (
        ir.Input,
        ir.LinearTransform,
        ir.SumOfProducts,
        ir.MultiplyPlain,
        ir.AddPlain,
        ir.Add,
        ir.Rotate,
        ir.Rescale,
        ir.DropLevel,
    )
}


def save_program(program: Program, folder: Path) -> str:
    """Write the three files into `folder`, which appears whole or not at all. Returns the digest."""
    arrays: list[np.ndarray[Any, Any]] = []
    circuit = {
        "format": FORMAT,
        "version": VERSION,
        "result": program.result,
        "operations": [_encode(operation, arrays) for operation in program.operations],
    }
    public = _public(program)
    digest = _digest(public, circuit, arrays)
    with new_folder(folder) as partial:
        (partial / "program.json").write_text(json.dumps({**public, "digest": digest}, indent=1) + "\n")
        (partial / "circuit.json").write_text(json.dumps(circuit) + "\n")
        np.savez_compressed(partial / "circuit.npz", **{f"a{i}": array for i, array in enumerate(arrays)})  # type: ignore[arg-type]
    return digest


@contextmanager
def new_folder(folder: Path) -> Iterator[Path]:
    """A folder to write into that takes its name only when the block ends well."""
    if folder.is_symlink() or folder.exists() and not (folder.is_dir() and _replaceable(folder)):
        raise FileFormatError(f"{folder}: exists and is no {FORMAT}; choose another folder, or remove it yourself")
    folder.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        yield partial
        partial.chmod(0o755)
        old = partial.with_name(f"{partial.name}-old")
        if folder.exists():
            os.replace(folder, old)
        try:
            os.replace(partial, folder)
        except OSError:
            if old.exists():
                os.replace(old, folder)
            raise
        shutil.rmtree(old, ignore_errors=True)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _replaceable(folder: Path) -> bool:
    """Empty, or a program and nothing else: all that may be deleted without asking."""
    return {path.name for path in folder.iterdir()} <= {"program.json", "circuit.json", "circuit.npz"}


def load_description(path: Path) -> Description:
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
        return Description(
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
    description = load_description(folder)
    circuit = read_json(folder / "circuit.json")
    _check_format(folder / "circuit.json", circuit)
    arrays = _read_arrays(folder / "circuit.npz")
    public = read_json(folder / "program.json")
    digest = public.pop("digest")
    try:
        found = _digest(public, circuit, arrays)
    except (TypeError, ValueError, RecursionError) as error:
        raise FileFormatError(f"{folder}: holds what has no digest ({error})") from error
    if found != digest:
        raise DigestError(
            f"{folder}: its content has the digest {found[:12]}, its name is {digest[:12]}; compile it again"
        )
    try:
        operations = tuple(_decode(operation, arrays) for operation in circuit["operations"])
        program = Program(
            description.parameters,
            description.input_layout,
            description.result_layout,
            operations,
            int(circuit["result"]),
            description.purpose,
        )
        check(program)
        if json.loads(json.dumps(_public(program))) != public:
            raise FileFormatError(f"{folder}: program.json does not describe circuit.json; compile it again")
        return program
    except (KeyError, TypeError, ValueError, IndexError, AttributeError, RecursionError) as error:
        raise FileFormatError(f"{folder}/circuit.json: an operation cannot be read ({error!r})") from error


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object of a sane size. Raises FileFormatError."""
    try:
        size = path.stat().st_size
        if size > JSON_BYTES_MAX:
            raise FileFormatError(f"{path}: {size} bytes, expected at most {JSON_BYTES_MAX}")
        data = json.loads(path.read_text())
    except OSError as error:
        raise FileFormatError(f"{path}: cannot be read ({error.strerror})") from error
    except (ValueError, RecursionError) as error:  # no JSON, no UTF-8, a number too long, brackets too deep
        raise FileFormatError(f"{path}: is no JSON ({error})") from error
    if not isinstance(data, dict):
        raise FileFormatError(f"{path}: holds a {type(data).__name__}, expected a JSON object")
    return data


def _public(program: Program) -> dict[str, Any]:
    keys = program.needed_keys
    return {
        "format": FORMAT,
        "version": VERSION,
        "parameters": program.parameters.to_json(),
        "input_layout": program.input_layout.to_json(),
        "result_layout": program.result_layout.to_json(),
        "input_level": program.input_level,
        "result_level": program.result_level,
        "keys": {
            "relinearization_level": keys.relinearization_level,
            "rotations": {str(step): level for step, level in keys.rotations.items()},
        },
        "purpose": _purpose(program.purpose),
    }


def _purpose(purpose: Purpose) -> dict[str, Any]:
    """Programs from before scores had a temperature do not name it, and keep their digest."""
    known = asdict(purpose)
    return known if purpose.temperature else {name: known[name] for name in known if name != "temperature"}


def _digest(public: dict[str, Any], circuit: dict[str, Any], arrays: list[np.ndarray[Any, Any]]) -> str:
    digest = hashlib.sha256()
    for part in (public, circuit):
        digest.update(json.dumps(part, sort_keys=True, allow_nan=False).encode() + b"\n")
    for array in arrays:
        digest.update(f"{array.dtype.str} {array.shape}\n".encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def _check_format(path: Path, data: dict[str, Any]) -> None:
    if data.get("format") != FORMAT:
        raise FileFormatError(f"{path}: is no {FORMAT} (format: {data.get('format')!r})")
    if data.get("version") != VERSION:
        raise FileFormatError(f"{path}: version {data.get('version')!r}, this release reads version {VERSION}")


def _encode(value: Any, arrays: list[np.ndarray[Any, Any]]) -> Any:
    if isinstance(value, np.ndarray):
        arrays.append(value)
        return {"array": len(arrays) - 1}
    if is_dataclass(value):
        named = {field.name: _encode(getattr(value, field.name), arrays) for field in fields(value)}
        return {"operation": type(value).__name__, **named}
    if isinstance(value, tuple | list):
        return [_encode(item, arrays) for item in value]
    return value


def _decode(data: Any, arrays: list[np.ndarray[Any, Any]]) -> Any:
    if isinstance(data, list):
        return tuple(_decode(item, arrays) for item in data)
    if not isinstance(data, dict):
        return data
    if "array" in data:
        return arrays[data["array"]]
    name = data["operation"]
    kind: Any = ir.TransformPlan if name == "TransformPlan" else OPERATIONS.get(name)
    if kind is None:
        raise FileFormatError(f"circuit: unknown operation {name!r}, expected one of {sorted(OPERATIONS)}")
    return kind(**{key: _decode(value, arrays) for key, value in data.items() if key != "operation"})


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
