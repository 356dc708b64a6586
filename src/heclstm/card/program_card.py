"""The public part of a program, which travels to the hospital."""

from __future__ import annotations

from dataclasses import dataclass

from heclstm.card.purpose import Purpose
from heclstm.circuit.circuit import NeededKeys
from heclstm.circuit.layout import ImageLayout, ResultLayout
from heclstm.circuit.parameters import Parameters


@dataclass(frozen=True)
class ProgramCard:
    """The public part of a program: all that a client needs to make keys, encrypt, and read a result."""

    parameters: Parameters
    input_layout: ImageLayout
    result_layout: ResultLayout
    input_level: int
    result_level: int
    keys: NeededKeys
    purpose: Purpose
    digest: str
