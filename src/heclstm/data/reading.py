"""Files → raw images, as `prepare` takes them.

Nothing here unpickles, and nothing guesses: no image, no array.
"""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from heclstm.data.images import read_images
from heclstm.data.labels import binary_labels
from heclstm.data.sources import is_folder, require_regular
from heclstm.errors import FileFormatError, SequenceError
from heclstm.storage.arrays import ArrayLimits, read_npy, read_npz, write_npz

LIMITS = ArrayLimits()
AXES_MAX = 8


def read_volume(
    path: Path | str | Sequence[Path | str], *, row: int | None = None, slice_axis: int = 0
) -> NDArray[Any]:
    """Read one patient's images: a .npy, a .npz with one array, or what `read_images` takes.

    row: which patient, where a file holds many (see `read_volumes`). A list keeps its own order. Colour images become
    (frames, channels, height, width), grey ones a volume, stacked along `slice_axis`. Raises FileFormatError for
    files that cannot be read, SequenceError where there is no image.
    """
    if not isinstance(path, Path | str):
        return stacked(read_images([Path(item) for item in path], as_given=True).frames, "list of pictures", slice_axis)
    path = Path(path)
    if not holds_arrays(path):
        return stacked(read_images(path).frames, str(path), slice_axis)
    if row is None:
        return _array(path, one=True)
    volumes = read_volumes(path)
    if not 0 <= row < len(volumes):
        raise SequenceError(f"{path}: got row {row}, expected 0 to {len(volumes) - 1}")
    return np.asarray(volumes[row])


def read_frames(path: Path | str, *, row: int | None = None) -> NDArray[Any] | list[NDArray[Any]]:
    """Read one patient's frames for a `Preparation` of kind "frames": a NumPy file as `read_volume` takes it, or what
    `read_images` takes.

    Frames of images are (1 or 3, height, width), each of its own size. Raises as `read_volume`.
    """
    path = Path(path)
    return read_volume(path, row=row) if holds_arrays(path) else list(read_images(path).frames)


def holds_arrays(path: Path) -> bool:
    """Whether this is a NumPy file, by its ending."""
    return path.suffix.lower() in (".npy", ".npz") and not is_folder(path)


def read_volumes(path: Path | str) -> NDArray[Any]:
    """Read the array of a file that holds many patients, one per row (such as examples/adrenal/volumes.npz)."""
    return _array(Path(path))


def write_volumes(path: Path | str, volumes: NDArray[np.uint8], labels: NDArray[np.int64]) -> None:
    """Write patients with labels, compressed; binary volumes (0 and 255) take one bit per voxel."""
    arrays: dict[str, NDArray[Any]] = {"labels": labels.astype(np.uint8)}
    if np.isin(volumes, (0, 255)).all():
        arrays |= {"packed_images": np.packbits(volumes > 0), "shape": np.array(volumes.shape, np.int64)}
    else:
        arrays["images"] = volumes
    write_npz(Path(path), arrays)


def read_labels(path: Path | str) -> NDArray[np.int64] | None:
    """The labels beside the volumes of a .npz file, or None if it has none."""
    require_regular(Path(path))
    arrays = read_archive(Path(path))
    return binary_labels(arrays["labels"], str(path)) if "labels" in arrays else None


def _array(path: Path, *, one: bool = False) -> NDArray[Any]:
    """one: of one patient. Raises SequenceError for images that have a label each."""
    require_regular(path)
    if path.suffix.lower() == ".npy":
        return read_npy(path, LIMITS)
    if path.suffix.lower() != ".npz":
        raise FileFormatError(f"{path}: no image: got the ending {path.suffix or 'none'}, expected .npy or .npz")
    arrays = read_archive(path)
    if "packed_images" in arrays and "shape" in arrays:
        return _unpacked(path, arrays["packed_images"], arrays["shape"])
    images = {name: value for name, value in arrays.items() if "labels" not in name}
    if one and (labels := arrays.get("labels")) is not None:
        for array in images.values():
            if labels.ndim and array.ndim and len(labels) == len(array) > 1:
                raise SequenceError(
                    f"{path}: holds {len(array)} images with a label each; say which patient is meant (--index)"
                )
    if len(images) != 1:
        raise FileFormatError(f"{path}: got arrays {sorted(images)}, expected exactly one with images")
    return next(iter(images.values()))


def read_archive(path: Path) -> dict[str, NDArray[Any]]:
    """All arrays of a .npz file; their sizes are checked before a byte is unpacked. Raises FileFormatError."""
    return read_npz(path, LIMITS)


def _unpacked(path: Path, packed: NDArray[Any], shape: NDArray[Any]) -> NDArray[np.uint8]:
    if shape.dtype.kind not in "iu" or shape.size > AXES_MAX:
        raise FileFormatError(f"{path}: got {shape.size} {shape.dtype} as a shape, expected up to {AXES_MAX} integers")
    sizes = tuple(int(size) for size in shape.reshape(-1))
    voxels = math.prod(sizes)
    if voxels > LIMITS.unpacked:
        raise FileFormatError(f"{path}: unpacks to {voxels} bytes, expected at most {LIMITS.unpacked}")
    if packed.dtype != np.uint8 or any(size < 1 for size in sizes) or packed.size != -(-voxels // 8):
        raise FileFormatError(
            f"{path}: got {packed.size} packed bytes for a shape of {sizes}, expected {-(-voxels // 8)}"
        )
    voxel = np.unpackbits(packed.reshape(-1), count=voxels).reshape(sizes)
    voxel *= np.uint8(255)  # in place: there may be two gigabytes of them
    return voxel


def stacked(frames: Sequence[NDArray[np.uint8]], name: str, slice_axis: int) -> NDArray[np.uint8]:
    """Frames of one size as one array: colour as (frames, channels, height, width), grey along `slice_axis`."""
    if len({frame.shape for frame in frames}) > 1:
        shapes = sorted({str(frame.shape) for frame in frames})
        raise SequenceError(
            f"{name}: got pictures of different sizes {', '.join(shapes)}, expected one size; resample them"
        )
    if len(frames[0]) > 1:
        return np.stack(frames)
    return np.stack([frame[0] for frame in frames], axis=slice_axis)
