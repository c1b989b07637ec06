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


def test_a_part_of_a_split_has_the_numbers_of_its_examples(run: Run) -> None:
    part = {"sst": torch.tensor([5, 3, 40]), "para": torch.tensor([7]), "sts": torch.tensor([2, 1])}
    whole = run.probabilities("select")
    found = run.probabilities("select", part)
    for task, numbers in part.items():
        torch.testing.assert_close(found[task], whole[task][numbers])
    scored = run.score("select", found, part)
    labels = run.inputs.corpus.splits["select"]["sst"].labels
    assert labels is not None
    hits = run.decide(found)["sst"] == labels[part["sst"]]
    assert scored["sst_acc"] == float(hits.double().mean())


def test_a_part_of_all_examples_is_the_same_bit_for_bit(run: Run) -> None:
    part = {
        task: torch.arange(len(rows)) for task, rows in run.inputs.corpus.splits["select"].items()
    }
    found, whole = run.probabilities("select", part), run.probabilities("select")
    assert all(torch.equal(found[task], whole[task]) for task in part)


def test_vectors_are_the_pooled_states_of_each_sentence_alone(run: Run) -> None:
    corpus = run.inputs.corpus
    vectors = sentence_vectors(run.model, corpus, "test", "sst")
    encoder = run.model.encoder_of("sst")
    for i in (0, 1, 100):
        batch = corpus.batch("test", {"sst": torch.tensor([i])}, {"sst": None})
        with torch.inference_mode():
            torch.testing.assert_close(encoder(batch.packed).mean(0), vectors[i])  # mean pooling
