from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from tokenizers import Tokenizer
from tokenizers.processors import BertProcessing

from tests.course import TASK_NAMES
from trainable.data.prepare import FeaturedExamples, prepare
from trainable.data.sentences import Sentences, TaskSplit
from trainable.data.sources import SampleData
from trainable.errors import InputError
from trainable.model.pairs import JointPair, NumberCosine, SiamesePair
from trainable.tasks import TaskName
from trainable.training.corpus import Batch, Corpus, Pair, Rows
from trainable.training.inputs import RunInputs
from trainable.training.shared_corpus import build_corpus, with_nli

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
def tokenizer(inputs: RunInputs) -> Tokenizer:
    """The corpus's tokenizer, but adding special tokens and segments itself."""
    tokenizer = Tokenizer.from_str(inputs.pretrained.tokenizer.to_str())
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
    inputs: RunInputs, task: TaskName, pair: Pair, numbers: list[int]
) -> tuple[Batch, list[str]]:
    rows = inputs.corpus.splits["train"][task]
    batch = inputs.corpus.batch("train", {task: torch.tensor(numbers)}, {task: pair})
    assert batch.n_tokens == len(batch.packed.tokens)
    assert batch.packed.cu_seqlens[-1] == batch.n_tokens
    assert batch.packed.cu_seqlens.diff().diff().min() >= 0
    return batch, [rows.ids[number] for number in numbers]


NUMBERS = [7, 3, 150, 0, 3, 99, 42]  # in no order, and one of them twice


def test_single_sentences_are_those_of_the_tokenizer(
    inputs: RunInputs, tokenizer: Tokenizer, examples: dict[TaskName, dict[str, Example]]
) -> None:
    batch, ids = batch_of(inputs, "sst", None, NUMBERS)
    for row, key in zip(batch.rows["sst"].tolist(), ids, strict=True):
        encoding = tokenizer.encode(examples["sst"][key][0])
        assert sequence(batch, row) == (encoding.ids, [0] * len(encoding.ids))


@pytest.mark.parametrize("task", ["para", "sts"])
def test_joined_pairs_with_segments_are_those_of_the_tokenizer(
    inputs: RunInputs,
    tokenizer: Tokenizer,
    examples: dict[TaskName, dict[str, Example]],
    task: TaskName,
) -> None:
    batch, ids = batch_of(inputs, task, JointPair(join="sep_segments"), NUMBERS)
    for row, key in zip(batch.rows[task].tolist(), ids, strict=True):
        encoding = tokenizer.encode(*examples[task][key][:2])
        assert sequence(batch, row) == (encoding.ids, encoding.type_ids)


def test_pairs_joined_by_sep_have_the_same_tokens_in_one_segment(
    inputs: RunInputs, tokenizer: Tokenizer, examples: dict[TaskName, dict[str, Example]]
) -> None:
    batch, ids = batch_of(inputs, "para", JointPair(join="sep"), NUMBERS)
    for row, key in zip(batch.rows["para"].tolist(), ids, strict=True):
        encoding = tokenizer.encode(*examples["para"][key][:2])
        assert sequence(batch, row) == (encoding.ids, [0] * len(encoding.ids))


def test_pairs_joined_by_nothing_are_one_sentence(
    inputs: RunInputs, tokenizer: Tokenizer, examples: dict[TaskName, dict[str, Example]]
) -> None:
    batch, ids = batch_of(inputs, "para", JointPair(join="none"), NUMBERS)
    for row, key in zip(batch.rows["para"].tolist(), ids, strict=True):
        encoding = tokenizer.encode(" ".join(examples["para"][key][:2]))
        assert sequence(batch, row) == (encoding.ids, [0] * len(encoding.ids))


@pytest.mark.parametrize("pair", [SiamesePair(), NumberCosine()], ids=lambda pair: pair.kind)
def test_two_vectors_a_pair_come_from_all_first_then_all_second_sentences(
    inputs: RunInputs,
    tokenizer: Tokenizer,
    examples: dict[TaskName, dict[str, Example]],
    pair: SiamesePair | NumberCosine,
) -> None:
    batch, ids = batch_of(inputs, "sts", pair, NUMBERS)
    assert len(batch.packed.cu_seqlens) - 1 == 2 * len(NUMBERS)
    texts = [examples["sts"][key][side] for side in (0, 1) for key in ids]
    for row, text in zip(batch.rows["sts"].tolist(), texts, strict=True):
        encoding = tokenizer.encode(text)
        assert sequence(batch, row) == (encoding.ids, [0] * len(encoding.ids))


def test_tasks_share_one_pass_and_keep_their_rows_and_labels(
    inputs: RunInputs, tokenizer: Tokenizer, examples: dict[TaskName, dict[str, Example]]
) -> None:
    corpus = inputs.corpus
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


def test_test_examples_come_without_labels(inputs: RunInputs) -> None:
    batch = inputs.corpus.batch("test", {"sst": torch.tensor([0])}, {"sst": None})
    assert batch.labels == {}


def test_rows_count_two_special_tokens_for_each_sentence() -> None:
    single = Rows(torch.tensor([[2, 4]]), torch.tensor([[2, 0]]), None, ("a", "b"))
    assert single.n_tokens == 2 + 2 * 2
    pairs = Rows(torch.zeros(2, 3).long(), torch.tensor([[2, 1, 0], [1, 0, 2]]), None, ())
    assert pairs.n_tokens == 6 + 2 * 6


def test_tokenizer_without_special_tokens_is_refused(inputs: RunInputs) -> None:
    data = prepare(FeaturedExamples(SampleData().load(), None), inputs.pretrained.tokenizer)
    description = inputs.pretrained.tokenizer.to_str().replace("[SEP]", "[END]")
    with pytest.raises(InputError, match=r"no \[CLS\] or no \[SEP\]"):
        build_corpus(data, Tokenizer.from_str(description))


def tags_of(tokens: torch.Tensor) -> torch.Tensor:
    """A tag for each token that says which token it is."""
    return (tokens % 11 + 1).to(torch.uint8)


def tagged(sentences: Sentences) -> Sentences:
    return replace(sentences, tags=tags_of(sentences.tokens))


def tagged_part(part: TaskSplit) -> TaskSplit:
    second = None if part.sentence2 is None else tagged(part.sentence2)
    return replace(part, sentence1=tagged(part.sentence1), sentence2=second)


@pytest.fixture(scope="module")
def tagged_corpus(inputs: RunInputs) -> Corpus:
    tokenizer = inputs.pretrained.tokenizer
    data = prepare(FeaturedExamples(SampleData().load(), None), tokenizer)
    data = replace(
        data,
        train={task: tagged_part(part) for task, part in data.train.items()},
        select={task: tagged_part(part) for task, part in data.select.items()},
    )
    sides = tuple(data.train["sst"].sentence1.select(torch.arange(n, n + 40)) for n in range(3))
    return with_nli(build_corpus(data, tokenizer), (sides[0], sides[1], sides[2]))


@pytest.mark.parametrize("pair", [JointPair(), SiamesePair()], ids=lambda pair: pair.kind)
def test_every_token_keeps_its_tag_and_special_tokens_have_none(
    inputs: RunInputs, tagged_corpus: Corpus, pair: Pair
) -> None:
    special = [inputs.pretrained.tokenizer.token_to_id(name) for name in ("[CLS]", "[SEP]")]
    numbers: dict[TaskName, torch.Tensor] = {name: torch.tensor(NUMBERS) for name in TASK_NAMES}
    packed = tagged_corpus.batch("train", numbers, {"sst": None, "para": pair, "sts": pair}).packed
    assert packed.tags is not None
    is_special = torch.isin(packed.tokens, torch.tensor(special))
    expected = torch.where(is_special, 0, tags_of(packed.tokens).long())
    assert torch.equal(packed.tags, expected)
    plain = inputs.corpus.batch("train", numbers, {"sst": None, "para": pair, "sts": pair})
    assert torch.equal(plain.packed.tokens, packed.tokens)
    assert plain.packed.tags is None


def test_text_that_nobody_tagged_has_no_tags_beside_text_that_somebody_did(
    tagged_corpus: Corpus,
) -> None:
    packed = tagged_corpus.batch("confirm", {"sst": torch.tensor(NUMBERS)}, {"sst": None}).packed
    assert packed.tags is not None
    assert not packed.tags.any()


def test_inference_has_three_sentences_an_example_and_no_label(
    inputs: RunInputs, tagged_corpus: Corpus
) -> None:
    """The sides are sentences n, n + 1 and n + 2 of sentiment."""
    pairs: dict[TaskName, Pair] = {"nli": None, "sst": None}
    numbers = [4, 0, 30]
    asked: dict[TaskName, torch.Tensor] = {"nli": torch.tensor(numbers)}
    batch = tagged_corpus.batch("train", asked, pairs)
    assert batch.labels == {}
    assert len(batch.packed.cu_seqlens) - 1 == len(batch.rows["nli"]) == 9
    expected = [number + side for side in range(3) for number in numbers]
    single = inputs.corpus.batch("train", {"sst": torch.tensor(expected)}, pairs)
    for one, other in zip(batch.rows["nli"].tolist(), single.rows["sst"].tolist(), strict=True):
        assert sequence(batch, one) == sequence(single, other)


def test_with_dev_among_the_train_sets_nothing_is_lost(tagged_corpus: Corpus) -> None:
    joined = tagged_corpus.with_dev_in_train()
    for task in TASK_NAMES:
        parts = [tagged_corpus.splits[split][task] for split in ("train", "select", "confirm")]
        rows = joined.splits["train"][task]
        assert rows.ids == tuple(name for part in parts for name in part.ids)
        labels = [part.labels for part in parts if part.labels is not None]
        assert rows.labels is not None
        assert torch.equal(rows.labels, torch.cat(labels))
        assert joined.splits["select"][task] is tagged_corpus.splits["select"][task]
    assert joined.splits["train"]["nli"] is tagged_corpus.splits["train"]["nli"]
    assert "nli" in tagged_corpus.splits["train"]
    assert len(tagged_corpus.splits["train"]["sst"]) == 3000
