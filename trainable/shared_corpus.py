"""The corpus of a run, held once by the processes of a node."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tokenizers
import torch
from tokenizers import Tokenizer
from torch import Tensor

import trainable.corpus
import trainable.data
from trainable.corpus import Corpus, Rows
from trainable.data.nli import NliSource, triplets
from trainable.data.prepare import Featured, PreparedData, cut
from trainable.data.store import Sentences
from trainable.data.text import joined
from trainable.mapped import code_digest, mapped

_TEXT = "text"  # tensor of what is no tensor, as JSON in UTF-8


@dataclass(frozen=True)
class SharedCorpus:
    """What runs read of the data.

    Attributes:
        corpus: Batches are cut from it; on the device.
        own: The sentences of all train sets, on the CPU.
        notes: What the user should know about the data, one sentence each.
    """

    corpus: Corpus
    own: Sentences
    notes: tuple[str, ...]


def open_corpus(
    featured: Featured, tokenizer: Tokenizer, nli: NliSource | None, device: torch.device
) -> SharedCorpus:
    """Map the corpus; the first process of a node prepares it, the others wait.

    Raises:
        InputError: The data cannot be used; the cache cannot be written to.
    """
    folder = Path(trainable.data.__file__).parent
    identity = {
        "data": featured.fingerprint(tokenizer),
        "notes": featured.examples.notes,  # of rows that are not in the data
        "nli": None if nli is None else [nli.kind, nli.fingerprint()],
        "tokenizers": tokenizers.__version__,
        "code": code_digest(Path(__file__), Path(trainable.corpus.__file__), *folder.glob("*.py")),
    }

    def compute() -> dict[str, Tensor]:
        sides = None if nli is None else triplets(nli, tokenizer)
        return _tensors(cut(featured, tokenizer), sides, tokenizer)

    return _from_tensors(mapped("corpus", identity, compute), device)


def _tensors(
    data: PreparedData, nli: tuple[Sentences, Sentences, Sentences] | None, tokenizer: Tokenizer
) -> dict[str, Tensor]:
    """Return all that there is as tensors."""
    corpus = Corpus(data, tokenizer, torch.device("cpu"), nli)
    own = _own_text(data)
    tensors = {"tokens": corpus.tokens, "own.tokens": own.tokens, "own.offsets": own.offsets}
    if corpus.tags is not None:
        tensors["tags"] = corpus.tags
    ids: dict[str, dict[str, tuple[str, ...]]] = {}
    for split, tasks in corpus.splits.items():
        ids[split] = {str(task): rows.ids for task, rows in tasks.items()}
        for task, rows in tasks.items():
            name = f"{split}.{task}"
            tensors |= {f"{name}.starts": rows.starts, f"{name}.lengths": rows.lengths}
            if rows.labels is not None:
                tensors[f"{name}.labels"] = rows.labels
    text = {"fingerprint": corpus.fingerprint, "notes": data.notes, "ids": ids}
    encoded = bytearray(json.dumps(text).encode())
    return tensors | {_TEXT: torch.frombuffer(encoded, dtype=torch.uint8)}


def _from_tensors(tensors: dict[str, Tensor], device: torch.device) -> SharedCorpus:
    text: dict[str, Any] = json.loads(tensors[_TEXT].numpy().tobytes())
    splits: dict[str, dict[Any, Rows]] = {
        split: {
            task: Rows(
                tensors[f"{split}.{task}.starts"],
                tensors[f"{split}.{task}.lengths"],
                tensors.get(f"{split}.{task}.labels"),
                tuple(ids),
            )
            for task, ids in tasks.items()
        }
        for split, tasks in text["ids"].items()
    }
    tags = tensors.get("tags")
    corpus = Corpus.placed(text["fingerprint"], tensors["tokens"], tags, splits, device)
    own = Sentences(tensors["own.tokens"], tensors["own.offsets"])
    return SharedCorpus(corpus, own, tuple(text["notes"]))


def _own_text(data: PreparedData) -> Sentences:
    """Return the sentences of all train sets."""
    columns = [(split.sentence1, split.sentence2) for split in data.train.values()]
    return joined(own for pair in columns for own in pair if own is not None)
