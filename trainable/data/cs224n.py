"""The data files of Stanford CS224N's default project: tab-separated, one per task and split."""

from __future__ import annotations

from pathlib import Path

from trainable.data.examples import Examples
from trainable.data.read_tasks import read_tasks
from trainable.tasks import TaskName

# Headers of the files of predictions that the course asks for. That for similarity has a spelling
# mistake in the starter code, which graders' scripts may expect; it is kept.
SUBMISSION_HEADERS: dict[TaskName, str] = {
    "sst": "id \t Predicted_Sentiment \n",
    "para": "id \t Predicted_Is_Paraphrase \n",
    "sts": "id \t Predicted_Similiary \n",
}


def load_cs224n(folder: Path) -> Examples:
    """Read the course's files of the three tasks, as `tables/course.yaml` describes them.

    Args:
        folder: Contains `ids-sst-{train,dev}.csv`, `quora-{train,dev}.csv`, `sts-{train,dev}.csv`;
            `*-test-student.csv` are read where they exist. Other files are ignored.

    Raises:
        InputError: The folder, a file or a column is missing, a file is not tab-separated UTF-8
            text or cannot be read, or `to_schema` refuses its rows.
    """
    return read_tasks("course", folder).load()
