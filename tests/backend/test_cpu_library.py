"""The native library and its Python side: versions, mirrored numbers, and arguments that no caller of ours makes."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from numpy._core import _multiarray_umath as multiarray

import heclstm
import heclstm.backend.cpu.library as native
from engine_kit import CpuKit, small_parameters
from heclstm.errors import EngineError, ParameterError


@pytest.fixture(scope="module")
def kit():
    kit = CpuKit(small_parameters(depth=2, degree=64), steps=())
    yield kit
    kit.close()


@pytest.mark.parametrize("number", [-1, 0, 1, 2, 3, 6, 99])
def test_operations_that_are_not_unary(kit, number):
    """None of them is silently a rotation."""
    a = kit.encrypt(np.ones(1))
    with pytest.raises(EngineError, match=f"got operation {number}, expected one of .*rebuild"):
        native.new_handle("heclstm_unary", kit.context.handle, number, a.handle, 1)


@pytest.mark.parametrize("number", [-1, 4, 5, 99])
def test_operations_that_are_not_binary(kit, number):
    a = kit.encrypt(np.ones(1))
    with pytest.raises(EngineError, match=f"got operation {number}"):
        native.new_handle("heclstm_binary", kit.context.handle, number, a.handle, a.handle)


@pytest.mark.parametrize("kind", [0, 1, 4, 99])
def test_kinds_that_are_no_evaluation_keys(kit, kind):
    arguments = kit.context.handle, kit.secret.handle, kind, 0, 2
    with pytest.raises(ParameterError, match=f"evaluation key: got kind {kind}, expected 2 or 3"):
        native.call("heclstm_write_key", *arguments, None, 0)


@pytest.mark.parametrize(("place", "size"), [(0, -1), (6, 1 << 40), (8, -5)])
def test_sizes_that_no_buffer_has(kit, place, size):
    shape = np.array([1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 1, 0, 0, 0], dtype=np.int64)
    shape[place] = size
    with pytest.raises(ParameterError, match=f"transform: got a size of {size}"):
        native.call("heclstm_transform", kit.context.handle, shape.ctypes.data, *[None] * 9, 1.0, 0, None, None)


def test_a_product_of_sizes_that_no_buffer_has(kit):
    shape = np.array([1, 1, 1, 1, 1, 1, 1 << 31, 1 << 31, 0, 0, 0, 1, 0, 0, 0], dtype=np.int64)
    with pytest.raises(ParameterError, match=r"transform: got 2147483648 vectors of 2147483648 values"):
        native.call("heclstm_transform", kit.context.handle, shape.ctypes.data, *[None] * 9, 1.0, 0, None, None)


def test_an_interface_of_another_version_is_refused(monkeypatch):
    monkeypatch.setattr(native, "ABI", native.ABI + 1)
    with pytest.raises(EngineError, match=rf"has interface {native.ABI - 1}, this release needs {native.ABI}; rebuild"):
        native.load(native.PATH)


def test_a_library_from_before_interfaces_had_versions():
    """Any library without heclstm_abi: that of NumPy will do."""
    with pytest.raises(EngineError, match=f"has interface 1, this release needs {native.ABI}; rebuild"):
        native.load(Path(multiarray.__file__))


def test_a_library_that_is_absent(tmp_path):
    with pytest.raises(EngineError, match=r"absent\.so cannot be loaded .*install heclstm with `pip install .`"):
        native.load(tmp_path / "absent.so")


@pytest.mark.parametrize("name", native.CONSTANTS)
def test_numbers_that_differ_between_both_sides_are_refused(monkeypatch, name):
    monkeypatch.setitem(native.CONSTANTS, name, 12345)
    with pytest.raises(EngineError, match=f"differs from this package in {name}; rebuild it"):
        native.load(native.PATH)


def test_the_server_side_imports_nothing_secret():
    code = (
        "import sys, heclstm.deploy.server, heclstm.backend.cpu.backend; "
        "assert not [name for name in sys.modules if name.startswith('heclstm') and "
        "('secret' in name or 'devtools' in name)]"
    )
    subprocess.run([sys.executable, "-c", code], check=True, env={"PYTHONPATH": "src"})


def test_only_one_module_loads_the_library():
    package = Path(heclstm.__file__).parent
    users = [path.name for path in package.rglob("*.py") if re.search(r"ctypes\.CDLL\((?!None)", path.read_text())]
    assert users == ["library.py"]
