"""Whoever compiles, calibrates or serves a model needs no torch."""

import subprocess
import sys

MODULES = (
    "data.prepare",
    "data.reading",
    "data.datasets",
    "model.config",
    "model.weights",
    "model.polynomial",
    "model.reference",
    "model.calibrate",
    "model.evaluate",
    "model.recipe",
)


def test_these_modules_work_without_torch():
    lines = [
        "import sys",
        f"sys.path[:0] = {sys.path!r}",
        "sys.modules['torch'] = None  # importing it now raises ImportError",
    ]
    lines += [f"import heclstm.{name}" for name in MODULES]
    subprocess.run([sys.executable, "-c", "\n".join(lines)], check=True, timeout=60)
