"""From a data source to tensors ready for a run."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from tokenizers import Tokenizer

from trainable.data.examples import Examples
from trainable.data.split import split_dev
from trainable.data.store import TaskSplit
from trainable.data.tokenize import tokenize, tokenizer_digest
from trainable.tasks import TaskName


@dataclass(frozen=True)
class PreparedData:
    """All that a run reads.

    Attributes:
        train: Labelled examples to learn from.
        select: The half of dev that scheduler and searcher see.
        confirm: The half of dev that only the final report sees.
        test: Unlabelled examples of the tasks that have some; may be empty.
        notes: What the user should know about the data, one sentence each.
        fingerprint: 16 hex digits of contents and tokenizer.
    """

    train: dict[TaskName, TaskSplit]
    select: dict[TaskName, TaskSplit]
    confirm: dict[TaskName, TaskSplit]
    test: dict[TaskName, TaskSplit]
    notes: tuple[str, ...]
    fingerprint: str

    @property
    def n_train_tokens(self) -> int:
        """Real tokens of one pass over all training examples; see `TaskSplit.n_tokens`."""
        return sum(split.n_tokens for split in self.train.values())


def prepare(examples: Examples, tokenizer: Tokenizer) -> PreparedData:
    """Tokenise all examples, and cut dev into *select* and *confirm*.

    Raises:
        InputError: A half of dev would be empty.
    """
    splits, notes = tokenize(examples, tokenizer)
    halves = {task: split_dev(task, by_name["dev"]) for task, by_name in splits.items()}
    key = f"{examples.fingerprint}:{tokenizer_digest(tokenizer)}"
    return PreparedData(
        train={task: by_name["train"] for task, by_name in splits.items()},
        select={task: select for task, (select, _) in halves.items()},
        confirm={task: confirm for task, (_, confirm) in halves.items()},
        test={task: by_name["test"] for task, by_name in splits.items() if "test" in by_name},
        notes=examples.notes + notes,
        fingerprint=hashlib.sha256(key.encode()).hexdigest()[:16],
    )
