"""The corpus that comes out of the cache is the one that went in."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest
import torch
from tokenizers import Tokenizer
from transformers import AutoTokenizer

import trainable.training.shared_corpus
from tests.course import TASK_NAMES
from tests.trainable.data.relatives import LAYOUTS, TEXTS, write_relative
from trainable.cache.files import CACHE_VARIABLE
from trainable.data.examples import Examples, collect
from trainable.data.nli import SampleNli, triplets
from trainable.data.pos_tags import PosTagger
from trainable.data.prepare import FeaturedExamples, PreparedData, prepare
from trainable.data.schema import to_schema
from trainable.data.sentences import TaskSplit, joined
from trainable.data.sources import SampleData
from trainable.data.tokenize import encode
from trainable.data.tokenizer import load_tokenizer, train_wordpiece
from trainable.model.pairs import Join, JointPair
from trainable.stages.batches import with_special_tokens
from trainable.tasks import COURSE
from trainable.training.corpus import Corpus
from trainable.training.inputs import RunInputs
from trainable.training.shared_corpus import (
    _from_tensors,
    _to_tensors,
    build_corpus,
    open_corpus,
    train_sentences,
    with_nli,
)


class OneTagger:
    """Gives every word the same tag, and counts the sentences."""

    def __init__(self) -> None:
        self.n_sentences = 0

    def tag(self, tokens: list[str]) -> list[tuple[str, str]]:
        self.n_sentences += 1
        return [(token, "NN") for token in tokens]


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))


@pytest.mark.slow
@pytest.mark.parametrize("is_full", [False, True])
def test_every_part_comes_back(
    inputs: RunInputs, monkeypatch: pytest.MonkeyPatch, is_full: bool
) -> None:
    tokenizer = inputs.pretrained.tokenizer
    nli = SampleNli() if is_full else None
    featured = FeaturedExamples(
        SampleData().load(), PosTagger(OneTagger(), "one") if is_full else None
    )
    expected = build_corpus(prepare(featured, tokenizer), tokenizer)
    if nli is not None:
        expected = with_nli(expected, triplets(nli, tokenizer))
    open_corpus(featured, tokenizer, nli)
    monkeypatch.setattr(
        trainable.training.shared_corpus, "prepare", None
    )  # all comes from the file
    corpus = open_corpus(featured, tokenizer, nli)
    assert corpus.fingerprint == expected.fingerprint
    assert corpus.notes == expected.notes
    assert torch.equal(corpus.tokens, expected.tokens)
    assert (corpus.tags is None) == (expected.tags is None) == (not is_full)
    if corpus.tags is not None and expected.tags is not None:
        assert torch.equal(corpus.tags, expected.tags)
    assert corpus.splits.keys() == expected.splits.keys()
    for split, tasks in expected.splits.items():
        assert corpus.splits[split].keys() == tasks.keys()
        for task, rows in tasks.items():
            found = corpus.splits[split][task]
            assert found.ids == rows.ids
            assert torch.equal(found.starts, rows.starts)
            assert torch.equal(found.lengths, rows.lengths)
            assert (found.labels is None) == (rows.labels is None)
            if found.labels is not None and rows.labels is not None:
                assert torch.equal(found.labels, rows.labels)


@pytest.mark.slow
def test_what_is_asked_for_besides_decides_what_is_shared(inputs: RunInputs) -> None:
    tokenizer, examples = inputs.pretrained.tokenizer, SampleData().load()
    plain = open_corpus(FeaturedExamples(examples, None), tokenizer, None)
    tagged = open_corpus(FeaturedExamples(examples, PosTagger(OneTagger(), "one")), tokenizer, None)
    extended = open_corpus(FeaturedExamples(examples, None), tokenizer, SampleNli())
    assert plain.tags is None
    assert tagged.tags is not None
    assert "nli" not in plain.splits["train"]
    assert "nli" in extended.splits["train"]


def examples_of(texts: list[str]) -> Examples:
    table = pa.table(
        {
            "id": [str(number) for number in range(len(texts))],
            "sentence1": texts,
            "sentence2": texts[::-1],
            "label": [1.0] * len(texts),
        }
    )
    splits = {
        task: {
            split: to_schema(table, COURSE[task], split, "test")[0] for split in ("train", "dev")
        }
        for task in TASK_NAMES
    }
    return collect(COURSE, splits, ("a note",))


def test_a_second_start_neither_tokenises_nor_tags_again() -> None:
    texts = [f"the cat sat {number} times ." for number in range(20)]
    tokenizer, tagger = train_wordpiece(texts, 200), OneTagger()
    featured = FeaturedExamples(examples_of([*texts, "cat " * 200]), PosTagger(tagger, "one"))
    first = open_corpus(featured, tokenizer, None)
    # Three tasks of 1 + 2 + 2 sentences, in two splits.
    assert tagger.n_sentences == 5 * 2 * 21
    again = open_corpus(featured, tokenizer, None)
    assert first.tags is not None
    assert again.tags is not None
    assert again.tags.equal(first.tags)
    assert again.notes[:2] == ("a note", "sst-train: 1 sentence cut to 126 tokens")
    # Examples of inference are put behind what is there.
    extended = open_corpus(featured, tokenizer, SampleNli())
    assert extended.tags is not None
    assert extended.tags[: len(first.tags)].equal(first.tags)
    assert not extended.tags[len(first.tags) :].any()
    assert tagger.n_sentences == 5 * 2 * 21
    # What another tagger or another tokenizer says is something else.
    open_corpus(replace(featured, tagger=PosTagger(tagger, "other")), tokenizer, None)
    assert tagger.n_sentences == 2 * 5 * 2 * 21
    smaller = train_wordpiece(texts, tokenizer.get_vocab_size() - 1)
    assert not open_corpus(featured, smaller, None).tokens.equal(first.tokens)
    assert tagger.n_sentences == 3 * 5 * 2 * 21


def test_train_sentences_are_a_view_of_the_tokens() -> None:
    texts = [f"the cat sat {number} times ." for number in range(20)]
    tokenizer = train_wordpiece(texts, 200)
    data = prepare(FeaturedExamples(examples_of(texts), None), tokenizer)
    corpus = build_corpus(data, tokenizer)
    columns = [(own.sentence1, own.sentence2) for own in data.train.values()]
    expected = joined(own for pair in columns for own in pair if own is not None)
    for given in (corpus, with_nli(corpus, triplets(SampleNli(), tokenizer))):
        found = train_sentences(given)
        assert found.tokens.equal(expected.tokens)
        assert found.offsets.equal(expected.offsets)
        assert found.tokens.data_ptr() == given.tokens[2:].data_ptr()


KEY_PARTS = ("texts", "notes", "tokenizer", "tagger", "nli", "nli seed", "tokenizers", "code")


@pytest.mark.parametrize("changed", [None, *KEY_PARTS])
def test_a_corpus_is_laid_out_again_when_any_part_of_its_key_changes(
    changed: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two corpora that differ in one part must not share a file."""
    module = trainable.training.shared_corpus
    seen: list[dict[str, object]] = []

    def remember(kind: str, identity: dict[str, object], compute: object) -> None:
        seen.append(identity)
        raise LookupError

    monkeypatch.setattr(module, "mapped", remember)
    texts = [f"the cat sat {number} times ." for number in range(20)]
    tokenizer = train_wordpiece(texts, 200)
    examples, tagger, nli = examples_of(texts), PosTagger(OneTagger(), "one"), SampleNli()
    with pytest.raises(LookupError):
        open_corpus(FeaturedExamples(examples, tagger), tokenizer, nli)
    if changed == "texts":
        examples = examples_of(texts[:-1])
    elif changed == "notes":
        examples = replace(examples, notes=("another note",))
    elif changed == "tokenizer":
        tokenizer = train_wordpiece(texts, tokenizer.get_vocab_size() - 1)
    elif changed == "tagger":
        tagger = PosTagger(OneTagger(), "other")
    elif changed == "nli seed":
        nli = SampleNli(seed=1)
    elif changed == "tokenizers":
        monkeypatch.setattr(module.tokenizers, "__version__", "0")
    elif changed == "code":
        monkeypatch.setattr(module, "code_digest", lambda *_: "other code")
    with pytest.raises(LookupError):
        open_corpus(
            FeaturedExamples(examples, tagger), tokenizer, None if changed == "nli" else nli
        )
    assert (seen[0] == seen[1]) == (changed is None)


@pytest.mark.parametrize("module", ["tokenize", "split", "examples", "check_splits", "prepare"])
def test_the_code_of_a_corpus_is_that_of_all_modules_that_make_it(
    module: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Path] = []

    def remember(*paths: Path) -> str:
        seen.extend(paths)
        raise LookupError

    monkeypatch.setattr(trainable.training.shared_corpus, "code_digest", remember)
    texts = ["the cat sat"]
    with pytest.raises(LookupError):
        open_corpus(FeaturedExamples(examples_of(texts), None), train_wordpiece(texts, 200), None)
    names = {path.name for path in seen}
    assert {f"{module}.py", "shared_corpus.py", "corpus.py"} <= names
    assert all(path.is_file() for path in seen)


# Tokenizers of other encoders


def corpus_of(sentences: list[str], others: list[str], tokenizer: Tokenizer) -> Corpus:
    """Return a corpus whose train set has a task `one` of the sentences, and one of the pairs."""
    ids = tuple(str(number) for number in range(len(sentences)))
    first, second = encode(sentences, tokenizer), encode(others, tokenizer)
    train = {"one": TaskSplit(ids, first, None, None), "two": TaskSplit(ids, first, second, None)}
    data = PreparedData(train, {}, {}, {}, (), "fingerprint")  # type: ignore[arg-type]
    return _from_tensors(_to_tensors(build_corpus(data, tokenizer)))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_sequences_of_every_encoder_are_those_of_transformers(tmp_path: Path, layout: str) -> None:
    tokenizer = load_tokenizer(write_relative(tmp_path, layout))
    theirs = AutoTokenizer.from_pretrained(tmp_path)
    others = [*TEXTS[3:], *TEXTS[:3]]
    corpus = corpus_of(TEXTS, others, tokenizer)
    assert len(TEXTS) >= 20
    numbers = torch.arange(len(TEXTS))
    expected: dict[tuple[str, Join | None], list[list[int]]] = {
        ("one", None): theirs(TEXTS).input_ids,
        ("two", "sep_segments"): theirs(TEXTS, others).input_ids,
        ("two", "none"): [
            [
                *theirs(text).input_ids[:-1],
                *theirs(other, add_special_tokens=False).input_ids,
                theirs.sep_token_id,
            ]
            for text, other in zip(TEXTS, others, strict=True)
        ],
    }
    expected["two", "sep"] = expected["two", "sep_segments"]
    for (task, join), sequences in expected.items():
        pair = None if join is None else JointPair(join=join)
        batch = corpus.batch("train", {task: numbers}, {task: pair})  # type: ignore[dict-item]
        found = batch.packed.tokens.split(batch.packed.cu_seqlens.diff().tolist())
        rows = batch.rows[task].tolist()  # type: ignore[index]
        assert [found[row].tolist() for row in rows] == sequences, (task, join)
        assert batch.n_tokens == sum(map(len, sequences))
    alone = with_special_tokens(encode(TEXTS, tokenizer), tokenizer)
    parts = [own.tolist() for own in alone.tokens.split(alone.lengths.tolist())]
    assert parts == expected["one", None]


def test_train_sentences_begin_behind_two_separators(tmp_path: Path) -> None:
    tokenizer = load_tokenizer(write_relative(tmp_path, "roberta, tokenizer.json"))
    corpus = corpus_of(TEXTS, TEXTS, tokenizer)
    assert corpus.n_between == 2
    rows = corpus.splits["train"]["one"]  # type: ignore[index]
    corpus = replace(corpus, splits={"train": {"one": rows}, "select": {"one": rows}})  # type: ignore[dict-item]
    found = train_sentences(corpus)
    assert torch.equal(found.tokens, encode(TEXTS, tokenizer).tokens)
