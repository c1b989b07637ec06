"""Which pooling makes a sentence's vector, and the files by which sentence-transformers knows it.

Source of the files: the layout that sentence-transformers reads since its version 2: modules.json,
1_Pooling/config.json, sentence_bert_config.json.
"""

from __future__ import annotations

from pathlib import Path

from trainable.cache.files import write_json
from trainable.data.sentences import N_SPECIAL_TOKENS
from trainable.data.tokenize import MAX_SENTENCE_TOKENS
from trainable.model.pairs import JointPair
from trainable.model.pooling import ClsPooling, MaxPooling, MeanPooling, Pooling
from trainable.run_config import RunConfig
from trainable.task_config import pair_of
from trainable.tasks import TaskName

_MODULES = [
    {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
    {"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"},
]


def embedding_task(config: RunConfig) -> TaskName:
    """Return the task whose pooling makes sentence vectors where none is named.

    That is the first pair task whose sentences are encoded each by itself, because it is trained to
    compare such vectors; else the first task with one sentence; else the first task.
    """

    def order(task: TaskName) -> int:
        pair = pair_of(config.tasks[task])
        if pair is None:
            return 1
        return 2 if isinstance(pair, JointPair) else 0

    return min(config.tasks, key=order)  # the first of equals


def write_sentence_transformers(
    folder: Path, config: RunConfig, task: TaskName, width: int
) -> None:
    """Let sentence-transformers open an encoder's folder; its `encode` then equals our `embed`.

    Nothing is written where it could not be equal: a pooling that it does not know, or an encoder
    that reads parts of speech.

    Args:
        folder: Of an exported encoder.
        config: The run.
        task: Whose pooling to write.
        width: Of the encoder.
    """
    mode = _mode(config.tasks[task].pooling)
    if mode is None or config.features.n_tags:
        return
    (folder / "1_Pooling").mkdir(exist_ok=True)
    names = ("cls_token", "mean_tokens", "max_tokens", "mean_sqrt_len_tokens")
    modes = {f"pooling_mode_{name}": name == mode for name in names}
    write_json(folder / "1_Pooling" / "config.json", {"word_embedding_dimension": width, **modes})
    longest = {
        "max_seq_length": MAX_SENTENCE_TOKENS + N_SPECIAL_TOKENS,
        "do_lower_case": False,  # the tokenizer does what is needed
    }
    write_json(folder / "sentence_bert_config.json", longest)
    write_json(folder / "modules.json", _MODULES)


def _mode(pooling: Pooling) -> str | None:
    """Return the name of a pooling in sentence-transformers; None where it has no such pooling."""
    if isinstance(pooling, MeanPooling):
        return "mean_tokens"
    if isinstance(pooling, MaxPooling):
        return "max_tokens"
    return "cls_token" if isinstance(pooling, ClsPooling) and not pooling.pooler else None
