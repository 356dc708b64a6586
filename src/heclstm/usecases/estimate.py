"""What a program will cost on this machine, without running it."""

from __future__ import annotations

from dataclasses import dataclass
from math import log2
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from heclstm.backend import machine, prices
from heclstm.backend.precision import predict_errors
from heclstm.circuit.cost import Estimate
from heclstm.circuit.cost import estimate as read_costs
from heclstm.circuit.memory import MEMORY
from heclstm.errors import FileFormatError
from heclstm.program.files import load_program
from heclstm.program.program import Program
from heclstm.usecases.events import SILENT, Events

if TYPE_CHECKING:
    from heclstm.data.sequence import ImageSequence


@dataclass(frozen=True)
class Estimated:
    """costs: with seconds if this machine was measured. error: root mean square that encryption adds to a score; None
    if the frames drive the network out of its ranges, where their error says nothing.
    """

    costs: Estimate
    threads: int
    error: float | None

    @property
    def precision_bits(self) -> float | None:
        return None if self.error is None else -log2(self.error)

    def to_json(self) -> dict[str, Any]:
        found = {"error": self.error, "precision_bits": self.precision_bits}
        return {**self.costs.to_json(), "threads": self.threads, **found}


def estimate(
    program: Program,
    images: ImageSequence | None = None,
    *,
    threads: int | None = None,
    measure: bool = False,
    precision: bool = True,
    memory: float = MEMORY,
    events: Events = SILENT,
) -> Estimated:
    """images: to predict the precision for; black ones by default. measure: time this machine first, and keep that.
    precision: whether to predict it; that of a model before training says nothing. memory: see `CpuBackend`.
    """
    circuit, cores = program.circuit, threads or machine.cores()
    costs = read_costs(circuit, _prices(program, cores, measure, events), memory=memory, threads=cores)
    if not precision:
        return Estimated(costs, cores, None)
    layout = circuit.input_layout
    black = np.zeros((layout.frames, layout.channels, layout.height, layout.width))
    frames = black if images is None else images.frames.astype(np.float64)
    with events.stage("simulating the noise") as update:
        errors = predict_errors(circuit, frames[None], on_progress=update)
    error = float(errors[: circuit.result_layout.classes].max())
    limit = program.card.limit("score")
    return Estimated(costs, cores, error if error < (1e6 if limit is None else limit) else None)


def read_program(path: Path, events: Events = SILENT) -> Program:
    """A program folder, or a model folder, which is compiled, or a training file, as a model before training."""
    if path.suffix.lower() == ".toml":
        from heclstm.compiler.compile import compile_model
        from heclstm.model.recipe import TrainConfig
        from heclstm.model.untrained import untrained

        recipe = TrainConfig.from_toml(path)
        with events.stage("compiling"):
            return compile_model(untrained(recipe.whole_model))
    if (path / "program.json").exists():
        return load_program(path)
    if not (path / "model.json").exists():
        raise FileFormatError(
            f"{path}: holds neither program.json nor model.json; give a program or model folder, or a training file"
        )
    from heclstm.compiler.compile import compile_model
    from heclstm.model.weights import load_model

    with events.stage("compiling"):
        return compile_model(load_model(path))


def longest_sequence(path: Path, events: Events = SILENT) -> str:
    """path: a training file. How many frames a network like this can have at most, and what they take."""
    from heclstm.compiler.alternatives import longest
    from heclstm.compiler.compile import Options
    from heclstm.model.recipe import TrainConfig

    with events.stage("counting levels"):
        found = longest(TrainConfig.from_toml(path).model, Options())
    return "any: frames take no levels" if found is None else str(found)


UPLOAD_BITS_PER_SECOND = 100e6  # a hospital's line


@dataclass(frozen=True)
class Choice:
    """What one preference of `compile` gives. work: of an evaluation, beside that of the default preference."""

    prefer: str
    costs: Estimate
    work: float

    @property
    def upload_seconds(self) -> float:
        """Of the keys, once, at 100 Mbit/s."""
        return 8 * self.costs.evaluation_key_bytes / UPLOAD_BITS_PER_SECOND

    def to_json(self) -> dict[str, Any]:
        bytes_of = {name: getattr(self.costs, name) for name in ("evaluation_key_bytes", "query_bytes", "peak_memory")}
        found = {"prefer": self.prefer, "rotation_keys": self.costs.rotation_keys, **bytes_of}
        return {**found, "upload_seconds": self.upload_seconds, "work": self.work}


def choices(path: Path, events: Events = SILENT) -> list[Choice]:
    """path: a model folder; it is compiled with each preference."""
    if not (path / "model.json").exists():
        raise FileFormatError(f"{path}: holds no model.json; preferences are compared for a model folder")
    from heclstm.compiler.compile import Options, compile_circuit
    from heclstm.compiler.effort import effort
    from heclstm.compiler.rates import WORTH
    from heclstm.model.weights import load_model

    model, default = load_model(path), Options().prefer
    with events.stage("compiling"):
        circuits = {prefer: compile_circuit(model, Options(prefer=prefer)) for prefer in WORTH}
    one = effort(circuits[default])
    return [Choice(prefer, read_costs(circuit), effort(circuit) / one) for prefer, circuit in circuits.items()]


def _prices(program: Program, threads: int, measure: bool, events: Events) -> prices.Primitives | None:
    parameters = program.circuit.parameters
    if not measure:
        return prices.load(parameters, threads)
    from heclstm.devtools.measure import measure as time_units

    with events.stage("measuring primitives") as update:
        measured = time_units(parameters, threads=threads, on_progress=update)
    events.note(f"stored in {prices.store(measured, parameters)}")
    return measured
