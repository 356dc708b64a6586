"""A score becomes a probability only where the model was calibrated for it."""

import math

import numpy as np
import pytest
from matplotlib.figure import Figure
from msgspec.structs import replace

from heclstm.card.preparation import Preparation
from heclstm.card.purpose import Purpose
from heclstm.data.datasets import Part
from heclstm.deploy.diagnosis import Diagnosis
from heclstm.model.evaluate import calibrate_score
from heclstm.model.reference import forward
from heclstm.report.figure import WIDTH, Page, bars_row
from random_models import random_frames, random_model, small_config

DIAGNOSIS = Diagnosis((1.5,), ((0.5,), (1.0,)), 0.2)


def test_without_a_temperature_there_is_no_probability():
    assert DIAGNOSIS.probability is None
    assert "probability" not in DIAGNOSIS.to_json()


def test_temperature_and_offset_make_the_probability():
    scaled = replace(DIAGNOSIS, temperature=0.5, offset=-1.0)
    assert scaled.probability == pytest.approx(1 / (1 + math.exp(-(1.5 / 0.5 - 1.0))))
    assert scaled.decision == DIAGNOSIS.decision
    assert replace(scaled, scores=(-1e6,)).probability == pytest.approx(0.0)


def test_padding_is_called_so_instead_of_getting_a_number():
    padded = replace(DIAGNOSIS, contributions=((0.5,), (1.0,), (0.0,)), frames=2)
    for diagnosis, expected in ((padded, ["+0.500", "+1.000", "padding"]), (DIAGNOSIS, ["+0.500", "+1.000"])):
        page = Page(Figure(figsize=(WIDTH, 4)), 4)
        bars_row(page, np.array(diagnosis.contributions)[:, 0], 2.0, 1.0, 2.0, real=diagnosis.frames)
        assert sorted(text.get_text() for text in page.figure.axes[0].texts) == sorted(expected)


def test_the_purpose_of_a_program_carries_it():
    config = small_config()
    preparation = Preparation("frames", (3, 2, 8, 8), frames=3, channels=2, height=8, width=8)
    model = random_model(config, 1).with_metadata(preparation=preparation.to_json())
    frames = random_frames(config, 30, seed=0).astype(np.float32)
    scores = forward(model, frames)["score"][:, 0]
    part = Part(frames, (scores > np.median(scores)).astype(np.int64))
    calibrated = calibrate_score(model, part, "calibration")
    scale = Purpose.of(calibrated).temperature
    assert scale.to_json() == calibrated.metadata["temperature"]
    assert scale.fitted_on == "calibration"
    assert Purpose.of(model).temperature is None
