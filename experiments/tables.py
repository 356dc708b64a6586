"""What sections of docs/results.md are written with."""

from collections.abc import Iterable
from typing import Any

from experiments import texts

Row = list[str]
Result = dict[str, Any]


def table(head: Row, rows: list[Row]) -> str:
    return "\n".join("| " + " | ".join(row) + " |" for row in [head, ["---"] * len(head), *rows])


def mean_sd(value: dict[str, float], digits: int = 3) -> str:
    return f"{value['mean']:.{digits}f} ± {value['sd']:.{digits}f}"


def interval(value: dict[str, float]) -> str:
    return f"{value['low']:+.3f} to {value['high']:+.3f}"


def difference(value: dict[str, float] | None) -> Row:
    """Difference with its interval, and p."""
    if value is None:
        return ["", ""]
    p = "< 0.001" if value["p"] < 0.001 else f"{value['p']:.3f}"
    return [f"{value['difference']:+.3f} ({interval(value)})", p]


def listed(values: Iterable[Any]) -> str:
    return ", ".join(map(str, values))


def encrypted_folds(folds: list[Result], count_of_folds: int) -> str:
    agree, count = (sum(fold[name] for fold in folds) for name in ("agree", "of"))
    return texts.ENCRYPTED_FOLDS.format(
        which="All held-out sequences"
        if len(folds) == count_of_folds
        else f"The held-out sequences of {len(folds)} fold",
        agree=agree,
        of=count,
        refused=sum(fold["refused"] for fold in folds),
        worst=max(fold["worst_error"] for fold in folds),
        difference=max(abs(fold["auc"] - fold["auc_in_clear"]) for fold in folds),
        ring=folds[0]["ring_degree"],
        keys=folds[0]["keys_mb"],
    )
