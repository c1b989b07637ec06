from __future__ import annotations

import pytest

from spaces.component_fields import field_domain, field_family
from trainable.component import Domain, FloatRange, IntRange
from trainable.model.heads import MlpHead
from trainable.model.pairs import SiamesePair
from trainable.optim.adamw import Optimization
from trainable.stages.multitask import Multitask
from trainable.task_config import PairDecision


@pytest.mark.parametrize(
    ("model", "name", "expected"),
    [
        (Optimization, "lr", FloatRange(1e-5, 3e-4, log=True)),
        (MlpHead, "depth", IntRange(1, 2)),
        (Multitask, "units", None),
    ],
)
def test_domain_is_the_range_beside_the_field(
    model: type[Optimization | MlpHead | Multitask],
    name: str,
    expected: Domain | None,
) -> None:
    assert field_domain(model.model_fields[name]) == expected


def test_family_is_read_from_the_union() -> None:
    assert field_family(PairDecision.model_fields["pair"])["siamese"] is SiamesePair
    assert field_family(PairDecision.model_fields["loss"]) == {}
