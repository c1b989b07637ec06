"""The stages before the tasks, for one run."""

from __future__ import annotations

import logging
from collections.abc import Callable

from trainable.files import cache_folder
from trainable.run_config import RunConfig
from trainable.stages.prefix import run_prefix
from trainable.weights import Parameters
from trainable.workbench import Workbench

log = logging.getLogger(__name__)


def prefix_weights(
    config: RunConfig, workbench: Workbench, show: Callable[[str, float], None]
) -> Parameters | None:
    """Return the encoder's weights after the stages before the tasks; None if there are none.

    Args:
        config: The run.
        workbench: Its encoder and data.
        show: Called with the kind of a stage, and how much of it is done.

    Raises:
        InputError: Text or examples of a stage cannot be had.
        StageFailed: A stage diverged.
    """
    stages = (config.further_pretraining, config.nli)
    if all(stage.kind == "none" for stage in stages):
        return None
    weights, reports = run_prefix(
        workbench.stage_inputs, stages, config.seed, workbench.device, cache_folder(), show
    )
    for report in reports:
        origin = "taken from the cache" if report.cached else "computed"
        log.info("stage %s %s in %.1f s", report.kind, origin, report.seconds)
    return weights
