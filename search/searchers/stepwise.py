"""Forward stepwise selection with a beam, over single changes of components."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass

from search.log.history import History
from search.log.trial import TrialRecord
from search.searchers.base import Params, Suggestion, Tried, params_key
from spaces.params import rebuild
from spaces.space import Space
from trainable.component import Choice, Domain, Value
from trainable.run_config import RunConfig
from trainable.seeds import derive


@dataclass(frozen=True)
class _Candidate:
    """A configuration that a round tries.

    Attributes:
        params: Params of the configuration.
        key: Result of `params_key` for them.
        change: What was changed, such as `qqp.pair = siamese`; `base` for the start.
    """

    params: Params
    key: int
    change: str


class Stepwise:
    """Starts from the base configuration and adds, in each round, the changes that help most.

    A round tries every extension of every configuration of the beam. When all of them have ended,
    the best `beam` ones are the next beam. The search ends when none of them is better than the
    best of the round before.

    Source: "BERT++" (CS224N 2023), section 4.3: forward stepwise selection from the baseline, one
    extension at a time, judged by the overall score on dev, with ideas of beam search; the paper
    gives no width. Its seven extensions were chosen by hand: layers in the heads, further
    pretraining, multitask fine-tuning, gradient surgery, cosine similarity, cycled training, and
    all numbers together. Deviation: an extension here is another value of one param that is a
    choice. Params that exist only under the new value get their defaults. Params with a range stay
    as in the base.

    Every call works out the rounds anew from the history. A trial counts with the last score that
    it reported, and ranks below all trials that went further. A paused trial counts in the same
    way as soon as no trial of its round runs. If it is promoted later, the rounds follow from its
    new score.

    Args:
        space: The space to search.
        seed: Seed of the order in which a round tries its extensions.
        beam: Number of configurations that a round extends, at least 1.
    """

    def __init__(self, space: Space, seed: int, beam: int = 2) -> None:
        self._space = space
        self._seed = seed
        self._beam = beam
        self._domains = {param.name: param.domain for param in space.params()}
        self._tried = Tried()
        self._extensions: dict[int, list[_Candidate]] = {}

    def suggest(self, number: int, history: History) -> Suggestion | None:
        """Return the next extension; None while the last trials of a round run, and at the end."""
        self._tried.read(history)
        start = self._space.params_of(self._space.base)
        candidates = [_Candidate(start, params_key(start), "base")]
        seen: set[int] = set()
        best: TrialRecord | None = None
        n_rounds = 0
        while candidates:
            trials: dict[int, TrialRecord] = {}
            for own in candidates:
                trial = self._tried.trial_of(own.key)
                if trial is None:
                    origin = f"stepwise round {n_rounds}: {own.change}"
                    return Suggestion(own.params, origin, self._config(own.params))
                trials[own.key] = trial
            if any(trial.is_open for trial in trials.values()):
                return None
            candidates.sort(key=lambda own: _rank(trials[own.key]), reverse=True)
            top = trials[candidates[0].key]
            # The number of a trial breaks ties, but does not make it better than its equal.
            if best is not None and (top.status == "failed" or _rank(top)[:-1] <= _rank(best)[:-1]):
                return None
            best = top
            n_rounds += 1
            seen |= trials.keys()
            candidates = self._round(candidates[: self._beam], seen, n_rounds)
        return None

    def _round(self, beam: list[_Candidate], seen: set[int], n_rounds: int) -> list[_Candidate]:
        """Return the extensions of a beam that no earlier round tried, in random order."""
        new = {
            extension.key: extension
            for own in beam
            for extension in self._extend(own)
            if extension.key not in seen
        }
        order = list(new.values())
        random.Random(derive(self._seed, "stepwise", n_rounds)).shuffle(order)
        return order

    def _extend(self, candidate: _Candidate) -> list[_Candidate]:
        """Return all extensions of a configuration, which are worked out once."""
        if candidate.key not in self._extensions:
            config = self._config(candidate.params)
            self._extensions[candidate.key] = [
                _Candidate(params, params_key(params), f"{name} = {value}")
                for name, value in self._changes(candidate.params)
                for params in [self._changed(config, name, value)]
            ]
        return self._extensions[candidate.key]

    def _changes(self, params: Params) -> Iterator[tuple[str, Value]]:
        for name, current in params.items():
            domain = self._domains[name]
            if isinstance(domain, Choice):
                yield from ((name, value) for value in domain.values if value != current)

    def _changed(self, config: RunConfig, changed: str, value: Value) -> Params:
        """Return the params of a configuration in which one param has another value."""
        params: Params = {}

        def choose(name: str, domain: Domain, current: Value) -> Value:
            chosen = value if name == changed else current
            if self._space.varies(name):
                params[name] = chosen
            return chosen

        rebuild(config, choose)
        return params

    def _config(self, params: Params) -> RunConfig:
        return self._space.config_of(params)


def _rank(trial: TrialRecord) -> tuple[bool, int, float, int]:
    is_valid, units, score = trial.rank_key[:3]
    return is_valid, units, score, -trial.number
