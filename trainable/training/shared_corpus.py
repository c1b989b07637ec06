"""The corpus of a run: laid out by the first process of a node, mapped into memory by all."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import tokenizers
import torch
from tokenizers import Tokenizer
from torch import Tensor

import trainable.data
import trainable.training.corpus
from trainable.cache.mapped import code_digest, mapped
from trainable.data.nli import NliSource, Triplets, triplets
from trainable.data.prepare import FeaturedExamples, PreparedData, prepare
from trainable.data.sentences import Sentences
from trainable.data.special_tokens import special_tokens
from trainable.tasks import NLI, TaskName
from trainable.training.corpus import SPLITS, Corpus, Rows, Split

_TEXT = "text"  # name of a tensor that holds the rest of the corpus, as JSON in UTF-8


def open_corpus(featured: FeaturedExamples, tokenizer: Tokenizer, nli: NliSource | None) -> Corpus:
    """Map the corpus, on the CPU; the first process of a node prepares it, the others wait.

    Args:
        featured: The raw examples and their features.
        tokenizer: The encoder's.
        nli: Source of NLI examples for `train`; None for the tasks' examples only.

    Raises:
        InputError: The data cannot be used; the cache cannot be written to.
    """
    folder = Path(trainable.data.__file__).parent
    identity = {
        "data": featured.fingerprint(tokenizer),
        "notes": featured.examples.notes,  # they may be about rows that are not in the data
        "nli": None if nli is None else [nli.kind, nli.fingerprint()],
        "tokenizers": tokenizers.__version__,
        "code": code_digest(
            Path(__file__), Path(trainable.training.corpus.__file__), *folder.glob("*.py")
        ),
    }

    def compute() -> dict[str, Tensor]:
        if nli is None:
            return _to_tensors(build_corpus(prepare(featured, tokenizer), tokenizer))
        sides = triplets(nli, tokenizer)
        return _to_tensors(with_nli(open_corpus(featured, tokenizer, None), sides))

    return _from_tensors(mapped("corpus", identity, compute))


def build_corpus(data: PreparedData, tokenizer: Tokenizer) -> Corpus:
    """Lay all sentences end to end, on the CPU: those of `train` first, task by task.

    Args:
        data: The tokenised splits.
        tokenizer: Its ids of [CLS] and [SEP] become the first tokens of the corpus.

    Raises:
        InputError: As `special_tokens`.
    """
    special = special_tokens(tokenizer)
    header = [special.cls, *[special.sep] * special.n_between]
    parts = (data.train, data.select, data.confirm, data.test)
    splits: dict[Split, dict[TaskName, Rows]] = {split: {} for split in SPLITS}
    end = len(header)
    tokens, tags = [torch.tensor(header, dtype=torch.int32)], [torch.zeros(end, dtype=torch.uint8)]
    for split, tasks in zip(SPLITS, parts, strict=True):
        for task, part in tasks.items():
            columns = [own for own in (part.sentence1, part.sentence2) if own is not None]
            splits[split][task] = Rows(*_spans(columns, end), part.labels, part.ids)
            tokens += [column.tokens for column in columns]
            tags += [_tags(column) for column in columns]
            end += sum(len(column.tokens) for column in columns)
    all_tags = torch.cat(tags)
    return Corpus(
        tokens=torch.cat(tokens),
        tags=all_tags if all_tags.any() else None,
        splits=splits,
        fingerprint=data.fingerprint,
        notes=data.notes,
        n_between=special.n_between,
    )


def with_nli(corpus: Corpus, sides: Triplets) -> Corpus:
    """Return a corpus, on the CPU, in which `train` also holds NLI examples.

    Args:
        corpus: On the CPU.
        sides: Premises, their entailments and their contradictions, n each.
    """
    starts, lengths = _spans(sides, len(corpus.tokens))
    joined = corpus.with_train({NLI: Rows(starts, lengths, None, ())})
    tokens = torch.cat([corpus.tokens, *(side.tokens for side in sides)])
    if corpus.tags is None:
        return replace(joined, tokens=tokens)
    return replace(joined, tokens=tokens, tags=torch.cat([corpus.tags, *map(_tags, sides)]))


def train_sentences(corpus: Corpus) -> Sentences:
    """Return the tasks' train sentences, as a view of the corpus's tokens."""
    train = [corpus.splits["train"][task] for task in corpus.splits["select"]]
    lengths = torch.cat([rows.lengths.flatten() for rows in train])
    offsets = torch.nn.functional.pad(lengths.cumsum(0), (1, 0))
    return Sentences(corpus.tokens[1 + corpus.n_between :][: int(offsets[-1])], offsets)


def _spans(columns: Sequence[Sentences], start: int) -> tuple[Tensor, Tensor]:
    """Return starts and lengths, (n_columns, n) int64 each, of columns laid end to end."""
    starts = []
    for column in columns:
        starts.append(start + column.offsets[:-1])
        start += len(column.tokens)
    return torch.stack(starts), torch.stack([column.lengths for column in columns])


def _tags(sentences: Sentences) -> Tensor:
    """Return the tags, (n_tokens,) uint8; zeros if nothing was tagged."""
    if sentences.tags is not None:
        return sentences.tags
    return torch.zeros(len(sentences.tokens), dtype=torch.uint8)


def _to_tensors(corpus: Corpus) -> dict[str, Tensor]:
    tensors: dict[str, Tensor | None] = {"tokens": corpus.tokens, "tags": corpus.tags}
    ids: dict[str, tuple[str, ...]] = {}
    for split, tasks in corpus.splits.items():
        for task, rows in tasks.items():
            name = f"{split}.{task}"
            tensors[f"{name}.starts"] = rows.starts
            tensors[f"{name}.lengths"] = rows.lengths
            tensors[f"{name}.labels"] = rows.labels
            ids[name] = rows.ids
    text = {
        "fingerprint": corpus.fingerprint,
        "notes": corpus.notes,
        "ids": ids,
        "n_between": corpus.n_between,
    }
    tensors[_TEXT] = torch.frombuffer(bytearray(json.dumps(text).encode()), dtype=torch.uint8)
    return {name: tensor for name, tensor in tensors.items() if tensor is not None}


def _from_tensors(tensors: dict[str, Tensor]) -> Corpus:
    text: dict[str, Any] = json.loads(tensors[_TEXT].numpy().tobytes())
    splits: dict[Split, dict[Any, Rows]] = {split: {} for split in SPLITS}
    for name, ids in text["ids"].items():
        split, task = name.split(".", 1)
        splits[split][task] = Rows(
            tensors[f"{name}.starts"],
            tensors[f"{name}.lengths"],
            tensors.get(f"{name}.labels"),
            tuple(ids),
        )
    return Corpus(
        tensors["tokens"],
        tensors.get("tags"),
        splits,
        text["fingerprint"],
        tuple(text["notes"]),
        text["n_between"],
    )
