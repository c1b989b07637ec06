"""The command of search/predict.py: predict a task for sentences of a file or of standard input.

Everything that can be wrong with the options and the input is said before torch is imported.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from search.commands.sentence_file import (
    SentenceFile,
    check_suffix,
    lines_of,
    read_sentences,
)
from search.commands.standard_input import STDIN, given_lines
from trainable.cache.files import user_path, write_text
from trainable.errors import InputError

if TYPE_CHECKING:
    from trainable import Model, Predictions


@dataclass(frozen=True)
class PredictOptions:
    """Predict a task with what was found, for the sentences of a file or of standard input.

    Without --input, standard input has a sentence on each line, or two with a tab between them.
    """

    run: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="RUN")]
    """Folder of a search that was retrained, of a retraining, of one of its seeds, or of `python -m
    trainable --out`. Several seeds are averaged."""

    input: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """File with a column sentence or text, or sentence1 and sentence2 for pairs; id is kept. Its
    suffix says how to read it: .tsv, .csv or .jsonl."""

    output: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """File for the predictions: .tsv, .csv or .jsonl. Default: standard output, as .tsv."""

    task: str | None = None
    """Task to predict. Needed where several fit."""

    device: str | None = None
    """Where to compute, such as cpu or cuda:1. Default: a GPU if there is one."""


def main(arguments: list[str] | None = None, prog: str = "search/predict.py") -> int:
    """Run `search/predict.py`; returns the exit status."""
    config = (tyro.conf.DisallowNone,)
    options = tyro.cli(PredictOptions, prog=prog, args=arguments, config=config)
    try:
        _predict(options)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def _predict(options: PredictOptions) -> None:
    output = None if options.output is None else user_path(str(options.output))
    if output is not None:
        _check_output(options, output)
    given = None if options.input is None else read_sentences(user_path(str(options.input)))
    run = _check_run(options.run)
    # torch takes seconds to import.
    from trainable.trained_model import load

    model = load(run, _device(options.device))
    task = _task(model, options.task, given)
    if given is not None:
        found = model.predict(task, given.sentences(model.tasks[task].is_pair))
        text = lines_of(_rows(given.ids, found), output.suffix if output else ".tsv")
        _note(model, task, len(found), found.n_cut)
        _write(output, [text])
        return
    _write(output, _answers(model, task, output.suffix if output else ".tsv"))


def _check_output(options: PredictOptions, output: Path) -> None:
    """Refuse a file that could not be written after all has been computed."""
    check_suffix(output, "--output")
    if not output.parent.is_dir():
        raise InputError(f"--output {output}: there is no folder {output.parent}; make it first")
    if not os.access(output.parent, os.W_OK):
        raise InputError(f"--output {output}: you may not write to {output.parent}")
    if output.is_dir():
        raise InputError(f"--output {output} is a folder; give a file")
    if options.input is not None and output == user_path(str(options.input)):
        raise InputError(f"--output {output} is the input; give another file")


def _check_run(run: str) -> Path:
    """Refuse what is no folder of this machine before torch is imported."""
    if "://" in run:
        raise InputError(f"{run} is not on this machine; copy the folder of a seed here, give that")
    path = user_path(run)
    if not path.is_dir():
        # pyarrow takes a moment to import.
        from search.log.find_folder import named_below_runs

        what = "is a file" if path.exists() else "is not there"
        advice = "give the folder of a search, a retraining or a seed"
        if not path.exists() and (named := named_below_runs(run)):
            advice = f"did you mean {named}?"
        raise InputError(f"{path} {what}; {advice}")
    return path


def _device(given: str | None) -> str:
    """Return the device, by default as retraining chooses it; a GPU computes as it does there."""
    import torch

    from trainable.training.inputs import compute_deterministically

    device = given or ("cuda" if torch.cuda.is_available() else "cpu")
    if device.startswith("cuda"):
        compute_deterministically()
    return device


def _task(model: Model, given: str | None, file: SentenceFile | None) -> str:
    """Return the task to predict; an unknown one is refused when it is used.

    Raises:
        InputError: None is given, and not exactly one fits the file.
    """
    if given is not None:
        model.task(given)
        return given
    fitting = [
        name
        for name, task in model.tasks.items()
        if file is None or (file.has_pairs if task.is_pair else file.has_single)
    ]
    if len(fitting) == 1:
        return fitting[0]
    origin = STDIN if file is None else str(file.path)
    if not fitting:
        wanted = [
            f"{t.name} ({'pairs' if t.is_pair else 'sentences'})" for t in model.tasks.values()
        ]
        raise InputError(
            f"{origin} fits no task of this model: {', '.join(wanted)}; name its columns sentence, "
            f"or sentence1 and sentence2"
        )
    raise InputError(f"{origin} fits several tasks; choose by --task: {', '.join(fitting)}")


def _answers(model: Model, task: str, suffix: str) -> Iterator[str]:
    """Yield predictions for standard input, as soon as there are lines to predict."""
    if sys.stdin.isatty():
        print("one sentence on each line; Ctrl-D ends", file=sys.stderr)
    n = n_cut = 0
    for sentences in given_lines(sys.stdin.buffer, model.task(task)):
        found = model.predict(task, sentences)  # type: ignore[arg-type]
        ids = range(n, n + len(sentences))
        yield lines_of(_rows(ids, found), suffix, header=n == 0)
        n, n_cut = n + len(sentences), n_cut + found.n_cut
    _note(model, task, n, n_cut)


def _rows(ids: Sequence[Any], found: Predictions) -> Iterator[dict[str, Any]]:
    """Yield a row for each example; numbers are the shortest that give the same float32."""
    for i, name in enumerate(ids):
        row: dict[str, Any] = {"id": name, "prediction": found.labels[i]}
        if found.probabilities is None:
            row["prediction"] = _shortest(found.values[i].numpy())
        else:
            shares = map(_shortest, found.probabilities[i].numpy())
            row["probabilities"] = dict(zip(found.classes, shares, strict=True))
        yield row


def _shortest(value: Any) -> float:
    return float(str(value))


def _note(model: Model, task: str, n: int, n_cut: int) -> None:
    """Say on the error output what was predicted by what."""
    from trainable.trained_model import cut_note

    runs = ", ".join(model.runs)
    by = f"the average of {runs}" if len(model.runs) > 1 else runs
    print(f"{n:,} predictions of {task} by {by}", file=sys.stderr)
    if n_cut:
        print(f"note: {cut_note(n_cut)}", file=sys.stderr)


def _write(output: Path | None, parts: Iterator[str] | list[str]) -> None:
    """Write to standard output piece by piece, or a file whole."""
    if output is not None:
        try:
            write_text(output, "".join(parts))
        except OSError as error:
            raise InputError(f"--output {output} cannot be written ({error})") from error
        return
    for part in parts:
        sys.stdout.write(part)
        sys.stdout.flush()
