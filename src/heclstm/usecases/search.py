"""A grid of training files → which of them is worth its price: cross-validation and costs of each."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from heclstm.card.interval import CONFIDENCE, Interval, quantile
from heclstm.data.decoded import DECODED
from heclstm.errors import InputError, ModelError, NotAssessableError, ParameterError, RangeError
from heclstm.model.search import Search, Variant
from heclstm.storage.atomic import save_file
from heclstm.storage.json import SMALL, read_json
from heclstm.usecases.estimate import estimate
from heclstm.usecases.events import SILENT, Events, Update
from heclstm.usecases.train import CHECKPOINT, cross_validate

RESULT, PLOT = "search.json", "search.png"
COSTS = ("depth", "ring_degree", "evaluation_key_bytes", "query_bytes", "peak_memory", "seconds")


@dataclass(frozen=True)
class Row:
    """What came of a variant. auc: None where `trouble` says why. work: of an evaluation, in any unit.

    costs: by the names of COSTS; seconds are None on a machine that was not measured.
    """

    number: int
    name: str
    changed: Mapping[str, Any]
    costs: Mapping[str, Any]
    work: float
    auc: Interval | None = None
    trouble: str = ""

    @property
    def price(self) -> tuple[float, int]:
        return self.work, self.costs.get("evaluation_key_bytes", 0)

    def __str__(self) -> str:
        if self.auc is None:
            return f"{self.name}: is left out: {self.trouble}"
        keys = self.costs["evaluation_key_bytes"] / 1e6
        return f"{self.name}: AUC {self.auc}, {self.costs['depth']} levels, {keys:.0f} MB of keys"

    def to_json(self) -> dict[str, Any]:
        auc = None if self.auc is None else self.auc.to_json()
        return {**vars(self), "changed": dict(self.changed), "costs": dict(self.costs), "auc": auc}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Row:
        auc = values["auc"]
        return cls(**{**values, "auc": None if auc is None else Interval(**auc)})


@dataclass(frozen=True)
class Searched:
    """rows: by variant. folder: of all variants, with the result as JSON and as a plot."""

    rows: tuple[Row, ...]
    folder: Path

    @property
    def measured(self) -> list[Row]:
        return [row for row in self.rows if row.auc is not None]

    @property
    def best(self) -> Row:
        """That of the highest AUC."""
        return max(self.measured, key=_area)

    @property
    def chosen(self) -> Row:
        """The one of least work whose AUC is within a standard error of the best, for differences below are chance."""
        best = self.best.auc
        assert best is not None
        error = (best.value - best.low) / quantile(CONFIDENCE)
        return min((row for row in self.measured if _area(row) >= best.value - error), key=lambda row: row.price)

    def to_json(self) -> dict[str, Any]:
        found = {"best": self.best.number, "chosen": self.chosen.number, "plot": str(self.folder / PLOT)}
        return {"variants": [row.to_json() for row in self.rows], **found}


def search(
    path: Path,
    folder: Path,
    *,
    data: Path | None = None,
    seed: int | None = None,
    measure: bool = False,
    resume: bool = False,
    events: Events = SILENT,
) -> Searched:
    """Cross-validate each variant of the training file `path` into folder/variant-1 …, and work out what it costs.

    A variant that cannot run encrypted is not trained; one that cannot be trained is told and left out. Nothing of a
    test part is looked at. measure: time this machine's primitives for every ring that comes. resume: what is there
    already is taken as it is. Raises ModelError if `folder` holds another search, or one that was not asked to go on.
    """
    wanted = Search.from_toml(path)
    variants = wanted.variants(path, **({} if seed is None else {"seed": seed}))
    if any(variant.recipe.data.get("folds") for variant in variants):
        raise InputError(f"{path}: search: it chooses a fold already; leave out folds and fold in its [data]")
    asked = {"search": wanted.to_json(), "recipes": [variant.recipe.to_json() for variant in variants]}
    known = _known(folder / RESULT, asked, resume)
    rows: list[Row] = []
    with DECODED.kept():
        for variant in variants:
            row = known.get(variant.number) or _costs(variant, measure, events)
            if row.auc is None and not row.trouble:
                row = _measured(row, variant, folder / f"variant-{variant.number}", wanted.folds, data, events)
            rows.append(row)
            events.note(f"variant {variant.number} of {len(variants)}: {row}")
            save_file(folder / RESULT, json.dumps({**asked, "variants": [each.to_json() for each in rows]}) + "\n")
    found = Searched(tuple(rows), folder)
    if not found.measured:
        raise ModelError(f"{path}: search: no variant could be measured; {rows[0]}")
    _draw(found)
    return found


def _costs(variant: Variant, measure: bool, events: Events) -> Row:
    from heclstm.compiler.compile import compile_model
    from heclstm.compiler.effort import effort
    from heclstm.model.untrained import untrained

    try:
        with events.stage(f"compiling variant {variant.number}"):
            program = compile_model(untrained(variant.recipe.whole_model))
    except (ModelError, ParameterError) as error:
        return Row(variant.number, variant.name, variant.changed, {}, 0.0, trouble=str(error))
    costs = estimate(program, measure=measure, precision=False, events=events).costs
    figures = {name: getattr(costs, name) for name in COSTS}
    return Row(variant.number, variant.name, variant.changed, figures, effort(program.circuit))


@dataclass
class _OneLine:
    """Tells of the training of all folds as one stage, and of warnings."""

    update: Update
    folds: int
    events: Events
    trained: int = 0

    @contextmanager
    def stage(self, title: str) -> Iterator[Update]:
        training = title.startswith("training ")
        yield lambda done, total: self.update(self.trained + done / total, self.folds) if training else None
        self.trained += training

    def note(self, text: str) -> None:
        if text.startswith("warning: "):
            self.events.note(text)


def _measured(row: Row, variant: Variant, folder: Path, folds: int, data: Path | None, events: Events) -> Row:
    stopped, name = any(folder.glob(f"**/{CHECKPOINT}")), f"variant {variant.number}"
    try:
        with events.stage(name) as update:
            inner = _OneLine(update, folds, events)
            found = cross_validate(
                variant.recipe, folder, folds=folds, name=name, data=data, resume=stopped, events=inner
            )  # fmt: skip
    except (ModelError, RangeError, NotAssessableError) as error:  # what is wrong with files is so with all of them
        return replace(row, trouble=str(error))
    measures = found.evaluation.pooled.measures("clear")
    return replace(row, trouble="one outcome in every fold") if measures is None else replace(row, auc=measures.auc)


def _known(path: Path, asked: Mapping[str, Any], resume: bool) -> dict[int, Row]:
    """What an earlier run of the same search has measured."""
    if not path.exists():
        if resume:
            raise ModelError(f"{path.parent}: holds no search to resume; leave out --resume")
        return {}
    if not resume:
        raise ModelError(f"{path.parent}: holds an earlier search; add --resume, or choose another folder")
    found = read_json(path, SMALL)
    if {name: found.get(name) for name in asked} != json.loads(json.dumps(asked)):
        raise ModelError(f"{path.parent}: holds another search; choose another folder or delete it")
    return {row["number"]: Row.from_json(row) for row in found["variants"]}


def _draw(found: Searched) -> None:
    from heclstm.report.search import Point, search_plot

    points = []
    for row in found.measured:
        assert row.auc is not None
        points.append(Point(row.number, row.name, row.auc, row.costs, row.work))
    save_file(found.folder / PLOT, search_plot(points, found.chosen.number))


def _area(row: Row) -> float:
    assert row.auc is not None
    return row.auc.value
