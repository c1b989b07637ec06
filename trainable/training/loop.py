"""One run: its stages in turn, units of training, evaluation.

    prefix      further pretraining, NLI: encoder weights, computed once for all runs with them
    multitask   cut into units; after each the run reports
    head tuning on the frozen encoder, at the end of the last unit

A run may be left between any two steps, saved, and gone on with elsewhere: see `RunLeft`.

Read `Run.train_unit` first, then `multitask.MultitaskTraining.step`.
"""

from __future__ import annotations

import logging
import math
import time
from collections import Counter
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field

import torch
from torch import Tensor

from trainable.cache.files import cache_folder
from trainable.losses import decide, probabilities
from trainable.metrics import scores
from trainable.model.pairs import decision_threshold
from trainable.run_config import RunConfig
from trainable.seeds import derive
from trainable.stages.before_tasks import OnProgress, run_prefix
from trainable.stages.head_tuning import CachedHeadTuning
from trainable.tasks import TASK_NAMES, TASKS, TaskName
from trainable.training.inputs import RunInputs
from trainable.training.multitask_bert import build_model, pair_encodings, task_config
from trainable.training.step import STEP_METRICS, MultitaskTraining, autocast
from trainable.training.tune_heads import tune_heads

log = logging.getLogger(__name__)

_EVALUATION_TOKENS = 8192  # tokens of one evaluation pass


class RunFailed(RuntimeError):
    """The run cannot go on: its loss is no longer a number."""


class RunLeft(Exception):
    """Raised by `on_progress` to leave the run; another `train_unit` goes on with the same unit.

    Between two steps of the multitask stage nothing is lost. A stage before it begins anew.
    """


@dataclass
class UnitSoFar:
    """What a unit that is under way has come to.

    Attributes:
        sums: Metric -> its sum over steps; on the device, so that no step waits for it.
        counts: Metric -> steps that knew it.
        prefix_seconds: What the stages before the tasks took.
        train_seconds: What its steps took.
    """

    sums: dict[str, Tensor] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)
    prefix_seconds: float = 0.0
    train_seconds: float = 0.0


class Run:
    """One run: a model in training and everything that its next unit depends on.

    Args:
        config: What to run.
        inputs: Encoder and data that `config` names.
    """

    def __init__(self, config: RunConfig, inputs: RunInputs) -> None:
        self.config = config
        self.inputs = inputs
        device = inputs.device
        # Heads' initial weights and all dropout.
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
        """Train for one unit: the whole prefix first, the heads last.

        Args:
            on_progress: Called after each step, also of the stages before the tasks.

        Returns:
            The means of `STEP_METRICS` over the unit, NaN where no step knows them, and
            `prefix_seconds` and `train_seconds`.

        Raises:
            RunFailed: A loss is NaN or infinite.
            StageFailed: A stage before the tasks diverged.
            RunLeft: `on_progress` raised it; the unit is not over.
            InputError: The text or the NLI examples of a stage cannot be had.
        """
        self.units += 1  # a unit that fails counts, too
        try:
            return self._train_unit(on_progress or (lambda what, share: None))
        except RunLeft:
            self.units -= 1
            raise

    def _train_unit(self, show: OnProgress) -> dict[str, float]:
        unit, started = self.so_far, time.perf_counter()
        if self.units == 1 and self.steps == 0:  # else the weights are those of the steps
            self._start_from_prefix(show)
            unit.prefix_seconds = time.perf_counter() - started
        ready = time.perf_counter()
        metrics = dict.fromkeys(STEP_METRICS, math.nan)
        try:
            if self.training is not None:
                metrics |= self._train_multitask(self.training, show)
            if self.done:
                self._finish()
        finally:
            unit.train_seconds += time.perf_counter() - ready
        self.so_far = UnitSoFar()
        seconds = {"prefix_seconds": unit.prefix_seconds, "train_seconds": unit.train_seconds}
        return metrics | seconds

    def _start_from_prefix(self, show: OnProgress) -> None:
        """Load the encoder's weights after the stages before the tasks, if there are any."""
        stages = (self.config.further_pretraining, self.config.nli)
        inputs = self.inputs
        weights, reports = run_prefix(
            inputs.stage_inputs, stages, self.config.seed, inputs.device, cache_folder(), show
        )
        for report in reports:
            origin = "taken from the cache" if report.cached else "computed"
            log.info("stage %s %s in %.1f s", report.kind, origin, report.seconds)
        if reports:
            self.model.load_encoder(weights)

    def _train_multitask(self, training: MultitaskTraining, show: OnProgress) -> dict[str, float]:
        """Train the multitask stage to the end of this unit; return means over its steps."""
        sums, counts = self.so_far.sums, self.so_far.counts
        self.model.train()
        budget = training.stage.budget_tokens
        end = budget * self.units / training.stage.units
        while training.tokens < end:
            for key, value in training.step().items():
                sums[key] = sums[key] + value if key in sums else value
                counts[key] += 1
            show("training", training.tokens / budget)
        means = {key: float(total) / counts[key] for key, total in sums.items()}
        broken = [f"{key} {mean}" for key, mean in means.items() if not math.isfinite(mean)]
        if broken:
            raise RunFailed(f"not finite in unit {self.units}: {', '.join(broken)}")
        return means

    def _finish(self) -> None:
        """The multitask stage is over: its averaged weights become the model's; tune heads."""
        if self.training is not None:
            self.training.average.adopt(list(self.model.parameters()))
        if isinstance(self.config.head_tuning, CachedHeadTuning):
            tune_heads(self.config, self.config.head_tuning, self.model, self.inputs.corpus)

    def probabilities(self, split: str) -> dict[TaskName, Tensor]:
        """Return task -> what an ensemble averages, float32 on the CPU, in the split's order.

        (n_examples, n_classes) class probabilities for sentiment, else (n_examples, 1) scores.
        """
        corpus, pairs = self.inputs.corpus, pair_encodings(self.config)
        self.model.eval()
        precision = self.training.stage.precision if self.training else "fp32"
        averaged: AbstractContextManager[None] = nullcontext()
        if self.training is not None and not self.done:
            averaged = self.training.average.applied(list(self.model.parameters()))
        result: dict[TaskName, Tensor] = {}
        with torch.inference_mode(), averaged:
            for task in TASK_NAMES:
                if task not in corpus.splits[split]:  # no test examples
                    continue
                totals, order = corpus.splits[split][task].lengths.sum(0).sort(stable=True)
                per_pass = max(1, _EVALUATION_TOKENS // (int(totals[-1]) + 4))
                parts = []
                for numbers in torch.split(order, per_pass):
                    with autocast(self.inputs.device, precision):
                        outputs = self.model(corpus.batch(split, {task: numbers}, pairs))[task]
                    loss = task_config(self.config, task).loss
                    parts.append(probabilities(loss, outputs, TASKS[task]).cpu())
                found = torch.cat(parts)
                result[task] = torch.empty_like(found)
                result[task][order] = found
        return result

    def decide(self, found: dict[TaskName, Tensor]) -> dict[TaskName, Tensor]:
        """Return task -> (n_examples,) float32 predictions from `probabilities`."""
        threshold = decision_threshold(self.config.para.pair)
        return {task: decide(own, TASKS[task], threshold) for task, own in found.items()}

    def predict(self, split: str) -> dict[TaskName, Tensor]:
        """Return task -> (n_examples,) float32 predictions on the CPU, in the split's order."""
        return self.decide(self.probabilities(split))

    def evaluate(self, split: str) -> dict[str, float]:
        """Return the scores on a labelled split, and `eval_seconds`."""
        started = time.perf_counter()
        metrics = self.score(split, self.probabilities(split))
        return metrics | {"eval_seconds": time.perf_counter() - started}

    def score(self, split: str, found: dict[TaskName, Tensor]) -> dict[str, float]:
        """Return the scores of what `probabilities` gave for a labelled split."""
        labels = {task: self.inputs.corpus.splits[split][task].labels for task in found}
        known = {task: own for task, own in labels.items() if own is not None}
        return scores(self.decide(found), known)
