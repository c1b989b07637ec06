"""Which of the best trials answer all examples of a task alike."""

from __future__ import annotations

from search.log.trial import TrialRecord
from search.report.markdown import quoted
from search.report.sections.base import FinishedSearch
from trainable.learning import matthews_key
from trainable.tasks import Task, Tasks

_N_TRIALS = 5  # that are looked at, the best first
_CONSTANT_SHARE = 0.98  # of equal answers from which they count as one constant
_NO_AGREEMENT = 0.1  # Matthews correlation; above it, rare answers are right, and so learned


def not_learned(search: FinishedSearch) -> list[str]:
    """Return a line that names the best trials' tasks with a constant answer; often nothing."""
    tasks = search.plan.tasks
    ended = [trial for trial in search.logged.with_scores if trial.status in ("done", "stopped")]
    found = [
        f"trial {trial.number} {answer}"
        for trial in ended[:_N_TRIALS]
        for answer in constant_answers(trial, tasks)
    ]
    return [f"**Not learned**: {quoted('; '.join(found), None)}."] if found else []


def constant_answers(trial: TrialRecord, tasks: Tasks) -> list[str]:
    """Return a text for each task that a trial answers with a constant after its last unit.

    For example `answers 'negative' for 100 % of sst`. Logs of earlier versions do not say what is
    needed for tasks with classes; then there is no text for them.
    """
    answers = (_constant_answer(trial, task) for task in tasks.values())
    return [answer for answer in answers if answer]


def _constant_answer(trial: TrialRecord, task: Task) -> str:
    if task.classes is None:
        # What is exactly 0 is the correlation of a constant.
        is_constant = trial.status != "failed" and trial.last.get(task.metric_key) == 0
        return f"gives all of {task.name} the same number" if is_constant else ""
    share, top = (trial.last.get(f"{task.name}_{what}") for what in ("top_share", "top_class"))
    agreement = trial.last.get(matthews_key(task))
    if share is None or top is None or agreement is None:
        return ""
    if share <= _CONSTANT_SHARE or agreement > _NO_AGREEMENT:
        return ""
    return f"answers {task.classes[int(top)]!r} for {100 * share:.0f} % of {task.name}"
