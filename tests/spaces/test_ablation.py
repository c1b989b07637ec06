"""The ablation against the families of components, read in another way."""

from __future__ import annotations

import json

import pytest

from spaces.ablation import ablation
from spaces.component_table import families
from spaces.params import rebuild
from tests.course import TASK_NAMES
from trainable.batch_orders.all_tasks import LockStep
from trainable.batch_orders.in_turn import RoundRobin
from trainable.component import Domain, Value
from trainable.data.nli import SickNli
from trainable.data.pretraining_text import TextFiles
from trainable.data.sources import SampleData
from trainable.defaults import default_run
from trainable.model.encoder import EncoderConfig
from trainable.run_config import RunConfig
from trainable.stages.language_modelling import MaskedLanguageModelling
from trainable.stages.multitask import Multitask
from trainable.stages.nli_training import LinearNli

BASES = {
    "defaults": RunConfig(),
    "tiny": default_run(EncoderConfig(), SampleData(), 0, Multitask()),
    "round_robin": RunConfig(multitask=Multitask(batch_order=RoundRobin(batch_size=4))),
    "heads_only": RunConfig(multitask=None),
}


def values_of(config: RunConfig) -> dict[str, Value]:
    seen: dict[str, Value] = {}

    def record(name: str, domain: Domain, current: Value) -> Value:
        seen[name] = current
        return current

    rebuild(config, record)
    return seen


def kinds_of(family: str) -> set[str]:
    return {str(member.model_fields["kind"].default) for member in families()[family].values()}


@pytest.mark.parametrize("base", BASES.values(), ids=list(BASES))
def test_configurations_differ_and_come_back_equal_from_json(base: RunConfig) -> None:
    found = ablation(base)
    assert found[0] == ("base", base)
    names, configs = zip(*found, strict=True)
    assert len(set(names)) == len(names)
    assert len({json.dumps(config.to_dict()) for config in configs}) == len(names)
    for config in configs:
        assert RunConfig.from_dict(json.loads(json.dumps(config.to_dict())), "test") == config


@pytest.mark.parametrize("base", BASES.values(), ids=list(BASES))
def test_one_component_differs_from_the_base(base: RunConfig) -> None:
    start = values_of(base)
    for name, config in ablation(base)[1:]:
        found = values_of(config)
        changed = {key for key in start.keys() & found.keys() if start[key] != found[key]}
        if name.startswith("gradients/"):
            assert config.multitask is not None
            assert isinstance(config.multitask.batch_order, LockStep)
            changed -= {"multitask.batch_order"}
        else:
            assert len(changed) == 1, name
        assert all(name.endswith(str(found[key])) for key in changed)


@pytest.mark.parametrize("name", ["defaults", "tiny", "round_robin"])
def test_every_kind_of_the_families_of_training_is_there(name: str) -> None:
    base = BASES[name]
    assert base.multitask is not None
    names = {name for name, _ in ablation(base)}
    for family in ("batch_order", "schedule", "averaging", "regularization", "auxiliary"):
        kinds = {f"{family}/{kind}" for kind in kinds_of(family)}
        own = values_of(base).keys() & {f"multitask.{family}", f"multitask.optimization.{family}"}
        (at,) = own
        assert names & kinds == kinds - {f"{family}/{values_of(base)[at]}"}
    # The sum under lock-step is that batch order itself.
    assert {f"gradients/{kind}" for kind in kinds_of("gradients")} - names == {"gradients/plain"}


@pytest.mark.parametrize("pair", ["joint", "siamese", "cosine"])
def test_every_kind_of_poolings_pairs_heads_and_stages_is_there(pair: str) -> None:
    defaults = RunConfig()
    own = {name: {"kind": defaults.tasks[name].kind} for name in TASK_NAMES}
    for task in ("para", "sts"):
        own[task]["pair"] = {"kind": pair}
    base = RunConfig.model_validate({"tasks": own})
    names = {name for name, _ in ablation(base)}
    for task, config in base.tasks.items():
        kinds = {f"{task}.pooling/{kind}" for kind in kinds_of("pooling")}
        assert kinds - names == {f"{task}.pooling/{config.pooling.kind}"}
    for task in ("para", "sts"):
        assert {f"{task}.pair/{kind}" for kind in kinds_of("pair")} - names == {
            f"{task}.pair/{pair}"
        }
    assert "sst.head/mlp" in names
    # A cosine is a number without a head, and one vector has nothing on each side.
    assert ({"para.head/mlp", "sts.head/mlp"} <= names) == (pair != "cosine")
    assert ({"para.side/dense", "sts.side/dense"} <= names) == (pair != "joint")
    for slot in ("further_pretraining", "nli", "head_tuning"):
        kinds = {f"stage/{slot}.{kind}" for kind in kinds_of(slot)}
        assert kinds - names == {f"stage/{slot}.none"}
    assert {"sharing/per_task", "pair_layer/dense"} <= names


def test_stages_read_the_corpora_that_are_given() -> None:
    text, nli = (TextFiles(paths=("a.txt",)),), SickNli(dir="sick")
    found = dict(ablation(RunConfig(), text, nli))
    mlm = found["stage/further_pretraining.mlm"].further_pretraining
    assert isinstance(mlm, MaskedLanguageModelling)
    assert mlm.sources == text
    linear = found["stage/nli.linear"].nli
    assert isinstance(linear, LinearNli)
    assert linear.source == nli


def test_stages_before_the_tasks_have_the_budget_of_the_base() -> None:
    found = dict(ablation(RunConfig(multitask=Multitask(budget_tokens=123, precision="bf16"))))
    for name in ("further_pretraining.mlm", "nli.linear", "nli.contrastive"):
        stage = getattr(found[f"stage/{name}"], name.split(".")[0])
        assert (stage.budget_tokens, stage.precision) == (123, "bf16")


def test_a_stage_of_the_base_has_the_same_text_and_budget_in_every_row() -> None:
    own = MaskedLanguageModelling(budget_tokens=9, precision="fp32")
    stage = Multitask(budget_tokens=123, precision="bf16")
    base = RunConfig(further_pretraining=own, multitask=stage)
    text = (TextFiles(paths=("a.txt",)),)
    found = ablation(base, text)
    assert found[0][0] == "base"
    for _, config in found:
        mlm = config.further_pretraining
        if isinstance(mlm, MaskedLanguageModelling):
            assert (mlm.budget_tokens, mlm.precision, mlm.sources) == (123, "bf16", text)
    assert "stage/further_pretraining.mlm" not in dict(found), "it is the base"


def test_nothing_of_a_stage_that_the_base_leaves_out_is_exchanged() -> None:
    names = {name for name, _ in ablation(BASES["heads_only"])}
    assert {"sst.head/mlp", "stage/nli.linear"} <= names
    assert not any(name.startswith(("batch_order/", "gradients/", "schedule/")) for name in names)
