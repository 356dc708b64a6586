"""What is known of each epoch of a training, as a table on disk. Needs no PyTorch."""

import csv
import io
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from heclstm.errors import FileFormatError
from heclstm.storage.atomic import save_file

METRICS = "metrics.csv"


@dataclass(frozen=True)
class Epoch:
    """stage: "model", or for example "teacher 1 of 3" or "network 2 of 3". number: of all `epochs` of all networks.

    loss and penalty are means over the batches; validation looks at the averaged weights as soon as there are any.
    """

    stage: str
    number: int
    epochs: int
    loss: float
    penalty: float
    validation_loss: float
    validation_auc: float


OnEpoch = Callable[[Epoch], None] | None
NAMES = tuple(item.name for item in fields(Epoch))
MEASURED = NAMES[3:]


def write_epochs(rows: Sequence[Epoch], folder: Path) -> None:
    """metrics.csv: one line for each epoch, below a line of names."""
    text = io.StringIO()
    table = csv.DictWriter(text, NAMES, lineterminator="\n")
    table.writeheader()
    table.writerows(asdict(row) for row in rows)
    save_file(folder / METRICS, text.getvalue())


def read_epochs(folder: Path) -> list[Epoch]:
    """What `write_epochs` wrote. Raises FileFormatError if it is not there, or is not that."""
    path = folder / METRICS
    try:
        table = csv.DictReader(path.read_text("utf-8").splitlines())
        if tuple(table.fieldnames or ()) != NAMES:
            raise ValueError("another head")
        lines = list(table)
        return [
            Epoch(line["stage"], int(line["number"]), int(line["epochs"]), *(float(line[name]) for name in MEASURED))
            for line in lines
        ]
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise FileFormatError(f"{path}: not a table of epochs ({type(error).__name__}); train again") from error
