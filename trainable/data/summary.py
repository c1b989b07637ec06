"""What a person should see of examples before a search: `python -m trainable.data`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from itertools import pairwise

import numpy as np
from datasets import Dataset
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from rich.text import Text

from trainable.data.check_splits import comparable_texts
from trainable.data.examples import Examples
from trainable.tasks import Task, TaskName

CountTokens = Callable[[list[str]], NDArray[np.int64]]  # texts -> tokens of each, (n,)
_N_EXAMPLES = 3
_MOST_CLASSES = 20  # rows of a table of labels
_N_BINS = 10  # of numbers
_BAR = 20  # characters of the longest bar


def print_summary(
    examples: Examples, console: Console, count_tokens: CountTokens | None = None
) -> None:
    """Print sizes, labels, lengths, examples, duplicates and leaks of all tasks, then the notes.

    Args:
        examples: Loaded and checked.
        console: Prints.
        count_tokens: Of an encoder's tokenizer; None counts words instead.
    """
    texts = {
        name: {split: comparable_texts(own) for split, own in by_split.items()}
        for name, by_split in examples.splits.items()
    }
    for name, task in examples.tasks.items():
        by_split = examples.splits[name]
        console.rule(f"[bold]{name}[/bold]", style="dim")
        console.print(Text(f"{task.title}: {_describe(task)}"))
        console.print("", _sizes(task, by_split, count_tokens), "", _labels(task, by_split), "")
        for line in _first_examples(task, by_split["train"]):
            line.truncate(console.width, overflow="ellipsis")
            console.print(line)
        console.print()
        for sentence in (*_duplicates(name, examples, texts[name]), *_leaks(name, texts)):
            console.print(Text(sentence))
    console.rule("notes", style="dim")
    for note in examples.notes or ("none",):
        console.print(Text(f"- {note}"))
    console.print(Text(f"fingerprint of the contents: {examples.fingerprint}"))


def _describe(task: Task) -> str:
    """Return what a task is, in words."""
    what = f"a number from {task.low:g} to {task.high:g}"
    if task.classes is not None:
        what = f"{len(task.classes)} classes"
    of = "pairs of sentences" if task.is_pair else "single sentences"
    return f"{of}, {what}; metric {task.metric}, weight {task.weight:g}"


def _sizes(task: Task, by_split: Mapping[str, Dataset], count_tokens: CountTokens | None) -> Table:
    """Return a row for each split: examples, and the lengths of its sentences."""
    unit = "tokens" if count_tokens else "words"
    table = Table(box=None, header_style="dim", pad_edge=False)
    table.add_column("split")
    for column in ("rows", f"all {unit}", "median", "90 %", "99 %", "longest", "bytes"):
        table.add_column(column, justify="right")
    count = count_tokens or _count_words
    for split, own in by_split.items():
        sentences = _sentences(task, own)
        lengths = count(sentences)
        quantiles = np.quantile(lengths, (0.5, 0.9, 0.99, 1.0), method="higher")
        n_bytes = sum(len(text.encode()) for text in sentences)
        numbers = (len(own), lengths.sum(), *quantiles, n_bytes)
        table.add_row(split, *(f"{int(number):,}" for number in numbers))
    return table


def _count_words(texts: list[str]) -> NDArray[np.int64]:
    return np.array([len(text.split()) for text in texts], np.int64)


def _sentences(task: Task, dataset: Dataset) -> list[str]:
    names = ("sentence1", "sentence2") if task.is_pair else ("sentence1",)
    return [text for name in names for text in dataset[name][:]]


def _labels(task: Task, by_split: Mapping[str, Dataset]) -> Table:
    """Return a row for each class, or for each tenth of the range: rows, shares, and a bar."""
    labels = {
        split: np.asarray(by_split[split].with_format("numpy")["label"][:])
        for split in ("train", "dev")
    }
    if task.classes is None:
        edges = np.linspace(task.low, task.high, _N_BINS + 1)
        names = [f"{a:g} to {b:g}" for a, b in pairwise(edges)]
        counts = {split: np.histogram(own, edges)[0] for split, own in labels.items()}
    else:
        names = list(task.classes)
        counts = {
            split: np.bincount(own.astype(int), minlength=len(names))
            for split, own in labels.items()
        }
    table = Table(box=None, header_style="dim", pad_edge=False)
    table.add_column("label", max_width=24, no_wrap=True)
    for column in ("train", "share", "dev", "share"):
        table.add_column(column, justify="right")
    table.add_column("train")
    longest = max(counts["train"].max(), 1)
    for place, label in enumerate(names[:_MOST_CLASSES]):
        cells = [
            text
            for own in counts.values()
            for text in (f"{own[place]:,}", f"{own[place] / max(own.sum(), 1):.1%}")
        ]
        bar = "█" * round(_BAR * counts["train"][place] / longest)
        table.add_row(Text(label), *cells, Text(bar, style="blue"))
    if len(names) > _MOST_CLASSES:
        table.add_row(Text(f"and {len(names) - _MOST_CLASSES} more"))
    return table


def _first_examples(task: Task, train: Dataset) -> Iterator[Text]:
    """Yield the first examples of train, one of each class where there are several."""
    labels = train["label"][:]
    first: dict[float, int] = {}
    for place, label in enumerate(labels if task.classes else ()):
        first.setdefault(label, place)
    chosen = [*first.values(), *range(len(labels))]
    for place in list(dict.fromkeys(chosen))[:_N_EXAMPLES]:
        row = train[place]
        label = f"{row['label']:.4g}" if task.classes is None else task.classes[int(row["label"])]
        yield Text.assemble(
            f"{row['id']}  ", (label, "bold"), f"  {' '.join(row['sentence1'].split())}"
        )
        if task.is_pair:
            yield Text(f"    | {' '.join(row['sentence2'].split())}")


def _duplicates(
    name: TaskName, examples: Examples, texts: Mapping[str, list[str]]
) -> Iterator[str]:
    """Yield a sentence on texts that a split has more than once, and on their labels."""
    for split, own in texts.items():
        n_more = len(own) - len(set(own))
        if not n_more:
            continue
        sentence = f"duplicates: {n_more:,} of {len(own):,} {split} rows repeat the text of another"
        if split != "test":
            labels = examples.splits[name][split]["label"][:]
            pairs = Counter(text for text, _ in set(zip(own, labels, strict=True)))
            n_contrary = sum(count > 1 for count in pairs.values())
            sentence += f"; {n_contrary:,} texts have different labels"
        yield sentence


def _leaks(name: TaskName, texts: Mapping[TaskName, Mapping[str, list[str]]]) -> Iterator[str]:
    """Yield a sentence on texts of dev and test that train has, too.

    That of another task is named only where it has more of them: tasks often share a file.
    """
    for split in ("dev", "test"):
        own = texts[name].get(split, [])
        most = 0
        for other in (name, *(other for other in texts if other != name)):
            known = set(texts[other]["train"])
            n_both = sum(text in known for text in own)
            if n_both > most:
                most = n_both
                whose = "train" if other == name else f"train of {other}"
                yield (
                    f"leak: {n_both:,} of {len(own):,} {split} rows have the text of one in {whose}"
                )
