"""Files → raw images, as `prepare` takes them.

Nothing here unpickles, and nothing guesses: no image, no array.
"""

import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from heclstm.data.dicom import DICOM, read_dicom
from heclstm.data.pictures import PICTURES, read_picture
from heclstm.errors import FileFormatError, SequenceError
from heclstm.storage.arrays import ArrayLimits, read_npy, read_npz, write_npz

LIMITS = ArrayLimits()
AXES_MAX = 8


def read_volume(
    path: Path | str | Sequence[Path | str], *, row: int | None = None, slice_axis: int = 0
) -> NDArray[Any]:
    """Read one patient's images: a .npy, a .npz with one array, a folder of PNG or JPEG, or a list of such
    pictures.

    row: which patient, where a file holds many (see `read_volumes`). Pictures stand in the order of
    `frame_files` (a list keeps its own). In colour they become (frames, channels, height, width), grey ones a
    volume, stacked along `slice_axis`. Raises FileFormatError for files that cannot be read, SequenceError where
    there is no image.
    """
    if not isinstance(path, Path | str):
        return _pictures([Path(item) for item in path], "list of pictures", slice_axis)
    path = Path(path)
    if path.is_dir():
        return _pictures(frame_files(path, PICTURES), str(path), slice_axis)
    if path.suffix.lower() in PICTURES:
        return _pictures([path], str(path), slice_axis)
    volumes = read_volumes(path) if row is not None else _array(path)
    if row is None:
        return volumes
    if not 0 <= row < len(volumes):
        raise SequenceError(f"{path}: got row {row}, expected 0 to {len(volumes) - 1}")
    return np.asarray(volumes[row])


def read_frames(path: Path | str, *, row: int | None = None) -> NDArray[Any] | list[NDArray[Any]]:
    """Read one patient's frames for a `Preparation` of kind "frames": a folder of pictures or DICOM files, one such
    file, or a NumPy file as `read_volume` takes it.

    Frames of pictures are (1 or 3, height, width), each of its own size. Raises as `read_volume`.
    """
    path = Path(path)
    if not path.is_dir() and path.suffix.lower() not in PICTURES + DICOM:
        return read_volume(path, row=row)
    if not (files := frame_files(path) if path.is_dir() else [path]):
        raise SequenceError(f"{path}: no image: got 0 files ending in {', '.join(PICTURES + DICOM)}")
    if all(file.suffix.lower() in DICOM for file in files):
        clips = sorted((read_dicom(file) for file in files), key=lambda clip: clip.number)
        return [frame for clip in clips for frame in clip.frames]
    return [frame for file in files for frame in file_frames(file)]


def file_frames(path: Path) -> list[NDArray[Any]]:
    """The frames of one picture or DICOM file, each (1 or 3, height, width)."""
    return read_dicom(path).frames if path.suffix.lower() in DICOM else [read_picture(path)]


def frame_files(folder: Path, endings: tuple[str, ...] = PICTURES + DICOM) -> list[Path]:
    """The pictures of a folder in the order of their names, numbers by value: frame-9 before frame-10."""
    found = (item for item in folder.iterdir() if item.suffix.lower() in endings and not item.name.startswith("."))
    return sorted(found, key=_by_number)


def _by_number(path: Path) -> tuple[tuple[str | int, ...], str]:
    pieces = re.split(r"([0-9]+)", path.name)  # text and digits in turn, so that like meets like
    return tuple(int(piece) if index % 2 else piece for index, piece in enumerate(pieces)), path.name


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
    """The labels beside the volumes of a .npz file, 0 or 1 for each, or None if it has none. Raises FileFormatError."""
    labels = read_archive(Path(path)).get("labels")
    if labels is None:
        return None
    if labels.ndim == 0 or labels.size != len(labels) or labels.ndim > 2:
        raise FileFormatError(f"{path}: labels: got an array of shape {labels.shape}, expected one for each patient")
    if not np.isin(labels, (0, 1)).all():
        raise FileFormatError(f"{path}: labels: got others than 0 (negative) and 1 (positive); convert them first")
    return labels.astype(np.int64).reshape(-1)


def _array(path: Path) -> NDArray[Any]:
    if path.suffix.lower() == ".npy":
        return read_npy(path, LIMITS)
    if path.suffix.lower() != ".npz":
        raise FileFormatError(
            f"{path}: no image: got the ending {path.suffix or 'none'}, "
            "expected .npy, .npz, .png, .jpg or a folder of pictures"
        )
    arrays = read_archive(path)
    if "packed_images" in arrays and "shape" in arrays:
        return _unpacked(path, arrays["packed_images"], arrays["shape"])
    images = {name: value for name, value in arrays.items() if "labels" not in name}
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


def _pictures(paths: list[Path], name: str, slice_axis: int) -> NDArray[Any]:
    if not paths:
        raise SequenceError(f"{name}: no image: got 0 pictures, expected files ending in {', '.join(PICTURES)}")
    frames = [read_picture(path) for path in paths]
    if len({frame.shape for frame in frames}) > 1:
        shapes = sorted({str(frame.shape) for frame in frames})
        raise SequenceError(
            f"{name}: got pictures of different sizes {', '.join(shapes)}, expected one size; resample them"
        )
    if len(frames[0]) > 1:
        return np.stack(frames)  # (frames, channels, height, width)
    return np.stack([frame[0] for frame in frames], axis=slice_axis)
