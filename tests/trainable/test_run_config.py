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

from trainable.errors import InputError
from trainable.run_config import SCHEMA_VERSION, RunConfig


@given(st.data())
def test_a_config_survives_json(
    draw_config: Callable[[st.DataObject], RunConfig], data: st.DataObject
) -> None:
    config = draw_config(data)
    text = json.dumps(config.to_dict(), allow_nan=False)
    assert RunConfig.from_dict(json.loads(text), "test") == config
    assert RunConfig.from_dict(json.loads(text), "test") == config


def changed(path: str, value: Any) -> dict[str, Any]:
    """Return the default config as a dictionary with one value set."""
    values: dict[str, Any] = RunConfig().to_dict()
    *parents, last = path.split(".")
    place: Any = values
    for part in parents:
        place = place[int(part)] if part.isdigit() else place[part]
    place[last] = value
    return values


KIND_PATHS = ["sst.pooling.kind", "para.pair.kind", "stages.0.batch_order.kind"]


def refusal(values: Any) -> str:
    with pytest.raises(InputError) as caught:
        RunConfig.from_dict(values, "best.json")
    message = str(caught.value)
    assert message.startswith("best.json: ")
    return message


def test_unknown_field_is_named_with_the_nearest() -> None:
    message = refusal(changed("stages.0.optimization.leyer_decay", 0.9))
    assert "leyer_decay" in message
    assert "stages.0.optimization" in message
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
        ("stages.0.optimization.lr", 0.0),
        ("stages.0.optimization.lr", float("nan")),
        ("stages.0.optimization.warmup", 1.0),
        ("stages.0.budget_tokens", 0),
        ("stages.0.units", 1.5),
        ("stages.0.precision", "fp8"),
        ("stages.0.batch_order.alpha", 3.0),
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
    assert path.removesuffix(".kind") in message
    assert "atention" in message


def paths(value: Any, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    """Return the paths of all keys."""
    if isinstance(value, dict):
        own = [(*path, key) for key in value]
        return own + [p for key in value for p in paths(value[key], (*path, key))]
    if isinstance(value, list):
        return [p for i, item in enumerate(value) for p in paths(item, (*path, i))]
    return []


@pytest.mark.parametrize("path", paths(RunConfig().to_dict()), ids=lambda p: ".".join(map(str, p)))
def test_missing_field_is_named_and_not_filled_in(path: tuple[str | int, ...]) -> None:
    values = copy.deepcopy(RunConfig().to_dict())
    place: Any = values
    for part in path[:-1]:
        place = place[part]
    del place[path[-1]]
    # A component without its kind is named itself.
    missing = path[-2] if path[-1] == "kind" and len(path) > 1 else path[-1]
    if path[:-1] == ("stages", 0) and path[-1] == "kind":
        missing = "kind"  # the only kind of stage needs no choice
    assert re.search(rf"field '([^']*\.)?{missing}'", refusal(values))


def test_newer_format_is_refused_with_what_to_do() -> None:
    message = refusal(changed("schema_version", SCHEMA_VERSION + 1) | {"field_of_the_future": 1})
    assert f"schema_version is {SCHEMA_VERSION + 1}" in message
    assert "install a newer version" in message


@pytest.mark.parametrize("values", [None, [], "text", 3])
def test_other_json_than_an_object_is_refused(values: Any) -> None:
    assert "a RunConfig is a JSON object" in refusal(values)


@pytest.mark.parametrize("stages", [[], [{}, {}]])
def test_another_number_of_stages_is_refused(stages: list[Any]) -> None:
    assert "stages" in refusal(changed("stages", stages))


def test_a_config_cannot_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        RunConfig().seed = 1  # type: ignore[misc]
