"""The papers' tasks, and the keys of what a run on them reports."""

from __future__ import annotations

from trainable.metrics import metric_keys, score_keys, worst_score
from trainable.model.pairs import JointPair
from trainable.model.pooling import ClsPooling
from trainable.task_config import PairDecision, PairNumber, SingleClasses, TaskConfig
from trainable.tasks import COURSE, NLI, TaskName
from trainable.training.step import step_metrics

TASK_NAMES = tuple(COURSE)
TRAIN_NAMES = (*COURSE, NLI)  # what may give a batch
TASK_METRICS = metric_keys(COURSE)
SCORE_KEYS = score_keys(COURSE)
STEP_METRICS = step_metrics(COURSE)
WORST_SCORE = worst_score(COURSE)

# [CLS] and a linear head for each task, pairs joined: what one writes by hand first.
LINEAR_TASKS: dict[TaskName, TaskConfig] = {
    "sst": SingleClasses(pooling=ClsPooling()),
    "para": PairDecision(pooling=ClsPooling(), pair=JointPair()),
    "sts": PairNumber(pooling=ClsPooling(), pair=JointPair()),
}
