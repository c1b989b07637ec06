from __future__ import annotations

import math
import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from search.log.checkpoints import Checkpoints
from search.log.events import Event, EventLog, read_events
from search.log.folder import EVENTS, SearchFolder
from search.log.history import History, Journal
from search.log.leaderboard import leaderboard
from search.log.mirror import Mirror
from search.log.trial import Status
from trainable.errors import InputError


class Stored:
    """Checkpoints that are really there, of a search that is played.

    Args:
        search: What is played; its checkpoints appear below `folder` as soon as they are saved.
        folder: Of the search.
    """

    def __init__(self, search: Any, folder: SearchFolder) -> None:
        self.search, self.folder = search, folder
        self.kept = Checkpoints(search.journal, folder, Mirror(folder))
        dispatcher = search.dispatcher
        dispatcher.on_saved, dispatcher.on_closed = self.kept.saved, self.kept.closed
        told = dispatcher.saved

        def saved(id: str, path: str) -> None:
            (folder.local / path).mkdir(parents=True)
            (folder.local / path / "model").write_text("weights")
            told(id, path)

        dispatcher.saved = saved

    @property
    def there(self) -> set[str]:
        """Paths of the folders that are there."""
        root = self.folder.local
        return {str(path.parent.relative_to(root)) for path in root.rglob("model")}


def local(folder: Path) -> SearchFolder:
    return SearchFolder(folder.name, str(folder.parent), folder)


@pytest.mark.slow
@settings(max_examples=10)
@given(
    seed=st.integers(0, 10**6),
    n_slots=st.integers(1, 3),
    cut=st.floats(0, 1),
    p_lost=st.sampled_from([0.0, 0.1]),
)
def test_only_what_may_go_on_and_the_best_keep_theirs(
    tmp_path_factory: pytest.TempPathFactory,
    played: Any,
    outcomes: Any,
    seed: int,
    n_slots: int,
    cut: float,
    p_lost: float,
) -> None:
    draw = random.Random(seed)
    options: dict[str, Any] = {"units": 9, "eta": 3, "n_trials": 8}
    ends = ["unsaved", "leaves"]
    options["lost"] = lambda number, unit: draw.choice(ends) if draw.random() < p_lost else ""
    outcome = outcomes(seed, 0.05, 0.05)
    first = Stored(played(outcome, **options), local(tmp_path_factory.mktemp("first")))
    first.search.play(n_slots, seed)
    only_what_is_needed(first)
    # A driver that was killed may have had no time to delete.
    events = first.search.log.events
    before = events[: 1 + int(cut * (len(events) - 1))]
    folder = local(tmp_path_factory.mktemp("second"))
    for path in {path for t in History(before).trials.values() for path in t.checkpoints.values()}:
        (folder.local / path).mkdir(parents=True)
        (folder.local / path / "model").write_text("weights")
    second = Stored(played(outcome, before, **options), folder)
    second.search.play(n_slots, seed)
    only_what_is_needed(second)


def only_what_is_needed(stored: Stored) -> None:
    """Look at the end of a search: nothing may go on any more."""
    trials = stored.search.history.trials.values()
    known = {path for trial in trials for path in trial.checkpoints.values()}
    done = [trial for trial in trials if trial.status == "done"]
    others = [trial for trial in done if not trial.is_default]
    best = max(others, key=lambda trial: trial.score, default=None)
    kept = [trial for trial in done if trial.is_default or trial is best]
    assert stored.there == known
    assert known == {trial.checkpoints[9] for trial in kept}
    # Empty folders of trials would add up.
    assert all(any(path.iterdir()) for path in stored.folder.local.iterdir())


def saved(number: int, *units: int) -> list[Event]:
    given: dict[str, Any] = {"params": {}, "run_config": {}, "bracket": 0, "origin": ""}
    events: list[Event] = [{"event": "suggested", "time": 0.0, "trial": number, **given}]
    for unit in units:
        metrics = {"score": number / 10}
        own: dict[str, Any] = {"time": 0.0, "trial": number, "unit": unit}
        events.append({"event": "reported", "metrics": metrics, "failure": "", **own})
        events.append({"event": "saved", "path": f"t{number}/{unit}", **own})
    return events


@pytest.fixture
def folder(tmp_path: Path) -> SearchFolder:
    return local(tmp_path / "search")


@pytest.mark.parametrize(
    ("status", "kept"),
    [
        ("running", [2, 3]),
        ("paused", [3]),
        ("interrupted", [1, 2, 3]),
        ("done", [3]),
        ("stopped", []),
        ("failed", []),
    ],
)
def test_what_a_trial_keeps(folder: SearchFolder, status: Status, kept: list[int]) -> None:
    journal = Journal(History(saved(0, 1, 2, 3)))
    trial = journal.history.trials[0]
    checkpoints = Checkpoints(journal, folder, Mirror(folder))
    trial.status = status
    (checkpoints.saved if status == "running" else checkpoints.closed)(trial)
    assert list(trial.checkpoints) == kept


def test_the_best_that_is_done_is_kept_whichever_ends_last(folder: SearchFolder) -> None:
    for order in ((0, 1, 2), (2, 1, 0), (1, 2, 0)):
        journal = Journal(History([e for n in range(3) for e in saved(n, 1)]))
        checkpoints = Checkpoints(journal, folder, Mirror(folder))
        trials = journal.history.trials
        for number in order:
            trials[number].status = "done"
            checkpoints.closed(trials[number])
        assert [number for number in trials if trials[number].checkpoints] == [2]


def test_the_default_that_is_done_is_kept_beside_the_best(folder: SearchFolder) -> None:
    for order in ((0, 1, 2), (2, 1, 0), (1, 2, 0)):
        journal = Journal(History([e for n in range(3) for e in saved(n, 1)]))
        trials = journal.history.trials
        trials[0].origin = "default"
        checkpoints = Checkpoints(journal, folder, Mirror(folder))
        for number in order:
            trials[number].status = "done"
            checkpoints.closed(trials[number])
        assert [number for number in trials if trials[number].checkpoints] == [0, 2]


@given(
    scores=st.lists(st.sampled_from([0.25, 0.5, None]), min_size=1, max_size=5),
    draw=st.randoms(use_true_random=False),
)
def test_of_equal_scores_the_best_of_the_search_is_kept_in_any_order_of_their_ends(
    tmp_path_factory: pytest.TempPathFactory,
    scores: list[float | None],
    draw: random.Random,
) -> None:
    journal = Journal(History([e for n in range(len(scores)) for e in saved(n, 1)]))
    folder = local(tmp_path_factory.mktemp("search"))
    checkpoints, trials = Checkpoints(journal, folder, Mirror(folder)), journal.history.trials
    for number in draw.sample(list(trials), len(trials)):
        trials[number].reports[1]["score"] = scores[number]
        trials[number].status = "done"
        checkpoints.closed(trials[number])
    best = journal.history.best
    assert best is leaderboard(trials.values())[0]
    first = max(range(len(scores)), key=lambda n: -math.inf if scores[n] is None else scores[n])
    assert [n for n, trial in trials.items() if trial.checkpoints] == [best.number] == [first]


def test_a_later_driver_deletes_what_the_killed_one_left(folder: SearchFolder) -> None:
    events = [e for n in range(4) for e in saved(n, 1)]
    for n, status in enumerate(("done", "done", "stopped", "interrupted")):
        events.append({"event": "ended", "time": 0.0, "trial": n, "status": status, "error": None})
    journal = Journal(History(events))
    Checkpoints(journal, folder, Mirror(folder))
    assert [n for n, t in journal.history.trials.items() if t.checkpoints] == [1, 3]


@pytest.fixture
def remote(tmp_path: Path) -> SearchFolder:
    """A search whose storage is reached as a remote one is."""
    folder = SearchFolder("search", f"file://{tmp_path / 'store'}", tmp_path / "local")
    folder.make()
    return folder


def test_what_is_deleted_is_gone_from_a_remote_storage_once_its_log_says_so(
    remote: SearchFolder, tmp_path: Path
) -> None:
    paths = [tmp_path / "store" / "search" / "t0" / str(unit) for unit in (1, 2, 3)]
    for own in paths[:2]:  # the third is gone already: nothing to be told of
        own.mkdir(parents=True)
        (own / "model").write_text("weights")
    path = remote.local / EVENTS
    log, mirror = EventLog(path), Mirror(remote)
    journal = Journal(History(saved(0, 1, 2, 3)), log)
    trial = journal.history.trials[0]
    trial.status = "failed"
    Checkpoints(journal, remote, mirror)
    deleted = [(event["event"], event["unit"], event["path"]) for event in read_events(path)]
    assert deleted == [("deleted", unit, f"t0/{unit}") for unit in (1, 2, 3)]
    assert all(path.exists() for path in paths[:2])
    mirror.close()
    assert (tmp_path / "store" / "search" / EVENTS).read_bytes() == path.read_bytes()
    assert not any(path.exists() for path in paths)


@pytest.mark.parametrize("is_remote", [False, True])
def test_the_log_says_that_a_checkpoint_is_gone_before_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_remote: bool
) -> None:
    """Whenever the driver or its machine is lost, no log names a checkpoint that is gone."""
    storage = f"file://{tmp_path}/store" if is_remote else str(tmp_path)
    folder = SearchFolder("search", storage, tmp_path / "search")
    folder.make()
    logs = [folder.local / EVENTS] + ([tmp_path / "store" / "search" / EVENTS] * is_remote)
    deleted, too_early = list[str](), list[str]()

    def delete(self: SearchFolder, path: str) -> None:
        deleted.append(path)
        for log in logs:
            trials = History(read_events(log)).trials.values()
            if path in {own for trial in trials for own in trial.checkpoints.values()}:
                too_early.append(path)

    monkeypatch.setattr(SearchFolder, "delete", delete)
    journal = Journal(History(), EventLog(folder.local / EVENTS))
    for event in saved(0, 1, 2):
        fields = {key: value for key, value in event.items() if key not in ("event", "time")}
        journal.write(event["event"], **fields)
    mirror = Mirror(folder)
    checkpoints, trial = Checkpoints(journal, folder, mirror), journal.history.trials[0]
    journal.write("saved", trial=0, unit=2, path="t0/2 again")
    checkpoints.saved(trial, replaced="t0/2")
    journal.write("saved", trial=0, unit=3, path="t0/3")
    checkpoints.saved(trial)
    journal.write("ended", trial=0, status="failed", error="no memory")
    checkpoints.closed(trial)
    assert deleted == ([] if is_remote else ["t0/2", "t0/1", "t0/2 again", "t0/3"])
    mirror.close()
    assert deleted == ["t0/2", "t0/1", "t0/2 again", "t0/3"]
    assert too_early == []


def test_a_log_that_names_a_checkpoint_outside_its_folder_is_refused(
    folder: SearchFolder, tmp_path: Path
) -> None:
    """Before anything that it names could be deleted."""
    other = tmp_path / "b"
    other.mkdir()
    *events, last = saved(0, 1)
    failed = {"event": "ended", "time": 0.0, "trial": 0, "status": "failed", "error": "no memory"}
    with pytest.raises(InputError, match=r"names 'a/\.\./\.\./b', which is not below"):
        Checkpoints(
            Journal(History([*events, {**last, "path": "a/../../b"}, failed])),
            folder,
            Mirror(folder),
        )
    assert other.exists()


@pytest.mark.parametrize("is_remote", [False, True])
def test_what_the_log_does_not_know_is_swept(tmp_path: Path, is_remote: bool) -> None:
    root = tmp_path / "store" / "search"
    storage = f"file://{tmp_path}/store" if is_remote else str(root.parent)
    folder = SearchFolder("search", storage, tmp_path / "local" if is_remote else root)
    known = "trial_0000_a/checkpoint_000001"
    for path in (
        known,
        "trial_0000_a/checkpoint_000000",  # deleted, as far as the log says
        "trial_0001_b/checkpoint_000000",  # saved, and the driver was killed before it heard
        "tensorboard/trial_0000",
        "trial_0002_c/notes",
    ):
        (root / path).mkdir(parents=True)
        (root / path / "model").write_text("weights")
    journal = Journal(History(saved(0, 1)))
    journal.history.trials[0].checkpoints = {1: known}
    folder.make()
    EventLog(folder.local / EVENTS).close()
    mirror = Mirror(folder)
    Checkpoints(journal, folder, mirror).sweep()
    mirror.close()
    there = {str(path.parent.relative_to(root)) for path in root.rglob("model")}
    assert there == {known, "tensorboard/trial_0000", "trial_0002_c/notes"}


def test_a_store_that_lists_files_only_is_swept_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Files may lie deeper in a checkpoint, and its folder is not listed for itself."""
    folder, whole = local(tmp_path / "search"), SearchFolder.files
    deep = folder.local / "trial_0000_a" / "checkpoint_000000" / "encoder" / "deep"
    deep.mkdir(parents=True)
    (deep / "model").write_text("weights")
    (folder.local / "trial_0000_a" / "params.json").write_text("{}")

    class FilesOnly:
        def __init__(self, own: SearchFolder) -> None:
            self.whole = whole(own)

        def get_file_info(self, asked: Any) -> Any:
            found = self.whole.get_file_info(asked)
            return [f for f in found if f.is_file] if isinstance(found, list) else found

        def delete_dir(self, path: str) -> None:
            self.whole.delete_dir(path)

    monkeypatch.setattr(SearchFolder, "files", lambda own: FilesOnly(own))
    Checkpoints(Journal(History()), folder, Mirror(folder)).sweep()
    assert [path.name for path in (folder.local / "trial_0000_a").iterdir()] == ["params.json"]


def test_sweeping_a_folder_that_is_not_there_is_no_error(folder: SearchFolder) -> None:
    Checkpoints(Journal(History()), folder, Mirror(folder)).sweep()
    assert not folder.local.exists()


def test_sweeping_before_anything_was_written_is_no_error(tmp_path: Path) -> None:
    for storage in (str(tmp_path), f"file://{tmp_path}/store"):
        folder = SearchFolder("search", storage, tmp_path / "search")
        folder.make()
        EventLog(folder.local / EVENTS).close()
        mirror = Mirror(folder)
        Checkpoints(Journal(History()), folder, mirror).sweep()
        mirror.close()


def test_the_checkpoints_of_trials_that_are_over_or_paused_are_not_swept(
    folder: SearchFolder,
) -> None:
    events = [event for number in range(3) for event in saved(number, 1)]
    for event in events:
        if event["event"] == "saved":
            event["path"] = f"trial_000{event['trial']}_a/checkpoint_000001"
            (folder.local / event["path"]).mkdir(parents=True)
    events.append({"event": "ended", "time": 0.0, "trial": 0, "status": "done", "error": None})
    events.append({"event": "paused", "time": 0.0, "trial": 1, "unit": 1})
    Checkpoints(Journal(History(events)), folder, Mirror(folder)).sweep()
    assert len(list(folder.local.glob("trial_*/checkpoint_*"))) == 3


def test_a_later_driver_keeps_one_of_a_paused_trial_and_the_newest_unit(
    folder: SearchFolder,
) -> None:
    *earlier, two = saved(0, 1, 2)
    again = {**two, "unit": 1, "path": "again/1"}  # the first unit was trained once more
    paused = {"event": "paused", "time": 0.0, "trial": 0, "unit": 2}
    journal = Journal(History([*earlier, two, again, paused]))
    journal.history.trials[0].checkpoints = {2: "t0/2", 1: "again/1"}
    Checkpoints(journal, folder, Mirror(folder))
    assert journal.history.trials[0].checkpoints == {2: "t0/2"}
