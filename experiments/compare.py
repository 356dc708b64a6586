"""HE-CLSTM against the other methods: over training seeds, and over the samples of a test part."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from experiments import record
from heclstm.model.metrics import area_under_curve

RESAMPLES = 2000


def with_tests(auc: Mapping[str, Sequence[float]], ours: str = "he_clstm") -> dict[str, dict[str, Any]]:
    """Spread of each method's AUC over seeds, and the paired test of `ours` against it."""
    return {
        name: {
            "auc": list(values),
            **record.spread(values),
            **({} if name == ours else {"against": record.paired(auc[ours], values)}),
        }
        for name, values in auc.items()
    }


def bootstrap_difference(
    ours: NDArray[np.float64], theirs: NDArray[np.float64], labels: NDArray[np.int64], *, seed: int = 0
) -> dict[str, float]:
    """95 % interval of the difference of mean AUC when the sequences of each outcome are drawn again.

    ours, theirs: scores (seeds, sequences). The means over seeds stay as they are: this speaks of the samples.
    """
    rng = np.random.default_rng(seed)
    groups = [np.flatnonzero(labels == outcome) for outcome in (0, 1)]
    drawn = []
    for _ in range(RESAMPLES):
        rows = np.concatenate([rng.choice(group, len(group)) for group in groups])
        means = [np.mean([area_under_curve(s[rows], labels[rows]) for s in scores]) for scores in (ours, theirs)]
        drawn.append(means[0] - means[1])
    low, high = np.quantile(drawn, (0.025, 0.975))
    return {"low": float(low), "high": float(high)}
