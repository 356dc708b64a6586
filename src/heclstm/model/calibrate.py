"""Which values a model really meets.

Measured on held-out sequences, stored with the model, checked ever after.
"""

from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from heclstm.errors import ModelError, RangeError
from heclstm.model.graph import Array
from heclstm.model.limits import FEWEST, robust_limit
from heclstm.model.recipe import RangeBounds
from heclstm.model.reference import forward
from heclstm.model.weights import Model

MARGIN = 1.25  # from few sequences, a limit is so many times the largest value seen
ROOM = 4.0  # where a bound holds, a value far out is as right as others: its limit only tells a wrong key from a result


def calibrate(model: Model, frames: NDArray[np.floating], mask: NDArray[np.bool_] | None = None) -> Model:
    """Measure every value on frames (B, T, C, H, W) and return the model with `metadata["ranges"]`.

    mask: (B, T), which frames are real. Padding counts in all layers, since the server computes it too.

    Each range is {"max_abs", "limit"}: the largest absolute value seen, and what may not be left, which is the
    training bound or what one healthy input in a thousand passes (`model.limits`), whichever is more; from a few
    sequences, MARGIN times the largest value. One that blew up lies outside then. Where the model has a bound that no
    input can pass (`compiler.reach`), nothing blows up: there, limits leave ROOM. RangeError if a value
    is not finite: then the model cannot be calibrated, but must be trained again.
    """
    if len(frames) == 0:
        raise ModelError("calibrate: got 0 sequences, expected some that were not used for training")
    with np.errstate(over="ignore", invalid="ignore"):
        values = forward(model, frames, mask)
    bounds, reached = _limits(model), _reached(model)
    ranges = {}
    for name, value in ranged(model, values):
        largest = float(np.abs(value).max())
        if not np.isfinite(largest):
            raise RangeError(f"{name}: overflows on calibration data; train with a stronger range penalty")
        each = np.abs(value).reshape(len(value), -1).max(axis=1)
        limit = robust_limit(each) if len(each) >= FEWEST else MARGIN * largest
        if name in reached:
            limit = min(ROOM * max(limit, MARGIN * largest), max(reached[name], largest))
        ranges[name] = {"max_abs": largest, "limit": max(bounds.get(name, 0.0), limit)}
    return model.with_metadata(ranges=ranges, calibration={"sequences": len(frames), "margin": MARGIN})


def check_ranges(model: Model, intermediate: Mapping[str, Array]) -> None:
    """Raise RangeError if a value that `reference.forward` (or another evaluation with its names) made leaves
    its limit.

    Names that are absent from `intermediate` are not checked. Raises ModelError if the model was never
    calibrated.
    """
    ranges = _ranges(model)
    for name, value in ranged(model, intermediate):
        limit = ranges[name]["limit"]
        outside = ~(np.abs(value) <= limit)  # written so that NaN counts as outside
        if outside.any():
            count = int(outside.reshape(len(outside), -1).any(axis=1).sum())
            raise RangeError(
                f"{name}: {count} of {len(outside)} sequences leave the "
                f"calibrated interval [{-limit:.4g}, {limit:.4g}]; their scores mean nothing. "
                "Calibrate on data of this kind, or train with a stronger range penalty"
            )


def margins(model: Model, intermediate: Mapping[str, Array]) -> dict[str, float]:
    """Largest absolute value as a fraction of its limit, for each named value: 1 or more is out of range."""
    ranges = _ranges(model)
    return {name: float(np.abs(value).max()) / ranges[name]["limit"] for name, value in ranged(model, intermediate)}


def outside(model: Model, intermediate: Mapping[str, Array]) -> dict[str, int]:
    """How many sequences leave the limit of each named value."""
    ranges = _ranges(model)
    return {
        name: int((~(np.abs(value) <= ranges[name]["limit"])).reshape(len(value), -1).any(axis=1).sum())
        for name, value in ranged(model, intermediate)
    }


def ranged(model: Model, values: Mapping[str, Array]) -> Iterator[tuple[str, Array]]:
    """Every value of the model that is watched, by the name of its range; those that `values` hold."""
    for each in model.config.graph.ranges:
        if each.value in values:
            value = values[each.value]
            pieces = [value[..., piece] for piece in each.pieces(value.shape[-1])]
            yield each.name, pieces[0] if len(pieces) == 1 else np.concatenate(pieces, axis=-1)


def _limits(model: Model) -> dict[str, float]:
    """The bounds that the model was trained with, if it says so, by the name of the range."""
    known = RangeBounds.from_json(model.metadata.get("training", {}).get("ranges", {})).of(model.config)
    return {each.name: known.bounds[each.bound] for each in model.config.graph.ranges if each.bound}


def _reached(model: Model) -> dict[str, float]:
    """The bounds of a model whose state has one; of others, and of exact ones, none."""
    from heclstm.compiler.reach import reach

    if any(node.exact for node in model.config.graph.nodes):
        return {}
    found = reach(model)
    return found if "score" in found else {}


def _ranges(model: Model) -> dict[str, dict[str, float]]:
    ranges = model.metadata.get("ranges")
    if not isinstance(ranges, dict):
        raise ModelError(
            "model: was never calibrated; run `heclstm calibrate` on sequences that were not used for training"
        )
    return ranges
