"""Convolution → polynomial activation → (pooling)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self

from heclstm.model.blocks.base import Block
from heclstm.model.blocks.convolution.node import Convolution
from heclstm.model.blocks.pooling import Pooling
from heclstm.model.fields import OneOf, Pair, Pairs, Whole, check_fields
from heclstm.model.graph import FrameShape, Node, Polynomial, Range

if TYPE_CHECKING:
    from heclstm.model.blocks.convolution.torch_module import ConvolutionBlock

PoolKind = Literal["average", "sum"]
BOUND = 4.0  # within which training keeps what enters the activation


@dataclass(frozen=True)
class BlockConfig(Block):
    """One convolutional block.

    `activation_degree` None is ReLU, for clear twins only; `pool` is its own stride, over which `pool_kind` averages
    or sums.
    """

    kind: ClassVar[str] = "convolution"

    out_channels: Annotated[int, Whole(1)]
    kernel: Annotated[Pair, Pairs(1)] = (3, 3)
    stride: Annotated[Pair, Pairs(1)] = (2, 2)
    padding: Annotated[Pair, Pairs(0)] = (1, 1)
    activation_degree: Annotated[int | None, OneOf(None, 2, 3)] = 2
    pool: Annotated[Pair | None, Pairs(1, optional=True)] = None
    pool_kind: Annotated[PoolKind, OneOf("average", "sum")] = "average"

    def __post_init__(self) -> None:
        check_fields(self)

    @property
    def pool_factor(self) -> int:
        """What a mean over the window is multiplied with: 1, or its size for sums."""
        return self.pool[0] * self.pool[1] if self.pool and self.pool_kind == "sum" else 1

    def convolved(self, height: int, width: int) -> Pair:
        """The size after the convolution, before pooling."""
        (kh, kw), (sh, sw), (ph, pw) = self.kernel, self.stride, self.padding
        return (height + 2 * ph - kh) // sh + 1, (width + 2 * pw - kw) // sw + 1

    def output(self, height: int, width: int) -> Pair:
        """Incomplete pooling windows are dropped."""
        rows, columns = self.convolved(height, width)
        return (rows, columns) if self.pool is None else (rows // self.pool[0], columns // self.pool[1])

    def exact_twin(self) -> Self:
        return replace(self, activation_degree=None)

    def nodes(self, name: str, source: str, shape: FrameShape) -> tuple[Node, ...]:
        convolved = (self.out_channels, *self.convolved(*shape[1:]))
        pooled = (self.out_channels, *self.output(*shape[1:]))
        output, leaves = f"{name}.output", (Range(f"{name}.output", f"{name}.output"),)
        inner = output if self.pool is None else f"{name}.activated"
        nodes: list[Node] = [
            Convolution(
                name=f"{name}.convolution",
                source=source,
                value=name,
                ranges=(Range(name, name, bound="convolution", default=BOUND),),
                before=shape,
                shape=convolved,
                weight=f"{name}.weight",
                bias=f"{name}.bias",
                kernel=self.kernel,
                stride=self.stride,
                padding=self.padding,
            ),
            Polynomial(
                name=f"{name}.activation",
                source=name,
                value=inner,
                ranges=leaves if self.pool is None else (),
                coefficients=f"{name}.coefficients",
                channels=self.out_channels,
                degree=self.activation_degree,
            ),
        ]
        if self.pool is not None:
            nodes.append(
                Pooling(
                    name=f"{name}.pooling",
                    source=inner,
                    value=output,
                    ranges=leaves,
                    before=convolved,
                    shape=pooled,
                    size=self.pool,
                    factor=self.pool_factor,
                )
            )
        return tuple(nodes)

    def module(self, in_channels: int) -> ConvolutionBlock:
        from heclstm.model.blocks.convolution.torch_module import ConvolutionBlock

        return ConvolutionBlock(in_channels, self)

    def to_json(self) -> dict[str, Any]:
        """The default of `pool_kind` stays unwritten: models from before it existed keep their digest."""
        values = super().to_json()
        if self.pool_kind == "average":
            del values["pool_kind"]
        return values
