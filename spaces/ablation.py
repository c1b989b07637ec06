"""An ablation: a configuration with one component exchanged, for every component there is."""

from __future__ import annotations

from spaces.params import all_params, rebuild
from spaces.stage_data import with_corpora, with_stage_budgets
from trainable.component import Choice, Domain, Value
from trainable.data.nli import NliSource
from trainable.data.pretraining_text import TextSource
from trainable.run_config import RunConfig
from trainable.tasks import Tasks

_STAGES = ("further_pretraining", "nli", "head_tuning")
# No component, since its values have no hyperparameters of their own, but exchanged like one.
_SHARING = "encoder.sharing"
_ORDER, _LOCK_STEP = "multitask.batch_order", "lock_step"


def ablation(
    base: RunConfig,
    text: tuple[TextSource, ...] | None = None,
    nli: NliSource | None = None,
) -> list[tuple[str, RunConfig]]:
    """Return the base and, for each kind of each family in it, the base with that kind.

    A new component has the defaults of its kind. Gradient combinations are exchanged under the
    lock-step batch order, whatever the batch order of the base is: most of them have nothing to
    combine where a step has one task only. Compare them with `batch_order/lock_step`.

    Args:
        base: The configuration in which components are exchanged.
        text: Text for every further pretraining; None for the default.
        nli: Examples for every NLI stage; None for the default.

    Returns:
        (name, configuration), names as `base`, `batch_order/sequential`, `gradients/cagrad`,
        `qqp.pair/joint`, `stage/nli.contrastive`.
    """
    base = with_stage_budgets(with_corpora(base, text, nli), base.multitask)
    lock_step = _exchanged(base, _ORDER, _LOCK_STEP)
    found = {"base": base}
    for start, gradients in ((base, False), (lock_step, True)):
        for family, kinds in _families(start).items():
            if family.endswith(".gradients") == gradients:
                for kind in kinds:
                    config = with_corpora(_exchanged(start, family, str(kind)), text, nli)
                    config = with_stage_budgets(config, base.multitask)
                    if config not in found.values():
                        found[_name(family, str(kind), base.data.table)] = config
    return list(found.items())


def _exchanged(config: RunConfig, family: str, kind: str) -> RunConfig:
    """Return a configuration in which the family with a dotted name has another kind."""
    return rebuild(config, lambda name, _, current: kind if name == family else current)


def _families(config: RunConfig) -> dict[str, tuple[Value, ...]]:
    """Return dotted name -> kinds, for each family that the configuration has a member of."""
    known = {name for param in all_params(config) for name, _ in param.parents} | {_SHARING}
    found: dict[str, tuple[Value, ...]] = {}

    def record(name: str, domain: Domain, current: Value) -> Value:
        if name in known and isinstance(domain, Choice):
            found[name] = domain.values
        return current

    rebuild(config, record)
    return found


def _name(family: str, kind: str, tasks: Tasks) -> str:
    """Return `family/kind`, `task.family/kind` for parts of a task, or `stage/family.kind`."""
    if family in _STAGES:
        return f"stage/{family}.{kind}"
    path = family.split(".")
    return f"{path[0]}.{path[-1]}/{kind}" if path[0] in tasks else f"{path[-1]}/{kind}"
