"""Held-out sequences as ciphertexts: a trained network is calibrated, compiled, and asked encrypted and in clear."""

from typing import Any

import numpy as np

from heclstm.compiler.compile import compile_model
from heclstm.data.datasets import Part, prepare_part
from heclstm.deploy.keys import evaluation_key_blobs
from heclstm.model.calibrate import calibrate
from heclstm.model.metrics import area_under_curve
from heclstm.model.operating_points import choose_operating_point
from heclstm.model.recipe import TrainConfig
from heclstm.model.reference import forward
from heclstm.model.train.network import export
from heclstm.model.weights import Model
from heclstm.usecases.scoring import Ways, encrypted_scores
from heclstm.usecases.subject import Subject


def encrypted(network: Any, config: TrainConfig, known: list[Part], decided: Part, tested: Part) -> dict[str, Any]:
    """All sequences of `tested` through the program at 128 bits, against the model in clear.

    network: as it was trained, or a model already. known: what ranges are calibrated on. decided: what the operating
    point is chosen on.
    """
    exported = network if isinstance(network, Model) else export(network)
    model = exported.with_metadata(training=config.to_json(), preparation=config.preparation.to_json())
    frames, mask = prepare_part(decided, config.preparation)
    scores = forward(model, frames, mask)["score"][:, 0]
    point = choose_operating_point(scores, decided.labels, config.wanted_sensitivity)
    seen = np.concatenate([prepare_part(part, config.preparation)[0] for part in known])
    model = calibrate(model.with_metadata(operating_point=point.to_json()), seen)
    program = compile_model(model)
    (frames, mask), labels = prepare_part(tested, config.preparation), tested.labels
    clear = forward(model, frames, mask)["score"][:, 0]
    subject, rows = Subject("fold", program.card.purpose, model, program), np.arange(len(frames))
    found, refused = encrypted_scores(subject, frames, mask, rows, Ways(), lambda done, total: None)
    taken = np.isfinite(found)
    return {
        "of": len(frames),
        "refused": refused,
        "agree": int(((found >= point.threshold) == (clear >= point.threshold))[taken].sum()),
        "worst_error": float(np.abs(found - clear)[taken].max()),
        "auc": area_under_curve(found[taken], labels[taken]),
        "auc_in_clear": area_under_curve(clear[taken], labels[taken]),
        "levels": program.circuit.input_level - program.circuit.result_level,
        "keys_mb": sum(count for _, count in evaluation_key_blobs(program.card)) / 1e6,
        "ring_degree": program.card.parameters.ring_degree,
    }
