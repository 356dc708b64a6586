"""Kinds of blocks by name. A new one is a folder here.

convolution   convolution → polynomial activation → (pooling)
"""

from collections.abc import Mapping
from typing import Any

from heclstm.errors import ModelError
from heclstm.model.blocks.base import Block
from heclstm.model.blocks.convolution import BlockConfig
from heclstm.model.fields import build
from heclstm.model.registry import kinds

BLOCKS: dict[str, type[Block]] = kinds(__name__, __path__, Block)
UNNAMED = BlockConfig.kind  # files from before there were kinds do not name it


def block_from_json(values: Any) -> Block:
    """A block's table in a model or training file. Raises ModelError with the known kinds."""
    if not isinstance(values, Mapping):
        return build(BlockConfig, values)
    kind = values.get("kind", UNNAMED)
    if kind not in BLOCKS:
        raise ModelError(f"block: got kind {kind!r}, expected one of {', '.join(BLOCKS)}")
    return build(BLOCKS[kind], {name: value for name, value in values.items() if name != "kind"})


def block_to_json(block: Block) -> dict[str, Any]:
    return block.to_json() if block.kind == UNNAMED else {"kind": block.kind, **block.to_json()}
