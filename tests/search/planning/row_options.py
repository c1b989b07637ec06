"""Options of a search of published rows, and what all of its rows share."""

from __future__ import annotations

from dataclasses import replace

from search.planning.options import SearchOptions
from trainable.data.sources import SampleData
from trainable.defaults import default_run
from trainable.model.encoder import EncoderConfig
from trainable.stages.multitask import Multitask

BASE = default_run(EncoderConfig(), SampleData(), 5, Multitask(budget_tokens=1234, units=3))


def options(**given: object) -> SearchOptions:
    return replace(SearchOptions(space="published"), **given)  # type: ignore[arg-type]
