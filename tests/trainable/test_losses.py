from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.distributions import Bernoulli, Categorical, kl_divergence

from trainable.losses import (
    Loss,
    contrastive,
    decide,
    loss_of_probabilities,
    loss_value,
    probabilities,
    r_drop_divergence,
    takes_logits,
)
from trainable.tasks import COURSE, Task

SST, PARA, STS = COURSE["sst"], COURSE["para"], COURSE["sts"]
CASES: list[tuple[Loss, Task]] = [
    ("cross_entropy", SST),
    ("bce", PARA),
    ("mse", PARA),
    ("bce", STS),
    ("mse", STS),
]
SEEDS = st.integers(0, 2**32 - 1)
SHARES = st.floats(0, 0.99)


def random_outputs(task: Task, seed: int, n: int = 6, scale: float = 3.0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    width = 5 if task is SST else 1
    return scale * torch.randn(n, width, generator=generator)


def random_labels(task: Task, seed: int, n: int = 6) -> Tensor:
    labels = torch.rand(n, generator=torch.Generator().manual_seed(seed)) * task.high
    return labels.round() if task.n_classes else labels


def test_cross_entropy_is_the_mean_negative_log_probability() -> None:
    outputs = torch.randn(6, 5, generator=torch.Generator().manual_seed(0))
    labels = torch.tensor([0.0, 1, 2, 3, 4, 4])
    probabilities = outputs.exp() / outputs.exp().sum(1, keepdim=True)
    expected = -probabilities[torch.arange(6), labels.long()].log().mean()
    torch.testing.assert_close(loss_value("cross_entropy", outputs, labels, SST), expected)


def test_bce_takes_the_share_of_the_largest_label_as_a_soft_target() -> None:
    # Their dot product is not 0: else labels that are not divided give the same loss.
    outputs, labels = torch.tensor([[0.3], [-2.0], [1.0]]), torch.tensor([2.0, 1.0, 5.0])
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
    assert torch.equal(decide(probabilities(loss, right), PARA), labels)


@given(SEEDS, SHARES)
def test_smoothed_cross_entropy_has_the_mixed_target(seed: int, share: float) -> None:
    outputs, labels = random_outputs(SST, seed), random_labels(SST, seed)
    target = (1 - share) * torch.eye(5)[labels.long()] + share / 5
    expected = -(target * outputs.log_softmax(1)).sum(1).mean()
    found = loss_value("cross_entropy", outputs, labels, SST, label_smoothing=share)
    torch.testing.assert_close(found, expected)


@given(SEEDS, SHARES)
def test_smoothed_bce_is_smoothed_cross_entropy_of_two_classes(seed: int, share: float) -> None:
    outputs, labels = random_outputs(PARA, seed), random_labels(PARA, seed)
    two = torch.cat([torch.zeros_like(outputs), outputs], dim=1)
    found = loss_value("bce", outputs, labels, PARA, label_smoothing=share)
    expected = loss_value("cross_entropy", two, labels, PARA, label_smoothing=share)
    torch.testing.assert_close(found, expected)


def test_smoothed_mse_is_least_nearer_to_one_half() -> None:
    labels = torch.tensor([0.0, 1.0])
    least = torch.tensor([[0.1], [0.9]])
    assert loss_value("mse", least, labels, PARA, label_smoothing=0.2) < 1e-12
    assert loss_value("mse", labels[:, None], labels, PARA, label_smoothing=0.2) > 1e-3


def test_bf16_outputs_give_a_float32_loss() -> None:
    outputs = torch.randn(4, 1).bfloat16()
    assert loss_value("bce", outputs, torch.ones(4), PARA).dtype == torch.float32
    assert r_drop_divergence("bce", outputs, -outputs, PARA).dtype == torch.float32
    assert probabilities("bce", outputs).dtype == torch.float32
    assert contrastive(torch.randn(6, 4).bfloat16(), 0.5).dtype == torch.float32


@given(SEEDS)
def test_r_drop_is_the_mean_of_both_divergences(seed: int) -> None:
    kinds: list[tuple[Loss, Task, Any]] = [
        ("cross_entropy", SST, lambda outputs: Categorical(logits=outputs.double())),
        ("bce", STS, lambda outputs: Bernoulli(logits=outputs[:, 0].double())),
    ]
    for loss, task, distribution in kinds:
        first, second = random_outputs(task, seed), random_outputs(task, seed ^ 1)
        p, q = distribution(first), distribution(second)
        expected = (kl_divergence(p, q) + kl_divergence(q, p)).mean() / 2
        found = r_drop_divergence(loss, first, second, task)
        torch.testing.assert_close(found.double(), expected, rtol=1e-4, atol=1e-6)


def test_r_drop_of_numbers_is_their_squared_difference_in_units_of_the_label() -> None:
    first, second = torch.tensor([[0.2], [1.0]]), torch.tensor([[0.4], [1.0]])
    found = r_drop_divergence("mse", first, second, STS)
    torch.testing.assert_close(found, torch.tensor((1.0**2 + 0.0) / 2))


@pytest.mark.parametrize(("loss", "task"), CASES)
@given(seed=SEEDS)
def test_r_drop_is_symmetric_and_zero_only_for_equal_passes(
    loss: Loss, task: Task, seed: int
) -> None:
    first, second = random_outputs(task, seed), random_outputs(task, seed ^ 1)
    found = r_drop_divergence(loss, first, second, task)
    assert found > 0
    torch.testing.assert_close(found, r_drop_divergence(loss, second, first, task))
    assert r_drop_divergence(loss, first, first, task) == 0


@pytest.mark.parametrize(("loss", "task"), CASES)
def test_r_drop_draws_both_passes_together_and_is_finite_far_out(loss: Loss, task: Task) -> None:
    first = (100 * random_outputs(task, 0)).requires_grad_()
    second = (100 * random_outputs(task, 1)).requires_grad_()
    before = r_drop_divergence(loss, first, second, task)
    gradients = torch.autograd.grad(before, [first, second])
    assert all(torch.isfinite(g).all() and bool(g.any()) for g in gradients)
    nearer = [x.detach() - 0.1 * g for x, g in zip((first, second), gradients, strict=True)]
    assert r_drop_divergence(loss, nearer[0], nearer[1], task) < before


@given(SEEDS, st.integers(1, 5), st.floats(0.05, 2.0))
def test_contrastive_loss_is_the_paper_s_equation(seed: int, n: int, temperature: float) -> None:
    vectors = torch.randn(3 * n, 8, generator=torch.Generator().manual_seed(seed))
    rows = vectors.double().tolist()

    def similarity(i: int, j: int) -> float:
        dot = math.fsum(a * b for a, b in zip(rows[i], rows[j], strict=True))
        norms = [math.sqrt(math.fsum(a * a for a in rows[k])) for k in (i, j)]
        return math.exp(dot / (norms[0] * norms[1]) / temperature)

    total = 0.0
    for i in range(n):
        others = sum(similarity(i, n + j) + similarity(i, 2 * n + j) for j in range(n))
        total -= math.log(similarity(i, n + i) / others)
    assert float(contrastive(vectors, temperature)) == pytest.approx(total / n, rel=1e-4, abs=1e-5)


def test_contrastive_loss_is_least_for_entailments_alone_in_their_direction() -> None:
    premises = torch.eye(4)
    good = torch.cat([premises, premises, -premises])
    bad = torch.cat([premises, -premises, premises])
    assert contrastive(good, 0.05) < 1e-6
    assert contrastive(bad, 0.05) > 10
    # The premises' own order counts, not that of the batch.
    order = torch.tensor([2, 0, 3, 1])
    shuffled = good.view(3, 4, 4)[:, order].flatten(0, 1)
    torch.testing.assert_close(contrastive(shuffled, 0.5), contrastive(good, 0.5))


@pytest.mark.parametrize(("loss", "task"), CASES)
@given(seed=SEEDS, scale=st.floats(0.1, 100))
def test_probabilities_are_shares_of_one(loss: Loss, task: Task, seed: int, scale: float) -> None:
    outputs = random_outputs(task, seed, scale=scale)
    found = probabilities(loss, outputs)
    assert found.shape == outputs.shape
    assert found.min() >= 0
    assert found.max() <= 1
    if task is SST:
        torch.testing.assert_close(found.sum(1), torch.ones(6))


def test_probability_of_a_class_and_of_a_paraphrase() -> None:
    outputs = torch.tensor([[0.0, math.log(3), -200, -200, -200]])
    expected = torch.tensor([[0.25, 0.75, 0, 0, 0]])
    torch.testing.assert_close(probabilities("cross_entropy", outputs), expected)
    logit = torch.tensor([[math.log(3)]])
    torch.testing.assert_close(probabilities("bce", logit), torch.tensor([[0.75]]))
    scores = torch.tensor([[-0.2], [0.4], [1.3]])
    assert torch.equal(probabilities("mse", scores), torch.tensor([[0.0], [0.4], [1.0]]))


def test_an_average_is_decided_on_like_a_run() -> None:
    first, second = torch.tensor([[0.6, 0.4, 0]]), torch.tensor([[0.1, 0.3, 0.6]])
    assert decide((first + second) / 2, SST).tolist() == [0]
    assert decide(torch.tensor([[0.5]]), STS).tolist() == [2.5]


def predicted(loss: Loss, outputs: Tensor, task: Task, threshold: float = 0.5) -> Tensor:
    return decide(probabilities(loss, outputs), task, threshold)


def test_a_class_is_predicted_by_the_largest_output() -> None:
    outputs = torch.tensor([[0.0, 1, 3, 2, 1], [5, 1, 0, 0, 0]])
    assert predicted("cross_entropy", outputs, SST).tolist() == [2, 0]


def test_a_paraphrase_is_predicted_from_the_threshold_on() -> None:
    assert predicted("bce", torch.tensor([[-0.1], [0.0], [0.1]]), PARA).tolist() == [0, 1, 1]
    scores = torch.tensor([[0.49], [0.5], [0.6], [0.75]])
    assert predicted("mse", scores, PARA).tolist() == [0, 1, 1, 1]
    assert predicted("mse", scores, PARA, threshold=0.75).tolist() == [0, 0, 0, 1]
    assert predicted("mse", scores, PARA, threshold=0.3).tolist() == [1, 1, 1, 1]


def test_a_similarity_is_predicted_on_the_scale_of_the_labels() -> None:
    expected = 5 * torch.tensor([-1.0, 0, 2]).sigmoid()
    assert torch.equal(predicted("bce", torch.tensor([[-1.0], [0], [2]]), STS), expected)
    mse = predicted("mse", torch.tensor([[-0.3], [0.5], [1.2]]), STS)
    assert mse.tolist() == [0, 2.5, 5]


@pytest.mark.parametrize(
    ("loss", "name"), [("cross_entropy", "sst"), ("bce", "sts"), ("mse", "sts")]
)
def test_the_loss_of_probabilities_is_the_loss_of_their_outputs(loss: Loss, name: str) -> None:
    task = COURSE[name]
    outputs = torch.randn(50, 5 if loss == "cross_entropy" else 1)
    if loss == "mse":
        outputs = outputs.sigmoid()
    labels = torch.arange(50) % 5.0
    found = loss_of_probabilities(loss, probabilities(loss, outputs), labels, task)
    span = task.high - task.low if loss == "mse" else 1.0
    assert found * span**2 == pytest.approx(
        float(loss_value(loss, outputs, labels, task)), rel=1e-5
    )


@pytest.mark.parametrize(("loss", "task"), CASES)
def test_the_loss_of_probabilities_that_are_no_numbers_is_no_number(loss: Loss, task: Task) -> None:
    found = probabilities(loss, random_outputs(task, seed=0))
    found[2] = math.nan
    assert math.isnan(loss_of_probabilities(loss, found, random_labels(task, seed=1), task))


@pytest.mark.parametrize(("loss", "name"), [("cross_entropy", "sst"), ("bce", "para")])
def test_a_certain_and_wrong_answer_costs_a_finite_loss(loss: Loss, name: str) -> None:
    found = torch.eye(5)[:1] if loss == "cross_entropy" else torch.zeros(1, 1)
    lost = loss_of_probabilities(loss, found, torch.ones(1), COURSE[name])
    assert lost == pytest.approx(-math.log(1e-7))
