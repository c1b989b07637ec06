"""Every hyperparameter that a search can vary changes what a run computes.

The test reads the hyperparameters from the models, so a new one is tested without being named here.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

import pytest
import torch
from torch import Tensor

import trainable.data.nli
import trainable.data.prepare
import trainable.stages.nli_training
from spaces.params import Param, all_params, rebuild
from spaces.stage_data import with_stage_budgets
from tests.course import TASK_NAMES
from trainable.batch_orders.all_tasks import LockStep
from trainable.component import Choice, Domain, Value
from trainable.data.features import InputFeatures
from trainable.data.nli import pairs, triplets
from trainable.data.pos_tags import PosTagger
from trainable.data.sample_nli import generate_nli
from trainable.data.synonyms import Lexicon
from trainable.model.pairs import JointPair
from trainable.optim.adamw import Optimization
from trainable.run_config import RunConfig
from trainable.stages.head_tuning import CachedHeadTuning
from trainable.stages.multitask import Multitask, NliAuxiliary
from trainable.task_config import PairDecision, PairNumber
from trainable.training.inputs import RunInputs, open_inputs
from trainable.training.loop import Run

# All tasks in every step, heads with weights, and rates at which a few steps show.
BASE = RunConfig(
    tasks={"para": PairDecision(pair=JointPair()), "sts": PairNumber(pair=JointPair())},
    multitask=Multitask(
        batch_order=LockStep(batch_size=8),
        optimization=Optimization(lr=1e-3, head_lr=1e-2),
        budget_tokens=1000,  # two or three steps
        units=1,
    ),
)
# Train sets of different sizes: sampling by size is nothing to test on equal ones.
LARGE = {"sst": 300, "para": 3000, "sts": 100}
SMALL = {"sst": 24, "para": 40, "sts": 16}
NO_STAGE = BASE.model_copy(update={"multitask": None})
TUNING = BASE.model_copy(
    update={"multitask": None, "head_tuning": CachedHeadTuning(lr=1e-2, epochs=2)}
)


def with_budget(tokens: int) -> RunConfig:
    assert BASE.multitask is not None
    longer = BASE.multitask.model_copy(update={"budget_tokens": tokens})
    return BASE.model_copy(update={"multitask": longer})


@dataclass(frozen=True, eq=False)  # a RunConfig has no hash
class Context:
    """Where a hyperparameter shows.

    Attributes:
        base: The rest of the run.
        sizes: Of the train sets.
        values: What is tried, where the whole range would take too long or too many steps.
        beside: Last part of a name -> value, of hyperparameters beside this one.
        predictions: Whether it shows in the predictions only, not in the encoder's weights.
    """

    base: RunConfig = BASE
    sizes: tuple[tuple[str, int], ...] = tuple(LARGE.items())
    values: tuple[Value, ...] = ()
    beside: tuple[tuple[str, Value], ...] = ()
    predictions: bool = False


_SMALL = tuple(SMALL.items())
_SHORT_STAGE = Multitask(budget_tokens=2000)  # for the stages before the tasks
_STAGE = (("lr", 1e-3), ("batch_size", 4))
_FEW = (("batch_size", 4), ("largest", 8), ("smallest", 2))  # examples: more steps for a budget
# The first pattern that fits counts.
CONTEXTS: dict[str, Context] = {
    # The largest chunks make steps of 16,000 tokens.
    "further_pretraining.*.batch_size": Context(NO_STAGE, values=(2, 4, 8), beside=_STAGE),
    "nli.*.batch_size": Context(NO_STAGE, values=(4, 8, 16), beside=_STAGE),
    "further_pretraining*": Context(NO_STAGE, beside=_STAGE),
    "nli*": Context(NO_STAGE, beside=_STAGE),
    "head_tuning.cached.batch_size": Context(TUNING, _SMALL, (4, 8, 16), predictions=True),
    "head_tuning*": Context(TUNING, _SMALL, predictions=True),
    # Training does not see it.
    "para.pair.cosine.threshold": Context(predictions=True),
    # Windows and averages of many steps are for runs of many steps.
    "*.dwa.window": Context(with_budget(1500), _SMALL, (1, 3), _FEW),
    "*.dwa.temperature": Context(with_budget(1500), _SMALL, beside=(*_FEW, ("window", 1))),
    "multitask.averaging.ema.decay": Context(with_budget(5000), _SMALL, (0.0, 0.2, 0.4)),
    "multitask.averaging": Context(beside=(("start", 0.5), ("decay", 0.9))),
    # Caps of a search are hundreds of batches.
    "*.set_round_robin.cap": Context(with_budget(2500), _SMALL, (0, 1, 2), _FEW),
    # Enough for two steps of the largest batches.
    "multitask.batch_order.*.batch_size": Context(with_budget(5000)),
    "*.proportional_batches.largest": Context(with_budget(5000)),
    # Whole visits, phases and windows, several of them.
    "*.gradients": Context(with_budget(1500), _SMALL, beside=(*_FEW, ("window", 1))),
    "*.gradients.*": Context(with_budget(1500), _SMALL, beside=_FEW),
    "*.random_shuffle_dropout.p_*": Context(with_budget(3000), _SMALL, beside=_FEW),
    "*.lock_step.wrap": Context(with_budget(3000), _SMALL, beside=_FEW),
    # Enough for draws that differ to be drawn.
    "multitask.batch_order*": Context(with_budget(5000)),
    # Two passes in each step.
    "multitask.regularization*": Context(with_budget(2000)),
    "multitask.optimization.amsgrad": Context(with_budget(5000)),
    "multitask.optimization.clip": Context(beside=(("max_norm", 0.5),)),
    "*": Context(),
}
PARAMS = {param.name: param for param in all_params(RunConfig())}


def context_of(name: str) -> Context:
    return next(own for pattern, own in CONTEXTS.items() if fnmatchcase(name, pattern))


def with_values(values: dict[str, Value], base: RunConfig) -> RunConfig:
    """Return a config with hyperparameters set by their dotted names."""
    used: set[str] = set()

    def choose(name: str, domain: Domain, current: Value) -> Value:
        used.add(name)
        return values.get(name, current)

    config = rebuild(base, choose)
    assert used >= values.keys(), "a hyperparameter was set where it does not exist"
    return config


def values_to_try(param: Param) -> tuple[Value, ...]:
    if own := context_of(param.name).values:
        return own
    if isinstance(param.domain, Choice):
        return param.domain.values
    return (param.domain.low, param.domain.high)


def variants(param: Param) -> list[RunConfig]:
    """Return runs that differ in one hyperparameter only, and have its parents.

    A component that is chosen gets numbers off their defaults: a weighted sum whose weights are
    all 1 is meant to be the plain sum.
    """
    context = context_of(param.name)
    configs = []
    for value in values_to_try(param):
        values: dict[str, Value] = {**dict(param.parents), param.name: value}
        parents = (*param.parents, (param.name, value))
        for child in PARAMS.values():
            if child.parents == parents and not isinstance(child.domain, Choice):
                values[child.name] = values_to_try(child)[-1]
            # Whatever lies beside the param, above it or right below it.
            last = child.name.rsplit(".", maxsplit=1)[-1]
            near = child.parents and child.parents == parents[: len(child.parents)]
            if near and child.name != param.name and last in (beside := dict(context.beside)):
                values[child.name] = beside[last]
        configs.append(with_stage_budgets(with_values(values, context.base), _SHORT_STAGE))
    return configs


class Guesses:
    """Tags words by their length; stands in for a tagger that would be downloaded."""

    def tag(self, tokens: list[str]) -> list[tuple[str, str]]:
        return [(token, ("NN", "VB", "JJ")[len(token) % 3]) for token in tokens]


@pytest.fixture(scope="module")
def inputs_of(
    cut_inputs: Callable[..., RunInputs],
) -> Iterator[Callable[[InputFeatures, tuple[tuple[str, int], ...]], RunInputs]]:
    """Return a function from features and train set sizes to inputs."""
    lexicon = Lexicon("reversed", lambda word: (word[::-1], word + word), "reversed")

    @functools.cache
    def opened(features: InputFeatures) -> RunInputs:
        with_nli = Multitask(auxiliary=NliAuxiliary())
        return open_inputs(RunConfig(features=features, multitask=with_nli), torch.device("cpu"))

    @functools.cache
    def cut(features: InputFeatures, sizes: tuple[tuple[str, int], ...]) -> RunInputs:
        # Copies with synonyms stand behind all examples: without a cut, they are seen.
        own = {} if features.synonym_copies else dict(sizes)
        return cut_inputs(opened(features), **own)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trainable.data.prepare, "load_tagger", lambda: PosTagger(Guesses(), "guess"))
        patch.setattr(trainable.data.prepare, "load_wordnet", lambda: lexicon)
        # Else every run would generate the same examples again, and that takes longer than the run.
        patch.setattr(trainable.data.nli, "generate_nli", functools.cache(generate_nli))
        patch.setattr(trainable.stages.nli_training, "pairs", functools.cache(pairs))
        patch.setattr(trainable.stages.nli_training, "triplets", functools.cache(triplets))
        yield cut


@pytest.fixture(scope="module")
def found_by(
    inputs_of: Callable[..., RunInputs],
) -> Callable[[str, Context], Tensor]:
    """Return a function from a RunConfig, as JSON, to what its run finds, remembered a while.

    That is the weights of each task's encoder: they have the same shapes in every run, and what a
    head does to the loss reaches them. Or else it is all predictions.
    """

    @functools.lru_cache(maxsize=40)
    def found(text: str, context: Context) -> Tensor:
        config = RunConfig.model_validate_json(text)
        run = Run(config, inputs_of(config.features, context.sizes))
        run.train_unit()
        assert config.multitask is None or run.steps >= 2
        if context.predictions:
            probabilities = run.probabilities("select")
            parts = [*probabilities.values(), *run.decide(probabilities).values()]
        else:
            parts = [
                p.detach()
                for task in TASK_NAMES
                for name, p in run.model.encoder_of(task).named_parameters()
                if "embeddings.tag" not in name  # not in every run
            ]
        return torch.cat([part.flatten() for part in parts])

    return found


def test_the_hyperparameters_are_found() -> None:
    assert {
        "encoder.dropout",
        "encoder.sharing",
        "features.pos_tags",
        "sst.pooling",
        "sst.head.mlp.width",
        "para.pair",
        "para.pair.cosine.threshold",
        "para.pair.joint.join",
        "para.pair.siamese.features",
        "sts.pair.cosine.scaling",
        "sts.loss",
        "pair_layer.dense.residual",
        "further_pretraining.mlm.mask_probability",
        "nli.contrastive.temperature",
        "multitask.tasks",
        "multitask.auxiliary.nli.temperature",
        "multitask.batch_order",
        "multitask.batch_order.proportional.annealing",
        "multitask.batch_order.lock_step.gradients",
        "multitask.batch_order.lock_step.gradients.cagrad.c",
        "multitask.batch_order.lock_step.gradients.weighted.log_para",
        "multitask.regularization.r_drop.alpha",
        "multitask.optimization.lr",
        "multitask.optimization.clip",
        "multitask.averaging.swa.start",
        "head_tuning.cached.tasks",
    } <= PARAMS.keys()
    assert len(PARAMS) >= 200


@pytest.mark.parametrize("name", PARAMS)
def test_hyperparameter_changes_what_a_run_finds(
    found_by: Callable[[str, Context], Tensor], name: str
) -> None:
    values, context = values_to_try(PARAMS[name]), context_of(name)
    results = [found_by(config.model_dump_json(), context) for config in variants(PARAMS[name])]
    assert len(results) >= 2
    for i, one in enumerate(results):
        for j, other in enumerate(results[:i]):
            # Exactly: runs that compute the same are equal to the bit, on every processor.
            same = torch.equal(one, other)
            assert not same, f"{name}: {values[i]} and {values[j]} give the same run"


@pytest.mark.parametrize("config", [BASE, TUNING], ids=["multitask", "head_tuning"])
def test_a_run_that_is_repeated_finds_the_same_to_the_bit(
    found_by: Callable[[str, Context], Tensor], config: RunConfig
) -> None:
    context = Context(sizes=_SMALL, predictions=config is TUNING)
    text = config.model_dump_json()
    found: Any = found_by  # which remembers what it found
    assert torch.equal(found(text, context), found.__wrapped__(text, context))
