"""A model as matrices: convolutions and poolings against loops that follow their definition."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import sparse

from heclstm.backend.precision import run_clear
from heclstm.compiler.affine import AffineMap, average_pooling
from heclstm.compiler.compile import Options, compile_circuit
from heclstm.compiler.fuse import fuse
from heclstm.errors import ModelError
from heclstm.model.blocks.convolution.lowering import convolution
from heclstm.model.config import BlockConfig, ModelConfig
from heclstm.model.graph import Graph
from heclstm.model.reference import forward
from random_models import random_frames, random_model, small_config


def convolve(image, weight, bias, stride, padding):
    """out[o, y, x] = bias[o] + Σ weight[o, i, ky, kx] · padded[i, y · stride + ky, x · stride + kx]."""
    padded = np.pad(image, ((0, 0), (padding[0],) * 2, (padding[1],) * 2))
    _, _, kernel_h, kernel_w = weight.shape
    height = (padded.shape[1] - kernel_h) // stride[0] + 1
    width = (padded.shape[2] - kernel_w) // stride[1] + 1
    out = np.zeros((len(weight), height, width))
    for y in range(height):
        for x in range(width):
            top, left = y * stride[0], x * stride[1]
            window = padded[:, top : top + kernel_h, left : left + kernel_w]
            out[:, y, x] = bias + (weight * window).sum(axis=(1, 2, 3))
    return out


@pytest.mark.parametrize(
    ("kernel", "stride", "padding"),
    [((3, 3), (1, 1), (1, 1)), ((3, 3), (2, 2), (1, 1)), ((2, 3), (1, 2), (0, 1)), ((1, 1), (3, 1), (0, 0)),
     ((5, 4), (2, 3), (2, 0))],
)  # fmt: skip
def test_a_convolution_is_its_matrix(kernel, stride, padding):
    """Whole numbers, so equal to the last bit; kernels and strides that are not square."""
    rng = np.random.default_rng(0)
    weight, bias = rng.integers(-9, 10, (3, 2, *kernel)).astype(float), np.array([1.0, 2.0, 3.0])
    image = rng.integers(-9, 10, (2, 7, 6)).astype(float)
    affine = convolution("c", weight, bias, (2, 7, 6), stride, padding)
    expected = convolve(image, weight, bias, stride, padding)
    assert affine.shape == expected.shape
    assert np.array_equal(affine.matrix @ image.ravel() + affine.bias, expected.ravel())


def test_pooling_drops_incomplete_windows():
    # [[1 2 3]     2 × 2 windows: only one fits, (1 + 2 + 4 + 5) / 4 = 3
    #  [4 5 6]]
    affine = average_pooling("p", (1, 2, 3), (2, 2))
    assert affine.shape == (1, 1, 1)
    assert affine.matrix @ np.arange(1.0, 7.0) == [3.0]


def test_pooling_keeps_channels_apart():
    affine = average_pooling("p", (2, 2, 2), (2, 1))
    assert affine.shape == (2, 1, 2)
    assert np.array_equal(affine.matrix @ np.arange(8.0), [1.0, 2.0, 5.0, 6.0])


def test_two_maps_in_a_row_are_one():
    first = AffineMap("a", sparse.csr_array([[1.0, 2.0], [0.0, 3.0]]), np.array([1.0, 0.0]), (2, 1, 1))
    second = AffineMap("b", sparse.csr_array([[1.0, -1.0]]), np.array([5.0]), (1, 1, 1))
    both = second.after(first)  # (x + 2y + 1) − 3y + 5
    assert np.array_equal(both.matrix.toarray(), [[1.0, -1.0]])
    assert np.array_equal(both.bias, [6.0])
    assert both.name == "a + b"
    scaled = both.scaled(np.array([2.0]), np.array([-1.0]))
    assert np.array_equal(scaled.matrix.toarray(), [[2.0, -2.0]])
    assert np.array_equal(scaled.bias, [11.0])


def test_a_model_has_one_stage_for_each_block():
    """Poolings between blocks are part of the next convolution, the last one of the features."""
    blocks = (
        BlockConfig(4, stride=(1, 1), pool=(2, 2)),
        BlockConfig(6, stride=(1, 1), pool=(2, 2), activation_degree=3),
    )
    fused = fuse(random_model(small_config(blocks=blocks), seed=0))
    assert [stage.affine.shape for stage in fused.stages] == [(4, 8, 8), (6, 4, 4)]
    assert [stage.coefficients.shape for stage in fused.stages] == [(256, 3), (96, 4)]
    assert [stage.affine.name for stage in fused.stages] == [
        "blocks.0.convolution", "blocks.0.pooling + blocks.1.convolution",
    ]  # fmt: skip
    assert fused.features.shape == (6, 1, 1)
    # a mean over all positions of a channel: 16 weights of 1/16
    dense = fused.features.matrix.toarray()
    assert np.array_equal(dense, np.kron(np.eye(6), np.full((1, 16), 1 / 16)))


def test_sum_pooling_is_average_pooling_times_its_window():
    """In the compiled circuit as in the arrays; 1e-9 as everywhere between the two, on values below 100."""
    block = BlockConfig(4, stride=(1, 1), pool=(2, 2), pool_kind="sum")
    config = small_config(blocks=(block, BlockConfig(3)))
    assert ModelConfig.from_json(config.to_json()) == config
    model, frames = random_model(config, 0), random_frames(config, 2, 0) / 4
    program = compile_circuit(model, Options(ring_degree=1024, special_count=4, security="INSECURE_TEST"))
    values = forward(model, frames)
    assert np.abs(values["blocks.0.output"]).max() < 100
    assert np.abs(run_clear(program, frames)[:, :1] - values["score"]).max() < 1e-9
    averaged = random_model(small_config(blocks=(replace(block, pool_kind="average"), BlockConfig(3))), 0)
    mean = forward(averaged, frames)["blocks.0.output"]
    assert np.allclose(values["blocks.0.output"], 4 * mean, rtol=1e-12)


# ── what is not lowered ────────────────────────────────────────────────────────────────────────────────────


class Twice(BlockConfig):
    """Two polynomials in a row."""

    def nodes(self, name, source, shape):
        convolution, activation = super().nodes(name, source, shape)
        return convolution, replace(activation, value=f"{name}.inner", ranges=()), replace(activation, name="again")


def test_a_polynomial_without_an_affine_map_before_it_is_refused():
    config = small_config(blocks=(Twice(3),))
    with pytest.raises(ModelError, match="again: got a Polynomial here, expected an affine map before it"):
        fuse(random_model(config, seed=0))


@pytest.mark.parametrize("left_out", [-1, -2, -3])
def test_a_graph_that_does_not_end_with_features_cell_and_vote_is_refused(left_out):
    model = random_model(small_config(), seed=0)
    nodes = list(model.config.graph.nodes)
    del nodes[left_out]
    object.__setattr__(model.config, "graph", Graph(tuple(nodes)))
    with pytest.raises(ModelError, match="got a graph that does not end with an affine map, a cell and a vote"):
        fuse(model)


def test_a_graph_names_every_array_once_and_reads_what_it_made():
    graph = small_config(blocks=(BlockConfig(4, pool=(2, 2)), BlockConfig(6))).graph
    made = {"frames"}
    for node in graph.nodes:
        assert node.source in made
        made.add(node.value)
    assert len(graph.arrays) == sum(len(node.arrays) for node in graph.nodes)
    assert [each.name for each in graph.ranges][:4] == ["blocks.0", "blocks.0.output", "blocks.1", "blocks.1.output"]
