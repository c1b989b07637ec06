"""One run: its stages, cut into units, and the evaluation after each unit.

    prefix        further pretraining and NLI, in the first unit; runs share the results
    multitask     spread over all units
    head tuning   on the frozen encoder, at the end of the last unit

A run can be interrupted between any two steps, saved, and resumed elsewhere: see `RunLeft`.

Read `Run.train_unit` first, then `step.MultitaskTraining.step`.
"""

from __future__ import annotations

import logging
import math
import time
from collections import Counter
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field

import torch
from torch import Tensor

from trainable.cache.files import cache_folder
from trainable.learning import learning
from trainable.losses import decide
from trainable.metrics import scores
from trainable.model.pairs import decision_threshold
from trainable.run_config import RunConfig
from trainable.seeds import derive
from trainable.stages.before_tasks import OnProgress, run_prefix
from trainable.stages.head_tuning import CachedHeadTuning
from trainable.task_config import pair_of
from trainable.tasks import TaskName
from trainable.training.inference import task_probabilities
from trainable.training.inputs import RunInputs
from trainable.training.multitask_bert import build_model
from trainable.training.step import MultitaskTraining, step_metrics
from trainable.training.tune_heads import tune_heads

log = logging.getLogger(__name__)

Part = Mapping[TaskName, Tensor]  # task -> (n,) int64 numbers of examples of a split


class RunFailed(RuntimeError):
    """The run cannot go on: a loss or another metric is NaN or infinite."""


class RunLeft(Exception):
    """Raised by `on_progress` to interrupt the run; the next `train_unit` resumes the same unit.

    Nothing is lost between two steps of the multitask stage. A stage of the prefix starts again.
    """


@dataclass
class UnitSoFar:
    """Metrics and times of a unit that is under way.

    Attributes:
        sums: Metric -> its sum over steps; on the device, so that no step waits for it.
        counts: Metric -> number of steps that reported it.
        prefix_seconds: Seconds of the stages before the tasks.
        train_seconds: Seconds of its steps and of head tuning.
    """

    sums: dict[str, Tensor] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)
    prefix_seconds: float = 0.0
    train_seconds: float = 0.0


class Run:
    """One run: a model in training and everything that its next unit depends on.

    Args:
        config: What to run.
        inputs: The encoder and the data that `config` names.
    """

    def __init__(self, config: RunConfig, inputs: RunInputs) -> None:
        self.config = config
        self.inputs = inputs
        device = inputs.device
        # Draws the heads' initial weights, then all dropout.
        self.generator = torch.Generator(device).manual_seed(derive(config.seed, "model"))
        self.model = build_model(config, inputs.pretrained, device, self.generator)
        self.training: MultitaskTraining | None = None
        if config.multitask is not None:
            self.training = MultitaskTraining(config, config.multitask, inputs, self.model)
        self.units = 0
        self.so_far = UnitSoFar()

    @property
    def done(self) -> bool:
        """Whether the budget is spent."""
        return self.units >= self.config.units

    @property
    def tokens(self) -> int:
        """Real tokens that the multitask stage has trained on."""
        return self.training.tokens if self.training else 0

    @property
    def steps(self) -> int:
        """Optimizer steps of the multitask stage."""
        return self.training.steps if self.training else 0

    def train_unit(self, on_progress: OnProgress | None = None) -> dict[str, float]:
        """Train for one unit; the first also runs the prefix, the last also tunes the heads.

        Args:
            on_progress: Called after each step, also of the stages before the tasks.

        Returns:
            The means of `step_metrics` over the unit, NaN where no step reported them, and
            `prefix_seconds` and `train_seconds`.

        Raises:
            RunFailed: A loss is NaN or infinite.
            StageFailed: A stage before the tasks diverged.
            RunLeft: `on_progress` raised it; the unit is not over.
            InputError: The text or the NLI examples of a stage are not available.
        """
        self.units += 1  # a unit that fails counts as well
        try:
            return self._train_unit(on_progress or (lambda activity, fraction: None))
        except RunLeft:
            self.units -= 1
            raise

    def _train_unit(self, on_progress: OnProgress) -> dict[str, float]:
        unit = self.so_far
        if self.units == 1 and self.steps == 0:  # not resumed in the middle of unit 1
            started = time.perf_counter()
            self._start_from_prefix(on_progress)
            unit.prefix_seconds = time.perf_counter() - started
        metrics = dict.fromkeys(step_metrics(self.config.data.table), math.nan)
        started = time.perf_counter()
        try:
            if self.training is not None:
                metrics |= self._train_multitask(self.training, on_progress)
            if self.done:
                self._finish()
        finally:
            unit.train_seconds += time.perf_counter() - started
        self.so_far = UnitSoFar()
        seconds = {"prefix_seconds": unit.prefix_seconds, "train_seconds": unit.train_seconds}
        return metrics | seconds

    def _start_from_prefix(self, on_progress: OnProgress) -> None:
        """Run the stages before the tasks, if there are any, and load their encoder weights."""
        stages = (self.config.further_pretraining, self.config.nli)
        inputs, seed = self.inputs, self.config.seed
        weights, reports = run_prefix(
            inputs.stage_inputs, stages, seed, inputs.device, cache_folder(), on_progress
        )
        for report in reports:
            origin = "taken from the cache" if report.cached else "computed"
            log.info("stage %s %s in %.1f s", report.kind, origin, report.seconds)
        if reports:
            self.model.load_encoder(weights)

    def _train_multitask(
        self, training: MultitaskTraining, on_progress: OnProgress
    ) -> dict[str, float]:
        """Train the multitask stage to the end of this unit; return means over its steps."""
        sums, counts = self.so_far.sums, self.so_far.counts
        self.model.train()
        budget = training.stage.budget_tokens
        end = budget * self.units / training.stage.units
        while training.tokens < end:
            for key, value in training.step().items():
                sums[key] = sums[key] + value if key in sums else value
                counts[key] += 1
            on_progress("training", training.tokens / budget)
        means = {key: float(total) / counts[key] for key, total in sums.items()}
        broken = [f"{key} {mean}" for key, mean in means.items() if not math.isfinite(mean)]
        if broken:
            raise RunFailed(f"not finite in unit {self.units}: {', '.join(broken)}")
        return means

    def _finish(self) -> None:
        """Replace the model's weights by their average, if there is one; then tune the heads."""
        if self.training is not None:
            self.training.average.adopt(list(self.model.parameters()))
        if isinstance(self.config.head_tuning, CachedHeadTuning):
            tune_heads(self.config, self.config.head_tuning, self.model, self.inputs.corpus)

    def probabilities(self, split: str, part: Part | None = None) -> dict[TaskName, Tensor]:
        """Return task -> probabilities or scores, float32 on the CPU, in the split's order.

        (n_examples, n_classes) class probabilities under cross entropy, else (n_examples, 1)
        scores. An ensemble averages them over runs.

        Args:
            split: Which split.
            part: Its examples that are wanted; all without it.
        """
        corpus = self.inputs.corpus
        self.model.eval()
        averaged: AbstractContextManager[None] = nullcontext()
        if self.training is not None and not self.done:
            averaged = self.training.average.applied(list(self.model.parameters()))
        with torch.inference_mode(), averaged:
            return {
                task: task_probabilities(
                    self.model, self.config, corpus, split, task, part[task] if part else None
                )
                for task in self.config.tasks
                if task in corpus.splits[split]  # a task may have no test examples
            }

    def decide(self, found: dict[TaskName, Tensor]) -> dict[TaskName, Tensor]:
        """Return task -> (n_examples,) float32 predictions from `probabilities`."""
        tasks, configs = self.config.data.table, self.config.tasks
        thresholds = {name: decision_threshold(pair_of(configs[name])) for name in found}
        return {name: decide(own, tasks[name], thresholds[name]) for name, own in found.items()}

    def predict(self, split: str) -> dict[TaskName, Tensor]:
        """Return task -> (n_examples,) float32 predictions on the CPU, in the split's order."""
        return self.decide(self.probabilities(split))

    def evaluate(self, split: str) -> dict[str, float]:
        """Return scores and `learning` on all of a labelled split, and `eval_seconds`.

        Raises:
            RunFailed: One of them is NaN or infinite.
        """
        started = time.perf_counter()
        found = self.probabilities(split)
        metrics = self.score(split, found)
        metrics |= self.learning(split, found, metrics)
        self.refuse_broken(metrics)
        return metrics | {"eval_seconds": time.perf_counter() - started}

    def score(
        self, split: str, found: dict[TaskName, Tensor], part: Part | None = None
    ) -> dict[str, float]:
        """Return the scores of the result of `probabilities` on a labelled split, or its part."""
        labels = self._labels(split, found, part)
        return scores(self.decide(found), labels, self.config.table)

    def learning(
        self,
        split: str,
        found: dict[TaskName, Tensor],
        scored: dict[str, float],
        part: Part | None = None,
    ) -> dict[str, float]:
        """Return what else shows that tasks are learned, from `probabilities` and `score`."""
        labels = self._labels(split, found, part)
        losses = {name: self.config.tasks[name].loss for name in found}
        predicted, table = self.decide(found), self.config.table
        return learning(found, predicted, labels, losses, table, scored)

    def refuse_broken(self, metrics: Mapping[str, float]) -> None:
        """Raise `RunFailed` if a metric of the result of `score` or `learning` is not finite."""
        for key, value in metrics.items():
            if not math.isfinite(value):
                raise RunFailed(f"{key} is {value} in unit {self.units}")

    def _labels(
        self, split: str, found: dict[TaskName, Tensor], part: Part | None
    ) -> dict[TaskName, Tensor]:
        labels = {task: self.inputs.corpus.splits[split][task].labels for task in found}
        return {
            task: own if part is None else own[part[task]]
            for task, own in labels.items()
            if own is not None
        }
