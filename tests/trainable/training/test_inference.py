from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from trainable.training import inference
from trainable.training.inference import sentence_vectors, task_probabilities
from trainable.training.loop import Run

Trained = Callable[..., tuple[Run, Path]]


@pytest.fixture(scope="module")
def run(trained: Trained) -> Run:
    return trained()[0]


@pytest.mark.parametrize("pass_tokens", [1, 300, 100_000])
def test_passes_of_any_size_say_the_same(
    run: Run, monkeypatch: pytest.MonkeyPatch, pass_tokens: int
) -> None:
    corpus = run.inputs.corpus
    expected = run.probabilities("test")
    monkeypatch.setattr(inference, "_PASS_TOKENS", pass_tokens)
    for task, rows in expected.items():
        found = task_probabilities(run.model, run.config, corpus, "test", task)
        torch.testing.assert_close(found, rows)


def test_vectors_are_the_pooled_states_of_each_sentence_alone(run: Run) -> None:
    corpus = run.inputs.corpus
    vectors = sentence_vectors(run.model, corpus, "test", "sst")
    encoder = run.model.encoder_of("sst")
    for i in (0, 1, 100):
        batch = corpus.batch("test", {"sst": torch.tensor([i])}, {"sst": None})
        with torch.inference_mode():
            torch.testing.assert_close(encoder(batch.packed)[0], vectors[i])  # pooling is CLS
