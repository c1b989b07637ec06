from __future__ import annotations

from search.loop.early_failures import EarlyFailures


def test_attempts_under_way_when_the_first_one_failed_count_as_one_with_it() -> None:
    failures = EarlyFailures()
    for asked, now in ((0.0, 5.0), (4.9, 6.0), (5.0, 7.0), (5.1, 8.0)):
        failures.add(f"asked at {asked}", asked, now)
    assert failures.errors == ["asked at 0.0", "asked at 5.0", "asked at 5.1"]


def test_after_a_success_nothing_counts() -> None:
    failures = EarlyFailures()
    failures.add("before", 0.0, 1.0)
    failures.end()
    assert failures.errors == []
    failures.add("after", 2.0, 3.0)
    assert failures.errors == []
