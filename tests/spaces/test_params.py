from __future__ import annotations

import json
from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st

from spaces.params import Param, all_params, param_from_json, rebuild
from trainable.batch_orders.by_size import Proportional
from trainable.batch_orders.in_turn import RoundRobin
from trainable.component import Choice, Domain, Value
from trainable.data.nli import HubNli
from trainable.data.pretraining_text import TextFiles
from trainable.model.heads import MlpHead
from trainable.model.pairs import SiamesePair
from trainable.optim.adamw import Optimization
from trainable.run_config import RunConfig
from trainable.stages.language_modelling import MaskedLanguageModelling
from trainable.stages.multitask import Multitask, NliAuxiliary
from trainable.stages.nli_training import LinearNli
from trainable.task_config import PairDecision


def seen_in(config: RunConfig) -> dict[str, tuple[Domain, Value]]:
    """Return name -> domain and value, in the order in which `rebuild` asks."""
    seen: dict[str, tuple[Domain, Value]] = {}

    def record(name: str, domain: Domain, current: Value) -> Value:
        assert name not in seen
        seen[name] = (domain, current)
        return current

    assert rebuild(config, record) == config
    return seen


@given(st.data())
def test_rebuilding_with_current_values_changes_nothing(
    draw_config: Callable[..., RunConfig], data: st.DataObject
) -> None:
    config = draw_config(data)
    seen = seen_in(config)
    assert rebuild(RunConfig(), lambda name, domain, current: seen[name][1]) == config


@given(st.data())
def test_a_config_has_the_hyperparameters_whose_parents_have_the_required_kinds(
    draw_config: Callable[..., RunConfig], data: st.DataObject
) -> None:
    seen = seen_in(draw_config(data))
    expected = {
        param.name: param.domain
        for param in all_params(RunConfig())
        if all(parent in seen and seen[parent][1] == kind for parent, kind in param.parents)
    }
    assert {name: domain for name, (domain, _) in seen.items()} == expected


def test_values_are_those_of_the_fields() -> None:
    config = RunConfig(
        tasks={"para": PairDecision(pair=SiamesePair(head=MlpHead(width=64)))},
        multitask=Multitask(batch_order=RoundRobin(batch_size=32)),
    )
    values = {name: value for name, (_, value) in seen_in(config).items()}
    assert values["para.pair"] == "siamese"
    assert values["para.pair.siamese.head.mlp.width"] == 64
    assert values["multitask.batch_order.round_robin.batch_size"] == 32
    assert values["multitask.optimization.lr"] == Optimization().lr
    assert "para.pair.joint.join" not in values


def test_another_component_starts_from_its_defaults_and_the_chosen_one_keeps_its_values() -> None:
    config = RunConfig(multitask=Multitask(batch_order=RoundRobin(batch_size=32)))

    def choose(name: str, domain: Domain, current: Value) -> Value:
        return "proportional" if name == "multitask.batch_order" else current

    changed = rebuild(config, choose)
    assert changed.multitask.batch_order == Proportional()
    assert rebuild(config, lambda _, __, current: current).multitask.batch_order.batch_size == 32


def test_parents_come_before_their_children_and_names_are_unique() -> None:
    known: set[str] = set()
    for param in all_params(RunConfig()):
        assert param.name not in known
        assert "/" not in param.name
        for parent, kind in param.parents:
            assert parent in known
            assert param.name.startswith(f"{parent}.{kind}.")
        known.add(param.name)


def test_hyperparameters_of_nested_components_have_all_their_parents() -> None:
    params = {param.name: param for param in all_params(RunConfig())}
    assert params["para.pair.joint.head.mlp.width"] == Param(
        "para.pair.joint.head.mlp.width",
        Choice((64, 128, 256, 512, 768)),
        (("para.pair", "joint"), ("para.pair.joint.head", "mlp")),
    )
    assert params["multitask.optimization.lr"].parents == ()


def test_defaults_lie_within_their_ranges() -> None:
    seen = dict(seen_in(RunConfig()))
    # The defaults of the components that are not chosen by default count too.
    for param in all_params(RunConfig()):
        for name, kind in param.parents:

            def choose(
                here: str, domain: Domain, current: Value, name: str = name, kind: str = kind
            ) -> Value:
                return kind if here == name else current

            seen |= seen_in(rebuild(RunConfig(), choose))
    assert len(seen) > 50
    for name, (domain, value) in seen.items():
        assert domain.contains(value), name


def test_a_stage_that_is_left_out_has_no_hyperparameters() -> None:
    config = RunConfig(multitask=None)
    seen = seen_in(config)
    assert not any(name.startswith("multitask.") for name in seen)
    assert {"further_pretraining", "nli", "head_tuning", "pair_layer"} <= seen.keys()
    announced = {param.name for param in all_params(config)}
    assert not any(name.startswith("multitask.") for name in announced)
    whole = {param.name for param in all_params(RunConfig())}
    assert announced == {name for name in whole if not name.startswith("multitask.")}


def test_what_is_no_hyperparameter_survives_a_change_of_those_around_it() -> None:
    """Where text comes from and how long a stage is are not searched, and not forgotten."""
    own = TextFiles(paths=("a.txt",))
    config = RunConfig(
        further_pretraining=MaskedLanguageModelling(sources=(own,), budget_tokens=77),
        nli=LinearNli(source=HubNli(), precision="bf16"),
        multitask=Multitask(auxiliary=NliAuxiliary(source=HubNli()), units=3),
    )

    def largest(name: str, domain: Domain, current: Value) -> Value:
        return current if isinstance(domain, Choice) else domain.high

    changed = rebuild(config, largest)
    assert changed != config
    assert isinstance(changed.further_pretraining, MaskedLanguageModelling)
    assert changed.further_pretraining.sources == (own,)
    assert changed.further_pretraining.budget_tokens == 77
    assert isinstance(changed.nli, LinearNli)
    assert (changed.nli.source, changed.nli.precision) == (HubNli(), "bf16")
    assert changed.multitask is not None
    assert changed.multitask.units == 3
    assert isinstance(changed.multitask.auxiliary, NliAuxiliary)
    assert changed.multitask.auxiliary.source == HubNli()


def test_every_param_comes_back_equal_from_json() -> None:
    for param in all_params(RunConfig()):
        fields = json.loads(json.dumps(param.to_json()))
        assert param_from_json(param.name, fields) == param
