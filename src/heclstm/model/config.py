"""What a model looks like, before it has weights: frozen, checked on creation, no torch.

ModelConfig   frames × channels × height × width
  differences channels of differences between frames (`model.differences`), if any
  blocks      the frame encoder, one after the other (`model.blocks`)
  (mean)      over the positions of the last block's output: D = its out_channels
  cell        one recurrent layer over the frames (`model.cells`)
  (vote)      weighted unit and vote: one score, with two outcomes
  members     how many networks of one shape stand side by side in it (`model.ensemble`); their scores are averaged
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Annotated, Any, Self

from heclstm.errors import ModelError
from heclstm.model.blocks import block_from_json, block_to_json
from heclstm.model.blocks.base import Block
from heclstm.model.blocks.convolution import BlockConfig
from heclstm.model.blocks.pooling import GlobalMean
from heclstm.model.cells import cell_from_json
from heclstm.model.cells.base import Cell
from heclstm.model.cells.lstm import LstmConfig
from heclstm.model.differences.node import CAUSAL, KINDS, Differences
from heclstm.model.fields import Pair, Whole, build, check_fields
from heclstm.model.graph import FRAMES, FrameShape, Graph, Node, Range, Recurrence
from heclstm.model.vote import node as vote

__all__ = ["BlockConfig", "LstmConfig", "ModelConfig"]

UNNAMED = LstmConfig.kind  # files from before there were kinds of cells hold its table under this name


@dataclass(frozen=True)
class ModelConfig:
    """The whole model; `channels`, `height` and `width` are those after preparation, padding included."""

    frames: Annotated[int, Whole(1)]
    channels: Annotated[int, Whole(1)]
    height: Annotated[int, Whole(1)]
    width: Annotated[int, Whole(1)]
    blocks: tuple[Block, ...]
    cell: Cell
    differences: tuple[str, ...] = ()
    members: Annotated[int, Whole(1)] = 1

    def __post_init__(self) -> None:
        check_fields(self)
        object.__setattr__(self, "blocks", tuple(self.blocks))
        self._check_differences()
        if any(
            width % self.members for width in (*(block.out_channels for block in self.blocks), self.cell.hidden_size)
        ):
            raise ModelError(
                f"ModelConfig.members: got {self.members}, expected a divisor of all channels and of the hidden size"
            )
        if not self.blocks:
            raise ModelError("ModelConfig.blocks: got 0 blocks, expected at least 1")
        before = self.height, self.width
        for index, (block, size) in enumerate(zip(self.blocks, self.sizes, strict=True)):
            if min(size) < 1:
                raise ModelError(
                    f"ModelConfig.blocks[{index}]: got an input of {before[0]}×{before[1]}, of which nothing is left "
                    f"after {block}; expected at least 1×1"
                )
            before = size

    def _check_differences(self) -> None:
        kinds = self.differences
        if (
            not isinstance(kinds, list | tuple)
            or len(set(map(str, kinds))) != len(kinds)
            or not set(map(str, kinds)) <= set(KINDS)
        ):
            raise ModelError(f"ModelConfig.differences: got {kinds!r}, expected a list of some of {', '.join(KINDS)}")
        object.__setattr__(self, "differences", tuple(kinds))

    @cached_property
    def sizes(self) -> tuple[Pair, ...]:
        """(height, width) after each block."""
        size, sizes = (self.height, self.width), []
        for block in self.blocks:
            size = block.output(*size)
            sizes.append(size)
        return tuple(sizes)

    @property
    def features(self) -> int:
        """D, the number of spatial features of a frame."""
        return self.blocks[-1].out_channels

    def in_channels(self, block: int) -> int:
        """What enters a block."""
        differences = self.members * (1 + len(self.differences)) if self.differences else 1
        return self.channels * differences if block == 0 else self.blocks[block - 1].out_channels

    @cached_property
    def graph(self) -> Graph:
        """What it computes."""
        nodes: list[Node] = []
        source, shape = FRAMES, (self.channels, self.height, self.width)
        if self.differences:
            name, before, shape = "differences", shape, (self.in_channels(0), *shape[1:])
            nodes.append(
                Differences(
                    name=name,
                    source=source,
                    value=name,
                    before=before,
                    shape=shape,
                    kinds=self.differences,
                    members=self.members,
                )
            )
            source = name
        for k, block in enumerate(self.blocks):
            nodes += block.nodes(f"blocks.{k}", source, shape)
            source, shape = f"blocks.{k}.output", (block.out_channels, *self.sizes[k])
        vector: FrameShape = (self.features, 1, 1)
        spatial, kind = "spatial", self.cell.kind
        watched = (Range(spatial, spatial),)
        nodes.append(
            GlobalMean(name="pooling", source=source, value=spatial, ranges=watched, before=shape, shape=vector)
        )
        nodes.append(
            Recurrence(
                name=kind,
                source=spatial,
                value=f"{kind}.hidden",
                ranges=tuple(each.within(kind) for each in self.cell.ranges),
                cell=self.cell,
                features=self.features,
            )
        )
        nodes.append(
            vote.Vote(
                name="vote",
                source=spatial,
                value="score",
                ranges=vote.RANGES,
                hidden=f"{kind}.hidden",
                features=self.features,
                hidden_size=self.cell.hidden_size,
                frames=self.frames,
                members=self.members,
            )
        )
        return Graph(tuple(nodes))

    def exact_twin(self) -> Self:
        """The same network with exact functions in place of polynomials: to compare, and to teach. Not to compile."""
        return replace(self, blocks=tuple(block.exact_twin() for block in self.blocks), cell=self.cell.exact_twin())

    def side_by_side(self, members: int) -> Self:
        """So many networks of this shape as one."""
        if members == 1:
            return self
        blocks = tuple(replace(block, out_channels=members * block.out_channels) for block in self.blocks)  # type: ignore[type-var]  # every kind is a dataclass
        cell = replace(self.cell, hidden_size=members * self.cell.hidden_size)  # type: ignore[type-var]
        return replace(self, blocks=blocks, cell=cell, members=members * self.members)

    @property
    def member(self) -> Self:
        """The shape of one of the networks that stand side by side."""
        if self.members == 1:
            return self
        blocks = tuple(replace(block, out_channels=block.out_channels // self.members) for block in self.blocks)  # type: ignore[type-var]
        cell = replace(self.cell, hidden_size=self.cell.hidden_size // self.members)  # type: ignore[type-var]
        return replace(self, blocks=blocks, cell=cell, members=1)

    def require_causal(self, place: str) -> None:
        """Raise ModelError if padding behind the real frames could reach what stands before it."""
        if looking := [kind for kind in self.differences if kind not in CAUSAL]:
            raise ModelError(
                f"{place}: sequences may be padded, but the differences {', '.join(looking)} depend on all frames; "
                "train with preparation.length = 'exact', or other differences"
            )
        if not self.cell.causal:
            raise ModelError(
                f"{place}: sequences may be padded, but a state of the cell {self.cell.kind} depends on frames behind "
                "it; train with preparation.length = 'exact', or another cell"
            )

    def to_json(self) -> dict[str, Any]:
        """A dictionary of plain JSON types; `from_json` is its inverse."""
        values: dict[str, Any] = {name: getattr(self, name) for name in ("frames", "channels", "height", "width")}
        values["blocks"] = [block_to_json(block) for block in self.blocks]
        if self.cell.kind == UNNAMED:
            values[UNNAMED] = self.cell.to_json()
        else:
            values["cell"] = {"kind": self.cell.kind, **self.cell.to_json()}
        if self.differences:  # models from before there were any keep their digest
            values["differences"] = list(self.differences)
        if self.members > 1:
            values["members"] = self.members
        return {**values, "classes": 1}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """Read what `to_json` wrote. Raises ModelError on missing, unknown or wrong fields."""
        known = dict(values)
        if (classes := known.pop("classes", 1)) != 1 or isinstance(classes, bool):
            raise ModelError(f"ModelConfig.classes: got {classes!r}, expected 1: one score, with two outcomes")
        blocks = known.get("blocks", ())
        if not isinstance(blocks, list | tuple):
            raise ModelError(f"ModelConfig.blocks: got {type(blocks).__name__}, expected a list")
        known["blocks"] = tuple(block_from_json(block) for block in blocks)
        if (UNNAMED in known) == ("cell" in known):
            raise ModelError(f"ModelConfig: expected one table, cell (with its kind) or {UNNAMED}")
        known["cell"] = build(LstmConfig, known.pop(UNNAMED)) if UNNAMED in known else cell_from_json(known["cell"])
        return build(cls, known)
