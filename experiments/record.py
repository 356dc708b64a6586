"""Results as JSON files that say what was run: parameters, commit, machine, versions. No torch here."""

import json
import os
import platform
import re
import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

from heclstm.backend.prices import machine_name

ROOT = Path(__file__).resolve().parent.parent
RESULTS = Path(__file__).resolve().parent / "results"
NUMBERS = re.compile(r"\[[-+.eE\d,\s]+\]")


def provenance(**parameters: Any) -> dict[str, Any]:
    """What stands at the head of every result."""
    versions = {"python": platform.python_version(), "numpy": np.__version__}
    try:
        import torch

        versions["torch"] = torch.__version__.partition("+")[0]
    except ImportError:
        pass
    return {
        "commit": commit(),
        "date": datetime.now(UTC).date().isoformat(),
        "machine": machine_name(),
        "cores": os.cpu_count(),
        "versions": versions,
        "parameters": parameters,
    }


def commit() -> str:
    """The commit that is checked out, marked if `src` or `experiments` differ from it."""
    try:
        head = _git("rev-parse", "--short=12", "HEAD")
        changed = _git("status", "--porcelain", "--", "src", "experiments/*.py")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return head + (" with changes" if changed else "")


def _git(*words: str) -> str:
    return subprocess.run(["git", *words], cwd=ROOT, check=True, capture_output=True, text=True).stdout.strip()


def write(name: str, content: dict[str, Any], folder: Path = RESULTS) -> None:
    """Replace results/<name>.json in one step."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.json"
    temporary = path.with_suffix(".part")
    text = json.dumps(content, indent=1, allow_nan=False)
    text = NUMBERS.sub(lambda found: " ".join(found.group().split()), text)  # a list of numbers on one line
    temporary.write_text(text + "\n", "utf-8")
    temporary.replace(path)


def read(name: str, folder: Path = RESULTS) -> dict[str, Any] | None:
    """The result, or None where the experiment was not run."""
    path = folder / f"{name}.json"
    return json.loads(path.read_text("utf-8")) if path.exists() else None


def spread(values: Sequence[float]) -> dict[str, float]:
    """Mean and sample standard deviation over seeds."""
    deviation = float(np.std(values, ddof=1)) if len(values) > 1 else 0.0
    return {"mean": float(np.mean(values)), "sd": deviation, "seeds": len(values)}


def paired(ours: Sequence[float], theirs: Sequence[float]) -> dict[str, float]:
    """ours − theirs, seed by seed: mean, 95 % interval and two-sided p of Student's paired test.

    It speaks of the spread over training seeds; the test samples are the same for all.
    """
    difference = np.asarray(ours) - np.asarray(theirs)
    mean, count = float(difference.mean()), len(difference)
    if count < 2 or np.ptp(difference) == 0:
        p = 1.0 if mean == 0 or count < 2 else 0.0
        return {"difference": mean, "low": mean, "high": mean, "p": p, "seeds": count}
    test = stats.ttest_rel(ours, theirs)
    interval = test.confidence_interval(0.95)
    return {
        "difference": mean,
        "low": float(interval.low),
        "high": float(interval.high),
        "p": float(test.pvalue),
        "seeds": count,
    }
