"""Dropout whose random bits come from a seeded generator, one byte per element.

torch's own dropout draws from the global generator, which a checkpoint of a warm process cannot
own, and it draws a float per element, which on a CPU is a large share of a step.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


def keep_mask(shape: torch.Size, threshold: int, generator: torch.Generator) -> Tensor:
    """Return a bool mask on the generator's device, True with probability 1 - threshold / 256."""
    n_elements = shape.numel()
    words = torch.empty((n_elements + 7) // 8, dtype=torch.int64, device=generator.device)
    # The whole range of int64: by default random_() leaves the top bit of each word zero.
    words.random_(-(2**63), None, generator=generator)
    return (words.view(torch.uint8)[:n_elements] >= threshold).view(shape)


class Dropout(nn.Module):
    """Inverted dropout.

    Source: Srivastava et al. 2014. Deviation: the probability is rounded to a multiple of 1/256
    below 1 (0.1 becomes 0.1016), and the scale uses the rounded value, so the expectation is exact.

    Args:
        p: Probability in [0, 1) that an element becomes zero.
        generator: Source of the random bits, on the device of the inputs. It is not part of the
            module's state: whoever made it keeps it in the checkpoint.
    """

    def __init__(self, p: float, generator: torch.Generator) -> None:
        super().__init__()
        self.threshold = min(255, round(p * 256))
        self.generator = generator

    @property
    def is_active(self) -> bool:
        """Whether `forward` changes anything now."""
        return self.training and self.threshold > 0

    def forward(self, x: Tensor) -> Tensor:
        """Return a tensor of the shape and dtype of `x`."""
        if not self.is_active:
            return x
        mask = keep_mask(x.shape, self.threshold, self.generator)
        return x * (mask.to(x.dtype) * (256 / (256 - self.threshold)))
