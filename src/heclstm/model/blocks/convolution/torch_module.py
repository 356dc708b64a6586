"""A convolutional block in PyTorch."""

from torch import Tensor, nn

from heclstm.model.blocks.convolution import BlockConfig
from heclstm.model.graph import Array
from heclstm.model.train.layers import Box, Part, PolynomialActivation, array_of, folded, scaling

BLOCK_GAIN = 0.4  # of batch normalization; started at 1, training with squares diverges


class ConvolutionBlock(Part):
    """Convolution → batch normalization → activation → (pooling)."""

    def __init__(self, in_channels: int, config: BlockConfig) -> None:
        super().__init__()
        self.config = config
        self.convolution = nn.Conv2d(
            in_channels, config.out_channels, config.kernel, config.stride, config.padding, bias=False
        )
        self.normalization = nn.BatchNorm2d(config.out_channels)
        self.activation = PolynomialActivation(config.out_channels, config.activation_degree)
        self.pool_factor = config.pool_factor
        self.pool = nn.Identity() if config.pool is None else nn.AvgPool2d(config.pool)
        nn.init.constant_(self.normalization.weight, BLOCK_GAIN)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """What enters its activation, and what leaves the block."""
        before = self.normalization(self.convolution(images))
        return {"": before, "output": self.pool(self.activation(before)) * self.pool_factor}

    def box(self, box: Box) -> Box:
        (middle, reach), convolution = box, self.convolution
        gain, offset = scaling(self.normalization)
        reach = nn.functional.conv2d(reach, convolution.weight.abs(), None, convolution.stride, convolution.padding)
        middle = convolution(middle) * gain[:, None, None] + offset[:, None, None]
        middle, reach = self.activation.box((middle, reach * gain.abs()[:, None, None]))
        return self.pool(middle) * self.pool_factor, self.pool(reach) * self.pool_factor

    def export(self) -> dict[str, Array]:
        gain, offset = folded(self.normalization)
        arrays = {"weight": array_of(self.convolution.weight) * gain[:, None, None, None], "bias": offset}
        if self.config.activation_degree is not None:
            arrays["coefficients"] = array_of(self.activation.coefficients)
        return arrays
