"""Training that was stopped goes on where it was: one safetensors file, written after every epoch."""

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load as parse_tensors
from safetensors.torch import save as pack_tensors
from torch import Tensor, nn

from heclstm.errors import FileFormatError

NAME = "checkpoint.safetensors"


def save_checkpoint(
    folder: Path,
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    average: dict[str, Tensor],
    progress: dict[str, Any],
) -> None:
    """Write everything that the next epoch needs into one file, in one step. Random numbers need no state: each
    epoch draws its own from (seed, epoch)."""
    tensors = {f"network.{name}": value for name, value in network.state_dict().items()}
    tensors |= {f"average.{name}": value for name, value in average.items()}
    for index, state in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{index}.{name}": value for name, value in state.items()}
    folder.mkdir(parents=True, exist_ok=True)
    temporary = folder / (NAME + ".part")
    contiguous = {name: value.detach().contiguous() for name, value in tensors.items()}
    temporary.write_bytes(pack_tensors(contiguous, metadata={"progress": json.dumps(progress)}))
    temporary.replace(folder / NAME)


def load_checkpoint(
    folder: Path, network: nn.Module, optimizer: torch.optim.Optimizer
) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
    """Fill network and optimizer.

    Return the averaged weights and the progress, or None if nothing was saved.
    """
    path = folder / NAME
    if not path.exists():
        return None
    content = path.read_bytes()
    try:
        tensors = parse_tensors(content)
        header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
        progress = json.loads(header["__metadata__"]["progress"])
        network.load_state_dict(_below(tensors, "network."))
        state: dict[int, dict[str, Tensor]] = {}
        for name, value in _below(tensors, "optimizer.").items():
            index, _, key = name.partition(".")
            state.setdefault(int(index), {})[key] = value
        optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
    except (SafetensorError, KeyError, ValueError, RuntimeError) as error:
        raise FileFormatError(
            f"{path}: not a checkpoint of this training ({type(error).__name__}); delete it to start again"
        ) from error
    return _below(tensors, "average."), progress


def _below(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
