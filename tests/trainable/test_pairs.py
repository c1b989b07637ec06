from __future__ import annotations

import pytest
import torch
from torch import nn

from trainable.heads import MlpHead
from trainable.pairs import CosinePair, Features, JointPair, SiamesePair

U, V = torch.randn(2, 3, 8, generator=torch.Generator().manual_seed(0))


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def test_joint_pair_is_its_head_on_one_vector() -> None:
    module = JointPair(head=MlpHead(width=4)).build(8, as_logit=True, generator=generator())
    assert module(U).shape == (3, 1)


@pytest.mark.parametrize(
    ("features", "parts"),
    [
        ("uv", [U, V]),
        ("uv_diff", [U, V, (U - V).abs()]),
        ("uv_diff_sq", [U, V, (U - V).abs(), (U - V) ** 2]),
    ],
)
def test_siamese_head_sees_the_stated_features(
    features: Features, parts: list[torch.Tensor]
) -> None:
    module = SiamesePair(features=features).build(8, as_logit=True, generator=generator())
    (head,) = (part for part in module.modules() if isinstance(part, nn.Linear))
    torch.testing.assert_close(module(torch.cat([U, V])), head(torch.cat(parts, dim=1)))


def test_cosine_pair_is_the_cosine_of_the_two_vectors() -> None:
    module = CosinePair(scaling="shift").build(8, as_logit=False, generator=generator())
    cosine = (U * V).sum(1) / (U.norm(dim=1) * V.norm(dim=1))
    torch.testing.assert_close(module(torch.cat([U, V]))[:, 0], (cosine + 1) / 2)


def test_cosine_pair_survives_a_zero_vector() -> None:
    module = CosinePair().build(8, as_logit=True, generator=generator())
    vectors = torch.zeros(2, 8, requires_grad=True)
    module(vectors).sum().backward()
    assert vectors.grad is not None
    assert torch.isfinite(vectors.grad).all()
