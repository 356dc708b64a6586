"""Single operations of our kernels and of Lattigo's transforms, in one run → benchmarks/results/primitives.json.

    python benchmarks/primitives.py

At the shipped program's parameters (N = 2^15): rotation, product, rescale, and 256-diagonal transforms, at levels 20
and 5, and the frame encoder alone (three blocks and the projection to four gates, 8 levels) on 4 frames of 8×32×32.
"""

import json
from pathlib import Path
from statistics import median

import numpy as np

from heclstm.backend.execute import Executor
from heclstm.backend.lattigo import Engine
from heclstm.backend.lattigo_secret import Encryptor, KeyGenerator
from heclstm.backend.primitives import machine_name, timed
from heclstm.circuit.files import load_program
from heclstm.circuit.ir import LinearTransform, TransformPlan
from heclstm.circuit.parameters import choose
from heclstm.circuit.program import Program
from heclstm.compiler.graph import trace
from heclstm.compiler.kernels.lstm import Lstm
from heclstm.compiler.layouts import choose_layouts
from heclstm.compiler.levels import depth_of, manage_levels
from heclstm.compiler.lower import lower, lower_encoder
from heclstm.model.weights import load_model

ROOT = Path(__file__).parents[1]
ADRENAL = ROOT / "examples" / "adrenal"
BABIES, GIANTS = 16, 16


def engines(parameters):
    return {name: Engine(parameters, threads=2, arithmetic=name) for name in ("auto", "lattigo")}


def transform_plan(x) -> TransformPlan:
    """256 diagonals of full length, 16 baby and 16 giant steps."""
    index = [(0, 0, giant, baby, 0) for giant in range(GIANTS) for baby in range(BABIES)]
    vectors = np.random.default_rng(0).uniform(-1, 1, (len(index), 1 << 15))
    return TransformPlan(
        level=x.level,
        n_inputs=1,
        n_outputs=1,
        babies=tuple(range(BABIES)),
        chains=(tuple(BABIES * giant for giant in range(GIANTS)),),
        index=np.array(index, dtype=np.int32),
        vectors=vectors,
        plaintext_scales=(x.scale,),
        output_scale=x.scale**2,
    )


def primitives() -> dict:
    parameters = load_program(ADRENAL / "program").parameters
    both = engines(parameters)
    keys = KeyGenerator(both["auto"])
    secret = keys.secret_key()
    top = parameters.max_level
    blobs = [keys.rotation_key(secret, step, top) for step in (*range(1, BABIES + 1),)]
    relinearization = keys.relinearization_key(secret, top)
    values = np.random.default_rng(1).uniform(-1, 1, parameters.slots)
    results: dict = {}
    for name, engine in both.items():
        engine.load_relinearization_key(relinearization)
        for blob in blobs:
            engine.load_rotation_key(blob)
        for level in (20, 5):
            encrypted = Encryptor(both["auto"], secret).encrypt(values, level=level)
            x = engine.load_ciphertext(encrypted, level=level)
            prepared = engine.transform(transform_plan(x))
            results.setdefault(f"level {level}", {})[name] = {
                "rotation": timed(lambda: engine.rotate(x, 1)),
                "product": timed(lambda: engine.sum_of_products([(x, x)])),
                "rescale": timed(lambda: engine.rescale(x)),
                "256 diagonals": timed(lambda: engine.linear_transform([x], prepared)),
            }
            prepared.close()
    for engine in both.values():
        engine.close()
    return results


def encoder() -> dict:
    """The stages and the projection, cut off before the recurrence: four gates, added into one output."""
    graph = trace(load_model(ADRENAL))
    encoded = lower_encoder(graph, choose_layouts(graph, 1 << 15))
    lstm = Lstm(encoded.trace, graph.config.lstm, graph.arrays, encoded.features, encoded.layout)
    gates = [strands[0] for strands in lstm.projection(encoded.values)]
    output = encoded.trace.sum(*gates)
    parameters = choose(depth_of(encoded.trace, output), slots_min=1 << 15)
    operations, result = manage_levels(encoded.trace, output, parameters)
    whole = lower(graph, choose_layouts(graph, 1 << 15))
    program = Program(parameters, whole.input_layout, whole.result_layout, tuple(operations), result)
    seconds = {}
    for name, engine in engines(parameters).items():
        keys = KeyGenerator(engine)
        secret = keys.secret_key()
        needed = program.needed_keys
        engine.load_relinearization_key(keys.relinearization_key(secret, needed.relinearization_level))
        for step, level in needed.rotations.items():
            engine.load_rotation_key(keys.rotation_key(secret, step, level))
        values = np.random.default_rng(2).uniform(0, 1, parameters.slots)
        blob = Encryptor(engine, secret).encrypt(values, level=program.input_level)
        executor = Executor(program, engine)
        x = engine.load_ciphertext(blob, level=program.input_level)
        seconds[name] = median(timed(lambda: executor.run([x])) for _ in range(3))
        engine.close()
    transforms = sum(isinstance(operation, LinearTransform) for operation in operations)
    return {
        "seconds": seconds,
        "limbs": parameters.max_level + 1,
        "ring_degree": parameters.ring_degree,
        "transforms": transforms,
    }


def main() -> None:
    report = {"processor": machine_name(), "primitives": primitives(), "encoder": encoder()}
    folder = ROOT / "benchmarks" / "results"
    folder.mkdir(exist_ok=True)
    (folder / "primitives.json").write_text(json.dumps(report, indent=1) + "\n")
    lines = ["| 2 threads, N = 2^15 | ours, ms | Lattigo's transforms, ms | ratio |", "|---|---|---|---|"]
    for level, both in report["primitives"].items():
        for unit, ours in both["auto"].items():
            theirs = both["lattigo"][unit]
            lines.append(f"| {unit}, {level} | {1e3 * ours:.1f} | {1e3 * theirs:.1f} | {theirs / ours:.1f} |")
    ours, theirs = report["encoder"]["seconds"].values()
    lines.append(
        f"| frame encoder, {report['encoder']['limbs']} limbs, N = {report['encoder']['ring_degree']} | {1e3 * ours:.0f} | {1e3 * theirs:.0f} | {theirs / ours:.1f} |"
    )
    table = "\n".join(lines) + "\n"
    (folder / "primitives.md").write_text(table)
    print(table)


if __name__ == "__main__":
    main()
