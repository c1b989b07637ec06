from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from search.log.folder import SearchFolder
from search.report.errors.winner_predictions import (
    TaskPredictions,
    predictions_on_select,
    read_predictions,
    select_examples,
)
from tests.course import TASK_NAMES
from tests.search.report.errors.finished_run import Finished, checkpoint, trial
from trainable.data.examples import Examples
from trainable.tasks import COURSE, TaskName
from trainable.training.inputs import RunInputs
from trainable.training.predictions import write_probabilities


@pytest.fixture(scope="module")
def found(
    finished: Finished, examples: Examples, tmp_path_factory: pytest.TempPathFactory
) -> dict[TaskName, TaskPredictions]:
    path = tmp_path_factory.mktemp("found") / "file"
    write_probabilities(finished.run, path, finished.found)
    return predictions_on_select(examples, finished.run.config, path.read_bytes())


def test_select_is_read_in_the_order_of_the_predictions(
    inputs: RunInputs, examples: Examples
) -> None:
    for task in TASK_NAMES:
        half = select_examples(examples, task)
        own = inputs.corpus.splits["select"][task]
        assert half.ids == own.ids
        assert half.labels == pytest.approx(own.labels.numpy())
        assert {len(both) for both in half.sentences} == {1 + COURSE[task].is_pair}
        # The tokens of the first sentence are as many as the inputs has.
        for i in (0, 1, len(half.ids) - 1):
            tokens = inputs.pretrained.tokenizer.encode(
                half.sentences[i][0], add_special_tokens=False
            )
            assert len(tokens.ids) == int(own.lengths[0, i])


def test_predictions_are_what_the_run_decides(
    finished: Finished, found: dict[TaskName, TaskPredictions]
) -> None:
    decided = finished.run.decide(finished.found["select"])
    for task in TASK_NAMES:
        assert found[task].predicted == pytest.approx(decided[task].numpy())
        assert found[task].labels == pytest.approx(finished.labels[task].numpy())
    assert found["sts"].confidence is None


def test_confidence_is_the_probability_of_what_is_predicted(
    finished: Finished, found: dict[TaskName, TaskPredictions]
) -> None:
    expected = finished.found["select"]["sst"].max(1).values.numpy()
    assert found["sst"].confidence == pytest.approx(expected)
    score = finished.found["select"]["para"][:, 0].numpy()
    # The threshold is 0.7, so "no" may be less than half sure.
    assert found["para"].confidence == pytest.approx(np.where(score >= 0.7, score, 1 - score))
    assert found["para"].confidence.min() < 0.5


def test_the_checkpoint_of_the_last_unit_counts(folder: SearchFolder) -> None:
    for number in (8, 10, 9):
        checkpoint(folder.local, number).write_bytes(b"%d" % number)
    record = trial()
    record.checkpoints = {8: "trial_id3/checkpoint_000010", 9: "trial_id3/checkpoint_000008"}
    assert read_predictions(folder, record) == b"8"


def test_predictions_are_read_from_a_remote_storage(tmp_path: Path) -> None:
    storage = tmp_path / "storage"
    folder = SearchFolder("search", f"file://{storage}", tmp_path / "local")
    folder.make()
    assert folder.is_copied
    assert read_predictions(folder, trial()) is None
    checkpoint(storage / "search", 9).write_bytes(b"9")
    assert read_predictions(folder, trial()) == b"9"
