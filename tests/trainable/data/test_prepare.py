"""From a source to tensors, and the sources' configuration."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from pydantic import TypeAdapter, ValidationError

from trainable.data.prepare import prepare
from trainable.data.sample import N_EXAMPLES
from trainable.data.sources import Cs224nData, DataSource, HubData, SampleData
from trainable.data.tokenize import train_wordpiece

adapter: TypeAdapter[DataSource] = TypeAdapter(DataSource)


@pytest.mark.parametrize("source", [SampleData(seed=3), Cs224nData(dir="x"), HubData()])
def test_sources_survive_json(source: DataSource) -> None:
    assert adapter.validate_json(source.model_dump_json()) == source


def test_unknown_source_or_key_is_refused() -> None:
    for bad in ({"kind": "smaple"}, {"kind": "sample", "sed": 1}, {"kind": "cs224n"}):
        with pytest.raises(ValidationError):
            adapter.validate_python(bad)


@pytest.mark.slow
def test_sample_is_ready_for_a_run() -> None:
    examples = SampleData().load()
    tokenizer = train_wordpiece(examples.train_sentences(), 1000)
    data = prepare(examples, tokenizer)
    assert data.notes == ()
    assert data.n_train_tokens == sum(split.n_tokens for split in data.train.values())
    for task, split in data.train.items():
        assert len(split) == N_EXAMPLES[task]["train"]
        assert len(data.select[task]) + len(data.confirm[task]) == 600
        assert not set(data.select[task].ids) & set(data.confirm[task].ids)
        assert data.test[task].labels is None
        assert tokenizer.token_to_id("[UNK]") not in split.sentence1.tokens
    again = prepare(SampleData().load(), tokenizer)
    assert again.fingerprint == data.fingerprint
    assert torch.equal(again.train["sts"].sentence1.tokens, data.train["sts"].sentence1.tokens)
    assert prepare(SampleData(seed=1).load(), tokenizer).fingerprint != data.fingerprint


@pytest.mark.slow
def test_real_course_files_are_ready_for_a_run(real_course: Path) -> None:
    examples = Cs224nData(dir=str(real_course)).load()
    tokenizer = train_wordpiece(examples.train_sentences(), 8000)
    data = prepare(examples, tokenizer)
    assert "quora-train.csv: 1 row without a label dropped" in data.notes
    for task in data.train:
        n_dev = len(data.select[task]) + len(data.confirm[task])
        assert 0.45 < len(data.confirm[task]) / n_dev < 0.55
        assert data.train[task].sentence1.lengths.max() <= 126
