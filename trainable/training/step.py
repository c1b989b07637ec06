"""The steps of the multitask stage.

Read `MultitaskTraining.step` first.
"""

from __future__ import annotations

import math
from itertools import combinations

import torch
from torch import Tensor, nn

from trainable.gradients.gram import cosines
from trainable.losses import contrastive, loss_value, r_drop_divergence
from trainable.optim.adamw import set_learning_rates
from trainable.run_config import RunConfig
from trainable.seeds import ExampleOrder, ReplacementOrder, derive
from trainable.stages.multitask import Multitask, NliAuxiliary, RDrop
from trainable.task_fields import with_nli
from trainable.tasks import NLI, TaskName, Tasks
from trainable.training.corpus import Batch
from trainable.training.inputs import RunInputs
from trainable.training.multitask_bert import SHARED, MultitaskBert, pair_encodings


def step_metrics(tasks: Tasks) -> tuple[str, ...]:
    """Return the metrics that a step may report; a unit reports their means.

    They are the mean loss of each task and of NLI; the cosine of the shared gradients of each pair
    of tasks, where these are kept apart; and `conflict`, 1 where that cosine is negative.
    """
    pairs = list(combinations(tasks, 2))
    return (
        *(f"{name}_loss" for name in (*tasks, NLI)),
        *(f"cosine_{a}_{b}" for a, b in pairs),
        *(f"conflict_{a}_{b}" for a, b in pairs),
    )


class MultitaskTraining:
    """Runs the steps of the multitask stage, and holds all that they depend on.

    Args:
        config: The run.
        stage: Its multitask stage.
        inputs: Encoder and data.
        model: The model, which is trained in place.
    """

    def __init__(
        self, config: RunConfig, stage: Multitask, inputs: RunInputs, model: MultitaskBert
    ) -> None:
        self.config, self.tasks = config, config.table
        self.stage = stage = with_nli(stage, self.tasks)
        self.inputs, self.model = inputs, model
        seed = config.seed
        sizes = {name: len(inputs.corpus.splits["train"][name]) for name in stage.trains_on}
        self.order = stage.batch_order.build(sizes, derive(seed, "batch_order"))
        draw = ReplacementOrder if self.order.with_replacement else ExampleOrder
        self.example_orders = {name: draw(n, derive(seed, name)) for name, n in sizes.items()}
        self.weighting = stage.batch_order.gradients.build(stage.trains_on)
        self.weighting.module.to(inputs.device)
        self.gradient_generator = torch.Generator().manual_seed(derive(seed, "gradients"))
        others = nn.ModuleList([model.pair_layer, self.weighting.module])
        self.optimizer = stage.optimization.build(model.encoders, model.tasks, others)
        self.average = stage.averaging.build()
        self.tokens = 0
        self.steps = 0

    def step(self) -> dict[str, Tensor]:
        """Make one optimizer step; return its metrics, some of `step_metrics`, detached."""
        budget = self.stage.budget_tokens
        step = self.order.next(self.tokens / budget)
        batches = self._batches(step.sizes)
        n_tokens = sum(batch.n_tokens for batch in batches)
        # The learning rate in the middle of the step: never zero at the first or the last.
        progress = min(1.0, (self.tokens + n_tokens / 2) / budget)
        set_learning_rates(self.optimizer, self.stage.optimization, progress, tuple(step.sizes))
        self.optimizer.zero_grad(set_to_none=True)
        losses: dict[TaskName, Tensor] = {}
        gradients: list[list[Tensor | None]] = []  # of each task, where they are kept apart
        for batch in batches:
            own = self._losses(batch)
            losses |= own
            if self.weighting.needs_gram:
                self._backward(own, step.loss_scales)
                gradients.append(self._take_shared_gradients())
        metrics = {f"{name}_loss": loss.detach() for name, loss in losses.items()}
        if self.weighting.needs_gram:
            metrics |= self._combine(tuple(losses), gradients)
        else:
            self._backward(losses, step.loss_scales)
        max_norm = self.stage.optimization.clip.max_norm
        if math.isfinite(max_norm):
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), max_norm)
        self.optimizer.step()
        self.tokens += n_tokens
        self.steps += 1
        self.average.update(list(self.model.parameters()), self.tokens / budget)
        if self.order.needs_losses:
            self.order.observe({name: loss.item() for name, loss in losses.items()})
        return metrics

    def _batches(self, sizes: dict[TaskName, int]) -> list[Batch]:
        """Draw examples: one batch for all tasks, or one per task if they must be kept apart."""
        drawn = {name: self.example_orders[name].take(n) for name, n in sizes.items()}
        if isinstance(self.stage.regularization, RDrop):  # one batch holds the two passes
            drawn = {n: d if n == NLI else torch.cat([d, d]) for n, d in drawn.items()}
        apart = self.weighting.needs_gram or SHARED not in self.model.encoders
        parts = [{name: numbers} for name, numbers in drawn.items()] if apart else [drawn]
        pairs = pair_encodings(self.config)
        return [self.inputs.corpus.batch("train", part, pairs) for part in parts]

    def _losses(self, batch: Batch) -> dict[TaskName, Tensor]:
        with autocast(self.inputs.device, self.stage.precision):
            outputs = self.model(batch)
        return {name: self._loss(name, own, batch) for name, own in outputs.items()}

    def _loss(self, name: TaskName, outputs: Tensor, batch: Batch) -> Tensor:
        """Return the mean loss of a task's batch."""
        if name == NLI:
            assert isinstance(self.stage.auxiliary, NliAuxiliary)
            return contrastive(outputs.float(), self.stage.auxiliary.temperature)
        own, task = self.config.tasks[name], self.tasks[name]
        smoothing = getattr(own, "label_smoothing", 0.0)  # a regression has none
        loss = loss_value(own.loss, outputs, batch.labels[name], task, smoothing)
        if isinstance(self.stage.regularization, RDrop):
            first, second = outputs.chunk(2)
            divergence = r_drop_divergence(own.loss, first, second, task)
            # The paper adds the losses of both passes. We take their mean, so alpha is halved too.
            loss = loss + self.stage.regularization.alpha / 2 * divergence
        return loss

    def _backward(self, losses: dict[TaskName, Tensor], scales: dict[TaskName, float]) -> None:
        scaled = {name: loss * scales[name] for name, loss in losses.items()}
        self.weighting.total(scaled).backward()  # type: ignore[no-untyped-call]

    def _take_shared_gradients(self) -> list[Tensor | None]:
        """Detach the shared gradients, so that the next task's backward starts at zero."""
        taken = []
        for parameter in self.model.shared_parameters():
            taken.append(parameter.grad)
            parameter.grad = None
        return taken

    def _combine(
        self, names: tuple[TaskName, ...], gradients: list[list[Tensor | None]]
    ) -> dict[str, Tensor]:
        """Set each parameter's gradient to the weighted sum over tasks.

        A shared parameter that only one task has a gradient for (the pooler, say) counts as that
        task's own.

        Args:
            names: The m tasks.
            gradients: For each task, its gradient of each shared parameter.

        Returns:
            Cosines and conflicts of the tasks' shared gradients.
        """
        # For each shared parameter, the tasks (by number) that have a gradient for it.
        by_parameter = [
            [(i, gradient) for i, gradient in enumerate(row) if gradient is not None]
            for row in zip(*gradients, strict=True)
        ]
        gram = self._gram(len(names), by_parameter)
        own = self._own_squared_norms(names, by_parameter)
        weights = self.weighting.weights(names, gram, own, self.gradient_generator)
        shared, alone = weights.shared.tolist(), weights.own.tolist()
        for parameter, given in zip(self.model.shared_parameters(), by_parameter, strict=True):
            if len(given) == 1:
                parameter.grad = alone[given[0][0]] * given[0][1]
            elif given:
                parameter.grad = torch.stack([shared[i] * g for i, g in given]).sum(0)
        for name, factor in zip(names, alone, strict=True):
            if factor != 1.0:
                for parameter in self._own_parameters(name):
                    if parameter.grad is not None:
                        parameter.grad *= factor
        return _cosine_metrics(tuple(self.tasks), names, cosines(gram))

    @staticmethod
    def _gram(m: int, by_parameter: list[list[tuple[int, Tensor]]]) -> Tensor:
        """Return the scalar products of the tasks' shared gradients, (m, m) float64 on the CPU."""
        gram = torch.zeros(m, m, dtype=torch.float64)
        for given in by_parameter:
            if len(given) > 1:
                numbers = torch.tensor([i for i, _ in given])
                rows = torch.stack([gradient.flatten() for _, gradient in given])
                gram[numbers[:, None], numbers] += (rows @ rows.T).cpu()
        return gram

    def _own_squared_norms(
        self, names: tuple[TaskName, ...], by_parameter: list[list[tuple[int, Tensor]]]
    ) -> Tensor:
        """Return the squared norms of the tasks' own gradients, (m,) float64 on the CPU."""
        own = torch.zeros(len(names), dtype=torch.float64)
        for given in by_parameter:
            if len(given) == 1:
                own[given[0][0]] += given[0][1].flatten().square().sum().cpu()
        for i, name in enumerate(names):
            for parameter in self._own_parameters(name):
                if parameter.grad is not None:
                    own[i] += parameter.grad.square().sum().cpu()
        return own

    def _own_parameters(self, name: TaskName) -> list[nn.Parameter]:
        return [] if name == NLI else list(self.model.tasks[name].parameters())


def autocast(device: torch.device, precision: str) -> torch.autocast:
    """Return the context of a forward pass in `fp32` or `bf16`."""
    return torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16")


def _cosine_metrics(
    tasks: tuple[TaskName, ...], names: tuple[TaskName, ...], matrix: Tensor
) -> dict[str, Tensor]:
    """Return cosine and conflict of each pair of tasks that both have a shared gradient."""
    found = {}
    for a, b in combinations(tasks, 2):
        if a in names and b in names:
            cosine = matrix[names.index(a), names.index(b)]
            if not cosine.isnan():
                found[f"cosine_{a}_{b}"] = cosine
                found[f"conflict_{a}_{b}"] = (cosine < 0).double()
    return found
