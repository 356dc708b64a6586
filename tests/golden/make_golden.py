"""Writes costs.json: what the programs of three models cost. Run by `make golden`, never by a test.

A change of this file's numbers in a diff is the price, or the gain, of the change beside it.
"""

import json
from pathlib import Path

from counting import totals
from heclstm.circuit.cost import estimate
from heclstm.compiler.compile import Options, compile_circuit
from heclstm.model.config import BlockConfig, LstmConfig, ModelConfig
from random_models import random_model

COSTS = Path(__file__).with_name("costs.json")
BLOCKS = (BlockConfig(16), BlockConfig(32), BlockConfig(64))

# Shapes as shipped: 4 frames of 8 × 32 × 32, three strided blocks of 16, 32 and 64 channels, 32 hidden units.
CONFIGS = {
    "degree1": ModelConfig(4, 8, 32, 32, BLOCKS, LstmConfig(32)),
    "degree2": ModelConfig(4, 8, 32, 32, BLOCKS, LstmConfig(32, gate_degree=2)),
    "frame_only": ModelConfig(4, 8, 32, 32, BLOCKS, LstmConfig(32, gate_degree=2, recurrent_gates=False)),
}


def costs():
    """Name → totals and parameters of the compiled program."""
    result = {}
    chosen = {name: (config, Options()) for name, config in CONFIGS.items()}
    chosen |= {f"degree1, {prefer}": (CONFIGS["degree1"], Options(prefer=prefer)) for prefer in ("keys", "time")}
    for name, (config, options) in chosen.items():
        program = compile_circuit(random_model(config, seed=0), options)
        parameters = program.parameters
        result[name] = {
            "ring_degree": parameters.ring_degree,
            "log_qp": round(parameters.log_qp, 1),
            "limbs": len(parameters.moduli),
            "special_limbs": len(parameters.special_moduli),
            "key_bytes": estimate(program).evaluation_key_bytes,
            **totals(program),
        }
    return result


if __name__ == "__main__":
    COSTS.write_text(json.dumps(costs(), indent=1) + "\n")
