"""An ablation: a configuration with one component exchanged, for every component there is."""

from __future__ import annotations

from spaces.params import all_params, rebuild
from spaces.stage_data import with_corpora, with_stage_budgets
from trainable.component import Choice, Domain, Value
from trainable.data.nli import NliSource
from trainable.data.pretraining_text import TextSource
from trainable.run_config import RunConfig
from trainable.tasks import TASK_NAMES

_STAGES = ("further_pretraining", "nli", "head_tuning")
_SHARING = "encoder.sharing"  # a component in all but name: it has no hyperparameters of its own
_ORDER, _LOCK_STEP = "multitask.batch_order", "lock_step"


def ablation(
    base: RunConfig,
    text: tuple[TextSource, ...] | None = None,
    nli: NliSource | None = None,
) -> list[tuple[str, RunConfig]]:
    """Return the base and, for each kind of each family in it, the base with that kind.

    What is exchanged has the defaults of its kind. Gradient combinations are exchanged under the
    lock-step batch order, whatever that of the base is: under an order with one task a step most of
    them have nothing to combine. So `batch_order/lock_step` is what they are to be compared with.

    Args:
        base: What is varied.
        text: Text for every further pretraining; None for the default.
        nli: Examples for every NLI stage; None for the default.

    Returns:
        (name, configuration), names as `base`, `batch_order/sequential`, `gradients/cagrad`,
        `para.pair/joint`, `stage/nli.contrastive`.
    """
    lock_step = _exchanged(base, _ORDER, _LOCK_STEP)
    found = {"base": base}
    for start, gradients in ((base, False), (lock_step, True)):
        for place, kinds in _families(start).items():
            if place.endswith(".gradients") == gradients:
                for kind in kinds:
                    config = with_corpora(_exchanged(start, place, str(kind)), text, nli)
                    config = with_stage_budgets(config, base.multitask)
                    if config not in found.values():
                        found[_name(place, str(kind))] = config
    return list(found.items())


def _exchanged(config: RunConfig, place: str, kind: str) -> RunConfig:
    """Return a configuration with another kind at one place."""
    return rebuild(config, lambda name, _, current: kind if name == place else current)


def _families(config: RunConfig) -> dict[str, tuple[Value, ...]]:
    """Return the dotted name of each family that the configuration has a member of -> kinds."""
    known = {name for param in all_params(config) for name, _ in param.parents} | {_SHARING}
    found: dict[str, tuple[Value, ...]] = {}

    def record(name: str, domain: Domain, current: Value) -> Value:
        if name in known and isinstance(domain, Choice):
            found[name] = domain.values
        return current

    rebuild(config, record)
    return found


def _name(place: str, kind: str) -> str:
    """Return `family/kind`; tasks keep their name before it, and stages are all called so."""
    if place in _STAGES:
        return f"stage/{place}.{kind}"
    task, *_ = place.split(".")
    family = place.rsplit(".", maxsplit=1)[-1]
    return f"{task}.{family}/{kind}" if task in TASK_NAMES else f"{family}/{kind}"
