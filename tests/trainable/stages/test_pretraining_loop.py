"""The loop that all stages before the tasks share: learning rates and weight decay."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn
from torch.optim.optimizer import Optimizer, register_optimizer_step_pre_hook

from trainable.model.encoder import build_encoder
from trainable.stages.language_modelling import MaskedLanguageModelling
from trainable.stages.pretraining_loop import StageInputs, train


def test_matrices_decay_and_vectors_do_not(inputs: StageInputs) -> None:
    """With gradients of zero, AdamW does nothing but decay."""
    stage = MaskedLanguageModelling(budget_tokens=80, lr=0.1, warmup=0.25)
    encoder = build_encoder(inputs.pretrained, 0.0, torch.device("cpu"), torch.Generator())
    head = nn.Linear(3, 3)
    parameters = [*encoder.parameters(), *head.parameters()]
    for parameter in parameters:
        parameter.data.fill_(1.0)
    rates: list[float] = []

    def note(optimizer: Optimizer, args: object, kwargs: object) -> None:
        rates.append(optimizer.param_groups[0]["lr"])

    def nothing() -> tuple[Tensor, int]:
        return torch.stack([parameter.sum() * 0.0 for parameter in parameters]).sum(), 10

    hook = register_optimizer_step_pre_hook(note)
    train(stage, encoder, head, 0.5, nothing, lambda share: None)
    hook.remove()
    # In the middle of each of the 8 steps; the first two lie in the warm-up.
    factors = [0.25, 0.75, *((1 - (k + 0.5) / 8) / 0.75 for k in range(2, 8))]
    assert rates == pytest.approx([0.1 * factor for factor in factors])
    for module, lr in ((encoder, 0.1), (head, 0.5)):
        decayed = math.prod(1 - lr * factor * 0.01 for factor in factors)
        for name, parameter in module.named_parameters():
            expected = torch.full_like(parameter, decayed if parameter.ndim > 1 else 1.0)
            torch.testing.assert_close(parameter.detach(), expected, msg=name)
