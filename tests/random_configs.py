"""Configurations of every registered block and cell, drawn from the rules of their fields: a new kind needs no word."""

from itertools import product

from hypothesis import reject
from hypothesis import strategies as st

from heclstm.errors import ModelError
from heclstm.model.blocks import BLOCKS
from heclstm.model.cells import CELLS
from heclstm.model.config import BlockConfig, ModelConfig
from heclstm.model.differences.node import KINDS
from heclstm.model.fields import OneOf, Pairs, rules


def variants(kind, **given):
    """Every combination of what the fields of a kind may be chosen from; other fields as given."""
    choices = {name: rule.allowed for name, rule in rules(kind).items() if isinstance(rule, OneOf)}
    return [kind(**given, **dict(zip(choices, each, strict=True))) for each in product(*choices.values())]


def cell_variants(hidden_size=3, *, exact=True):
    """Of every kind of cell. exact: also those that cannot be compiled."""
    each = [cell for kind in CELLS.values() for cell in variants(kind, hidden_size=hidden_size)]
    return [cell for cell in each if exact or cell.exact is None]


def named(config):
    """A name for a test."""
    return "-".join([config.kind, *(f"{name}={value}" for name, value in config.to_json().items())])


def model_with(cell, *, frames=3, exact_blocks=False):
    """A small model around a cell."""
    block = BlockConfig(3)
    return ModelConfig(frames, 1, 4, 4, (block.exact_twin() if exact_blocks else block,), cell)


def _values(rule):
    if isinstance(rule, OneOf):
        return st.sampled_from(rule.allowed)
    whole = st.integers(rule.lowest, rule.lowest + (2 if isinstance(rule, Pairs) else 5))
    if not isinstance(rule, Pairs):
        return whole
    pairs = st.tuples(whole, whole)
    return st.one_of(st.none(), st.none(), pairs) if rule.optional else pairs


def configs_of(kind):
    """One kind of block or cell, with any fields."""
    return st.builds(kind, **{name: _values(rule) for name, rule in rules(kind).items()})


def _is_polynomial(block):
    return all(node.exact is None for node in block.nodes("block", "frames", (1, 64, 64)))


@st.composite
def model_configs(draw, cell):
    """Up to two blocks of any kind on images of 4…12 pixels a side, and a cell of this kind; all polynomial. Some see
    differences between frames.
    """
    size = {name: draw(st.integers(4, 12)) for name in ("height", "width")}
    frames, channels = draw(st.integers(1, 6)), draw(st.integers(1, 3))
    block = st.one_of(*map(configs_of, BLOCKS.values())).filter(_is_polynomial)
    blocks = draw(st.lists(block, min_size=1, max_size=2))
    chosen = draw(configs_of(CELLS[cell]).filter(lambda cell: cell.exact is None))
    kinds = st.lists(st.sampled_from(KINDS), min_size=1, max_size=2, unique=True)
    differences = draw(st.one_of(st.just([]), st.just([]), kinds))
    try:
        return ModelConfig(frames, channels, **size, blocks=tuple(blocks), cell=chosen, differences=tuple(differences))
    except ModelError:  # nothing is left of the image
        reject()
