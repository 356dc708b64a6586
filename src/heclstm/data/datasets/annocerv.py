"""AnnoCerv: 100 colposcopy cases after acetic acid, as a colposcopy manifest with Swede scores instead of labels.

There is no histology and there are no seconds, and several pictures of a case may be framings rather than time
points: good for trying things, not for claims. Some cases hold identical pictures; they count as one patient, so
those that would be in training and in test at once are left out of training.
"""

from dataclasses import dataclass
from pathlib import Path

from heclstm.data.datasets import colposcopy
from heclstm.data.datasets.splits import Splits


@dataclass(frozen=True)
class Options(colposcopy.Options):
    """A Swede score of 5 or more of 10 counts as positive; the cut is our choice."""

    label: str = "swede_score"
    positive_from: float = 5.0
    licence: str = "CC BY 4.0"
    attribution: str = (
        "AnnoCerv: D.-A. Minciuna, D. G. Socolov, A. Szocs et al., Acta Univ. Sapientiae Informatica, 2023"
    )


def load(path: Path, options: Options) -> Splits:
    """path: manifest.csv beside the pictures, or their folder."""
    return colposcopy.load(path, options)
