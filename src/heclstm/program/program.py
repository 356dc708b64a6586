"""What is deployed: a circuit, and the card that says what it is for."""

from __future__ import annotations

from dataclasses import dataclass, replace

from heclstm.card.program_card import ProgramCard
from heclstm.card.purpose import Purpose
from heclstm.circuit.circuit import Circuit
from heclstm.program.encoding import circuit_of, digest_of, public_of


@dataclass(frozen=True, eq=False)
class Program:
    """card: what the hospital gets. circuit: what the server computes. The card's digest is over both."""

    card: ProgramCard
    circuit: Circuit

    @classmethod
    def of(cls, circuit: Circuit, purpose: Purpose) -> Program:
        card = ProgramCard(
            parameters=circuit.parameters,
            input_layout=circuit.input_layout,
            result_layout=circuit.result_layout,
            input_level=circuit.input_level,
            result_level=circuit.result_level,
            keys=circuit.needed_keys,
            purpose=purpose,
            digest="",
        )
        return cls(replace(card, digest=digest_of(public_of(card), *circuit_of(circuit))), circuit)

    @property
    def digest(self) -> str:
        return self.card.digest
