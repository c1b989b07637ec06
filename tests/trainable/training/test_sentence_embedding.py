from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sentence_transformers import SentenceTransformer

from trainable import load
from trainable.data.features import InputFeatures
from trainable.model.encoder import EncoderConfig
from trainable.model.pairs import JointPair, NumberCosine, SiamesePair
from trainable.model.pooling import AttentionPooling, ClsPooling, MaxPooling, MeanPooling
from trainable.run_config import RunConfig
from trainable.task_config import PairDecision, PairNumber, SingleClasses
from trainable.training.loop import Run
from trainable.training.sentence_embedding import embedding_task, write_sentence_transformers

Trained = Callable[..., tuple[Run, Path]]
SENTENCES = [
    "a film",
    "the plot is not very good , but the cast is wonderful",
    "Good ?",
    " ".join(["film"] * 300),
]


JOINT = {"para": PairDecision(pair=JointPair()), "sts": PairNumber(pair=JointPair())}


@pytest.mark.slow
@pytest.mark.parametrize("pooling", [MeanPooling(), ClsPooling(), MaxPooling()], ids=str)
@pytest.mark.filterwarnings("ignore::UserWarning")  # a sentence is cut
def test_sentence_transformers_gives_the_vectors_of_embed(trained: Trained, pooling: Any) -> None:
    _, folder = trained(tasks={"sts": PairNumber(pooling=pooling, pair=NumberCosine())})
    theirs = SentenceTransformer(str(folder / "encoder"), device="cpu", local_files_only=True)
    found = np.asarray(theirs.encode(SENTENCES))
    np.testing.assert_allclose(load(folder).embed(SENTENCES).numpy(), found, atol=1e-5)


@pytest.mark.slow
def test_each_task_has_its_own_folder_where_it_has_its_own_encoder(trained: Trained) -> None:
    _, folder = trained(
        encoder=EncoderConfig(sharing="per_task"),
        tasks={"sst": SingleClasses(pooling=MeanPooling())},
    )
    model = load(folder)
    for task in model.tasks:
        path = folder / "encoder" / task
        theirs = SentenceTransformer(str(path), device="cpu", local_files_only=True)
        found = np.asarray(theirs.encode(SENTENCES[:3]))
        np.testing.assert_allclose(model.embed(SENTENCES[:3], task), found, atol=1e-5)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        (JOINT, "sst"),
        (JOINT | {"sts": PairNumber(pair=NumberCosine())}, "sts"),
        (
            {"para": PairDecision(pair=SiamesePair()), "sts": PairNumber(pair=NumberCosine())},
            "para",
        ),
        ({"para": JOINT["para"], "sts": PairNumber(pair=SiamesePair())}, "sts"),
    ],
)
def test_pairs_that_are_encoded_apart_come_first(changes: dict[str, Any], expected: str) -> None:
    assert embedding_task(RunConfig(tasks=changes)) == expected


@pytest.mark.parametrize(
    "config",
    [
        RunConfig(tasks={"sst": SingleClasses(pooling=AttentionPooling())}),
        RunConfig(tasks={"sst": SingleClasses(pooling=ClsPooling(pooler=True))}),
        RunConfig(features=InputFeatures(pos_tags=True)),
    ],
)
def test_nothing_is_written_that_would_not_be_equal(config: RunConfig, tmp_path: Path) -> None:
    write_sentence_transformers(tmp_path, config, "sst", 64)
    assert list(tmp_path.iterdir()) == []


def test_sentences_are_cut_where_training_cuts_them(tmp_path: Path) -> None:
    config = RunConfig(tasks={"sst": SingleClasses(pooling=ClsPooling())})
    write_sentence_transformers(tmp_path, config, "sst", 64)
    values = json.loads((tmp_path / "sentence_bert_config.json").read_text())
    assert values["max_seq_length"] == 128
    values = json.loads((tmp_path / "1_Pooling" / "config.json").read_text())
    assert [name for name, on in values.items() if on is True] == ["pooling_mode_cls_token"]
    assert values["word_embedding_dimension"] == 64
