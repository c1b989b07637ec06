from __future__ import annotations

import pytest

from tests.benchmarks.head_tuning import main
from tests.course import TASK_NAMES


@pytest.mark.slow
def test_cached_and_uncached_epochs_end_with_the_same_scores(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["head_tuning.py", "--examples", "20"])
    main()
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[1:4]] == list(TASK_NAMES)
    assert float(lines[-1].removeprefix("largest difference of a score: ")) < 1e-6
