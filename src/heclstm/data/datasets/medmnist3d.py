"""The 3D sets of MedMNIST v2 as distributed: one .npz with {train,val,test}_{images,labels}; a volume is a
sequence of slices.

J. Yang et al., "MedMNIST v2 - A large-scale lightweight benchmark for 2D and 3D biomedical image
classification", Scientific Data 10:41, 2023. https://medmnist.com
"""

import hashlib
import logging
from io import BytesIO
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from heclstm.data.datasets.splits import Part, Splits
from heclstm.errors import FileFormatError

logger = logging.getLogger(__name__)

# MD5 as the publishers give it; it tells whether a file is the published one, it protects against nobody.
PUBLISHED = {
    "bbd3c5a5576322bc4cdfea780653b1ce": "AdrenalMNIST3D",
    "17721accfe9fb005146a47d33bc54b2f": "AdrenalMNIST3D 64",
}
LICENCE = "CC BY 4.0"
ATTRIBUTION = (
    "MedMNIST v2: J. Yang, R. Shi, D. Wei, Z. Liu, L. Zhao, B. Ke, H. Pfister, B. Ni, "
    "MedMNIST v2 - A large-scale lightweight benchmark for 2D and 3D biomedical image classification, "
    "Scientific Data 10:41, 2023"
)


def load(path: Path) -> Splits:
    """Read an official file. A file with another checksum is read too, with a warning.

    Raises FileFormatError if it cannot be read or lacks an array.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise FileFormatError(
            f"{path}: cannot be read ({error.strerror}); give the path of a MedMNIST .npz file"
        ) from error
    checksum = hashlib.md5(content, usedforsecurity=False).hexdigest()
    if checksum not in PUBLISHED:
        logger.warning(
            "%s has MD5 %s, which is none of the published files; reading it all the same", path.name, checksum
        )
    parts = {name: _part(path, content, name) for name in ("train", "val", "test")}
    name = PUBLISHED.get(checksum, path.stem)
    return Splits(parts["train"], parts["val"], parts["test"], name, LICENCE, ATTRIBUTION)


def _part(path: Path, content: bytes, name: str) -> Part:
    try:
        with np.load(BytesIO(content), allow_pickle=False) as archive:
            images, labels = archive[f"{name}_images"], archive[f"{name}_labels"]
    except KeyError as error:
        raise FileFormatError(f"{path}: array {error} is missing; expected a MedMNIST .npz file") from error
    except (ValueError, OSError, BadZipFile, EOFError) as error:
        raise FileFormatError(f"{path}: not readable as .npz ({type(error).__name__}); download it again") from error
    if images.ndim != 4 or images.dtype != np.uint8:
        raise FileFormatError(
            f"{path}: {name}_images: got {images.dtype} of shape {images.shape}, expected uint8 volumes with four axes"
        )
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    return Part(images, labels.astype(np.int64))
