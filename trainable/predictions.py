"""Predictions in the course's submission format.

Source: the CS224N default project's starter code: a header, then lines `id , prediction `. Its
header for similarity has a spelling mistake, which graders' scripts may expect; it is kept.
"""

from __future__ import annotations

from pathlib import Path

import torch

from trainable.files import write_text
from trainable.loop import Run
from trainable.tasks import TaskName

_HEADERS: dict[TaskName, str] = {
    "sst": "id \t Predicted_Sentiment \n",
    "para": "id \t Predicted_Is_Paraphrase \n",
    "sts": "id \t Predicted_Similiary \n",
}


def write_predictions(run: Run, folder: Path) -> None:
    """Write `{sst,para,sts}-{dev,test}-output.csv`; test only where there are test examples."""
    splits = run.workbench.corpus.splits
    parts = {"dev": ("select", "confirm"), "test": ("test",)}
    for name, sources in parts.items():
        predicted = [run.predict(source) for source in sources]
        for task, header in _HEADERS.items():
            if any(task not in own for own in predicted):
                continue
            ids = [i for source in sources for i in splits[source][task].ids]
            values = torch.cat([own[task] for own in predicted]).tolist()
            lines = [
                f"{i} , {int(v) if task == 'sst' else v} \n"
                for i, v in zip(ids, values, strict=True)
            ]
            write_text(folder / f"{task}-{name}-output.csv", header + "".join(lines))
