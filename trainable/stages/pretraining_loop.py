"""Hyperparameters, inputs and training loop of the stages before the tasks."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from trainable.component import Component, FloatRange
from trainable.data.sentences import Sentences
from trainable.data.tokenizer import tokenizer_digest
from trainable.model.bert import MinBert
from trainable.model.encoder import Pretrained
from trainable.model.weights import Parameters
from trainable.optim.adamw import build_adamw
from trainable.optim.schedules import warmup_factor

OnStep = Callable[[float], None]  # takes the fraction of the stage that is done, in [0, 1]

_WEIGHT_DECAY = 0.01  # Devlin et al. 2019, appendix A.2
_CLIP = 1.0  # largest norm of the gradient, as in their code
_CHECK_EVERY = 100  # steps between two looks at the loss, each of which waits for the device


@dataclass(frozen=True)
class StageInputs:
    """Start of a stage; never written to.

    Attributes:
        pretrained: The encoder, with the weights after the previous stage.
        own: The tasks' train sentences as token ids without special tokens, on the CPU.
        mlm_head: The encoder's pretrained head for masked language modelling, if it has one.
    """

    pretrained: Pretrained
    own: Sentences
    mlm_head: Parameters | None = None

    @cached_property
    def digest(self) -> str:
        """64 hex digits of encoder, tokenizer and head; cached, because hashing takes a second."""
        parts = [self.pretrained.parameters, self.mlm_head or {}]
        digests = [parameters_digest(part) for part in parts]
        text = ":".join([*digests, tokenizer_digest(self.pretrained.tokenizer)])
        return hashlib.sha256(text.encode()).hexdigest()


HeadLr = Annotated[float, Field(gt=0, le=1), FloatRange(1e-5, 1e-2, log=True)]


class StageFailed(RuntimeError):
    """The stage cannot go on: its loss is no longer a number."""


class TrainedStage(Component):
    """Base of the stages before the tasks.

    The learning rates rise from zero over `warmup` and fall linearly to zero at the full budget.

    Attributes:
        budget_tokens: Real tokens through forward and backward.
        lr: Peak learning rate of the encoder.
        warmup: Fraction of the budget over which the learning rates rise.
        dropout: Hidden dropout of the encoder; the run's own is for the tasks.
        precision: `fp32`, or `bf16` autocast over float32 weights.
    """

    budget_tokens: Annotated[int, Field(ge=1)] = 1_000_000
    lr: Annotated[float, Field(gt=0, le=1), FloatRange(1e-5, 3e-4, log=True)] = 5e-5
    warmup: Annotated[float, Field(ge=0, lt=1), FloatRange(0.0, 0.2)] = 0.1
    dropout: Annotated[float, Field(ge=0, lt=1), FloatRange(0.0, 0.3)] = 0.1
    precision: Literal["fp32", "bf16"] = "fp32"

    def learning_rate_factor(self, progress: float) -> float:
        """Return the factor in [0, 1] of the peak learning rates at progress in [0, 1]."""
        falling = min(1.0, (1.0 - progress) / (1.0 - self.warmup))  # 1 during the warm-up
        return warmup_factor(progress, self.warmup) * falling


def parameters_digest(parameters: Parameters) -> str:
    """Return 64 hex digits of names, shapes and values."""
    digest = hashlib.sha256()
    for name, tensor in sorted(parameters.items()):
        digest.update(f"{name}:{tuple(tensor.shape)}:{tensor.dtype}\n".encode())
        digest.update(tensor.contiguous().numpy().data)
    return digest.hexdigest()


def train(
    stage: TrainedStage,
    encoder: MinBert,
    head: nn.Module,
    head_lr: float,
    batch_loss: Callable[[], tuple[Tensor, int]],
    on_step: OnStep,
) -> Parameters:
    """Train until the budget is spent.

    Args:
        stage: Budget and learning rates.
        encoder: Changed in place.
        head: Layers that only this stage has.
        head_lr: Peak learning rate of `head`.
        batch_loss: Draws a batch; returns its loss and its number of real tokens.
        on_step: Called after each step.

    Returns:
        The encoder's weights, on the CPU.

    Raises:
        StageFailed: A loss or a weight is NaN or infinite.
    """
    groups = [
        {"params": list(encoder.parameters()), "peak_lr": stage.lr},
        {"params": list(head.parameters()), "peak_lr": head_lr},
    ]
    optimizer = build_adamw(groups, _WEIGHT_DECAY)
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    encoder.train()
    tokens = steps = 0
    while tokens < stage.budget_tokens:
        with torch.autocast(
            parameters[0].device.type, torch.bfloat16, enabled=stage.precision == "bf16"
        ):
            loss, n_tokens = batch_loss()
        # The learning rate in the middle of the step: never zero at the first or the last.
        progress = min(1.0, (tokens + n_tokens / 2) / stage.budget_tokens)
        for group in optimizer.param_groups:
            group["lr"] = group["peak_lr"] * stage.learning_rate_factor(progress)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(parameters, _CLIP)
        optimizer.step()
        tokens += n_tokens
        steps += 1
        if steps % _CHECK_EVERY == 0 and not loss.isfinite():
            raise StageFailed(f"the loss is {loss.item()} after {tokens:,} tokens")
        on_step(min(1.0, tokens / stage.budget_tokens))
    weights = {name: t.detach().cpu().contiguous() for name, t in encoder.state_dict().items()}
    if not all(bool(tensor.isfinite().all()) for tensor in weights.values()):
        raise StageFailed(f"weights are not finite after {tokens:,} tokens")
    return weights
