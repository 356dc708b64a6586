"""The table of a program's layers, which `compile` and `estimate` print."""

from __future__ import annotations

from typing import TYPE_CHECKING

from heclstm.cli.terminal import facts, out, seconds, size, table

if TYPE_CHECKING:
    from heclstm.circuit.cost import Estimate, LayerCost


def print_layers(estimate: Estimate) -> None:
    """One row for each layer, and their sum."""
    timed = estimate.seconds is not None
    rows = table("layer", "levels", "rotations", "products", "diagonals", *(["seconds"] if timed else []))
    for layer in estimate.layers:
        rows.add_row(layer.layer, _levels(layer), *_counts(layer.rotations, layer.products, layer.diagonals),
                     *([seconds(layer.seconds)] if timed else []))  # fmt: skip
    rows.add_section()
    sums = (sum(getattr(layer, name) for layer in estimate.layers) for name in ("rotations", "products", "diagonals"))
    rows.add_row("in all", f"{estimate.depth} used", *_counts(*sums), *([seconds(estimate.seconds)] if timed else []))
    out().print(rows)


def print_sizes(estimate: Estimate, extra: dict[str, str] | None = None) -> None:
    keys = f"{size(estimate.evaluation_key_bytes)} ({estimate.rotation_keys} rotation keys)"
    memory = (
        f"{size(estimate.peak_memory)} (keys {size(estimate.key_memory)}, "
        f"program {size(estimate.prepared_memory)}, working {size(estimate.working_memory)})"
    )
    rows = {
        "ring degree": f"{estimate.ring_degree} (2^{estimate.ring_degree.bit_length() - 1})",
        "log2(QP)": f"{estimate.log_qp:.0f}",
        "evaluation keys": keys,
        "upload": size(estimate.query_bytes),
        "result": size(estimate.result_bytes),
        "server memory": memory,
    }
    out().print(facts({**rows, **(extra or {})}))


def _levels(layer: LayerCost) -> str:
    return f"{layer.level_in} → {layer.level_out}" if layer.level_in != layer.level_out else str(layer.level_in)


def _counts(*numbers: int) -> list[str]:
    return [str(number) if number else "·" for number in numbers]
