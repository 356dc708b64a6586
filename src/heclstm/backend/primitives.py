"""How long each unit of work takes on this machine: measured once, stored, and read by `circuit.cost.estimate`.

Plain operations are timed by themselves. The steps of a linear transform overlap on several cores, so their prices
are the non-negative least squares over a few transforms of different shapes.
"""

from __future__ import annotations

import itertools
import json
import os
import platform
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from scipy.optimize import nnls

from heclstm.backend.lattigo import Ciphertext, Engine
from heclstm.circuit.cost import UNITS
from heclstm.circuit.operations import LinearTransform, TransformPlan
from heclstm.circuit.parameters import Parameters
from heclstm.errors import FileFormatError
from heclstm.storage.atomic import save_file
from heclstm.storage.json import SMALL, read_json

TRANSFORM_UNITS = ("decomposition", "baby", "giant", "diagonal", "closing")
BABIES, GIANT = 8, 16
REPEATS = 3


@dataclass(frozen=True)
class Primitives:
    """tables[unit]: levels and seconds. Between levels a price is interpolated, beyond them it is held."""

    machine: str
    threads: int
    tables: dict[str, tuple[list[int], list[float]]]

    def seconds(self, unit: str, level: int) -> float:
        levels, seconds = self.tables[unit]
        return float(np.interp(level, levels, seconds))

    def to_json(self) -> dict[str, Any]:
        return {"machine": self.machine, "threads": self.threads, "tables": self.tables}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Primitives:
        try:
            tables = {
                str(unit): ([int(level) for level in levels], [float(value) for value in seconds])
                for unit, (levels, seconds) in data["tables"].items()
            }
            return cls(str(data["machine"]), int(data["threads"]), tables)
        except (KeyError, TypeError, ValueError) as error:
            raise FileFormatError(f"primitives: a field is missing or of the wrong type ({error})") from error


def stored_path(parameters: Parameters, threads: int) -> Path:
    """Where the measurement for these parameters is kept: in the user's cache folder."""
    base = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "heclstm"
    name = f"{parameters.ring}-{parameters.ring_degree}-{len(parameters.special_moduli)}-{threads}.json"
    return base / name


def load(parameters: Parameters, threads: int) -> Primitives | None:
    """The stored measurement, or None if there is none for this machine."""
    path = stored_path(parameters, threads)
    if not path.exists():
        return None
    primitives = Primitives.from_json(read_json(path, SMALL))
    complete = set(UNITS) <= primitives.tables.keys()  # else it was measured by an older release
    return primitives if complete and primitives.machine == machine_name() else None


def store(primitives: Primitives, parameters: Parameters) -> Path:
    path = stored_path(parameters, primitives.threads)
    save_file(path, json.dumps(primitives.to_json()) + "\n")
    return path


def machine_name() -> str:
    """The processor as the system names it."""
    try:
        text = Path("/proc/cpuinfo").read_text()
        names = [line.split(":", 1)[1].strip() for line in text.splitlines() if line.startswith("model name")]
    except OSError:
        names = []
    return names[0] if names else platform.processor() or platform.machine()


def measure(
    parameters: Parameters,
    *,
    threads: int,
    levels: list[int] | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> Primitives:
    """Time every unit at a few levels (some seconds each). Makes its own throw-away keys."""
    from heclstm.backend.lattigo_secret import Encryptor, KeyGenerator

    top = parameters.max_level
    levels = levels or sorted({2, max(2, top // 3), max(2, 2 * top // 3), top})
    rows: dict[str, tuple[list[int], list[float]]] = {}
    with Engine(parameters, threads=threads) as engine:
        generator = KeyGenerator(engine)
        secret = generator.secret_key()
        steps = [*range(1, BABIES + 1), GIANT]
        engine.load_relinearization_key(generator.relinearization_key(secret, top))
        for step in steps:
            engine.load_rotation_key(generator.rotation_key(secret, step, top))
        encryptor = Encryptor(engine, secret)
        values = np.random.default_rng(0).uniform(-1, 1, parameters.slots)
        for done, level in enumerate(levels):
            blob = encryptor.encrypt(values, level=level)
            fresh = engine.load_ciphertext(blob, level=level)
            measured = {"input": timed(partial(engine.load_ciphertext, blob, level=level))}
            for unit, seconds in {**measured, **_plain(engine, fresh), **_transforms(engine, fresh)}.items():
                known = rows.setdefault(unit, ([], []))
                known[0].append(level)
                known[1].append(seconds)
            if on_progress:
                on_progress(done + 1, len(levels))
    return Primitives(machine_name(), threads, rows)


def _plain(engine: Engine, x: Ciphertext) -> dict[str, float]:
    vector = np.linspace(-1, 1, engine.parameters.slots)
    plain = engine.plaintext(vector, x.level, x.scale)
    product = timed(lambda: engine.sum_of_products([(x, x)]))
    return {
        "rotate": timed(lambda: engine.rotate(x, 1)),
        "product": product,
        "further_pair": max(0.0, timed(lambda: engine.sum_of_products([(x, x), (x, x)])) - product),
        "rescale": timed(lambda: engine.rescale(x)),
        "add": timed(lambda: engine.add(x, x)),
        "add_plain": timed(lambda: engine.add_plain(x, plain)),
        "multiply_plain": timed(lambda: engine.multiply_plain(x, plain)),
    }


def _transforms(engine: Engine, x: Ciphertext) -> dict[str, float]:
    """Shapes (outputs, babies, giants); each with all its diagonals."""
    counts, seconds = [], []
    for outputs, babies, giants in (
        (1, 1, 1),
        (1, 9, 1),
        (1, 1, 4),
        (1, 9, 4),
        (4, 1, 1),
        (4, 5, 2),
        (2, 9, 6),
    ):
        operation = _transform(x, outputs, babies, giants)
        transform = engine.transform(operation.plan)
        seconds.append(timed(lambda transform=transform: engine.linear_transform([x], transform)))  # type: ignore[misc]
        transform.close()
        units = operation.work()
        counts.append([units[unit] for unit in TRANSFORM_UNITS])
    # Each shape counts by its relative error, or the largest would decide alone.
    weights = 1 / np.array(seconds)
    prices, _ = nnls(np.array(counts, dtype=float) * weights[:, None], np.ones(len(seconds)))
    return dict(zip(TRANSFORM_UNITS, prices.tolist(), strict=True))


def _transform(x: Ciphertext, outputs: int, babies: int, giants: int) -> LinearTransform:
    index = list(itertools.product(range(outputs), [0], range(giants), range(babies), [0]))
    own = TransformPlan(
        level=x.level,
        n_inputs=1,
        n_outputs=outputs,
        babies=tuple(range(babies)),
        chains=(tuple(GIANT * g for g in range(giants)),),
        index=np.array(index, dtype=np.int32),
        vectors=np.tile(np.linspace(-0.5, 0.5, 1 << 10), (len(index), 1)),
        plaintext_scales=(x.scale,),
        output_scale=x.scale**2,
    )
    return LinearTransform("measurement", tuple(range(1, outputs + 1)), x.level, x.scale**2, (0,), own)


def timed(action: Callable[[], Any]) -> float:
    """Median seconds of some runs after one that does not count."""
    action()
    seconds = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        action()
        seconds.append(time.perf_counter() - start)
    return median(seconds)
