"""Who proposes configurations: Optuna through Ray's OptunaSearch.

The rest of the driver sees a Ray `Searcher`; a better one takes its place here.
"""

from __future__ import annotations

import warnings

import optuna
from ray.tune.search import Searcher
from ray.tune.search.optuna import OptunaSearch

from search.plan import Plan

METRIC, MODE = "score", "max"


def make_searcher(plan: Plan) -> Searcher:
    """Return the searcher that the options ask for.

    Its first proposals are the plan's points.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    options = plan.options
    if options.searcher == "random":
        sampler: optuna.samplers.BaseSampler = optuna.samplers.RandomSampler(seed=options.seed)
    else:
        # `group` is marked experimental since 2021; nothing else models conditional params well.
        warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
        sampler = optuna.samplers.TPESampler(
            seed=options.seed,
            # A third of the trials at random first, at most Optuna's usual ten.
            n_startup_trials=max(2, min(10, plan.n_trials // 3)),
            multivariate=True,
            group=True,  # conditional params are modelled in groups, not one by one
            constant_liar=True,  # trials under way count as poor, so that two do not coincide
        )
    return OptunaSearch(
        space=plan.space,
        metric=METRIC,
        mode=MODE,
        sampler=sampler,
        points_to_evaluate=list(plan.points),
    )
