"""Turn raw examples into the tokenised splits of a run."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from tokenizers import Tokenizer

from trainable.data.examples import Examples
from trainable.data.features import InputFeatures
from trainable.data.pos_tags import PosTagger, load_tagger
from trainable.data.sentences import TaskSplit
from trainable.data.split import split_dev
from trainable.data.synonyms import add_synonym_copies, load_wordnet
from trainable.data.tokenize import tokenize
from trainable.data.tokenizer import tokenizer_digest
from trainable.tasks import TaskName

_SYNONYM_SEED = 0  # the same copies for every run over the data, whatever the run's own seed


@dataclass(frozen=True)
class PreparedData:
    """The tokenised splits of all tasks, on the CPU.

    Attributes:
        train: Labelled examples to learn from.
        select: The half of dev that scheduler and searcher see.
        confirm: The half of dev that only the final report sees.
        test: Unlabelled examples; tasks without any are missing.
        notes: What the user should know about the data, one sentence each.
        fingerprint: 16 hex digits of contents, tokenizer and features.
    """

    train: dict[TaskName, TaskSplit]
    select: dict[TaskName, TaskSplit]
    confirm: dict[TaskName, TaskSplit]
    test: dict[TaskName, TaskSplit]
    notes: tuple[str, ...]
    fingerprint: str


@dataclass(frozen=True)
class FeaturedExamples:
    """Examples that are not tokenised yet, and the features that they get.

    Attributes:
        examples: Raw examples, copies with synonyms included.
        tagger: Gives tokens their part of speech; None without that feature.
    """

    examples: Examples
    tagger: PosTagger | None

    def fingerprint(self, tokenizer: Tokenizer) -> str:
        """Return 16 hex digits of contents, tokenizer and features."""
        key = f"{self.examples.fingerprint}:{tokenizer_digest(tokenizer)}"
        key += f":{self.tagger.digest}" if self.tagger else ""
        return hashlib.sha256(key.encode()).hexdigest()[:16]


def add_features(examples: Examples, features: InputFeatures) -> FeaturedExamples:
    """Add copies with synonyms to `train`, and load the tagger, as the features say.

    Raises:
        InputError: A feature needs a package or a resource that is missing.
    """
    if features.synonym_copies:
        copies = features.synonym_copies
        examples = add_synonym_copies(examples, copies, load_wordnet(), _SYNONYM_SEED)
    return FeaturedExamples(examples, load_tagger() if features.pos_tags else None)


def prepare(featured: FeaturedExamples, tokenizer: Tokenizer) -> PreparedData:
    """Tokenise all examples, and cut dev into *select* and *confirm*.

    Raises:
        InputError: A half of dev would be empty.
    """
    examples = featured.examples
    splits, notes = tokenize(examples, tokenizer, featured.tagger)
    halves = {
        name: split_dev(examples.tasks[name], by_split["dev"]) for name, by_split in splits.items()
    }
    return PreparedData(
        train={task: by_name["train"] for task, by_name in splits.items()},
        select={task: select for task, (select, _) in halves.items()},
        confirm={task: confirm for task, (_, confirm) in halves.items()},
        test={task: by_name["test"] for task, by_name in splits.items() if "test" in by_name},
        notes=examples.notes + notes,
        fingerprint=featured.fingerprint(tokenizer),
    )
