"""A program as a model owner gives it away: with its preparation, an operating point, and a signature."""

from msgspec import structs

from heclstm.card import signature
from heclstm.compiler.compile import Options, compile_circuit
from heclstm.program.files import save_program
from heclstm.program.program import Program
from heclstm.program.public import save_card
from random_models import random_model
from tiny_program import CONFIG, PURPOSE

OPTIONS = Options(ring_degree=1024, special_count=2, security="INSECURE_TEST")


def signed_program(folder, pair, seed=0, **changes):
    """pair: of `signature.new_pair`. changes: other fields of its purpose."""
    purpose = structs.replace(PURPOSE, ranges=(), **changes)
    program = Program.of(compile_circuit(random_model(CONFIG, seed), OPTIONS), purpose)
    save_program(program, folder)
    card = structs.replace(program.card, signature=signature.sign(program.digest, pair.private))
    save_card(card, folder / "program.json")
    return folder
