"""Pages as they leave a printer: a diagnosis on one sheet of A4, an evaluation on four at most."""

import re
import shutil
import subprocess
from dataclasses import replace

import numpy as np
import pytest
from msgspec import structs

from heclstm.card.temperature import Temperature
from heclstm.data.sequence import ImageSequence
from heclstm.deploy.case import Case
from heclstm.deploy.diagnosis import Diagnosis
from heclstm.model.evaluate import ByFrames, Fold
from heclstm.report.evaluation import Evaluation, Inside
from heclstm.report.evaluation_page import evaluation_page
from heclstm.report.findings import Findings
from heclstm.report.page import page
from tiny_program import PURPOSE

BROWSER = shutil.which("chromium") or shutil.which("google-chrome")

pytestmark = pytest.mark.skipif(BROWSER is None, reason="only a browser knows how a page is printed")


def sheets(html, folder):
    (folder / "page.html").write_text(html)
    flags = [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--no-pdf-header-footer",
        f"--user-data-dir={folder}/browser",
    ]
    command = [BROWSER, *flags, f"--print-to-pdf={folder}/page.pdf", str(folder / "page.html")]
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    return max(int(count) for count in re.findall(rb"/Count (\d+)", (folder / "page.pdf").read_bytes()))


@pytest.mark.parametrize("frames", [4, 64])
def test_a_diagnosis_is_one_sheet(frames, tmp_path):
    facts = structs.replace(
        PURPOSE.model, attribution="someone. " * 30, warnings=("few positives on validation. " * 3,) * 3
    )
    purpose = structs.replace(PURPOSE, preparation=None, model=facts)
    diagnosis = Diagnosis((1.5,), ((1.5 / frames,),) * frames, 0.25, "case 7", 0.75, -1.5)
    images = np.random.default_rng(0).random((frames, 3, 32, 24)).astype(np.float32)
    case = Case(
        program="ab" * 32, key="0" * 32, query="1" * 32, images="cd" * 32, frames=frames,
        envelope="outside", outside=("least likeness of neighbouring frames is below 0.98",) * 9, override="why " * 50,
    )  # fmt: skip
    for known in (None, case):
        findings = Findings(diagnosis, purpose, "ab" * 32, truth=True, case=known)
        assert sheets(page(findings, ImageSequence(images)), tmp_path) == 1


def test_an_evaluation_is_four_sheets_at_most(tmp_path):
    rng, labels = np.random.default_rng(0), np.arange(40) % 2
    clear = rng.normal(2.0 * labels - 1, 1.0)
    scores = {"clear": clear, "simulated": clear + rng.normal(0, 1e-4, 40)}
    inside = Inside(
        {f"blocks.{number}.output": 0.1 for number in range(9)},
        {f"blocks.{number}.output": 0 for number in range(9)},
        np.full(4, 0.25),
        0.4,
        np.stack([0.25 * clear] * 4, axis=1),
    )
    fold = Fold("fold-1", labels, scores, 0.25)
    folds = tuple(replace(fold, name=f"fold-{number}") for number in range(1, 6))
    rows = tuple(
        ByFrames(frames, 40, fold.measures("clear"), True, fold.name) for fold in folds for frames in (1, 2, 3, 4)
    )
    evaluation = Evaluation(
        folds, "test", by_frames=rows, attribution="someone. " * 30, temperatures=(Temperature(0.8),) * 5, inside=inside
    )
    frames = rng.random((40, 4, 1, 16, 16)).astype(np.float32)
    assert sheets(evaluation_page(evaluation, frames, None), tmp_path) <= 4
