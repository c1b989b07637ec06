from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from search.commands.replay import main
from search.log.events import EventLog
from search.log.folder import EVENTS
from search.replaying import verdict
from search.replaying.candidates import Candidate
from tests.search.replaying.conftest import made_up


@pytest.fixture
def write(tmp_path: Path, played: Any) -> Callable[..., Path]:
    """Return a function that plays a search and writes its log."""

    def make(n_trials: int = 16, keep: int | None = None, **options: Any) -> Path:
        curves = made_up(n_trials, 0)
        search = played(lambda n, u: curves[n][u - 1], n_trials=n_trials, units=9, eta=3).play()
        events = search.log.events[:keep]
        events[0]["options"] |= {"space": "smoke", "eta": 3, **options}
        folder = tmp_path / "own"
        folder.mkdir(exist_ok=True)
        (folder / EVENTS).unlink(missing_ok=True)
        log = EventLog(folder / EVENTS)
        for event in events:
            log.append(event)
        log.close()
        return folder

    return make


def test_it_prints_a_line_for_each_scheduler_and_ends_with_a_sentence(
    write: Callable[..., Path],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(verdict, "candidates", lambda own: [own, Candidate("none", 3, 9)])
    folder = write()
    assert main(["own", "--storage", str(folder.parent), "--draws", "20"]) == 0
    first = capsys.readouterr().out
    assert "they come in random order, and no searcher learns from them" in first
    table = first.split("\n\n")[1].splitlines()
    assert table[0].startswith("scheduler")
    assert len(table) == 1 + 3  # the search as it was, in random order, and the other one
    assert table[1].startswith("promotion-asha --eta 3 --units 9, as it was")
    assert first.splitlines()[-1].startswith("For half of what was spent (")


def test_where_nearly_nothing_ran_to_the_end_it_cannot_tell(
    write: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(write(6))]) == 0
    output = capsys.readouterr().out
    assert output.startswith("replay cannot tell: only ")
    assert output.count("\n") == 1


@pytest.mark.parametrize(
    ("change", "fragment"),
    [
        ({"space": "published"}, "--space published runs its rows as they are"),
        ({"keep": 6}, "has run to its end yet"),
    ],
)
def test_a_search_that_cannot_be_replayed_is_refused_in_a_line(
    write: Callable[..., Path],
    capsys: pytest.CaptureFixture[str],
    change: dict[str, Any],
    fragment: str,
) -> None:
    assert main([str(write(**change))]) == 2
    error = capsys.readouterr().err
    assert fragment in error
    assert error.count("\n") == 1


def test_an_unknown_search_and_a_wrong_number_are_refused(
    write: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write()
    assert main(["owm", "--storage", str(folder.parent)]) == 2
    assert "did you mean 'own'?" in capsys.readouterr().err
    assert main([str(folder), "--draws", "3"]) == 2
    assert "--draws 3: give a number from 20" in capsys.readouterr().err
