"""The contestants of `step.py`: this project, and two ways to write its step with transformers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import torch
import torch.nn.functional as F
import transformers
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from tests.course import TASK_NAMES
from trainable.data.sources import Cs224nData
from trainable.run_config import RunConfig
from trainable.tasks import COURSE, TaskName
from trainable.training.inputs import RunInputs
from trainable.training.loop import Run
from trainable.training.multitask_bert import pair_encodings

Drawn = dict[TaskName, list[int]]  # task -> indices into its train split
Texts = dict[TaskName, tuple[list[str], list[str], Tensor]]  # first, second sentences, labels
N_OUTPUTS: dict[TaskName, int] = {"sst": 5, "para": 1, "sts": 1}


def load_texts(data: Cs224nData) -> Texts:
    """Return the train splits as text, in the order of `RunInputs.corpus`."""
    texts: Texts = {}
    for task, splits in data.load().splits.items():
        train = splits["train"]
        labels = torch.tensor(train["label"][:])
        texts[task] = train["sentence1"][:], train["sentence2"][:], labels
    return texts


@dataclass(frozen=True)
class Work:
    """Size of one step.

    Attributes:
        n_tokens: Real tokens, special tokens included.
        n_padded: Tokens that were computed, padding included.
    """

    n_tokens: int
    n_padded: int


class Contestant(Protocol):
    """One way to write a training step."""

    def step(self, drawn: Drawn) -> Work:
        """Train once on the drawn examples."""


class Ours:
    """A: this project. The run draws the same examples by itself, from the same seed."""

    def __init__(self, config: RunConfig, inputs: RunInputs) -> None:
        self.run = Run(config, inputs)
        self.run.model.train()
        assert self.run.training is not None
        self.training = self.run.training

    def step(self, drawn: Drawn) -> Work:
        """See `Contestant`."""
        before = self.run.tokens
        self.training.step()
        return Work(self.run.tokens - before, self.run.tokens - before)

    def losses(self, drawn: Drawn) -> dict[TaskName, Tensor]:
        """Return the loss of each task, a scalar, on the drawn examples."""
        numbers = {task: torch.tensor(own) for task, own in drawn.items()}
        batch = self.run.inputs.corpus.batch("train", numbers, pair_encodings(self.run.config))
        return self.training._losses(batch)


class Padded(nn.Module):
    """B, or C where `siamese`: transformers' BertModel with a linear head for each task.

    Args:
        config: That of A: encoder, dropout, precision and optimization are the same.
        texts: Task -> first sentences, second sentences, labels of the train split.
        device: `cpu` or `cuda`.
        siamese: Encode the two sentences of a pair apart, as C does; B joins them.
    """

    def __init__(self, config: RunConfig, texts: Texts, device: str, siamese: bool) -> None:
        super().__init__()
        self.texts, self.device, self.siamese = texts, device, siamese
        assert config.multitask is not None
        self.optimization = config.multitask.optimization
        self.autocast = config.multitask.precision == "bf16"
        source, revision = config.encoder.source, config.encoder.revision or "main"
        self.tokenizer: Any = transformers.AutoTokenizer.from_pretrained(source, revision=revision)
        self.encoder: Any = transformers.BertModel.from_pretrained(
            source,
            revision=revision,
            add_pooling_layer=siamese,
            attn_implementation="eager" if siamese else "sdpa",
            hidden_dropout_prob=config.encoder.dropout,
            attention_probs_dropout_prob=config.encoder.attention_dropout,
        )
        width = self.encoder.config.hidden_size
        n_parts = {task: 3 if siamese and COURSE[task].is_pair else 1 for task in TASK_NAMES}
        self.heads = nn.ModuleDict(
            {task: nn.Linear(n_parts[task] * width, N_OUTPUTS[task]) for task in TASK_NAMES}
        )
        self.dropout = nn.Dropout(config.tasks["sst"].dropout)
        self.to(device).train()
        self.optimizer = self._adamw()
        self.prepared: dict[tuple[TaskName, int], tuple[Tensor, Tensor]] = {}

    def _adamw(self) -> torch.optim.AdamW:
        settings = self.optimization
        groups = []
        for module, lr in ((self.encoder, settings.lr), (self.heads, settings.head_lr)):
            for matrices in (True, False):
                chosen = [p for p in module.parameters() if (p.ndim > 1) == matrices]
                decay = settings.weight_decay if matrices else 0.0
                groups.append({"params": chosen, "lr": lr, "weight_decay": decay})
        return torch.optim.AdamW(groups, fused=not self.siamese, foreach=False)

    def prepare(self, plan: list[Drawn]) -> None:
        """Tokenize the examples of all steps beforehand, as B does."""
        for drawn in plan:
            for task, numbers in drawn.items():
                encoded = self._tokenize(task, numbers, self._second(task, numbers))
                for number, ids, segments in zip(
                    numbers, encoded["input_ids"], encoded["token_type_ids"], strict=True
                ):
                    self.prepared[task, number] = torch.tensor(ids), torch.tensor(segments)

    def _second(self, task: TaskName, numbers: list[int]) -> list[str] | None:
        return [self.texts[task][1][n] for n in numbers] if COURSE[task].is_pair else None

    def _tokenize(
        self, task: TaskName, numbers: list[int], second: list[str] | None, **padding: Any
    ) -> Any:
        return self.tokenizer([self.texts[task][0][n] for n in numbers], second, **padding)

    def _joint(self, task: TaskName, numbers: list[int]) -> list[dict[str, Tensor]]:
        """Collate as B does: one padded batch in which pairs are joined."""
        ids, segments = zip(*(self.prepared[task, n] for n in numbers), strict=True)
        lengths = torch.tensor([len(i) for i in ids])
        padded = {
            "input_ids": pad_sequence(list(ids), batch_first=True),
            "token_type_ids": pad_sequence(list(segments), batch_first=True),
            "attention_mask": (torch.arange(int(lengths.max())) < lengths[:, None]).long(),
        }
        return [padded]

    def _sides(self, task: TaskName, numbers: list[int]) -> list[dict[str, Tensor]]:
        """Collate as C does: one padded batch for each sentence of a pair."""
        sides = (0, 1) if COURSE[task].is_pair else (0,)
        texts = [[self.texts[task][side][n] for n in numbers] for side in sides]
        return [dict(self.tokenizer(own, padding=True, return_tensors="pt")) for own in texts]

    def losses(self, drawn: Drawn) -> tuple[dict[TaskName, Tensor], Work]:
        """Return the loss of each task, a scalar, and the size of the step."""
        losses: dict[TaskName, Tensor] = {}
        real = padded = 0
        for task, numbers in drawn.items():
            batches = (self._sides if self.siamese else self._joint)(task, numbers)
            real += sum(int(b["attention_mask"].sum()) for b in batches)
            padded += sum(b["attention_mask"].numel() for b in batches)
            labels = self.texts[task][2][numbers].to(self.device)
            with torch.autocast(self.device, torch.bfloat16, enabled=self.autocast):
                vectors = [self.dropout(self._encode(batch)) for batch in batches]
                if len(vectors) == 2:
                    vectors.append((vectors[0] - vectors[1]).abs())
                outputs = self.heads[task](torch.cat(vectors, 1)).float()
            if task == "sst":
                losses[task] = F.cross_entropy(outputs, labels.long())
            else:
                target = labels / COURSE[task].high
                losses[task] = F.binary_cross_entropy_with_logits(outputs[:, 0], target)
        return losses, Work(real, padded)

    def _encode(self, batch: dict[str, Tensor]) -> Tensor:
        states = self.encoder(**{name: tensor.to(self.device) for name, tensor in batch.items()})
        return states.pooler_output if self.siamese else states.last_hidden_state[:, 0]  # type: ignore[no-any-return]

    def step(self, drawn: Drawn) -> Work:
        """See `Contestant`."""
        losses, work = self.losses(drawn)
        self.optimizer.zero_grad(set_to_none=True)
        torch.stack(list(losses.values())).sum().backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.parameters(), self.optimization.clip.max_norm)
        self.optimizer.step()
        return work
