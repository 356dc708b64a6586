"""What the CPU backend refuses beyond the laws of all backends, and how it says so."""

import numpy as np
import pytest

from engine_kit import CpuKit, small_parameters
from heclstm.backend.cpu.context import Context
from heclstm.backend.cpu.evaluator import CpuEvaluator
from heclstm.backend.cpu.keyset import KeySet
from heclstm.backend.cpu.secret import Decryptor, SecretKey
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
from laws import make_plan

LEVEL = 4


@pytest.fixture(scope="module")
def kit():
    kit = CpuKit(small_parameters(depth=6), steps=())
    yield kit
    kit.close()


@pytest.fixture(scope="module")
def stranger():
    """The same moduli in number and size, but one level more: everything of it is foreign."""
    kit = CpuKit(small_parameters(depth=7), steps=())
    yield kit
    kit.close()


@pytest.fixture
def fresh():
    """A kit that a test may close."""
    kit = CpuKit(small_parameters(depth=2, degree=16), steps=())
    yield kit
    kit.close()


# operands


def test_a_scale_that_is_not_the_levels_is_not_written(kit):
    a = kit.encrypt(kit.vector(), LEVEL)
    product = kit.evaluator.multiply_plain(a, kit.evaluator.plaintext(np.ones(1), LEVEL, a.scale))
    with pytest.raises(ScaleError, match=r"serialize: .* the scale of level 4; rescale first"):
        product.serialize()


def test_levels_out_of_range(kit):
    for wrong in (-1, kit.top + 1):
        with pytest.raises(LevelError, match=f"plaintext: got level {wrong}, expected 0 … {kit.top}"):
            kit.context.plaintext(np.ones(1), wrong, 2.0**29)
        with pytest.raises(LevelError, match=f"encrypt: got level {wrong}"):
            kit.encryptor.encrypt(np.ones(1), level=wrong)
        with pytest.raises(LevelError, match=f"size: got level {wrong}"):
            kit.generator.relinearization_key(kit.secret, wrong)


@pytest.mark.parametrize("values", [np.ones(3), np.ones(0), np.ones((2, 2)), np.ones(2048)])
def test_vectors_of_the_wrong_shape(kit, values):
    with pytest.raises(ParameterError, match="plaintext: got shape"):
        kit.context.plaintext(values, LEVEL, 2.0**29)
    with pytest.raises(ParameterError, match="encrypt: got shape"):
        kit.encryptor.encrypt(values, level=LEVEL)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_values_that_are_no_numbers(kit, value):
    with pytest.raises(ParameterError, match="plaintext: a value is not finite"):
        kit.context.plaintext(np.array([value]), LEVEL, 2.0**29)
    with pytest.raises(ParameterError, match="encrypt: a value is not finite"):
        kit.encryptor.encrypt(np.array([value]), level=LEVEL)


@pytest.mark.parametrize("scale", [0.0, -1.0, np.nan, np.inf])
def test_scales_that_are_no_scales(kit, scale):
    with pytest.raises(ParameterError, match="plaintext: got scale"):
        kit.context.plaintext(np.ones(1), LEVEL, scale)


def test_no_threads(kit):
    for count in (0, -1):
        with pytest.raises(ParameterError, match=f"threads: got {count}, expected at least 1"):
            kit.context.set_threads(count)
        with pytest.raises(ParameterError, match=f"threads: got {count}, expected at least 1"):
            Context(kit.parameters, threads=count)


@pytest.mark.parametrize(
    ("row", "column"), [((1, 0, 0, 0, 0), 0), ((0, 1, 0, 0, 0), 1), ((0, 0, 1, 0, 0), 2), ((0, 0, 0, -1, 0), 3)]
)
def test_a_plan_is_checked(kit, row, column):
    with pytest.raises(ParameterError, match=f"entry 0: got -?1 in column {column}"):
        kit.context.transform(make_plan(kit.parameters, kit.random, [row]))


def test_a_plan_of_the_wrong_shape(kit):
    with pytest.raises(ParameterError, match="the last a power of two"):
        kit.context.transform(make_plan(kit.parameters, kit.random, [(0, 0, 0, 0, 0)], period=3))
    plan = make_plan(kit.parameters, kit.random, [(0, 0, 0, 0, 0)])
    plan.vectors[0, 0] = np.nan
    with pytest.raises(ParameterError, match="not finite"):
        kit.context.transform(plan)


# keys


def test_missing_keys(kit):
    a, prepared = kit.encrypt(kit.vector(), LEVEL), {}
    for baby, chain in ((7, 0), (0, 77)):
        plan = make_plan(kit.parameters, kit.random, [(0, 0, 0, 0, 0)], (baby,), ((chain,),), level=LEVEL)
        prepared[baby + chain] = kit.context.transform(plan)
    empty = KeySet(kit.context)
    for keys in (None, empty):
        ev = CpuEvaluator(kit.context, keys)
        with pytest.raises(MissingKeyError, match="product at level 4: no relinearization key"):
            ev.sum_of_products([(a, a)])
        with pytest.raises(MissingKeyError, match="rotation by 7 at level 4: no key for this step"):
            ev.rotate(a, 7)
        with pytest.raises(MissingKeyError, match="rotation by 1017 at level 4"):
            ev.rotate(a, -7)
        for step, transform in prepared.items():
            with pytest.raises(MissingKeyError, match=f"rotation by {step} at level 4"):
                ev.linear_transform([a], transform)
        assert ev.rotate(a, 0).serialize() == a.serialize()  # needs none
    empty.close()


def test_keys_that_end_below(kit):
    keys = KeySet(kit.context)
    kit.load_rotations(9, level=3, keys=keys)
    kit.load_relinearization(level=3, keys=keys)
    ev, a = CpuEvaluator(kit.context, keys), kit.encrypt(kit.vector(), LEVEL)
    with pytest.raises(MissingKeyError, match="rotation by 9 at level 4: its key reaches level 3 only"):
        ev.rotate(a, 9)
    with pytest.raises(MissingKeyError, match="the relinearization key reaches level 3 only"):
        ev.sum_of_products([(a, a)])
    keys.close()


def test_keys_of_the_wrong_step(kit):
    rotation = kit.generator.rotation_key(kit.secret, 1, 2)
    relinearization = kit.generator.relinearization_key(kit.secret, 2)
    keys = KeySet(kit.context)
    for step in (0, 1024):
        with pytest.raises(FileFormatError, match=f"key: got step {step}, expected 1 … 1023 for a rotation"):
            keys.load(rotation[:16] + step.to_bytes(4, "little") + rotation[20:])
    with pytest.raises(FileFormatError, match="key: got step 3, expected .* 0 for relinearization"):
        keys.load(relinearization[:16] + (3).to_bytes(4, "little") + relinearization[20:])
    for step in (0, 1024):
        with pytest.raises(ParameterError, match="rotation key: got step 0"):
            kit.generator.rotation_key(kit.secret, step, 2)
    keys.close()


# bytes from outside


def load_any(kit, kind, data):
    if kind == "ciphertext":
        return kit.context.load_ciphertext(data, level=2)
    if kind == "secret key":
        return SecretKey.load(kit.context, bytes(data))
    keys = KeySet(kit.context)
    try:
        return keys.load(data)
    finally:
        keys.close()


def write_any(kit, kind):
    if kind == "ciphertext":
        return kit.encryptor.encrypt(np.ones(1), level=2)
    if kind == "secret key":
        return bytes(kit.secret.serialize())
    if kind == "rotation key":
        return kit.generator.rotation_key(kit.secret, 1, 2)
    return kit.generator.relinearization_key(kit.secret, 2)


KINDS = ["ciphertext", "secret key", "rotation key", "relinearization key"]


@pytest.mark.parametrize("kind", KINDS)
def test_damaged_bytes(kit, stranger, kind):
    data, place = write_any(kit, kind), "key" if "key" in kind else kind
    load_any(kit, kind, data)
    for cut in (1, 39):
        with pytest.raises(FileFormatError, match=f"{place}: got {cut} bytes, expected at least 40"):
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
    for unknown in (0, 6, 255):
        with pytest.raises(FileFormatError, match=f"got an object of kind {unknown}, expected one of"):
            load_any(kit, kind, data[:6] + bytes([unknown]) + data[7:])
    with pytest.raises(DigestError, match="made for other parameters"):
        load_any(kit, kind, write_any(stranger, kind))


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_instead_of_bytes(kit, kind):
    with pytest.raises(FileFormatError, match="got 0 bytes, expected at least 40"):
        load_any(kit, kind, b"")


@pytest.mark.parametrize("kind", KINDS)
def test_residues_above_their_prime(kit, kind):
    data = write_any(kit, kind)
    with pytest.raises(FileFormatError, match="is not below its prime|is not ternary"):
        load_any(kit, kind, data[:-64] + b"\xff" * 64)


def test_a_ciphertext_of_another_level_or_kind(kit):
    data = kit.encryptor.encrypt(np.ones(1), level=3)
    with pytest.raises(LevelError, match="ciphertext: got level 3, expected 2"):
        kit.context.load_ciphertext(data, level=2)
    with pytest.raises(LevelError, match="expected 0 … 7"):
        kit.context.load_ciphertext(data, level=8)
    with pytest.raises(FileFormatError, match="got an object of kind 1"):
        kit.context.load_ciphertext(bytes(kit.secret.serialize()), level=2)


def test_sizes_are_known_beforehand(kit):
    for level in (1, 2, 5, kit.top):
        for seeded in (True, False):
            data = kit.encryptor.encrypt(np.ones(1), level=level, seeded=seeded)
            assert len(data) == sizes.ciphertext_bytes(kit.parameters, level, seeded)
        evaluated = kit.encrypt(np.ones(1), level).serialize()
        assert len(evaluated) == sizes.ciphertext_bytes(kit.parameters, level, seeded=False)
        for data in (
            kit.generator.relinearization_key(kit.secret, level),
            kit.generator.rotation_key(kit.secret, 1, level),
        ):
            assert len(data) == sizes.evaluation_key_bytes(kit.parameters, level)
    assert len(kit.secret.serialize()) == sizes.secret_key_bytes(kit.parameters)


# handles


def test_closed_objects(fresh):
    ev, a = fresh.evaluator, fresh.encrypt(np.ones(1))
    plain = ev.plaintext(np.ones(1), fresh.top, a.scale)
    a.close()
    a.close()
    assert repr(a).endswith("closed>")
    with pytest.raises(HandleError, match="Ciphertext: it is closed"):
        ev.rescale(a)
    with pytest.raises(HandleError, match="Ciphertext: it is closed"):
        a.serialize()
    plain.close()
    with pytest.raises(HandleError, match="Plaintext: it is closed"):
        ev.add_plain(fresh.encrypt(np.ones(1)), plain)
    data = fresh.encryptor.encrypt(np.ones(1), level=1)
    fresh.secret.close()
    with pytest.raises(HandleError, match="SecretKey: it is closed"):
        fresh.encryptor.encrypt(np.ones(1), level=1)
    fresh.keys.close()
    with pytest.raises(HandleError, match="KeySet: it is closed"):
        ev.rotate(fresh.encrypt(np.ones(1)) if fresh.secret._id else fresh.context.load_ciphertext(data, level=1), 1)
    with fresh.context as context:
        survivor = context.load_ciphertext(data, level=1)
    with pytest.raises(HandleError, match="Context: it is closed"):
        ev.add(survivor, survivor)
    assert survivor.serialize()  # it owns its memory


def test_the_library_checks_handles_itself(kit):
    """Closing on one thread while another starts a call must end in an error, not in freed memory."""
    a = kit.encrypt(np.ones(1))
    stale = a.handle
    a.close()
    for handle in (stale, kit.context.handle, kit.keys.handle, 1 << 63):
        a._id = handle
        with pytest.raises(HandleError, match="ciphertext: the handle is closed or no ciphertext"):
            kit.evaluator.add(a, a)
    a._id = 0


def test_objects_of_another_context(kit):
    other = CpuKit(kit.parameters, steps=(1,))
    a, b, ev = kit.encrypt(np.ones(1)), other.encrypt(np.ones(1)), kit.evaluator
    with pytest.raises(ParameterError, match="ciphertext: belongs to another context"):
        ev.add(a, b)
    with pytest.raises(ParameterError, match="plaintext: belongs to another context"):
        ev.multiply_plain(a, other.context.plaintext(np.ones(1), a.level, 2.0**29))
    with pytest.raises(ParameterError, match="secret key: belongs to another context"):
        Decryptor(kit.context, other.secret).decrypt(a)
    with pytest.raises(ParameterError, match="key set: belongs to another context"):
        CpuEvaluator(kit.context, other.keys).rotate(a, 1)
    plan = make_plan(kit.parameters, kit.random, [(0, 0, 0, 0, 0)])
    with pytest.raises(ParameterError, match="transform: belongs to another context"):
        ev.linear_transform([a], other.context.transform(plan))
    other.close()


# privacy


def test_texts_show_no_data(kit):
    kit.secret.serialize()
    for thing in (
        kit.secret,
        kit.generator,
        kit.encryptor,
        kit.decryptor,
        kit.encrypt(np.ones(1)),
        kit.context,
        kit.keys,
    ):
        assert not any(character.isdigit() for character in repr(thing).partition(" object at ")[0][:60]) or (
            repr(thing) == f"<Ciphertext level {kit.top}>"
        )
    assert repr(kit.secret) == "<SecretKey>"
