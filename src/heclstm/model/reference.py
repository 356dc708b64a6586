"""SEQUENCE → SCORE straight from a model's arrays, NumPy only, in float64: what calibration and reports are
made with.

Names of the values, each with the sequences of the batch on axis 0:

    blocks.{k} (B, T, O, h, w)      what enters the activation of block k
    blocks.{k}.output               what leaves the block, after pooling
    spatial (B, T, D)               s_t
    lstm.gates (B, T, 4H)           what enters the gates, in the order i, f, g, o
    lstm.cell, lstm.hidden (B, T, H)
    weighted_unit (B, T, K)         y_t
    contributions (B, T, K)         v_t · y_t
    score (B, K)                    their sum, a logit
"""

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from heclstm.errors import SequenceError
from heclstm.model.config import BlockConfig
from heclstm.model.polynomial import Array, evaluate, sigmoid
from heclstm.model.weights import Model

CHUNK = 16  # sequences at a time, so that unfolded images stay in the processor's cache


def forward(model: Model, frames: NDArray[np.floating], mask: NDArray[np.bool_] | None = None) -> dict[str, Array]:
    """Evaluate frames (B, T, C, H, W) and return every value named above.

    mask: (B, T), which frames are real. Padding stands behind them (`data.fit` says why), so that no state of a
    real frame depends on it; its contributions are 0. It passes through all layers, as it does under encryption.
    """
    config = model.config
    expected = (config.frames, config.channels, config.height, config.width)
    if frames.ndim != 5 or frames.shape[1:] != expected:
        raise SequenceError(
            f"model input: got shape {frames.shape}, expected (sequences, {', '.join(map(str, expected))})"
        )
    if mask is not None and mask.shape != frames.shape[:2]:
        raise SequenceError(f"model input: got a mask of shape {mask.shape}, expected {frames.shape[:2]}")
    chunks = [_forward(model, frames[start : start + CHUNK]) for start in range(0, max(len(frames), 1), CHUNK)]
    values = {name: np.concatenate([chunk[name] for chunk in chunks]) for name in chunks[0]}
    if mask is not None:
        values["contributions"] = np.where(mask[..., None], values["contributions"], 0.0)
        values["score"] = values["contributions"].sum(axis=1)
    return values


def _forward(model: Model, frames: NDArray[np.floating]) -> dict[str, Array]:
    config, arrays, values = model.config, model.arrays, {}
    batch, steps = frames.shape[:2]
    images = frames.reshape(batch * steps, *frames.shape[2:]).astype(np.float64)
    for index, block in enumerate(config.blocks):
        name = f"blocks.{index}"
        convolved = convolve(images, arrays[f"{name}.weight"], block) + arrays[f"{name}.bias"][:, None, None]
        if block.activation_degree is None:
            images = np.maximum(convolved, 0.0)
        else:
            images = evaluate(arrays[f"{name}.coefficients"][:, None, None, :], convolved)
        if block.pool is not None:
            images = average_pool(images, block.pool) * block.pool_factor
        values[name] = convolved.reshape(batch, steps, *convolved.shape[1:])
        values[f"{name}.output"] = images.reshape(batch, steps, *images.shape[1:])
    values["spatial"] = values[f"{name}.output"].mean(axis=(3, 4))
    values |= _lstm(model, values["spatial"])
    unit = {part: arrays[f"weighted_unit.{part}"] for part in ("spatial_weight", "spatial_bias")}
    unit |= {part: arrays[f"weighted_unit.{part}"] for part in ("temporal_weight", "temporal_bias", "alpha")}
    spatial_score = values["spatial"] @ unit["spatial_weight"].T + unit["spatial_bias"]
    temporal_score = values["lstm.hidden"] @ unit["temporal_weight"].T + unit["temporal_bias"]
    values["weighted_unit"] = unit["alpha"] * spatial_score + (1 - unit["alpha"]) * temporal_score
    values["contributions"] = arrays["vote.weight"][:, None] * values["weighted_unit"]
    values["score"] = values["contributions"].sum(axis=1)
    return values


def _lstm(model: Model, spatial: Array) -> dict[str, Array]:
    lstm, arrays, hidden_size = model.config.lstm, model.arrays, model.config.lstm.hidden_size
    batch, steps = spatial.shape[:2]
    projected = spatial @ arrays["lstm.input_weight"].T + arrays["lstm.bias"]
    hidden = cell = np.zeros((batch, hidden_size))
    history: dict[str, list[Array]] = {"lstm.gates": [], "lstm.cell": [], "lstm.hidden": []}
    for step in range(steps):
        gate = projected[:, step]
        if lstm.recurrent_gates:
            gate = gate + hidden @ arrays["lstm.recurrent_weight"].T
        blocks = gate.reshape(batch, 4, hidden_size)
        if lstm.gate_degree is None:
            i, f, o = (sigmoid(blocks[:, row]) for row in (0, 1, 3))
            g = np.tanh(blocks[:, 2])
        else:
            i, f, g, o = (evaluate(arrays["lstm.gate_coefficients"][row], blocks[:, row]) for row in range(4))
        cell = f * cell + i * g
        if lstm.cell_output == "tanh":
            hidden = o * np.tanh(cell)
        else:
            hidden = o * evaluate(arrays["lstm.cell_output_coefficients"], cell)
        for values, value in zip(history.values(), (gate, cell, hidden), strict=True):
            values.append(value)
    return {name: np.stack(values, axis=1) for name, values in history.items()}


def convolve(images: Array, weight: Array, block: BlockConfig) -> Array:
    """Correlate (N, I, h, w) with (O, I, kh, kw) as torch's conv2d does, through one matrix product."""
    (kh, kw), (sh, sw), (ph, pw) = block.kernel, block.stride, block.padding
    padded = np.pad(images, ((0, 0), (0, 0), (ph, ph), (pw, pw)))
    windows = sliding_window_view(padded, (kh, kw), axis=(2, 3))  # (N, I, rows, columns, kh, kw)
    windows = windows[:, :, ::sh, ::sw]
    count, channels, rows, columns = windows.shape[:4]
    patches = windows.transpose(0, 1, 4, 5, 2, 3).reshape(count, channels * kh * kw, rows * columns)
    convolved: Array = weight.reshape(len(weight), -1) @ patches
    return convolved.reshape(count, len(weight), rows, columns)


def average_pool(images: Array, size: tuple[int, int]) -> Array:
    """Mean over windows of `size`, which is the stride too; incomplete windows are dropped."""
    height, width = images.shape[2] // size[0], images.shape[3] // size[1]
    cropped = images[:, :, : height * size[0], : width * size[1]]
    pooled: Array = cropped.reshape(*images.shape[:2], height, size[0], width, size[1]).mean(axis=(3, 5))
    return pooled
