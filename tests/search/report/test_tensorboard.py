from __future__ import annotations

import contextlib
import io
import pickle
import random
import struct
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tensorboard.backend.event_processing.data_provider import (  # type: ignore[import-untyped]
    MultiplexerDataProvider,
)
from tensorboard.backend.event_processing.event_accumulator import (  # type: ignore[import-untyped]
    EventAccumulator,
)
from tensorboard.backend.event_processing.plugin_event_multiplexer import (  # type: ignore[import-untyped]
    EventMultiplexer,
)
from tensorboard.context import RequestContext  # type: ignore[import-untyped]
from tensorboard.plugins.base_plugin import TBContext  # type: ignore[import-untyped]
from tensorboard.plugins.hparams import plugin_data_pb2  # type: ignore[import-untyped]
from tensorboard.plugins.hparams.api_pb2 import (  # type: ignore[import-untyped]
    GetExperimentRequest,
    ListSessionGroupsRequest,
    Status,
)
from tensorboard.plugins.hparams.backend_context import Context  # type: ignore[import-untyped]
from tensorboard.plugins.hparams.get_experiment import (  # type: ignore[import-untyped]
    Handler as ExperimentHandler,
)
from tensorboard.plugins.hparams.list_session_groups import Handler  # type: ignore[import-untyped]
from tensorboard.summary.writer.record_writer import (  # type: ignore[import-untyped]
    RecordWriter,
)

from search.log.history import History, Journal
from search.log.leaderboard import TrialRecord
from search.planning.plan import Plan
from search.planning.resume import header
from search.report.tensorboard import (
    DONE,
    PROGRESS,
    TENSORBOARD,
    TensorBoard,
    tag_of,
    tensorboard_file,
    tensorboard_path,
)
from tests.chaos.simulation import Killed, Tape, run
from tests.chaos.stub import Faults
from tests.course import SCORE_KEYS, STEP_METRICS

MakePlan = Callable[..., Plan]
MakeTrial = Callable[..., TrialRecord]
LOSSES = ("sst_loss", "para_loss", "sts_loss")


def read(folder: Path, trial: int) -> EventAccumulator:
    files = EventAccumulator(str(folder / "tensorboard" / f"trial_{trial:04d}"))
    return files.Reload()


def curve(files: EventAccumulator, key: str) -> list[tuple[int, float]]:
    tag = key if "/" in key else tag_of(key)
    return [(point.step, point.value) for point in files.Scalars(tag)]


def hparams(files: EventAccumulator) -> dict[str, Any]:
    """Return the values of a trial's line of the HParams page."""
    tags = files.summary_metadata
    content = tags["_hparams_/session_start_info"].plugin_data.content
    start = plugin_data_pb2.HParamsPluginData.FromString(content).session_start_info
    return {key: getattr(value, value.WhichOneof("kind")) for key, value in start.hparams.items()}


def plugin(folder: Path) -> Any:
    """Return TensorBoard's own HParams plugin over the files of a search."""
    path = str(folder / TENSORBOARD)
    files = EventMultiplexer().AddRunsFromDirectory(path).Reload()
    return Context(TBContext(data_provider=MultiplexerDataProvider(files, path)))


def columns(folder: Path) -> Any:
    """Return the columns of the HParams page, as TensorBoard orders them."""
    return ExperimentHandler(RequestContext(), plugin(folder), "", GetExperimentRequest()).run()


def sessions(folder: Path) -> dict[str, tuple[str, float, float]]:
    """Return trial -> its status, start and end, as TensorBoard's own HParams plugin reads it."""
    request = ListSessionGroupsRequest(
        start_index=0, slice_size=1000, allowed_statuses=Status.values()
    )
    groups = Handler(RequestContext(), plugin(folder), "", request).run().session_groups
    return {
        group.name: (Status.Name(session.status), session.start_time_secs, session.end_time_secs)
        for group in groups
        for session in group.sessions
    }


@pytest.fixture
def written(plan_of: MakePlan, trial_of: MakeTrial) -> tuple[Plan, list[TrialRecord]]:
    """Files of six trials over a space with params that only some trials have."""
    plan = plan_of(space="heads")
    trials = [trial_of(plan, n, {1: 0.1 + n / 10, 2: 0.2 + n / 10}) for n in range(6)]
    tensorboard = TensorBoard(plan.folder.local, plan.space.params(), plan.tasks)
    for n_reports in range(3):  # as a driver does: at the start, and after each unit
        for trial in trials:
            reports = dict(list(trial.reports.items())[:n_reports])
            tensorboard.write(replace(trial, reports=reports, status="running"))
    for trial in trials:
        tensorboard.write(trial)
    return plan, trials


def test_every_trial_has_its_curves_over_tokens(
    written: tuple[Plan, list[TrialRecord]],
) -> None:
    plan, trials = written
    for trial in trials:
        files = read(plan.folder.local, trial.number)
        for key in SCORE_KEYS:
            expected = [(1000, trial.reports[1][key]), (2000, trial.reports[2][key])]
            assert [step for step, _ in curve(files, key)] == [1000, 2000]
            for (_, value), (_, wanted) in zip(curve(files, key), expected, strict=True):
                assert value == pytest.approx(wanted)


def test_every_known_number_is_a_point_at_the_time_of_its_report(
    plan_of: MakePlan, trial_of: MakeTrial
) -> None:
    plan = plan_of(space="smoke")
    trial = trial_of(plan, 0, {1: 0.1, 2: 0.2})
    keys = [*SCORE_KEYS, *STEP_METRICS, "learned", "train_seconds", "eval_seconds"]
    for unit, metrics in trial.reports.items():
        metrics |= {key: n + unit / 8 for n, key in enumerate(keys)}
    TensorBoard(plan.folder.local, plan.space.params(), plan.tasks).write(trial)
    found = read(plan.folder.local, 0)
    assert set(found.Tags()["scalars"]) == {*map(tag_of, keys), PROGRESS, DONE}
    for n, key in enumerate(keys):
        assert [
            (point.wall_time, point.step, point.value) for point in found.Scalars(tag_of(key))
        ] == [(trial.reported[unit], 1000 * unit, n + unit / 8) for unit in (1, 2)]


def test_what_was_learned_has_a_curve_for_each_task(plan_of: MakePlan, trial_of: MakeTrial) -> None:
    plan = plan_of(space="smoke")
    trial = trial_of(plan, 0, {1: 0.1})
    trial.reports[1] |= {"sst_dev_loss": 1.5, "para_matthews": 0.25, "para_top_share": 0.75}
    TensorBoard(plan.folder.local, plan.space.params(), plan.tasks).write(trial)
    found = read(plan.folder.local, 0)
    for key, value in {"sst_dev_loss": 1.5, "para_matthews": 0.25, "para_top_share": 0.75}.items():
        assert curve(found, key) == [(1000, value)]


def test_numbers_that_are_not_known_leave_no_point(
    written: tuple[Plan, list[TrialRecord]],
) -> None:
    plan, _ = written
    tags = read(plan.folder.local, 0).Tags()["scalars"]
    assert set(map(tag_of, SCORE_KEYS)) <= set(tags)
    assert not set(map(tag_of, LOSSES)) & set(tags)


def test_all_trials_have_the_same_keys_on_the_hparams_page(
    written: tuple[Plan, list[TrialRecord]],
) -> None:
    plan, trials = written
    names = {param.name for param in plan.space.params()}
    assert len(names) > 10
    inactive = 0
    for trial in trials:
        values = hparams(read(plan.folder.local, trial.number))
        assert set(values) == names
        for name, value in values.items():
            if name in trial.params:
                assert value != "n/a"
            else:
                inactive += 1
                assert value == "n/a"
    assert inactive > 0


def test_a_key_has_one_type_in_all_trials(written: tuple[Plan, list[TrialRecord]]) -> None:
    plan, trials = written
    lines = [hparams(read(plan.folder.local, trial.number)) for trial in trials]
    for name in lines[0]:
        assert len({type(line[name]) for line in lines}) == 1


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        *(("done", "STATUS_SUCCESS"), ("stopped", "STATUS_SUCCESS"), ("failed", "STATUS_FAILURE")),
        *((status, "STATUS_UNKNOWN") for status in ("running", "paused", "interrupted")),
    ],
)
def test_tensorboard_says_how_a_trial_ended(
    plan_of: MakePlan, trial_of: MakeTrial, status: str, expected: str
) -> None:
    plan = plan_of(space="smoke")
    trial = trial_of(plan, 3, {1: 0.1})
    tensorboard = TensorBoard(plan.folder.local, plan.space.params(), plan.tasks)
    tensorboard.write(replace(trial, status="running"))
    tensorboard.write(replace(trial, status=status))
    end = 0.0 if expected == "STATUS_UNKNOWN" else trial.ended
    assert sessions(plan.folder.local) == {"trial_0003": (expected, trial.started, end)}
    # A search that gets more trials may take it up again.
    tensorboard.write(replace(trial, status="running"))
    assert sessions(plan.folder.local) == {"trial_0003": ("STATUS_UNKNOWN", trial.started, 0.0)}


@pytest.mark.parametrize(
    ("key", "tag"),
    [
        ("score", "score/score"),
        ("score_2024", "score/score_2024"),
        ("sst_acc", "tasks/sst_acc"),
        ("sst_matthews", "tasks/sst_matthews"),
        ("sst_loss", "losses/sst_loss"),
        ("sst_dev_loss", "losses/sst_dev_loss"),
        ("train_seconds", "times/train_seconds"),
        ("cosine_sst_para", "gradients/cosine_sst_para"),
        (PROGRESS, PROGRESS),
    ],
)
def test_scalars_stand_in_groups(key: str, tag: str) -> None:
    assert tag_of(key) == tag


@pytest.mark.parametrize(("status", "done"), [("done", 1.0), ("stopped", 0.0), ("failed", 0.0)])
def test_it_is_shown_how_far_a_trial_went(
    plan_of: MakePlan, trial_of: MakeTrial, status: str, done: float
) -> None:
    plan = plan_of(space="smoke")
    trial = trial_of(plan, 0, {1: 0.1, 2: 0.2}, status)
    TensorBoard(plan.folder.local, plan.space.params(), plan.tasks).write(trial)
    found = read(plan.folder.local, 0)
    assert curve(found, PROGRESS) == [(1000, 1.0), (2000, 2.0)]
    assert curve(found, DONE) == [(2000, done)]


def test_tensorboard_shows_first_what_matters_most(plan_of: MakePlan, trial_of: MakeTrial) -> None:
    plan = plan_of(space="full")
    TensorBoard(plan.folder.local, plan.space.params(), plan.tasks).write(trial_of(plan, 0, {}))
    page = columns(plan.folder.local)
    names = [info.name for info in page.hparam_infos]
    assert {*names[:5]} >= {
        "multitask.batch_order",
        "multitask.optimization.head_lr",
        "multitask.optimization.lr",
        "multitask.optimization.schedule",
    }
    assert {*names} == {param.name for param in plan.space.params()}
    metrics = [info.name.tag for info in page.metric_infos]
    assert metrics[0] == "score/score"
    assert metrics[-2:] == [PROGRESS, DONE]


def test_a_space_without_them_shows_what_every_trial_has(
    written: tuple[Plan, list[TrialRecord]],
) -> None:
    plan, _ = written
    parents = {param.name: param.parents for param in plan.space.params()}
    first = columns(plan.folder.local).hparam_infos[0].name
    assert parents[first] == ()


def test_params_are_shown_with_their_values(plan_of: MakePlan, trial_of: MakeTrial) -> None:
    plan = plan_of(space="full")
    trial = trial_of(plan, 0, {})
    tensorboard = TensorBoard(plan.folder.local, plan.space.params(), plan.tasks)
    tensorboard.write(trial)
    values = hparams(read(plan.folder.local, 0))
    lr = trial.params["multitask.optimization.lr"]
    assert values["multitask.optimization.lr"] == pytest.approx(lr)
    assert values["para.pair"] == trial.params["para.pair"]


def files(folder: Path) -> dict[str, bytes]:
    found = folder.rglob("*tfevents*")
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}


@pytest.mark.parametrize("there", ["nothing", "a part", "something else", "more"])
def test_a_file_follows_from_the_record_whatever_there_was(
    written: tuple[Plan, list[TrialRecord]], there: str
) -> None:
    plan, (trial, *_) = written
    path, folder = plan.folder.local / tensorboard_path(trial), plan.folder.local
    before = files(folder)
    whole = path.read_bytes()
    if there == "nothing":
        path.unlink()
        path.parent.rmdir()
    else:
        left = {"a part": whole[:-9], "something else": b"x" + whole, "more": whole + b"x"}
        path.write_bytes(left[there])
    TensorBoard(folder, plan.space.params(), plan.tasks).write(trial)
    assert files(folder) == before
    assert {path.name for path in path.parent.iterdir()} == {path.name}


@pytest.mark.parametrize(
    ("status", "is_last", "is_mended"),
    [
        *(("running", False, True), ("interrupted", False, True), ("done", True, True)),
        *(("failed", True, True), ("done", False, False)),
    ],
)
def test_a_later_driver_mends_what_a_kill_may_have_torn(
    plan_of: MakePlan, trial_of: MakeTrial, status: str, is_last: bool, is_mended: bool
) -> None:
    plan, history = plan_of(space="smoke"), History()
    trials = [trial_of(plan, 0, {1: 0.1}, status), trial_of(plan, 1, {1: 0.1})]
    trials[0].ended = trials[1].ended + (1 if is_last else -1)
    history.trials = {trial.number: replace(trial, id="ab") for trial in trials}
    history.trials[2] = trial_of(plan, 2, {}, "running")  # it has not been started
    history.trials[2].ended = trials[0].started
    tensorboard = TensorBoard(plan.folder.local, plan.space.params(), plan.tasks)
    tensorboard.write_all(history)
    whole = files(plan.folder.local)
    assert set(whole) == {tensorboard_path(trial) for trial in trials}
    path = plan.folder.local / tensorboard_path(trials[0])
    path.write_bytes(path.read_bytes()[:-5])
    tensorboard.write_all(history)
    assert (files(plan.folder.local) == whole) == is_mended
    path.unlink()
    tensorboard.write_all(history)
    assert files(plan.folder.local) == whole


def test_a_file_that_tensorboard_reads_only_grows(plan_of: MakePlan, trial_of: MakeTrial) -> None:
    plan = plan_of(space="smoke")
    trial = trial_of(plan, 0, {1: 0.1, 2: 0.2})
    tensorboard, path = (
        TensorBoard(plan.folder.local, plan.space.params(), plan.tasks),
        Path(tensorboard_path(trial)),
    )
    tensorboard.write(replace(trial, reports={1: trial.reports[1]}, status="running"))
    begun = (plan.folder.local / path).stat().st_ino
    tensorboard.write(trial)
    assert (plan.folder.local / path).stat().st_ino == begun


def test_equal_records_give_equal_bytes_in_another_process(
    written: tuple[Plan, list[TrialRecord]],
) -> None:
    plan, trials = written
    given = pickle.dumps([(trial, plan.space.params(), plan.tasks) for trial in trials])
    code = (
        "import pickle, sys; from search.report.tensorboard import tensorboard_file;"
        "[sys.stdout.buffer.write(tensorboard_file(*own)) for own in pickle.load(sys.stdin.buffer)]"
    )
    made = subprocess.run(
        [sys.executable, "-c", code], input=given, capture_output=True, check=True
    )
    assert made.stdout == b"".join(
        tensorboard_file(trial, plan.space.params(), plan.tasks) for trial in trials
    )


def test_a_file_is_what_tensorboards_own_writer_makes_of_its_events(
    written: tuple[Plan, list[TrialRecord]],
) -> None:
    plan, trials = written
    for trial in trials:
        content, copy = tensorboard_file(trial, plan.space.params(), plan.tasks), io.BytesIO()
        writer = RecordWriter(copy)
        for event in events(content):
            writer.write(event)
        assert copy.getvalue() == content


def events(content: bytes) -> list[bytes]:
    """Return the events of a file, whatever their checksums say."""
    found, start = [], 0
    while start < len(content):
        (length,) = struct.unpack_from("<Q", content, start)
        found.append(content[start + 12 : start + 12 + length])
        start += 16 + length
    return found


def shown(folder: Path, trial: int) -> tuple[dict[str, Any], dict[str, Any]]:
    files = read(folder, trial)
    return hparams(files), {key: curve(files, key) for key in files.Tags()["scalars"]}


def test_a_search_that_goes_on_on_another_machine_shows_what_an_uninterrupted_one_does(
    plan_of: MakePlan, tmp_path: Path
) -> None:
    plan = plan_of(space="smoke", trials=6, searcher="random")
    faults, folders = Faults(folder=""), [tmp_path / name for name in ("whole", "lost", "other")]
    # The second is killed when two trials have begun: the default runs to its end first.
    tapes = [Tape([], None), Tape([], 70), Tape([], None)]
    for folder, tape in zip(folders, tapes, strict=True):
        if folder.name == "other":  # all that is left of the one before is its log
            tape.events += tapes[1].events
        journal = Journal(History(tape.events), tape)  # type: ignore[arg-type]
        if tape.events:
            journal.write("resumed", slots=1, options={}, n_trials=plan.n_trials)
        else:
            journal.write("search", slots=1, **header(plan))
        tensorboard = TensorBoard(folder, plan.space.params(), plan.tasks)
        with contextlib.suppress(Killed):
            run(plan, journal, faults, 1, random.Random(0), tensorboard)
    assert len(files(folders[0])) == len(files(folders[2])) == 6 > len(files(folders[1])) > 1
    for number in range(6):
        assert shown(folders[0], number) == shown(folders[2], number)
    statuses = [[own[0] for own in sessions(folder).values()] for folder in folders]
    assert statuses[0] == statuses[2] == ["STATUS_SUCCESS"] * 6
