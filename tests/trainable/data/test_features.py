from __future__ import annotations

import pytest
from pydantic import ValidationError

from trainable.data.features import PLAIN, TAGS, InputFeatures


def test_features_survive_json_and_start_switched_off() -> None:
    features = InputFeatures(pos_tags=True, synonym_copies=2)
    assert InputFeatures.model_validate_json(features.model_dump_json()) == features
    assert InputFeatures() == PLAIN == InputFeatures(pos_tags=False, synonym_copies=0)


def test_only_features_with_tags_need_a_table() -> None:
    assert InputFeatures(pos_tags=True).n_tags == len(TAGS) == len(set(TAGS)) == 13
    assert InputFeatures(synonym_copies=1).n_tags == 0


@pytest.mark.parametrize("bad", [{"synonym_copies": 3}, {"synonym_copies": -1}, {"pos": True}])
def test_other_values_and_names_are_refused(bad: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        InputFeatures.model_validate(bad)
