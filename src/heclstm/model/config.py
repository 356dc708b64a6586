"""What a model looks like, before it has weights: frozen, checked on creation, no torch.

ModelConfig   frames × channels × height × width
  blocks      convolution → polynomial activation → (pooling), one BlockConfig each
  (mean)      over the positions of the last block's output: D = out_channels of the last block
  lstm        one HE-LSTM layer
  classes     scores that leave the weighted unit and the vote
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, Literal, Self, TypeVar, cast

from heclstm.errors import ModelError

CellOutput = Literal["identity", "cubic", "tanh"]
PoolKind = Literal["average", "sum"]
Pair = tuple[int, int]
Kind = TypeVar("Kind")

ACTIVATION_DEGREES = (None, 2, 3)
GATE_DEGREES = (None, 1, 2, 3)
POOL_KINDS = ("average", "sum")
CELL_OUTPUTS = ("identity", "cubic", "tanh")


@dataclass(frozen=True)
class BlockConfig:
    """One convolutional block.

    `activation_degree` None is ReLU, for clear twins only; `pool` is its own stride, over which `pool_kind` averages
    or sums.
    """

    out_channels: int
    kernel: Pair = (3, 3)
    stride: Pair = (2, 2)
    padding: Pair = (1, 1)
    activation_degree: int | None = 2
    pool: Pair | None = None
    pool_kind: PoolKind = "average"

    def __post_init__(self) -> None:
        _whole("BlockConfig.out_channels", self.out_channels, 1)
        for name, lowest in (("kernel", 1), ("stride", 1), ("padding", 0)):
            object.__setattr__(self, name, _pair(f"BlockConfig.{name}", getattr(self, name), lowest))
        if self.pool is not None:
            object.__setattr__(self, "pool", _pair("BlockConfig.pool", self.pool, 1))
        _one_of("BlockConfig.pool_kind", self.pool_kind, POOL_KINDS)
        _one_of("BlockConfig.activation_degree", self.activation_degree, ACTIVATION_DEGREES)

    @property
    def pool_factor(self) -> int:
        """What a mean over the window is multiplied with: 1, or its size for sums."""
        return self.pool[0] * self.pool[1] if self.pool and self.pool_kind == "sum" else 1

    def convolved(self, height: int, width: int) -> Pair:
        """The size after the convolution, before pooling."""
        (kh, kw), (sh, sw), (ph, pw) = self.kernel, self.stride, self.padding
        return (height + 2 * ph - kh) // sh + 1, (width + 2 * pw - kw) // sw + 1

    def output(self, height: int, width: int) -> Pair:
        """The size after the whole block; incomplete pooling windows are dropped."""
        rows, columns = self.convolved(height, width)
        return (rows, columns) if self.pool is None else (rows // self.pool[0], columns // self.pool[1])


@dataclass(frozen=True)
class LstmConfig:
    """The HE-LSTM layer.

    `gate_degree` None means exact sigmoid and tanh; without `recurrent_gates` the gates see only s_t.
    """

    hidden_size: int
    gate_degree: int | None = 1
    recurrent_gates: bool = True
    cell_output: CellOutput = "identity"

    def __post_init__(self) -> None:
        _whole("LstmConfig.hidden_size", self.hidden_size, 1)
        _one_of("LstmConfig.gate_degree", self.gate_degree, GATE_DEGREES)
        _one_of("LstmConfig.recurrent_gates", self.recurrent_gates, (True, False))
        _one_of("LstmConfig.cell_output", self.cell_output, CELL_OUTPUTS)


@dataclass(frozen=True)
class ModelConfig:
    """The whole model; `channels`, `height` and `width` are those after preparation, padding included."""

    frames: int
    channels: int
    height: int
    width: int
    blocks: tuple[BlockConfig, ...]
    lstm: LstmConfig
    classes: int = 1
    sizes: tuple[Pair, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        for name in ("frames", "channels", "height", "width", "classes"):
            _whole(f"ModelConfig.{name}", getattr(self, name), 1)
        object.__setattr__(self, "blocks", tuple(self.blocks))
        if not self.blocks:
            raise ModelError("ModelConfig.blocks: got 0 blocks, expected at least 1")
        size, sizes = (self.height, self.width), []
        for index, block in enumerate(self.blocks):
            before, size = size, block.output(*size)
            if min(size) < 1:
                raise ModelError(
                    f"ModelConfig.blocks[{index}]: got an input of {before[0]}×{before[1]}, of which nothing "
                    f"is left after kernel {block.kernel}, stride {block.stride}, pool {block.pool}; "
                    "expected at least 1×1"
                )
            sizes.append(size)
        object.__setattr__(self, "sizes", tuple(sizes))  # (height, width) after each block

    @property
    def features(self) -> int:
        """D, the number of spatial features of a frame."""
        return self.blocks[-1].out_channels

    def in_channels(self, block: int) -> int:
        """What enters a block."""
        return self.channels if block == 0 else self.blocks[block - 1].out_channels

    def exact_twin(self) -> Self:
        """The same network with ReLU, sigmoid and tanh: for comparison, and to teach. It cannot be compiled."""
        blocks = tuple(replace(block, activation_degree=None) for block in self.blocks)
        return replace(self, blocks=blocks, lstm=replace(self.lstm, gate_degree=None, cell_output="tanh"))

    def to_json(self) -> dict[str, Any]:
        """A dictionary of plain JSON types; `from_json` is its inverse."""
        values = asdict(self)
        del values["sizes"]
        for block in values["blocks"]:
            if block["pool_kind"] == "average":
                del block["pool_kind"]  # the default stays unwritten: models from before it existed keep their digest
        return cast(dict[str, Any], plain(values))

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """Read what `to_json` wrote. Raises ModelError on missing, unknown or wrong fields."""
        known = dict(_known(cls, values))
        blocks = known.get("blocks", ())
        if not isinstance(blocks, list | tuple):
            raise ModelError(f"ModelConfig.blocks: got {type(blocks).__name__}, expected a list")
        known["blocks"] = tuple(_build(BlockConfig, block) for block in blocks)
        known["lstm"] = _build(LstmConfig, known.get("lstm"))
        return _build(cls, known)


def _build(kind: type[Kind], values: Any) -> Kind:
    if not isinstance(values, Mapping):
        raise ModelError(f"{kind.__name__}: got {type(values).__name__}, expected a table of fields")
    try:
        return kind(**_known(kind, values))
    except TypeError as error:
        raise ModelError(f"{kind.__name__}: {str(error).partition('() ')[2] or error}") from error


def _known(kind: type[Any], values: Mapping[str, Any]) -> Mapping[str, Any]:
    names = [item.name for item in fields(kind) if item.init]
    for name in values:
        if name not in names:
            raise ModelError(f"{kind.__name__}: got unknown field {name!r}, expected some of {', '.join(names)}")
    return values


def plain(value: Any) -> Any:
    """Tuples become lists, as JSON would make them."""
    if isinstance(value, dict):
        return {name: plain(item) for name, item in value.items()}
    return [plain(item) for item in value] if isinstance(value, list | tuple) else value


def _whole(name: str, value: Any, lowest: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < lowest:
        raise ModelError(f"{name}: got {value!r}, expected a whole number of at least {lowest}")
    return value


def _pair(name: str, value: Any, lowest: int) -> Pair:
    if not isinstance(value, list | tuple) or len(value) != 2:
        raise ModelError(f"{name}: got {value!r}, expected two whole numbers (vertical, horizontal)")
    return _whole(name, value[0], lowest), _whole(name, value[1], lowest)


def _one_of(name: str, value: Any, allowed: tuple[Any, ...]) -> None:
    # 1 == True in Python, so the type is compared as well
    if not any(value == item and type(value) is type(item) for item in allowed):
        raise ModelError(f"{name}: got {value!r}, expected one of {', '.join(map(repr, allowed))}")
