"""The prior that the searcher proposes from, as the options ask for it."""

from __future__ import annotations

from search.planning.options import SearchOptions
from search.planning.own_space import NO_PRIORS, read_priors
from spaces.prior_edits import edited_prior
from spaces.priors import Prior
from spaces.space import Space


def prior_of(options: SearchOptions, space: Space) -> Prior | None:
    """Return the prior of a space; None where the searcher uses none.

    Raises:
        InputError: The file of `--priors` does not fit the space.
    """
    if options.priors == NO_PRIORS or options.searcher != "rung-gp":
        return None
    return edited_prior(space, read_priors(options))
