"""A trained model as files: `model.json` (what it is) and `model.safetensors` (its numbers), tied by one
digest.

The arrays are float64, with batch normalization and every gain folded in, so that whoever reads them (the
compiler, `reference.forward`) needs to know about affine maps, polynomials and cells only. Which arrays there are
follows from the nodes of `ModelConfig.graph`. No torch and no pickle here.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load as parse_tensors
from safetensors.numpy import save as pack_tensors

from heclstm.errors import DigestError, FileFormatError, ModelError
from heclstm.model.config import ModelConfig
from heclstm.model.graph import Array
from heclstm.storage.atomic import new_files, save_file
from heclstm.storage.json import SMALL, parse_object
from heclstm.storage.source import Place, opened

FORMAT, VERSION = "heclstm-model", 1
JSON_NAME, TENSORS_NAME = "model.json", "model.safetensors"
JSON_LIMITS = SMALL
HEADER_LIMIT_BYTES = 256 * 1024


def expected_shapes(config: ModelConfig) -> dict[str, tuple[int, ...]]:
    """Name and shape of every array that a model of this configuration holds."""
    return config.graph.arrays


@dataclass(frozen=True)
class Model:
    """Configuration, arrays, metadata (preparation, ranges, operating_point, metrics, licence, attribution)."""

    config: ModelConfig
    arrays: Mapping[str, Array]
    metadata: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        shapes = expected_shapes(self.config)
        missing = [name for name in shapes if name not in self.arrays]
        unknown = sorted(name for name in self.arrays if name not in shapes)
        if missing or unknown:
            raise ModelError(f"model arrays: missing {missing or 'none'}, not expected {unknown or 'none'}")
        checked = {name: _checked(name, self.arrays[name], shape) for name, shape in shapes.items()}
        for node in self.config.graph.nodes:
            node.check(checked)
        preparation = self.metadata.get("preparation")
        if isinstance(preparation, Mapping) and preparation.get("length", "exact") != "exact":
            self.config.require_causal("model")
        object.__setattr__(self, "arrays", checked)

    @property
    def digest(self) -> str:
        """SHA-256 over configuration, metadata and arrays."""
        head = {"config": self.config.to_json(), "metadata": self.metadata, "version": VERSION}
        digest = hashlib.sha256(json.dumps(head, sort_keys=True, allow_nan=False).encode())
        for name in sorted(self.arrays):
            array = self.arrays[name]
            digest.update(f"\n{name} {array.shape}\n".encode())
            digest.update(array.astype("<f8").tobytes())
        return digest.hexdigest()

    def with_metadata(self, **entries: Any) -> Self:
        """The same model with further (or other) metadata."""
        return replace(self, metadata={**self.metadata, **entries})


def _checked(name: str, array: Array, shape: tuple[int, ...]) -> Array:
    if array.dtype != np.float64:
        raise ModelError(f"{name}: got dtype {array.dtype}, expected float64")
    if array.shape != shape:
        raise ModelError(f"{name}: got shape {array.shape}, expected {shape}")
    if not np.isfinite(array).all():
        raise ModelError(f"{name}: got {int((~np.isfinite(array)).sum())} values that are not finite, expected none")
    copy = array.copy(order="C")
    copy.setflags(write=False)
    return copy


def save_model(model: Model, folder: Place) -> None:
    """Write both files into `folder` (created if absent); they replace their predecessors together."""
    digest = model.digest
    document = {
        "format": FORMAT,
        "version": VERSION,
        "digest": digest,
        "config": model.config.to_json(),
        "metadata": model.metadata,
    }
    tensors = pack_tensors(dict(model.arrays), metadata={"format": FORMAT, "version": str(VERSION), "digest": digest})
    with new_files(Path(folder)) as partial:
        save_file(partial / TENSORS_NAME, tensors)
        save_file(partial / JSON_NAME, json.dumps(document, indent=2, allow_nan=False) + "\n")


def load_model(folder: Place) -> Model:
    """Read a model that `save_model` wrote.

    Raises FileFormatError (missing, truncated, oversized, foreign, newer), ModelError (an array or field that
    does not fit the configuration) or DigestError (the files do not belong together, or were altered).
    """
    folder = Path(folder)
    document = _read_document(folder / JSON_NAME)
    config = ModelConfig.from_json(document["config"])
    arrays, tensors_digest = _read_tensors(folder / TENSORS_NAME, config)
    model = Model(config, arrays, document["metadata"])
    if tensors_digest != document["digest"]:
        raise DigestError(
            f"{folder}: {JSON_NAME} names digest {str(document['digest'])[:12]}…, {TENSORS_NAME} "
            f"{tensors_digest[:12]}…; copy both files from the same model"
        )
    if model.digest != document["digest"]:
        raise DigestError(
            f"{folder}: content has digest {model.digest[:12]}…, expected {document['digest'][:12]}…; "
            "the model was altered after it was saved"
        )
    return model


def _read_document(path: Path) -> dict[str, Any]:
    document = parse_object(_read(path, JSON_LIMITS.bytes), str(path), JSON_LIMITS)
    if document.get("format") != FORMAT:
        raise FileFormatError(f"{path}: got another kind of file, expected format {FORMAT!r}")
    if document.get("version") != VERSION:
        raise FileFormatError(f"{path}: got version {document.get('version')!r}, expected {VERSION}; update heclstm")
    for name, kind in (("digest", str), ("config", dict), ("metadata", dict)):
        if not isinstance(document.get(name), kind):
            raise FileFormatError(f"{path}: field {name!r} is missing or not of type {kind.__name__}")
    return document


def _read_tensors(path: Path, config: ModelConfig) -> tuple[dict[str, Array], str]:
    data_bytes = 8 * sum(int(np.prod(shape)) for shape in expected_shapes(config).values())
    content = _read(path, data_bytes + HEADER_LIMIT_BYTES)
    try:
        arrays = parse_tensors(content)
        # The safetensors header: eight bytes with its length, then JSON. `load` has checked it.
        header = parse_object(content[8 : 8 + int.from_bytes(content[:8], "little")], str(path), JSON_LIMITS)
    except SafetensorError as error:
        raise FileFormatError(
            f"{path}: not a whole safetensors file ({error}); save or copy the model again"
        ) from error
    return arrays, str(header.get("__metadata__", {}).get("digest", "none"))


def _read(path: Path, limit_bytes: int) -> bytes:
    with opened(path) as file:
        return file.read_all(limit_bytes)
