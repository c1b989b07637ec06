"""The generated examples: the same everywhere, balanced, noisy, and of a closed vocabulary."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from trainable.data.dice import Dice
from trainable.data.examples import Examples
from trainable.data.sample import N_EXAMPLES, generate_sample, sst_example
from trainable.data.sources import SampleData
from trainable.tasks import COURSE

REPO = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def sample() -> Examples:
    return SampleData().load()


def test_splits_have_their_sizes_and_test_has_no_label(sample: Examples) -> None:
    for task in COURSE:
        assert {split: len(rows) for split, rows in sample.splits[task].items()} == (
            N_EXAMPLES[task]
        )
        assert "label" not in sample.splits[task]["test"].column_names


def test_seeds_differ(sample: Examples) -> None:
    assert generate_sample(0).fingerprint == sample.fingerprint
    assert generate_sample(1).fingerprint != sample.fingerprint


def test_sample_of_seed_0_is_frozen(sample: Examples) -> None:
    # Scores on the sample are compared between machines and versions: a new grammar is a new
    # benchmark, which must be intended.
    assert sample.fingerprint == "4d6085c86db6a118"


def test_labels_are_spread(sample: Examples) -> None:
    share = {
        task: np.array(sample.splits[task]["train"]["label"][:]) for task in ("sst", "para", "sts")
    }
    classes = np.bincount(share["sst"].astype(int), minlength=5) / N_EXAMPLES["sst"]["train"]
    assert classes.min() > 0.08
    assert classes.max() < 0.40
    assert 0.37 < share["para"].mean() < 0.43
    assert 2.3 < share["sts"].mean() < 2.7
    assert share["sts"].std() > 1.4
    assert np.allclose(share["sts"] * 5, np.round(share["sts"] * 5), atol=1e-5)


def test_sentences_are_short_and_their_words_few(sample: Examples) -> None:
    sentences = [sentence.split() for sentence in sample.train_sentences()]
    assert len({word for words in sentences for word in words}) < 250
    lengths = np.array([len(words) for words in sentences])
    assert lengths.min() >= 5
    assert lengths.max() <= 20


def test_train_and_dev_share_few_examples(sample: Examples) -> None:
    for task in COURSE:
        train, dev = (
            set(zip(rows["sentence1"][:], rows["sentence2"][:], strict=True))
            for rows in (sample.splits[task]["train"], sample.splits[task]["dev"])
        )
        assert len(train & dev) < 0.05 * len(dev)


def test_negation_and_contrast_change_the_class() -> None:
    dice = Dice("contrast")
    # Sentences whose last clause is the one that counts.
    drawn = [sst_example(dice) for _ in range(8000)]
    rows = [r for r in drawn if "although" not in r[0] and " and " not in r[0]]
    mean = {
        word: np.mean([label for text, _, label in rows if text.endswith(word)])
        for word in ("is good", "is not good", "extremely good", "is awful")
    }
    assert mean["extremely good"] > mean["is good"] > 2.5 > mean["is not good"]
    assert mean["is awful"] < 2


@pytest.mark.slow
def test_sample_and_vocabulary_are_equal_in_every_process(sample: Examples) -> None:
    from trainable.data.tokenizer import tokenizer_digest, train_wordpiece

    code = (
        "from trainable.data.sample import generate_sample\n"
        "from trainable.data.tokenizer import tokenizer_digest, train_wordpiece\n"
        "sample = generate_sample(0)\n"
        "tokenizer = train_wordpiece(sample.train_sentences(), 1000)\n"
        "print(sample.fingerprint, tokenizer_digest(tokenizer))\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"PYTHONHASHSEED": "17", "PYTHONPATH": str(REPO)},
        cwd=REPO,
        capture_output=True,
        text=True,
        check=True,
    )
    here = tokenizer_digest(train_wordpiece(sample.train_sentences(), 1000))
    assert result.stdout.split() == [sample.fingerprint, here]
