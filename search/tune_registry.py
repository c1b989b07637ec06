"""Where Ray Tune looks for the trainable, for each trial three times."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ray.tune import Trainable, registry


@contextmanager
def registered(trainable: type[Trainable]) -> Iterator[str]:
    """Give the name under which Tune finds a trainable, meanwhile in this process.

    Tune asks the cluster, and the driver waited 2 ms a trial for the answers. The names replaced
    here are private, of the version we pin.
    """
    name = trainable.__name__
    registry.register_trainable(name, trainable)
    known: Any = registry._global_registry
    contains, get = known.contains, known.get
    here = registry.TRAINABLE_CLASS, name
    known.contains = lambda *asked: asked == here or contains(*asked)
    known.get = lambda *asked: trainable if asked == here else get(*asked)
    try:
        yield name
    finally:
        del known.contains, known.get
