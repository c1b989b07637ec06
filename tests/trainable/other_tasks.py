"""Tasks of every kind that are not the papers', from files, for tests of what serves any task."""

from __future__ import annotations

import json
import random
from pathlib import Path

from trainable.data.read_tasks import read_tasks
from trainable.data.task_files import TaskFiles

TEXT = """
tasks:
  mood: {train: mood.jsonl, dev_share: 0.3, labels: [bad, good], metric: matthews,
    columns: {sentence1: a, label: label}}
  length: {train: length.jsonl, dev_share: 0.3, range: [-3, 12], metric: spearman,
    columns: {sentence1: a, label: label}}
  same: {train: same.jsonl, dev_share: 0.3, labels: {0: other, 1: same}, metric: macro_f1,
    columns: {sentence1: a, sentence2: b, label: label}}
  relation: {train: relation.jsonl, dev_share: 0.3, labels: [less, equal, more], weight: 2,
    columns: {sentence1: a, sentence2: b, label: label}}
  overlap: {train: overlap.jsonl, dev_share: 0.3, range: [0, 1],
    columns: {sentence1: a, sentence2: b, label: label}}
"""
NAMES = ("mood", "length", "same", "relation", "overlap")
WORDS = [
    "a",
    "red",
    "blue",
    "old",
    "new",
    "small",
    "large",
    "cat",
    "dog",
    "house",
    "tree",
    "car",
    "runs",
    "sleeps",
    "sees",
    "likes",
]


def write_tasks(folder: Path, n: int = 160) -> Path:
    """Write a task file and its data; returns the path of the task file."""
    draw = random.Random(0)
    rows: dict[str, list[dict[str, object]]] = {name: [] for name in NAMES}
    for number in range(n):
        first = draw.choices(WORDS, k=draw.randint(2, 9))
        second = first if number % 3 == 0 else draw.choices(WORDS, k=draw.randint(2, 9))
        a, b = f"{number} {' '.join(first)}", f"{number} {' '.join(second)}"
        order = (len(first) > len(second)) - (len(first) < len(second))
        share = len({*first} & {*second}) / len({*first} | {*second})
        rows["mood"].append({"a": a, "label": "good" if "cat" in first else "bad"})
        rows["length"].append({"a": a, "label": len(first) - 2.5})
        rows["same"].append({"a": a, "b": b, "label": int(first == second)})
        rows["relation"].append({"a": a, "b": b, "label": ("equal", "more", "less")[order]})
        rows["overlap"].append({"a": a, "b": b, "label": share})
    for name, own in rows.items():
        lines = "".join(json.dumps(row) + "\n" for row in own)
        (folder / f"{name}.jsonl").write_text(lines, encoding="utf-8")
    path = folder / "tasks.yaml"
    path.write_text(TEXT, encoding="utf-8")
    return path


def other_tasks(folder: Path, chosen: tuple[str, ...] = NAMES) -> TaskFiles:
    """Return the data source of some of the tasks, whose files are written into a folder."""
    return read_tasks(f"{write_tasks(folder)}:{','.join(chosen)}")
