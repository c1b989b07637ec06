"""The hub's columns and scales, without the hub."""

from __future__ import annotations

import re

import pytest
from datasets import Dataset

from trainable.data import hub
from trainable.data.sources import HubData
from trainable.errors import InputError
from trainable.tasks import COURSE, TaskName

ROWS: dict[TaskName, Dataset] = {
    "sst": Dataset.from_dict({"text": ["good"], "label": [4], "label_text": ["very positive"]}),
    "para": Dataset.from_dict(
        {"question1": ["a ?"], "question2": ["b ?"], "label": [1], "idx": [7]}
    ),
    "sts": Dataset.from_dict({"sentence1": ["a", "b"], "sentence2": ["b", "c"], "score": [1, 0.6]}),
}


def test_columns_and_scales_become_ours() -> None:
    rows = {task: hub.from_hub(ROWS[task], task, "dev")[0] for task in COURSE}
    assert rows["sst"][0] == {"id": "0", "sentence1": "good", "sentence2": "", "label": 4.0}
    assert rows["para"][0] == {"id": "7", "sentence1": "a ?", "sentence2": "b ?", "label": 1.0}
    assert rows["sts"]["label"][:] == [5.0, 3.0]


@pytest.mark.parametrize("task", COURSE)
def test_labels_of_test_are_not_read(task: TaskName) -> None:
    spoiled = ROWS[task].remove_columns(hub.HUB_DATASETS[task].label)
    dataset, _ = hub.from_hub(spoiled, task, "test")
    assert "label" not in dataset.column_names


def test_missing_column_is_named() -> None:
    with pytest.raises(InputError, match=r"SetFit/sst5 \(train\) has no column label; found: text"):
        hub.from_hub(Dataset.from_dict({"text": ["good"]}), "sst", "train")


def test_every_data_set_is_pinned_to_a_commit() -> None:
    for source in hub.HUB_DATASETS.values():
        assert re.fullmatch("[0-9a-f]{40}", source.revision)


def test_no_network_is_an_input_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(*_: object, **__: object) -> Dataset:
        raise ConnectionError("Couldn't reach the Hub")

    monkeypatch.setattr(hub, "load_dataset", unreachable)
    with pytest.raises(InputError, match=r"Couldn't reach the Hub; check the network.*--data"):
        HubData().load()
