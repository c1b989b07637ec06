"""From a source to tensors, and the sources' configuration."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pyarrow as pa
import pytest
import torch
from pydantic import TypeAdapter, ValidationError

from trainable.data import prepare as module
from trainable.data.examples import Examples, collect
from trainable.data.features import PLAIN, InputFeatures
from trainable.data.pos_tags import PosTagger
from trainable.data.prepare import FeaturedExamples, add_features, prepare
from trainable.data.sample import N_EXAMPLES, generate_sample
from trainable.data.schema import to_schema
from trainable.data.sources import Cs224nData, DataSource, HubData, SampleData
from trainable.data.synonyms import Lexicon
from trainable.data.tokenizer import tokenizer_digest, train_wordpiece
from trainable.tasks import COURSE

adapter: TypeAdapter[DataSource] = TypeAdapter(DataSource)


@pytest.mark.parametrize("source", [SampleData(seed=3), Cs224nData(dir="x"), HubData()])
def test_sources_survive_json(source: DataSource) -> None:
    assert adapter.validate_json(source.model_dump_json()) == source


def test_unknown_source_or_key_is_refused() -> None:
    for bad in ({"kind": "smaple"}, {"kind": "sample", "sed": 1}, {"kind": "cs224n"}):
        with pytest.raises(ValidationError):
            adapter.validate_python(bad)


def few_examples() -> Examples:
    texts = [f"the big dog sleeps {number} times ." for number in range(20)]
    table = pa.table(
        {
            "id": [str(number) for number in range(20)],
            "sentence1": texts,
            "sentence2": texts[::-1],
            "label": [1.0] * 20,
        }
    )
    splits = {
        task: {
            split: to_schema(table, COURSE[task], split, "a test")[0] for split in ("train", "dev")
        }
        for task in COURSE
    }
    return collect(COURSE, splits)


def test_features_change_what_they_say_and_the_fingerprint(
    tagger: PosTagger, monkeypatch: pytest.MonkeyPatch
) -> None:
    lexicon = Lexicon("small", lambda word: ("large", "great") if word == "big" else (), "small")
    monkeypatch.setattr(module, "load_tagger", lambda: tagger)
    monkeypatch.setattr(module, "load_wordnet", lambda: lexicon)
    examples = few_examples()
    tokenizer = train_wordpiece(examples.train_sentences(), 200)
    fingerprints = set()
    for pos_tags in (False, True):
        for copies in (0, 1, 2):
            features = InputFeatures(pos_tags=pos_tags, synonym_copies=copies)
            data = prepare(add_features(examples, features), tokenizer)
            fingerprints.add(data.fingerprint)
            assert len(data.notes) == (3 if copies else 0)
            for parts in (data.train, data.select, data.confirm):
                tags = parts["sts"].sentence1.tags
                assert (tags is not None) == pos_tags
            n_train = len(data.train["para"])
            assert (n_train == 20) if copies == 0 else (20 * copies <= n_train <= 20 + 20 * copies)
            assert len(data.select["para"]) + len(data.confirm["para"]) == 20
    assert len(fingerprints) == 6


def test_without_features_nothing_is_loaded_and_the_fingerprint_stays(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "load_tagger", None)
    monkeypatch.setattr(module, "load_wordnet", None)
    examples = few_examples()
    tokenizer = train_wordpiece(examples.train_sentences(), 200)
    # As it was before there were features, so that results of that time are found again.
    key = f"{examples.fingerprint}:{tokenizer_digest(tokenizer)}"
    expected = hashlib.sha256(key.encode()).hexdigest()[:16]
    assert prepare(add_features(examples, PLAIN), tokenizer).fingerprint == expected
    assert prepare(add_features(examples, InputFeatures()), tokenizer).fingerprint == expected


def test_notes_of_the_source_and_of_the_tokenizer_are_both_kept() -> None:
    rows = [(str(n), "a dog " * 100 if n == 3 else "a dog", "a cat", 1.0) for n in range(20)]
    names = ("id", "sentence1", "sentence2", "label")
    table = pa.table({name: [row[i] for row in rows] for i, name in enumerate(names)})
    splits = {
        name: {split: to_schema(table, task, split, "a test")[0] for split in ("train", "dev")}
        for name, task in COURSE.items()
    }
    examples = collect(COURSE, splits, ("a note",))
    tokenizer = train_wordpiece(examples.train_sentences(), 200)
    first, *others = prepare(add_features(examples, PLAIN), tokenizer).notes
    assert first == "a note"
    assert len(others) == 2 * len(COURSE)
    assert all("1 sentence cut to" in note for note in others)


@pytest.mark.slow
def test_sample_is_ready_for_a_run() -> None:
    examples = SampleData().load()
    tokenizer = train_wordpiece(examples.train_sentences(), 1000)
    data = prepare(FeaturedExamples(examples, None), tokenizer)
    assert data.notes == ()
    for task, split in data.train.items():
        assert len(split) == N_EXAMPLES[task]["train"]
        assert len(data.select[task]) + len(data.confirm[task]) == 600
        assert not set(data.select[task].ids) & set(data.confirm[task].ids)
        assert data.test[task].labels is None
        assert tokenizer.token_to_id("[UNK]") not in split.sentence1.tokens
    again = prepare(FeaturedExamples(generate_sample(0), None), tokenizer)
    assert again.fingerprint == data.fingerprint
    assert torch.equal(again.train["sts"].sentence1.tokens, data.train["sts"].sentence1.tokens)
    other = FeaturedExamples(SampleData(seed=1).load(), None)
    assert other.fingerprint(tokenizer) != data.fingerprint


@pytest.mark.slow
def test_real_course_files_are_ready_for_a_run(real_course: Path) -> None:
    examples = Cs224nData(dir=str(real_course)).load()
    tokenizer = train_wordpiece(examples.train_sentences(), 8000)
    data = prepare(FeaturedExamples(examples, None), tokenizer)
    assert "quora-train.csv: 1 row without a label dropped" in data.notes
    for task in data.train:
        n_dev = len(data.select[task]) + len(data.confirm[task])
        assert 0.45 < len(data.confirm[task]) / n_dev < 0.55
        assert data.train[task].sentence1.lengths.max() <= 126
