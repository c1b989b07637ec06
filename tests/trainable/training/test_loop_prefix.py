"""The stages before the tasks, as runs see them: computed once, shared, and not needed again."""

from __future__ import annotations

import logging
import math
import shutil
from pathlib import Path

import pytest
import torch
from torch import Tensor

from tests.course import TASK_NAMES
from trainable.batch_orders.all_tasks import LockStep
from trainable.cache.files import CACHE_VARIABLE, cache_folder
from trainable.model.encoder import EncoderConfig
from trainable.model.weights import Parameters
from trainable.optim.adamw import Optimization
from trainable.run_config import RunConfig
from trainable.stages.before_tasks import run_prefix
from trainable.stages.head_tuning import CachedHeadTuning
from trainable.stages.language_modelling import MaskedLanguageModelling
from trainable.stages.multitask import Multitask
from trainable.stages.nli_training import ContrastiveNli
from trainable.stages.pretraining_loop import StageFailed
from trainable.training import checkpoint
from trainable.training.inputs import RunInputs
from trainable.training.loop import Run

MLM = MaskedLanguageModelling(budget_tokens=1500, batch_size=4, lr=1e-3)
NLI = ContrastiveNli(budget_tokens=600, batch_size=8, lr=1e-3)
SHORT = Multitask(
    batch_order=LockStep(batch_size=4),
    optimization=Optimization(lr=1e-3),
    budget_tokens=1200,
    units=2,
)
CONFIG = RunConfig(further_pretraining=MLM, nli=NLI, multitask=SHORT)


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def computed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Kinds of the stages that were computed, in their order."""
    seen: list[str] = []
    for stage in (MaskedLanguageModelling, ContrastiveNli):
        original = stage.run

        def run(self, *args, original=original):  # type: ignore[no-untyped-def]
            seen.append(self.kind)
            return original(self, *args)

        monkeypatch.setattr(stage, "run", run)
    return seen


def nothing(activity: str, fraction: float) -> None:
    """Show nothing."""


def prefix_of(config: RunConfig, inputs: RunInputs) -> Parameters:
    stages = (config.further_pretraining, config.nli)
    device = torch.device("cpu")
    found, _ = run_prefix(inputs.stage_inputs, stages, config.seed, device, cache_folder(), nothing)
    return found


def weights(run: Run) -> dict[str, Tensor]:
    return {name: t.clone() for name, t in run.model.state_dict().items()}


def changed(**fields: object) -> RunConfig:
    return CONFIG.model_copy(update=fields)


def test_runs_with_equal_stages_before_the_tasks_compute_them_once(
    inputs: RunInputs, computed: list[str]
) -> None:
    other = Multitask(batch_order=LockStep(batch_size=8), budget_tokens=500, units=1)
    Run(CONFIG, inputs).train_unit()
    assert computed == ["mlm", "contrastive"]
    metrics = Run(changed(multitask=other), inputs).train_unit()
    Run(changed(multitask=None), inputs).train_unit()
    assert computed == ["mlm", "contrastive"]
    assert math.isfinite(metrics["prefix_seconds"])
    # Another second stage goes on from the first one's result.
    Run(changed(nli=NLI.model_copy(update={"temperature": 0.1})), inputs).train_unit()
    assert computed == ["mlm", "contrastive", "contrastive"]


def test_another_seed_computes_its_own(inputs: RunInputs, computed: list[str]) -> None:
    first = prefix_of(CONFIG, inputs)
    second = prefix_of(changed(seed=1), inputs)
    assert computed == ["mlm", "contrastive"] * 2
    assert any(not torch.equal(t, second[name]) for name, t in first.items())


def test_what_is_taken_from_the_cache_is_what_was_computed(
    inputs: RunInputs, own_cache: Path
) -> None:
    first = prefix_of(CONFIG, inputs)
    second = prefix_of(CONFIG, inputs)
    shutil.rmtree(own_cache)
    third = prefix_of(CONFIG, inputs)
    for name, tensor in first.items():
        assert torch.equal(tensor, second[name]), name
        assert torch.equal(tensor, third[name]), name
        assert tensor.device.type == "cpu"
    began = inputs.pretrained.parameters
    assert first.keys() == began.keys()
    assert not torch.equal(first["layers.0.feed_in.weight"], began["layers.0.feed_in.weight"])


@pytest.mark.parametrize("sharing", ["shared", "per_task"])
def test_a_run_trains_from_what_the_stages_left(inputs: RunInputs, sharing: str) -> None:
    encoder = EncoderConfig.model_validate({"sharing": sharing})
    run = Run(changed(encoder=encoder, multitask=None), inputs)
    heads = {name: t.clone() for name, t in run.model.tasks.state_dict().items()}
    run.train_unit()
    expected = prefix_of(CONFIG, inputs)
    for task in TASK_NAMES:
        for name, tensor in run.model.encoder_of(task).state_dict().items():
            assert torch.equal(tensor, expected[name]), name
    for name, tensor in run.model.tasks.state_dict().items():
        assert torch.equal(tensor, heads[name]), name


def test_heads_are_tuned_on_what_the_stages_left(inputs: RunInputs) -> None:
    """Head tuning straight after the prefix, with no multitask stage between."""
    tuning = CachedHeadTuning(tasks="sst", epochs=1, batch_size=64)
    with_prefix = Run(changed(multitask=None, head_tuning=tuning), inputs)
    without = Run(RunConfig(multitask=None, head_tuning=tuning), inputs)
    for run in (with_prefix, without):
        run.train_unit()
    one, other = (run.model.tasks["sst"].state_dict() for run in (with_prefix, without))
    assert any(not torch.equal(t, other[name]) for name, t in one.items())


def test_stages_before_the_tasks_leave_no_trace_but_their_weights(inputs: RunInputs) -> None:
    """A run from the weights themselves goes the same way, bit for bit."""
    run = Run(CONFIG, inputs)
    again = Run(RunConfig(multitask=SHORT), inputs)
    again.model.load_encoder(prefix_of(CONFIG, inputs))
    for one in (run, again):
        while not one.done:
            one.train_unit()
    expected = weights(again)
    for name, tensor in weights(run).items():
        assert torch.equal(tensor, expected[name]), name
    plain = Run(RunConfig(multitask=SHORT), inputs)
    while not plain.done:
        plain.train_unit()
    assert not torch.equal(
        weights(plain)["encoders.shared.layers.0.feed_in.weight"],
        expected["encoders.shared.layers.0.feed_in.weight"],
    )


def test_a_run_that_is_resumed_does_not_need_them(
    inputs: RunInputs, tmp_path: Path, own_cache: Path, computed: list[str]
) -> None:
    uninterrupted = Run(CONFIG, inputs)
    uninterrupted.train_unit()
    folder = tmp_path / "checkpoint"
    folder.mkdir()
    checkpoint.save(uninterrupted, folder)
    uninterrupted.train_unit()
    shutil.rmtree(own_cache)
    computed.clear()
    resumed = Run(CONFIG, inputs)
    checkpoint.load(resumed, folder)
    resumed.train_unit()
    assert computed == []
    assert not own_cache.exists()
    expected = weights(uninterrupted)
    for name, tensor in weights(resumed).items():
        assert torch.equal(tensor, expected[name]), name


def test_progress_names_the_stage(inputs: RunInputs) -> None:
    seen: list[tuple[str, float]] = []
    Run(CONFIG, inputs).train_unit(lambda what, share: seen.append((what, share)))
    names = list(dict.fromkeys(what for what, _ in seen))
    assert names == ["mlm", "contrastive", "training"]
    for name in names:
        shares = [share for what, share in seen if what == name]
        assert shares == sorted(shares)
        assert 0 <= shares[0] <= shares[-1]


def test_the_log_says_what_was_computed(
    inputs: RunInputs, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "trainable.training.loop")
    other = NLI.model_copy(update={"temperature": 0.1})
    Run(changed(multitask=None), inputs).train_unit()
    Run(changed(multitask=None, nli=other), inputs).train_unit()
    lines = [record.getMessage().split(" in ")[0] for record in caplog.records]
    assert lines == [
        "stage mlm computed",
        "stage contrastive computed",
        "stage mlm taken from the cache",
        "stage contrastive computed",
    ]


def test_without_such_stages_nothing_is_looked_up(inputs: RunInputs, own_cache: Path) -> None:
    run = Run(RunConfig(multitask=None), inputs)
    run.train_unit()
    for name, tensor in run.model.encoders["shared"].state_dict().items():
        assert torch.equal(tensor, inputs.pretrained.parameters[name]), name
    assert not own_cache.exists()


def test_a_stage_that_diverges_fails_the_run_and_keeps_nothing(
    inputs: RunInputs, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def contrastive(vectors: Tensor, temperature: float) -> Tensor:
        return vectors.sum() * math.nan

    monkeypatch.setattr("trainable.stages.nli_training.contrastive", contrastive)
    with pytest.raises(StageFailed):
        Run(changed(further_pretraining=RunConfig().further_pretraining), inputs).train_unit()
    assert not list(own_cache.rglob("*.safetensors"))
