from __future__ import annotations

import time

import pytest

from tests.benchmarks.scaling_driver import Meter


class Work:
    def outer(self) -> None:
        time.sleep(0.02)
        self.inner()

    def inner(self) -> None:
        time.sleep(0.01)


def test_each_moment_is_charged_to_the_innermost_part() -> None:
    class Watched(Work):
        pass

    meter = Meter()
    meter.watch(Watched, "outer", "dispatcher")
    meter.watch(Watched, "inner", "log")
    meter.begin()
    Watched().outer()
    meter.end()
    assert meter.measured is not None
    assert meter.measured.calls == {"dispatcher": 1, "log": 1}
    wall = meter.measured.wall
    assert wall["dispatcher"] >= 0.02
    assert wall["log"] >= 0.01
    assert sum(wall.values()) == pytest.approx(meter.measured.seconds, abs=5e-3)
