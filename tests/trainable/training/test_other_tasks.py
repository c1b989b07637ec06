"""Runs on tasks that are not the papers': every kind, each alone, and all together."""

from __future__ import annotations

import csv
import io
import math
from pathlib import Path

import pytest
import torch

from spaces.catalogue import SPACE_NAMES, make_space
from tests.trainable.other_tasks import NAMES, other_tasks
from trainable.batch_orders.all_tasks import LockStep
from trainable.data.task_files import TaskFiles
from trainable.defaults import default_run
from trainable.gradients.pcgrad import PCGrad
from trainable.metrics import metric_of, score_keys
from trainable.model.encoder import EncoderConfig
from trainable.run_config import RunConfig
from trainable.stages.head_tuning import CachedHeadTuning
from trainable.stages.multitask import Multitask
from trainable.tasks import Task
from trainable.training.corpus import Rows
from trainable.training.inputs import InputsSpec, open_inputs
from trainable.training.loop import Run
from trainable.training.predictions import LABELLED, write_submission

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> TaskFiles:
    return other_tasks(tmp_path_factory.mktemp("tasks"))


def chosen(source: TaskFiles, *names: str) -> TaskFiles:
    return source.model_copy(
        update={"tasks": tuple(own for own in source.tasks if own.task.name in names)}
    )


def short(source: TaskFiles, **fields: object) -> RunConfig:
    stage = Multitask(budget_tokens=1500, units=1)
    config = default_run(EncoderConfig(), source, 0, stage)
    return config.model_copy(update=fields)


def test_a_run_of_all_kinds_scores_each_task_by_its_metric(source: TaskFiles) -> None:
    config = short(source)
    run = Run(config, open_inputs(config, CPU))
    metrics = run.train_unit()
    assert all(math.isfinite(metrics[f"{name}_loss"]) for name in NAMES)
    found = run.probabilities("select")
    n_outputs = {name: own.shape[1] for name, own in found.items()}
    assert n_outputs == {"mood": 2, "length": 1, "same": 1, "relation": 3, "overlap": 1}
    predicted, scores = run.decide(found), run.score("select", found)
    assert tuple(scores) == score_keys(source.table)
    for name, task in source.table.items():
        labels = run.inputs.corpus.splits["select"][name].labels
        assert labels is not None
        assert scores[task.metric_key] == metric_of(task, predicted[name], labels)
        assert predicted[name].min() >= task.low
        assert predicted[name].max() <= task.high
    keys = ("mood_mcc", "length_spearman", "same_f1", "relation_acc", "overlap_corr")
    weighted = sum(scores[key] for key in keys) + scores["relation_acc"]
    assert scores["score"] == pytest.approx(weighted / 6)


@pytest.mark.parametrize("name", NAMES)
def test_a_run_may_have_one_task(source: TaskFiles, name: str) -> None:
    one = chosen(source, name)
    config = short(one, head_tuning=CachedHeadTuning(epochs=1))
    run = Run(config, open_inputs(config, CPU))
    run.train_unit()
    scores = run.evaluate("confirm")
    assert scores["score"] == scores[one.table[name].metric_key]


def test_runs_on_equal_tasks_share_their_inputs(source: TaskFiles) -> None:
    """Retraining keeps inputs by what they are made from."""
    again = TaskFiles.model_validate_json(source.model_dump_json())
    opened = {InputsSpec.of(short(source)): "inputs"}
    assert opened[InputsSpec.of(short(again))] == "inputs"
    assert InputsSpec.of(short(chosen(source, "mood"))) not in opened


def test_gradients_of_all_kinds_are_operated_on(source: TaskFiles) -> None:
    order = LockStep(batch_size=4, gradients=PCGrad())
    config = short(source, multitask=Multitask(batch_order=order, budget_tokens=900, units=1))
    metrics = Run(config, open_inputs(config, CPU)).train_unit()
    assert math.isfinite(metrics["cosine_mood_relation"])
    assert math.isfinite(metrics["conflict_same_overlap"])


@pytest.mark.parametrize("space", SPACE_NAMES)
def test_a_space_offers_what_makes_a_difference(source: TaskFiles, space: str) -> None:
    def names(tasks: TaskFiles) -> set[str]:
        return {param.name for param in make_space(space, short(tasks)).params()}

    of_all, of_one = names(source), names(chosen(source, "mood"))
    first_words = {name.split(".")[0] for name in of_all}
    others = {"encoder", "pair_layer", "multitask", "further_pretraining", "nli", "head_tuning"}
    assert first_words <= {*NAMES, *others}
    assert not any("relation.pair.cosine" in name for name in of_all)  # three classes
    assert not any("gradients" in name or "task_lr" in name for name in of_one)
    assert not any(name.startswith(("pair_layer", "encoder.sharing")) for name in of_one)
    assert of_one <= of_all | {"multitask.batch_order.lock_step.batch_size"}


def test_predictions_are_csv_with_the_names_of_classes(source: TaskFiles, tmp_path: Path) -> None:
    config = short(source)
    run = Run(config, open_inputs(config, CPU))
    predicted = {split: run.predict(split) for split in LABELLED}
    write_submission(predicted | {"test": {}}, run.inputs.corpus.splits, source.table, tmp_path)
    for task, values in predicted["select"].items():
        text = (tmp_path / f"{task}-dev-output.csv").read_text(encoding="utf-8")
        assert text.startswith("id,prediction\n")
        rows = list(csv.DictReader(io.StringIO(text)))
        splits = [run.inputs.corpus.splits[split][task] for split in LABELLED]
        assert [row["id"] for row in rows] == [name for split in splits for name in split.ids]
        classes, first = source.table[task].classes, values[0].item()
        expected = str(first) if classes is None else classes[int(first)]
        assert rows[0]["prediction"] == expected


def test_ids_and_classes_with_commas_and_quotes_are_quoted(tmp_path: Path) -> None:
    task = Task(name="tone", classes=("good, mostly", 'a "b"'))
    none = torch.zeros(1, 1, dtype=torch.int64)
    rows = {s: {"tone": Rows(none, none, None, (f'{s}, "1"',))} for s in LABELLED}
    predicted = {"select": {"tone": torch.zeros(1)}, "confirm": {"tone": torch.ones(1)}}
    write_submission(predicted | {"test": {}}, rows, {"tone": task}, tmp_path)
    with (tmp_path / "tone-dev-output.csv").open(encoding="utf-8", newline="") as file:
        assert list(csv.reader(file)) == [
            ["id", "prediction"],
            ['select, "1"', "good, mostly"],
            ['confirm, "1"', 'a "b"'],
        ]
