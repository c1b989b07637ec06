"""The prepared data on the device, and batches cut from it.

All sentences of all tasks lie in one flat tensor of tokens. A batch is a gather from it: each
sequence is a row of at most five pieces, [CLS] s1 [SEP] s2 [SEP], and the special tokens are rows
of the same tensor. No DataLoader, no padding, no Python loop over examples.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from tokenizers import Tokenizer
from torch import Tensor

from trainable.data.prepare import PreparedData
from trainable.data.store import Sentences, TaskSplit
from trainable.errors import InputError
from trainable.packing import Packed, attention_layout, flat_ranges
from trainable.pairs import JointPair, ParaPair, StsPair
from trainable.tasks import TrainName

Split = str
Pair = ParaPair | StsPair | None


@dataclass(frozen=True)
class Rows:
    """Where the sentences of one task and split lie in the flat tensor; all on the CPU.

    Attributes:
        starts: (n_sentences, n_examples) int64.
        lengths: (n_sentences, n_examples) int64.
        labels: (n_examples,) float32, or None for a test split and for NLI.
        ids: n_examples ids, none for NLI.
    """

    starts: Tensor
    lengths: Tensor
    labels: Tensor | None
    ids: tuple[str, ...]

    def __len__(self) -> int:
        return self.starts.shape[1]


@dataclass(frozen=True)
class Batch:
    """Examples of one or more tasks, for one encoder pass.

    Attributes:
        packed: The sequences.
        rows: Task -> (n_sequences_of_the_task,) int64 rows of the packed sequences. For two
            vectors a pair, all first sentences come before all second ones.
        labels: Task -> (n_examples,) float32; absent for test splits and for NLI.
        n_tokens: Real tokens, special tokens included.
    """

    packed: Packed
    rows: dict[TrainName, Tensor]
    labels: dict[TrainName, Tensor]
    n_tokens: int


class Corpus:
    """All splits of all tasks, ready to be cut into batches.

    Args:
        data: Prepared data.
        tokenizer: Gives the ids of [CLS] and [SEP].
        device: Where tokens and batches live.
        nli: Premises, their entailments and their contradictions, n each; None if nobody asks.
    """

    def __init__(
        self,
        data: PreparedData,
        tokenizer: Tokenizer,
        device: torch.device,
        nli: tuple[Sentences, Sentences, Sentences] | None = None,
    ) -> None:
        self.device = device
        self.fingerprint = data.fingerprint
        self._tokens: list[Tensor] = []
        self._tags: list[Tensor] = []
        self._n_tokens = 0
        special = [tokenizer.token_to_id(token) for token in ("[CLS]", "[SEP]")]
        if None in special:
            raise InputError("the tokenizer has no [CLS] or no [SEP]; give a BERT tokenizer")
        self._append(torch.tensor(special, dtype=torch.int32), None)
        parts = {
            "train": data.train,
            "select": data.select,
            "confirm": data.confirm,
            "test": data.test,
        }
        self.splits: dict[Split, dict[TrainName, Rows]] = {
            split: {task: self._place(part) for task, part in tasks.items()}
            for split, tasks in parts.items()
        }
        if nli is not None:
            starts, lengths = self._spans(nli)
            self.splits["train"]["nli"] = Rows(starts, lengths, None, ())
        self.tokens = torch.cat(self._tokens).to(device)
        tags = torch.cat(self._tags)
        self.tags = tags.to(device) if tags.any() else None

    @classmethod
    def placed(
        cls,
        fingerprint: str,
        tokens: Tensor,
        tags: Tensor | None,
        splits: dict[Split, dict[TrainName, Rows]],
        device: torch.device,
    ) -> Corpus:
        """Return the corpus whose parts another process has laid out; on the CPU nothing is copied.

        Args:
            fingerprint: As `PreparedData.fingerprint`.
            tokens: (n_tokens,) int32; it begins with [CLS], [SEP].
            tags: (n_tokens,) uint8, or None.
            splits: Where sentences lie in it.
            device: Where tokens and batches live.
        """
        corpus = cls.__new__(cls)
        corpus.device, corpus.fingerprint, corpus.splits = device, fingerprint, splits
        corpus.tokens = tokens.to(device)
        corpus.tags = None if tags is None else tags.to(device)
        return corpus

    def with_dev_in_train(self) -> Corpus:
        """Return a view in which `train` holds the labelled examples of dev, too."""
        other = copy.copy(self)
        parts = [self.splits[split] for split in ("train", "select", "confirm")]
        merged = {task: _joined([part[task] for part in parts]) for task in self.splits["select"]}
        other.splits = {**self.splits, "train": {**self.splits["train"], **merged}}
        return other

    def _append(self, tokens: Tensor, tags: Tensor | None) -> int:
        """Put tokens, and their tags if they have some, behind the others; return their start."""
        start = self._n_tokens
        self._tokens.append(tokens)
        self._tags.append(torch.zeros(len(tokens), dtype=torch.uint8) if tags is None else tags)
        self._n_tokens += len(tokens)
        return start

    def _spans(self, columns: Sequence[Sentences]) -> tuple[Tensor, Tensor]:
        """Append columns of n sentences; return their starts and lengths, (n_columns, n) each."""
        starts = [self._append(own.tokens, own.tags) + own.offsets[:-1] for own in columns]
        return torch.stack(starts), torch.stack([column.lengths for column in columns])

    def _place(self, part: TaskSplit) -> Rows:
        second = () if part.sentence2 is None else (part.sentence2,)
        starts, lengths = self._spans((part.sentence1, *second))
        return Rows(starts, lengths, part.labels, part.ids)

    def batch(
        self, split: Split, examples: dict[TrainName, Tensor], pairs: dict[TrainName, Pair]
    ) -> Batch:
        """Cut a batch.

        Args:
            split: `train`, `select`, `confirm` or `test`.
            examples: Task -> (n,) int64 numbers of examples of that split.
            pairs: Task -> its pair encoding; None for a task with one sentence.

        Returns:
            The batch, on the device.
        """
        all_starts, all_lengths, all_segments = [], [], []
        owners: dict[TrainName, tuple[int, int]] = {}
        n_sequences = 0
        for task, numbers in examples.items():
            rows = self.splits[split][task]
            starts, lengths, segments = _sequences(rows, numbers, pairs[task])
            owners[task] = (n_sequences, n_sequences + len(starts))
            n_sequences += len(starts)
            all_starts.append(starts)
            all_lengths.append(lengths)
            all_segments.append(segments)
        starts, lengths = torch.cat(all_starts), torch.cat(all_lengths)
        totals, order = lengths.sum(1).sort(stable=True)
        packed = self._pack(starts[order], lengths[order], torch.cat(all_segments)[order], totals)
        place = torch.empty_like(order)
        place[order] = torch.arange(len(order))
        labels = {}
        for task, numbers in examples.items():
            known = self.splits[split][task].labels
            if known is not None:
                labels[task] = known[numbers].to(self.device)
        return Batch(
            packed,
            {task: place[first:last].to(self.device) for task, (first, last) in owners.items()},
            labels,
            int(totals.sum()),
        )

    def _pack(self, starts: Tensor, lengths: Tensor, segments: Tensor, totals: Tensor) -> Packed:
        """Gather sequences from their pieces, (n_seqs, 5) each."""
        sources = flat_ranges(starts.flatten(), lengths.flatten())
        cu_seqlens = torch.nn.functional.pad(totals.cumsum(0), (1, 0))
        sequence_of_token = torch.repeat_interleave(totals)
        positions = torch.arange(len(sources)) - cu_seqlens[sequence_of_token]
        segment_of_token = torch.repeat_interleave(segments.flatten(), lengths.flatten())
        sources = sources.to(self.device)
        return Packed(
            tokens=self.tokens[sources].long(),
            tags=None if self.tags is None else self.tags[sources].long(),
            segments=segment_of_token.to(self.device),
            positions=positions.to(self.device),
            cu_seqlens=cu_seqlens.to(self.device),
            sequence_of_token=sequence_of_token.to(self.device),
            attention=attention_layout(totals, self.device),
        )


def _joined(parts: list[Rows]) -> Rows:
    labels = [part.labels for part in parts if part.labels is not None]
    return Rows(
        torch.cat([part.starts for part in parts], dim=1),
        torch.cat([part.lengths for part in parts], dim=1),
        torch.cat(labels),
        tuple(i for part in parts for i in part.ids),
    )


def _sequences(rows: Rows, numbers: Tensor, pair: Pair) -> tuple[Tensor, Tensor, Tensor]:
    """Return starts, lengths and segments of the pieces of each sequence, (n_seqs, 5) int64 each.

    The flat tensor begins with [CLS], [SEP]: a special token is a piece of length 1 at 0 or 1.
    """
    starts, lengths = rows.starts[:, numbers], rows.lengths[:, numbers]  # (n_sentences, n)
    if isinstance(pair, JointPair):
        first_starts, first_lengths = starts[0], lengths[0]
        second_starts, second_lengths = starts[1], lengths[1]
        n_middle = 0 if pair.join == "none" else 1
        second_segment = 1 if pair.join == "sep_segments" else 0
    else:
        first_starts, first_lengths = starts.flatten(), lengths.flatten()
        second_starts = second_lengths = torch.zeros_like(first_starts)
        n_middle = second_segment = 0
    cls, sep, one = (torch.full_like(first_starts, value) for value in (0, 1, 1))
    piece_starts = torch.stack([cls, first_starts, sep, second_starts, sep], dim=1)
    piece_lengths = torch.stack(
        [one, first_lengths, torch.full_like(one, n_middle), second_lengths, one], dim=1
    )
    segments = torch.tensor([0, 0, 0, second_segment, second_segment]).expand(len(one), 5)
    return piece_starts, piece_lengths, segments
