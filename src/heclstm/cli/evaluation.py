"""The table of an evaluation, which `evaluate` and `train` print."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from heclstm.cli.terminal import facts, out, table

if TYPE_CHECKING:
    from heclstm.report.evaluation import Evaluation
    from heclstm.report.words import OperatingPoint

ROWS = (
    ("AUC", "auc"),
    ("sensitivity", "sensitivity"),
    ("missed diagnoses", "missed_rate"),
    ("specificity", "specificity"),
    ("accuracy", "accuracy"),
)


def operating_points(points: Sequence[OperatingPoint]) -> dict[str, str]:
    """A row for each: what it is worth where it was chosen, with 95 % intervals, and by whom it was chosen."""
    from heclstm.report.words import counted, rates

    rows = {}
    for point in points:
        name = "operating point" + (f", {counted(point.frames)}" if point.frames else "")
        rows[name] = ": ".join(filter(None, (f"{point.threshold:+.3f}", rates(point))))
    return rows


def print_evaluation(evaluation: Evaluation, output: Path | None) -> None:
    pooled = evaluation.pooled
    if len(evaluation.folds) > 1:
        columns = {fold.name: fold.measures("clear") for fold in (*evaluation.folds, pooled)}
    else:
        columns = {way: pooled.measures(way) for way in evaluation.whole_ways}
    rows = table(f"{evaluation.split}, 95 % intervals", *columns)
    for title, name in ROWS:
        rows.add_row(title, *(str(getattr(found, name)) if found else "one outcome" for found in columns.values()))
    rows.add_row("patients", *(str(found.total) if found else "" for found in columns.values()))
    out().print(rows)
    if evaluation.by_frames:
        _print_by_frames(evaluation)
    lines = {}
    if evaluation.not_assessable:
        lines["not assessable"] = f"{evaluation.not_assessable} sequences of too few frames, counted nowhere above"
    for way, compared in evaluation.agreements.items():
        lines[way] = (
            f"{compared.decisions_agree} of {compared.sequences} decisions agree with clear; "
            f"error {compared.mean_error:.1e} mean, {compared.worst_error:.1e} worst"
        )
        if compared.auc_difference is not None:
            lines[way] += f"; AUC {compared.auc_difference:+.4f} on these"
    if evaluation.over_simulated is not None:
        lines["encrypted over simulated"] = f"{evaluation.over_simulated:.2f} times the predicted error"
    if (point := evaluation.point_of_all) and point.rates:
        found, kept = point.rates
        lines["operating point of all folds"] = (
            f"{point.threshold:.3f}: sensitivity {found:.2f}, specificity {kept:.2f}"
        )
    if evaluation.refused:
        lines["refused"] = f"{evaluation.refused} results outside the calibrated range"
    if output:
        lines["report"] = str(output)
    if lines:
        out().print(facts(lines))


def _print_by_frames(evaluation: Evaluation) -> None:
    """Sequences cut to their first frames."""
    several = any(each.model for each in evaluation.by_frames)
    rows = table(*(["model"] if several else []), "frames", "patients", "AUC", "sensitivity", "specificity")
    for each in evaluation.by_frames:
        found = each.measures
        cells = ["one outcome", "", ""] if found is None else [str(found.auc), *each.shares]
        rows.add_row(*([each.model] if several else []), str(each.frames), str(each.patients), *cells)
    out().print(rows)
