"""Lightning's checkpoints as safetensors: tensors as they are, all else as JSON beside them. No pickle is ever read."""

import json
import re
from pathlib import Path
from typing import Any

from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.plugins.io import CheckpointIO
from safetensors import SafetensorError
from safetensors.torch import load as parse_tensors
from safetensors.torch import save as pack_tensors
from torch import Tensor, nn

from heclstm.errors import FileFormatError, ModelError
from heclstm.storage.atomic import save_file

NAME = "checkpoint.safetensors"
BEST = "best.safetensors"
AVERAGE = "average.module."  # where TrainingModule keeps the averaged weights
COUNT = "average.n_averaged"  # of how many epochs they are the mean
TEACHER, MEMBER = "teacher-{}", "member-{}"  # folders of networks within the model's
MEMBERS = re.compile(r"member-\d+")


class Checkpoint(ModelCheckpoint):
    """Goes on in a folder that was moved: what is best is a score, wherever the file lies now."""

    FILE_EXTENSION = ".safetensors"

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        here = str(self.dirpath)
        paths = ("best_model_path", "last_model_path", "kth_best_model_path")
        moved = {name: str(Path(here, Path(state_dict[name]).name)) for name in paths if state_dict.get(name)}
        best = {str(Path(here, Path(path).name)): score for path, score in state_dict["best_k_models"].items()}
        super().load_state_dict({**state_dict, **moved, "best_k_models": best, "dirpath": here})


class SafetensorsIO(CheckpointIO):
    """Writes a checkpoint in one step; reads it back as the same nested dictionary."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        tensors: dict[str, Tensor] = {}
        tree = _packed(checkpoint, tensors, "")
        save_file(Path(path), pack_tensors(tensors, metadata={"checkpoint": json.dumps(tree)}))

    def load_checkpoint(
        self, path: str | Path, map_location: Any = None, weights_only: bool | None = None
    ) -> dict[str, Any]:
        content = Path(path).read_bytes()
        try:
            tensors = parse_tensors(content)
            header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
            checkpoint = _unpacked(json.loads(header["__metadata__"]["checkpoint"]), tensors)
        except (SafetensorError, KeyError, ValueError, TypeError) as error:
            raise FileFormatError(
                f"{path}: not a checkpoint of this training ({type(error).__name__}); delete it to start again"
            ) from error
        if not isinstance(checkpoint, dict):
            raise FileFormatError(f"{path}: not a checkpoint of this training; delete it to start again")
        return checkpoint

    def remove_checkpoint(self, path: str | Path) -> None:
        Path(path).unlink(missing_ok=True)


def load_weights(network: nn.Module, folder: Path) -> None:
    """Start a network with the averaged weights of a finished training in `folder`.

    What that network does not have, as an exact twin has no polynomials, stays as it is. Raises as `averaged` does,
    and ModelError if its network is another one.
    """
    known = averaged(folder)
    try:
        odd = network.load_state_dict(known, strict=False).unexpected_keys
    except RuntimeError as error:
        raise ModelError(f"{folder}: holds another network: {' '.join(str(error).split())}") from error
    if odd:
        raise ModelError(f"{folder}: holds another network: {odd[0]} is not part of this one")


def averaged(folder: Path) -> dict[str, Tensor]:
    """The averaged weights of a finished training, or of a member of a finished ensemble, by the names of its network.

    They are of the epoch that its model is of: the best one where it stopped early, else the last. Raises
    FileFormatError if it is not there or not finished, ModelError if the checkpoint is of an epoch before averaging.
    """
    whole = folder.resolve().parent if MEMBERS.fullmatch(folder.resolve().name) else folder
    if not any((place / "model.json").exists() for place in (folder, whole)):
        raise FileFormatError(f"{folder}: holds no finished training (model.json); train that model first, to its end")
    path = folder / (BEST if (folder / BEST).exists() else NAME)
    if not path.exists():
        raise FileFormatError(
            f"{path}: cannot be read (No such file or directory); copy it from where that model was trained"
        )
    state = SafetensorsIO().load_checkpoint(path)["state_dict"]
    if not int(state.get(COUNT, 0)):  # until then the average is what the network was before training
        raise ModelError(f"{path}: is of an epoch before weights are averaged; finish that training with --resume")
    return {name.removeprefix(AVERAGE): value for name, value in state.items() if name.startswith(AVERAGE)}


def _packed(value: Any, tensors: dict[str, Tensor], name: str) -> Any:
    """Plain JSON: {"tensor": name}, {"list" or "tuple": […]}, {"dict": [[key, value], …]}, for keys may be numbers."""
    if isinstance(value, Tensor):
        tensors[name] = value.detach().cpu().contiguous().clone()
        return {"tensor": name}
    if isinstance(value, dict):
        return {"dict": [[key, _packed(item, tensors, f"{name}/{key}")] for key, item in value.items()]}
    if isinstance(value, list | tuple):
        kind = "list" if isinstance(value, list) else "tuple"
        return {kind: [_packed(item, tensors, f"{name}/{row}") for row, item in enumerate(value)]}
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise TypeError(f"checkpoint: {name}: got {type(value).__name__}, expected tensors and plain values")


def _unpacked(value: Any, tensors: dict[str, Tensor]) -> Any:
    if not isinstance(value, dict):
        return value
    ((kind, content),) = value.items()
    if kind == "tensor":
        return tensors[content]
    if kind == "dict":
        return {key: _unpacked(item, tensors) for key, item in content}
    items = [_unpacked(item, tensors) for item in content]
    return items if kind == "list" else tuple(items)
