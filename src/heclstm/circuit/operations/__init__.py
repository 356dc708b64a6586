"""What a circuit is made of: operations on numbered ciphertexts, with every level and scale written down.

A new one is a file here with a subclass of `Operation`, one line in OPERATIONS, and one method of `Evaluator` that
each backend implements. Names and fields of operations are what circuit files hold.

    input               a ciphertext of the query       add           the sum of two
    linear_transform    a matrix, by its diagonals      rotate        the slots turned left
    sum_of_products     Σ a·b, relinearized once        rescale       one level less
    multiply_plain      times an encoded vector         drop_level    lower at the same scale
    add_plain           plus an encoded vector
"""

from collections.abc import Mapping, Sequence
from typing import Any

from heclstm.circuit.operations.add import Add
from heclstm.circuit.operations.add_plain import AddPlain
from heclstm.circuit.operations.base import Kept, Operation
from heclstm.circuit.operations.drop_level import DropLevel
from heclstm.circuit.operations.evaluator import Evaluator
from heclstm.circuit.operations.fields import Array
from heclstm.circuit.operations.input import Input
from heclstm.circuit.operations.linear_transform import LinearTransform, TransformPlan
from heclstm.circuit.operations.multiply_plain import MultiplyPlain
from heclstm.circuit.operations.rescale import Rescale
from heclstm.circuit.operations.rotate import Rotate
from heclstm.circuit.operations.sum_of_products import SumOfProducts
from heclstm.errors import FileFormatError

__all__ = [
    "Add",
    "AddPlain",
    "DropLevel",
    "Evaluator",
    "Input",
    "Kept",
    "LinearTransform",
    "MultiplyPlain",
    "Operation",
    "Rescale",
    "Rotate",
    "SumOfProducts",
    "TransformPlan",
    "operation_from_json",
]

OPERATIONS: dict[str, type[Operation]] = {
    kind.__name__: kind
    for kind in (
        Input,
        LinearTransform,
        SumOfProducts,
        MultiplyPlain,
        AddPlain,
        Add,
        Rotate,
        Rescale,
        DropLevel,
    )
}


def operation_from_json(data: Any, arrays: Sequence[Array]) -> Operation:
    """What `Operation.to_json` wrote. Raises FileFormatError with the known kinds."""
    name = data.get("operation") if isinstance(data, Mapping) else None
    kind = OPERATIONS.get(name) if isinstance(name, str) else None
    if kind is None:
        raise FileFormatError(f"circuit: unknown operation {name!r}, expected one of {sorted(OPERATIONS)}")
    return kind.from_json(data, arrays)
