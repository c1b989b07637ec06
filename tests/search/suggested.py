"""What every suggestion has to be."""

from __future__ import annotations

import json

from search.log.history import History
from search.searchers.base import Suggestion, params_key
from spaces.space import Space


def check(suggestion: Suggestion, space: Space, history: History) -> None:
    """Assert that a suggestion is of the space, new, and the same after it was written down."""
    assert space.params_of(suggestion.run_config) == suggestion.params
    assert space.why_not(suggestion.run_config) is None
    known = {params_key(trial.params) for trial in history.trials.values()}
    assert params_key(suggestion.params) not in known
    written = json.loads(json.dumps(suggestion.params))
    assert written == suggestion.params
    types = {name: type(value) for name, value in suggestion.params.items()}
    assert {name: type(value) for name, value in written.items()} == types  # no numbers of numpy
