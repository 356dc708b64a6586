"""What every kind of recurrent cell states of itself; `model.cells` lists them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, ClassVar, Self

from heclstm.model.fields import plain
from heclstm.model.graph import Array, Arrays, Range, Shape

if TYPE_CHECKING:
    from heclstm.circuit.layout import Layout
    from heclstm.compiler.affine import AffineMap
    from heclstm.compiler.expressions import Trace
    from heclstm.compiler.kernels.recurrence import Recurrence
    from heclstm.model.interval import FrameMap, Interval, Linear
    from heclstm.model.train.layers import Part


class Cell(ABC):
    """The configuration of one recurrent layer: a frozen dataclass, checked on creation.

    kind: its name in model and training files, and the prefix of its arrays and values. causal: whether the state of
    a frame depends on that frame and those before it alone; padding relies on it. What needs torch or the compiler is
    imported when it is asked for.
    """

    kind: ClassVar[str]
    causal: ClassVar[bool]
    hidden_size: int

    @property
    @abstractmethod
    def projections(self) -> int:
        """How many linear maps of H rows it takes of the features of a frame."""

    @property
    @abstractmethod
    def ranges(self) -> tuple[Range, ...]:
        """Which of its values are watched, and how training bounds them."""

    @property
    @abstractmethod
    def exact(self) -> str | None:
        """What of it is no polynomial, so that it cannot be compiled, and what to do about it."""

    @abstractmethod
    def exact_twin(self) -> Self:
        """The same cell with exact functions in place of polynomials."""

    def shallower(self) -> dict[str, Cell]:
        """Cells of this kind that take fewer levels, by what a training file says for them."""
        return {}

    @abstractmethod
    def arrays(self, features: int) -> dict[str, Shape]:
        """Its arrays in a model file, for so many features of a frame."""

    @abstractmethod
    def start(self) -> dict[str, Array]:
        """The arrays of polynomial coefficients as training starts from them."""

    @abstractmethod
    def evaluate(self, arrays: Arrays, spatial: Array) -> dict[str, Array]:
        """Its values from the features (B, T, D) of the frames, in NumPy; the state (B, T, H) is called `hidden`."""

    def reach(self, arrays: Arrays, features: FrameMap) -> dict[str, Interval] | None:  # most have none
        """How far its values reach at most, (T, …) each by the names of `evaluate`, if affine maps of the features
        reach as far as `features` says. None if nothing is known to bound them, as where a state multiplies itself.
        """
        return None

    def linear(self, arrays: Arrays, frames: int) -> Linear | None:
        """Its state as a linear map of all frames; None if it has products."""
        return None

    @abstractmethod
    def kernel(self) -> Callable[[str, Trace, Any, Arrays, AffineMap, Layout], Recurrence]:
        """What writes it under encryption. It takes a name for its layers, the trace, this configuration, its arrays,
        the affine map that makes the features of each frame, and the layout of what that map reads.
        """

    @abstractmethod
    def module(self, features: int) -> Part:
        """The cell in PyTorch; its values are named as those of `evaluate`."""

    def to_json(self) -> dict[str, Any]:
        """Plain JSON types."""
        values: dict[str, Any] = plain(asdict(self))  # type: ignore[call-overload]  # every kind is a dataclass
        return values
