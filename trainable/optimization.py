"""AdamW groups and the learning-rate schedule."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any, Literal

import torch
from pydantic import Field
from torch import nn

from trainable.bert import MinBert
from trainable.component import Choice, Component, FloatRange


class Optimization(Component):
    """AdamW and its schedule.

    Attributes:
        lr: Peak learning rate of the encoder's last layer.
        head_lr: Peak learning rate of everything outside the encoder.
        layer_decay: The learning rate of a layer is this factor times that of the layer above.
        weight_decay: Decoupled; not on biases and LayerNorm.
        schedule: After the warm-up, `linear` to zero at the full budget, or `constant`.
        warmup: Fraction of the full budget over which the learning rate rises from zero.
        clip: Largest norm of the whole gradient; longer gradients are scaled down.
    """

    lr: Annotated[float, Field(gt=0, le=1), FloatRange(1e-5, 3e-4, log=True)] = 3e-5
    head_lr: Annotated[float, Field(gt=0, le=1), FloatRange(1e-4, 1e-2, log=True)] = 1e-3
    layer_decay: Annotated[float, Field(gt=0, le=1), FloatRange(0.7, 1.0)] = 0.95
    weight_decay: Annotated[float, Field(ge=0, le=1), FloatRange(1e-4, 1e-1, log=True)] = 1e-2
    schedule: Annotated[Literal["linear", "constant"], Choice(("linear", "constant"))] = "linear"
    warmup: Annotated[float, Field(ge=0, lt=1), FloatRange(0.0, 0.2)] = 0.1
    clip: Annotated[float, Field(gt=0), FloatRange(0.5, 5.0, log=True)] = 1.0

    def learning_rate_factor(self, progress: float) -> float:
        """Return the factor in [0, 1] of the peak learning rate at progress in [0, 1]."""
        if progress < self.warmup:
            return progress / self.warmup
        if self.schedule == "constant":
            return 1.0
        return max(0.0, (1.0 - progress) / (1.0 - self.warmup))

    def build(self, encoder: MinBert, heads: nn.Module) -> torch.optim.AdamW:
        """Return torch's fused AdamW; each group carries its `peak_lr`."""
        groups = self._encoder_groups(encoder)
        groups += _decay_groups(heads.parameters(), self.head_lr, self.weight_decay)
        return torch.optim.AdamW(groups, lr=0.0, fused=True)

    def _encoder_groups(self, encoder: MinBert) -> list[dict[str, Any]]:
        """One pair of groups for the embeddings, each layer and the pooler."""
        n_layers = encoder.shape.num_hidden_layers
        depths: dict[int, list[nn.Parameter]] = {}
        for name, parameter in encoder.named_parameters():
            part, number = name.split(".")[:2]
            if part == "layers":
                layers_above = n_layers - 1 - int(number)
            else:
                layers_above = {"embeddings": n_layers, "pooler": 0}[part]
            depths.setdefault(layers_above, []).append(parameter)
        groups = []
        for depth, parameters in depths.items():
            peak = self.lr * self.layer_decay**depth
            groups += _decay_groups(parameters, peak, self.weight_decay)
        return groups


def _decay_groups(
    parameters: Iterable[nn.Parameter], peak_lr: float, weight_decay: float
) -> list[dict[str, Any]]:
    """Split parameters into matrices, which decay, and vectors, which do not."""
    decayed: list[nn.Parameter] = []
    kept: list[nn.Parameter] = []
    for parameter in parameters:
        (decayed if parameter.ndim > 1 else kept).append(parameter)
    return [
        {"params": own, "peak_lr": peak_lr, "weight_decay": decay}
        for own, decay in ((decayed, weight_decay), (kept, 0.0))
        if own
    ]
