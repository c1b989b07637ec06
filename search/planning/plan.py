"""What a search needs to know before it starts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from search.log.folder import SearchFolder
from search.log.history import History
from search.planning.finalist_runs import finalist_runs
from search.planning.options import SearchOptions
from search.planning.own_space import ROW_SPACES
from spaces.fixed_configs import RowSpace
from spaces.params import rebuild
from spaces.space import Space
from trainable.batch_orders.base import BATCH_SIZES
from trainable.component import Domain, Value
from trainable.run_config import RunConfig
from trainable.tasks import TaskName, Tasks
from trainable.training.checkpoint import size_in_bytes

# Name -> values that make a checkpoint larger than the others do.
_LARGE_CHECKPOINTS: dict[str, tuple[Value, ...]] = {
    "encoder.sharing": ("per_task",),
    "multitask.averaging": ("ema", "swa"),
    "multitask.optimization.amsgrad": (True,),
}
Point = tuple[dict[str, Value], str]


@dataclass(frozen=True)
class TaskSize:
    """Size of a task's data.

    Attributes:
        n_train: Number of training examples.
        train_tokens: Mean number of tokens of a training example.
        n_select: Number of examples in *select*.
        n_confirm: Number of examples in *confirm*.
    """

    n_train: int
    train_tokens: float
    n_select: int
    n_confirm: int


@dataclass(frozen=True)
class Plan:
    """A search whose options and data have been checked.

    Attributes:
        options: What the user asked for.
        space: What varies, over the base RunConfig, or which rows are run.
        n_trials: Number of trials.
        points: The first trials in their order, each as its params and its origin: `default` or
            `base`, `portfolio/NAME`, the name of a row, or several of these with commas.
        carried: Trials of another search that the searcher learns from, each as the fields of an
            `imported` event.
        rows: Name -> configuration, for every row among the points.
        folder: Folder of the search.
        earlier: History that an earlier driver left; empty for a new search.
        log_bytes: Size of the log from which `earlier` was read; 0 for a new search.
        rungs: Units after which ASHA decides, ascending; the last one ends the run.
        budget: Training tokens of a full run.
        n_parameters: Number of parameters of the encoder.
        notes: Sentences about data and warm start that are printed at the start.
        data_fingerprint: Hash of the data's contents and of the tokenizer.
        sizes: Task -> size of its data.
        chosen: Options that were chosen for `--time-limit`, with their values.
    """

    options: SearchOptions
    space: Space | RowSpace
    n_trials: int
    points: tuple[Point, ...]
    carried: tuple[dict[str, Any], ...]
    rows: dict[str, RunConfig]
    folder: SearchFolder
    earlier: History
    log_bytes: int
    rungs: tuple[int, ...]
    budget: int
    n_parameters: int
    notes: tuple[str, ...]
    data_fingerprint: str
    sizes: dict[TaskName, TaskSize]
    chosen: dict[str, Any] = field(default_factory=dict)

    @property
    def tasks(self) -> Tasks:
        """The tasks, with their weights in the score."""
        return self.space.base.table

    @property
    def pass_tokens(self) -> int:
        """Tokens of one pass over the training data."""
        return pass_tokens(self.sizes)

    @property
    def step_tokens(self) -> int:
        """Tokens of a step of the largest batches that are searched, on average."""
        return step_tokens(self.sizes)

    @property
    def finalist_runs(self) -> int:
        """Full runs for finalists, after all trials; 0 for none."""
        return finalist_runs(self.options.finalists, self.n_trials, self.rungs, self.options.eta)

    @property
    def checkpoint_bytes(self) -> int:
        """Size in bytes of a checkpoint of the default, which is usual, without the heads."""
        return self._size_of_checkpoint(self.space.base)

    @property
    def largest_checkpoint_bytes(self) -> int:
        """Size in bytes of the largest checkpoint that a trial may have, without the heads."""
        return max(map(self._size_of_checkpoint, [self.space.base, *_largest_runs(self.space)]))

    def _size_of_checkpoint(self, config: RunConfig) -> int:
        has_moments = self.options.checkpoint == "full"
        return size_in_bytes(config, self.n_parameters, optimizer=has_moments)


def _largest_runs(space: Space | RowSpace) -> list[RunConfig]:
    """Return runs of the space, with the one that has the largest checkpoint among them."""
    if isinstance(space, RowSpace):
        return list(space.rows.values())

    def choose(name: str, domain: Domain, current: Value) -> Value:
        if not space.varies(name):
            return space.fixed.get(name, current)
        searched = space.narrowed.get(name, domain)
        large = _LARGE_CHECKPOINTS.get(name, ())
        return next((value for value in large if searched.contains(value)), current)

    return [rebuild(space.base, choose)]


def pass_tokens(sizes: Mapping[TaskName, TaskSize]) -> int:
    """Return the tokens of one pass over the training data."""
    return round(sum(own.n_train * own.train_tokens for own in sizes.values()))


def step_tokens(sizes: Mapping[TaskName, TaskSize]) -> int:
    """Return the tokens of a step of the largest batches that are searched, on average."""
    n_examples = sum(own.n_train for own in sizes.values())
    return round(len(sizes) * max(BATCH_SIZES) * pass_tokens(sizes) / n_examples)


def is_left_to_choose(options: SearchOptions) -> bool:
    """Return whether trials and budget of a new search are chosen for its time limit.

    Rows are run as they are, and scores of another search are of its budget.
    """
    if options.time_limit is None or options.resume or options.space in ROW_SPACES:
        return False
    is_open = options.trials is None and options.budget is None
    return is_open and options.warm_start in (None, "published")
