"""Other amounts of stain in slides: what the next laboratory's colours look like.

Haematoxylin, eosin and what is left absorb light each in its own colours (Ruifrok and Johnston, "Quantification of
histochemical staining by color deconvolution", 2001), so optical densities are sums of amounts. Each amount is
multiplied by 1 + u and increased by v, u and v uniform in [−stain, stain], alike for all pixels of a sequence. Tellez
et al., "Quantifying the effects of data augmentation and stain color normalization in convolutional neural networks
for computational pathology", 2019, call 0.05 light and 0.2 strong.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

# red, green and blue of haematoxylin, eosin, and what is neither
ABSORBED = np.array([[0.65, 0.70, 0.29], [0.07, 0.99, 0.11], [0.27, 0.57, 0.78]])
ABSORBED /= np.linalg.norm(ABSORBED, axis=1, keepdims=True)
DARKEST = 1 / 256  # of light that passes; what is darker has no density that is told apart


def stained(images: NDArray[Any], stain: float, rng: np.random.Generator) -> NDArray[Any]:
    """Fractions (N, frames, 3, height, width) of light that passes, changed and not clipped; each sequence its own."""
    density = -np.log(np.maximum(images, DARKEST))
    factor, shift = 1 + rng.uniform(-stain, stain, (len(images), 3)), rng.uniform(-stain, stain, (len(images), 3))
    # density = amounts · ABSORBED, so amounts · factor + shift is one matrix and one colour for each sequence
    matrix = np.linalg.inv(ABSORBED) @ (factor[:, :, None] * ABSORBED)
    changed = np.einsum("ntchw,ncd->ntdhw", density, matrix) + (shift @ ABSORBED)[:, None, :, None, None]
    found: NDArray[Any] = np.exp(-changed)
    return found
