"""What is deployed: a circuit, and the card that says what it is for."""

from __future__ import annotations

from dataclasses import dataclass

from heclstm.card.program_card import Card, ProgramCard, program_digest
from heclstm.card.purpose import Purpose
from heclstm.circuit.circuit import Circuit
from heclstm.program.encoding import circuit_digest, circuit_of


@dataclass(frozen=True, eq=False)
class Program:
    """card: what the hospital gets. circuit: what the server computes. The card's digest is over both."""

    card: ProgramCard
    circuit: Circuit

    @classmethod
    def of(cls, circuit: Circuit, purpose: Purpose, digest: str = "") -> Program:
        """digest: of the circuit, where it is known. Raises FileFormatError where no hospital would make its keys or
        queries.
        """
        card = Card(
            parameters=circuit.parameters,
            input_layout=circuit.input_layout,
            result_layout=circuit.result_layout,
            input_level=circuit.input_level,
            result_level=circuit.result_level,
            keys=circuit.needed_keys,
            preparation=purpose.preparation,
            operating_points=purpose.operating_points,
            ranges=purpose.ranges,
            temperature=purpose.temperature,
            envelope=purpose.envelope,
            model=purpose.model,
        )
        card = Card.read(card.to_json(), "card")  # as a hospital will read it: every field within its limits
        found = digest or circuit_digest(*circuit_of(circuit))
        return cls(card.with_program(found, program_digest(card, found)), circuit)

    @property
    def digest(self) -> str:
        return self.card.digest
