from __future__ import annotations

import copy
import gc
import json
import math
import os
import platform
import socket
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from ray.tune.execution.placement_groups import PlacementGroupFactory
from safetensors.torch import load_file

from tests.course import SCORE_KEYS, TASK_NAMES, WORST_SCORE
from trainable.batch_orders.all_tasks import LockStep
from trainable.batch_orders.in_turn import RoundRobin
from trainable.data.sources import Cs224nData, SampleData
from trainable.errors import InputError
from trainable.gradients.pcgrad import PCGrad
from trainable.learning import learning_keys
from trainable.model.encoder import EncoderConfig
from trainable.model.heads import MlpHead
from trainable.model.pairs import SiamesePair
from trainable.run_config import RunConfig
from trainable.stages.head_tuning import CachedHeadTuning
from trainable.stages.multitask import Multitask, NliAuxiliary
from trainable.stages.pretraining_loop import StageFailed
from trainable.task_config import PairDecision
from trainable.tasks import COURSE, TaskName
from trainable.training.inputs import InputsSpec, RunInputs
from trainable.training.loop import Run
from trainable.training.predictions import LABELLED, PREDICTIONS, read_probabilities
from trainable.worker.ray_trainable import MultitaskTrainable, NodeLeaving, report_keys
from trainable.worker.spot_notice import ADDRESS_VARIABLE, SpotNotice
from trainable.worker.tune_storage import stored_checkpoint

SECONDS = (
    "prefix_seconds",
    "train_seconds",
    "eval_seconds",
    "start_seconds",
    "save_seconds",
)
CONFIRM = tuple(f"confirm_{key}" for key in SCORE_KEYS)


def run_config(seed: int = 0, **stage: Any) -> RunConfig:
    settings: dict[str, Any] = {"budget_tokens": 1200, "units": 2, **stage}
    return RunConfig(seed=seed, multitask=Multitask(**settings))


def tune_config(config: RunConfig) -> dict[str, Any]:
    """Return what Tune hands over: the searcher's params lie beside the RunConfig."""
    return {"multitask.optimization.lr": 0.1, "run_config": config.to_dict()}


OTHER = RunConfig(
    seed=4,
    encoder=EncoderConfig(dropout=0.3),
    tasks={"para": PairDecision(pair=SiamesePair(head=MlpHead(width=64)))},
    multitask=Multitask(
        batch_order=LockStep(batch_size=4, gradients=PCGrad()), budget_tokens=2000, units=3
    ),
)


@pytest.fixture(scope="module")
def quick(cut_inputs: Callable[..., RunInputs]) -> RunInputs:
    """The usual inputs with fewer examples to be scored."""
    return cut_inputs(scored=60)


@pytest.fixture
def start(
    quick: RunInputs, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[RunConfig], Any]]:
    """Return a function that starts a trial in a fresh actor whose data are loaded already."""
    open_actors: list[Any] = []

    def new(config: RunConfig) -> Any:
        # As after the first trial of an actor: setup() would take half a second each time.
        monkeypatch.setattr(MultitaskTrainable, "_inputs", quick)
        monkeypatch.setattr(MultitaskTrainable, "_source", InputsSpec.of(RunConfig()))
        actor = MultitaskTrainable(config=tune_config(config))
        open_actors.append(actor)
        return actor

    yield new
    for actor in open_actors:
        actor.stop()


# Tune's base class has no types.
Start = Callable[[RunConfig], Any]


def results(actor: Any) -> list[dict[str, Any]]:
    """Train to the end; returns what each unit reported, except how long things took."""
    found: list[dict[str, Any]] = []
    while not found or not (actor._run.done or found[-1]["failure"]):
        result = actor.train()
        kept = (set(report_keys(COURSE)) - set(SECONDS)) | {"failure"}
        found.append({k: v for k, v in result.items() if k in kept})
    return found


def weights(actor: Any) -> dict[str, torch.Tensor]:
    assert actor._run is not None
    return {name: t.clone() for name, t in actor._run.model.state_dict().items()}


def poison(actor: Any) -> Any:
    """Make the next loss NaN; no RunConfig within its bounds is known to do that."""
    assert actor._run is not None
    for parameter in actor._run.model.parameters():
        parameter.data.fill_(math.nan)
    return actor


def assert_same(one: list[dict[str, Any]], other: list[dict[str, Any]]) -> None:
    """Compare bit for bit; NaN equals NaN."""
    assert len(one) == len(other)
    for mine, theirs in zip(one, other, strict=True):
        assert mine.keys() == theirs.keys()
        for key, value in mine.items():
            assert repr(value) == repr(theirs[key]), key


@pytest.mark.slow
def test_every_unit_reports_every_number(start: Start) -> None:
    actor = start(run_config())
    for unit in (1, 2):
        result = actor.train()
        for key in report_keys(COURSE):
            assert isinstance(result[key], int | float), key
        assert result["unit"] == unit
        assert result["failure"] == ""
        assert all(math.isfinite(result[key]) for key in SCORE_KEYS)
        assert result["tokens"] >= 600 * unit


def test_confirm_scores_come_after_the_last_unit_only(start: Start) -> None:
    first, last = results(start(run_config()))
    assert all(math.isnan(first[key]) for key in CONFIRM)
    assert all(math.isfinite(last[key]) for key in CONFIRM)


def test_a_run_that_is_over_is_not_trained_on(start: Start) -> None:
    actor = start(run_config())
    results(actor)
    with pytest.raises(RuntimeError, match="over after unit 2"):
        actor.step()


@pytest.mark.slow
def test_it_reports_what_the_run_does(start: Start, quick: RunInputs) -> None:
    reported = results(start(run_config()))
    run = Run(run_config(), quick)
    for result in reported:
        expected = run.train_unit() | run.evaluate("select")
        for key in (*SCORE_KEYS, "sst_loss", "para_loss", "sts_loss"):
            assert result[key] == expected[key] or math.isnan(expected[key])
        assert (result["tokens"], result["steps"]) == (run.tokens, run.steps)
    confirm = run.evaluate("confirm")
    for key in SCORE_KEYS:
        assert reported[-1][f"confirm_{key}"] == confirm[key]


def test_a_trial_is_scored_on_a_part_of_select_until_its_last_unit(
    start: Start, quick: RunInputs, monkeypatch: pytest.MonkeyPatch
) -> None:
    part = {task: torch.arange(10) for task in TASK_NAMES}
    monkeypatch.setitem(vars(quick.corpus), "select_part", part)
    actor = start(run_config())
    first = actor.train()
    run = actor._run
    found = run.probabilities("select", part)
    assert first["score"] == run.score("select", found, part)["score"]
    last = actor.train()
    whole = run.evaluate("select")
    for key in (*SCORE_KEYS, *learning_keys(COURSE)):
        assert last[key] == whole[key]
    assert {task: len(own) for task, own in actor._found["select"].items()} == {
        task: len(quick.corpus.splits["select"][task]) for task in TASK_NAMES
    }


def test_a_loss_that_is_no_number_ends_the_trial_as_failed_with_the_worst_score(
    start: Start,
) -> None:
    result = results(poison(start(run_config())))[-1]
    assert result["failure"].startswith("RunFailed: ")
    assert result["unit"] == 1
    for key in SCORE_KEYS:
        assert result[key] == WORST_SCORE
    assert set(report_keys(COURSE)) - set(SECONDS) <= set(result)


@pytest.mark.parametrize(
    "error", [torch.OutOfMemoryError("2 GiB"), MemoryError(), StageFailed("the loss is nan")]
)
def test_what_the_trial_itself_could_not_do_ends_it_as_failed(
    start: Start, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def train_unit(self: Run, on_step: Any = None) -> dict[str, float]:
        raise error

    actor = start(run_config())
    monkeypatch.setattr(Run, "train_unit", train_unit)
    result = actor.train()
    assert result["failure"].startswith(type(error).__name__)
    assert result["score"] == WORST_SCORE


def test_scores_that_are_no_numbers_end_the_trial_as_failed(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    def score(
        self: Run, split: str, found: dict[TaskName, torch.Tensor], part: Any = None
    ) -> dict[str, float]:
        return {**dict.fromkeys(SCORE_KEYS, 0.5), "sts_corr": math.nan}

    actor = start(run_config())
    monkeypatch.setattr(Run, "score", score)
    result = actor.train()
    assert "sts_corr is nan in unit 1" in result["failure"]


def test_weights_that_are_no_numbers_at_evaluation_end_the_trial_as_failed(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    train_unit = Run.train_unit
    actor = start(run_config())

    def diverge(run: Run, on_progress: Any) -> dict[str, float]:
        metrics = train_unit(run, on_progress)
        poison(actor)
        return metrics

    monkeypatch.setattr(Run, "train_unit", diverge)
    assert actor.train()["failure"] == "RunFailed: score is nan in unit 1"


def test_nothing_is_saved_of_a_run_that_failed(start: Start, tmp_path: Path) -> None:
    actor = poison(start(run_config()))
    results(actor)
    actor.save_checkpoint(str(tmp_path))
    assert list(tmp_path.iterdir()) == []
    actor.reset(tune_config(run_config()))
    actor.save_checkpoint(str(tmp_path))
    assert list(tmp_path.iterdir()) != []


@pytest.mark.slow
def test_an_actor_goes_on_after_a_trial_that_failed(start: Start) -> None:
    expected = results(start(run_config()))
    actor = poison(start(OTHER))
    assert results(actor)[-1]["failure"]
    assert actor.reset(tune_config(run_config()))
    assert_same(results(actor), expected)


@pytest.mark.slow
def test_a_run_config_may_be_json(start: Start) -> None:
    expected = results(start(run_config()))
    actor = start(OTHER)
    assert actor.reset({"run_config": json.dumps(run_config().to_dict())})
    assert_same(results(actor), expected)


BROKEN: dict[str, tuple[dict[str, Any], type[Exception]]] = {
    "no run_config": ({}, KeyError),
    "not a RunConfig": ({"run_config": {"seed": 1}}, InputError),
    "not JSON": ({"run_config": "{"}, json.JSONDecodeError),
    "data that went away": (
        {"run_config": RunConfig(data=Cs224nData(dir="/nowhere")).to_dict()},
        InputError,
    ),
    "encoder that went away": (
        {"run_config": RunConfig(encoder=EncoderConfig(source="/nowhere")).to_dict()},
        InputError,
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("case", BROKEN)
def test_what_cannot_be_started_fails_at_the_next_unit_and_never_at_the_reset(
    start: Start, case: str
) -> None:
    config, error = BROKEN[case]
    actor = start(run_config())
    assert actor.reset_config(copy.deepcopy(config)) is True
    for _ in range(2):  # a retry in the same actor fails again
        with pytest.raises(error):
            actor.train()
    assert actor.reset_config(tune_config(run_config())) is True
    assert actor.train()["unit"] == 1


@pytest.mark.parametrize("case", BROKEN)
def test_a_first_trial_that_cannot_be_started_fails_at_its_first_unit(case: str) -> None:
    config, error = BROKEN[case]
    actor: Any = MultitaskTrainable(config=copy.deepcopy(config))
    with pytest.raises(error):
        actor.train()


def test_a_trial_that_could_not_start_can_be_saved_and_restored(
    start: Start, tmp_path: Path
) -> None:
    actor = start(run_config())
    actor.reset_config({})
    actor.save_checkpoint(str(tmp_path))
    actor.load_checkpoint(str(tmp_path))
    with pytest.raises(KeyError):
        actor.train()


@pytest.mark.slow
@pytest.mark.parametrize("config", [run_config(), OTHER], ids=["plain", "pcgrad"])
def test_saved_and_restored_equals_never_stopped(
    start: Start, tmp_path: Path, config: RunConfig
) -> None:
    whole = start(config)
    expected = results(whole)
    first = start(config)
    first.train()
    checkpoint = first.save(str(tmp_path))
    for actor in (start(config), start(run_config(seed=9))):
        actor.reset(tune_config(config))  # a warm actor that had another trial
        actor.restore(checkpoint)
        assert_same(results(actor), expected[1:])
        theirs = weights(whole)
        for name, tensor in weights(actor).items():
            assert torch.equal(tensor, theirs[name]), name


@pytest.fixture
def kept(start: Start, tmp_path: Path) -> list[str]:
    """Checkpoints after units 1 and 2 of three, newest first, as paths below `tmp_path`."""
    actor = start(run_config(units=3, budget_tokens=1800))
    paths = []
    for unit in (1, 2):
        actor.train()
        folder = tmp_path / "search" / f"unit_{unit}"
        folder.mkdir(parents=True)
        actor.save_checkpoint(str(folder))
        paths.append(f"search/unit_{unit}")
    return paths[::-1]


@pytest.mark.slow
@pytest.mark.parametrize("n_torn", [0, 1, 2])
def test_a_job_goes_on_from_the_newest_checkpoint_that_can_be_read(
    start: Start, tmp_path: Path, kept: list[str], n_torn: int
) -> None:
    config = run_config(units=3, budget_tokens=1800)
    expected = results(start(config))
    for path in kept[:n_torn]:
        (tmp_path / path / "state.json").write_text("{")
    actor = start(run_config(seed=7))
    storage = {"storage": str(tmp_path), "checkpoints": kept}
    actor.reset(tune_config(config) | storage)
    first = actor.train()
    assert [path for path, _ in first["lost"]] == kept[:n_torn]
    assert first["unit"] == 3 - n_torn
    assert first["score"] == expected[2 - n_torn]["score"]
    assert_same(results(actor) if n_torn else [], expected[3 - n_torn :])


@pytest.mark.slow
def test_a_checkpoint_that_is_gone_and_one_in_a_uri(
    start: Start, tmp_path: Path, kept: list[str]
) -> None:
    actor = start(run_config(seed=7))
    checkpoints = {"storage": f"file://{tmp_path}", "checkpoints": ["search/gone", *kept]}
    actor.reset(tune_config(run_config(units=3, budget_tokens=1800)) | checkpoints)
    result = actor.train()
    assert (result["unit"], [path for path, _ in result["lost"]]) == (3, ["search/gone"])


@pytest.mark.slow
@pytest.mark.parametrize(("n_errors", "unit", "is_lost"), [(2, 3, False), (3, 2, True)])
def test_a_storage_that_does_not_answer_is_asked_three_times(
    start: Start,
    tmp_path: Path,
    kept: list[str],
    monkeypatch: pytest.MonkeyPatch,
    n_errors: int,
    unit: int,
    is_lost: bool,
) -> None:
    errors = [OSError("AWS Error NETWORK_CONNECTION")] * n_errors
    pauses: list[float] = []

    def stored(storage: str, path: str) -> Any:
        if errors:
            raise errors.pop()
        return stored_checkpoint(storage, path)

    module = "trainable.worker.ray_trainable"
    monkeypatch.setattr(f"{module}.stored_checkpoint", stored)
    monkeypatch.setattr(f"{module}.time.sleep", pauses.append)
    actor = start(run_config(seed=7))
    storage = {"storage": str(tmp_path), "checkpoints": kept}
    actor.reset(tune_config(run_config(units=3, budget_tokens=1800)) | storage)
    assert pauses == [5.0, 30.0]
    result = actor.train()
    lost = [(kept[0], "AWS Error NETWORK_CONNECTION")] if is_lost else []
    assert (result["unit"], result["lost"]) == (unit, lost)


@pytest.mark.slow
def test_weights_alone_take_a_third_and_go_on_with_new_moments(
    start: Start, tmp_path: Path
) -> None:
    sizes = {}
    for save in ("full", "weights"):
        actor = start(run_config())
        actor.reset(tune_config(run_config()) | {"save": save})
        actor.train()
        folder = tmp_path / save
        folder.mkdir()
        actor.save_checkpoint(str(folder))
        sizes[save] = sum(path.stat().st_size for path in folder.iterdir())
        actor.reset(tune_config(run_config()) | {"storage": str(tmp_path), "checkpoints": [save]})
        assert bool(actor._run.training.optimizer.state) == (save == "full")
        assert actor.train()["unit"] == 2
    assert sizes["weights"] < 0.4 * sizes["full"]


def test_a_run_that_is_over_is_saved_without_moments(start: Start, tmp_path: Path) -> None:
    actor = start(run_config())
    found = {}
    for unit in (1, 2):
        actor.train()
        folder = tmp_path / str(unit)
        folder.mkdir()
        actor.save_checkpoint(str(folder))
        names = load_file(folder / "state.safetensors")
        found[unit] = any(name.startswith("optimizer.") for name in names)
    assert found == {1: True, 2: False}


def test_a_checkpoint_is_written_without_pickle(start: Start, tmp_path: Path) -> None:
    actor = start(run_config())
    actor.train()
    actor.save(str(tmp_path))
    names = {path.name for path in tmp_path.iterdir()}
    assert {"state.json", "state.safetensors"} <= names
    assert not any(name.endswith((".pt", ".bin", ".pth")) for name in names)
    assert not any(name.endswith(".tmp") for name in names)


@pytest.mark.slow
def test_nothing_of_a_trial_stays_in_the_actor(start: Start) -> None:
    """Bit for bit: weights, order of examples, dropout, optimizer, and the shared encoder."""
    configs = [run_config(), OTHER, run_config(seed=1), OTHER, run_config()]
    fresh = [results(start(config)) for config in configs]
    actor = start(configs[0])
    for number, (config, expected) in enumerate(zip(configs, fresh, strict=True)):
        if number:
            actor.reset(tune_config(OTHER))
            assert results(poison(actor))[-1]["failure"]  # a failed trial lies in between
            actor.reset(tune_config(config))
        assert_same(results(actor), expected)


def test_the_inputs_stays_and_the_run_is_new(start: Start) -> None:
    actor = start(run_config())
    inputs, run = actor._inputs, actor._run
    assert run is not None
    actor.reset(tune_config(OTHER))
    assert actor._inputs is inputs
    assert actor._run is not run
    # Dropout is the run's own business, and no reason to load the encoder again.
    assert inputs is not None
    assert actor._run is not None
    assert actor._run.inputs is inputs


def test_a_switch_frees_the_run_before_and_passes_over_what_stays(start: Start) -> None:
    actor = start(run_config())
    actor.train()
    model = weakref.ref(actor._run.model)
    actor.reset(tune_config(OTHER))
    assert model() is None
    # Python's collector has the new run to look through, not the libraries.
    assert len(gc.get_objects()) < gc.get_freeze_count() / 10


@pytest.mark.slow
def test_another_encoder_or_other_data_open_another_inputs(start: Start, minilm: Path) -> None:
    actor = start(run_config())
    first = actor._inputs
    other = run_config().model_copy(update={"encoder": EncoderConfig(source=str(minilm))})
    actor.reset(tune_config(other))
    assert actor.start_error is None
    second = actor._inputs
    assert second is not first
    more = run_config().model_copy(update={"data": SampleData(seed=1)})
    actor.reset(tune_config(more))
    assert actor._inputs is not None
    assert second is not None
    assert actor._inputs.corpus.fingerprint != second.corpus.fingerprint
    assert "nli" not in actor._inputs.corpus.splits["train"]
    inference = run_config(auxiliary=NliAuxiliary(), batch_order=RoundRobin(batch_size=4))
    actor.reset(tune_config(inference))
    assert actor._inputs is not None
    assert "nli" in actor._inputs.corpus.splits["train"]
    assert math.isfinite(actor.train()["nli_loss"])


def test_a_trial_trains_on_the_cores_that_it_was_given(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[int] = []
    monkeypatch.setattr(torch, "set_num_threads", given.append)
    for cpus in (0.5, 1, 3):
        share = PlacementGroupFactory([{"CPU": cpus}])
        monkeypatch.setattr(MultitaskTrainable, "trial_resources", share)
        MultitaskTrainable(config={})
    assert given == [1, 1, 3]


def test_round_robin_reports_a_number_for_every_key_too(start: Start) -> None:
    for result in results(start(run_config(batch_order=RoundRobin(), units=1))):
        assert set(report_keys(COURSE)) - set(SECONDS) <= set(result)


def test_a_finished_trial_leaves_what_it_said_of_each_example(
    start: Start, quick: RunInputs, tmp_path: Path
) -> None:
    actor = start(run_config())
    splits = quick.corpus.splits
    ids = {split: {task: splits[split][task].ids for task in TASK_NAMES} for split in LABELLED}
    for unit in (1, 2):
        folder = tmp_path / str(unit)
        folder.mkdir()
        actor.train()
        actor.save_checkpoint(str(folder))
        assert (folder / PREDICTIONS).exists() == (unit == 2)
    found = read_probabilities((folder / PREDICTIONS).read_bytes(), ids, "test")
    assert actor._run is not None
    for split in LABELLED:
        for task, own in actor._run.probabilities(split).items():
            assert torch.equal(found[split][task], own)


def test_a_trial_without_a_multitask_stage_reports_once(
    start: Start, cut_inputs: Callable[..., RunInputs]
) -> None:
    tuning = CachedHeadTuning(tasks="sst", epochs=1)
    config = RunConfig(multitask=None, head_tuning=tuning)
    actor = start(config)
    assert actor._run is not None
    actor._run.inputs = cut_inputs(sst=40, scored=60)
    (result,) = results(actor)
    assert set(report_keys(COURSE)) - set(SECONDS) <= result.keys()
    assert (result["unit"], result["tokens"], result["steps"]) == (1, 0, 0)
    assert math.isnan(result["sst_loss"])
    assert all(math.isfinite(result[key]) for key in (*SCORE_KEYS, *CONFIRM))


def test_surgery_reports_how_the_tasks_agreed(start: Start) -> None:
    plain, surgery = results(start(run_config()))[-1], results(start(OTHER))[-1]
    for key in ("cosine_sst_para", "conflict_sst_sts", "cosine_para_sts"):
        assert math.isnan(plain[key])
        assert math.isfinite(surgery[key])


class Told:
    """Stands for a watcher: has notice once so many steps are made, all together."""

    def __init__(self, actor: Any, steps: int) -> None:
        self.actor, self.steps = actor, steps

    @property
    def notice(self) -> SpotNotice | None:
        return SpotNotice("terminate", 1.5) if self.actor._run.steps >= self.steps else None

    def stop(self) -> None:
        """There is nothing to stop."""


@pytest.fixture
def on_node(monkeypatch: pytest.MonkeyPatch) -> None:
    context = SimpleNamespace(get_node_id=lambda: "ab12")
    monkeypatch.setattr("ray.get_runtime_context", lambda: context)


@pytest.mark.usefixtures("on_node")
def test_a_trial_that_leaves_between_two_steps_goes_on_as_if_it_had_not(
    start: Start, tmp_path: Path
) -> None:
    config = run_config(batch_order=LockStep(batch_size=4))
    expected = results(start(config))
    n_steps = int(expected[0]["steps"]) + 1  # in the second unit
    actor = start(config)
    actor._spot = Told(actor, n_steps)
    found = [actor.train(), actor.train()]
    assert found[0]["leaving"] == ""
    left = found.pop()
    assert (left["unit"], left["steps"]) == (1, n_steps)
    assert set(report_keys(COURSE)) <= left.keys()
    assert math.isnan(left["score"])
    assert (left["node"], left["deadline"]) == ("ab12", 1.5)
    assert left["leaving"].startswith("spot notice: terminate at 19")
    folder = tmp_path / "left"
    folder.mkdir()
    actor.save_checkpoint(str(folder))
    with pytest.raises(NodeLeaving):
        actor.train()
    after = start(config)
    after.reset(tune_config(config) | {"storage": str(tmp_path), "checkpoints": ["left"]})
    found = [{key: found[0][key] for key in expected[0]}, *results(after)]
    assert_same(found, expected)


@pytest.mark.usefixtures("on_node")
def test_a_trial_that_comes_to_a_machine_with_notice_leaves_at_once(start: Start) -> None:
    actor = start(run_config())
    actor._spot = Told(actor, 0)
    for _ in range(2):  # the second is given to the same actor
        left = actor.train()
        assert left["leaving"]
        assert (left["unit"], left["steps"]) == (0, 0)
        with pytest.raises(NodeLeaving):
            actor.train()
        actor.reset(tune_config(run_config()))


def test_an_actor_watches_where_there_is_an_address(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    monkeypatch.setenv(ADDRESS_VARIABLE, f"http://127.0.0.1:{port}")
    actor: Any = MultitaskTrainable(config={})
    assert actor._spot._thread.is_alive()
    actor.stop()
    actor._spot._thread.join(30)
    assert not actor._spot._thread.is_alive()


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another libc keeps no such blocks")
def test_what_trials_freed_goes_back_to_the_machine() -> None:
    trainable = MultitaskTrainable(tune_config(run_config()))
    blocks = [torch.zeros(12_000) for _ in range(4000)]  # each too small for pages of its own
    kept = blocks[::100]
    del blocks
    before = resident_bytes()
    trainable.reset_config(tune_config(run_config(1)))
    assert before - resident_bytes() > 150e6
    assert len(kept) == 40


def resident_bytes() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")
