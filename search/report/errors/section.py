"""The section that says where the best configuration is right and where it is wrong.

All of it is on *select*. A person who has looked at errors may let them steer the next search, and
*confirm* must stay unseen for the final claim.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from search.log.folder import SearchFolder
from search.log.trial import TrialRecord
from search.report.errors import measures
from search.report.errors.error_figures import (
    confusion_figure,
    numbers_figure,
    quantities_figure,
)
from search.report.errors.measures import Measured
from search.report.errors.quantities import Quantity, quantities_of, word_counts
from search.report.errors.winner_predictions import (
    TaskPredictions,
    predictions_on_select,
    read_predictions,
)
from search.report.figures import save
from search.report.markdown import number, quoted, table, with_error
from trainable.data.examples import Examples
from trainable.errors import InputError
from trainable.tasks import TaskName, Tasks

_N_WORST = 10  # errors shown of each task


def analysis_section(
    folder: SearchFolder, trial: TrialRecord, again: Sequence[TrialRecord], pictures: Path
) -> list[str]:
    """Return the paragraphs of the section in Markdown; writes its pictures into a folder.

    Where nothing left predictions, or the data are gone, the only paragraph says so.

    Args:
        folder: Of the search.
        trial: The winner.
        again: Runs of its configuration with new seeds. The first of them with predictions stands
            in for the trial where its own are gone: before a race, only the leader keeps them.
        pictures: Folder for the pictures.
    """
    heading = "## Analysis of the best configuration"
    try:
        known = _first_predictions(folder, [trial, *again])
        if known is None:
            return [heading, _none(trial)]
        run, content = known
        examples = trial.config.data.load()
        found = predictions_on_select(examples, trial.config, content)
    except InputError as error:
        return [heading, f"There is none: {quoted(str(error), None)}."]
    return [heading, _scores(run, found), *_tables(examples, found, pictures)]


def _first_predictions(
    folder: SearchFolder, runs: Sequence[TrialRecord]
) -> tuple[TrialRecord, bytes] | None:
    """Return the first run whose file of predictions is there, with its content."""
    for run in runs:
        content = read_predictions(folder, run)
        if content is not None:
            return run, content
    return None


def _none(trial: TrialRecord) -> str:
    units = trial.config.units
    if trial.units < units:
        return (
            f"There is none: trial {trial.number} ended after {trial.units} of {units} units, and "
            f"only full runs leave their predictions."
        )
    return f"There is none: the checkpoints of trial {trial.number} are not there any more."


def _scores(run: TrialRecord, found: dict[TaskName, TaskPredictions]) -> str:
    name = f"trial {run.number}" if run.seed_of is None else run.origin
    intro = (
        f"What {name} says of *select*, which the search saw: its scores are a "
        f"little too good, and *confirm* is kept for the final claim. Behind ± is one standard "
        f"error: binomial for accuracies and F1, by Fisher's z for correlations."
    )
    rows = []
    for own in found.values():
        whole = measures.measured(own)
        rows.append([quoted(own.task.title), own.task.metric_title, _shown(whole), whole.n])
    return f"{intro}\n\n{table(['task', 'metric', 'score', 'examples'], rows)}"


def _tables(examples: Examples, found: dict[TaskName, TaskPredictions], folder: Path) -> list[str]:
    """Return the rest of the section, and write the pictures."""
    quantities = {task: _quantities(own, examples) for task, own in found.items()}
    save(quantities_figure(quantities, examples.tasks), folder / "quantities.png")
    return [
        *_all_classes([own for own in found.values() if own.task.classes], examples.tasks, folder),
        *_all_numbers([own for own in found.values() if not own.task.classes], folder),
        "### Length and word frequency",
        "The examples of each task in at most five bins of about equal size: by the number of "
        "words of the example (both sentences of a pair), by how often its words occur in the "
        "task's train set (geometric mean of 1 + count), and by how often the rarest of them does. "
        "Vertical bars are standard errors, horizontal ones go from the smallest to the largest "
        "value in a bin. A correlation within a bin also depends on how much its labels differ.",
        "![Score by length and word frequency](quantities.png)",
        *(_quantity_table(found[task].task.title, own) for task, own in quantities.items()),
        "### Worst errors",
        *(_worst(own) for own in found.values()),
    ]


def _shown(measured: Measured) -> str:
    return with_error(measured.score, measured.error)


def _all_classes(found: list[TaskPredictions], tasks: Tasks, folder: Path) -> list[str]:
    """Return confusion and accuracy of the tasks with classes."""
    if not found:
        return []
    matrices = {own.task.name: measures.confusion(own) for own in found}
    save(confusion_figure(matrices, tasks), folder / "confusion.png")
    return ["### Classes", "![Confusion matrices](confusion.png)", *map(_classes, found)]


def _all_numbers(found: list[TaskPredictions], folder: Path) -> list[str]:
    """Return predictions against labels of the tasks with numbers."""
    paragraphs = ["### Numbers"] if found else []
    header = ["label", "examples", "mean label", "mean prediction"]
    for own in found:
        bins, file = measures.by_label(own), f"predicted_{own.task.name}.png"
        save(numbers_figure(own, bins), folder / file)
        rows = [
            [f"{r.low:g} to {r.high:g}", r.predicted.n, number(r.label, 2), _shown(r.predicted)]
            for r in bins
        ]
        title = quoted(own.task.title)
        paragraphs += [f"![{title}: prediction against label]({file})"]
        paragraphs += [f"{title}:\n\n{table(header, rows)}"]
    return paragraphs


def _classes(found: TaskPredictions) -> str:
    names = found.task.classes or ()
    rows = [
        [
            f"{row.label} {quoted(names[row.label])}",
            row.recall.n,
            _shown(row.recall),
            row.precision.n,
            _shown(row.precision),
        ]
        for row in measures.by_class(found)
    ]
    header = ["label", "examples", "accuracy on them", "predicted so", "accuracy on those"]
    return f"{quoted(found.task.title)}:\n\n{table(header, rows)}"


def _quantities(found: TaskPredictions, examples: Examples) -> list[Quantity]:
    columns = examples.splits[found.task.name]["train"].with_format("arrow")[:]
    sides = (columns["sentence1"], columns["sentence2"])
    counts = word_counts(text for side in sides for text in side.to_pylist())
    return quantities_of(found, counts)


def _quantity_table(title: str, quantities: list[Quantity]) -> str:
    rows = [
        [own.name, f"{row.low:,.0f} to {row.high:,.0f}", row.metric.n, _shown(row.metric)]
        for own in quantities
        for row in own.rows
    ]
    return f"{quoted(title)}:\n\n{table(['by', 'from, to', 'examples', 'score'], rows)}"


def _worst(found: TaskPredictions) -> str:
    header = ["sentences" if found.task.is_pair else "sentence", "label", "predicted"]
    header.append("confidence" if found.confidence is not None else "off by")
    rows = []
    for i in measures.worst(found, _N_WORST):
        label, predicted = found.labels[i], found.predicted[i]
        if found.confidence is not None:
            cells = [f"{label:.0f}", f"{predicted:.0f}", f"{found.confidence[i]:.2f}"]
        else:
            cells = [f"{label:.1f}", f"{predicted:.1f}", f"{predicted - label:+.1f}"]
        rows.append([" ↔ ".join(quoted(text) for text in found.sentences[i]), *cells])
    if not rows:
        return f"{quoted(found.task.title)}: no errors."
    return f"{quoted(found.task.title)}:\n\n{table(header, rows)}"
