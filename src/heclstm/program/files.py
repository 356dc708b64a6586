"""Programs on disk.

A program folder holds
    program.json    the card, what everybody may see: parameters, layouts, needed keys, preparation, operating points
    circuit.json    the operations (server)
    circuit.npz     their vectors (server): the model's weights, folded

The hospital needs program.json only. The digest covers all three, so keys and ciphertexts name the program that they
were made for. Arrays are .npy members of a deflated zip, operations are JSON; nothing is ever unpickled. Reading
checks type, version and digest, and `check` runs on what was read.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from msgspec import structs
from numpy.typing import NDArray

from heclstm.card.program_card import ProgramCard
from heclstm.circuit.check import check
from heclstm.circuit.circuit import Circuit
from heclstm.circuit.operations import operation_from_json
from heclstm.errors import DigestError, FileFormatError
from heclstm.program.encoding import VERSION, circuit_digest, circuit_of
from heclstm.program.program import Program
from heclstm.program.public import FORMAT, NAME, card_of, load_card, require_format, save_card
from heclstm.program.version1 import digest_of_version_1
from heclstm.storage.arrays import ArrayLimits, read_npz, write_npz
from heclstm.storage.atomic import new_folder, save_file
from heclstm.storage.json import SMALL, read_json
from heclstm.storage.source import Place

__all__ = ["load_card", "load_program", "save_program"]

CIRCUIT = ("circuit.json", "circuit.npz")
NAMES = (NAME, *CIRCUIT)
ARRAYS = ArrayLimits(file=8 << 30, unpacked=8 << 30)


def save_program(program: Program, folder: Place) -> str:
    """Write the three files into `folder`, which appears whole or not at all. Returns the digest.

    A program that was read from a folder of version 1 becomes one of version 2, with another digest.
    """
    card = program.card if program.card.circuit else Program.of(program.circuit, program.card.purpose).card
    circuit, arrays = circuit_of(program.circuit)
    with new_folder(Path(folder), FORMAT, NAMES) as partial:
        save_card(card, partial / NAME)
        save_file(partial / "circuit.json", json.dumps(circuit) + "\n")
        write_npz(partial / "circuit.npz", {f"a{i}": array for i, array in enumerate(arrays)})
    return card.digest


def load_program(folder: Place) -> Program:
    """The whole program, checked. Raises FileFormatError or DigestError, naming the file."""
    folder = Path(folder)
    public = read_json(folder / NAME, SMALL)
    card = card_of(public, str(folder / NAME))
    circuit = read_json(folder / "circuit.json")
    require_format(circuit, str(folder / "circuit.json"), versions=(VERSION,))
    arrays = _read_arrays(folder / "circuit.npz")
    if card.circuit:
        found, said = circuit_digest(circuit, arrays), card.circuit
    else:
        found, said = digest_of_version_1(public, circuit, arrays), card.digest
    if found != said:
        raise DigestError(
            f"{folder}: its content has the digest {found[:12]}, its name is {said[:12]}; compile it again"
        )
    return Program(card, _circuit(folder, card, circuit, arrays))


def _circuit(folder: Path, card: ProgramCard, data: dict[str, Any], arrays: list[NDArray[Any]]) -> Circuit:
    """The operations, checked, and as the card describes them."""
    try:
        operations = tuple(operation_from_json(operation, arrays) for operation in data["operations"])
        circuit = check(
            Circuit(card.parameters, card.input_layout, card.result_layout, operations, int(data["result"]))
        )
        described = Program.of(circuit, card.purpose, card.circuit or "").card
    except (KeyError, TypeError, ValueError, IndexError, AttributeError, RecursionError) as error:
        raise FileFormatError(f"{folder}/circuit.json: an operation cannot be read ({type(error).__name__})") from error
    stated = {"circuit": card.circuit, "digest": card.digest, "signature": card.signature}
    if structs.replace(described, **stated) != card:
        raise FileFormatError(f"{folder}: program.json does not describe circuit.json; compile it again")
    return circuit


def _read_arrays(path: Path) -> list[NDArray[Any]]:
    arrays = read_npz(path, ARRAYS)
    if arrays.keys() != {f"a{i}" for i in range(len(arrays))}:
        raise FileFormatError(f"{path}: holds arrays of other names, expected a0, a1, …")
    return [arrays[f"a{i}"] for i in range(len(arrays))]
