from __future__ import annotations

import random
from pathlib import Path

from search.searchers.base import draw_params
from spaces.carry_config import params_like
from spaces.catalogue import make_space
from tests.trainable.other_tasks import write_tasks
from trainable.data.read_tasks import read_tasks
from trainable.data.sources import SampleData
from trainable.defaults import default_run
from trainable.model.encoder import EncoderConfig
from trainable.stages.multitask import Multitask
from trainable.tasks import COURSE

BERT = EncoderConfig(source="bert")
HERE = make_space("full", default_run(BERT, SampleData()))


def test_of_the_same_tasks_all_params_are_carried_over() -> None:
    other = default_run(EncoderConfig(source="other"), SampleData(), 3, Multitask(units=3))
    there = make_space("full", other)
    for seed in range(5):
        params = draw_params(there.params(), random.Random(seed))
        assert params_like(HERE, there.config_of(params)) == params


def test_a_task_is_like_the_first_of_its_kind(tmp_path: Path) -> None:
    others = read_tasks(str(write_tasks(tmp_path)))
    space = make_space("full", default_run(BERT, others))
    for seed in range(5):
        params = draw_params(HERE.params(), random.Random(seed))
        found = params_like(space, HERE.config_of(params))
        assert space.params_of(space.config_of(found)) == found, "it means a configuration"
        by_kind = {task.kind: name for name, task in COURSE.items()}
        for name, task in others.table.items():
            if task.kind in by_kind:
                like = by_kind[task.kind]
                assert found[f"{name}.pooling"] == params[f"{like}.pooling"]
                assert found[f"{name}.dropout"] == params[f"{like}.dropout"]
        assert found["multitask.batch_order"] == params["multitask.batch_order"]
        assert found["multitask.optimization.lr"] == params["multitask.optimization.lr"]


def test_values_move_into_the_ranges_of_the_space() -> None:
    tiny = make_space("full", default_run(EncoderConfig(), SampleData()))
    lowest = tiny.narrowed["multitask.optimization.lr"].low  # type: ignore[union-attr]
    found = params_like(tiny, HERE.base)
    assert found["multitask.optimization.lr"] == lowest
