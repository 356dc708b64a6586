"""What every kind of block states of itself; `model.blocks` lists them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, ClassVar, Self

from heclstm.model.fields import Pair, plain
from heclstm.model.graph import FrameShape, Node

if TYPE_CHECKING:
    from heclstm.model.train.layers import Part


class Block(ABC):
    """The configuration of one block of the frame encoder: a frozen dataclass, checked on creation.

    kind: its name in model and training files. What needs torch is imported when it is asked for.
    """

    kind: ClassVar[str]
    out_channels: int

    @abstractmethod
    def output(self, height: int, width: int) -> Pair:
        """The size after the block."""

    @abstractmethod
    def exact_twin(self) -> Self:
        """The same block with exact functions in place of polynomials."""

    @abstractmethod
    def nodes(self, name: str, source: str, shape: FrameShape) -> tuple[Node, ...]:
        """Affine maps and polynomials, of which the last one makes the value `{name}.output`."""

    @abstractmethod
    def module(self, in_channels: int) -> Part:
        """The block in PyTorch; its values are named as its nodes', without the block's own name."""

    def to_json(self) -> dict[str, Any]:
        """Plain JSON types."""
        values: dict[str, Any] = plain(asdict(self))  # type: ignore[call-overload]  # every kind is a dataclass
        return values
