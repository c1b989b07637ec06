"""The training loop of one run: units of training, evaluation, state.

Read `Run.train_unit` first.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable

import torch
from torch import Tensor

from trainable.corpus import Batch
from trainable.evaluation import scores
from trainable.losses import loss_value, prediction
from trainable.model import build_model, pair_encodings, task_config
from trainable.run_config import RunConfig
from trainable.seeds import ExampleOrder, derive
from trainable.tasks import TASK_NAMES, TASKS, TaskName
from trainable.workbench import Workbench

_EVALUATION_TOKENS = 8192  # tokens of one evaluation pass


class RunFailed(RuntimeError):
    """The run cannot go on: its loss is no longer a number."""


class Run:
    """One run: a model in training and everything that its next step depends on.

    Args:
        config: What to run.
        workbench: Encoder and data that `config` names.
    """

    def __init__(self, config: RunConfig, workbench: Workbench) -> None:
        self.config = config
        self.stage = config.stages[0]
        self.workbench = workbench
        device, corpus = workbench.device, workbench.corpus
        # Heads' initial weights and all dropout.
        self.generator = torch.Generator(device).manual_seed(derive(config.seed, "model"))
        self.model = build_model(config, workbench.pretrained, device, self.generator)
        self.optimizer = self.stage.optimization.build(self.model.encoder, self.model.tasks)
        sizes = {task: len(corpus.splits["train"][task]) for task in TASK_NAMES}
        batch_order = self.stage.batch_order
        self.batch_order = batch_order.build(sizes, derive(config.seed, "batch_order"))
        self.combination = batch_order.gradients.build()
        self.gradient_generator = torch.Generator().manual_seed(derive(config.seed, "gradients"))
        self.examples = {t: ExampleOrder(n, derive(config.seed, t)) for t, n in sizes.items()}
        self.tokens = 0
        self.steps = 0
        self.units = 0

    @property
    def done(self) -> bool:
        """Whether the budget is spent."""
        return self.units >= self.stage.units

    def train_unit(self, on_step: Callable[[Run], None] | None = None) -> dict[str, float]:
        """Train for one unit of the budget.

        Args:
            on_step: Called after each step, to show progress.

        Returns:
            `sst_loss`, `para_loss`, `sts_loss` (means over the unit, NaN for a task without a
            batch in it) and `train_seconds`.

        Raises:
            RunFailed: A loss is NaN or infinite.
        """
        started = time.perf_counter()
        sums = torch.zeros(len(TASK_NAMES), device=self.workbench.device)
        counts = [0] * len(TASK_NAMES)
        self.model.train()
        end = self.stage.budget_tokens * (self.units + 1) / self.stage.units
        while self.tokens < end:
            for task, loss in self._step().items():
                sums[TASK_NAMES.index(task)] += loss
                counts[TASK_NAMES.index(task)] += 1
            if on_step:
                on_step(self)
        self.units += 1
        means = {
            task: total / count if count else math.nan
            for task, total, count in zip(TASK_NAMES, sums.tolist(), counts, strict=True)
        }
        broken = [
            f"{task} {means[task]}"
            for task, count in zip(TASK_NAMES, counts, strict=True)
            if count and not math.isfinite(means[task])
        ]
        if broken:
            raise RunFailed(f"losses are not finite in unit {self.units}: {', '.join(broken)}")
        seconds = time.perf_counter() - started
        return {f"{task}_loss": mean for task, mean in means.items()} | {"train_seconds": seconds}

    def _step(self) -> dict[TaskName, Tensor]:
        """One optimizer step; returns task -> detached loss."""
        budget = self.stage.budget_tokens
        sizes = self.batch_order.next(self.tokens / budget)
        drawn = {task: self.examples[task].take(n) for task, n in sizes.items()}
        # One pass for all tasks, unless their gradients must be kept apart.
        parts = [{t: d} for t, d in drawn.items()] if self.combination.needs_gram else [drawn]
        pairs = pair_encodings(self.config)
        batches = [self.workbench.corpus.batch("train", part, pairs) for part in parts]
        n_tokens = sum(batch.n_tokens for batch in batches)

        # The learning rate in the middle of the step: never zero at the first or the last.
        factor = self.stage.optimization.learning_rate_factor(
            min(1.0, (self.tokens + n_tokens / 2) / budget)
        )
        for group in self.optimizer.param_groups:
            group["lr"] = group["peak_lr"] * factor
        self.optimizer.zero_grad(set_to_none=True)
        losses: dict[TaskName, Tensor] = {}
        gradients = []
        for batch in batches:
            own = self._losses(batch)
            weights = self.combination.loss_weights(tuple(own)).to(self.workbench.device)
            torch.stack(list(own.values())).mul(weights).sum().backward()  # type: ignore[no-untyped-call]
            losses |= {task: loss.detach() for task, loss in own.items()}
            if self.combination.needs_gram:
                gradients.append(self._take_shared_gradients())
        if gradients:
            self._combine(gradients)
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.stage.optimization.clip)
        self.optimizer.step()
        self.tokens += n_tokens
        self.steps += 1
        return losses

    def _forward(self, batch: Batch) -> dict[TaskName, Tensor]:
        with torch.autocast(
            self.workbench.device.type, torch.bfloat16, enabled=self.stage.precision == "bf16"
        ):
            return self.model(batch)  # type: ignore[no-any-return]

    def _losses(self, batch: Batch) -> dict[TaskName, Tensor]:
        return {
            task: loss_value(
                task_config(self.config, task).loss, outputs, batch.labels[task], TASKS[task]
            )
            for task, outputs in self._forward(batch).items()
        }

    def _take_shared_gradients(self) -> list[Tensor | None]:
        """Take the encoder's gradients away, so that the next task's backward starts at zero."""
        taken = []
        for parameter in self.model.encoder.parameters():
            taken.append(parameter.grad)
            parameter.grad = None
        return taken

    def _combine(self, gradients: list[list[Tensor | None]]) -> None:
        """Put the combination of the tasks' gradients into the encoder's parameters.

        A parameter that only one task has a gradient for (the pooler, say) is not shared: it gets
        that gradient as it is, and it does not count in the Gram matrix.
        """
        m = len(gradients)
        gram = torch.zeros(m, m, dtype=torch.float64)
        by_parameter = list(zip(*gradients, strict=True))
        for own in by_parameter:
            given = [(i, g.flatten()) for i, g in enumerate(own) if g is not None]
            if len(given) > 1:
                numbers = [i for i, _ in given]
                rows = torch.stack([g for _, g in given])
                gram[torch.tensor(numbers)[:, None], torch.tensor(numbers)] += (rows @ rows.T).cpu()
        weights = self.combination.gradient_weights(gram, self.gradient_generator).tolist()
        for parameter, own in zip(self.model.encoder.parameters(), by_parameter, strict=True):
            given = [(weights[i], g) for i, g in enumerate(own) if g is not None]
            if len(given) == 1:
                parameter.grad = given[0][1]
            elif given:
                parameter.grad = torch.stack([w * g for w, g in given]).sum(0)

    def predict(self, split: str) -> dict[TaskName, Tensor]:
        """Return task -> (n_examples,) float32 predictions on the CPU, in the split's order."""
        corpus, pairs = self.workbench.corpus, pair_encodings(self.config)
        self.model.eval()
        result: dict[TaskName, Tensor] = {}
        with torch.inference_mode():
            for task, rows in corpus.splits[split].items():
                totals, order = rows.lengths.sum(0).sort(stable=True)
                per_pass = max(1, _EVALUATION_TOKENS // (int(totals[-1]) + 4))
                parts = []
                for numbers in torch.split(order, per_pass):
                    outputs = self._forward(corpus.batch(split, {task: numbers}, pairs))[task]
                    loss = task_config(self.config, task).loss
                    parts.append(prediction(loss, outputs, TASKS[task]).cpu())
                result[task] = torch.empty(len(order))
                result[task][order] = torch.cat(parts)
        return result

    def evaluate(self, split: str) -> dict[str, float]:
        """Return the scores on a labelled split, and `eval_seconds`."""
        started = time.perf_counter()
        labels = {
            task: rows.labels
            for task, rows in self.workbench.corpus.splits[split].items()
            if rows.labels is not None
        }
        metrics = scores(self.predict(split), labels)
        return metrics | {"eval_seconds": time.perf_counter() - started}
