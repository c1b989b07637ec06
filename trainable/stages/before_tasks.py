"""Run the stages before the tasks, or take their results from the store."""

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
from trainable.stages.stage_cache import Identity, StageStore, identity_key

_FORMAT = 1  # of what is kept; to be raised when a stage computes something else than before

ActiveStage = (
    MaskedLanguageModelling | Deshuffling | PrefixLanguageModelling | LinearNli | ContrastiveNli
)
OnProgress = Callable[[str, float], None]  # what is being done, and how much of it, in [0, 1]


@dataclass(frozen=True)
class StageReport:
    """What became of one stage.

    Attributes:
        kind: Its kind.
        seconds: Time until its result was there.
        cached: Whether it was there already.
    """

    kind: str
    seconds: float
    cached: bool


def run_prefix(
    inputs: StageInputs,
    stages: Sequence[FurtherPretraining | NliTraining],
    seed: int,
    device: torch.device,
    cache: Path,
    show: OnProgress,
) -> tuple[Parameters, tuple[StageReport, ...]]:
    """Run the stages in turn, or take their results from the store.

    Args:
        inputs: What the first one starts from.
        stages: Those of kind `none` are left out.
        seed: Seed of all draws.
        device: Where to compute. Results are shared between devices, though not equal to the bit.
        cache: Results are kept in its folder `stages`; see `files.cache_folder`.
        show: Called after each step of training, and before waiting for another run.

    Returns:
        The encoder's weights, on the CPU, and a report on each stage that was not left out.

    Raises:
        InputError: Text or examples of a stage cannot be had, or the cache cannot be written to.
        StageFailed: A stage diverged; nothing is kept of it.
    """
    active = [stage for stage in stages if not isinstance(stage, NoFurtherPretraining | NoNli)]
    if not active:
        return inputs.pretrained.parameters, ()
    store = StageStore(cache / "stages")
    identities = stage_identities(inputs, active, seed)
    reports: list[StageReport] = []
    started = time.perf_counter()
    # The last result that is there makes all before it needless.
    for number in reversed(range(len(active))):
        found = store.find(identities[number])
        if found is not None:
            inputs = _from_here(inputs, found)
            seconds = time.perf_counter() - started
            reports = [StageReport(stage.kind, 0.0, True) for stage in active[:number]]
            reports.append(StageReport(active[number].kind, seconds, True))
            break
    for stage, identity in zip(active[len(reports) :], identities[len(reports) :], strict=True):
        started = time.perf_counter()
        weights, cached = _result(stage, identity, inputs, seed, device, store, show)
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
            # Where the data comes from is of no account; its contents are.
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
    store: StageStore,
    show: OnProgress,
) -> tuple[Parameters, bool]:
    """Return a stage's result, and whether it was there already."""

    def compute() -> Parameters:
        return stage.run(inputs, seed, device, lambda share: show(stage.kind, share))

    return store.get(identity, compute, lambda: show(f"waiting for another run's {stage.kind}", 0))
