"""The text of a plan, for `--dry-run` and for the start of a search."""

from __future__ import annotations

from search.planning.audit_share import audit_share, audit_units
from search.planning.finalist_runs import describe_finalists
from search.planning.options import SearchOptions
from search.planning.own_priors import prior_of
from search.planning.own_space import read_edits
from search.planning.plan import Plan, is_left_to_choose
from search.schedulers.rungs import units_per_trial
from spaces.catalogue import make_space
from spaces.params import all_params
from spaces.space import Space


def describe(plan: Plan) -> str:
    """Return the plan as text for people: what varies, and then, last on the screen, the rest."""
    options, is_open = plan.options, is_left_to_choose(plan.options)
    n_trials = "chosen" if is_open else str(plan.n_trials)
    lines = [f"space      {options.space}, {len(plan.space.params())} params"]
    lines += [f"  row {name}" for name in plan.rows]
    lines += _space_lines(options, plan.space) if isinstance(plan.space, Space) else []
    lines += [
        f"search     {plan.folder.uri}",
        f"data       {options.tasks or options.data}, fingerprint {plan.data_fingerprint}",
        *(f"           {note}" for note in plan.notes),
        f"encoder    {options.encoder}, {plan.n_parameters:,} parameters, {options.precision}",
        f"trials     {n_trials}, searcher {options.searcher}, "
        f"scheduler {options.scheduler} (eta {options.eta})",
        *([] if is_open else _first_lines(plan)),
        *describe_finalists(options.finalists, 0 if is_open else plan.finalist_runs),
        *_audit_lines(plan),
        *_budget_lines(plan),
        f"checkpoint {plan.checkpoint_bytes / 1e6:,.0f} MB, of some trials up to "
        f"{plan.largest_checkpoint_bytes / 1e6:,.0f} MB; two of a running trial, one of a paused "
        f"one",
    ]
    return "\n".join(lines)


def _first_lines(plan: Plan) -> list[str]:
    """Return a line that names the trials that a search begins with; nothing if all are rows."""
    names = [origin for _, origin in plan.points if origin not in plan.rows]
    rows = [f"the {len(plan.rows)} rows above"] if plan.rows else []
    return [f"  first: {', '.join(names + rows)}"] if names else []


def _budget_lines(plan: Plan) -> list[str]:
    options = plan.options
    if is_left_to_choose(options):
        return [f"budget     chosen for --time-limit {options.time_limit} at the start"]
    return [
        f"budget     {plan.budget:,} tokens a run",
        *(
            f"  rung {k}: unit {unit} of {options.units}, "
            f"{round(plan.budget * unit / options.units):,} tokens"
            for k, unit in enumerate(plan.rungs)
        ),
    ]


def _audit_lines(plan: Plan) -> list[str]:
    """Return a line that says what the audit costs, in full runs; nothing without an audit."""
    # A search that goes on keeps the audit that it began with.
    share = audit_share(plan.earlier.header.get("options", vars(plan.options)))
    more = audit_units(plan.rungs, plan.options.eta, share) / plan.options.units
    if not more:
        return []
    usual = units_per_trial(plan.rungs, plan.options.eta) / plan.options.units
    return [
        f"audit      {share:.0%} of the trials that a rung stops run on to their end: about "
        f"{more / usual:.0%} more training on average; --audit 0 leaves it out"
    ]


def _space_lines(options: SearchOptions, space: Space) -> list[str]:
    """Return a line for each param: range, the usual one if another, where to look first."""
    named = make_space(read_edits(options)[0], space.base)
    usual = {p.name: named.narrowed.get(p.name, p.domain) for p in all_params(space.base)}
    prior, lines = prior_of(options, space), []
    for param in space.reachable:
        if param.name in space.fixed:
            what = f"fixed at {space.fixed[param.name]}"
        elif space.varies(param.name):
            is_usual = param.domain == usual[param.name]
            first = f"; first {prior.of[param.name]}" if prior else ""
            what = f"{param.domain}{'' if is_usual else f', usually {usual[param.name]}'}{first}"
        else:
            continue
        condition = " and ".join(f"{parent} = {kind}" for parent, kind in param.parents[-1:])
        lines.append(f"  {param.name}: {what}" + (f"   if {condition}" if condition else ""))
    return lines
