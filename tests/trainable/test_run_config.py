from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from tests.course import TASK_NAMES
from trainable.errors import InputError
from trainable.model.encoder import EncoderConfig
from trainable.model.heads import MlpHead
from trainable.model.pairs import DecisionCosine, DensePairLayer, NumberCosine
from trainable.run_config import SCHEMA_VERSION, RunConfig
from trainable.stages.head_tuning import CachedHeadTuning
from trainable.stages.language_modelling import MaskedLanguageModelling
from trainable.stages.multitask import Multitask, NliAuxiliary, RDrop
from trainable.stages.nli_training import LinearNli
from trainable.task_config import PairDecision, PairNumber, SingleClasses

# A component in every slot.
WHOLE = RunConfig(
    encoder=EncoderConfig(source="someone/bert", revision="abc", sharing="per_task"),
    tasks={
        "sst": SingleClasses(head=MlpHead(), label_smoothing=0.1),
        "para": PairDecision(pair=DecisionCosine(threshold=0.6), loss="mse"),
        "sts": PairNumber(pair=NumberCosine()),
    },
    pair_layer=DensePairLayer(),
    further_pretraining=MaskedLanguageModelling(),
    nli=LinearNli(),
    multitask=Multitask(auxiliary=NliAuxiliary(), regularization=RDrop()),
    head_tuning=CachedHeadTuning(),
)


@given(st.data())
def test_a_config_survives_json(draw_config: Callable[..., RunConfig], data: st.DataObject) -> None:
    config = draw_config(data)
    text = json.dumps(config.to_dict(), allow_nan=False)
    assert RunConfig.from_dict(json.loads(text), "test") == config


def test_a_config_with_every_stage_survives_json() -> None:
    text = json.dumps(WHOLE.to_dict(), allow_nan=False)
    assert RunConfig.from_dict(json.loads(text), "test") == WHOLE


# What only the whole config has fields for.
MORE = ("pair_layer", "further_pretraining", "nli", "multitask.auxiliary", "head_tuning")


def changed(path: str, value: Any) -> dict[str, Any]:
    """Return the default config, or the whole one, as a dictionary with one value set."""
    values: dict[str, Any] = (WHOLE if path.startswith(MORE) else RunConfig()).to_dict()
    *parents, last = (f"tasks.{path}" if path.startswith(TASK_NAMES) else path).split(".")
    place: Any = values
    for part in parents:
        place = place[int(part)] if part.isdigit() else place[part]
    place[last] = value
    return values


KIND_PATHS = [
    "sst.pooling.kind",
    "para.pair.kind",
    "pair_layer.kind",
    "further_pretraining.kind",
    "further_pretraining.sources.0.kind",
    "nli.kind",
    "nli.source.kind",
    "multitask.batch_order.kind",
    "multitask.batch_order.gradients.kind",
    "multitask.optimization.schedule.kind",
    "multitask.averaging.kind",
    "multitask.auxiliary.kind",
    "head_tuning.kind",
]


def refusal(values: Any) -> str:
    with pytest.raises(InputError) as caught:
        RunConfig.from_dict(values, "best.json")
    message = str(caught.value)
    assert message.startswith("best.json: ")
    return message


def test_unknown_field_is_named_with_the_nearest() -> None:
    message = refusal(changed("multitask.optimization.leyer_decay", 0.9))
    assert "leyer_decay" in message
    assert "multitask.optimization" in message
    assert "did you mean 'layer_decay'?" in message


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("seed", -1),
        ("encoder.dropout", 1.0),
        ("sst.dropout", -0.1),
        ("para.loss", "cross_entropy"),
        ("para.pair.join", "comma"),
        ("sts.pooling.pooler", "perhaps"),
        ("encoder.sharing", "per_layer"),
        ("features.synonym_copies", 3),
        ("features.pos_tags", 1),
        ("sst.label_smoothing", 1.0),
        ("pair_layer.dropout", 1.0),
        ("pair_layer.residual", "no"),
        ("further_pretraining.sources", []),
        ("further_pretraining.budget_tokens", 0),
        ("further_pretraining.mask_probability", 0.0),
        ("nli.pooling", "max"),
        ("multitask", 3),
        ("multitask.tasks", "sst+sst"),
        ("multitask.tasks", "nli"),
        ("multitask.auxiliary.temperature", 0.0),
        ("head_tuning.epochs", 0),
        ("multitask.optimization.task_lr.sts", 0.0),
        ("multitask.optimization.lr", 0.0),
        ("multitask.optimization.lr", float("nan")),
        ("multitask.optimization.warmup", 1.0),
        ("multitask.budget_tokens", 0),
        ("multitask.units", 1.5),
        ("multitask.precision", "fp8"),
        ("multitask.batch_order.alpha", 3.0),
        ("schema_version", 0),
    ],
)
def test_a_value_that_is_not_allowed_is_refused_by_field_and_value(path: str, value: Any) -> None:
    message = refusal(changed(path, value))
    assert path.rsplit(".", maxsplit=1)[-1] in message
    assert str(value) in message


@pytest.mark.parametrize("path", KIND_PATHS)
def test_unknown_component_is_refused_by_name(path: str) -> None:
    message = refusal(changed(path, "atention"))
    # With the kinds on the way: `nli.linear.source`.
    assert re.search(path.removesuffix(".kind").replace(".", r"\.(\w+\.)?"), message)
    assert "atention" in message


def paths(value: Any, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    """Return the paths of all keys."""
    if isinstance(value, dict):
        own = [(*path, key) for key in value]
        return own + [p for key in value for p in paths(value[key], (*path, key))]
    if isinstance(value, list):
        return [p for i, item in enumerate(value) for p in paths(item, (*path, i))]
    return []


@pytest.mark.parametrize("path", paths(WHOLE.to_dict()), ids=lambda p: ".".join(map(str, p)))
def test_missing_field_is_named_and_not_filled_in(path: tuple[str | int, ...]) -> None:
    values = copy.deepcopy(WHOLE.to_dict())
    place: Any = values
    for part in path[:-1]:
        place = place[part]
    del place[path[-1]]
    # A component without its kind is named itself.
    missing = path[-2] if path[-1] == "kind" and len(path) > 1 else path[-1]
    assert re.search(rf"field '([^']*\.)?{missing}'", refusal(values))


@pytest.mark.parametrize(("step", "which"), [(1, "newer"), (-1, "older")])
def test_another_format_is_refused_with_what_to_do(step: int, which: str) -> None:
    message = refusal(changed("schema_version", SCHEMA_VERSION + step) | {"another_field": 1})
    assert f"schema_version is {SCHEMA_VERSION + step}" in message
    assert f"use an {which} version" in message or f"use a {which} version" in message


def test_a_file_of_the_first_version_is_refused_by_its_number() -> None:
    """As it was written then: not by the fields that it lacks."""
    values = RunConfig().to_dict()
    stage = values.pop("multitask") | {"kind": "multitask"}
    for field in ("features", "pair_layer", "further_pretraining", "nli", "head_tuning"):
        del values[field]
    message = refusal(values | {"schema_version": 1, "stages": [stage]})
    assert f"schema_version is 1, this program reads {SCHEMA_VERSION}" in message
    assert "use an older version of the project for this file" in message
    assert "stages" not in message


@pytest.mark.parametrize("values", [None, [], "text", 3])
def test_other_json_than_an_object_is_refused(values: Any) -> None:
    assert "a RunConfig is a JSON object" in refusal(values)


def test_a_run_may_leave_every_stage_out() -> None:
    values = changed("multitask", None)
    config = RunConfig.from_dict(values, "best.json")
    assert config.multitask is None
    assert config.units == 1
    assert config.to_dict() == values


def test_a_config_cannot_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        RunConfig().seed = 1  # type: ignore[misc]
