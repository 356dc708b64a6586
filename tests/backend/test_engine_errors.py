"""What the engine refuses, and how it says so."""

import subprocess
import sys

import numpy as np
import pytest

from engine_kit import Kit, small_parameters
from heclstm.backend.lattigo import Engine
from heclstm.backend.lattigo_secret import Decryptor, SecretKey
from heclstm.circuit import sizes
from heclstm.errors import (
    DigestError,
    FileFormatError,
    HandleError,
    LevelError,
    MissingKeyError,
    ParameterError,
    ScaleError,
)

LEVEL = 4


@pytest.fixture(scope="module")
def kit():
    kit = Kit(small_parameters())
    yield kit
    kit.engine.close()


@pytest.fixture(scope="module")
def stranger():
    """The same moduli in number and size, but one level more: everything of it is foreign."""
    return Kit(small_parameters(depth=7))


@pytest.fixture
def fresh():
    """A kit that a test may close."""
    kit = Kit(small_parameters(depth=2, degree=16))
    yield kit
    kit.engine.close()


# operands


def test_different_levels(kit):
    a, b = kit.encrypt(kit.vector(), 4), kit.encrypt(kit.vector(), 3)
    plain = kit.engine.plaintext(np.ones(1), 3, a.scale)
    for name, operation in {
        "add": lambda: kit.engine.add(a, b),
        "subtract": lambda: kit.engine.subtract(a, b),
        "add_plain": lambda: kit.engine.add_plain(a, plain),
        "multiply_plain": lambda: kit.engine.multiply_plain(a, plain),
    }.items():
        with pytest.raises(LevelError, match=rf"{name}: got levels 4 and 3, expected the same"):
            operation()
    with pytest.raises(LevelError, match="sum_of_products: got levels 3 and 4"):
        kit.engine.sum_of_products([(a, b)])


def test_different_scales(kit):
    a = kit.encrypt(kit.vector(), LEVEL)
    plain = kit.engine.plaintext(np.ones(1), LEVEL, a.scale * (1 + 2.0**-39))
    product = kit.engine.multiply_plain(a, plain)
    with pytest.raises(ScaleError, match=r"add: got scales 2\^28\.9\d+ and 2\^57\.9"):
        kit.engine.add(a, product)
    with pytest.raises(ScaleError, match="add_plain: got scales"):
        kit.engine.add_plain(a, plain)
    with pytest.raises(ScaleError, match="sum_of_products: got scales"):
        kit.engine.sum_of_products([(a, a), (a, product)])
    with pytest.raises(ScaleError, match=r"serialize: .* the scale of level 4; rescale first"):
        product.serialize()
    close_enough = kit.engine.plaintext(np.ones(1), LEVEL, a.scale * (1 + 2.0**-41))
    kit.engine.add_plain(a, close_enough)


def test_levels_out_of_range(kit):
    a = kit.encrypt(kit.vector(), LEVEL)
    with pytest.raises(LevelError, match="drop_level: got 5, expected 0 … 4"):
        kit.engine.drop_level(a, 5)
    with pytest.raises(LevelError, match="drop_level: got -1"):
        kit.engine.drop_level(a, -1)
    with pytest.raises(LevelError, match="rescale: got level 0"):
        kit.engine.rescale(kit.engine.drop_level(a, 0))
    for wrong in (-1, kit.top + 1):
        with pytest.raises(LevelError, match=f"plaintext: got level {wrong}, expected 0 … {kit.top}"):
            kit.engine.plaintext(np.ones(1), wrong, 2.0**29)
        with pytest.raises(LevelError, match=f"encrypt: got level {wrong}"):
            kit.encryptor.encrypt(np.ones(1), level=wrong)
        with pytest.raises(LevelError, match=f"size: got level {wrong}"):
            kit.keys.relinearization_key(kit.secret, wrong)


@pytest.mark.parametrize("values", [np.ones(3), np.ones(0), np.ones((2, 2)), np.ones(2048)])
def test_vectors_of_the_wrong_shape(kit, values):
    with pytest.raises(ParameterError, match="plaintext: got shape"):
        kit.engine.plaintext(values, LEVEL, 2.0**29)
    with pytest.raises(ParameterError, match="encrypt: got shape"):
        kit.encryptor.encrypt(values, level=LEVEL)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_values_that_are_no_numbers(kit, value):
    with pytest.raises(ParameterError, match="plaintext: a value is not finite"):
        kit.engine.plaintext(np.array([value]), LEVEL, 2.0**29)
    with pytest.raises(ParameterError, match="encrypt: a value is not finite"):
        kit.encryptor.encrypt(np.array([value]), level=LEVEL)


@pytest.mark.parametrize("scale", [0.0, -1.0, np.nan, np.inf])
def test_scales_that_are_no_scales(kit, scale):
    with pytest.raises(ParameterError, match="plaintext: got scale"):
        kit.engine.plaintext(np.ones(1), LEVEL, scale)


def test_no_pairs_and_no_threads(kit):
    with pytest.raises(ParameterError, match="got no pairs"):
        kit.engine.sum_of_products([])
    for count in (0, -1):
        with pytest.raises(ParameterError, match=f"threads: got {count}, expected at least 1"):
            kit.engine.set_threads(count)
        with pytest.raises(ParameterError, match=f"threads: got {count}, expected at least 1"):
            Engine(kit.parameters, threads=count)


# keys


def test_missing_keys(kit):
    a = kit.encrypt(kit.vector(), LEVEL)
    with pytest.raises(MissingKeyError, match="product at level 4: no relinearization key"):
        kit.engine.sum_of_products([(a, a)])
    with pytest.raises(MissingKeyError, match="rotation by 7 at level 4: no key for this step"):
        kit.engine.rotate(a, 7)
    with pytest.raises(MissingKeyError, match="rotation by 1017 at level 4"):
        kit.engine.rotate(a, -7)


def test_keys_that_end_below(kit):
    a = kit.encrypt(kit.vector(), LEVEL)
    kit.load_rotations(9, level=3)
    with pytest.raises(MissingKeyError, match="rotation by 9 at level 4: its key reaches level 3 only"):
        kit.engine.rotate(a, 9)
    own = Kit(kit.parameters)
    own.load_relinearization(level=3)
    b = own.encrypt(own.vector(), LEVEL)
    with pytest.raises(MissingKeyError, match="the relinearization key reaches level 3 only"):
        own.engine.sum_of_products([(b, b)])


def test_keys_of_the_wrong_kind_or_step(kit):
    rotation = kit.keys.rotation_key(kit.secret, 1, 2)
    relinearization = kit.keys.relinearization_key(kit.secret, 2)
    with pytest.raises(FileFormatError, match="relinearization key: got an object of kind 3"):
        kit.engine.load_relinearization_key(rotation)
    with pytest.raises(FileFormatError, match="rotation key: got an object of kind 2"):
        kit.engine.load_rotation_key(relinearization)
    with pytest.raises(FileFormatError, match="rotation key: got step 1024, expected 1 … 1023"):
        kit.engine.load_rotation_key(rotation[:16] + (1024).to_bytes(4, "little") + rotation[20:])
    for step in (0, 1024):
        with pytest.raises(ParameterError, match="rotation key: got step 0"):
            kit.keys.rotation_key(kit.secret, step, 2)


# bytes from outside


def load_any(kit, kind, data):
    if kind == "ciphertext":
        return kit.engine.load_ciphertext(data, level=2)
    if kind == "secret key":
        return SecretKey.load(kit.engine, data)
    return getattr(kit.engine, f"load_{kind.replace(' ', '_')}")(data)


def write_any(kit, kind):
    if kind == "ciphertext":
        return kit.encryptor.encrypt(np.ones(1), level=2)
    if kind == "secret key":
        return kit.secret.serialize()
    if kind == "rotation key":
        return kit.keys.rotation_key(kit.secret, 1, 2)
    return kit.keys.relinearization_key(kit.secret, 2)


KINDS = ["ciphertext", "secret key", "rotation key", "relinearization key"]


@pytest.mark.parametrize("kind", KINDS)
def test_damaged_bytes(kit, stranger, kind):
    data = write_any(kit, kind)
    load_any(kit, kind, data)
    for cut in (0, 1, 39):
        with pytest.raises(FileFormatError, match=f"{kind}: got {cut} bytes, expected at least 40"):
            load_any(kit, kind, data[:cut])
    for size, changed in {len(data) - 1: data[:-1], len(data) + 1: data + b"\0"}.items():
        with pytest.raises(FileFormatError, match=f"{kind}: got {size} bytes, expected {len(data)}"):
            load_any(kit, kind, changed)
    with pytest.raises(FileFormatError, match="no heclstm object"):
        load_any(kit, kind, b"PK\3\4" + data[4:])
    with pytest.raises(FileFormatError, match="got version 9, expected 1"):
        load_any(kit, kind, data[:4] + b"\x09\0" + data[6:])
    with pytest.raises(FileFormatError, match="got ring degree 2048, expected 1024"):
        load_any(kit, kind, data[:8] + (2048).to_bytes(4, "little") + data[12:])
    with pytest.raises(FileFormatError, match="reserved bytes are not zero"):
        load_any(kit, kind, data[:7] + b"\1" + data[8:])
    with pytest.raises(DigestError, match="made for other parameters"):
        load_any(kit, kind, write_any(stranger, kind))


@pytest.mark.parametrize("kind", KINDS)
def test_residues_above_their_prime(kit, kind):
    data = write_any(kit, kind)
    with pytest.raises(FileFormatError, match="is not below its prime|is not ternary"):
        load_any(kit, kind, data[:-64] + b"\xff" * 64)


def test_a_ciphertext_of_another_level(kit):
    data = kit.encryptor.encrypt(np.ones(1), level=3)
    with pytest.raises(LevelError, match="ciphertext: got level 3, expected 2"):
        kit.engine.load_ciphertext(data, level=2)
    with pytest.raises(LevelError, match="expected 0 … 7"):
        kit.engine.load_ciphertext(data, level=8)
    with pytest.raises(FileFormatError, match="got an object of kind 1"):
        kit.engine.load_ciphertext(kit.secret.serialize(), level=2)


# handles


def test_closed_objects(fresh):
    a = fresh.encrypt(np.ones(1))
    plain = fresh.engine.plaintext(np.ones(1), fresh.top, a.scale)
    a.close()
    a.close()
    assert repr(a).endswith("closed>")
    with pytest.raises(HandleError, match="Ciphertext: it is closed"):
        fresh.engine.rescale(a)
    with pytest.raises(HandleError, match="Ciphertext: it is closed"):
        a.serialize()
    plain.close()
    with pytest.raises(HandleError, match="Plaintext: it is closed"):
        fresh.engine.add_plain(fresh.encrypt(np.ones(1)), plain)
    data = fresh.encryptor.encrypt(np.ones(1), level=1)
    fresh.secret.close()
    with pytest.raises(HandleError, match="SecretKey: it is closed"):
        fresh.encryptor.encrypt(np.ones(1), level=1)
    with fresh.engine as engine:
        survivor = engine.load_ciphertext(data, level=1)
    with pytest.raises(HandleError, match="Engine: it is closed"):
        engine.add(survivor, survivor)
    assert survivor.serialize()  # it owns its memory


def test_the_library_checks_handles_itself(kit):
    """Closing on one thread while another starts a call must end in an error, not in freed memory."""
    a = kit.encrypt(np.ones(1))
    stale = a.handle
    a.close()
    a._id = stale
    with pytest.raises(HandleError, match="ciphertext: the handle is closed or no ciphertext"):
        kit.engine.add(a, a)
    a._id = kit.engine.handle
    with pytest.raises(HandleError, match="ciphertext: the handle is closed or no ciphertext"):
        kit.engine.add(a, a)
    a._id = 0


def test_objects_of_another_engine(kit):
    other = Kit(kit.parameters)
    a, b = kit.encrypt(np.ones(1)), other.encrypt(np.ones(1))
    with pytest.raises(ParameterError, match="ciphertext: belongs to another engine"):
        kit.engine.add(a, b)
    with pytest.raises(ParameterError, match="plaintext: belongs to another engine"):
        kit.engine.multiply_plain(a, other.engine.plaintext(np.ones(1), a.level, 2.0**29))
    with pytest.raises(ParameterError, match="secret key: belongs to another engine"):
        Decryptor(kit.engine, other.secret).decrypt(a)


# privacy


def test_texts_show_no_data(kit):
    kit.secret.serialize()
    for thing in (kit.secret, kit.keys, kit.encryptor, kit.decryptor, kit.encrypt(np.ones(1)), kit.engine):
        assert not any(character.isdigit() for character in repr(thing).partition(" object at ")[0][:60]) or (
            repr(thing) == f"<Ciphertext level {kit.top}>"
        )
    assert repr(kit.secret) == "<SecretKey>"


def test_the_server_side_imports_nothing_secret():
    code = (
        "import sys, heclstm.backend.lattigo; "
        "assert not [name for name in sys.modules if 'secret' in name and name.startswith('heclstm')]"
    )
    subprocess.run([sys.executable, "-c", code], check=True, env={"PYTHONPATH": "src"})


def test_only_one_module_loads_the_library():
    from pathlib import Path

    import heclstm

    package = Path(heclstm.__file__).parent
    users = [path.name for path in package.rglob("*.py") if "ctypes.CDLL" in path.read_text()]
    assert users == ["library.py"]


def test_sizes_are_known_beforehand(kit):
    for level in (1, 2, 5, kit.top):
        for seeded in (True, False):
            data = kit.encryptor.encrypt(np.ones(1), level=level, seeded=seeded)
            assert len(data) == sizes.ciphertext_bytes(kit.parameters, level, seeded)
        evaluated = kit.encrypt(np.ones(1), level).serialize()
        assert len(evaluated) == sizes.ciphertext_bytes(kit.parameters, level, seeded=False)
        for data in (
            kit.keys.relinearization_key(kit.secret, level),
            kit.keys.rotation_key(kit.secret, 1, level),
        ):
            assert len(data) == sizes.evaluation_key_bytes(kit.parameters, level)
    assert len(kit.secret.serialize()) == sizes.secret_key_bytes(kit.parameters)
