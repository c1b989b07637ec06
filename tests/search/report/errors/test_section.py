from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from search.log.folder import SearchFolder
from search.log.leaderboard import TrialRecord
from search.report.errors.section import analysis_section
from search.report.errors.winner_predictions import (
    select_examples,
)
from tests.course import TASK_NAMES
from tests.search.report.errors.finished_run import CONFIG, Finished, checkpoint, trial
from trainable.data.examples import Examples
from trainable.tasks import COURSE, TaskName
from trainable.training.loop import Run
from trainable.training.predictions import write_probabilities

PNG = b"\x89PNG\r\n\x1a\n"


@dataclass(frozen=True)
class Written:
    """A section, and the folder with its pictures."""

    folder: Path
    text: str


@pytest.fixture(scope="module")
def written(finished: Finished, tmp_path_factory: pytest.TempPathFactory) -> Written:
    path = tmp_path_factory.mktemp("written")
    folder = SearchFolder("search", str(path), path / "search")
    folder.make()
    write_probabilities(finished.run, checkpoint(folder.local, 9), finished.found)
    return Written(folder.local, "\n\n".join(analysis_section(folder, trial(), [], folder.local)))


@pytest.fixture
def section(written: Written) -> str:
    return written.text


def rows(section: str, after: str) -> list[list[str]]:
    """Return the cells of the first table behind a text."""
    lines = section.split(after, 1)[1].split("\n\n")
    table = next(part for part in lines if part.startswith("|"))
    found = [re.split(r"(?<!\\) \| ", line[2:-2]) for line in table.splitlines()]
    assert len({len(row) for row in found}) == 1
    return found[2:]


def test_scores_are_those_of_the_run(finished: Finished, section: str) -> None:
    decided = finished.run.decide(finished.found["select"])
    n = {task: len(labels) for task, labels in finished.labels.items()}
    expected = {
        task: float((decided[task] == finished.labels[task]).float().mean())
        for task in ("sst", "para")
    }
    expected["sts"] = float(np.corrcoef(decided["sts"], finished.labels["sts"])[0, 1])
    found = rows(section, "## Analysis of the best configuration")
    assert [row[0] for row in found] == [COURSE[task].title for task in TASK_NAMES]
    for task, row in zip(TASK_NAMES, found, strict=True):
        error = (
            (1 - expected[task] ** 2) / np.sqrt(n[task] - 3)
            if task == "sts"
            else np.sqrt(expected[task] * (1 - expected[task]) / n[task])
        )
        assert row[2:] == [f"{expected[task]:.3f} ± {error:.3f}", str(n[task])]


@pytest.mark.parametrize("task", ["sst", "para"])
def test_classes_are_counted(finished: Finished, section: str, task: TaskName) -> None:
    decided = finished.run.decide(finished.found["select"])[task].int().tolist()
    labels = finished.labels[task].int().tolist()
    counts = Counter(zip(labels, decided, strict=True))
    for label, row in enumerate(rows(section, f"\n{COURSE[task].title}:")):
        n, said = labels.count(label), decided.count(label)
        hits = counts[label, label]
        assert row[0].startswith(f"{label} ")
        assert row[1::2] == [str(n), str(said)]
        assert row[2].startswith(f"{hits / n:.3f} ±")
        assert row[4].startswith(f"{hits / said:.3f} ±")


def test_the_worst_errors_are_shown_with_their_sentences(
    finished: Finished, examples: Examples, section: str
) -> None:
    worst = section.split("### Worst errors")[1]
    sentences = {task: select_examples(examples, task).sentences for task in TASK_NAMES}
    decided = finished.run.decide(finished.found["select"])
    for task in TASK_NAMES:
        shown = rows(worst, f"{COURSE[task].title}:")
        assert len(shown) == 10
        off = (decided[task] - finished.labels[task]).abs().sort(descending=True).values[:10]
        for row, distance in zip(shown, off.tolist(), strict=True):
            assert tuple(row[0].split(" ↔ ")) in sentences[task]
            assert abs(float(row[1]) - float(row[2])) == pytest.approx(distance, abs=0.11)


def test_pictures_are_there_and_linked(written: Written) -> None:
    links = re.findall(r"!\[[^]]+\]\(([^)]+)\)", written.text)
    assert links == ["confusion.png", "predicted_sts.png", "quantities.png"]
    assert {path.name for path in written.folder.glob("*.png")} == set(links)
    for link in links:
        assert (written.folder / link).read_bytes().startswith(PNG)


def test_bins_hold_all_examples(finished: Finished, section: str) -> None:
    part = section.split("### Length and word frequency")[1].split("### Worst errors")[0]
    for task in TASK_NAMES:
        found = rows(part, f"\n{COURSE[task].title}:")
        names = {row[0] for row in found}
        assert len(names) == 3
        for name in names:
            n = sum(int(row[2]) for row in found if row[0] == name)
            assert n == len(finished.labels[task])
    assert sum(int(row[1]) for row in rows(section, "### Numbers")) == len(finished.labels["sts"])


def refused(folder: SearchFolder, record: TrialRecord) -> str:
    heading, sentence = analysis_section(folder, record, [], folder.local)
    assert heading == "## Analysis of the best configuration"
    assert sentence.startswith("There is none: ")
    assert not list(folder.local.glob("*.png"))
    return sentence


def test_a_trial_that_was_stopped_has_no_analysis(folder: SearchFolder) -> None:
    assert "trial 3 ended after 2 of 9 units" in refused(folder, trial(units=2))


def test_a_finalist_without_predictions_is_shown_by_a_run_with_a_new_seed(
    finished: Finished, folder: SearchFolder
) -> None:
    write_probabilities(finished.run, checkpoint(folder.local, 9), finished.found)
    again = replace(trial(), number=7, seed_of=3, origin="seed 2 of trial 3")
    gone = replace(trial(), checkpoints={})
    _, scores, *_ = analysis_section(folder, gone, [gone, again], folder.local)
    assert scores.startswith("What seed 2 of trial 3 says of *select*")


def test_a_trial_whose_checkpoints_are_gone_has_no_analysis(folder: SearchFolder) -> None:
    assert "the checkpoints of trial 3 are not there" in refused(folder, trial())


def test_a_torn_file_has_no_analysis(folder: SearchFolder) -> None:
    checkpoint(folder.local, 9).write_bytes(b"torn")
    assert "not a whole file" in refused(folder, trial())


def test_data_that_have_changed_have_no_analysis(finished: Finished, folder: SearchFolder) -> None:
    corpus = finished.run.inputs.corpus
    sst = corpus.splits["select"]["sst"]
    turned = replace(sst, ids=sst.ids[::-1])
    splits = {**corpus.splits, "select": {**corpus.splits["select"], "sst": turned}}
    changed = replace(corpus, splits=splits)
    other = Run(CONFIG, replace(finished.run.inputs, corpus=changed))
    write_probabilities(other, checkpoint(folder.local, 9), finished.found)
    assert "the data have changed" in refused(folder, trial())
