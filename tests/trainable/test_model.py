from __future__ import annotations

from typing import get_args

import pytest
import torch
from torch import Tensor

from trainable.heads import LinearHead, MlpHead
from trainable.losses import Loss, loss_value
from trainable.model import MultitaskBert, build_model, pair_encodings
from trainable.pairs import JointPair, Pair
from trainable.pooling import MeanPooling
from trainable.run_config import PairTask, RunConfig, SingleTask
from trainable.tasks import TASK_NAMES, TASKS
from trainable.workbench import Workbench

PAIRS = tuple(pair() for pair in get_args(get_args(Pair)[0]))


def built(config: RunConfig, workbench: Workbench, seed: int = 0) -> MultitaskBert:
    generator = torch.Generator().manual_seed(seed)
    return build_model(config, workbench.pretrained, workbench.device, generator)


def heads(model: MultitaskBert) -> Tensor:
    return torch.cat([p.detach().flatten() for p in model.tasks.parameters()])


def test_heads_are_drawn_from_the_generator_alone(workbench: Workbench) -> None:
    torch.manual_seed(1)
    first = heads(built(RunConfig(), workbench))
    torch.manual_seed(2)
    assert torch.equal(first, heads(built(RunConfig(), workbench)))
    assert not torch.equal(first, heads(built(RunConfig(), workbench, seed=1)))


def test_heads_start_as_bert_does(workbench: Workbench) -> None:
    config = RunConfig(sst=SingleTask(head=MlpHead(width=512, layer_norm=True)))
    model = built(config, workbench)
    named = {n: p.detach() for n, p in model.tasks["sst"].named_parameters()}
    assert float(named["head.0.weight"].std()) == pytest.approx(0.02, rel=0.05)
    assert (named["head.0.bias"] == 0).all()
    assert (named["head.1.weight"] == 1).all()  # LayerNorm


def test_encoder_weights_are_copied_and_learn(workbench: Workbench) -> None:
    model = built(RunConfig(), workbench)
    shared = {t.data_ptr() for t in workbench.pretrained.parameters.values()}
    for parameter in model.encoder.parameters():
        assert parameter.requires_grad
        assert parameter.data_ptr() not in shared


@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: pair.kind)
@pytest.mark.parametrize("loss", ["bce", "mse"])
def test_every_pair_encoding_learns_under_every_loss(
    workbench: Workbench, pair: JointPair, loss: Loss
) -> None:
    task = PairTask(pair=pair, loss=loss, pooling=MeanPooling())
    config = RunConfig(sst=SingleTask(head=LinearHead()), para=task, sts=task)
    model = built(config, workbench)
    numbers = {name: torch.arange(6) for name in TASK_NAMES}
    batch = workbench.corpus.batch("train", numbers, pair_encodings(config))
    outputs = model(batch)
    assert outputs["sst"].shape == (6, 5)
    assert outputs["para"].shape == outputs["sts"].shape == (6, 1)
    total = sum(
        loss_value("cross_entropy" if t == "sst" else loss, outputs[t], batch.labels[t], TASKS[t])
        for t in TASK_NAMES
    )
    assert isinstance(total, Tensor)
    total.backward()  # type: ignore[no-untyped-call]
    for name, parameter in model.named_parameters():
        if "pooler" not in name:
            assert parameter.grad is not None, name
            assert torch.isfinite(parameter.grad).all(), name


def test_tasks_do_not_see_each_other_in_a_shared_pass(workbench: Workbench) -> None:
    config = RunConfig()
    model = built(config, workbench).eval()
    pairs = pair_encodings(config)
    numbers = {name: torch.tensor([3, 1, 4]) for name in TASK_NAMES}
    with torch.inference_mode():
        together = model(workbench.corpus.batch("train", numbers, pairs))
        for task in TASK_NAMES:
            alone = model(workbench.corpus.batch("train", {task: numbers[task]}, pairs))
            torch.testing.assert_close(together[task], alone[task], atol=1e-6, rtol=1e-4)
