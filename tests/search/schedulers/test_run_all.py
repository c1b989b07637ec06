from __future__ import annotations

import pytest

from search.log.trial import TrialRecord
from search.schedulers.run_all import RunAll
from tests.search.schedulers.scheduler_contract import MakeScheduler, SchedulerContract


class TestRunAll(SchedulerContract):
    decides_at_rungs = False

    @pytest.fixture
    def make_scheduler(self) -> MakeScheduler:
        return lambda history, shape: RunAll()

    def test_it_decides_nothing_and_promotes_nobody(self) -> None:
        assert RunAll().decide(TrialRecord(0, {}, {}, 0.0, 0.0), 1) is None
        assert RunAll().next_promotion(draining=True) is None
        assert RunAll().unpromotable() == []
        assert RunAll().bracket(7) == 0
