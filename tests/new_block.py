"""A new kind of block, whole: what docs/adding.md shows. In the source it would be a folder of three files."""

from dataclasses import dataclass
from typing import Annotated, ClassVar, Self

from heclstm.model.blocks.base import Block
from heclstm.model.blocks.convolution.node import Convolution
from heclstm.model.fields import Pair, Whole, check_fields
from heclstm.model.graph import FrameShape, Node, Range


@dataclass(frozen=True)
class Squeeze(Block):
    """A 1×1 convolution without an activation: fewer channels, at no level, since it is fused with its neighbours."""

    kind: ClassVar[str] = "squeeze"

    out_channels: Annotated[int, Whole(1)]

    def __post_init__(self) -> None:
        check_fields(self)

    def output(self, height: int, width: int) -> Pair:
        return height, width

    def exact_twin(self) -> Self:
        return self

    def nodes(self, name: str, source: str, shape: FrameShape) -> tuple[Node, ...]:
        value = f"{name}.output"
        convolution = Convolution(
            name=f"{name}.squeeze", source=source, value=value, ranges=(Range(value, value, "convolution", 4.0),),
            before=shape, shape=(self.out_channels, *shape[1:]), weight=f"{name}.weight", bias=f"{name}.bias",
            kernel=(1, 1), stride=(1, 1), padding=(0, 0),
        )  # fmt: skip
        return (convolution,)

    def module(self, in_channels: int):
        from torch import nn

        from heclstm.model.train.layers import Part, array_of

        class SqueezeModule(Part):
            def __init__(self, out_channels):
                super().__init__()
                self.convolution = nn.Conv2d(in_channels, out_channels, 1)

            def forward(self, x):
                return {"output": self.convolution(x)}

            def export(self):
                return {"weight": array_of(self.convolution.weight), "bias": array_of(self.convolution.bias)}

        return SqueezeModule(self.out_channels)
