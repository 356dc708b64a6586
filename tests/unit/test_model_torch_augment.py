"""Augmentation against a plain formula, and MONAI's transforms by name: which are taken and which refused."""

import numpy as np
import pytest

from heclstm.errors import ModelError
from heclstm.model.recipe import Augmentation
from heclstm.model.train.augment import augment, transforms_of, try_transforms


def by_formula(image, settings, rng):
    """Nearest neighbour of every pixel, one by one, on the same draws; square images, all axes changed."""
    zoom = rng.uniform(1 - settings.zoom, 1 + settings.zoom)
    angle = np.deg2rad(rng.uniform(-settings.rotation_degrees, settings.rotation_degrees))
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    signs = [-1 if axis in settings.flip_axes and rng.random() < 0.5 else 1 for axis in settings.axes]
    shift = rng.integers(-settings.shift, settings.shift + 1, 2)
    middle = (np.array(image.shape) - 1) / 2
    result = np.zeros_like(image)
    for place in np.ndindex(image.shape):
        y, x = np.rint(np.diag(signs) @ (zoom * turn) @ (place - middle) + shift + middle).astype(int)
        if 0 <= y < image.shape[0] and 0 <= x < image.shape[1]:
            result[place] = image[y, x]
    return result


@pytest.mark.parametrize("seed", range(5))
def test_one_map_for_each_image(seed):
    settings = Augmentation((0, 1), (1,), shift=2, zoom=0.1, rotation_degrees=20)
    images = np.random.default_rng(seed).random((4, 9, 12)).astype(np.float32)
    rng = np.random.default_rng(seed)
    expected = np.stack([by_formula(image, settings, rng) for image in images])
    changed = augment(images, settings, np.random.default_rng(seed))
    assert np.mean(changed != expected) <= 2 / images.size  # a tie may round the other way in float32


def test_values_far_above_a_byte_survive():
    images = np.array([[[-32768, 32767], [-1000, 3000]]], np.int16)
    assert np.array_equal(augment(images, Augmentation((0, 1), shift=0, zoom=0.01), np.random.default_rng(0)), images)


@pytest.mark.parametrize(
    ("item", "message"),
    [
        ({"name": "RandGausianNoise"}, "got 'RandGausianNoise', .* such as RandGaussianNoise"),
        ({"name": "RandGaussianNoised"}, "expected a random array transform"),  # of dictionaries
        ({"name": "ScaleIntensity"}, "expected a random array transform"),  # not random
        ({"name": "os"}, "expected a random array transform"),
        ({"name": "RandWeightedCrop", "spatial_size": [2, 2]}, "expected a random array transform"),
        ({"name": "Compose"}, "expected a random array transform"),
        ({"name": "RandFlip", "prob": 7}, "RandFlip: prob: got 7, expected 0 to 1"),
        ({"name": "RandFlip", "probability": 1}, "RandFlip: .*probability"),
    ],
)
def test_a_wrong_transform_is_refused(item, message):
    with pytest.raises(ModelError, match=message):
        transforms_of(Augmentation((0, 1), transforms=(item,)))


@pytest.mark.parametrize(
    ("item", "message"),
    [
        ({"name": "RandZoom", "min_zoom": 2.0, "max_zoom": 2.0, "keep_size": False}, "made .*, expected the same size"),
        ({"name": "RandGridPatch", "patch_size": [4, 4]}, "RandGridPatch: made "),
        ({"name": "RandFlip", "prob": 0.0, "spatial_axis": 5}, "RandFlip: cannot change these images"),
        ({"name": "RandGaussianNoise", "std": "x"}, "RandGaussianNoise: cannot change these images"),
    ],
)
def test_what_cannot_change_these_images_is_told_before_training(item, message):
    with pytest.raises(ModelError, match=message):
        try_transforms(Augmentation((1, 2), transforms=(item,)), np.ones((2, 3, 8, 8), np.uint8))


def test_transforms_whose_name_ends_like_those_of_dictionaries_are_taken():
    assert transforms_of(Augmentation((0, 1), transforms=({"name": "RandBiasField"},)))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"axes": (0,), "shift": 1}, "expected the two or three axes"),
        ({"transforms": ({"name": "RandFlip"},)}, "expected the two or three axes"),
        ({"axes": (0, 1), "transforms": ({"prob": 1.0},)}, "expected a name"),
        ({"axes": (0, 1), "transforms": ("RandFlip",)}, "expected a name"),
    ],
)
def test_wrong_settings_are_refused(fields, message):
    with pytest.raises(ModelError, match=message):
        Augmentation(**fields)
