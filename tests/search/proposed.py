"""What every proposal has to be."""

from __future__ import annotations

import json

from search.log.history import History
from search.searchers.base import Proposal, params_key
from spaces.space import Space


def check(proposal: Proposal, space: Space, history: History) -> None:
    """Assert that a proposal is of the space, new, and the same after it was written down."""
    assert space.params_of(proposal.run_config) == proposal.params
    assert space.why_not(proposal.run_config) is None
    known = {params_key(trial.params) for trial in history.trials.values()}
    assert params_key(proposal.params) not in known
    written = json.loads(json.dumps(proposal.params))
    assert written == proposal.params
    types = {name: type(value) for name, value in proposal.params.items()}
    assert {name: type(value) for name, value in written.items()} == types  # no numbers of numpy
