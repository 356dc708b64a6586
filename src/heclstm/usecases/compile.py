"""A model → a program."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from msgspec import structs

from heclstm.card import signature
from heclstm.card.purpose import Purpose
from heclstm.circuit.cost import Estimate
from heclstm.circuit.cost import estimate as read_costs
from heclstm.compiler.compile import Options, compile_model
from heclstm.compiler.rates import WORTH
from heclstm.errors import ModelError
from heclstm.model.weights import Model, load_model
from heclstm.program.files import save_program
from heclstm.program.program import Program
from heclstm.storage.source import Source
from heclstm.usecases.card import tell_warnings
from heclstm.usecases.events import SILENT, Events
from heclstm.usecases.private_files import warn_if_others_read

__all__ = ["WORTH", "Compiled", "Options", "compile"]


@dataclass(frozen=True, repr=False)
class Compiled:
    """program: saved as `output`, if there is one."""

    program: Program
    output: Path | None
    costs: Estimate

    @property
    def security(self) -> str:
        return self.program.circuit.parameters.security

    def to_json(self) -> dict[str, Any]:
        data: dict[str, Any] = {"program": str(self.output)} if self.output else {}
        return data | {"digest": self.program.digest, "security": self.security, **self.costs.to_json()}


def compile(
    model: Model | Path,
    output: Path | None = None,
    *,
    options: Options,
    without_operating_point: bool = False,
    sign: Source | None = None,
    events: Events = SILENT,
) -> Compiled:
    """model: or its folder. sign: the model owner's private key, to sign the program with.

    Raises ModelError for a model without operating point, whose program could decide nothing, unless
    `without_operating_point` says that this is wanted.
    """
    loaded = model if isinstance(model, Model) else load_model(model)
    if not without_operating_point and not Purpose.of(loaded).operating_points:
        name = model if isinstance(model, Path) else "model"
        raise ModelError(
            f"{name}: has no operating point, so its program would give scores and no decision; train it with heclstm, "
            "`heclstm calibrate` it on its data set, or compile --without-operating-point"
        )
    with events.stage("compiling"):
        program = compile_model(loaded, options)
    if sign:
        warn_if_others_read(sign, events)
        program = Program(
            structs.replace(program.card, signature=signature.sign(program.digest, sign)), program.circuit
        )
    tell_warnings(program.card, events)
    if output:
        save_program(program, output)
    return Compiled(program, output, read_costs(program.circuit))
