"""The tokenised data on the device, and batches cut from it.

All sentences of all tasks lie in one flat tensor of tokens. A batch is a gather from it: a sequence
has up to five pieces, [CLS] s1 [SEP] s2 [SEP], and the special tokens are elements of the same
tensor; RoBERTa's are <s> s1 </s></s> s2 </s>. No DataLoader, no padding, no Python loop over
examples.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor

from trainable.data.sentences import N_SPECIAL_TOKENS
from trainable.data.split import stratified_part
from trainable.model.packing import Packed, attention_layout, flat_ranges
from trainable.model.pairs import JointPair, Pair
from trainable.tasks import TaskName

Split = str
SPLITS: tuple[Split, ...] = ("train", "select", "confirm", "test")


@dataclass(frozen=True)
class Rows:
    """Positions of the sentences of one task and split in the flat tensor; all on the CPU.

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

    @property
    def n_tokens(self) -> int:
        """Real tokens of one pass in siamese form: each sentence with its two special tokens."""
        return int(self.lengths.sum()) + N_SPECIAL_TOKENS * self.lengths.numel()


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
    rows: dict[TaskName, Tensor]
    labels: dict[TaskName, Tensor]
    n_tokens: int


@dataclass(frozen=True)
class Corpus:
    """All splits of all tasks, ready to be cut into batches; never written to.

    Attributes:
        tokens: (n_tokens,) int32 on the device: [CLS], `n_between` times [SEP], all sentences.
        tags: (n_tokens,) uint8, as `Sentences.tags`; None if nothing was tagged.
        splits: `train`, `select`, `confirm` and `test`; each maps a task to its rows.
        fingerprint: As `PreparedData.fingerprint`.
        notes: What the user should know about the data and the encoder, one sentence each.
        n_between: As in `SpecialTokens`.
    """

    tokens: Tensor
    tags: Tensor | None
    splits: dict[Split, dict[TaskName, Rows]]
    fingerprint: str
    notes: tuple[str, ...]
    n_between: int = 1

    @property
    def device(self) -> torch.device:
        """Device of tokens and batches."""
        return self.tokens.device

    @cached_property
    def select_part(self) -> dict[TaskName, Tensor]:
        """Task -> (n,) int64 numbers of the examples of `stratified_part` of *select*."""
        return {
            task: stratified_part(task, rows.ids, rows.labels)
            for task, rows in self.splits["select"].items()
            if rows.labels is not None
        }

    def to(self, device: torch.device) -> Corpus:
        """Return the corpus on a device; nothing is copied if it is there already."""
        tags = None if self.tags is None else self.tags.to(device)
        return replace(self, tokens=self.tokens.to(device), tags=tags)

    def with_train(self, rows: dict[TaskName, Rows]) -> Corpus:
        """Return a corpus with `rows` added to `train`, in place of rows of the same name."""
        return replace(self, splits={**self.splits, "train": {**self.splits["train"], **rows}})

    def with_dev_in_train(self) -> Corpus:
        """Return a corpus in which `train` also holds the labelled examples of dev."""
        parts = [self.splits[split] for split in ("train", "select", "confirm")]
        return self.with_train(
            {task: _joined([part[task] for part in parts]) for task in self.splits["select"]}
        )

    def batch(
        self, split: Split, examples: dict[TaskName, Tensor], pairs: dict[TaskName, Pair | None]
    ) -> Batch:
        """Return a batch of the given examples.

        Args:
            split: `train`, `select`, `confirm` or `test`.
            examples: Task -> (n,) int64 numbers of examples of that split.
            pairs: Task -> its pair encoding; None if each sentence is a sequence of its own.

        Returns:
            The batch, on the device.
        """
        all_starts, all_lengths, all_segments = [], [], []
        owners: dict[TaskName, tuple[int, int]] = {}
        n_sequences = 0
        for task, numbers in examples.items():
            rows = self.splits[split][task]
            starts, lengths, segments = _sequences(rows, numbers, pairs[task], self.n_between)
            owners[task] = (n_sequences, n_sequences + len(starts))
            n_sequences += len(starts)
            all_starts.append(starts)
            all_lengths.append(lengths)
            all_segments.append(segments)
        starts, lengths = torch.cat(all_starts), torch.cat(all_lengths)
        totals, order = lengths.sum(1).sort(stable=True)
        packed = self._pack(starts[order], lengths[order], torch.cat(all_segments)[order], totals)
        row_of = torch.empty_like(order)  # row of each sequence after sorting by length
        row_of[order] = torch.arange(len(order))
        labels = {}
        for task, numbers in examples.items():
            known = self.splits[split][task].labels
            if known is not None:
                labels[task] = known[numbers].to(self.device)
        return Batch(
            packed,
            {task: row_of[first:last].to(self.device) for task, (first, last) in owners.items()},
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


def _sequences(
    rows: Rows, numbers: Tensor, pair: Pair | None, n_between: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Return starts, lengths and segments of the pieces of each sequence, (n_seqs, 5) int64 each.

    The flat tensor begins with special tokens: [CLS] is the piece at 0, [SEP] the pieces at 1.
    """
    starts, lengths = rows.starts[:, numbers], rows.lengths[:, numbers]  # (n_sentences, n)
    if isinstance(pair, JointPair):
        first_starts, first_lengths = starts[0], lengths[0]
        second_starts, second_lengths = starts[1], lengths[1]
        n_middle = 0 if pair.join == "none" else n_between
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
