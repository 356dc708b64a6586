"""Files → raw images, as `prepare` takes them.

Nothing here unpickles, and nothing guesses: no image, no array.
"""

from collections.abc import Callable, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any, TypeVar
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from heclstm.errors import FileFormatError, SequenceError

PICTURES = (".png", ".jpg", ".jpeg")
LARGEST_BYTES = 1024**3
Content = TypeVar("Content")


def read_volume(
    path: Path | str | Sequence[Path | str], *, row: int | None = None, slice_axis: int = 0
) -> NDArray[Any]:
    """Read one patient's images: a .npy, a .npz with one array, a folder of PNG or JPEG, or a list of such
    pictures.

    row: which patient, where a file holds many (see `read_volumes`). Pictures are sorted by name (a list keeps
    its order) and become (frames, channels, height, width) when in colour; grey ones a volume, stacked along
    `slice_axis`. Raises FileFormatError for files that cannot be read, SequenceError where there is no image.
    """
    if not isinstance(path, Path | str):
        return _pictures([Path(item) for item in path], "list of pictures", slice_axis)
    path = Path(path)
    if path.is_dir():
        found = sorted(item for item in path.iterdir() if item.suffix.lower() in PICTURES)
        return _pictures(found, str(path), slice_axis)
    if path.suffix.lower() in PICTURES:
        return _pictures([path], str(path), slice_axis)
    volumes = read_volumes(path) if row is not None else _array(path)
    if row is None:
        return volumes
    if not 0 <= row < len(volumes):
        raise SequenceError(f"{path}: got row {row}, expected 0 to {len(volumes) - 1}")
    return np.asarray(volumes[row])


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
    np.savez_compressed(path, **arrays)  # type: ignore[arg-type]  # numpy's stub mistakes the names for allow_pickle


def read_labels(path: Path | str) -> NDArray[np.int64] | None:
    """The labels beside the volumes of a .npz file, or None if it has none."""
    arrays = _archive(Path(path))
    return arrays["labels"].astype(np.int64).reshape(-1) if "labels" in arrays else None


def _array(path: Path) -> NDArray[Any]:
    if path.suffix.lower() == ".npy":
        return _loaded(path, lambda: np.asarray(np.load(BytesIO(path.read_bytes()), allow_pickle=False)))
    if path.suffix.lower() != ".npz":
        raise FileFormatError(
            f"{path}: no image: got the ending {path.suffix or 'none'}, "
            "expected .npy, .npz, .png, .jpg or a folder of pictures"
        )
    arrays = _archive(path)
    if "packed_images" in arrays and "shape" in arrays:
        return _unpacked(path, arrays["packed_images"], arrays["shape"])
    images = {name: value for name, value in arrays.items() if "labels" not in name}
    if len(images) != 1:
        raise FileFormatError(f"{path}: got arrays {sorted(images)}, expected exactly one with images")
    return next(iter(images.values()))


def _archive(path: Path) -> dict[str, NDArray[Any]]:
    def read() -> dict[str, NDArray[Any]]:
        with np.load(BytesIO(path.read_bytes()), allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}

    return _loaded(path, read)


def _loaded(path: Path, read: Callable[[], Content]) -> Content:
    try:
        if path.stat().st_size > LARGEST_BYTES:
            raise FileFormatError(f"{path}: got {path.stat().st_size} bytes, expected at most {LARGEST_BYTES}")
        return read()
    except OSError as error:
        raise FileFormatError(f"{path}: cannot be read ({error.strerror or 'not a NumPy file'})") from error
    except (ValueError, BadZipFile, EOFError, KeyError, AttributeError) as error:
        raise FileFormatError(
            f"{path}: no image: not a NumPy file of plain numbers ({type(error).__name__})"
        ) from error


def _unpacked(path: Path, packed: NDArray[Any], shape: NDArray[Any]) -> NDArray[np.uint8]:
    sizes = tuple(int(size) for size in shape.reshape(-1))
    voxels = int(np.prod(sizes))
    if packed.dtype != np.uint8 or any(size < 1 for size in sizes) or packed.size != -(-voxels // 8):
        raise FileFormatError(
            f"{path}: got {packed.size} packed bytes for a shape of {sizes}, expected {-(-voxels // 8)}"
        )
    return np.unpackbits(packed.reshape(-1), count=voxels).reshape(sizes) * np.uint8(255)


def _pictures(paths: list[Path], name: str, slice_axis: int) -> NDArray[Any]:
    try:
        from PIL import Image, UnidentifiedImageError
    except ImportError as error:
        raise FileFormatError(f"{name}: reading PNG and JPEG needs Pillow; pip install 'heclstm[report]'") from error
    if not paths:
        raise SequenceError(f"{name}: no image: got 0 pictures, expected files ending in {', '.join(PICTURES)}")
    frames = []
    for path in paths:
        try:
            with Image.open(path) as picture:
                colour = picture.mode not in ("L", "1")
                frames.append(np.asarray(picture.convert("RGB" if colour else "L")))
        except (OSError, UnidentifiedImageError, ValueError) as error:
            raise FileFormatError(f"{path}: no image: not readable as PNG or JPEG") from error
    if len({frame.shape for frame in frames}) > 1:
        shapes = sorted({str(frame.shape) for frame in frames})
        raise SequenceError(
            f"{name}: got pictures of different sizes {', '.join(shapes)}, expected one size; resample them"
        )
    if frames[0].ndim == 3:
        return np.stack(frames).transpose(0, 3, 1, 2)  # (frames, channels, height, width)
    return np.stack(frames, axis=slice_axis)
