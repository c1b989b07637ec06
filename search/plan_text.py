"""A plan as people read it: what `--dry-run` prints."""

from __future__ import annotations

from search.planning.plan import Plan
from spaces.space import Space


def describe(plan: Plan) -> str:
    """Return the plan as text for people."""
    options, budget = plan.options, plan.budget
    rung_lines = [
        f"  rung {k}: unit {unit} of {options.units}, "
        f"{round(budget * unit / options.units):,} tokens"
        for k, unit in enumerate(plan.rungs)
    ]
    lines = [
        f"search     {plan.folder.uri}",
        f"data       {options.data}, fingerprint {plan.data_fingerprint}",
        *(f"           {note}" for note in plan.notes),
        f"encoder    {options.encoder}, {plan.n_parameters:,} parameters, {options.precision}",
        f"trials     {plan.n_trials}, searcher {options.searcher}, scheduler {options.scheduler} "
        f"(eta {options.eta})",
        f"budget     {budget:,} tokens a run",
        *rung_lines,
        f"checkpoint {plan.checkpoint_bytes / 1e6:,.0f} MB; two of a running trial, one of a "
        f"paused one",
        f"space      {options.space}, {len(plan.space.params())} params",
    ]
    lines += [f"  row {name}" for name in plan.rows]
    for param in plan.space.params() if isinstance(plan.space, Space) else ():
        condition = " and ".join(f"{parent} = {kind}" for parent, kind in param.parents[-1:])
        lines.append(
            f"  {param.name}: {param.domain}" + (f"   if {condition}" if condition else "")
        )
    return "\n".join(lines)
