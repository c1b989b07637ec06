from __future__ import annotations

import math
from typing import Any

import pytest


def test_slots_are_paid_for(played: Any, outcomes: Any) -> None:
    search = played(outcomes(0), n_trials=4)
    assert search.dispatcher.costs.device_seconds(3.0) == 0
    search.play()
    paid = [event["seconds"] for event in search.log.events if event["event"] == "cost"]
    assert min(paid) > 0
    assert search.dispatcher.costs.device_seconds(3.0) == pytest.approx(sum(paid))  # one core each
    per_trial = [trial.slot_seconds for trial in search.history.trials.values()]
    assert sum(per_trial) == pytest.approx(sum(paid))


def test_present_slots_are_paid_for_with_the_devices_that_they_have_now(played: Any) -> None:
    search = played(lambda n, u: 0.5, n_trials=2)
    search.dispatcher.next_job("a")
    search.dispatcher.started("a")
    begun = search.dispatcher.jobs["a"].started
    search.dispatcher.reported("a", 1, {"score": 0.5})
    now = len(search.log.events)
    assert search.dispatcher.costs.device_seconds(0.5) == 0.5 * (now - begun) > 0


def test_a_slot_is_paid_for_from_its_first_start_though_a_worker_was_lost(played: Any) -> None:
    search = played(lambda n, u: 0.5, n_trials=1)
    search.dispatcher.next_job("a")
    search.dispatcher.started("a")
    begun = search.dispatcher.jobs["a"].started
    search.dispatcher.failed("a", "no worker")
    search.dispatcher.started("a")  # Tune repeats it by itself, in the same slot
    now = len(search.log.events)
    search.dispatcher.left("a", 1.0, 0.0)
    (cost,) = [event for event in search.log.events if event["event"] == "cost"]
    assert cost["seconds"] == now - begun


def test_what_a_slot_cost_says_where_and_how_large_it_was(played: Any) -> None:
    search = played(lambda n, u: 0.5, n_trials=1)
    search.dispatcher.next_job("a").node = "10.0.0.7"
    search.dispatcher.started("a")
    search.dispatcher.left("a", 4.0, 0.5, "the node is gone")
    (cost,) = [event for event in search.log.events if event["event"] == "cost"]
    assert (cost["trial"], cost["cpus"], cost["gpus"], cost["node"]) == (0, 4.0, 0.5, "10.0.0.7")


def test_a_job_that_never_got_a_slot_costs_nothing(played: Any) -> None:
    search = played(lambda n, u: 0.5, n_trials=1)
    search.dispatcher.next_job("a")
    assert search.dispatcher.costs.device_seconds(1.0) == 0
    search.dispatcher.left("a", 1.0, 0.0, "the node is gone")
    assert all(event["event"] != "cost" for event in search.log.events)
    assert search.dispatcher.costs.freed == -math.inf
