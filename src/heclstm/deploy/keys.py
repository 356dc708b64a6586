"""What the key files of a program hold, and how large they are."""

from __future__ import annotations

from heclstm.card.program_card import ProgramCard
from heclstm.circuit.sizes import ciphertext_bytes, evaluation_key_bytes

SECRET_KEY_FILE = "secret.key"
EVALUATION_KEYS_FILE = "evaluation.keys"


def evaluation_key_blobs(card: ProgramCard) -> list[tuple[str, int]]:
    """(name, bytes) of every evaluation key of a program, in the order of its file."""
    keys, parameters = card.keys, card.parameters
    blobs = []
    if keys.relinearization_level is not None:
        blobs.append(("relinearization", evaluation_key_bytes(parameters, keys.relinearization_level)))
    for step, level in keys.rotations.items():
        blobs.append((f"rotation {step}", evaluation_key_bytes(parameters, level)))
    return blobs


def query_blobs(card: ProgramCard) -> list[tuple[str, int]]:
    """(name, bytes) of the ciphertexts of one encrypted sequence."""
    size = ciphertext_bytes(card.parameters, card.input_level, seeded=True)
    return [(f"ciphertext {i}", size) for i in range(card.input_layout.ciphertexts)]


def result_blobs(card: ProgramCard) -> list[tuple[str, int]]:
    """(name, bytes) of an encrypted result."""
    return [("result", ciphertext_bytes(card.parameters, card.result_level, seeded=False))]
