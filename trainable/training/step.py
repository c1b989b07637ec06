"""The multitask stage under way: one optimizer step after the other.

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
from trainable.tasks import TASK_NAMES, TASKS, TRAIN_NAMES, TrainName
from trainable.training.corpus import Batch
from trainable.training.inputs import RunInputs
from trainable.training.multitask_bert import SHARED, MultitaskBert, pair_encodings, task_config

_PAIRS = tuple(combinations(TASK_NAMES, 2))
# What a step may report; a unit reports the means.
STEP_METRICS = (
    *(f"{name}_loss" for name in TRAIN_NAMES),
    *(f"cosine_{a}_{b}" for a, b in _PAIRS),  # between the tasks' shared gradients, where known
    *(f"conflict_{a}_{b}" for a, b in _PAIRS),  # 1 where that cosine is negative
)


class MultitaskTraining:
    """Everything that the next step of the multitask stage depends on.

    Args:
        config: The run.
        stage: Its multitask stage.
        inputs: Encoder and data.
        model: What is trained.
    """

    def __init__(
        self, config: RunConfig, stage: Multitask, inputs: RunInputs, model: MultitaskBert
    ) -> None:
        self.config, self.stage = config, stage
        self.inputs, self.model = inputs, model
        seed = config.seed
        sizes = {name: len(inputs.corpus.splits["train"][name]) for name in stage.trains_on}
        self.order = stage.batch_order.build(sizes, derive(seed, "batch_order"))
        draw = ReplacementOrder if self.order.with_replacement else ExampleOrder
        self.examples = {name: draw(n, derive(seed, name)) for name, n in sizes.items()}
        self.weighting = stage.batch_order.gradients.build(stage.trains_on)
        self.weighting.module.to(inputs.device)
        self.gradient_generator = torch.Generator().manual_seed(derive(seed, "gradients"))
        others = nn.ModuleList([model.pair_layer, self.weighting.module])
        self.optimizer = stage.optimization.build(model.encoders, model.tasks, others)
        self.average = stage.averaging.build()
        self.tokens = 0
        self.steps = 0

    def step(self) -> dict[str, Tensor]:
        """Make one optimizer step; return those of `STEP_METRICS` that it knows, detached."""
        budget = self.stage.budget_tokens
        step = self.order.next(self.tokens / budget)
        batches = self._batches(step.sizes)
        n_tokens = sum(batch.n_tokens for batch in batches)
        # The learning rate in the middle of the step: never zero at the first or the last.
        progress = min(1.0, (self.tokens + n_tokens / 2) / budget)
        set_learning_rates(self.optimizer, self.stage.optimization, progress, tuple(step.sizes))
        self.optimizer.zero_grad(set_to_none=True)
        losses: dict[TrainName, Tensor] = {}
        kept_apart: list[list[Tensor | None]] = []
        for batch in batches:
            own = self._losses(batch)
            losses |= own
            if self.weighting.needs_gram:
                self._backward(own, step.loss_scales)
                kept_apart.append(self._take_shared_gradients())
        metrics = {f"{name}_loss": loss.detach() for name, loss in losses.items()}
        if self.weighting.needs_gram:
            metrics |= self._combine(tuple(losses), kept_apart)
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

    def _batches(self, sizes: dict[TrainName, int]) -> list[Batch]:
        """Draw examples: one batch for all tasks, or one each where they must be kept apart."""
        drawn = {name: self.examples[name].take(n) for name, n in sizes.items()}
        if isinstance(self.stage.regularization, RDrop):  # the two passes are one batch
            drawn = {n: d if n == "nli" else torch.cat([d, d]) for n, d in drawn.items()}
        apart = self.weighting.needs_gram or SHARED not in self.model.encoders
        parts = [{name: numbers} for name, numbers in drawn.items()] if apart else [drawn]
        pairs = pair_encodings(self.config)
        return [self.inputs.corpus.batch("train", part, pairs) for part in parts]

    def _losses(self, batch: Batch) -> dict[TrainName, Tensor]:
        with autocast(self.inputs.device, self.stage.precision):
            outputs = self.model(batch)
        return {name: self._loss(name, own, batch) for name, own in outputs.items()}

    def _loss(self, name: TrainName, outputs: Tensor, batch: Batch) -> Tensor:
        """Return the mean loss of a task's batch."""
        if name == "nli":
            assert isinstance(self.stage.auxiliary, NliAuxiliary)
            return contrastive(outputs.float(), self.stage.auxiliary.temperature)
        own, task = task_config(self.config, name), TASKS[name]
        smoothing = getattr(own, "label_smoothing", 0.0)  # a regression has none
        loss = loss_value(own.loss, outputs, batch.labels[name], task, smoothing)
        if isinstance(self.stage.regularization, RDrop):
            first, second = outputs.chunk(2)
            divergence = r_drop_divergence(own.loss, first, second, task)
            # The paper adds the losses of both passes, we take their mean: half of its alpha, too.
            loss = loss + self.stage.regularization.alpha / 2 * divergence
        return loss

    def _backward(self, losses: dict[TrainName, Tensor], scales: dict[TrainName, float]) -> None:
        scaled = {name: loss * scales[name] for name, loss in losses.items()}
        self.weighting.total(scaled).backward()  # type: ignore[no-untyped-call]

    def _take_shared_gradients(self) -> list[Tensor | None]:
        """Take the shared gradients away, so that the next task's backward starts at zero."""
        taken = []
        for parameter in self.model.shared_parameters():
            taken.append(parameter.grad)
            parameter.grad = None
        return taken

    def _combine(
        self, names: tuple[TrainName, ...], gradients: list[list[Tensor | None]]
    ) -> dict[str, Tensor]:
        """Put the combination of the tasks' gradients into the parameters; return their cosines.

        A parameter that only one task has a gradient for (the pooler, say) is not shared: it counts
        as that task's own.
        """
        m = len(names)
        gram = torch.zeros(m, m, dtype=torch.float64)
        own = torch.zeros(m, dtype=torch.float64)
        by_parameter = list(zip(*gradients, strict=True))
        for row in by_parameter:
            given = [(i, g.flatten()) for i, g in enumerate(row) if g is not None]
            if len(given) > 1:
                numbers = torch.tensor([i for i, _ in given])
                rows = torch.stack([g for _, g in given])
                gram[numbers[:, None], numbers] += (rows @ rows.T).cpu()
            elif given:
                own[given[0][0]] += given[0][1].square().sum().cpu()
        for i, name in enumerate(names):
            for parameter in self._own_parameters(name):
                if parameter.grad is not None:
                    own[i] += parameter.grad.square().sum().cpu()
        weights = self.weighting.weights(names, gram, own, self.gradient_generator)
        shared, alone = weights.shared.tolist(), weights.own.tolist()
        for parameter, row in zip(self.model.shared_parameters(), by_parameter, strict=True):
            given = [(i, g) for i, g in enumerate(row) if g is not None]
            if len(given) == 1:
                parameter.grad = alone[given[0][0]] * given[0][1]
            elif given:
                parameter.grad = torch.stack([shared[i] * g for i, g in given]).sum(0)
        for name, factor in zip(names, alone, strict=True):
            if factor != 1.0:
                for parameter in self._own_parameters(name):
                    if parameter.grad is not None:
                        parameter.grad *= factor
        return _cosine_metrics(names, cosines(gram))

    def _own_parameters(self, name: TrainName) -> list[nn.Parameter]:
        return [] if name == "nli" else list(self.model.tasks[name].parameters())


def autocast(device: torch.device, precision: str) -> torch.autocast:
    """Return the context of a forward pass in `fp32` or `bf16`."""
    return torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16")


def _cosine_metrics(names: tuple[TrainName, ...], matrix: Tensor) -> dict[str, Tensor]:
    """Return cosine and conflict of each pair of tasks that both have a gradient."""
    found = {}
    for a, b in _PAIRS:
        if a in names and b in names:
            cosine = matrix[names.index(a), names.index(b)]
            if not cosine.isnan():
                found[f"cosine_{a}_{b}"] = cosine
                found[f"conflict_{a}_{b}"] = (cosine < 0).double()
    return found
