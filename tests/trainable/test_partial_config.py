from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import BertConfig

from tests.trainable.other_tasks import other_tasks
from trainable.data.sources import SampleData
from trainable.defaults import default_run
from trainable.errors import InputError
from trainable.model.encoder import EncoderConfig
from trainable.partial_config import complete, filled_note
from trainable.run_config import RunConfig


def fields(values: dict[str, Any], path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for key, value in values.items():
        yield (*path, key)
        if isinstance(value, dict):
            yield from fields(value, (*path, key))


def without(values: dict[str, Any], path: tuple[str, ...]) -> None:
    for key in path[:-1]:
        values = values.get(key, {})
    values.pop(path[-1], None)


@settings(max_examples=20)
@given(st.data())
def test_defaults_may_be_left_out(draw_config: Callable[..., RunConfig], data: Any) -> None:
    """A configuration means the same without the fields that have their defaults."""
    config = draw_config(data)
    full = config.to_dict()
    found, filled = complete(full, "f")
    assert (found, filled) == (config, {})
    given = copy.deepcopy(full)
    paths = sorted(path for path in fields(full) if path[-1] != "kind")
    for path in data.draw(st.lists(st.sampled_from(paths), max_size=5)):
        part = copy.deepcopy(given)
        without(part, path)
        try:
            same = complete(part, "f")[0] == config
        except InputError:
            continue  # the rest needs it, as a folder of data does
        if same:
            given = part
    found, filled = complete(given, "f")
    assert found == config
    assert bool(filled) == (given != full)
    for name in filled:
        assert name.split(".")[0] in full


def test_nothing_at_all_means_the_defaults() -> None:
    config, filled = complete({}, "f")
    assert config == default_run(EncoderConfig(), SampleData())
    assert filled["encoder.source"] == "tiny"
    assert filled["seed"] == 0
    assert filled["data"] == {"kind": "sample", "seed": 0}


def test_what_is_left_out_of_a_component_is_that_of_its_kind() -> None:
    part = {"multitask": {"batch_order": {"kind": "lock_step", "batch_size": 4}}}
    config, filled = complete(part, "f")
    assert config.multitask is not None
    assert config.multitask.batch_order.kind == "lock_step"
    own = {name: value for name, value in filled.items() if "batch_order" in name}
    order = config.to_dict()["multitask"]["batch_order"]
    assert own == {
        f"multitask.batch_order.{key}": value
        for key, value in order.items()
        if key not in ("kind", "batch_size")
    }


def test_a_component_whose_kind_is_left_out_keeps_the_one_of_the_defaults() -> None:
    config, filled = complete({"multitask": {"batch_order": {"batch_size": 4}}}, "f")
    assert config.multitask is not None
    assert (
        config.multitask.batch_order.kind
        == default_run(EncoderConfig(), SampleData()).multitask.batch_order.kind
    )  # type: ignore[union-attr]
    assert filled["multitask.batch_order.kind"] == config.multitask.batch_order.kind


def test_a_rate_that_is_left_out_is_that_of_the_encoder(tmp_path: Path) -> None:
    BertConfig().save_pretrained(tmp_path)
    encoder = {"source": str(tmp_path)}
    config, filled = complete({"encoder": encoder}, "f")
    assert config.multitask is not None
    assert config.multitask.optimization.lr == 3.5e-5
    assert filled["multitask.optimization.lr"] == 3.5e-5


@pytest.mark.parametrize("stage", [None, {"optimization": {"lr": 2e-5}}])
def test_an_encoder_is_not_asked_for_a_rate_that_is_given(stage: dict[str, Any] | None) -> None:
    config, _ = complete({"encoder": {"source": "nowhere"}, "multitask": stage}, "f")
    assert config.encoder.source == "nowhere"
    with pytest.raises(InputError, match="unknown encoder 'nowhere'"):
        complete({"encoder": {"source": "nowhere"}}, "f")


def test_a_stage_that_is_none_stays_out() -> None:
    config, filled = complete({"multitask": None}, "f")
    assert config.multitask is None
    assert not any(name.startswith("multitask") for name in filled)


def test_what_is_given_is_not_changed() -> None:
    part = {"encoder": {"dropout": 0.2}}
    before = copy.deepcopy(part)
    complete(part, "f")
    assert part == before


@pytest.mark.parametrize(
    ("part", "fragment"),
    [
        ([], "a configuration is a mapping, not []"),
        ({"encoder": 3}, "field 'encoder'"),
        (
            {"encoder": {"dropout": "0.1"}},
            "field 'encoder.dropout': Input should be a valid number",
        ),
        ({"encoder": {"droput": 0.1}}, "did you mean 'dropout'?"),
        ({"pair_layer": {"kind": "dens"}}, "'dense'"),
        ({"data": {"kind": "cs224n"}}, "data.cs224n.dir"),
        ({"schema_version": 0}, "use an older version"),
        ({"multitask": {"optimization": {"lr": -1}}}, "multitask.optimization.lr"),
    ],
)
def test_what_is_wrong_is_refused_in_a_line(part: Any, fragment: str) -> None:
    with pytest.raises(InputError, match=r"^f: ") as caught:
        complete(part, "f")
    assert fragment in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_component_without_a_kind_and_without_a_default_is_said() -> None:
    order = {"kind": "sequential", "gradients": {"c": 0.5}}
    with pytest.raises(InputError, match=r"gradients': has no 'kind'; say which one"):
        complete({"multitask": {"batch_order": order}}, "f")


def test_the_note_is_a_block_that_fits_the_screen() -> None:
    _, filled = complete({}, "config.yaml")
    first, *lines = filled_note("config.yaml", filled).splitlines()
    assert first == "config.yaml leaves out, and these have their defaults:"
    assert all(line.startswith("  ") and len(line) <= 100 for line in lines)
    items = [item for line in lines for item in line.strip().removesuffix(",").split(", ")]
    assert [item.split(" ")[0] for item in items] == list(filled)
    assert "pair_layer none" in items


def test_tasks_of_ones_own_are_those_of_the_data(tmp_path: Path) -> None:
    source = other_tasks(tmp_path, ("mood", "overlap"))
    whole = RunConfig(data=source)
    assert complete(whole.to_dict(), "file") == (whole, {})
    part = {"data": source.model_dump(mode="json"), "tasks": {"mood": {"dropout": 0.2}}}
    config, filled = complete(part, "file")
    assert list(config.tasks) == ["mood", "overlap"]
    assert config.tasks["mood"].dropout == 0.2
    assert "tasks.mood.pooling" in filled


def test_a_task_with_a_name_that_torch_needs_is_refused(tmp_path: Path) -> None:
    source = other_tasks(tmp_path, ("mood",)).model_dump(mode="json")
    source["tasks"][0]["task"]["name"] = "type"
    with pytest.raises(InputError, match="'type' cannot be the name of a task"):
        complete({"data": source}, "file")
