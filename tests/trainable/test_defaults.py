from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.trainable.other_tasks import write_tasks
from trainable.batch_orders.all_tasks import LockStep
from trainable.batch_orders.in_turn import RoundRobin
from trainable.data.read_tasks import read_tasks
from trainable.data.sources import Cs224nData, SampleData
from trainable.defaults import default_lr, default_run, shape_of
from trainable.errors import InputError
from trainable.model.bert import BertShape
from trainable.model.encoder import EncoderConfig
from trainable.run_config import RunConfig
from trainable.stages.multitask import Multitask
from trainable.task_config import pair_of

BERT = EncoderConfig(source="google-bert/bert-base-uncased", revision="abc")
STAGE = Multitask(budget_tokens=1234, units=4, precision="bf16")


@pytest.mark.parametrize("encoder", [EncoderConfig(), BERT], ids=["tiny", "pretrained"])
def test_the_base_has_what_the_search_asks_for(encoder: EncoderConfig) -> None:
    data = Cs224nData(dir="/data")
    base = default_run(encoder, data, 7, STAGE)
    assert (base.seed, base.data, base.encoder.source) == (7, data, encoder.source)
    assert base.multitask is not None
    for field in ("budget_tokens", "units", "precision"):
        assert getattr(base.multitask, field) == getattr(STAGE, field)
    assert base.further_pretraining.kind == base.nli.kind == base.head_tuning.kind == "none"


def test_a_pretrained_encoder_keeps_the_defaults_and_tiny_does_not() -> None:
    sample = SampleData()
    assert default_run(BERT, sample, 0, STAGE) == RunConfig(encoder=BERT, multitask=STAGE)
    tiny = default_run(EncoderConfig(), sample, 0, STAGE)
    assert tiny.multitask is not None
    assert isinstance(tiny.multitask.batch_order, LockStep)
    assert tiny.multitask.optimization.lr > STAGE.optimization.lr
    assert tiny.encoder.dropout == 0
    assert {own.dropout for own in tiny.tasks.values()} == {0}


@pytest.mark.parametrize(
    ("encoder", "single", "decision"),
    [(EncoderConfig(), "attention", "siamese"), (BERT, "mean", "cosine")],
    ids=["tiny", "pretrained"],
)
def test_tasks_of_every_kind_have_defaults(
    encoder: EncoderConfig, single: str, decision: str, tmp_path: Path
) -> None:
    config = default_run(encoder, read_tasks(str(write_tasks(tmp_path))))
    assert {own.kind: own.pooling.kind for own in config.tasks.values()} == {
        "single_classes": single,
        "single_number": single,
        "pair_decision": "mean",
        "pair_classes": "mean",
        "pair_number": "mean",
    }
    pairs = {own.kind: pair_of(own) for own in config.tasks.values()}
    assert {kind: pair.kind for kind, pair in pairs.items() if pair} == {
        "pair_decision": decision,
        "pair_classes": "siamese",
        "pair_number": "cosine",
    }


def test_a_single_task_is_in_turn_at_every_step(tmp_path: Path) -> None:
    one = read_tasks(f"{write_tasks(tmp_path)}:mood")
    for encoder in (EncoderConfig(), BERT):
        stage = default_run(encoder, one).multitask
        assert stage is not None
        assert isinstance(stage.batch_order, RoundRobin)


def shape(width: int, depth: int) -> BertShape:
    return BertShape(30_000, width, depth, 4, 4 * width, 512)


@pytest.mark.parametrize(
    ("width", "depth", "lr"),
    [
        *[(384, 6, 1e-4), (384, 1, 1e-4), (128, 2, 1e-4), (384, 12, 7.1e-5)],
        *[(768, 6, 5e-5), (768, 12, 3.5e-5), (1024, 24, 1.9e-5)],
    ],
)
def test_wider_and_deeper_encoders_have_lower_rates(width: int, depth: int, lr: float) -> None:
    stage = default_run(BERT, SampleData(), 0, STAGE, shape(width, depth)).multitask
    assert stage is not None
    assert stage.optimization.lr == lr
    assert stage.optimization.head_lr == STAGE.optimization.head_lr


@given(st.integers(1, 64), st.integers(1, 64), st.integers(1, 48))
def test_no_encoder_has_a_higher_rate_than_a_smaller_one(a: int, b: int, depth: int) -> None:
    narrow, wide = sorted((64 * a, 64 * b))
    assert default_lr(shape(wide, depth)) <= default_lr(shape(narrow, depth))
    assert default_lr(shape(wide, depth + 1)) <= default_lr(shape(wide, depth))


def test_tiny_has_no_shape_and_an_unknown_encoder_is_refused() -> None:
    assert shape_of(EncoderConfig()) is None
    with pytest.raises(InputError, match="unknown encoder 'nowhere'"):
        shape_of(EncoderConfig(source="nowhere"))
