"""The frame encoder of a trained model, with which another training begins."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from torch import Tensor, nn

from heclstm.errors import ModelError
from heclstm.model.train.checkpoint import MEMBER, NAME, averaged
from heclstm.model.weights import Model, load_model

PARTS = ("differences.", "blocks.")  # of a network


@dataclass(frozen=True, repr=False)
class Encoder:
    """tensors: by the names of their network. model: that they are of; it knows whom it was trained on."""

    folder: Path
    tensors: Mapping[str, Tensor]
    model: Model

    @classmethod
    def of(cls, folder: Path) -> Self:
        """Of a finished training in `folder`: of an ensemble, of its first network or of a given member.

        Raises FileFormatError if there is none, or no checkpoint of it, ModelError if that is not of its end.
        """
        first = folder / MEMBER.format(1)
        network = first if (first / NAME).exists() and not (folder / NAME).exists() else folder
        tensors = {name: value for name, value in averaged(network).items() if name.startswith(PARTS)}
        whole = folder if (folder / "model.json").exists() else folder.resolve().parent
        return cls(folder, tensors, load_model(whole))

    @property
    def digest(self) -> str:
        """SHA-256 over the weights, which stay as they are when their model is calibrated."""
        found = hashlib.sha256()
        for name, value in sorted(self.tensors.items()):
            found.update(f"\n{name} {tuple(value.shape)}\n".encode())
            found.update(value.detach().cpu().numpy().tobytes())
        return found.hexdigest()

    def to_json(self) -> dict[str, Any]:
        """For the metadata of a model that began with it."""
        return {"digest": self.digest, "model": self.model.digest}

    def put_into(self, network: nn.Module) -> None:
        """All else of the network stays as it is. Raises ModelError if its encoder has another shape."""
        ours = {name: value.shape for name, value in network.state_dict().items() if name.startswith(PARTS)}
        theirs = self.tensors
        if odd := [name for name in {*ours, *theirs} if name not in theirs or ours.get(name) != theirs[name].shape]:
            raise ModelError(f"{self.folder}: has another frame encoder than the training file: {min(odd)} differs")
        network.load_state_dict(theirs, strict=False)
