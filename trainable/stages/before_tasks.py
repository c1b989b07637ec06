"""Run the stages before the tasks, or take their results from the cache."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from trainable.model.weights import Parameters
from trainable.stages.language_modelling import (
    Deshuffling,
    FurtherPretraining,
    MaskedLanguageModelling,
    NoFurtherPretraining,
    PrefixLanguageModelling,
)
from trainable.stages.nli_training import ContrastiveNli, LinearNli, NliTraining, NoNli
from trainable.stages.pretraining_loop import StageInputs
from trainable.stages.stage_cache import Identity, StageCache, identity_key

_FORMAT = 1  # part of every key; raise it when a stage computes something else than before

ActiveStage = (
    MaskedLanguageModelling | Deshuffling | PrefixLanguageModelling | LinearNli | ContrastiveNli
)
OnProgress = Callable[[str, float], None]  # activity, and the fraction of it that is done


@dataclass(frozen=True)
class StageReport:
    """How the result of one stage was got.

    Attributes:
        kind: Kind of the stage.
        seconds: Seconds of computing, or of reading from the cache.
        cached: Whether it was read from the cache.
    """

    kind: str
    seconds: float
    cached: bool


def run_prefix(
    inputs: StageInputs,
    stages: Sequence[FurtherPretraining | NliTraining],
    seed: int,
    device: torch.device,
    cache_folder: Path,
    on_progress: OnProgress,
) -> tuple[Parameters, tuple[StageReport, ...]]:
    """Run the stages in turn, or take their results from the cache.

    Args:
        inputs: Start of the first stage.
        stages: Those of kind `none` are left out.
        seed: Seed of all draws.
        device: Device to compute on. Devices share cached results, which are not equal bit for bit.
        cache_folder: Results are kept in its folder `stages`; see `files.cache_folder`.
        on_progress: Called after each step of training, and before waiting for another run.

    Returns:
        The encoder's weights, on the CPU, and a report on each stage that was not left out.

    Raises:
        InputError: Text or examples of a stage are not available, or the cache cannot be written
            to.
        StageFailed: A stage diverged; its result is not kept.
    """
    active = [stage for stage in stages if not isinstance(stage, NoFurtherPretraining | NoNli)]
    if not active:
        return inputs.pretrained.parameters, ()
    cache = StageCache(cache_folder / "stages")
    identities = stage_identities(inputs, active, seed)
    reports: list[StageReport] = []
    started = time.perf_counter()
    # With the result of the last cached stage, those before it are not needed.
    for number in reversed(range(len(active))):
        found = cache.find(identities[number])
        if found is not None:
            inputs = _from_here(inputs, found)
            seconds = time.perf_counter() - started
            reports = [StageReport(stage.kind, 0.0, True) for stage in active[:number]]
            reports.append(StageReport(active[number].kind, seconds, True))
            break
    for stage, identity in zip(active[len(reports) :], identities[len(reports) :], strict=True):
        started = time.perf_counter()
        weights, cached = _result(stage, identity, inputs, seed, device, cache, on_progress)
        inputs = _from_here(inputs, weights)
        reports.append(StageReport(stage.kind, time.perf_counter() - started, cached))
    return inputs.pretrained.parameters, tuple(reports)


def stage_identities(
    inputs: StageInputs, stages: Sequence[ActiveStage], seed: int
) -> list[Identity]:
    """Return all that the result of each stage depends on.

    A stage depends on the one before it through that one's key.

    Raises:
        InputError: A file with text or examples is missing.
    """
    start = inputs.digest
    identities: list[Identity] = []
    for stage in stages:
        identity = {
            "format": _FORMAT,
            "torch": torch.__version__,
            "seed": seed,
            "start": start,
            # The contents of the data matter, not the path or name that they come from.
            "stage": stage.model_dump(mode="json", exclude={"source", "sources"}),
            "data": stage.fingerprint(inputs),
        }
        identities.append(identity)
        start = identity_key(identity)
    return identities


def _from_here(inputs: StageInputs, weights: Parameters) -> StageInputs:
    return replace(inputs, pretrained=replace(inputs.pretrained, parameters=weights))


def _result(
    stage: ActiveStage,
    identity: Identity,
    inputs: StageInputs,
    seed: int,
    device: torch.device,
    cache: StageCache,
    on_progress: OnProgress,
) -> tuple[Parameters, bool]:
    """Return a stage's result, and whether it was in the cache."""

    def compute() -> Parameters:
        return stage.run(inputs, seed, device, lambda done: on_progress(stage.kind, done))

    def on_wait() -> None:
        on_progress(f"waiting for another run's {stage.kind}", 0)

    return cache.get(identity, compute, on_wait)
