"""A program so small that it compiles in a moment, without security, and its card."""

from functools import cache

from msgspec import structs

from heclstm.card.model_facts import ModelFacts
from heclstm.card.operating_point import OperatingPoint
from heclstm.card.preparation import Preparation
from heclstm.card.program_card import Card
from heclstm.card.purpose import Purpose
from heclstm.card.ranges import Range
from heclstm.card.temperature import Temperature
from heclstm.compiler.compile import Options, compile_circuit
from heclstm.program.program import Program
from random_models import random_model, small_config

CONFIG = small_config(frames=2, channels=1)
OPTIONS = Options(ring_degree=128, special_count=2, security="INSECURE_TEST")
PURPOSE = Purpose(
    preparation=Preparation("frames", (2, 1, 8, 8), 2, 1, 8, 8),
    operating_points=(OperatingPoint(0.25, 0.95, 0.96, 0.5, 22, 76),),
    ranges=(Range("score", 3.2, 4.0),),
    temperature=Temperature(0.75, -1.5),
    model=ModelFacts(name="example", attribution="someone, ä", licence="CC BY 4.0", digest="ab" * 32),
)


@cache
def tiny_circuit():
    return compile_circuit(random_model(CONFIG, seed=0), OPTIONS)


def tiny_program(**changes) -> Program:
    """changes: other fields of its purpose."""
    return Program.of(tiny_circuit(), structs.replace(PURPOSE, **changes))


def tiny_card(**changes) -> Card:
    """A card with other fields, checked as every card, but of no program."""
    return structs.replace(tiny_program().card, **changes)
