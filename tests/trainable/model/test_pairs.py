from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError
from torch import Tensor, nn

from trainable.model.heads import MlpHead
from trainable.model.pairs import (
    DecisionCosine,
    DecisionPair,
    DensePairLayer,
    Features,
    JointPair,
    NoPairLayer,
    NumberCosine,
    NumberPair,
    SiamesePair,
    decision_threshold,
)
from trainable.model.projection import Dense, DenseSide
from trainable.model.scalings import IdentityScaling, LearnedScaling, ReluScaling, ShiftScaling

U, V = torch.randn(2, 3, 8, generator=torch.Generator().manual_seed(0))
UV = torch.cat([U, V])


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def test_joint_pair_is_its_head_on_one_vector() -> None:
    module = JointPair(head=MlpHead(width=4)).build(8, 1, as_logit=True, generator=generator())
    assert module(U).shape == (3, 1)


@pytest.mark.parametrize(
    ("features", "parts"),
    [
        ("uv", [U, V]),
        ("uv_diff", [U, V, (U - V).abs()]),
        ("uv_diff_sq", [U, V, (U - V).abs(), (U - V) ** 2]),
    ],
)
def test_siamese_head_sees_the_stated_features(features: Features, parts: list[Tensor]) -> None:
    module = SiamesePair(features=features).build(8, 1, as_logit=True, generator=generator())
    (head,) = (part for part in module.modules() if isinstance(part, nn.Linear))
    torch.testing.assert_close(module(UV), head(torch.cat(parts, dim=1)))


@pytest.mark.parametrize("pair", [JointPair(), SiamesePair(head=MlpHead(width=4))], ids=repr)
def test_a_pair_has_as_many_outputs_as_there_are_classes(pair: JointPair | SiamesePair) -> None:
    module = pair.build(8, 3, True, generator())
    assert module(U if isinstance(pair, JointPair) else UV).shape == (3, 3)


def test_paraphrase_head_of_mt_bert() -> None:
    pair = SiamesePair(side=DenseSide(activation="relu"), features="uv_diff_sq")
    module = pair.build(8, 1, as_logit=True, generator=generator()).eval()
    side, head = (part for part in module.modules() if isinstance(part, nn.Linear))
    u, v = side(U).relu(), side(V).relu()
    features = torch.cat([u, v, (u - v).abs(), (u - v) ** 2], dim=1)
    torch.testing.assert_close(module(UV), F.linear(features, head.weight, head.bias))


@pytest.mark.parametrize("pair", [NumberCosine(), DecisionCosine()], ids=repr)
@given(seed=st.integers(0, 2**32 - 1), scale=st.floats(1e-2, 1e2))
def test_cosine_pair_is_the_cosine_of_the_two_vectors(
    pair: NumberCosine, seed: int, scale: float
) -> None:
    drawn = torch.Generator().manual_seed(seed)
    u, v = scale * torch.randn(2, 5, 8, generator=drawn)
    pair = pair.model_copy(update={"scaling": IdentityScaling()})
    module = pair.build(8, 1, as_logit=False, generator=generator())
    cosine = (u * v).sum(1) / (u.norm(dim=1) * v.norm(dim=1))
    torch.testing.assert_close(module(torch.cat([u, v]))[:, 0], cosine)


def test_cosine_pair_scales_as_its_loss_needs_it() -> None:
    cosine = F.cosine_similarity(U, V)[:, None]
    score = NumberCosine(scaling=ShiftScaling()).build(8, 1, False, generator())(UV)
    logit = NumberCosine(scaling=ShiftScaling()).build(8, 1, True, generator())(UV)
    torch.testing.assert_close(score, (cosine + 1) / 2)
    torch.testing.assert_close(logit.sigmoid(), score)


def test_paraphrase_head_of_bert_plus_plus() -> None:
    pair = DecisionCosine(side=DenseSide(activation="none"), scaling=ReluScaling())
    module = pair.build(8, 1, as_logit=False, generator=generator()).eval()
    (side,) = (part for part in module.modules() if isinstance(part, nn.Linear))
    expected = F.cosine_similarity(side(U), side(V)).clamp(min=0)
    torch.testing.assert_close(module(UV)[:, 0], expected)


@pytest.mark.parametrize("as_logit", [False, True])
def test_cosine_pair_survives_zero_and_equal_vectors(as_logit: bool) -> None:
    vectors = torch.stack([torch.zeros(8), U[0], U[0], torch.zeros(8), V[0], U[0]])
    vectors.requires_grad_()  # zero and zero, u and v, u and u
    for scaling in (ShiftScaling(), ReluScaling(), IdentityScaling(), LearnedScaling()):
        module = NumberCosine(scaling=scaling).build(8, 1, as_logit, generator())
        outputs = module(vectors)
        (gradient,) = torch.autograd.grad(outputs.sum(), vectors)
        assert torch.isfinite(outputs).all()
        assert torch.isfinite(gradient).all()


def test_only_a_cosine_for_paraphrases_has_a_threshold_of_its_own() -> None:
    assert decision_threshold(DecisionCosine(threshold=0.75)) == 0.75
    assert decision_threshold(JointPair()) == decision_threshold(SiamesePair()) == 0.5
    para: TypeAdapter[DecisionPair] = TypeAdapter(DecisionPair)
    sts: TypeAdapter[NumberPair] = TypeAdapter(NumberPair)
    values = {"kind": "cosine", "threshold": 0.75}
    assert para.validate_python(values) == DecisionCosine(threshold=0.75)
    with pytest.raises(ValidationError, match="threshold"):
        sts.validate_python(values)
    with pytest.raises(ValidationError):
        sts.validate_python(DecisionCosine())


def test_pair_layer_is_a_dense_layer_or_nothing() -> None:
    assert torch.equal(NoPairLayer().build(8, generator())(U), U)
    layer = DensePairLayer(activation="leaky_relu", dropout=0.5, residual=True)
    module = layer.build(8, generator())
    assert isinstance(module, Dense)
    assert module.residual
    assert isinstance(module.activation, nn.LeakyReLU)
    assert module.dropout.threshold == 128
