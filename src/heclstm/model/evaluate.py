"""What a trained model is worth on a part of a data set, in the clear. NumPy only."""

from typing import Any

from heclstm.data.datasets import Part
from heclstm.data.prepare import Preparation, prepare_all
from heclstm.errors import ModelError
from heclstm.model.metrics import area_under_curve, rates
from heclstm.model.reference import forward
from heclstm.model.weights import Model


def evaluate_model(model: Model, part: Part, split: str, **notes: Any) -> Model:
    """Put AUC, and the rates at the stored operating point, into `metadata["metrics"][split]`.

    notes: what should stand beside the figures, such as the command that made them. The test part is for one
    look at the model that was chosen without it.
    """
    point = model.metadata.get("operating_point")
    if not isinstance(point, dict) or "threshold" not in point:
        raise ModelError("evaluate: the model has no operating point; train it with heclstm, or store one")
    preparation = Preparation.from_json(model.metadata.get("preparation", {}))
    scores = forward(model, prepare_all(part.images, preparation))["score"][:, 0]
    sensitivity, specificity = rates(scores, part.labels, point["threshold"])
    measured = {
        "auc": area_under_curve(scores, part.labels),
        "sensitivity": sensitivity,
        "specificity": specificity,
        "sequences": len(part),
        "positives": int(part.labels.sum()),
        **notes,
    }
    return model.with_metadata(metrics={**model.metadata.get("metrics", {}), split: measured})
