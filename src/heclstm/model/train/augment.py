"""Random but label-preserving changes of raw images for training: one affine map per sample, then MONAI's transforms.

The map takes the nearest neighbour, because masks must stay binary: interpolated masks cost 0.05 of AUC on
AdrenalMNIST3D. It is drawn here, so that a seed draws the same map whatever version of MONAI resamples.
"""

import difflib
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import monai.transforms
import numpy as np
import torch
from monai.networks.layers import AffineTransform
from monai.transforms import Compose, MapTransform, RandomizableTransform
from numpy.typing import NDArray

from heclstm.errors import ModelError
from heclstm.model.recipe import Augmentation
from heclstm.model.train.stain import stained


def augment(images: NDArray[Any], settings: Augmentation, rng: np.random.Generator) -> NDArray[Any]:
    """Change raw samples, (N, …), each in its own way; what comes in from outside is 0, the kind of numbers stays.

    All axes but `settings.axes` (frames, channels) are changed alike. `settings.axes` count from a sample's first.
    """
    if settings.noise or settings.offset or settings.stain:
        images = _recoloured(images, settings, rng)
    if not settings.axes:
        return images
    axes, places = [axis + 1 for axis in settings.axes], range(-len(settings.axes), 0)
    moved = np.moveaxis(images, axes, places)
    space = moved.shape[places[0] :]
    batch = np.ascontiguousarray(moved).reshape(len(images), -1, *space)  # channel first, as MONAI has it
    maps = np.stack([_random_map(settings, rng, space) for _ in images])
    resample = AffineTransform(space, mode="nearest", padding_mode="zeros", align_corners=True)
    changed = resample(torch.from_numpy(batch).float(), torch.from_numpy(maps).float()).numpy()
    if settings.transforms:
        chain = transforms_of(settings)
        seeds = rng.integers(2**32, size=len(images))
        each = [
            _applied(chain.set_random_state(int(seed)), sample) for seed, sample in zip(seeds, changed, strict=True)
        ]
        changed = np.stack(each)
        if not np.issubdtype(images.dtype, np.integer):
            changed = changed.clip(0, 1)  # as images of fractions are
    return np.moveaxis(_as_kind(changed, images.dtype).reshape(moved.shape), places, axes)


def _recoloured(images: NDArray[Any], settings: Augmentation, rng: np.random.Generator) -> NDArray[Any]:
    """Outside of the picture, (N, frames, …) that are 0 in all frames, nothing is changed."""
    brightest = np.iinfo(images.dtype).max if np.issubdtype(images.dtype, np.integer) else 1
    changed = images
    if settings.noise or settings.offset:
        alike = (len(images), *[1] * (images.ndim - 1))
        added = settings.noise * rng.standard_normal(images.shape) + settings.offset * rng.standard_normal(alike)
        changed = images + brightest * added
    if settings.stain:
        changed = brightest * stained(changed / brightest, settings.stain, rng)
    inside = (images != 0).any(axis=1, keepdims=True)
    return _as_kind(np.where(inside, changed.clip(0, brightest), 0), images.dtype)


def transforms_of(settings: Augmentation) -> Compose:
    """MONAI's transforms that a training file names. Raises ModelError on an unknown one or on wrong arguments."""
    return Compose([_transform(item) for item in settings.transforms])


def try_transforms(settings: Augmentation, images: NDArray[Any]) -> None:
    """Let every transform change a sample, one by one and for certain. Raises ModelError if one cannot."""
    for item in settings.transforms:
        certain = {**item, "prob": 1.0} if "prob" in item else item
        augment(images[:1], replace(settings, transforms=(certain,)), np.random.default_rng(0))


def _transform(item: Mapping[str, Any]) -> Any:
    name, arguments = item["name"], {key: value for key, value in item.items() if key != "name"}
    if not _is_random(name):
        near = difflib.get_close_matches(name, [known for known in dir(monai.transforms) if _is_random(known)], 3)
        raise ModelError(
            f"augmentation.transforms: got {name!r}, expected a random array transform of MONAI"
            + (f", such as {', '.join(near)}" if near else ", such as RandGaussianNoise")
        )
    if not isinstance(chance := arguments.get("prob", 1.0), int | float) or not 0 <= chance <= 1:
        raise ModelError(f"augmentation.transforms: {name}: prob: got {chance!r}, expected 0 to 1")
    try:
        return getattr(monai.transforms, name)(**arguments)
    except (TypeError, ValueError) as error:
        raise ModelError(f"augmentation.transforms: {name}: {error}") from error


def _is_random(name: str) -> bool:
    """Whether MONAI has a transform of this name that changes an array at random."""
    kind = getattr(monai.transforms, name, None)
    return isinstance(kind, type) and issubclass(kind, RandomizableTransform) and not issubclass(kind, MapTransform)


def _applied(chain: Compose, sample: NDArray[Any]) -> NDArray[Any]:
    names = ", ".join(type(step).__name__ for step in chain.transforms)
    try:
        changed = np.asarray(chain(sample))
    except Exception as error:  # MONAI's own, of any kind
        reason = " ".join(str(error.__cause__ or error).split())
        raise ModelError(f"augmentation.transforms: {names}: cannot change these images ({reason[:200]})") from error
    if changed.shape != sample.shape:
        raise ModelError(
            f"augmentation.transforms: {names}: made {changed.shape} of {sample.shape}, expected the same size"
        )
    return changed


def _as_kind(values: NDArray[Any], kind: np.dtype[Any]) -> NDArray[Any]:
    if not np.issubdtype(kind, np.integer):
        return values.astype(kind)
    limits = np.iinfo(kind)
    whole: NDArray[Any] = np.clip(np.rint(values), limits.min, limits.max).astype(kind)
    return whole


def _random_map(settings: Augmentation, rng: np.random.Generator, space: tuple[int, ...]) -> NDArray[np.float64]:
    """Where a pixel of the result comes from, as a homogeneous matrix. Turns and zooms are about the middle."""
    dimensions, middle = len(space), (np.array(space) - 1) / 2
    matrix = np.eye(dimensions) * rng.uniform(1 - settings.zoom, 1 + settings.zoom)
    for first in range(dimensions):
        for second in range(first + 1, dimensions):
            angle = np.deg2rad(rng.uniform(-settings.rotation_degrees, settings.rotation_degrees))
            turn = np.eye(dimensions)
            turn[[first, second], [first, second]] = np.cos(angle)
            turn[first, second], turn[second, first] = -np.sin(angle), np.sin(angle)
            matrix = matrix @ turn
    flips = [axis in settings.flip_axes and rng.random() < 0.5 for axis in settings.axes]
    whole = np.eye(dimensions + 1)
    whole[:-1, :-1] = np.where(flips, -1.0, 1.0)[:, None] * matrix
    shift = rng.integers(-settings.shift, settings.shift + 1, dimensions)
    whole[:-1, -1] = shift + middle - whole[:-1, :-1] @ middle
    return whole
