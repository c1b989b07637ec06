from __future__ import annotations

import pytest
import torch
from tokenizers import Tokenizer
from tokenizers.processors import BertProcessing

from trainable.corpus import Batch, Corpus, Pair
from trainable.data.prepare import prepare
from trainable.data.sources import SampleData
from trainable.errors import InputError
from trainable.pairs import CosinePair, JointPair, SiamesePair
from trainable.tasks import TASK_NAMES, TaskName
from trainable.workbench import Workbench

Example = tuple[str, str, float]


@pytest.fixture(scope="module")
def examples() -> dict[TaskName, dict[str, Example]]:
    """Task -> id -> sentences and label of the train split, as the source gives them."""
    splits = SampleData().load().splits
    return {
        task: {
            row["id"]: (row["sentence1"], row["sentence2"], row["label"])
            for row in splits[task]["train"].select(range(200))
        }
        for task in TASK_NAMES
    }


@pytest.fixture(scope="module")
def tokenizer(workbench: Workbench) -> Tokenizer:
    """The corpus's tokenizer, but adding special tokens and segments itself."""
    tokenizer = Tokenizer.from_str(workbench.pretrained.tokenizer.to_str())
    cls, sep = tokenizer.token_to_id("[CLS]"), tokenizer.token_to_id("[SEP]")
    assert cls is not None
    assert sep is not None
    tokenizer.post_processor = BertProcessing(("[SEP]", sep), ("[CLS]", cls))
    return tokenizer


def sequence(batch: Batch, row: int) -> tuple[list[int], list[int]]:
    """Return tokens and segments of one packed sequence, and check the rest of it."""
    packed = batch.packed
    first, last = packed.cu_seqlens[row : row + 2].tolist()
    assert packed.positions[first:last].tolist() == list(range(last - first))
    assert packed.sequence_of_token[first:last].tolist() == [row] * (last - first)
    return packed.tokens[first:last].tolist(), packed.segments[first:last].tolist()


def batch_of(
    workbench: Workbench, task: TaskName, pair: Pair, numbers: list[int]
) -> tuple[Batch, list[str]]:
    rows = workbench.corpus.splits["train"][task]
    batch = workbench.corpus.batch("train", {task: torch.tensor(numbers)}, {task: pair})
    assert batch.n_tokens == len(batch.packed.tokens)
    assert batch.packed.cu_seqlens[-1] == batch.n_tokens
    assert batch.packed.cu_seqlens.diff().diff().min() >= 0
    return batch, [rows.ids[number] for number in numbers]


NUMBERS = [7, 3, 150, 0, 3, 99, 42]  # in no order, and one of them twice


def test_single_sentences_are_those_of_the_tokenizer(
    workbench: Workbench, tokenizer: Tokenizer, examples: dict[TaskName, dict[str, Example]]
) -> None:
    batch, ids = batch_of(workbench, "sst", None, NUMBERS)
    for row, key in zip(batch.rows["sst"].tolist(), ids, strict=True):
        encoding = tokenizer.encode(examples["sst"][key][0])
        assert sequence(batch, row) == (encoding.ids, [0] * len(encoding.ids))


@pytest.mark.parametrize("task", ["para", "sts"])
def test_joined_pairs_with_segments_are_those_of_the_tokenizer(
    workbench: Workbench,
    tokenizer: Tokenizer,
    examples: dict[TaskName, dict[str, Example]],
    task: TaskName,
) -> None:
    batch, ids = batch_of(workbench, task, JointPair(join="sep_segments"), NUMBERS)
    for row, key in zip(batch.rows[task].tolist(), ids, strict=True):
        encoding = tokenizer.encode(*examples[task][key][:2])
        assert sequence(batch, row) == (encoding.ids, encoding.type_ids)


def test_pairs_joined_by_sep_have_the_same_tokens_in_one_segment(
    workbench: Workbench, tokenizer: Tokenizer, examples: dict[TaskName, dict[str, Example]]
) -> None:
    batch, ids = batch_of(workbench, "para", JointPair(join="sep"), NUMBERS)
    for row, key in zip(batch.rows["para"].tolist(), ids, strict=True):
        encoding = tokenizer.encode(*examples["para"][key][:2])
        assert sequence(batch, row) == (encoding.ids, [0] * len(encoding.ids))


def test_pairs_joined_by_nothing_are_one_sentence(
    workbench: Workbench, tokenizer: Tokenizer, examples: dict[TaskName, dict[str, Example]]
) -> None:
    batch, ids = batch_of(workbench, "para", JointPair(join="none"), NUMBERS)
    for row, key in zip(batch.rows["para"].tolist(), ids, strict=True):
        encoding = tokenizer.encode(" ".join(examples["para"][key][:2]))
        assert sequence(batch, row) == (encoding.ids, [0] * len(encoding.ids))


@pytest.mark.parametrize("pair", [SiamesePair(), CosinePair()], ids=lambda pair: pair.kind)
def test_two_vectors_a_pair_come_from_all_first_then_all_second_sentences(
    workbench: Workbench,
    tokenizer: Tokenizer,
    examples: dict[TaskName, dict[str, Example]],
    pair: SiamesePair | CosinePair,
) -> None:
    batch, ids = batch_of(workbench, "sts", pair, NUMBERS)
    assert len(batch.packed.cu_seqlens) - 1 == 2 * len(NUMBERS)
    texts = [examples["sts"][key][side] for side in (0, 1) for key in ids]
    for row, text in zip(batch.rows["sts"].tolist(), texts, strict=True):
        encoding = tokenizer.encode(text)
        assert sequence(batch, row) == (encoding.ids, [0] * len(encoding.ids))


def test_tasks_share_one_pass_and_keep_their_rows_and_labels(
    workbench: Workbench, tokenizer: Tokenizer, examples: dict[TaskName, dict[str, Example]]
) -> None:
    corpus = workbench.corpus
    numbers: dict[TaskName, list[int]] = {"sst": [5, 1], "para": [8, 2, 30], "sts": [60, 61]}
    pairs: dict[TaskName, Pair] = {"sst": None, "para": SiamesePair(), "sts": JointPair()}
    batch = corpus.batch("train", {t: torch.tensor(n) for t, n in numbers.items()}, pairs)
    all_rows = torch.cat(list(batch.rows.values()))
    assert sorted(all_rows.tolist()) == list(range(len(batch.packed.cu_seqlens) - 1))
    assert {task: len(rows) for task, rows in batch.rows.items()} == {"sst": 2, "para": 6, "sts": 2}
    for task, own in numbers.items():
        originals = [examples[task][corpus.splits["train"][task].ids[n]] for n in own]
        assert batch.labels[task].tolist() == pytest.approx([label for *_, label in originals])
        for row, (sentence, second, _) in zip(batch.rows[task].tolist(), originals, strict=False):
            encoding = tokenizer.encode(sentence, second if task == "sts" else None)
            assert sequence(batch, row) == (encoding.ids, encoding.type_ids)


def test_test_examples_come_without_labels(workbench: Workbench) -> None:
    batch = workbench.corpus.batch("test", {"sst": torch.tensor([0])}, {"sst": None})
    assert batch.labels == {}


def test_tokenizer_without_special_tokens_is_refused(workbench: Workbench) -> None:
    data = prepare(SampleData().load(), workbench.pretrained.tokenizer)
    description = workbench.pretrained.tokenizer.to_str().replace("[SEP]", "[END]")
    with pytest.raises(InputError, match=r"no \[CLS\] or no \[SEP\]"):
        Corpus(data, Tokenizer.from_str(description), torch.device("cpu"))
