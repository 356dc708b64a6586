"""Checkpoints without pickle: what goes in comes out, and nothing else is read."""

import pickle

import pytest
import torch

from heclstm.errors import FileFormatError
from heclstm.model.train.checkpoint import SafetensorsIO


def test_what_goes_in_comes_out(tmp_path):
    shared = torch.arange(3)
    checkpoint = {
        "epoch": 3,
        "none": None,
        "nested": {"list": [1, 2.5, [True, "text"]], "tuple": (1, (shared,)), "empty": {}},
        "optimizer": {0: {"step": torch.tensor(7.0)}, 1: {"exp_avg": torch.eye(2).t()}},
        "again": shared,  # the same memory twice
        "infinite": float("inf"),
    }
    SafetensorsIO().save_checkpoint(checkpoint, tmp_path / "deep" / "a.safetensors")
    loaded = SafetensorsIO().load_checkpoint(tmp_path / "deep" / "a.safetensors")
    tensors = (("nested", "tuple", 1, 0), ("optimizer", 0, "step"), ("optimizer", 1, "exp_avg"), ("again",))
    for path in tensors:
        mine, theirs = checkpoint, loaded
        for key in path:
            mine, theirs = mine[key], theirs[key]
        assert torch.equal(mine, theirs)
        assert mine.dtype == theirs.dtype
    for name in ("epoch", "none", "infinite"):
        assert loaded[name] == checkpoint[name]
    assert loaded["nested"]["list"] == checkpoint["nested"]["list"]
    assert type(loaded["nested"]["tuple"]) is tuple
    assert not list(tmp_path.rglob("*.part"))


def test_what_is_no_plain_value_is_refused(tmp_path):
    with pytest.raises(TypeError, match="/a/0: got object"):
        SafetensorsIO().save_checkpoint({"a": [object()]}, tmp_path / "a.safetensors")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("content", [b"", b"\x10", pickle.dumps({"epoch": 1}), b"\xff" * 64])
def test_other_files_are_refused(tmp_path, content):
    (tmp_path / "a.safetensors").write_bytes(content)
    with pytest.raises(FileFormatError, match="not a checkpoint of this training"):
        SafetensorsIO().load_checkpoint(tmp_path / "a.safetensors")


def test_a_model_is_no_checkpoint(tmp_path):
    from safetensors.torch import save_file

    save_file({"a": torch.zeros(1)}, tmp_path / "a.safetensors")
    with pytest.raises(FileFormatError, match="not a checkpoint of this training"):
        SafetensorsIO().load_checkpoint(tmp_path / "a.safetensors")
