"""The papers' tasks, and the keys of what a run on them reports."""

from __future__ import annotations

from trainable.metrics import metric_keys, score_keys, worst_score
from trainable.tasks import COURSE, NLI
from trainable.training.step import step_metrics

TASK_NAMES = tuple(COURSE)
TRAIN_NAMES = (*COURSE, NLI)  # what may give a batch
TASK_METRICS = metric_keys(COURSE)
SCORE_KEYS = score_keys(COURSE)
STEP_METRICS = step_metrics(COURSE)
WORST_SCORE = worst_score(COURSE)
