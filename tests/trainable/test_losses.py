from __future__ import annotations

import pytest
import torch

from trainable.losses import Loss, loss_value, prediction, takes_logits
from trainable.tasks import TASKS

SST, PARA, STS = TASKS["sst"], TASKS["para"], TASKS["sts"]


def test_cross_entropy_is_the_mean_negative_log_probability() -> None:
    outputs = torch.randn(6, 5, generator=torch.Generator().manual_seed(0))
    labels = torch.tensor([0.0, 1, 2, 3, 4, 4])
    probabilities = outputs.exp() / outputs.exp().sum(1, keepdim=True)
    expected = -probabilities[torch.arange(6), labels.long()].log().mean()
    torch.testing.assert_close(loss_value("cross_entropy", outputs, labels, SST), expected)


def test_bce_takes_the_share_of_the_largest_label_as_a_soft_target() -> None:
    outputs, labels = torch.tensor([[0.3], [-2.0], [1.0]]), torch.tensor([0.0, 2.5, 5.0])
    p, target = outputs[:, 0].sigmoid(), labels / 5
    expected = -(target * p.log() + (1 - target) * (1 - p).log()).mean()
    torch.testing.assert_close(loss_value("bce", outputs, labels, STS), expected)


def test_mse_is_in_units_of_the_label() -> None:
    outputs, labels = torch.tensor([[0.2], [0.9]]), torch.tensor([2.0, 5.0])
    expected = ((5 * outputs[:, 0] - labels) ** 2).mean()
    torch.testing.assert_close(loss_value("mse", outputs, labels, STS), expected)


@pytest.mark.parametrize("loss", ["bce", "mse"])
def test_loss_is_least_where_the_prediction_is_right(loss: Loss) -> None:
    labels = torch.tensor([0.0, 1.0])
    right = torch.tensor([[-9.0], [9.0]]) if takes_logits(loss) else labels[:, None]
    assert loss_value(loss, right, labels, PARA) < 1e-3
    assert loss_value(loss, -right, labels, PARA) > loss_value(loss, right, labels, PARA)
    assert torch.equal(prediction(loss, right, PARA), labels)


def test_bf16_outputs_give_a_float32_loss() -> None:
    outputs = torch.randn(4, 1).bfloat16()
    assert loss_value("bce", outputs, torch.ones(4), PARA).dtype == torch.float32


def test_a_class_is_predicted_by_the_largest_output() -> None:
    outputs = torch.tensor([[0.0, 1, 3, 2, 1], [5, 1, 0, 0, 0]])
    assert prediction("cross_entropy", outputs, SST).tolist() == [2, 0]


def test_a_paraphrase_is_predicted_from_one_half_on() -> None:
    assert prediction("bce", torch.tensor([[-0.1], [0.0], [0.1]]), PARA).tolist() == [0, 1, 1]
    assert prediction("mse", torch.tensor([[0.49], [0.5], [0.6]]), PARA).tolist() == [0, 1, 1]


def test_a_similarity_is_predicted_on_the_scale_of_the_labels() -> None:
    expected = 5 * torch.tensor([-1.0, 0, 2]).sigmoid()
    assert torch.equal(prediction("bce", torch.tensor([[-1.0], [0], [2]]), STS), expected)
    mse = prediction("mse", torch.tensor([[-0.3], [0.5], [1.2]]), STS)
    assert mse.tolist() == [0, 2.5, 5]
